"""`python -m tests.bench --scale N …`: the history page on one store that grows to each N records in turn.

The residents whose pages are read have sealed records that came in through the hub's own door, ten each in a small step and
forty in one of a million or more: a thousand are read warm, five thousand others once, cold. The records of all other
residents are filler that COPY puts between them: the columns of real records, and random bytes of a real body's length.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from hub.access.keys import fetch_token
from hub.demo.__main__ import free_port, serving
from hub.store import postgres
from hub.store.ids import bucket_of, new_record_id, new_resident_id
from tests.bench.load import Load, answered, request, send, spread

WARM, COLD = 1_000, 5_000
SMALL, EACH_SMALL, EACH = 500_000, 10, 40
BATCH, ROUND = 100, 6_000
SINCE, SPAN = datetime(2025, 1, 1, 6, tzinfo=UTC), timedelta(days=600)
_COLUMNS = (
    "bucket", "id", "version", "resident", "kind", "labels", "restricted", "label_rules", "starts", "ends", "party", "natural_key", "content",
    "original", "deleted", "recorded", "body",
)  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """From one size to the next: which residents get how many real records, how many filler rows, and the time they span."""

    goal: int
    residents: int
    real: int
    filler: int
    since: datetime
    span: timedelta

    def at(self, share: float) -> datetime:
        return self.since + self.span * share


def steps(sizes: list[int]) -> list[Step]:
    found, held = [], 0
    for number, goal in enumerate(sorted(sizes)):
        residents = WARM if goal < SMALL else WARM + COLD
        real = min(goal - held, residents * (EACH_SMALL if goal < SMALL else EACH))
        found.append(Step(goal, residents, real, goal - held - real, SINCE + SPAN * number / len(sizes), SPAN / len(sizes)))
        held = goal
    return found


def sessions(step: Step, first: int, count: int) -> list[dict[str, Any]]:
    """Real sessions number `first` and on of a step: one resident after the other, in the order of time."""
    found = []
    for number in range(first, first + count):
        start = step.at(number / step.real)
        found.append({"who": {"member_number": f"M{number % step.residents}"}, "record": {
            "kind": "session", "sport": "running", "start": start.isoformat(timespec="milliseconds"), "elapsed_s": 3600, "timer_s": 3550,
            "end": (start + timedelta(hours=1)).isoformat(timespec="milliseconds"), "distance_m": 8000 + number % 977, "energy_kcal": 410 + number % 53,
            "hr_avg": 128, "hr_max": 161, "steps": 9100, "moderate_min": 41, "vigorous_min": 12,
        }})  # fmt: skip
    return found


def _rows(step: Step, others: list[UUID], samples: list[Any], first: int, count: int) -> Iterator[tuple[object, ...]]:
    noise, now = os.urandom(1 << 20), datetime.now(UTC)
    for number in range(first, first + count):
        resident, like = others[number % len(others)], random.choice(samples)
        bucket, at, starts = bucket_of(resident), random.randrange(len(noise) - like["length"]), step.at(number / step.filler)
        yield (
            bucket, new_record_id(bucket), 1, resident, like["kind"], like["labels"], like["restricted"], like["label_rules"], starts, starts + like["lasts"],
            like["party"], os.urandom(like["key"]), os.urandom(like["key"]), None, False, now, noise[at : at + like["length"]],
        )  # fmt: skip


class Scale:
    """A hub on a growing store."""

    def __init__(self, folder: Path, rounds: int, residents: list[UUID], center: tuple[str, Any], hospital: tuple[str, Any]) -> None:
        self.folder, self.rounds, self.residents, self.center, self.hospital = folder, rounds, residents, center, hospital
        self.others: list[UUID] = []
        self.figures: dict[str, Any] = {}

    def run(self, sizes: list[int], workers: int) -> None:
        """Grow to each size in turn and measure there."""
        for step in steps(sizes):
            with serving(self.folder, free_port(), workers=workers) as url:
                self._grow(url, step)
            with postgres.connect(self.folder) as dsn:
                self.figures[f"{step.goal:,} records"] = asyncio.run(_settled(dsn))
            if step.residents > WARM:
                _evict(self.folder)
            with serving(self.folder, free_port(), workers=workers) as url:
                self.figures[f"{step.goal:,} records"] |= self._measured(url, step)
        pages = [figure["warm, ms"]["p50"] for figure in self.figures.values()]
        self.figures["warm p50 at the largest size : at the smallest"] = round(pages[-1] / pages[0], 2)

    def _headers(self, url: str, who: tuple[str, Any], scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {asyncio.run(_token(url, who, scope))}"}

    def _grow(self, url: str, step: Step) -> None:
        rounds = max(1, step.real // ROUND)
        for number in range(rounds):
            headers = self._headers(url, self.center, "intake.write")
            first, last = (step.real * edge // rounds for edge in (number, number + 1))
            rows = sessions(step, first, last - first)
            bodies = [json.dumps({"records": rows[at : at + BATCH]}).encode() for at in range(0, len(rows), BATCH)]
            answered(send(url, [request(url, "/intake/kinehub-json", headers, body) for body in bodies], 4, 201))
            first, last = (step.filler * edge // rounds for edge in (number, number + 1))
            if last > first:
                with postgres.connect(self.folder) as dsn:
                    asyncio.run(self._fill(dsn, step, first, last - first))

    async def _fill(self, dsn: str, step: Step, first: int, count: int) -> None:
        connection = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})
        try:
            fresh = [new_resident_id() for _ in range(step.filler // EACH)] if first == 0 else []
            places = [(bucket_of(one), one) for one in fresh]
            await connection.copy_records_to_table("residents", columns=("bucket", "id", "zone"), records=((*one, "Asia/Shanghai") for one in places))
            keys = ((*one, "0", "0", os.urandom(154)) for one in places)
            await connection.copy_records_to_table("data_keys", columns=("bucket", "subject", "kek", "erasure", "wrapped"), records=keys)
            self.others += fresh
            samples = await connection.fetch(_SAMPLES)
            await connection.copy_records_to_table("records", columns=_COLUMNS, records=_rows(step, self.others, samples, first, count))
            await connection.execute("TRUNCATE originals")
        finally:
            await connection.close()

    def _measured(self, url: str, step: Step) -> dict[str, Any]:
        headers = self._headers(url, self.hospital, "system/*.rs")

        def read(residents: list[UUID], lanes: int) -> Load:
            return answered(send(url, [request(url, f"/fhir/Observation?patient={one}&_count=50", headers) for one in residents], lanes))

        found: dict[str, Any] = {}
        warm, cold = self.residents[:WARM], self.residents[WARM : step.residents]
        read(warm[:200], 2)
        if cold:
            found["cold, ms"] = _percentiles(read(random.sample(cold, 2_000), 1))
        read(warm * 2, 4)
        alone = [_percentiles(read(random.choices(warm, k=2_000), 1)) for _ in range(self.rounds)]
        busy = [read(random.choices(warm, k=4_000), 16) for _ in range(self.rounds)]
        found["warm, ms"] = {name: sorted(one[name] for one in alone)[len(alone) // 2] for name in alone[0]}
        found["warm, 16 clients, ms"] = _percentiles(*busy)
        found["warm, 16 clients, req/s (client on the same cores)"] = spread([one.per_second() for one in busy])
        return found


_SAMPLES = """SELECT kind, labels, restricted, label_rules, party, ends - starts AS lasts, length(body) AS length, length(natural_key) AS key
FROM records WHERE kind = 1 AND party > 0 LIMIT 1000"""


async def _token(url: str, who: tuple[str, Any], scope: str) -> str:
    import httpx

    async with httpx.AsyncClient() as http:
        return (await fetch_token(http, f"{url}/oauth/token", who[0], who[1], scope)).access_token


async def _settled(dsn: str) -> dict[str, Any]:
    """What autovacuum would have done by and by, and how large the store is."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("VACUUM ANALYZE records")
        await connection.execute("VACUUM ANALYZE residents, data_keys, audit")
        rows, heap, indexes = await connection.fetchrow("SELECT count(*), pg_table_size('records'), pg_indexes_size('records') FROM records WHERE kind = 1")
    finally:
        await connection.close()
    return {"sessions": rows, "heap, GB": round(heap / 1e9, 2), "indexes, GB": round(indexes / 1e9, 2)}


def _evict(folder: Path) -> None:
    """Drop the database's files from the page cache; PostgreSQL is not running."""
    os.sync()
    for path in (folder / "postgres").rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _percentiles(*loads: Load) -> dict[str, float]:
    latencies = sorted(one for load in loads for one in load.latencies_ms)
    return {"p50": round(latencies[len(latencies) // 2], 2), "p99": round(latencies[len(latencies) * 99 // 100], 2)}
