"""What is to be judged: receipts that no run has looked at, and sources whose night has come. Derived from receipts and runs; no queue beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from hub.store.database import Connection
from schemas.resident import ZONE

QUIET = timedelta(seconds=30)
"""How old a receipt is before it is judged: single uploads that follow each other are judged together."""
LONE = 20
"""Records from which a receipt is a batch of its own; smaller ones of a source are judged together."""
MOST_RECEIPTS = 500
MOST_RECORDS = 5000
"""Of a night's records, and of those before them that they are compared with: the newest."""
NIGHT = time(2)
"""On the clock of the party's own zone."""
BEFORE = timedelta(days=30)


class Batch(msgspec.Struct, frozen=True):
    """What one run judges. `before` are the source's own records of the 30 days before, for a night's run.

    rows, rows_before: rows of the receipts that arrived, were refused, had to wait
    """

    party: int
    scope: str
    receipts: list[UUID]
    records: list[UUID]
    before: list[UUID]
    receipts_before: list[UUID]
    rows: tuple[int, int, int] = (0, 0, 0)
    rows_before: tuple[int, int, int] = (0, 0, 0)


_UNJUDGED = "quality IS NULL AND (cardinality(records) > 0 OR waiting > 0)"


async def due(connection: Connection[Any], now: datetime | None = None, quiet: timedelta = QUIET, party: int | None = None) -> Batch | None:
    """The next batch to judge: uploads first, then nights; of one party where it is named."""
    batch = await _uploads(connection, quiet, party) or await _night(connection, now or datetime.now(UTC), party)
    return await _counted(connection, batch) if batch is not None else None


async def _counted(connection: Connection[Any], batch: Batch) -> Batch:
    return msgspec.structs.replace(batch, rows=await _rows(connection, batch.receipts), rows_before=await _rows(connection, batch.receipts_before))


async def _rows(connection: Connection[Any], receipts: Sequence[UUID]) -> tuple[int, int, int]:
    """Those of before receipts were counted are left out."""
    row = await connection.fetchrow(
        "SELECT coalesce(sum(arrived), 0)::int, coalesce(sum(refused), 0)::int, coalesce(sum(waiting), 0)::int FROM receipts WHERE id = ANY($1::uuid[])",
        receipts,
    )  # fmt: skip
    return tuple(row)


async def _uploads(connection: Connection[Any], quiet: timedelta, party: int | None) -> Batch | None:
    first = await connection.fetchrow(
        f"SELECT id, party, records FROM receipts WHERE {_UNJUDGED} AND created <= now() - $1::interval AND ($2::int IS NULL OR party = $2) "  # noqa: S608
        "ORDER BY created LIMIT 1", quiet, party,
    )  # fmt: skip
    if first is None:
        return None
    if len(first["records"]) >= LONE:
        return Batch(first["party"], "batch", [first["id"]], _each(first["records"]), [], [])
    small = await connection.fetch(
        f"SELECT id, records FROM receipts WHERE {_UNJUDGED} AND party = $1 AND cardinality(records) < $2 ORDER BY created LIMIT $3",  # noqa: S608
        first["party"], LONE, MOST_RECEIPTS,
    )  # fmt: skip
    return Batch(first["party"], "batch", [row["id"] for row in small], _each(record for row in small for record in row["records"]), [], [])


def _each(records: Any) -> list[UUID]:
    return list(dict.fromkeys(records))


async def _night(connection: Connection[Any], now: datetime, party: int | None) -> Batch | None:
    """A source that sent something before its last night began, which no night's run has seen."""
    zones = [row["zone"] for row in await connection.fetch("SELECT DISTINCT coalesce(zone, $1) AS zone FROM parties", ZONE)]
    found = await connection.fetchrow(
        "SELECT b.party, n.night FROM quality_runs b JOIN parties p ON p.number = b.party "
        "JOIN unnest($1::text[], $2::timestamptz[]) AS n(zone, night) ON n.zone = coalesce(p.zone, $4) "
        "WHERE b.scope = 'batch' AND b.started < n.night AND ($3::int IS NULL OR b.party = $3) GROUP BY b.party, n.night "
        "HAVING max(b.started) > coalesce((SELECT max(s.started) FROM quality_runs s WHERE s.party = b.party AND s.scope = 'source'), '-infinity') "
        "ORDER BY b.party LIMIT 1", zones, [last_night(now, zone) for zone in zones], party, ZONE,
    )  # fmt: skip
    return await night_of(connection, found["party"], found["night"]) if found is not None else None


def last_night(now: datetime, zone: str) -> datetime:
    """When the newest night of a zone began."""
    local = now.astimezone(ZoneInfo(zone))
    tonight = datetime.combine(local.date(), NIGHT, local.tzinfo)
    return tonight if tonight <= now else datetime.combine(local.date() - timedelta(days=1), NIGHT, local.tzinfo)


async def night_of(connection: Connection[Any], party: int, night: datetime) -> Batch:
    """A source's last day that had records before `night`, against the 30 days before it."""
    latest = await connection.fetchval("SELECT max(started) FROM quality_runs WHERE party = $1 AND scope = 'batch' AND started < $2", party, night)
    start = (latest or night) - timedelta(days=1)
    receipts = await _receipts(connection, party, start, night)
    before = await _receipts(connection, party, start - BEFORE, start)
    return Batch(party, "source", receipts, await _records(connection, receipts), await _records(connection, before), before)


async def _receipts(connection: Connection[Any], party: int, since: datetime, until: datetime) -> list[UUID]:
    rows = await connection.fetch(
        "SELECT DISTINCT unnest(receipts) AS id FROM quality_runs WHERE party = $1 AND scope = 'batch' AND started >= $2 AND started < $3", party, since, until
    )
    return [row["id"] for row in rows]


async def _records(connection: Connection[Any], receipts: Sequence[UUID]) -> list[UUID]:
    rows = await connection.fetch("SELECT records FROM receipts WHERE id = ANY($1::uuid[]) ORDER BY created DESC", receipts)
    return _each(record for row in rows for record in row["records"])[:MOST_RECORDS]


async def of_receipt(connection: Connection[Any], receipt: UUID) -> Batch | None:
    """One receipt, whether or not a run has seen it."""
    row = await connection.fetchrow("SELECT id, party, records FROM receipts WHERE id = $1", receipt)
    return await _counted(connection, Batch(row["party"], "batch", [receipt], _each(row["records"]), [], [])) if row else None
