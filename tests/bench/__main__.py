"""`make bench`: a real hub process over HTTP, durable commits on, measured in interleaved rounds; median [min-max].

Writes `bench/results/<date>.json` and prints the same. Everything is made here: invented residents, synthetic sessions.
    --rounds N     measured rounds of each upload kind (5)
    --records N    sessions stored before the history page is measured (10,000)
    --validation   instead: the R4 validator alone, beside fhir.resources
    --decision     instead: the consent engine alone
    --audit        instead: what the audit entry of a single read costs
    --quality N …  instead: what looking for quality flags costs a read, and the runs over a source of each N records
    --scale N …    instead: the history page alone, on a store that grows to each N records (1,000,000 takes minutes, 10,000,000 half an hour)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from adapters import fitfile
from hub.access.keys import fetch_token, new_client_key
from hub.demo.__main__ import free_port, serving
from hub.service import opened
from hub.settings import load
from hub.store import grants, parties, postgres, residents
from schemas.classes import parse_classes
from schemas.resident import MemberNumber, Resident
from tests.bench import audit, decision, quality, validation
from tests.bench.load import answered, descends, request, send, spread
from tests.bench.scale import COLD, WARM, Scale

BATCH = 100
RESIDENTS = 1000


def a_session(number: int, member: int, hour: bool) -> dict[str, Any]:
    """One synthetic session; `hour` adds an hour of 1 Hz heart rate as a random walk."""
    start = datetime(2005, 1, 1, 6, tzinfo=UTC) + timedelta(minutes=5 * number)
    record = {
        "kind": "session", "sport": "running", "start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat(), "elapsed_s": 3600, "timer_s": 3550,
        "distance_m": 8000 + number % 977, "energy_kcal": 410 + number % 53, "hr_avg": 128, "hr_max": 161, "steps": 9100,
        "moderate_min": 41, "vigorous_min": 12,
    }  # fmt: skip
    row: dict[str, Any] = {"who": {"member_number": f"M{member}"}, "record": record}
    if hour:
        value, values = 120, []
        for step in random.choices((-1, 0, 0, 1), k=3600):
            value = min(180, max(70, value + step))
            values.append(value)
        row["series"] = {"heart_rate": {"start": start.isoformat(), "interval_s": 1, "values": values}}
    return row


def an_hour_of_fit(number: int) -> bytes:
    """A FIT activity as a watch writes it: file id, a record message a second, one session."""
    start = 500_000_000 + 3700 * number
    records = [(20, [(253, 0x86, start + at), (3, 0x02, 110 + at * number % 40), (5, 0x86, at * 250)]) for at in range(3600)]
    session = (18, [(253, 0x86, start + 3600), (2, 0x86, start), (5, 0x00, 1), (7, 0x86, 3_600_000), (8, 0x86, 3_600_000), (9, 0x86, 900_000)])
    return fitfile.write([(0, [(0, 0x00, 4), (1, 0x84, 1), (3, 0x8C, 7), (4, 0x86, start)]), *records, session, (34, [(253, 0x86, start + 3600)])])


class Bench:
    """A hub process, its centre and hospital, and the figures so far."""

    def __init__(self, url: str, folder: Path, rounds: int, records: int, workers: int = 1) -> None:
        self.url, self.folder, self.rounds, self.records, self.workers = url, folder, rounds, records, workers
        self.number = 0
        self.figures: dict[str, Any] = {}
        self.residents: list[UUID] = []

    async def prepare(self, count: int = RESIDENTS) -> None:
        """Parties, residents, a grant of each to the hospital: straight through the hub's own functions."""
        center_key, center_jwks = new_client_key()
        hospital_key, hospital_jwks = new_client_key()
        with postgres.connect(self.folder) as dsn:
            async with opened(load(self.folder), dsn) as hub:
                async with hub.database.connection() as connection:
                    center = await parties.add(connection, name="Bench centre", kind="fitness-center", jwks=center_jwks, zone="Asia/Shanghai")
                    hospital = await parties.add(connection, name="Bench hospital", kind="hospital", jwks=hospital_jwks)

                async def one(number: int) -> UUID:
                    person = Resident(name=f"Bench {number}", zone="Asia/Shanghai", member_numbers=[MemberNumber(party=str(center.id), number=f"M{number}")])
                    identity, _ = await residents.register(hub, person, actor="bench")
                    await grants.grant(hub, identity, hospital, purpose="TREAT", classes=parse_classes("all"), actor="bench")
                    return identity

                for first in range(0, count, 6):
                    self.residents += await asyncio.gather(*map(one, range(first, min(first + 6, count))))
        self.center, self.hospital = (center.client_id, center_key), (hospital.client_id, hospital_key)

    async def headers(self, who: tuple[str, Any], scope: str) -> dict[str, str]:
        async with httpx.AsyncClient() as http:
            token = await fetch_token(http, f"{self.url}/oauth/token", who[0], who[1], scope)
        return {"Authorization": f"Bearer {token.access_token}"}

    def rows(self, count: int, *, hour: bool = False) -> list[dict[str, Any]]:
        self.number += count
        return [a_session(number, number % RESIDENTS, hour) for number in range(self.number - count, self.number)]

    async def uploads(self) -> None:
        """Batches of 100 with and without an hour of heart rate, and single uploads, round by round in turn."""
        kinds = (("batches", 20, BATCH, 4, False), ("batches with 1 h heart rate", 8, BATCH, 4, True), ("single uploads", 2000, 1, 32, False))
        rates: dict[str, list[float]] = {name: [] for name, *_ in kinds}
        for _ in range(self.rounds + 1):
            headers = await self.headers(self.center, "intake.write")
            for name, count, size, lanes, hour in kinds:
                bodies = [self._upload(headers, size, hour=hour) for _ in range(count)]
                rates[name].append(size * answered(send(self.url, bodies, lanes, 201)).per_second())
        for name, values in rates.items():
            self.figures[f"{name}, sessions/s"] = spread(values[1:])

    async def fit_files(self) -> None:
        """FIT files of an hour at 1 Hz (heart rate and distance, 3,600 record messages), one person each."""
        rates = []
        for _ in range(self.rounds + 1):
            headers = await self.headers(self.center, "intake.write")
            files = [self._fit(headers) for _ in range(100)]
            rates.append(answered(send(self.url, files, 8, 201)).per_second())
        self.figures["FIT files of an hour, files/s"] = spread(rates[1:])

    def _fit(self, headers: dict[str, str]) -> bytes:
        self.number += 1
        resident = self.residents[self.number % RESIDENTS]
        return request(self.url, f"/intake/fit?resident={resident}", headers, an_hour_of_fit(self.number))

    def _upload(self, headers: dict[str, str], size: int, *, hour: bool = False) -> bytes:
        return request(self.url, "/intake/kinehub-json", headers, json.dumps({"records": self.rows(size, hour=hour)}).encode())

    async def fill(self) -> None:
        """Up to the number of sessions at which the history page is measured."""
        while self.number < self.records:
            headers = await self.headers(self.center, "intake.write")
            answered(send(self.url, [self._upload(headers, BATCH) for _ in range(40)], 4, 201))

    async def pages(self) -> None:
        """The 50 newest Observations of residents drawn from the thousand: latency of one client alone, then throughput from 16."""
        headers = await self.headers(self.hospital, "system/*.rs")

        def asked(residents: list[UUID]) -> list[bytes]:
            return [request(self.url, f"/fhir/Observation?patient={resident}&_count=50", headers) for resident in residents]

        send(self.url, asked(self.residents * 2), 4)
        alone = sorted(answered(send(self.url, asked(random.choices(self.residents, k=2000)), 1)).latencies_ms)
        rates = [answered(send(self.url, asked(random.choices(self.residents, k=3000)), 16)).per_second() for _ in range(self.rounds)]
        key = f"history page at {self.number:,} sessions"
        self.figures[f"{key}, ms"] = {"p50": round(alone[1000], 2), "p99": round(alone[1980], 2)}
        self.figures[f"{key}, req/s (client on the same cores)"] = spread(rates)

    async def curves(self) -> None:
        """An hour of 1 Hz heart rate as SampledData: one by its id, and by the minute; one client alone."""
        headers = await self.headers(self.hospital, "system/*.rs")
        found: list[str] = []
        async with httpx.AsyncClient(headers=headers, timeout=60) as http:
            for resident in self.residents[:200]:
                asked = {"patient": str(resident), "code": "PAPanel", "_revinclude": "Observation:derived-from"}
                entries = (await http.get(f"{self.url}/fhir/Observation", params=asked)).json().get("entry", [])
                found += [entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == "include"]
        for name, tail in (("as SampledData", ""), ("by the minute", "/$sampled?period=60000")):
            reads = [request(self.url, f"/fhir/Observation/{id_}{tail}", headers) for id_ in random.choices(found, k=1000)]
            alone = sorted(answered(send(self.url, reads, 1)).latencies_ms)
            self.figures[f"1 h heart rate {name}, ms"] = {"p50": round(alone[500], 2), "p99": round(alone[990], 2)}

    async def audited(self, rounds: int = audit.ROUNDS) -> None:
        """What the audit entry of a single read costs."""
        headers = await self.headers(self.hospital, "system/*.rs")
        async with httpx.AsyncClient(headers=headers, timeout=60) as http:
            pages = [(await http.get(f"{self.url}/fhir/Observation?patient={resident}&_count=5")).json() for resident in self.residents[:60]]
        ids = [entry["resource"]["id"] for page in pages for entry in page.get("entry", [])]
        self.figures |= audit.cost(self.folder, self.url, ids, headers, self.workers, rounds)

    async def sizes(self) -> None:
        """Bytes on disk per session and per heart-rate sample, vacuumed."""
        with postgres.connect(self.folder) as dsn:
            connection = await asyncpg.connect(dsn)
            try:
                total = await connection.fetchval("SELECT pg_total_relation_size('records') + pg_total_relation_size('originals')")
                sessions = await connection.fetchval("SELECT count(*) FROM records WHERE kind = 1")
                chunks, size = await connection.fetchrow("SELECT count(*), coalesce(sum(pg_column_size(body)), 0) FROM series")
            finally:
                await connection.close()
        self.figures["bytes per session on disk (original kept)"] = round(total / max(1, sessions))
        self.figures["bytes per 1 Hz sample"] = round(size / max(1, chunks * 3600), 3)


