"""A fitness test by an edition that is not for the person's age is refused with its row; what edition it is, is never guessed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.builders import a_city, an_id_number


def a_test(edition: str | None = "GTZD-2023", **more: Any) -> dict[str, Any]:
    items = [{"measure": "sit-and-reach", "value": 3.5, "unit": "cm"}]
    return {"kind": "fitness-test", "start": "2026-05-01T09:00:00+08:00", "items": items, **({"edition": edition} if edition else {}), **more}


@pytest.mark.parametrize(
    ("born", "edition", "taken"),
    [
        ("1955-04-17", "GTZD-2023", True),
        ("1955-04-17", "国民体质测定标准（2003年）", False),
        ("2015-05-02", "GTZD-2023", False),
        ("1946-05-01", "GTZD-2023", False),
        ("1946-05-02", "GTZD-2023", True),
        ("1946-05-01", None, True),
    ],
)
def test_an_age_out_of_the_editions_bands_is_refused(hub_url: str, tmp_path: Path, born: str, edition: str | None, taken: bool) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            rows = {"records": [{"who": {"birth_date": born}, "record": a_test(edition)}, {"record": a_test(None, start="2026-05-02")}]}
            receipt = (await city.upload(center, rows, resident=resident)).json()
            assert len(receipt["records"]) == 1 + taken
            places = [(row["row"], row["field"], row["code"]) for row in receipt["rejected"]]
            assert places == ([] if taken else [(1, "birth_date", "age-band")])
            assert all("ages 3 to 6, 20 to" in row["advice"] for row in receipt["rejected"])

    asyncio.run(work())


def test_the_id_number_tells_the_age_as_well(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            rows = [{"who": {"id_number": an_id_number(7, "20120101")}, "record": a_test()}]
            answer = await city.upload(center, {"records": rows})
            assert (answer.status_code, answer.json()["code"]) == (422, "age-band")

    asyncio.run(work())


def test_an_edition_that_is_not_held_keeps_the_values_as_read_and_says_so(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            receipt = (await city.upload(center, {"record": a_test("2030 版", grade="良好")}, resident=resident)).json()
            (record,) = receipt["records"]
            assert {"edition-unknown"} == {warning["code"] for warning in record["warnings"]}
            report = (await city.get(center, f"DiagnosticReport/{record['record_id']}-1")).json()
            assert report["conclusion"] == "良好"
            found = (await city.get(center, "Observation", patient=f"Patient/{resident}")).json()
            assert [entry["resource"]["valueQuantity"]["value"] for entry in found["entry"]] == [3.5]

    asyncio.run(work())
