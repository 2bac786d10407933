"""How many people were at venues, every version of it in one table beside the directory: plain, because a count names nobody.

What others than the venue's own party may see of a count is not decided here (`hub/exchange/occupancy.py`), but which counts they may see at all is,
once, when one is stored: of each stretch of a venue's time the first that came, so that no second count of the same people is set against it.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any
from uuid import UUID, uuid4

import msgspec
import orjson
from asyncpg import Record as Row

from hub.store.database import Connection
from hub.store.ids import join
from schemas.moments import natural_key, time_range
from schemas.records import VenueOccupancy, encode

_COLUMNS = {
    "id": "uuid", "version": "int", "party": "int", "venue": "text", "natural_key": "text", "starts": "timestamptz", "ends": "timestamptz",
    "current": "boolean", "shared": "boolean", "updated": "timestamptz", "body": "jsonb",
}  # fmt: skip
_SELECTED = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO occupancy ({_SELECTED}) SELECT * FROM unnest({', '.join(f'${n}::{type_}[]' for n, type_ in enumerate(_COLUMNS.values(), 1))})"  # noqa: S608
TYPE = "MeasureReport"
SLOT = 1
"""Of the report in a count's FHIR face (mappings/fhir/venue-occupancy.yaml)."""
_MOMENT = timedelta(microseconds=1)
"""How long a count at one moment is taken to last."""


class Stored(msgspec.Struct, frozen=True):
    """One version of one count. `record` has the Location's id as its venue."""

    id: UUID
    version: int
    party: int
    venue: str
    natural_key: str
    starts: datetime
    ends: datetime
    current: bool
    shared: bool
    updated: datetime
    record: VenueOccupancy


class Count(msgspec.Struct):
    """A count on its way in: as it was sent, the Location that it means, and what became of it (`new`, `updated` or `duplicate`)."""

    shown: VenueOccupancy
    venue: str
    party: int
    row: int | None = None
    status: str = ""
    stored: Stored | None = None

    @property
    def record(self) -> VenueOccupancy:
        return msgspec.structs.replace(self.shown, venue=self.venue)

    @property
    def natural_key(self) -> str:
        return orjson.dumps(natural_key(self.record)).decode()


def _stored(row: Row) -> Stored:
    said = dict(row)
    record = msgspec.convert(said.pop("body"), VenueOccupancy)
    return Stored(**said, record=record)


def reference(one: Stored) -> str:
    """The FHIR reference of a count's report."""
    return f"{TYPE}/{join(str(one.id), SLOT)}"


# Written


async def standing(connection: Connection[Any], counts: Sequence[Count]) -> list[str]:
    """What each count would be to what its party stored and to those before it: `new`, `known` or `changed`."""
    known = {key: one.record for key, one in (await _newest(connection, counts)).items()}
    found = []
    for count in counts:
        before = known.get(count.natural_key)
        found.append("new" if before is None else "known" if before == count.record else "changed")
        known[count.natural_key] = count.record
    return found


async def store(connection: Connection[Any], counts: Sequence[Count], now: datetime) -> None:
    """Store one party's counts inside a transaction, saying of each what became of it."""
    if not counts:
        return
    await connection.execute("LOCK TABLE occupancy IN SHARE ROW EXCLUSIVE MODE")
    for _, own in groupby(sorted(counts, key=attrgetter("party")), key=attrgetter("party")):
        await _store(connection, list(own), now)


async def _store(connection: Connection[Any], counts: Sequence[Count], now: datetime) -> None:
    newest, taken, written = await _newest(connection, counts), await _taken(connection, counts), list[Stored]()
    for count in counts:
        key, record = count.natural_key, count.record
        before = newest.get(key)
        if before is not None and before.record == record:
            count.status, count.stored = "duplicate", before
            continue
        count.status = "updated" if before is not None else "new"
        count.stored = newest[key] = _version(count, before, taken, now)
        written.append(count.stored)
    current = {(one.id, one.version) for one in newest.values()}
    if written:
        await connection.execute("UPDATE occupancy SET current = false WHERE current AND id = ANY($1::uuid[])", [one.id for one in written])
        rows = [_row(one, current=(one.id, one.version) in current) for one in written]
        await connection.execute(_INSERT, *(list(column) for column in zip(*rows, strict=True)))


def _version(count: Count, before: Stored | None, taken: _Taken, now: datetime) -> Stored:
    starts, ends = _span(count.record)
    identity, version = (before.id, before.version + 1) if before is not None else (uuid4(), 1)
    shared = _claim(taken.setdefault(count.venue, []), (starts, ends, identity))
    return Stored(identity, version, count.party, count.venue, count.natural_key, starts, ends, True, shared, now, count.record)


def _span(record: VenueOccupancy) -> tuple[datetime, datetime]:
    starts, ends = time_range(record, None)
    return starts, max(ends, starts + _MOMENT)


