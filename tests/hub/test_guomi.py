"""The suite `guomi` from the first start to the last erasure: a real hub under KINEHUB_CRYPTO=guomi, asked over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from hub.store import postgres
from hub.store.seal import SUITES
from tests.builders import a_session
from tests.process import a_hub, command

SEALED = {"records": "body", "record_history": "body", "originals": "body", "series": "body", "data_keys": "wrapped", "holds": "body"}


def heads(dsn: str) -> dict[str, set[bytes]]:
    """How the sealed values of each table begin."""

    async def fetch() -> dict[str, set[bytes]]:
        connection = await asyncpg.connect(dsn)
        try:
            return {
                table: {bytes(row[0]) for row in await connection.fetch(f"SELECT substr({column}, 1, 2) FROM {table}")} for table, column in SEALED.items()
            }
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_the_main_job_under_guomi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINEHUB_CRYPTO", "guomi")
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        city.add_party("hospital", "Hospital", "hospital")
        resident, other = city.resident("Resident 2", 2), city.resident("Resident 3", 3)
        for who in (resident, other):
            city.upload("center", a_session(), who)
        city.cli("sample-files", str(tmp_path / "samples"))
        fit = (tmp_path / "samples" / "fit.fit").read_bytes()
        ride = city.http.post("/intake/fit", params={"resident": resident}, content=fit, headers=city.bearer("center", "intake.write"))
        assert ride.status_code == 201, ride.text
        assert city.shown("hospital", resident) == set()
        consent = city.grant(resident, "hospital")
        seen = city.shown("hospital", resident)
        assert seen == city.shown("center", resident) != set()
        city.cli("backup", str(file))
        held = city.cli("resident", "hold", resident, "--reason", "case 12")["hold_id"]
        assert city.cli("keys", "rotate", "--erasure")["rewrapped"] >= 2
        assert city.shown("hospital", resident) == seen
        with postgres.connect(city.folder) as dsn:
            assert heads(dsn) == {table: {bytes((1, SUITES.index("guomi")))} for table in SEALED} | {"record_history": set()}
        city.cli("consent", "withdraw", "--resident", resident, consent)
        assert city.shown("hospital", resident) == set()
        city.cli("restore", str(file))
        assert city.shown("hospital", resident) == set()
        assert city.shown("center", resident) == seen
        assert command(city.folder, "resident", "erase", resident).returncode == 1
        city.cli("resident", "release", resident, held)
        city.cli("resident", "erase", resident)
        assert city.shown("center", resident) == set()
        assert city.shown("center", other) != set()
        assert city.audit()["intact"]
        assert all(found["ok"] for found in city.cli("doctor"))
        monkeypatch.setenv("KINEHUB_CRYPTO", "international")
        done = command(city.folder, "doctor")
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)
        assert "this keyring was made with guomi" in done.stderr
        monkeypatch.delenv("KINEHUB_CRYPTO")
        assert city.stop() == 0
        city.again()
        assert city.shown("center", other) != set()
