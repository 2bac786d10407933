"""Erasure is real: no copy of the database gives an erased resident back, whoever else is in it; it is certified, and held back by law."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hub.store import postgres
from hub.store.keyring import Keyring, WrappedKey
from schemas.errors import SealError
from tests.builders import a_session
from tests.process import Running, a_hub, command, refused_start
from tests.transit import TOKEN, an_engine


def two_residents(city: Running) -> tuple[str, str]:
    """One to be erased and a neighbour of the same month, both with a record of two versions."""
    city.add_party("center", "Center", "fitness-center")
    found = city.resident("Gone", 7), city.resident("Kept", 3)
    for resident in found:
        city.upload("center", a_session(), resident)
        answer = city.http.post(
            "/intake/kinehub-json", params={"resident": resident}, json=a_session(hr_avg=130), headers=city.bearer("center", "intake.write")
        )
        assert answer.json()["status"] == "updated"
    return found


def rows(dsn: str, query: str, *values: object) -> list[Any]:
    async def fetch() -> list[Any]:
        connection = await asyncpg.connect(dsn)
        try:
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()

    return asyncio.run(fetch())


@contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    """Keeps everybody from a table."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(dsn))
    transaction = connection.transaction()
    try:
        loop.run_until_complete(transaction.start())
        loop.run_until_complete(connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


def until(true: Callable[[], bool]) -> None:
    """Ask until it is so; the time limit of the whole run ends it otherwise."""
    while not true():
        asyncio.run(asyncio.sleep(0.02))


@pytest.mark.parametrize("suite", ["international", "guomi"])
def test_a_copy_of_the_data_directory_from_before_an_erasure_gives_the_neighbours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suite: str
) -> None:
    monkeypatch.setenv("KINEHUB_CRYPTO", suite)
    copy = tmp_path / "copy"
    with a_hub(tmp_path / "hub") as city:
        gone, kept = two_residents(city)
        seen = {resident: city.shown("center", resident) for resident in (gone, kept)}
        assert all(seen.values())
        assert city.stop() == 0
        subprocess.run(["cp", "-a", city.folder, copy], check=True)
        city.again()
        said = city.cli("resident", "erase", gone)
        assert city.shown("center", kept) == seen[kept]
        for name in ("keyring.json", "tombstones.ndjson"):
            shutil.copy2(city.folder / name, copy / name)

    with postgres.connect(copy) as dsn:
        for table in ("records", "record_history", "originals"):
            assert rows(dsn, f"SELECT FROM {table} WHERE resident = $1", gone)  # the copy does hold them
        wraps = {str(row["subject"]): WrappedKey(row["kek"], row["erasure"], row["wrapped"]) for row in rows(dsn, "SELECT * FROM data_keys")}
        with closing(Keyring(copy / "keyring.json")) as ring:
            assert wraps[gone].erasure == wraps[kept].erasure == said["erasure_key"]
            assert len(ring.unwrap(kept, wraps[kept])) == 32
            with pytest.raises(SealError):
                ring.unwrap(gone, wraps[gone])
    with a_hub(copy) as other:
        other.parties = city.parties
        assert other.shown("center", kept) == seen[kept]
        assert other.shown("center", gone) == set()
        with postgres.connect(copy) as dsn:
            assert not rows(dsn, "SELECT FROM records WHERE resident = $1", gone)


def test_an_erasure_is_certified_and_the_certificate_is_checked_without_the_hub(tmp_path: Path) -> None:
    jwks, copy = tmp_path / "jwks.json", tmp_path / "certificate.json"
    with a_hub(tmp_path / "hub") as city:
        gone, kept = two_residents(city)
        jwks.write_bytes(city.http.get("/oauth/jwks").content)
        said = city.cli("resident", "erase", gone)
        copy.write_bytes(Path(said["certificate"]).read_bytes())
        assert city.cli("resident", "certificate", str(copy))["resident_id"] == gone
        assert command(city.folder, "resident", "erase", gone).returncode == 1
        later = city.cli("resident", "erase", kept)
    nowhere = tmp_path / "nowhere"
    line = ("--json", "resident", "certificate", str(copy), "--jwks", str(jwks))
    checked = json.loads(command(nowhere, *line).stdout)
    assert not nowhere.exists()
    assert (checked["resident_id"], checked["rows_deleted"]["records"], checked["rows_deleted"]["data_keys"]) == (gone, 2, 1)
    assert checked["destroyed_keys"] == said["destroyed_keys"] != later["destroyed_keys"]
    assert "Gone" not in copy.read_text()
    whole = json.loads(copy.read_text())
    other = json.loads(Path(later["certificate"]).read_text())
    for forged in (
        whole | {"certificate": whole["certificate"] | {"resident_id": kept}}, whole | {"jws": other["jws"]}, whole | {"jws": whole["jws"][:-4] + "AAAA"}, {},
    ):  # fmt: skip
        copy.write_text(json.dumps(forged))
        done = command(nowhere, *line)
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr


def test_nobody_is_erased_while_a_legal_hold_stands(tmp_path: Path) -> None:
    with a_hub(tmp_path / "hub") as city:
        gone, kept = two_residents(city)
        held = city.cli("resident", "hold", gone, "--reason", "court case 2026-417", "--until", "2999-12-31")["hold_id"]
        past = city.cli("resident", "hold", gone, "--reason", "audit of 2020", "--until", "2020-12-31")["hold_id"]
        assert [(hold["hold_id"], hold["stands"]) for hold in city.cli("resident", "holds", gone)] == [(held, True), (past, False)]
        assert city.cli("resident", "holds", kept) == []
        done = command(city.folder, "resident", "erase", gone)
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)
        assert f"hold {held} until 2999-12-31: court case 2026-417" in done.stderr
        assert past not in done.stderr
        assert city.shown("center", gone) != set()
        assert not (city.folder / "tombstones.ndjson").exists()
        with postgres.connect(city.folder) as dsn:
            assert b"court" not in b"".join(row["body"] for row in rows(dsn, "SELECT body FROM holds"))
        assert command(city.folder, "resident", "release", kept, held).returncode == 1
        city.cli("resident", "release", gone, held)
        city.cli("resident", "erase", gone)
        assert city.cli("resident", "holds") == []
        assert city.shown("center", gone) == set()


