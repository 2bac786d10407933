"""What data quality costs: reads that look for the flags kept beside records, and the time and memory of runs.

Half of the residents' sessions break a rule of the worker's alone (their energy looks like kilojoules), so that reads of flagged
and of clean records are told apart. Runs are judged in a process of their own, as the hub has it; its size is that of the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from hub.demo.__main__ import free_port, serving
from hub.settings import load
from hub.store import postgres
from tests.bench.audit import without
from tests.bench.load import answered, descends, request, send, spread

BATCH, DAYS = 1000, 31
READS, PAGES, ALONE, LANES = 4000, 2500, 300, 16


def flagged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with 41 kcal a minute for every other member."""
    for row in rows:
        if int(row["who"]["member_number"][1:]) % 2 == 0:
            row["record"]["energy_kcal"] = 2460
    return rows


def measured(bench: Any, sizes: list[int]) -> dict[str, Any]:
    """A source that grows to each of `sizes` records: its night, one of its batches; then reads."""
    found: dict[str, Any] = {}
    for size in sizes:
        with serving(bench.folder, free_port(), workers=bench.workers) as bench.url:
            asyncio.run(_grow(bench, size))
        with postgres.connect(bench.folder) as dsn:
            asyncio.run(_spread_over_the_month(dsn, _apart(_judge_due, bench.folder, dsn)))
            found[f"the night of a source of {size:,} records in 30 days"] = _apart(_night, bench.folder, dsn, bench.rounds)
    with serving(bench.folder, free_port(), workers=bench.workers) as bench.url:
        asyncio.run(_grow(bench, bench.number + 5 * BATCH, BATCH))
    with postgres.connect(bench.folder) as dsn:
        found[f"a batch of {BATCH:,} records"] = _apart(_batch, bench.folder, dsn, bench.rounds)
    with serving(bench.folder, free_port(), workers=bench.workers) as bench.url:
        return found | asyncio.run(_reads(bench))


async def _grow(bench: Any, size: int, batch: int = 0) -> None:
    """Up to `size` records, in a batch for each day of a month."""
    batch = batch or -(-(size - bench.number) // DAYS)
    while bench.number < size:
        headers = await bench.headers(bench.center, "intake.write")
        body = json.dumps({"records": flagged(bench.rows(min(batch, size - bench.number)))}).encode()
        answered(send(bench.url, [request(bench.url, "/intake/kinehub-json", headers, body)], 1, 201))


# Runs


def _apart(work: Any, *given: Any) -> Any:
    """What `work` answers in a process of its own, with its largest size."""
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_told, args=(there, work, given))
    child.start()
    there.close()
    try:
        return here.recv()
    finally:
        child.join()


def _told(there: Any, work: Any, given: Any) -> None:
    there.send(work(*given))


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _judge(folder: Path, dsn: str, **wanted: UUID) -> tuple[float, list[dict[str, Any]]]:
    from hub.quality import worker

    began = time.perf_counter()
    done = asyncio.run(worker.judged(load(folder), dsn, worker.Wanted(**wanted)))
    return time.perf_counter() - began, done


def _imported_s() -> float:
    began = time.perf_counter()
    from hub.quality import runs

    return round(time.perf_counter() - began, 2) if runs else 0.0


def _judge_due(folder: Path, dsn: str) -> int:
    """Judge what the hub's own worker has not; the party's number."""
    _judge(folder, dsn, party=_asked(dsn, "SELECT id FROM parties WHERE kind = 'fitness-center'"))
    return int(_asked(dsn, "SELECT number FROM parties WHERE kind = 'fitness-center'"))


def _night(folder: Path, dsn: str, rounds: int) -> dict[str, Any]:
    """The night's run, each round from the same state."""
    party, took, done = _asked(dsn, "SELECT id FROM parties WHERE kind = 'fitness-center'"), [], []
    imported = _imported_s()
    for _ in range(rounds):
        _asked(dsn, "DELETE FROM quality_runs WHERE scope = 'source'")
        seconds, done = _judge(folder, dsn, party=party)
        took.append(seconds)
    return {"s": spread(took), "records judged": sum(run["records"] for run in done), "import, s": imported, "process, MiB": _peak_mib()}


def _batch(folder: Path, dsn: str, rounds: int) -> dict[str, Any]:
    receipts = _asked(dsn, "SELECT array_agg(id) FROM (SELECT id FROM receipts WHERE cardinality(records) = 1000 ORDER BY created DESC LIMIT 5) r")
    imported = _imported_s()
    took = [_judge(folder, dsn, receipt=receipts[number % len(receipts)])[0] for number in range(rounds)]
    return {"s": spread(took), "import, s": imported, "process, MiB": _peak_mib()}


