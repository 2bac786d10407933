"""The quality worker over real uploads: what it finds, where that shows, and what it leaves alone. Real Great Expectations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders import City, a_city, a_session

pytest.importorskip("great_expectations", reason="great_expectations is not installed: pip install -e '.[quality]'")

from hub.quality import runs

SOON = timedelta(0)


def at(days: int, hour: int = 8) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).replace(hour=hour, minute=0, second=0, microsecond=0).isoformat()


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    """Sessions of 40 minutes on days of their own."""
    return [a_session(at(2 + number), 40, **more) for number in range(count)]


async def judged(city: City) -> list[runs.Run]:
    return await runs.judge_due(city.hub, quiet=SOON)


async def receipt_now(city: City, party: Any, receipt: dict[str, Any]) -> dict[str, Any]:
    answer = await city.http.get(f"/intake/receipts/{receipt['receipt_id']}", headers=await city.bearer(party, "intake.write"))
    return dict(answer.json())


def codes(record: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in record["warnings"]]


def tags(resources: Iterable[dict[str, Any]]) -> set[str]:
    return {tag["code"] for resource in resources for tag in resource["meta"].get("tag", ())}


def test_defects_of_a_batch_are_flagged_on_the_receipt_and_in_fhir_and_scored(hub_url: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, hospital = await city.party("中心", "fitness-center"), await city.party("医院", "hospital")
            resident = await city.resident(birth_date=datetime(1950, 1, 1, tzinfo=UTC).date())
            await city.grant(resident, hospital)
            good = rows(22, distance_m=5000, energy_kcal=300)
            bad = [
                a_session(at(60), 40, distance_m=90_000),
                a_session(at(61), 40, distance_m=5.2),
                a_session(at(62), 40, energy_kcal=9000),
                a_session(at(63), 40, hr_max=200),
                a_session(at(64), 40, timer_s=4000),
                a_session(at(65), 40, source_record_id="a"),
                a_session(at(65), 40, source_record_id="b"),
            ]
            receipt = (await city.upload(center, {"records": [*good, *bad]}, resident=resident)).json()
            before = (await city.get(hospital, "Observation", patient=str(resident), _count=1000)).json()
            assert "quality" not in receipt
            (run,) = await judged(city)
            assert (run.records, run.flagged, run.degraded) == (29, 7, False)
            assert run.score is not None
            assert 80 < run.score < 100
            assert await judged(city) == []
            now = await receipt_now(city, center, receipt)
            assert now["quality"] == {"run": str(run.id), "score": run.score, "report": f"/center/quality/{run.id}"}
            assert [codes(record) for record in now["records"]] == [[]] * 22 + [
                ["implausible"], ["unit-doubtful"], ["unit-doubtful"], ["implausible"], ["figures-disagree"], ["same-moment"], ["same-moment"],
            ]  # fmt: skip
            after = (await city.get(hospital, "Observation", patient=str(resident), _count=1000)).json()
            found = [entry["resource"] for entry in after["entry"]]
            assert tags(found) == {"implausible", "unit-doubtful", "figures-disagree", "same-moment"}
            assert tags(entry["resource"] for entry in before["entry"]) == set()
            tagged = (await city.get(hospital, "Observation", patient=str(resident), _tag="same-moment")).json()
            assert tagged["total"] == 2
            assert {r["id"]: r["meta"]["versionId"] for r in found} == {e["resource"]["id"]: e["resource"]["meta"]["versionId"] for e in before["entry"]}

    asyncio.run(body())
