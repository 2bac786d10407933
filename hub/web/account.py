"""One's own account, and the first pages of roles whose portals are still small: administrators and city levels."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from hub.access import emergency, sessions
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person
from hub.audit.trail import Entry
from hub.quality import reports
from hub.store import parties
from hub.web.pages import Page, pages_of, see
from schemas.errors import NotFound

router = APIRouter(route_class=Page)


@router.get("/account")
async def account(request: Request) -> Response:
    """Who is signed in, their passkeys, signing out."""
    person = await require_person(request)
    async with hub_of(request).database.connection() as connection:
        party = await parties.by_number(connection, person.party) if person.party else None
        keys = await connection.fetch("SELECT credential, created FROM passkeys WHERE account = $1 ORDER BY created", person.account)
        open_now = await sessions.open_of(connection, person, datetime.now(UTC))
    return pages_of(request).render(
        request, "account.html", person=person, party=party, sessions=open_now,
        passkeys=[(sessions.key_of(row["credential"]), row["created"]) for row in keys],
    )  # fmt: skip


@router.post("/account/sessions/{key}/end")
async def end(request: Request, key: str) -> Response:
    """Sign out elsewhere: one session by its key, or `others`. It counts from the next request there."""
    person = await require_person(request)
    async with hub_of(request).database.connection() as connection:
        await sessions.end(connection, person, None if key == "others" else key)
    await _note(request, person, "session-end")
    return see("/account")


@router.post("/account/passkeys/{key}/remove")
async def remove(request: Request, key: str) -> Response:
    """A passkey that was lost signs nobody in any more. Asks for a recent sign-in."""
    person = await require_person(request)
    sessions.require_recent(person)
    async with hub_of(request).database.connection() as connection:
        for row in await connection.fetch("SELECT credential FROM passkeys WHERE account = $1", person.account):
            if sessions.key_of(row["credential"]) == key:
                await connection.execute("DELETE FROM passkeys WHERE credential = $1", row["credential"])
    await _note(request, person, "passkey-remove")
    return see("/account")


async def _note(request: Request, person: Person, action: str) -> None:
    entry = Entry(actor=f"Account/{person.account}", action=action, outcome="success", party=person.party, resident=person.resident)
    await hub_of(request).trail.note(entry)


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
