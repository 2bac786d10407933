"""Representatives on the resident's pages: who acts for me, inviting, ending; for whom I act, and choosing it. Works without a script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Request, Response

from hub.access import accounts, representatives, requests
from hub.access.representatives import Representative
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person, require_recent
from hub.care import activity
from hub.service import Hub
from hub.store import visit_codes
from hub.store.vault import Asked
from hub.web import faults, history
from hub.web.locales import say
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from schemas.errors import BadRequest, KineHubError, NotFound

router = APIRouter(prefix="/resident/family", route_class=Page)

COMMON = ("look", "stop", "visit")
"""Rights that most helpers need; the others are folded up under them."""


class Shown(msgspec.Struct, frozen=True):
    """Somebody who acts, or for whom one acts, with their last day."""

    id: UUID
    name: str
    relation: str
    rights: list[str]
    until: date | None
    young: bool


@router.get("")
async def family(request: Request) -> Response:
    """Who acts for me, and for whom I act."""
    person, resident = await resident_of(request, "look")
    return await _page(request, person, resident)


async def _page(request: Request, person: Person, resident: UUID, *, error: str = "", code: str = "", status: int = 200) -> Response:
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    mine = [_shown(one, await _account(hub, one), zone) for one in await representatives.of_resident(hub, resident)]
    others = [] if person.acting else [_shown(one, await _name(hub, one), zone) for one in await representatives.of_account(hub, person.account)]
    return pages_of(request).render(
        request, "family.html", status, person=person, mine=mine, others=others, error=error, code=visit_codes.spoken(code) if code else [],
        rights=representatives.RIGHTS, relations=representatives.RELATIONS,
    )  # fmt: skip


@router.get("/new")
async def new(request: Request) -> Response:
    """What somebody of the family may do, and until when. Asks for a recent sign-in."""
    person, resident = await resident_of(request)
    require_recent(person)
    return await _form(request, person, resident)


async def _form(request: Request, person: Person, resident: UUID, one: Shown | None = None, error: str = "", status: int = 200) -> Response:
    """The rights to choose from: of a new helper, or of `one`, a parent."""
    until = activity.today_in(await history.zone_of(hub_of(request), resident)).date() + timedelta(days=180)
    return pages_of(request).render(
        request, "family_rights.html", status, person=person, one=one, error=error, until=until, rights=representatives.RIGHTS, common=COMMON
    )


def _shown(one: Representative, name: str, zone: ZoneInfo) -> Shown:
    last = (one.ends - timedelta(seconds=1)).astimezone(zone).date() if one.ends else None
    return Shown(one.id, name, one.relation, [code for code in representatives.RIGHTS if code in (one.rights or one.agreed)], last, one.young)


async def _account(hub: Hub, one: Representative) -> str:
    if one.account is None:
        return ""
    async with hub.database.connection() as connection:
        return (await accounts.account(connection, hub.keyring, one.account)).name


async def _name(hub: Hub, one: Representative) -> str:
    """Whom they act for, as far as they may see it."""
    asked = Asked(resident=one.resident, actor=f"RelatedPerson/{one.id}", purpose=representatives.PURPOSE, representative=one.id)
    known = await history.person(hub, asked)
    return (known.name if known else None) or say("家人")


@router.post("/invite")
async def invite(request: Request) -> Response:
    """A code for somebody of the family, shown this once. Asks for a recent sign-in."""
    person, resident = await resident_of(request)
    require_recent(person)
    fields = await requests.fields(request)
    try:
        code = await representatives.invite(hub_of(request), resident, _rights(fields), _day(fields.get("until", "")))
    except KineHubError as wrong:
        if wrong.status >= 500:
            raise
        return await _form(request, person, resident, error=faults.file(wrong.code, wrong.message, wrong.advice), status=wrong.status)
    return await _page(request, person, resident, code=code)


def _rights(fields: Mapping[str, str]) -> list[str]:
    return [code for code in representatives.RIGHTS if fields.get(code)]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadRequest("The last day is not a date.", field="until") from None


@router.post("/accept")
async def accept(request: Request) -> Response:
    """Take up an invitation by its code."""
    person, resident = await resident_of(request)
    try:
        await representatives.accept(hub_of(request), person, (await requests.fields(request)).get("code", ""))
    except KineHubError as wrong:
        if wrong.status >= 500:
            raise
        await requests.even_out()
        return await _page(request, person, resident, error=faults.file(wrong.code, wrong.message, wrong.advice), status=wrong.status)
    return see("/resident/family")


@router.post("/{identity}/act")
async def act(request: Request, identity: UUID) -> Response:
    """Act for somebody from now on, in this session. Raises NotFound."""
    person, _ = await resident_of(request)
    await representatives.act(hub_of(request), person, identity)
    return see("/resident")


@router.post("/self")
async def oneself(request: Request) -> Response:
    """Act for oneself again; works whatever became of the other."""
    person = await require_person(request, "resident")
    await representatives.act(hub_of(request), person, None)
    return see("/resident")


@router.get("/{identity}")
async def rights(request: Request, identity: UUID) -> Response:
    """What somebody of 14 to 17 lets a parent do. Asks for a recent sign-in. Raises NotFound for everybody else's."""
    person, resident = await resident_of(request)
    require_recent(person)
    hub = hub_of(request)
    found = next((one for one in await representatives.of_resident(hub, resident) if one.id == identity and one.young), None)
    if found is None:
        raise NotFound("There is no such representative.")
    return await _form(request, person, resident, _shown(found, await _account(hub, found), await history.zone_of(hub, resident)))


@router.post("/{identity}/agree")
async def agree(request: Request, identity: UUID) -> Response:
    """Somebody of 14 to 17 says what a parent may. Asks for a recent sign-in."""
    person, resident = await resident_of(request)
    require_recent(person)
    await representatives.agree(hub_of(request), resident, identity, _rights(await requests.fields(request)))
    return see("/resident/family")


@router.post("/{identity}/end")
async def end(request: Request, identity: UUID) -> Response:
    """Nobody acts so any more, from the next request on. A child below 14 does not end their parents'."""
    _, resident = await resident_of(request)
    hub = hub_of(request)
    found = next((one for one in await representatives.of_resident(hub, resident) if one.id == identity), None)
    if found is None or (found.relation in representatives.OF_A_CHILD and not found.young):
        raise NotFound("There is no such representative.")
    await representatives.end(hub, resident, identity, f"Patient/{resident}")
    return see("/resident/family")