def start_up(folder: Path) -> dict[str, float]:
    """Seconds from the command to the first answer on an initialised data directory, five times."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        with serving(folder, free_port()) as url:
            httpx.get(f"{url}/readyz").raise_for_status()
            times.append(time.perf_counter() - began)
    return spread(times)


def memory(folder: Path) -> dict[str, float]:
    """Resident memory of the hub's own processes, MiB: PostgreSQL apart, and the quality worker, which comes and goes, by itself."""
    parents, sizes, roots = _processes(folder)
    found = {"hub": 0, "quality worker": 0}
    for pid, (kibibytes, judging) in sizes.items():
        if descends(pid, roots, parents):
            found["quality worker" if judging else "hub"] += kibibytes
    return {name: round(total / 1024, 1) for name, total in found.items()}


def _processes(folder: Path) -> tuple[dict[int, int], dict[int, tuple[int, bool]], set[int]]:
    """Parents of this machine's processes; size of each that is no PostgreSQL and whether it has loaded pandas; those started on the folder."""
    parents, sizes, roots = {}, {}, set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            said = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines() if ":" in line)
            command, maps = (place / "cmdline").read_bytes().decode(errors="replace"), (place / "maps").read_text()
        except OSError:
            continue
        pid = int(place.name)
        parents[pid] = int(said["PPid"])
        if str(folder) in command and "postgres" not in command:
            roots.add(pid)
        if "postgres" not in command and "VmRSS" in said:
            sizes[pid] = int(said["VmRSS"].split()[0]), "/pandas/" in maps
    return parents, sizes, roots


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load_before": os.getloadavg()[0],
    }


