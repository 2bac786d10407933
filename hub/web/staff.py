"""The people of an organization, for its leads: who they are, inviting, making a lead, ending an account; and who did what of it."""

from __future__ import annotations

from collections.abc import Awaitable
from uuid import UUID

from fastapi import APIRouter, Request, Response

from hub.access import requests, staff
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person, require_recent
from hub.store import parties
from hub.web import faults
from hub.web.pages import Page, pages_of, see
from schemas.errors import BadRequest, Conflict, NotFound

router = APIRouter(prefix="/account/staff", route_class=Page)


@router.get("")
async def people(request: Request) -> Response:
    """Everybody of the lead's organization. Raises Refused for anybody but a lead."""
    return await _page(request, await require_person(request))


async def _page(request: Request, person: Person, *, code: str = "", error: str = "", status: int = 200) -> Response:
    hub = hub_of(request)
    found, done = await staff.members(hub, person), await staff.history(hub, person)
    async with hub.database.connection() as connection:
        party = await parties.by_number(connection, person.party or 0)
    return pages_of(request).render(
        request, "staff.html", status, person=person, party=party, members=found, done=done, roles=staff.roles_of(party.kind), error=error,
        code=staff.spoken(code) if code else [], longest=staff.LONGEST_NAME,
    )  # fmt: skip


@router.get("/{account}")
async def colleague(request: Request, account: UUID) -> Response:
    """One colleague, and what can be changed. Raises NotFound for other parties' people too."""
    return await _colleague(request, await require_person(request), account)


async def _colleague(request: Request, person: Person, account: UUID, error: str = "", status: int = 200) -> Response:
    found = await staff.members(hub_of(request), person)
    one = next((one for one in found if one.id == account and one.joined and not one.ended), None)
    if one is None:
        raise NotFound("There is no such colleague.")
    return pages_of(request).render(request, "colleague.html", status, person=person, one=one, error=error)


@router.post("/invite")
async def invite(request: Request) -> Response:
    """A code for a new colleague, shown this once. Asks for a recent sign-in."""
    person = await _lead(request)
    fields = await requests.fields(request)
    try:
        code = await staff.invite(hub_of(request), person, role=fields.get("role", ""), name=fields.get("name", ""), lead=bool(fields.get("lead")))
    except (BadRequest, Conflict) as wrong:
        return await _page(request, person, error=faults.file(wrong.code, wrong.message, wrong.advice), status=wrong.status)
    return await _page(request, person, code=code)


@router.post("/{identity}/withdraw")
async def withdraw(request: Request, identity: UUID) -> Response:
    """Take an invitation back."""
    person = await require_person(request)
    await staff.withdraw(hub_of(request), person, identity)
    return see("/account/staff")


@router.post("/{account}/lead")
async def lead(request: Request, account: UUID) -> Response:
    """Make a colleague a lead (field `lead`), or one no longer. Asks for a recent sign-in."""
    person = await _lead(request)
    wanted = bool((await requests.fields(request)).get("lead"))
    return await _done(request, person, account, staff.change(hub_of(request), person, account, lead=wanted))


@router.post("/{account}/end")
async def end(request: Request, account: UUID) -> Response:
    """End a colleague's account; it holds on their next request. Asks for a recent sign-in."""
    person = await _lead(request)
    return await _done(request, person, account, staff.end(hub_of(request), person, account))


async def _lead(request: Request) -> Person:
    person = await require_person(request)
    require_recent(person)
    return person


async def _done(request: Request, person: Person, account: UUID, work: Awaitable[None]) -> Response:
    try:
        await work
    except Conflict as wrong:
        return await _colleague(request, person, account, faults.file(wrong.code, wrong.message, wrong.advice), wrong.status)
    return see("/account/staff")
