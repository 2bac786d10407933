"""Sources that fell silent: they used to send, and nothing came for three times their usual gap. Told once, over with the next batch."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

from hub.quality import alerts
from hub.quality.reports import Report, seal_report
from hub.service import Hub
from hub.store.database import Connection
from schemas.resident import ZONE

LEAST_DAYS = 5
"""Days with a receipt, of the fourteen up to the last one, from which a source is known to send."""
GAPS = 3
FORGOTTEN = timedelta(days=60)
"""A source that has been quiet this long already is not news."""
_LOCK = 0x6B72
ENGINE = "kinehub"

_QUIET = """SELECT p.number, l.newest, ARRAY(SELECT DISTINCT (r.created AT TIME ZONE coalesce(p.zone, $1))::date FROM receipts r
  WHERE r.party = p.number AND r.created > l.newest - interval '14 days' ORDER BY 1) AS days
FROM parties p CROSS JOIN LATERAL (SELECT max(created) AS newest FROM receipts WHERE party = p.number) l
WHERE l.newest BETWEEN $2 AND $3 AND ($4::int IS NULL OR p.number = $4)
  AND NOT EXISTS (SELECT FROM quality_runs q WHERE q.party = p.number AND q.scope = 'silence' AND q.started > l.newest) ORDER BY p.number"""


async def note(hub: Hub, now: datetime | None = None, party: int | None = None) -> list[int]:
    """Write down who fell silent and owe the alerts; the numbers of the parties."""
    at = now or datetime.now(UTC)
    async with hub.database.connection() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        rows = await connection.fetch(_QUIET, ZONE, at - FORGOTTEN, at - timedelta(days=GAPS), party)
        silent = [row["number"] for row in rows if too_long(row["days"], at - row["newest"])]
        for number in silent:
            await _written(hub, connection, number, at)
    return silent


def too_long(days: Sequence[date], quiet: timedelta) -> bool:
    """Whether a source that sent on these days has been quiet for longer than three of its usual gaps."""
    if len(days) < LEAST_DAYS:
        return False
    gap = statistics.median((later - earlier).days for earlier, later in pairwise(days))
    return quiet > timedelta(days=GAPS * gap)


async def _written(hub: Hub, connection: Connection[Any], party: int, at: datetime) -> None:
    """As a run of no records, so that it stands in the source's past and alerts are sent as others are."""
    run = uuid4()
    await connection.execute(
        "INSERT INTO quality_runs (id, party, scope, started, receipts, records, degraded, engine, body) VALUES ($1, $2, 'silence', $3, '{}', 0, true, $4, $5)",
        run, party, at, ENGINE, seal_report(hub.keyring, run, Report({}, [], {})),
    )  # fmt: skip
    await alerts.owe(connection, run, party)
