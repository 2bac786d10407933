"""A resident's records for a page: read through the vault as whoever asks, and put into the activity summary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from hub.care import activity
from hub.care.activity import Bout, Summary
from hub.care.faces import person_of, record_seen, seen_whole
from hub.store import parties, residents
from hub.store.vault import Asked, Disclosed
from schemas.errors import NotFound
from schemas.records import DaySummary, Envelope, Session
from schemas.resident import Resident
from schemas.standard import OF_RESIDENTS

if TYPE_CHECKING:
    from hub.access.sessions import Person
    from hub.service import Hub

KINDS = OF_RESIDENTS
PAGE, MOST, AHEAD = 500, 5_000, 8
DAY = timedelta(days=1)

Place = tuple[datetime, UUID]


class Seen(msgspec.Struct, frozen=True):
    """One record as far as its reader may see it, with the name of its source. `whole`: all of it, so that its quality is known."""

    id: UUID
    record: Envelope
    source: str
    party: int
    starts: datetime
    whole: bool = True
    sensitive: tuple[str, ...] = ()


class History(msgspec.Struct, frozen=True):
    """What was read, newest first, and the rules that let it be read. `next` continues an earlier page."""

    seen: list[Seen]
    rules: tuple[str, ...] = ()
    next: Place | None = None


def own(resident: UUID, person: Person | None = None) -> Asked:
    """The resident who asks for their own; or `person`, who acts for them."""
    if person is not None and person.acting is not None:
        return Asked(resident=resident, actor=f"RelatedPerson/{person.acting}", purpose="FAMRQT", representative=person.acting)
    return Asked(resident=resident, actor=f"Patient/{resident}", self_access=True)


async def read(hub: Hub, asked: Asked, *, kinds: Sequence[str] = KINDS, since: datetime | None = None, after: Place | None = None, most: int = MOST) -> History:
    """Up to `most` records, newest first. A resident who does not exist has none, like one who has not agreed.

    What is held back neither takes a place nor makes a next page: it reads on until there is one more than was asked for.
    """
    found: list[Seen] = []
    rules: dict[str, None] = {}
    async with hub.database.connection() as connection:
        names = {party.number: party.name for party in await parties.everyone(connection)}
        while len(found) <= most:
            size = min(PAGE, most + 1 - len(found) + AHEAD)
            try:
                permit, rows = await hub.vault.history(connection, asked, kinds=kinds, since=since, after=after, limit=size)
            except NotFound:
                return History([])
            for one in hub.vault.disclose(permit, rows):
                if (record := record_seen(permit, one)) is not None and len(found) <= most:
                    found.append(Seen(one.id, record, names.get(one.party, ""), one.party, one.starts, seen_whole(permit, one), one.label.sensitivity))
                    rules |= dict.fromkeys(one.rules)
            if len(rows) < size:
                break
            after = (rows[-1]["starts"], rows[-1]["id"])
    last = found[most - 1] if len(found) > most else None
    return History(found[:most], tuple(rules), (last.starts, last.id) if last else None)


async def disclosed(hub: Hub, asked: Asked) -> AsyncIterator[Disclosed]:
    """Every record as far as it may be seen, newest first; one who changed what may be seen meanwhile is read on under the new permit."""
    after: Place | None = None
    while True:
        async with hub.database.connection() as connection:
            permit, rows = await hub.vault.history(connection, asked, kinds=KINDS, after=after, limit=PAGE)
            found = list(hub.vault.disclose(permit, rows))
        for one in found:
            yield one
        if len(rows) < PAGE:
            return
        after = (rows[-1]["starts"], rows[-1]["id"])


async def one(hub: Hub, asked: Asked, record: UUID) -> Seen | None:
    """One record as far as its reader may see it; None where there is nothing of it for them."""
    async with hub.database.connection() as connection:
        names = {party.number: party.name for party in await parties.everyone(connection)}
        found = await hub.vault.one(connection, asked, record)
        if found is None or found[1]["deleted"]:
            return None
        for disclosed in hub.vault.disclose(found[0], [found[1]]):
            if disclosed.kind in KINDS and (seen := record_seen(found[0], disclosed)) is not None:
                return Seen(disclosed.id, seen, names.get(disclosed.party, ""), disclosed.party, disclosed.starts, seen_whole(found[0], disclosed))
    return None


def performer_of(person: Person) -> str | None:
    """Who agrees in the resident's name, as a Consent says it; None for the resident."""
    return f"RelatedPerson/{person.acting}" if person.acting else None


def rule_of(person: Person) -> str:
    """By which right an act is done that rests on no Consent, as the audit says it; nothing for the resident's own."""
    return f"representative/{person.acting}" if person.acting else ""


def actor_of(person: Person, resident: UUID) -> str:
    """Whose act it is, as the audit names them: a representative's is their own, for the resident."""
    return f"Account/{person.account}" if person.acting else f"Patient/{resident}"


async def person(hub: Hub, asked: Asked) -> Resident | None:
    """Who the resident is, where the asker may know it."""
    async with hub.database.connection() as connection:
        try:
            permit, rows = await hub.vault.history(connection, asked, kinds=["resident"], limit=1)
        except NotFound:
            return None
        for found in hub.vault.disclose(permit, rows):
            for _, served in found.resources:
                return person_of(served)
    return None


async def zone_of(hub: Hub, resident: UUID) -> ZoneInfo:
    """Where the resident's days begin; the hub's default for one who does not exist."""
    async with hub.database.connection() as connection:
        return await residents.zone_of(connection, resident)


def since_week(today: date, weeks: int, zone: ZoneInfo) -> datetime:
    """The first instant of the window of so many weeks, with a day to spare for sessions that began before it."""
    monday = today - timedelta(days=today.weekday(), weeks=weeks - 1)
    return datetime.combine(monday, time(), tzinfo=zone).astimezone(UTC) - timedelta(days=1)


def summary(seen: Sequence[Seen], zone: ZoneInfo, today: date, weeks: int) -> Summary:
    """Minutes a week out of what was read."""
    days = [one.record for one in seen if isinstance(one.record, DaySummary)]
    return activity.summary(activity.weeks(_bouts(seen, zone), days, today, weeks))


def _bouts(seen: Sequence[Seen], zone: ZoneInfo) -> list[Bout]:
    found = (activity.bout(one.record, str(one.party), zone, str(one.id)) for one in seen if isinstance(one.record, Session))
    return [one for one in found if one is not None]


def again(seen: Sequence[Seen], zone: ZoneInfo) -> dict[UUID, Seen]:
    """Sessions that are shown and not counted, each with the one that counts for the same workout."""
    by_id = {str(one.id): one for one in seen}
    return {UUID(left.record): by_id[one.counts.record] for one in activity.workouts(_bouts(seen, zone)) for left in one.again}


async def around(hub: Hub, asked: Asked, seen: Sequence[Seen]) -> list[Seen]:
    """Sessions of the days of `seen` and a day on either side, so that a page of the list knows those beyond its edge."""
    if not seen:
        return []
    newest, oldest = seen[0].starts + DAY, seen[-1].starts - DAY
    return (await read(hub, asked, kinds=("session",), since=oldest, after=(newest, UUID(int=2**128 - 1)))).seen


def local(record: Envelope, zone: ZoneInfo) -> datetime:
    """A record's start on the resident's clock."""
    if isinstance(record, DaySummary):
        return datetime.combine(record.date, time())
    return activity.local(record.start, zone)


def timed(record: Envelope) -> bool:
    """Whether the record's clock time is known, not just its day."""
    return not isinstance(record, DaySummary) and record.start.precision != "day"
