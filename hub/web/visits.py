"""A code for a visit: the resident chooses what and how long, says or shows the code, and the doctor who enters it may see. Works without a script."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Annotated

import segno
from fastapi import APIRouter, Query, Request, Response

from hub.access import representatives, requests
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.store import visit_codes
from hub.web import history, sharing
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from schemas.classes import codes_of
from schemas.errors import BadRequest

router = APIRouter(prefix="/resident/code", route_class=Page)

Kinds = Annotated[list[str] | None, Query(alias="kind", max_length=20)]


@router.get("")
async def choose(request: Request, asked: Annotated[str, Query(max_length=1)] = "", kind: Kinds = None) -> Response:
    """Which kinds; then how long, with the sentence read back. What is more private needs a grant of its own and is not offered."""
    person, _ = await resident_of(request, "visit")
    codes = [code for code in sharing.ORDINARY if code in (kind or [])]
    if not codes:
        return pages_of(request).render(
            request, "code_kinds.html", person=person, ordinary=sharing.ORDINARY, examples=sharing.EXAMPLES, missing=bool(asked)
        )
    require_recent(person)
    return pages_of(request).render(request, "code_long.html", person=person, codes=codes, hours=visit_codes.HOURS, child=await _for_a_child(request, person))


@router.post("")
async def make(request: Request) -> Response:
    """The code, shown this once and kept nowhere: not in an address, not in a log. Asked for again, it is another one."""
    person, resident = await resident_of(request, "visit")
    require_recent(person)
    hub, fields = hub_of(request), await requests.fields(request)
    codes = [code for code in fields.get("kinds", "").split(",") if code in sharing.ORDINARY]
    hours = fields.get("hours", "")
    if not hours.isascii() or not hours.isdigit() or len(hours) > 2:
        raise BadRequest("The length of time is not a number.", field="hours")
    actor = history.actor_of(person, resident)
    code = await visit_codes.make(hub, resident, sharing.bits(codes), int(hours), actor=actor, representative=person.acting)
    zone = await history.zone_of(hub, resident)
    return pages_of(request).render(
        request, "code.html", person=person, groups=visit_codes.spoken(code.digits), until=code.expires.astimezone(zone),
        minutes=visit_codes.LASTS // timedelta(minutes=1), hours=int(hours), codes=codes_of(int(sharing.bits(codes))),
        square=square(f"{hub.settings.base_url}/hospital/code#{code.digits}"),
    )  # fmt: skip


async def _for_a_child(request: Request, person: Person) -> bool:
    one = await representatives.standing(hub_of(request), person.acting, person.account) if person.acting else None
    return one is not None and one.of_a_child


@router.post("/cancel")
async def cancel(request: Request) -> Response:
    """The code is no longer good."""
    person, resident = await resident_of(request, "visit")
    await visit_codes.cancel(hub_of(request), resident, actor=history.actor_of(person, resident))
    return see("/resident#main")


def square(text: str) -> str:
    """A QR code as SVG without a style or an id, which the pages' own policy lets through. What stands after `#` is never sent to a server."""
    out = io.BytesIO()
    segno.make_qr(text, error="m").save(out, kind="svg", xmldecl=False, svgns=False, svgclass="qr", lineclass=None, omitsize=True, border=4, nl=False)
    return out.getvalue().decode()
