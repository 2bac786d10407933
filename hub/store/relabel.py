"""Stored records brought to the label rules as they are now: by the delivery worker after a start, by `kinehub records relabel`, and
of one resident whose own entry was corrected.

A label is not content: it is put on the version that it is about, newest or superseded, and no version is made for it. Until
then a record of older rules is judged by the stricter of its stored label and the rules in force whenever it is opened.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from asyncpg import Record as Row

from hub.audit.trail import Entry
from hub.store.database import Connection
from hub.store.ids import bucket_of
from hub.store.vault import SystemPermit

if TYPE_CHECKING:
    from hub.service import Hub

PERMIT = SystemPermit("relabel-records")
BATCH = 200
TABLES = ("records", "record_history")
"""In this order: a version that is superseded meanwhile moves from the first to the second, and is met there."""
BEFORE_RULES = 1

_OLDER = """SELECT k.kek, k.erasure, k.wrapped, r.zone, p.version AS person_version, p.body AS person,
d.bucket, d.id, d.version, d.resident, d.starts, d.label_rules, d.body FROM {} d
JOIN residents r ON r.bucket = d.bucket AND r.id = d.resident JOIN data_keys k ON k.bucket = d.bucket AND k.subject = d.resident
LEFT JOIN records p ON p.bucket = d.bucket AND p.id = d.resident
WHERE (d.bucket, d.id, d.version) > ($1, $2, $3) AND d.label_rules < $4 {} ORDER BY d.bucket, d.id, d.version LIMIT $5 FOR UPDATE OF d"""

_OF_ONE = "AND d.bucket = $6 AND d.resident = $7"

_PUT = """UPDATE {} d SET label_rules = $1, restricted = w.restricted, body = coalesce(w.body, d.body)
FROM unnest($2::smallint[], $3::uuid[], $4::int[], $5::boolean[], $6::bytea[]) AS w(bucket, id, version, restricted, body)
WHERE d.bucket = w.bucket AND d.id = w.id AND d.version = w.version"""

Place = tuple[int, UUID, int]


class Waiting(NamedTuple):
    """Stored versions of older rules than those in force, and how many of them nothing ever labelled."""

    older: int
    never: int


async def waiting(connection: Connection[Any], rules: int) -> Waiting:
    """Counted by reading both tables through: for `kinehub doctor`, not for a request."""
    counts = [
        await connection.fetchrow(f"SELECT count(*), count(*) FILTER (WHERE label_rules = 0) FROM {table} WHERE label_rules < $1", rules)  # noqa: S608
        for table in TABLES
    ]
    return Waiting(*(sum(column) for column in zip(*counts, strict=True)))


async def catch_up(hub: Hub, stop: asyncio.Event) -> None:
    """Relabel, unless a run under the rules in force came to its end before. Stopped, it is gone on with after the next start."""
    async with hub.database.connection() as connection:
        done = await connection.fetchval("SELECT value FROM meta WHERE key = 'label-rules'")
    if done is None or int(done) < hub.vault.rules.version:
        await relabel(hub, stop=stop)


async def relabel(
    hub: Hub, *, resident: UUID | None = None, step: Callable[[int], None] = lambda _: None, stop: asyncio.Event | None = None
) -> dict[str, int]:
    """Label every version of older rules anew, or those of one resident. Stopped half-way, the next run goes on; run again, it changes nothing.

    Returns how many versions were `checked`, and of those `changed` (another label than before) and `unreadable` (of a version of
    the standard that this one does not read; they stay denied to all but the resident).
    """
    counts: Counter[str] = Counter(checked=0, changed=0, unreadable=0)
    for table in TABLES:
        place: Place | None = (-1, UUID(int=0), 0)
        while place is not None:
            if stop is not None and stop.is_set():
                return dict(counts)
            before = counts["checked"]
            place = await _batch(hub, table, place, resident, counts)
            step(counts["checked"] - before)
    if resident is None:
        await _note_end(hub)
    return dict(counts)


async def _note_end(hub: Hub) -> None:
    async with hub.database.connection() as connection:
        await connection.execute(
            "INSERT INTO meta (key, value) VALUES ('label-rules', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value", str(hub.vault.rules.version)
        )


async def _batch(hub: Hub, table: str, place: Place, resident: UUID | None, counts: Counter[str]) -> Place | None:
    """One transaction: labels, the epochs of whom they are about, the audit entry. The place of its last row; None when there was none."""
    async with hub.trail.held() as trail, hub.database.connection() as connection, connection.transaction():
        only, whose = ("", ()) if resident is None else (_OF_ONE, (bucket_of(resident), resident))
        rows = await connection.fetch(_OLDER.format(table, only), *place, hub.vault.rules.version, BATCH, *whose)
        if not rows:
            return None
        await hub.vault.unlocked(rows)
        found = [(row, labelled) for row in rows if (labelled := hub.vault.relabelled(row, PERMIT)) is not None]
        changed = [row for row, (_, body) in found if body is not None]
        await connection.execute(
            _PUT.format(table), hub.vault.rules.version, [row["bucket"] for row, _ in found], [row["id"] for row, _ in found],
            [row["version"] for row, _ in found], [bool(label.sensitivity) for _, (label, _) in found], [body for _, (_, body) in found],
        )  # fmt: skip
        await _raise_epochs(connection, changed)
        outcome = f"{len(changed)} of {len(rows)} versions, rules {hub.vault.rules.version}"
        await trail.append(connection, [Entry(actor="system", action=PERMIT.job, outcome=outcome, resident=resident, rule=f"system:{PERMIT.job}")])
        counts.update(checked=len(rows), changed=len(changed), unreadable=len(rows) - len(found))
    return rows[-1]["bucket"], rows[-1]["id"], rows[-1]["version"]


async def _raise_epochs(connection: Connection[Any], changed: list[Row]) -> None:
    """Decisions, page links and what was held back of a delivery are made anew for whose records have another label."""
    residents = sorted({row["resident"] for row in changed})
    places = [bucket_of(resident) for resident in residents], residents
    whom = "(bucket, {}) IN (SELECT * FROM unnest($1::smallint[], $2::uuid[]))"
    await connection.execute(f"UPDATE residents SET epoch = epoch + 1 WHERE {whom.format('id')}", *places)  # noqa: S608 - constant
    await connection.execute(
        "UPDATE outbox SET status = 'owed', attempts = 0, next_at = now(), reason = NULL "  # noqa: S608 - constant
        f"WHERE {whom.format('resident')} AND status = 'suppressed'",
        *places,
    )


async def doubt(connection: Connection[Any], resident: UUID) -> None:
    """A resident's labels are to be made anew: what they were made by, a birth date, may be another one now."""
    for table in TABLES:
        await connection.execute(
            f"UPDATE {table} SET label_rules = $3 WHERE bucket = $1 AND resident = $2 AND label_rules > $3",  # noqa: S608 - constant names
            bucket_of(resident), resident, BEFORE_RULES,
        )  # fmt: skip
