"""A run: open what a batch holds, judge it, keep the score, mark the records that break a rule, and owe alerts. One transaction writes it all.

A worker killed before that leaves the batch due; the same batch judged twice finds the same and adds no flags.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from hub.audit.trail import Entry
from hub.quality import alerts, batches, scores, silence, suites
from hub.quality.batches import Batch
from hub.quality.frames import Frame, broken, figures, frames, intake, neighbours
from hub.quality.reports import Report, seal_report
from hub.service import Hub
from hub.store.database import Connection
from hub.store.ids import bucket_of
from hub.store.vault import Measured, SystemPermit, seal_found

PERMIT = SystemPermit("quality")
CHUNK = 1000
LOCK = 0x6B71
"""One worker judges at a time; the advisory lock of the database says which."""


class Run(msgspec.Struct, frozen=True):
    """What a run came to."""

    id: UUID
    party: int
    scope: str
    receipts: int
    records: int
    flagged: int
    score: float | None
    usual: float | None
    degraded: bool
    arrived: int = 0
    refused: int = 0
    waiting: int = 0


async def judge_due(hub: Hub, *, quiet: timedelta = batches.QUIET, party: int | None = None, now: datetime | None = None) -> list[Run]:
    """Work through everything that is due."""
    done = []
    while (batch := await _next(hub, quiet, party, now)) is not None:
        done.append(await judge(hub, batch))
    await silence.note(hub, now, party)
    return done


async def _next(hub: Hub, quiet: timedelta, party: int | None, now: datetime | None) -> Batch | None:
    async with hub.database.connection() as connection:
        return await batches.due(connection, now, quiet, party)


async def judge(hub: Hub, batch: Batch) -> Run:
    """One batch, judged and written down."""
    started = datetime.now(UTC)
    async with hub.database.connection() as connection:
        measured, more = await _measured(hub, connection, batch.records)
        past, past_more = await _measured(hub, connection, batch.before)
        earlier = await _scores(connection, batch, started)
    found = frames(measured, more) | intake(*batch.rows)
    results = suites.judge(found, frames(past, past_more) | intake(*batch.rows_before))
    shares = scores.shares(found, [result.success for result in results if result.dimension == "stability"])
    score = scores.score(shares)
    degraded = scores.worse(score, earlier) or any(result.dimension == "stability" and not result.success for result in results)
    broken_rules = {one.id: [rule.code for rule in broken(one, figures(one, more)) if (rule.flag, rule.a) not in one.flags] for one in measured}
    news = [one for one in measured if (one.found or ()) != tuple(broken_rules[one.id])]
    run = Run(
        uuid4(), batch.party, batch.scope, len(batch.receipts), len(measured), sum(map(bool, broken_rules.values())), score, scores.usual(earlier), degraded,
        *batch.rows,
    )  # fmt: skip
    await _keep(hub, batch, run, started, Report(shares, results, _counts(found)), [(one, broken_rules[one.id]) for one in news])
    return run


def _counts(found: dict[str, Frame]) -> dict[str, int]:
    return {kind: len(frame.rows) for kind, frame in found.items()}


async def _measured(hub: Hub, connection: Connection[Any], records: Sequence[UUID]) -> tuple[list[Measured], dict[UUID, dict[str, float]]]:
    measured = [one for at in range(0, len(records), CHUNK) for one in await hub.vault.open_figures(connection, records[at : at + CHUNK], PERMIT)]
    return measured, await neighbours(connection, measured) if measured else {}


async def _scores(connection: Connection[Any], batch: Batch, now: datetime) -> list[float]:
    rows = await connection.fetch(
        "SELECT score FROM quality_runs WHERE party = $1 AND scope = $2 AND started >= $3 AND score IS NOT NULL AND NOT receipts && $4::uuid[]",
        batch.party, batch.scope, now - batches.BEFORE, batch.receipts if batch.scope == "batch" else [],
    )  # fmt: skip
    return [row["score"] for row in rows]


_RUN = """INSERT INTO quality_runs (id, party, scope, started, receipts, records, score, usual, degraded, engine, body, arrived, refused, waiting)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING number"""

_FLAGS = """INSERT INTO quality_flags (bucket, record, version, run, resident, body)
SELECT w.bucket, w.record, w.version, $1, w.resident, w.body FROM unnest($2::smallint[], $3::uuid[], $4::int[], $5::uuid[], $6::bytea[])
  AS w(bucket, record, version, resident, body) JOIN records d ON d.bucket = w.bucket AND d.id = w.record AND d.resident = w.resident"""
"""Of records that are still there: somebody may have been erased meanwhile."""


async def _keep(hub: Hub, batch: Batch, run: Run, started: datetime, report: Report, news: Sequence[tuple[Measured, list[str]]]) -> None:
    async with hub.trail.held() as trail, hub.database.connection() as connection, connection.transaction():
        was = await connection.fetchval(
            "SELECT degraded FROM quality_runs WHERE party = $1 AND scope = $2 ORDER BY started DESC LIMIT 1", run.party, run.scope
        )
        number = await connection.fetchval(
            _RUN, run.id, run.party, run.scope, started, batch.receipts, run.records, run.score, run.usual, run.degraded, suites.ENGINE,
            seal_report(hub.keyring, run.id, report), run.arrived, run.refused, run.waiting,
        )  # fmt: skip
        await _mark(hub, connection, number, news)
        if batch.scope == "batch":
            await _done(connection, batch, run.id)
        if run.degraded and not was:
            await alerts.owe(connection, run.id, run.party)
        await trail.append(connection, [Entry(
            actor="system", action="quality", outcome=f"{run.records} records", party=run.party, rule=f"system:{PERMIT.job}"
        )])  # fmt: skip


async def _mark(hub: Hub, connection: Connection[Any], number: int, news: Sequence[tuple[Measured, list[str]]]) -> None:
    """Put what was found beside the records, sealed for whom they are about; nothing found is said too, where something had been."""
    subjects = await hub.vault.subjects(connection, list({one.resident for one, _ in news}))
    rows = [
        (bucket_of(one.id), one.id, one.version, one.resident, seal_found(subjects[one.resident], one.id, one.version, rules))
        for one, rules in news
        if one.resident in subjects
    ]
    if rows:
        await connection.execute(_FLAGS, number, *map(list, zip(*rows, strict=True)))


async def _done(connection: Connection[Any], batch: Batch, run: UUID) -> None:
    """Receipts are judged unless a row of theirs was settled meanwhile: they stay due then."""
    await connection.execute(
        "UPDATE receipts SET quality = $2 WHERE id = ANY($1::uuid[]) AND records <@ $3::uuid[]", batch.receipts, run, batch.records
    )  # fmt: skip
