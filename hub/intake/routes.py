"""POST /intake/{format} and GET /intake/receipts/{id}."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from adapters.base import Limits, adapters
from hub.access.caller import Caller, caller, require_upload
from hub.access.requests import hub_of
from hub.intake.pending import settle_row
from hub.intake.receipts import read_receipt
from hub.intake.upload import Delivery, take
from hub.store import parties
from hub.store.parties import Party
from schemas.errors import BadRequest, TooLarge

router = APIRouter(prefix="/intake", tags=["intake"])

PRIVATE_SYSTEMS = frozenset({"id-number", "health-card", "phone"})
"""Identifier systems that never appear in a URL."""


@router.post("/{format_}", status_code=201)
async def upload(
    request: Request, format_: str, resident: Annotated[str | None, Query()] = None, identifier: Annotated[str | None, Query()] = None,
    filename: Annotated[str | None, Query(max_length=200)] = None, idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    x_resident_identifier: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:  # fmt: skip
    """Store one file: its bytes are the body. Answers with a receipt: 201, 200 for a repeat, 207 when some rows were not taken."""
    who = await caller(request)
    require_upload(who)
    hub = hub_of(request)
    party = await _party(request, who)
    status, receipt = await take(hub, Delivery(
        party=party, body=await _body(request), format=format_, filename=filename, resident=_uuid(resident) if resident else None,
        identifier=_identifier(identifier, x_resident_identifier), idempotency=idempotency_key,
    ))  # fmt: skip
    return _json(receipt, status, {"Location": f"/intake/receipts/{receipt['receipt_id']}"})


@router.get("/formats")
async def formats() -> list[dict[str, Any]]:
    """The formats that can be uploaded, with their file endings and the kinds of record they give."""
    return [
        {
            "format": found.id,
            "title": {"zh-CN": found.title[0], "en": found.title[1]},
            "extensions": list(found.extensions),
            "emits": sorted(found.emits),
        }
        for found in adapters()
    ]


@router.get("/receipts/{receipt_id}")
async def receipt(request: Request, receipt_id: str) -> Response:
    """A receipt, for its uploader alone."""
    who = await caller(request)
    require_upload(who)
    return _json(await read_receipt(hub_of(request), await _party(request, who), _uuid(receipt_id)))


@router.post("/receipts/{receipt_id}/pending/{row}")
async def settle(request: Request, receipt_id: str, row: int) -> Response:
    """Say whose a waiting row is: `{"resident": ID}` in the body; the row is stored as if it had come with it."""
    who = await caller(request)
    require_upload(who)
    chosen = _chosen(await _body(request))
    return _json(await settle_row(hub_of(request), await _party(request, who), _uuid(receipt_id), row, chosen))


class _Choice(msgspec.Struct):
    resident: UUID


def _chosen(body: bytes) -> UUID:
    try:
        return msgspec.json.decode(body, type=_Choice).resident
    except msgspec.MsgspecError:
        raise BadRequest('The body must be {"resident": ID}.', field="resident") from None


async def _party(request: Request, who: Caller) -> Party:
    async with hub_of(request).database.connection() as connection:
        return await parties.by_number(connection, who.party)


async def _body(request: Request) -> bytes:
    limit = Limits().bytes
    if int(request.headers.get("content-length") or 0) > limit:
        raise TooLarge(f"The file is larger than {limit // 2**20} MiB.", advice="Split it.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(f"The file is larger than {limit // 2**20} MiB.", advice="Split it.")
        parts.append(part)
    return b"".join(parts)


def _identifier(query: str | None, header: str | None) -> tuple[str, str] | None:
    text = header or query
    if not text:
        return None
    system, bar, value = text.partition("|")
    if not bar or not value:
        raise BadRequest("An identifier is written system|value.", field="identifier")
    if query and not header and system in PRIVATE_SYSTEMS:
        raise BadRequest("ID, card and phone numbers never go into a URL.", field="identifier", advice="Send it in the header X-Resident-Identifier.")
    return system, value


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("That is not an id.", field="resident") from None


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")
