"""After a death: what a resident wants, on their own page; deaths recorded and confirmed by two administrators, who see nothing else of the resident."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response

from hub.access import accounts, deaths, requests
from hub.access.deaths import Evidence, Wish
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person, require_recent
from hub.intake import identity
from hub.service import Hub
from hub.store import visit_codes
from hub.web import faults
from hub.web.locales import say
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from schemas.errors import BadRequest, KineHubError, NotFound, Refused
from schemas.records import Who

router = APIRouter(route_class=Page)

NUMBERS = {"id-number": "id_number", "health-card": "health_card"}


@router.get("/resident/after")
async def after(request: Request, done: Annotated[str, Query(max_length=1)] = "") -> Response:
    """What happens with one's records after one's death. For nobody but the resident."""
    person, resident = await resident_of(request)
    return _wish(request, person, await deaths.wish_of(hub_of(request), resident), done=done)


def _wish(request: Request, person: Person, wish: Wish, *, done: str = "", error: str = "", status: int = 200) -> Response:
    return pages_of(request).render(request, "after.html", status, person=person, wish=wish, done=done, error=error)


@router.post("/resident/after")
async def arrange(request: Request) -> Response:
    """Say it. What lets more be seen than nothing asks for a recent sign-in."""
    person, resident = await resident_of(request)
    fields = await requests.fields(request)
    if fields.get("choice") != "close":
        require_recent(person)
    try:
        wish = msgspec.convert({name: fields.get(name, "") for name in ("choice", "name", "phone")}, Wish)
    except msgspec.ValidationError:
        raise BadRequest("Choose one of the three.", field="choice") from None
    try:
        await deaths.arrange(hub_of(request), resident, wish)
    except (BadRequest, Refused) as wrong:
        return _wish(request, person, wish, error=faults.file(wrong.code, wrong.message, wrong.advice), status=wrong.status)
    return see("/resident/after?done=1#main")


@router.get("/admin/deaths")
async def listing(request: Request, done: Annotated[str, Query(max_length=10)] = "") -> Response:
    """Deaths that wait for a second person, and the form."""
    return await _listing(request, await _admin(request), done=done)


async def _admin(request: Request) -> Person:
    person = await require_person(request, "admin")
    require_recent(person)
    return person


async def _listing(request: Request, person: Person, *, done: str = "", error: str = "", status: int = 200) -> Response:
    hub, me = hub_of(request), f"Account/{person.account}"
    found = await deaths.listed(hub, actor=me, waiting=True)
    async with hub.database.connection() as connection:
        names = await accounts.of_actors(connection, hub.keyring, [{"actor": one.recorder} for one in found])
    waiting = [(one, names[one.recorder].name if one.recorder in names else say("运动健康通管理员")) for one in found]
    return pages_of(request).render(request, "deaths.html", status, person=person, waiting=waiting, me=me, done=done, error=error)


@router.post("/admin/deaths")
async def record(request: Request) -> Response:
    """The first of the two records it. Wrong numbers are counted."""
    person = await _admin(request)
    hub, fields = hub_of(request), await requests.fields(request)
    try:
        evidence = Evidence(_day(fields.get("on", "")), fields.get("evidence", "").strip())
        resident = await _whom(hub, person, fields.get("system", ""), fields.get("value", "").strip())
        await deaths.record(hub, resident, evidence, actor=f"Account/{person.account}")
    except KineHubError as wrong:
        if wrong.status >= 500:
            raise
        return await _listing(request, person, error=faults.file(wrong.code, wrong.message, wrong.advice), status=wrong.status)
    return see("/admin/deaths?done=recorded#main")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadRequest("The day is not a date.", code="death-day", field="on") from None


async def _whom(hub: Hub, person: Person, system: str, value: str) -> UUID:
    if system not in NUMBERS or not value or len(value) > 60:
        raise BadRequest("Choose a kind of number and enter it.", field="value")
    async with hub.database.connection() as connection:
        await visit_codes.count_guess(connection, person.account, 0)
        (found,) = await identity.match(connection, hub.keyring, [msgspec.convert({NUMBERS[system]: value}, Who)], "")
        if found.resident is None:
            raise NotFound("Nobody is known by this number.", code="no-such-person", advice="Look at the number once more.")
        await visit_codes.forgive_guess(connection, person.account)
    return found.resident


@router.post("/admin/deaths/{resident}/confirm")
async def confirm(request: Request, resident: UUID) -> Response:
    """The second confirms it: in force from the next request on."""
    person = await _admin(request)
    try:
        await deaths.confirm(hub_of(request), resident, actor=f"Account/{person.account}")
    except KineHubError as wrong:
        if wrong.status >= 500:
            raise
        return await _listing(request, person, error=faults.file(wrong.code, wrong.message, wrong.advice), status=wrong.status)
    return see("/admin/deaths?done=confirmed#main")


@router.post("/admin/deaths/{resident}/withdraw")
async def withdraw(request: Request, resident: UUID) -> Response:
    """Take back what is not confirmed yet. Raises NotFound."""
    person = await _admin(request)
    await deaths.withdraw(hub_of(request), resident, actor=f"Account/{person.account}")
    return see("/admin/deaths#main")