def test_an_erasure_killed_in_the_middle_is_finished_by_whoever_opens_the_hub_next(tmp_path: Path) -> None:
    with a_hub(tmp_path / "hub") as city:
        gone, kept = two_residents(city)
        seen = city.shown("center", kept)
        ledger = city.folder / "tombstones.ndjson"
        with postgres.connect(city.folder) as dsn:
            with locked(dsn, "originals"):
                line = [sys.executable, "-m", "hub", "--data-dir", str(city.folder), "resident", "erase", gone]
                child = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                until(lambda: ledger.exists() and ledger.read_bytes().endswith(b"\n"))
                child.send_signal(signal.SIGKILL)
                child.wait()
            assert rows(dsn, "SELECT FROM data_keys WHERE subject = $1", gone)
            city.cli("doctor")
            assert not rows(dsn, "SELECT FROM data_keys WHERE subject = $1", gone)
        assert city.shown("center", gone) == set()
        assert city.shown("center", kept) == seen
        certificate = city.cli("resident", "certificate", str(city.folder / "certificates" / f"{gone}.json"))
        assert certificate["destroyed_keys"]
        assert city.audit()["intact"]


def test_an_erasure_whose_back_end_fails_in_the_middle_is_finished_when_it_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text(TOKEN)
    with an_engine() as engine:
        monkeypatch.setenv("KINEHUB_KEYRING", engine.address)
        monkeypatch.setenv("KINEHUB_KEYRING_SECRET_FILE", str(secret))
        with a_hub(tmp_path / "hub") as city:
            gone, kept = two_residents(city)
            seen = city.shown("center", kept)
            for broken in ("POST /v1/transit/keys/", "DELETE /v1/transit/keys/"):
                engine.broken = broken
                done = command(city.folder, "resident", "erase", gone)
                assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
                assert "The key back end answers 500" in done.stderr
            engine.broken = None
            before = set(engine.keys)
            city.cli("doctor")
            assert [name.rpartition(".")[2] for name in before - set(engine.keys)] == ["g0"]
            assert city.shown("center", kept) == seen
            assert city.shown("center", gone) == set()


@pytest.fixture(scope="module")
def erased_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped hub from which two residents were erased."""
    folder = tmp_path_factory.mktemp("erased") / "hub"
    with a_hub(folder) as city:
        for resident in two_residents(city):
            city.cli("resident", "erase", resident)
    return folder


def swapped(lines: list[bytes]) -> list[bytes]:
    return lines[::-1]


def edited(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"resident":"', b'"resident":"0'), lines[1]]


def another(lines: list[bytes]) -> list[bytes]:
    day = json.loads(lines[0])
    return [json.dumps(day | {"at": "2020-01-01T00:00:00Z"}).encode() + b"\n", lines[1]]


def cut(lines: list[bytes]) -> list[bytes]:
    return lines[:1]


def begun_later(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def emptied(_lines: list[bytes]) -> list[bytes]:
    return []


def repeated(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[0]]


def no_text(lines: list[bytes]) -> list[bytes]:
    return [*lines, b"\xff\n"]


@pytest.mark.parametrize("change", [swapped, edited, another, cut, begun_later, emptied, repeated, no_text])
def test_a_changed_tombstone_ledger_stops_the_start(erased_twice: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    ledger = erased_twice / "tombstones.ndjson"
    whole = ledger.read_bytes()
    try:
        ledger.write_bytes(b"".join(change(whole.splitlines(keepends=True))))
        stopped(erased_twice, "tombstones.ndjson was changed by something else than the hub: line ")
    finally:
        ledger.write_bytes(whole)


def test_a_lost_tombstone_ledger_stops_the_start(erased_twice: Path) -> None:
    ledger = erased_twice / "tombstones.ndjson"
    ledger.rename(erased_twice / "elsewhere")
    try:
        stopped(erased_twice, "tombstones.ndjson was changed")
    finally:
        (erased_twice / "elsewhere").rename(ledger)


@pytest.mark.parametrize("place", ["erasure-", "kek-1", "local", '"id"', '"hub', '"mac"', '"ledger":[2', '"wrapped"', '"body"'])
def test_a_changed_keyring_stops_the_start(erased_twice: Path, place: str) -> None:
    file = erased_twice / "keyring.json"
    whole = file.read_bytes()
    at = whole.find(place.encode()) + len(place) + 6
    other = b"A" if whole[at : at + 1] != b"A" else b"B"
    try:
        file.write_bytes(whole[:at] + other + whole[at + 1 :])
        stopped(erased_twice, "keyring")
    finally:
        file.write_bytes(whole)


def test_the_beginning_of_a_line_that_a_killed_process_left_stops_nothing(erased_twice: Path) -> None:
    ledger = erased_twice / "tombstones.ndjson"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + whole[:40])
    done = command(erased_twice, "--json", "doctor")
    ledger.write_bytes(whole)
    assert done.returncode == 0, done.stdout + done.stderr


def stopped(folder: Path, said: str) -> None:
    """The start is refused with one line that says it."""
    line = refused_start(folder)
    assert said in line
    assert "a defect of ours" not in line