def _row(one: Stored, *, current: bool) -> tuple[object, ...]:
    said = msgspec.structs.asdict(one) | {"current": current, "body": encode(one.record).decode()}
    return tuple(said[name] for name in _COLUMNS)


_Taken = dict[str, list[tuple[datetime, datetime, UUID]]]
"""Venue to the stretches of its time that others see a count of, in their order; they do not overlap."""


def _claim(taken: list[tuple[datetime, datetime, UUID]], wanted: tuple[datetime, datetime, UUID]) -> bool:
    """Whether others may see a count of this stretch: it is free and now taken, or the same count had it before."""
    place = bisect_right(taken, wanted)
    if place and taken[place - 1] == wanted:
        return True
    if (place and taken[place - 1][1] > wanted[0]) or (place < len(taken) and taken[place][0] < wanted[1]):
        return False
    insort(taken, wanted)
    return True


async def _taken(connection: Connection[Any], counts: Sequence[Count]) -> _Taken:
    spans = [_span(count.record) for count in counts]
    rows = await connection.fetch(
        "SELECT DISTINCT venue, starts, ends, id FROM occupancy WHERE shared AND venue = ANY($1::text[]) AND starts < $2 AND ends > $3",
        list({count.venue for count in counts}), max(ends for _, ends in spans), min(starts for starts, _ in spans),
    )  # fmt: skip
    found: _Taken = {}
    for row in rows:
        insort(found.setdefault(row["venue"], []), (row["starts"], row["ends"], row["id"]))
    return found


async def _newest(connection: Connection[Any], counts: Sequence[Count]) -> dict[str, Stored]:
    """Natural key to what is stored under it, of the party whose counts these are."""
    rows = await connection.fetch(
        f"SELECT {_SELECTED} FROM occupancy WHERE current AND party = ANY($1::int[]) AND natural_key = ANY($2::text[])",  # noqa: S608 - constant columns
        list({count.party for count in counts}), [count.natural_key for count in counts],
    )  # fmt: skip
    return {row["natural_key"]: _stored(row) for row in rows}


# Read


async def versions(connection: Connection[Any], identity: UUID) -> list[Stored]:
    """Every version of one count, newest first."""
    rows = await connection.fetch(f"SELECT {_SELECTED} FROM occupancy WHERE id = $1 ORDER BY version DESC", identity)  # noqa: S608 - constant columns
    return [_stored(row) for row in rows]


async def current(connection: Connection[Any], party: int | None, wanted: Wanted, most: int) -> list[Stored]:
    """The newest versions that a party may know of, its own and those that others may see, newest first; `most` at most."""
    rows = await connection.fetch(
        f"SELECT {_SELECTED} FROM occupancy WHERE current AND (shared OR party = $1) AND ($2::text[] IS NULL OR venue = ANY($2)) "  # noqa: S608
        "AND starts <= $3 AND ends >= $4 ORDER BY starts DESC, id LIMIT $5",
        party, wanted.venues, wanted.until, wanted.since, most,
    )  # fmt: skip
    return [_stored(row) for row in rows]


async def known_versions(connection: Connection[Any], ids: Iterable[UUID]) -> dict[UUID, list[Stored]]:
    """Every version of these counts, oldest first."""
    rows = await connection.fetch(f"SELECT {_SELECTED} FROM occupancy WHERE id = ANY($1::uuid[]) ORDER BY id, version", list(ids))  # noqa: S608 - constant columns
    return {identity: [_stored(row) for row in of] for identity, of in groupby(rows, key=itemgetter("id"))}


class Wanted(msgspec.Struct, frozen=True):
    """What counts to look at: of these venues, touching this time."""

    venues: list[str] | None = None
    since: datetime = datetime.min.replace(tzinfo=UTC)
    until: datetime = datetime.max.replace(tzinfo=UTC)


async def of_receipt(connection: Connection[Any], party: int, ids: Iterable[UUID]) -> dict[UUID, Stored]:
    """The party's own counts among these ids, in their newest version."""
    rows = await connection.fetch(f"SELECT {_SELECTED} FROM occupancy WHERE current AND party = $1 AND id = ANY($2::uuid[])", party, list(ids))  # noqa: S608
    return {row["id"]: _stored(row) for row in rows}


async def own(connection: Connection[Any], party: int, since: datetime, most: int) -> list[Stored]:
    """A party's own counts since a moment, newest first, without what was taken back."""
    rows = await connection.fetch(
        f"SELECT {_SELECTED} FROM occupancy WHERE current AND party = $1 AND starts >= $2 AND NOT body ? 'withdrawn' ORDER BY starts DESC, id LIMIT $3",  # noqa: S608
        party, since, most,
    )  # fmt: skip
    return [_stored(row) for row in rows]
