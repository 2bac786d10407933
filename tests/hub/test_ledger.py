"""A ledger only grows: an entry that comes again with another content is refused with its row, and what is stored stays."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tests.builders import City, a_city, a_session


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def an_entry(delta: float = 20, number: str | None = "PT-9", **more: Any) -> dict[str, Any]:
    made = {"kind": "points", "start": "2026-05-01T10:00:00+08:00", "delta": delta, "reason": "完成一次锻炼", **more}
    return {"record": made | ({"source_record_id": number} if number else {})}


async def _ledger(city: City, party: Any, resident: Any) -> list[tuple[float, str]]:
    bundle = (await city.get(party, "Basic", patient=f"Patient/{resident}")).json()
    return sorted((one["resource"]["extension"][0]["valueDecimal"], one["resource"]["meta"]["versionId"]) for one in bundle.get("entry", ()))


def test_an_entry_sent_again_with_another_content_is_refused_and_the_first_stays(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            assert (await city.upload(center, an_entry(), resident=resident)).status_code == 201
            again = await city.upload(center, {"records": [a_session(), an_entry(500)]}, resident=resident)
            assert again.status_code == 207
            assert [record["kind"] for record in again.json()["records"]] == ["session"]
            (rejected,) = again.json()["rejected"]
            assert (rejected["row"], rejected["field"], rejected["code"]) == (2, "source_record_id", "append-only")
            assert "entry with an id of its own" in rejected["advice"]
            alone = await city.upload(center, an_entry(500), resident=resident)
            assert alone.status_code == 422
            assert alone.json()["code"] == "append-only"
            assert await _ledger(city, center, resident) == [(20, "1")]

    run(work())


def test_the_same_entry_again_is_a_repeat_and_a_correction_is_an_entry(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            assert (await city.upload(center, an_entry(), resident=resident)).status_code == 201
            assert (await city.upload(center, {"records": [an_entry()]}, resident=resident)).json()["status"] == "duplicate"
            assert (await city.upload(center, an_entry(-5, "PT-10"), resident=resident)).status_code == 201
            assert await _ledger(city, center, resident) == [(-5, "1"), (20, "1")]

    run(work())


def test_two_contents_of_one_entry_in_a_file_keep_the_first(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            rows = [an_entry(20, None), an_entry(30, None), an_entry(20, None)]
            receipt = (await city.upload(center, {"records": rows}, resident=resident)).json()
            assert [(row["row"], row["field"], row["code"]) for row in receipt["rejected"]] == [(2, "start", "append-only")]
            assert await _ledger(city, center, resident) == [(20, "1")]

    run(work())


def test_contents_that_meet_at_the_same_moment_store_one(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            answers = await asyncio.gather(*(city.upload(center, an_entry(delta), resident=resident) for delta in range(1, 9)))
            stored, *refused = sorted(answers, key=lambda answer: answer.status_code)
            assert stored.status_code == 201
            assert [answer.json()["code"] for answer in refused] == ["append-only"] * 7
            assert [version for _, version in await _ledger(city, center, resident)] == ["1"]

    run(work())


def test_every_other_kind_keeps_a_change_as_a_version(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            assert (await city.upload(center, a_session(source_record_id="S-1"), resident=resident)).status_code == 201
            assert (await city.upload(center, a_session(source_record_id="S-1", note="更正"), resident=resident)).json()["status"] == "updated"

    run(work())
