"""Keys are rotated while the hub serves, and the rotation is killed in the middle: no answer fails, nothing is lost, the next run goes on."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg
import httpx
import pytest

from hub.store import postgres
from hub.store.ids import bucket_of, new_resident_id
from hub.store.keyring import Keyring, WrappedKey
from tests.builders import a_session
from tests.process import Running, a_hub

OTHERS = 3000
"""Residents beside those who are read: enough batches to be killed between two."""
CLIENTS = 8


async def _connected(dsn: str, query: str, *values: object) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(query, *values))
    finally:
        await connection.close()


def rows(dsn: str, query: str, *values: object) -> list[Any]:
    return asyncio.run(_connected(dsn, query, *values))


def more_residents(folder: Path, dsn: str, count: int) -> dict[str, bytes]:
    """Residents with a data key and nothing else, put beside the real ones; their data keys."""
    made = {new_resident_id(): secrets.token_bytes(32) for _ in range(count)}
    with closing(Keyring(folder / "keyring.json")) as ring:
        wraps = {who: ring.wrap(str(who), key) for who, key in made.items()}
    buckets = [bucket_of(who) for who in made]
    rows(dsn, "INSERT INTO residents (bucket, id) SELECT * FROM unnest($1::smallint[], $2::uuid[])", buckets, list(made))
    rows(
        dsn,
        "INSERT INTO data_keys (bucket, subject, kek, erasure, wrapped) "
        "SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::text[], $5::bytea[])",
        buckets, list(made), [wrap.kek for wrap in wraps.values()], [wrap.erasure for wrap in wraps.values()], [wrap.wrapped for wrap in wraps.values()],
    )  # fmt: skip
    return {str(who): key for who, key in made.items()}


class Load:
    """Clients that upload and read, each request counted by what it was and what came of it."""

    def __init__(self, city: Running, residents: list[str]) -> None:
        self.city, self.residents = city, residents
        self.headers = city.bearer("center", "system/*.rs intake.write")
        self.counts: Counter[str] = Counter()
        self.stop, self.seconds = threading.Event(), 0.0

    async def client(self, number: int) -> None:
        async with httpx.AsyncClient(base_url=self.city.url, timeout=60, headers=self.headers) as http:
            order = 0
            while not self.stop.is_set():
                order += 1
                resident = self.residents[(order + number) % len(self.residents)]
                at = f"2026-{1 + order // 25 % 9:02d}-{1 + order % 25:02d}T{order // 225 % 24:02d}:{number:02d}:00+08:00"
                stored = await http.post("/intake/kinehub-json", params={"resident": resident}, json=a_session(at, minutes=5))
                self.counts[f"upload {stored.status_code}"] += 1
                read = await http.get("/fhir/Observation", params={"patient": resident, "_count": "5"})
                self.counts[f"read {read.status_code} {'full' if read.json().get('entry') else 'empty'}"] += 1

    def run(self) -> None:
        async def clients() -> None:
            await asyncio.gather(*(self.client(number) for number in range(CLIENTS)))

        began = perf_counter()
        asyncio.run(clients())
        self.seconds = perf_counter() - began


@contextmanager
def under_load(city: Running, residents: list[str]) -> Iterator[Load]:
    """A load for the length of the block."""
    load = Load(city, residents)
    with ThreadPoolExecutor(1) as pool:
        running: Future[None] = pool.submit(load.run)
        try:
            yield load
        finally:
            load.stop.set()
        running.result()


def rotation_killed(folder: Path, dsn: str, arguments: tuple[str, ...], half_done: str) -> bool:
    """Start a rotation and SIGKILL it when some keys are done and some are not. False when it was done before it could be killed."""
    child = subprocess.Popen([sys.executable, "-m", "hub", "--data-dir", str(folder), "keys", "rotate", *arguments], stdout=subprocess.DEVNULL)
    while child.poll() is None:
        if rows(dsn, half_done)[0][0]:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    return bool(rows(dsn, half_done)[0][0])


def readable(folder: Path, dsn: str, keys: dict[str, bytes]) -> bool:
    """Whether every data key opens, and to what it was."""
    with closing(Keyring(folder / "keyring.json")) as ring:
        found = {
            str(row["subject"]): ring.unwrap(str(row["subject"]), WrappedKey(row["kek"], row["erasure"], row["wrapped"]))
            for row in rows(dsn, "SELECT * FROM data_keys")
        }
    return all(found[who] == key for who, key in keys.items()) and len(found) >= len(keys)


@pytest.mark.parametrize("column", ["kek", "erasure"])
def test_a_rotation_killed_in_the_middle_under_load_loses_nothing_and_goes_on(tmp_path: Path, column: str) -> None:
    arguments = ("--erasure",) if column == "erasure" else ()
    half_done = f"SELECT count(DISTINCT {column}) > 1 FROM data_keys"
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        residents = [city.resident(f"Resident {order}", order) for order in range(2, 6)]
        for resident in residents:
            city.upload("center", a_session(), resident)
        with postgres.connect(city.folder) as dsn:
            keys = more_residents(city.folder, dsn, OTHERS)
            with under_load(city, residents) as load:
                while not rotation_killed(city.folder, dsn, arguments, half_done):
                    pass
                newest = max(row[0] for row in rows(dsn, f"SELECT DISTINCT {column} FROM data_keys"))
                assert readable(city.folder, dsn, keys)
                load_between = load.counts.total()
                said = city.cli("keys", "rotate", *arguments)
            assert 0 < said["rewrapped"] < len(keys)
            assert [row[0] for row in rows(dsn, f"SELECT DISTINCT {column} FROM data_keys")] == [newest]
            assert readable(city.folder, dsn, keys)
        assert load.counts.total() > load_between > 0
        assert {name.partition(" ")[0] for name in load.counts} == {"upload", "read"}
        assert load.counts.keys() <= {"upload 201", "upload 200", "read 200 full"}, load.counts
        sys.stdout.write(f"{json.dumps(load.counts)} in {load.seconds:.1f} s\n")
        assert city.audit()["intact"]
