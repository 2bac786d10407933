"""`kinehub records upgrade`: what an older release stored is brought to this one as new versions. The older release is a copy of the
rooms with a few words changed, run as a process of its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.base import Context, Decoded, adapter
from hub.intake.upload import draft
from hub.store.parties import Party
from hub.store.writer import Renewed, Upload
from tests.builders import City, a_city, a_pressure, a_session

ROOT = Path(__file__).parents[2]
ROOMS = ("hub", "adapters", "mappings", "consent", "schemas")
SERIES = {"heart_rate": {"interval_s": 1, "values": [92, 93, None, 95, 101, 99]}}
Cli = Callable[..., Any]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.fixture
def cli(hub_url: str, tmp_path: Path) -> Cli:
    """The command line of this release, or of the one whose rooms lie in `home`; its JSON."""
    environment = os.environ | {"KINEHUB_KEYRING": str(tmp_path / "keyring.json")}

    def call(*words: str, home: Path = ROOT) -> Any:
        command = [sys.executable, "-m", "hub", "--database-url", hub_url, "--data-dir", str(tmp_path), "--json", *words]
        done = subprocess.run(command, cwd=home, env=environment | {"PYTHONPATH": str(home)}, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture
def older(tmp_path: Path) -> Callable[..., Path]:
    """A release in which some files said something else: path, text of today, text of then."""

    def made(*edits: tuple[str, str, str]) -> Path:
        home = tmp_path / "older"
        for room in ROOMS:
            shutil.copytree(ROOT / room, home / room, ignore=shutil.ignore_patterns("__pycache__"))
        for name, today, then in edits:
            text = (home / name).read_text(encoding="utf-8")
            assert today in text
            (home / name).write_text(text.replace(today, then, 1), encoding="utf-8")
        return home

    return made


async def _stored_by(city: City, cli: Cli, home: Path, rows: list[dict[str, Any]], *, zone: str | None = "Asia/Shanghai") -> tuple[Party, UUID, list[str]]:
    """A centre, a resident, and the ids of the records that the release in `home` stored for them."""
    center = await city.party("Center", "fitness-center", zone=zone)
    resident = await city.resident()
    file = home / "upload.json"
    file.write_text(json.dumps({"records": rows}))
    receipt = await asyncio.to_thread(cli, "ingest", str(file), "--party", str(center.id), "--resident", str(resident), home=home)
    assert receipt["status"] == "stored", receipt
    return center, resident, [record["record_id"] for record in receipt["records"]]


async def _upgraded(cli: Cli, *words: str) -> Any:
    return await asyncio.to_thread(cli, "records", "upgrade", *words)


def _made_by(provenance: dict[str, Any]) -> dict[str, str]:
    return {said["url"]: said["valueString"] for said in provenance["extension"][0]["extension"]}


def test_a_newer_mapping_makes_new_versions_and_keeps_the_old(hub_url: str, tmp_path: Path, cli: Cli, older: Callable[..., Path]) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            home = older(
                ("mappings/fhir/session.yaml", "\nversion: 1.", "\nversion: 0."), ("schemas/codes.csv", "运动记录", "锻炼"),
            )  # fmt: skip
            center, resident, (session, vital) = await _stored_by(city, cli, home, [a_session() | {"series": SERIES}, a_pressure()])
            group, samples = f"Observation/{session}-1", f"Observation/{session}-61"
            before, curve = (await city.get(center, group)).json(), (await city.get(center, samples)).json()
            assert before["code"]["text"] == "锻炼"
            assert await _upgraded(cli, "--dry-run") == {"checked": 3, "current": 2, "upgraded": 1}
            assert (await city.get(center, group)).json() == before
            assert await _upgraded(cli) == {"checked": 3, "current": 2, "upgraded": 1}
            after = (await city.get(center, group)).json()
            assert (after["code"]["text"], after["meta"]["versionId"]) == ("运动记录", "2")
            assert (await city.get(center, f"{group}/_history/1")).json() == before
            assert (await city.get(center, samples)).json()["valueSampledData"] == curve["valueSampledData"]
            assert (await city.get(center, f"Observation/{session}-4")).json()["meta"]["versionId"] == "1"
            assert (await city.get(center, f"Observation/{vital}-1")).json()["meta"]["versionId"] == "1"
            said = [(await city.get(center, f"Provenance/{session}-0{version}")).json() for version in ("", "/_history/1")]
            assert [_made_by(one)["mapping"].split()[1].split(".")[0] for one in said] == ["1", "0"]
            assert said[0]["entity"] == said[1]["entity"]
            assert await _upgraded(cli) == {"checked": 3, "current": 3, "upgraded": 0}
            again = await city.upload(center, {"records": [a_session() | {"series": SERIES}]}, resident=resident)
            assert again.json()["status"] == "duplicate"
            assert {session, vital} == {identity[:36] for identity in await city.shown(center, resident)}

    run(work())


def test_a_resident_gets_the_patient_that_the_mapping_makes_today(hub_url: str, tmp_path: Path, cli: Cli, older: Callable[..., Path]) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            home = older(("mappings/resident.py", "None if resident.birth_date else NOT_KNOWN", "None"))
            added = await asyncio.to_thread(cli, "resident", "add", "--name", "赵大爷", "--phone", "19900000077", home=home)
            hospital, resident = await city.party("Hospital", "hospital"), UUID(added["resident_id"])
            await city.grant(resident, hospital, "identity")
            before = (await city.get(hospital, f"Patient/{resident}")).json()
            assert "_birthDate" not in before
            assert await _upgraded(cli) == {"checked": 1, "current": 0, "upgraded": 1}
            after = (await city.get(hospital, f"Patient/{resident}")).json()
            assert after["_birthDate"]["extension"][0]["valueCode"] == "unknown"
            assert (after["name"], after["meta"]["versionId"]) == (before["name"], "2")
            assert (await city.get(hospital, f"Patient/{resident}/_history/1")).json() == before
            assert await _upgraded(cli) == {"checked": 1, "current": 1, "upgraded": 0}

    run(work())


def test_a_newer_adapter_reads_the_kept_original_again(hub_url: str, tmp_path: Path, cli: Cli, older: Callable[..., Path]) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            home = older(("adapters/kinehub_json.py", '\nversion = "', '\nversion = "0.'))
            row = a_session() | {"record": a_session()["record"] | {"start": "2026-05-01T08:00:00", "end": "2026-05-01T08:40:00"}}
            center, _, (session,) = await _stored_by(city, cli, home, [row], zone=None)
            group = f"Observation/{session}-1"
            assert (await city.get(center, group)).json()["effectivePeriod"]["start"] == "2026-05-01"
            async with city.hub.database.connection() as connection:
                await connection.execute("UPDATE parties SET zone = 'Asia/Shanghai' WHERE id = $1", center.id)
            assert await _upgraded(cli) == {"checked": 2, "current": 1, "upgraded": 1}
            after = (await city.get(center, group)).json()
            assert after["effectivePeriod"] == {"start": "2026-05-01T08:00:00+08:00", "end": "2026-05-01T08:40:00+08:00"}
            assert "zone-assumed" in json.dumps(after["extension"])
            provenance = (await city.get(center, f"Provenance/{session}-0")).json()
            assert not _made_by(provenance)["adapter"].split()[1].startswith("0.")

    run(work())


def test_without_its_original_a_record_stays_as_its_adapter_read_it(hub_url: str, tmp_path: Path, cli: Cli, older: Callable[..., Path]) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            home = older(("adapters/kinehub_json.py", '\nversion = "', '\nversion = "0.'), ("mappings/fhir/vital.yaml", "\nversion: 1.", "\nversion: 0."))
            center, _, (session, vital) = await _stored_by(city, cli, home, [a_session(), a_pressure()])
            async with city.hub.database.connection() as connection:
                await connection.execute("DELETE FROM originals")
            assert await _upgraded(cli) == {"checked": 3, "current": 1, "upgraded": 1, "without-original": 2}
            said = [_made_by((await city.get(center, f"Provenance/{one}-0")).json()) for one in (session, vital)]
            assert all(one["adapter"].split()[1].startswith("0.") for one in said)
            assert said[1]["mapping"].split()[1].startswith("1.")
            assert await _upgraded(cli) == {"checked": 3, "current": 1, "upgraded": 0, "without-original": 2}

    run(work())


def test_what_the_original_does_not_say_any_more_is_left_and_counted(hub_url: str, tmp_path: Path, cli: Cli, older: Callable[..., Path]) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            wider = "kg,vital-signs,health-check,1,160,1,400,"
            home = older(("adapters/kinehub_json.py", '\nversion = "', '\nversion = "0.'), ("schemas/measures.csv", wider, f"{wider[:-1]}0,"))
            heavy = {"record": {"kind": "vital", "measure": "body-weight", "start": "2026-05-02T09:00:00+08:00", "value": 3000, "unit": "kg"}}
            center, resident, (vital,) = await _stored_by(city, cli, home, [heavy])
            assert await _upgraded(cli) == {"checked": 2, "current": 1, "upgraded": 0, "refused": 1}
            assert (await city.get(center, f"Observation/{vital}-1")).json()["meta"]["versionId"] == "1"
            assert await city.shown(center, resident) == {f"{vital}-1"}

    run(work())


def test_a_correction_is_not_overtaken_by_an_upgrade(hub_url: str, tmp_path: Path, cli: Cli, older: Callable[..., Path]) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            home = older(("adapters/kinehub_json.py", '\nversion = "', '\nversion = "0.'))
            center, resident, (session,) = await _stored_by(city, cli, home, [a_session() | {"series": SERIES}])
            corrected = await city.upload(center, a_session(hr_avg=131), resident=resident)
            assert corrected.json()["status"] == "updated"
            assert await _upgraded(cli) == {"checked": 2, "current": 2, "upgraded": 0}
            mean = (await city.get(center, f"Observation/{session}-8")).json()
            assert mean["valueQuantity"]["value"] == 131

    run(work())


def test_a_version_that_is_there_no_more_is_not_renewed(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            receipt = (await city.upload(center, a_session(), resident=resident)).json()
            await city.upload(center, a_session(hr_avg=131), resident=resident)
            async with city.hub.database.connection() as connection:
                row = await connection.fetchrow("SELECT id, natural_key FROM records WHERE resident = $1 AND version = 2", resident)
            decoded = next(one for one in adapter("kinehub-json").decode(io.BytesIO(json.dumps(a_session()).encode()), Context()) if isinstance(one, Decoded))
            made = draft(decoded, resident, center, adapter("kinehub-json"), "Asia/Shanghai", original=None, named={})
            made.record_id, made.renews = row["id"], Renewed(row["natural_key"], 1)
            await city.hub.writing.put(Upload([made], lambda _: []))
            assert made.outcome is not None
            assert made.outcome.status == "overtaken"
            mean = (await city.get(center, f"Observation/{receipt['records'][0]['record_id']}-8")).json()
            assert (mean["valueQuantity"]["value"], mean["meta"]["versionId"]) == (131, "2")

    run(work())
