"""One's own account, and the first pages of roles whose portals are still small: administrators and city levels."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from hub.access import emergency
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person
from hub.quality import reports
from hub.store import parties
from hub.web.pages import Page, pages_of
from schemas.errors import NotFound

router = APIRouter(route_class=Page)


@router.get("/account")
async def account(request: Request) -> Response:
    """Who is signed in, their passkeys, signing out."""
    person = await require_person(request)
    async with hub_of(request).database.connection() as connection:
        party = await parties.by_number(connection, person.party) if person.party else None
        keys = await connection.fetch("SELECT created FROM passkeys WHERE account = $1 ORDER BY created", person.account)
    return pages_of(request).render(request, "account.html", person=person, party=party, passkeys=[row["created"] for row in keys])


async def _of_role(request: Request, role: str) -> Person:
    """For other roles this page does not exist."""
    person = await require_person(request)
    if person.role != role:
        raise NotFound("There is nothing here.")
    return person


@router.get("/admin")
async def admin(request: Request) -> Response:
    """The parties, and what is owed to them. No resident's data."""
    person = await _of_role(request, "admin")
    async with hub_of(request).database.connection() as connection:
        known = await parties.everyone(connection)
        owed = await connection.fetch("SELECT receiver, status, count(*) AS n FROM outbox GROUP BY receiver, status")
        judged = await reports.standing(connection)
    opened = await emergency.counts(hub_of(request))
    counts: dict[int, dict[str, int]] = {}
    for row in owed:
        counts.setdefault(row["receiver"], {})[row["status"]] = row["n"]
    return pages_of(request).render(request, "admin.html", person=person, parties=known, counts=counts, judged=judged, emergencies=opened)


@router.get("/city")
async def city(request: Request) -> Response:
    """A city level's own page: it says what is not there yet."""
    person = await _of_role(request, "city")
    return pages_of(request).render(request, "city.html", person=person)
