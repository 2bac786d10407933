"""One's own account, and the first pages of roles whose portals are still small: administrators and city levels."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from hub.access import emergency, passkeys, requests, sessions
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person
from hub.audit.trail import Entry
from hub.quality import reports
from hub.store import parties, petitions
from hub.web import faults
from hub.web.pages import Page, pages_of, see
from schemas.errors import Conflict, NotFound
from schemas.resident import area_covers

router = APIRouter(route_class=Page)


@router.get("/account")
async def account(request: Request, added: Annotated[str, Query(max_length=1)] = "") -> Response:
    """Who is signed in, their passkeys, where they are signed in, signing out."""
    person, hub = await require_person(request), hub_of(request)
    async with hub.database.connection() as connection:
        party = await parties.by_number(connection, person.party) if person.party else None
        keys = await passkeys.of_account(connection, hub.keyring, person.account)
        open_now = await sessions.open_of(connection, person, datetime.now(UTC))
    return pages_of(request).render(request, "account.html", person=person, party=party, sessions=open_now, passkeys=keys, added=bool(added))


@router.post("/account/sessions/{key}/end")
async def end(request: Request, key: str) -> Response:
    """Sign out elsewhere: one session by its key, or `others`. It counts from the next request there."""
    person = await require_person(request)
    async with hub_of(request).database.connection() as connection:
        await sessions.end(connection, person, None if key == "others" else key)
    await _note(request, person, "session-end")
    return see("/account")


@router.get("/account/passkeys/{key}")
async def passkey(request: Request, key: str) -> Response:
    """One passkey: what it is called, and removing it. Raises NotFound."""
    return await _passkey(request, await require_person(request), key)


async def _passkey(request: Request, person: Person, key: str, error: str = "", status: int = 200) -> Response:
    hub = hub_of(request)
    async with hub.database.connection() as connection:
        found = await passkeys.of_account(connection, hub.keyring, person.account)
    one = next((one for one in found if one.key == key), None)
    if one is None:
        raise NotFound("There is no such passkey.")
    return pages_of(request).render(request, "passkey.html", status, person=person, one=one, longest=passkeys.LONGEST_NAME, error=error)


@router.post("/account/passkeys/{key}/name")
async def rename(request: Request, key: str) -> Response:
    """Call a passkey by a name that its owner knows."""
    person, hub = await require_person(request), hub_of(request)
    name = (await requests.fields(request)).get("name", "")
    async with hub.database.connection() as connection:
        await passkeys.rename(connection, hub.keyring, person.account, key, name)
    return see("/account")


@router.post("/account/passkeys/{key}/remove")
async def remove(request: Request, key: str) -> Response:
    """A passkey that was lost signs nobody in any more. Asks for a recent sign-in."""
    person = await require_person(request)
    sessions.require_recent(person)
    try:
        async with hub_of(request).database.connection() as connection:
            await passkeys.remove(connection, person.account, key)
    except Conflict as wrong:
        return await _passkey(request, person, key, faults.file(wrong.code, wrong.message, wrong.advice), wrong.status)
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
    """The organizations in the area of a level's staff: how good their data is, whether they answer in time, emergencies from ten up. Nobody's data."""
    person = await _of_role(request, "city")
    area = person.area or ""
    async with hub_of(request).database.connection() as connection:
        known = [party for party in await parties.everyone(connection) if area and area_covers(area, party.area)]
        judged, late = await reports.standing(connection), await petitions.late(connection)
    opened = await emergency.counts(hub_of(request), of=[party.number for party in known])
    shown = [one for one in opened if one[2] >= FEWEST]  # a row for fewer would tell one from none
    level = LEVELS.get(len(area), ("", ""))
    return pages_of(request).render(request, "city.html", person=person, parties=known, judged=judged, late=late, emergencies=shown, level=level)


LEVELS: dict[int, tuple[str, str]] = {4: ("市", "city"), 6: ("区", "district"), 9: ("街道", "street or township"), 12: ("社区", "community")}
"""The level that a division code of so many digits names (GB/T 2260, GB/T 10114)."""
FEWEST = 10
"""A smaller count than this is not shown to a level's staff, who know the people there."""
