"""POST /intake/{format} and GET /intake/receipts/{id}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import orjson
from fastapi import APIRouter, Request, Response
from starlette.routing import BaseRoute, Route

from adapters.base import Limits, adapters
from adapters.kinehub_schema import FILE, definitions
from hub.access.caller import caller, require_upload
from hub.access.requests import arriving, file_too_large, hub_of
from hub.intake.pending import settle_row
from hub.intake.receipts import read_receipt
from hub.intake.upload import Delivery, take
from schemas.errors import BadRequest

router = APIRouter(prefix="/intake", tags=["intake"])

COMPONENTS = "#/components/schemas/kinehub-"
"""Where the description of the HTTP interface keeps the shapes of our own JSON."""

PRIVATE_SYSTEMS = frozenset({"id-number", "health-card", "phone"})
"""Identifier systems that never appear in a URL."""


def _documented(place: str, name: str, sentence: str) -> dict[str, Any]:
    return {"in": place, "name": name, "description": sentence, "required": place == "path", "schema": {"type": "string", "maxLength": LONGEST}}


LONGEST = 200
"""Characters of a parameter or header of an upload."""

_UPLOAD = {
    "parameters": [
        _documented("path", "format_", "An adapter's name, or auto."),
        _documented("query", "resident", "The resident's id, for a file of one person."),
        _documented("query", "identifier", "system|value with the system member or source, in place of the id."),
        _documented("header", "X-Resident-Identifier", "system|value with any system: ID-card, card and phone numbers never go into a URL."),
        _documented("query", "filename", "Tells formats apart where the bytes do not."),
        _documented("header", "Idempotency-Key", "The same key with the same content answers with the first receipt."),
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"$ref": f"{COMPONENTS}{FILE}"}},
        },
    },
    "responses": {"200": {"description": "A repeat: the first receipt."}, "207": {"description": "Some rows were not taken."}},
}


@router.post("/{format_}", status_code=201, openapi_extra=_UPLOAD)  # noqa: FAST003 - see below
async def upload(request: Request) -> Response:
    """Store one file: its bytes are the body. Answers with a receipt: 201, 200 for a repeat, 207 when some rows were not taken.

    A plain route of Starlette (`hot_routes`) reaches it, and it reads its parameters itself: FastAPI's matching and parameters cost a third
    of a small upload (docs/decisions/0002-store.md).
    """
    who = await caller(request)
    require_upload(who)
    asked, headers = request.query_params, request.headers
    resident = _short(asked, "resident")
    status, receipt = await take(hub_of(request), Delivery(
        party=who.registered, body=await _body(request), format=request.path_params["format_"], filename=_short(asked, "filename"),
        resident=_uuid(resident) if resident else None, identifier=_identifier(_short(asked, "identifier"), _short(headers, "X-Resident-Identifier")),
        idempotency=_short(headers, "Idempotency-Key"),
    ))  # fmt: skip
    return _json(receipt, status, {"Location": f"/intake/receipts/{receipt['receipt_id']}"})


def with_shapes(description: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description with the shapes of our own JSON among its components."""
    prefix = COMPONENTS.rpartition("/")[2]
    shapes = {f"{prefix}{name}": shape for name, shape in definitions(COMPONENTS).items()}
    components = description.get("components", {})
    return description | {"components": components | {"schemas": components.get("schemas", {}) | shapes}}


def hot_routes() -> list[BaseRoute]:
    """The upload, matched before FastAPI's own routes, among which it stands for its description."""
    return [Route("/intake/{format_}", upload, methods=["POST"], include_in_schema=False)]


def _short(given: Mapping[str, str], name: str) -> str | None:
    value = given.get(name)
    if value is not None and len(value) > LONGEST:
        raise BadRequest(f"{name} is longer than {LONGEST} characters.", field=name)
    return value


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
    return _json(await read_receipt(hub_of(request), who.registered, _uuid(receipt_id)))


@router.post("/receipts/{receipt_id}/pending/{row}")
async def settle(request: Request, receipt_id: str, row: int) -> Response:
    """Say whose a waiting row is: `{"resident": ID}` in the body; the row is stored as if it had come with it."""
    who = await caller(request)
    require_upload(who)
    chosen = _chosen(await _body(request))
    return _json(await settle_row(hub_of(request), who.registered, _uuid(receipt_id), row, chosen))


class _Choice(msgspec.Struct):
    resident: UUID


def _chosen(body: bytes) -> UUID:
    try:
        return msgspec.json.decode(body, type=_Choice).resident
    except msgspec.MsgspecError:
        raise BadRequest('The body must be {"resident": ID}.', field="resident") from None


async def _body(request: Request) -> bytes:
    return b"".join([part async for part in arriving(request, Limits().bytes, file_too_large())])


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