def main() -> None:
    arguments = argparse.ArgumentParser(prog="make bench")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--records", type=int, default=10_000)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--scale", type=int, nargs="+")
    arguments.add_argument("--validation", action="store_true")
    arguments.add_argument("--decision", action="store_true")
    arguments.add_argument("--audit", action="store_true")
    arguments.add_argument("--quality", type=int, nargs="+")
    given = arguments.parse_args()
    described = machine()
    if given.validation:
        figures = validation.figures(given.rounds)
    elif given.decision:
        figures = decision.figures()
    elif given.audit:
        figures = _audited(given.rounds)
    elif given.quality:
        figures = _judged(given.quality, given.rounds, given.workers)
    else:
        figures = _scaled(given.scale, given.rounds, given.workers) if given.scale else _measured(given.rounds, given.records, given.workers)
    report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": described, "workers": given.workers, "figures": figures}
    results = Path("bench/results")
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{report['at'].replace(':', '')}.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _measured(rounds: int, records: int, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kinehub-bench-") as name:
        folder = Path(name)
        with serving(folder, free_port(), workers=workers) as url:
            bench = Bench(url, folder, rounds, records, workers)
            asyncio.run(_measure(bench))
            found = memory(folder)
            bench.figures["memory of the hub's processes, MiB"] = found["hub"]
            bench.figures["memory of the quality worker while it runs, MiB"] = found["quality worker"]
        bench.figures["start to first answer, s"] = start_up(folder)
    return bench.figures | validation.figures(rounds) | {"consent decision": decision.figures()}


def _audited(rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kinehub-bench-") as name:
        folder = Path(name)
        with serving(folder, free_port()) as url:
            bench = Bench(url, folder, rounds, 2000)

            async def measure() -> None:
                await bench.prepare()
                await bench.fill()
                await bench.audited(rounds)

            asyncio.run(measure())
    return bench.figures


def _judged(sizes: list[int], rounds: int, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kinehub-bench-") as name:
        folder = Path(name)
        with serving(folder, free_port()) as url:
            bench = Bench(url, folder, rounds, 0, workers)
            asyncio.run(bench.prepare())
        return quality.measured(bench, sorted(sizes))


def _scaled(sizes: list[int], rounds: int, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kinehub-bench-") as name:
        folder = Path(name)
        with serving(folder, free_port()) as url:
            bench = Bench(url, folder, rounds, 0)
            asyncio.run(bench.prepare(WARM + COLD))
        scale = Scale(folder, rounds, bench.residents, bench.center, bench.hospital)
        scale.run(sizes, workers)
    return scale.figures


async def _measure(bench: Bench) -> None:
    await bench.prepare()
    await bench.uploads()
    await bench.fit_files()
    await bench.fill()
    await bench.pages()
    await bench.curves()
    await bench.audited()
    await bench.sizes()


if __name__ == "__main__":
    main()