def _asked(dsn: str, statement: str) -> Any:
    async def work() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(work())


async def _spread_over_the_month(dsn: str, party: int) -> None:
    """The batches of a source at even times over 31 days, of which the last ended yesterday."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT id FROM quality_runs WHERE party = $1 AND scope = 'batch' ORDER BY started", party)
        last = datetime.now(UTC) - timedelta(days=1)
        times = [(last - timedelta(days=DAYS) * number / len(rows), row["id"]) for number, row in enumerate(reversed(rows))]
        await connection.executemany("UPDATE quality_runs SET started = $1 WHERE id = $2", times)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


# Reads


async def _reads(bench: Any) -> dict[str, Any]:
    """Each kind of read with the look for flags and without, in turn by round."""
    headers = await bench.headers(bench.hospital, "system/*.rs")
    asked = [(state, kind, paths) for state, first in (("flagged", 0), ("clean", 1)) for kind, paths in await _paths(bench, headers, first)]
    times: dict[tuple[str, str, str], tuple[list[float], list[float]]] = {}
    with without("unflagged", bench.folder, bench.url, bench.workers) as bare:
        for round_ in range(bench.rounds + 1):
            headers = await bench.headers(bench.hospital, "system/*.rs")  # a token lives for minutes
            for state, kind, paths in asked:
                for name, base in (("with", bench.url), ("without", bare)):
                    alone, computed = _read(bench.folder, base, headers, paths)
                    if round_:
                        kept = times.setdefault((state, kind, name), ([], []))
                        kept[0].append(alone)
                        kept[1].append(computed)
    return {f"{kind}, {state}": _compared(times[state, kind, "with"], times[state, kind, "without"]) for state, kind, _ in asked}


async def _paths(bench: Any, headers: dict[str, str], first: int) -> Iterator[tuple[str, list[str]]]:
    people = bench.residents[first:400:2]
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        pages = [(await http.get(f"{bench.url}/fhir/Observation?patient={resident}&_count=5")).json() for resident in people[:60]]
    ids = [entry["resource"]["id"] for page in pages for entry in page.get("entry", [])]
    tagged = sum(bool(entry["resource"]["meta"].get("tag")) for page in pages for entry in page.get("entry", []))
    if bool(tagged) == bool(first):
        raise SystemExit(f"Of {len(ids)} resources {tagged} are tagged: not what is to be measured.")
    return iter((
        ("single read", [f"/fhir/Observation/{id_}" for id_ in ids]),
        ("history of one", [f"/fhir/Observation/{id_}/_history" for id_ in ids]),
        ("search page of 50", [f"/fhir/Observation?patient={resident}&_count=50" for resident in people]),
    ))  # fmt: skip


def _read(folder: Path, base: str, headers: dict[str, str], paths: list[str]) -> tuple[float, float]:
    """Median milliseconds of one client alone; microseconds of processor time a request from several, of hub and PostgreSQL together."""
    count = PAGES if "_count" in paths[0] else READS
    alone = sorted(answered(send(base, [request(base, path, headers) for path in random.choices(paths, k=ALONE)], 1)).latencies_ms)
    before = _processor_s(folder)
    answered(send(base, [request(base, path, headers) for path in random.choices(paths, k=count)], LANES))
    return alone[ALONE // 2], (_processor_s(folder) - before) / count * 1e6


def _processor_s(folder: Path) -> float:
    """Seconds that the hubs on a folder and their PostgreSQL have computed: they say the same whatever else the machine does."""
    parents, times, roots = {}, {}, set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            said, command = (place / "stat").read_text().rpartition(")")[2].split(), (place / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        parents[int(place.name)], times[int(place.name)] = int(said[1]), int(said[11]) + int(said[12])
        if str(folder) in command:
            roots.add(int(place.name))
    return sum(ticks for pid, ticks in times.items() if descends(pid, roots, parents)) / os.sysconf("SC_CLK_TCK")


def _compared(looking: tuple[list[float], list[float]], bare: tuple[list[float], list[float]]) -> dict[str, Any]:
    shares = [round(100 * (one / other - 1), 1) for one, other in zip(looking[1], bare[1], strict=True)]
    return {
        "ms alone": spread(looking[0]), "ms alone, without the look": spread(bare[0]),
        "processor us": spread(looking[1]), "processor us, without the look": spread(bare[1]), "more processor time by the look, %": spread(shares),
    }  # fmt: skip
