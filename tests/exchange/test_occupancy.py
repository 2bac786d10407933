"""How full venues are: counts come in by every door, keep their versions, and show others nothing finer than steps of ten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from hub.exchange import occupancy
from hub.store.parties import Party
from mappings import template_files
from schemas.records import STANDARD_VERSION
from tests.builders import a_city
from tests.exchange.test_directory import InTown, Town, a_venue

HOUR = {"start": "2026-05-01T08:00:00+08:00", "end": "2026-05-01T09:00:00+08:00"}
FULL = {"present": 41, "peak": 46, "mean": 38.5, "visits": 57, "capacity": 80, "counting": "gate"}


@pytest.fixture
def in_town(hub_url: str, tmp_path: Path) -> Callable[[Callable[[Town], Awaitable[None]]], None]:
    def run(work: Callable[[Town], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with a_city(hub_url, tmp_path) as city:
                town = await Town(city, hub_url, tmp_path).build()
                await town.add(a_venue())
                await work(town)

        asyncio.run(inside())

    return run


def a_count(hour: int = 8, minutes: int = 60, **more: Any) -> dict[str, Any]:
    """A count of an hour, or of some minutes, of the venue of `a_venue`."""
    end = hour * 60 + minutes
    times = {"start": f"2026-05-01T{hour:02}:00:00+08:00", "end": f"2026-05-01T{end // 60:02}:{end % 60:02}:00+08:00"}
    return {"record": {"kind": "venue-occupancy", "venue": "二楼器械区", **times, **more}}


async def sent(town: Town, *rows: dict[str, Any], status: int = 201, party: Party | None = None, **more: Any) -> dict[str, Any]:
    answer = await town.city.upload(party or town.center, list(rows), **more)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def scores(report: dict[str, Any]) -> dict[str, Any]:
    """Figure to its number, with its comparator where it has one."""
    groups = {group["code"]["coding"][0]["code"].removeprefix("occupancy-"): group["measureScore"] for group in report.get("group", ())}
    return {name: f"{score['comparator']}{score['value']}" if "comparator" in score else score["value"] for name, score in groups.items()}


async def listed(town: Town, party: Party, **parameters: Any) -> list[dict[str, Any]]:
    bundle = await town.got("MeasureReport", party, _total="accurate", **parameters)
    Bundle.model_validate(bundle)
    found = [entry["resource"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == "match"]
    assert bundle["total"] == len(found)
    return found


# What comes in


def test_a_count_is_stored_told_in_the_receipt_and_read_by_its_own_centre(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        receipt = await sent(town, a_count(**FULL, source_record_id="G-8", note="雨天"))
        (one,) = receipt["records"]
        assert (one["kind"], one["resident_id"], one["facts"]) == ("venue-occupancy", None, {"venue": "二楼器械区", **FULL})
        headers = await town.city.bearer(town.center, "intake.write")
        again = (await town.city.http.get(f"/intake/receipts/{receipt['receipt_id']}", headers=headers)).json()
        assert again == receipt
        report = await town.got(one["resources"][0], town.center)
        assert scores(report) == {name: value for name, value in FULL.items() if name != "counting"}
        location = (await listed_locations(town))[0]
        assert report["subject"] == {"type": "Location", "reference": f"Location/{location}", "display": "二楼器械区"}
        assert report["reporter"] == {"reference": town.center.reference, "display": "滨江健身馆"}
        assert (report["status"], report["type"], report["period"]) == ("complete", "summary", HOUR)
        assert (report["identifier"][0]["value"], report["meta"]["versionId"]) == ("G-8", "1")

    in_town(work)


async def listed_locations(town: Town) -> list[str]:
    return await town.found("Location", town.center)


def test_bad_rows_are_named_and_their_neighbours_stored(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        wrong = {
            "venue-unknown": a_count(9, venue="四楼", present=3), "out-of-range": a_count(10, present=-1), "schema": a_count(11, present=2.5),
            "end-before-start": a_count(12, -60, present=3), "no-values": a_count(13),
        }  # fmt: skip
        receipt = await sent(town, a_count(present=5), *wrong.values(), a_count(14, present=12), status=207)
        assert [(one["row"], one["code"]) for one in receipt["rejected"]] == list(enumerate(wrong, 2))
        assert {one["field"] for one in receipt["rejected"]} >= {"venue", "present", "end"}
        assert len(receipt["records"]) == len(await listed(town, town.center)) == 2

    in_town(work)


def test_more_people_than_the_venue_holds_are_flagged_and_not_refused(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        receipt = await sent(town, a_count(present=85, peak=90, mean=95, capacity=80))
        flags = [(one["code"], one["field"]) for one in receipt["records"][0]["warnings"]]
        assert flags == [("figures-disagree", "mean"), ("over-capacity", "present"), ("over-capacity", "peak")]

    in_town(work)


def test_a_time_without_a_zone_takes_the_partys_and_is_refused_where_there_is_none(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        times = {"start": "2026-05-01T08:00", "end": "2026-05-01T09:00"}
        receipt = await sent(town, a_count(present=12, **times))
        assert [one["code"] for one in receipt["records"][0]["warnings"]] == ["zone-assumed"]
        assert receipt["records"][0]["start"] == HOUR["start"]
        nowhere = await town.city.party("云上馆", "venue-platform", zone=None)
        await town.add(a_venue(), nowhere)
        receipt = await sent(town, a_count(present=12, **times), a_count(10, present=12), status=207, party=nowhere)
        assert [(one["row"], one["field"], one["code"]) for one in receipt["rejected"]] == [(1, "start", "no-zone")]

    in_town(work)


def test_the_same_again_is_a_duplicate_and_another_content_a_version(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        first = await sent(town, a_count(present=41))
        assert (await sent(town, a_count(present=41), a_count(present=41), status=200))["status"] == "duplicate"
        assert (await sent(town, a_count(present=41, venue="V-1", counting=None), status=200))["status"] == "duplicate"
        second = await sent(town, a_count(present=43))
        assert (second["status"], second["records"][0]["record_id"]) == ("updated", first["records"][0]["record_id"])
        reference = first["records"][0]["resources"][0]
        history = await town.got(f"{reference}/_history", town.center)
        assert [scores(entry["resource"]) for entry in history["entry"]] == [{"present": 43}, {"present": 41}]
        assert scores(await town.got(f"{reference}/_history/1", town.center)) == {"present": 41}
        named = await sent(town, a_count(present=20, source_record_id="G-1"), a_count(9, present=30, source_record_id="G-1"))
        assert len({one["record_id"] for one in named["records"]}) == 1
        assert [scores(one) for one in await listed(town, town.center)] == [{"present": 30}, {"present": 43}]

    in_town(work)


def test_what_was_entered_in_error_is_a_last_version_without_figures_for_others(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        await sent(town, a_count(present=41, source_record_id="G-1"))
        receipt = await sent(town, a_count(present=41, source_record_id="G-1", withdrawn=True))
        reference = receipt["records"][0]["resources"][0]
        shown = await town.got(reference)
        assert (shown["status"], scores(shown), shown["meta"]["versionId"]) == ("error", {}, "2")
        assert scores(await town.got(reference, town.center)) == {"present": 41}

    in_town(work)


def test_a_filled_in_template_is_taken_in_both_languages(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        for language, hour, counting in (("zh-CN", 8, "闸机"), ("en", 9, "Camera without recognition")):
            header, _ = template_files.as_csv("venue-occupancy", STANDARD_VERSION, language).decode("utf-8-sig").splitlines()
            row = ["", f"2026-05-01 {hour:02}:00", f"2026-05-01 {hour:02}:59", "", "", "二楼器械区", "41", "46", "", "57", "80", counting, ""]
            answer = await town.city.upload(town.center, f"{header}\n{','.join(row)}\n".encode(), format_="auto", filename="counts.csv")
            assert answer.status_code == 201, answer.text
            assert answer.json()["records"][0]["facts"]["counting"] == ("gate" if language == "zh-CN" else "camera")
        bad = ["", "2026-05-01 12:00", "", "", "", "二楼器械区", "2.5", "", "", "", "", "人脸识别", ""]
        answer = await town.city.upload(town.center, f"{header}\n{','.join(bad)}\n".encode(), format_="auto", filename="counts.csv")
        assert (answer.status_code, answer.json()["code"]) == (422, "not-a-number")

    in_town(work)


def test_a_measure_report_is_taken_and_comes_back_as_it_was(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        receipt = await sent(town, a_count(**FULL))
        report = await town.got(receipt["records"][0]["resources"][0], town.center)
        location = report["subject"]["reference"]
        other = report | {"subject": {"reference": location}, "period": {"start": "2026-05-01T10:00:00+08:00", "end": "2026-05-01T10:00:00+08:00"}}
        del other["meta"]
        answer = await town.city.upload(town.center, other, format_="fhir-r4")
        assert answer.status_code == 201, answer.text
        (one,) = answer.json()["records"]
        assert (one["end"], one["facts"]) == (None, {"venue": "二楼器械区", **FULL})
        seen = await town.got(one["resources"][0])
        answer = await town.city.upload(town.center, seen, format_="fhir-r4")
        assert (answer.status_code, answer.json()["code"]) == (422, "not-readable")

    in_town(work)


def test_a_command_takes_counts_too(in_town: InTown, tmp_path: Path) -> None:
    async def work(town: Town) -> None:
        file = tmp_path / "counts.json"
        file.write_text(json.dumps([a_count(present=41)]))
        done = await town.command("ingest", str(file), "--party", str(town.center.id))
        assert json.loads(done.stdout)["records"][0]["facts"]["present"] == 41

    in_town(work)


def test_counts_and_residents_records_come_in_one_file(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        resident = await town.city.resident()
        visit = {"record": {"kind": "check-in", "start": "2026-05-01T07:55:00+08:00", "venue": "二楼器械区"}}
        receipt = await sent(town, visit, a_count(present=41), resident=resident)
        assert [one["resident_id"] for one in receipt["records"]] == [str(resident), None]
        everything = await town.city.get(town.center, f"Patient/{resident}/$everything")
        assert "MeasureReport" not in everything.text

    in_town(work)


# What others see


@pytest.mark.parametrize(("figure", "shown"), [(0, "<10"), (9, "<10"), (9.9, "<10"), (10, ">=10"), (19, ">=10"), (20, ">=20"), (57, ">=50")])
def test_others_see_the_step_of_ten_that_a_figure_lies_in(figure: float, shown: str) -> None:
    said = occupancy.step(figure)
    assert f"{said['comparator']}{said['value']}" == shown


def test_others_see_no_figure_and_nothing_that_tells_of_one(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        words = {"note": "只来了一个人", "source_record_id": "N-1", "modality": "sensed", "device": {"model": "K2"}}
        receipt = await sent(town, a_count(present=1, peak=13, mean=8.5, visits=46, capacity=12, **words))
        seen = await town.got(receipt["records"][0]["resources"][0])
        assert scores(seen) == {"present": "<10", "peak": ">=10", "mean": "<10", "visits": ">=40", "capacity": 12}
        assert not {"identifier", "extension"} & set(seen)
        for other in (town.hospital, town.other):
            assert [scores(one) for one in await listed(town, other)] == [scores(seen)]

    in_town(work)


def test_a_second_count_of_the_same_time_is_the_centres_own(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        await sent(town, a_count(8, mean=12), a_count(9, mean=30))
        receipt = await sent(town, a_count(8, 30, mean=20), a_count(8, 180, mean=22), a_count(8, 60, mean=13, source_record_id="x"), a_count(10, mean=40))
        assert [one["period"]["start"][11:13] for one in await listed(town, town.hospital)] == ["10", "09", "08"]
        assert len(await listed(town, town.center)) == 6
        for one in receipt["records"][:3]:
            reference = one["resources"][0]
            for path in (reference, f"{reference}/_history", f"{reference}/_history/1"):
                assert (await town.city.get(town.hospital, path)).status_code == 404
            assert (await town.city.get(town.center, reference)).status_code == 200

    in_town(work)


def test_a_correction_shows_to_others_and_what_it_corrects_does_not(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        await sent(town, a_count(8, present=41, source_record_id="G-1"))
        receipt = await sent(town, a_count(8, present=62, source_record_id="G-1"))
        reference = receipt["records"][0]["resources"][0]
        history = await town.got(f"{reference}/_history")
        assert [scores(entry["resource"]) for entry in history["entry"]] == [{"present": ">=60"}]
        assert (await town.city.get(town.hospital, f"{reference}/_history/1")).status_code == 404
        await sent(town, a_count(8, 30, present=50, source_record_id="G-1"))
        assert await listed(town, town.hospital) == []

    in_town(work)


def test_no_search_of_others_tells_more_than_what_is_shown(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        await sent(town, a_count(present=1, source_record_id="N-1", note="一个人"))
        assert len(await listed(town, town.center, identifier="N-1")) == 1
        assert await listed(town, town.hospital, identifier="N-1") == []
        for asked in ({"_elements": "identifier,extension"}, {"_summary": "true"}, {"_include": "MeasureReport:*"}):
            text = (await town.city.get(town.hospital, "MeasureReport", **asked)).text
            assert "N-1" not in text
            assert "一个人" not in text

    in_town(work)


# Search


def test_counts_are_found_by_subject_reporter_period_and_date(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        pool = (await town.add(a_venue("泳池", "V-2")))["reference"]
        await sent(town, *(a_count(hour, present=20 + hour) for hour in range(8, 13)), a_count(8, venue="泳池", present=50))
        assert [scores(one) for one in await listed(town, town.hospital, subject=pool)] == [{"present": ">=50"}]
        assert len(await listed(town, town.hospital, subject=f"{pool},Location/{(await listed_locations(town))[-1]}")) == 6
        assert len(await listed(town, town.hospital, **{"subject:Location": pool.partition("/")[2]})) == 1
        assert len(await listed(town, town.hospital, reporter=town.center.reference)) == 6
        assert await listed(town, town.hospital, reporter=town.other.reference) == []
        assert len(await listed(town, town.hospital, period="ge2026-05-01T10:00:00+08:00")) == 3
        assert len(await listed(town, town.hospital, period="sa2026-05-01T10:59:59+08:00")) == 2
        assert len(await listed(town, town.hospital, date="2026-05-01T09:00:00+08:00")) == 2
        assert len(await listed(town, town.hospital, period="2026-05-01", status="complete")) == 6
        assert await listed(town, town.hospital, period="2026-05-02") == []
        assert len(await listed(town, town.hospital, subject=pool.partition("/")[2])) == 1
        for patient in ({"patient": pool.partition("/")[2]}, {"subject:Patient": pool.partition("/")[2]}):
            assert await listed(town, town.hospital, **patient) == []
        assert (await town.city.get(town.hospital, "MeasureReport", colour="red")).status_code == 400

    in_town(work)


def test_pages_follow_each_other_and_lead_to_the_venue(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        await sent(town, *(a_count(hour, present=30) for hour in range(8, 13)))
        seen: list[str] = []
        link: str | None = "MeasureReport?_count=2&_include=MeasureReport:subject"
        while link:
            bundle = await town.got(link)
            seen += [entry["resource"]["period"]["start"][11:13] for entry in bundle["entry"] if entry["search"]["mode"] == "match"]
            assert {entry["resource"]["resourceType"] for entry in bundle["entry"]} == {"MeasureReport", "Location"}
            link = next((one["url"].partition("/fhir/")[2] for one in bundle["link"] if one["relation"] == "next"), None)
        assert seen == ["12", "11", "10", "09", "08"]

    in_town(work)


def test_a_scope_of_another_type_reads_no_count(in_town: InTown) -> None:
    async def work(town: Town) -> None:
        receipt = await sent(town, a_count(present=30))
        headers = await town.city.bearer(town.hospital, "system/Location.rs")
        for path in (receipt["records"][0]["resources"][0], "MeasureReport"):
            assert (await town.city.http.get(f"/fhir/{path}", headers=headers)).status_code == 403
            assert (await town.city.http.get(f"/fhir/{path}")).status_code == 401
        assert (await town.city.get(town.hospital, "MeasureReport/no-id-of-ours")).status_code == 404

    in_town(work)
