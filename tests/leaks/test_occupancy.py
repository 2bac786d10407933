"""Counts of people at venues, by every door: what lies in the same step of ten looks the same to others, whatever its centre knows beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from hub.store.parties import Party
from tests.builders import City, a_city
from tests.exchange.test_directory import Town, a_venue
from tests.exchange.test_occupancy import a_count
from tests.exchange.test_own_consent import PASSWORD, browsing
from tests.leaks.exits import Answer, told

DOORS = (
    "{report}", "{report}?_summary=true", "{report}?_elements=group", "{report}/_history", "{report}/_history/1", "{report}/_history/2", "{second}",
    "{second}/_history", "{report}/$validate", "MeasureReport?subject={venue}", "MeasureReport?subject={venue}&_summary=count",
    "MeasureReport?subject={venue}&_total=accurate&_count=1", "MeasureReport?reporter={centre}&_sort=-period,date", "MeasureReport?identifier={number}",
    "MeasureReport?subject={venue}&_include=MeasureReport:*", "MeasureReport?subject={venue}&period=2026-05-01", "Location?_id={place}",
    "MeasureReport?subject.name=二楼器械区&reporter={centre}", "Location?_id={place}&_revinclude=MeasureReport:subject",
    "Location?_id={place}&_has:MeasureReport:subject:identifier={number}", "MeasureReport?subject={venue}&_security=x",
    "MeasureReport?evaluated-resource=Patient/1",
)  # fmt: skip
"""Every way to ask for a count, of one centre or the other."""


def known(present: int, mean: float, word: str, more: list[dict[str, Any]], came: int = 0) -> list[list[dict[str, Any]]]:
    """What a centre sends: a count, its correction with all that may tell of figures, further counts of the same time, and how each who came changed it."""
    first = a_count(8, present=present + 3, source_record_id=f"N-{word}")
    second = a_count(8, present=present, peak=present + 10, mean=mean, visits=40 + present, capacity=60, note=word, source_record_id=f"N-{word}")
    third = second["record"] | {"modality": "sensed", "device": {"model": word}}
    more_came = [[{"record": third | {"visits": 40 + present + one}}] for one in range(1, came + 1)]
    return [[first], [{"record": third}], [a_count(8, 30, mean=mean), *more], *more_came]


CENTRES = {
    "one": known(1, 0.5, "alone", [a_count(8, 5, present=1), a_count(8, 180, visits=700)]),
    "nine": known(6, 9.5, "crowd", [a_count(8, 5, present=58, capacity=50)], came=3),
}
"""Two centres whose figures lie in the same steps, all but what only they may read."""


async def asked(city: City, headers: dict[str, str] | httpx.AsyncClient, names: dict[str, str]) -> list[Answer]:
    found = []
    for door in DOORS:
        method, path = "POST" if "$validate" in door else "GET", f"/fhir/{door.format(**names)}"
        http, said = (headers, {}) if isinstance(headers, httpx.AsyncClient) else (city.http, headers)
        answer = await http.request(method, path, headers=said)
        found.append(Answer(door, answer.status_code, tuple(answer.headers.multi_items()), answer.content.replace(names["number"].encode(), b"")))
    return found


async def sent(town: Town, party: Party, rows: list[list[dict[str, Any]]]) -> dict[str, str]:
    place = (await town.add(a_venue(), party))["id"]
    receipts = [(await town.city.upload(party, one)).json() for one in rows]
    references = [record["resources"][0] for receipt in receipts[1:] for record in receipt["records"]]
    number = rows[0][0]["record"]["source_record_id"]
    return {"report": references[0], "second": references[1], "place": place, "venue": f"Location/{place}", "centre": party.reference, "number": number}


def test_counts_in_the_same_steps_are_not_told_apart_by_anybody_else(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            town = Town(city, hub_url, tmp_path)
            town.hospital = await city.party("市第二医院", "hospital")
            centres = [await city.party("滨江健身馆", "fitness-center") for _ in CENTRES]
            names = [await sent(town, party, rows) for party, rows in zip(centres, CENTRES.values(), strict=True)]
            (tmp_path / "password").write_text(PASSWORD)
            resident = await city.resident()
            person = ("--name", "王秀英", "--role", "resident", "--resident", str(resident), "--password-file", str(tmp_path / "password"))
            await town.command("user", "add", "wang", *person)
            browser = await browsing(city, "wang")
            for reader in (await city.bearer(town.hospital), browser):
                one, nine = [await asked(city, reader, each) for each in names]
                assert [answer.asked for answer, a, b in zip(one, told(one), told(nine), strict=True) if a != b] == []
                assert not [answer.asked for answer in (*one, *nine) if any(word in answer.body for word in (b"alone", b"crowd"))]
                assert all(answer.status < 500 for answer in one)
                assert sum(answer.status == 200 for answer in one) > len(DOORS) / 2
            await browser.aclose()
            exact = [told(await asked(city, await city.bearer(party), each)) for party, each in zip(centres, names, strict=True)]
            assert sum(a != b for a, b in zip(*exact, strict=True)) > len(DOORS) / 2

    asyncio.run(work())


def test_who_comes_within_a_step_changes_nothing_that_others_read(hub_url: str, tmp_path: Path) -> None:
    """Neither the number of the version nor when it was stored, which are in no figure."""

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            town = Town(city, hub_url, tmp_path)
            centre, hospital = await city.party("滨江健身馆", "fitness-center"), await city.party("市第二医院", "hospital")
            names = await sent(town, centre, known(1, 0.5, "alone", []))
            reader = await city.bearer(hospital)
            seen = []
            for visits in (42, 43, 50, 51):
                count = a_count(8, present=1, visits=visits, source_record_id=names["number"])
                assert (await city.upload(centre, [count])).json()["status"] == "updated"
                answers = [await city.http.get(f"/fhir/{path}", headers=reader) for path in (names["report"], f"MeasureReport?subject={names['venue']}")]
                seen.append([(answer.headers.get("etag"), answer.headers.get("last-modified"), answer.content) for answer in answers])
            assert seen[0] == seen[1] != seen[2] == seen[3]
            exact = (await city.http.get(f"/fhir/{names['report']}", headers=await city.bearer(centre))).json()
            assert exact["meta"]["versionId"] == "6"

    asyncio.run(work())
