"""Every shared sample of this issue's formats over HTTP: its status, facts, warnings or refusal as expected.json says.

The folder is named by KINEHUB_SAMPLES, or is ../shared/samples beside the project. Without it the module is skipped, except
in CI, where its absence is a failure. Samples are real traces of people: nothing of them is copied into the project.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.builders import City, a_city
from tests.shared import SAMPLES as FOLDER

if not (FOLDER / "expected.json").exists():
    if os.environ.get("CI"):
        raise FileNotFoundError(f"In CI the samples must be there: {FOLDER}")
    pytest.skip(f"no samples at {FOLDER}; name them with KINEHUB_SAMPLES", allow_module_level=True)

FORMATS = {"FIT": "fit", "TCX": "tcx", "GPX": "gpx", "HL7 v2 ORU^R01": "hl7v2", "Open mHealth": "open-mhealth", "FHIR Observation (PHD)": "fhir-r4"}
CASES = {case["file"]: case for case in json.loads((FOLDER / "expected.json").read_text()) if case["format"] in FORMATS}

SPORTS = {"Biking": "cycling", "Other": "other", "run": "running", "unknown": None, "fitness_equipment": "indoor_rowing"}
"""The source's word -> the standard's; any other word is the same in both."""

FACTS = {
    "elapsed_s": "elapsed_s", "timer_s": "timer_s", "distance_m": "distance_m", "energy_kcal": "energy_kcal", "avg_hr": "hr_avg", "max_hr": "hr_max",
    "avg_power_w": "power_avg_w", "pool_length_m": "pool_length_m", "met": "met", "laps": "laps", "points": "samples", "trackpoints": "samples",
    "records": "samples", "hr_samples_valid": "hr_samples", "gps_records": "gps_samples", "with_position": "gps_samples", "name": "title",
    "manufacturer": "manufacturer", "device": "model",
}  # fmt: skip
"""Names of expected.json -> names in a receipt."""

TOLERANCES = {
    "elapsed_s": 1.0, "timer_s": 1.0, "hr_avg": 1.0, "hr_max": 1.0, "met": 0.01, "pool_length_m": 0.01, "energy_kcal": 0.5, "power_avg_w": 1.0,
}  # fmt: skip
"""MANIFEST.md: seconds 1 s, averages 1 bpm; distances apart, counts exactly."""

MAY_WARN = {"distance-not-measured", "distance-computed"}
"""What an `accept` may carry: MANIFEST.md asks for the first, and the second names a figure that the file does not hold."""

DEFECTS = {
    "fit_onelap_indoor_hr_zero.fit": {"heart-rate-not-measured", "end-from-duration", "figures-disagree", "position-virtual"},
    "fit_pm5_indoor_rowing_devfields.fit": {"distance-not-measured", "developer-field"},
    "tcx_mapmyride_no_hr_microseconds.tcx": {"value-rounded", "sample-empty", "implausible"},
    "gpx_local_offset_0115.gpx": {"activity-empty"},
    "gpx_multi_track.gpx": {"track-without-times", "track-empty"},
    "gpx_no_times.gpx": {"track-without-times"},
    "hl7_oru_comen_monitor_mdc.hl7": {"value-missing", "not-a-measure", "duplicate-probe"},
    "hl7_oru_glucose_sn.hl7": {"unit-normalized", "code-system-assumed"},
    "hl7_oru_loinc_vitals_no_time.hl7": {"time-from-header", "zone-unknown", "unit-converted", "unit-normalized"},
}
"""The defects of each `accept_with_warnings`, by the code that must name them."""

REFUSALS = {
    "fit_fr70_relative_timestamps.fit": ("clock-relative", "session.start_time"),
    "omh_blood_pressure_4.0_fail_unit.json": ("unit", "systolic_blood_pressure.unit"),
    "omh_heart_rate_2.0_fail_unit.json": ("unit", "heart_rate.unit"),
    "omh_oxygen_saturation_2.0_fail_no_time.json": ("required", "effective_time_frame"),
}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def near(name: str, found: Any, expected: Any, *, computed: bool) -> bool:
    """Whether a fact is within MANIFEST.md's tolerance; a short computed distance may differ by its rounding to 0.1 m."""
    if name == "distance_m":
        return bool(abs(found - expected) <= (max(0.05, expected * 0.005) if computed else max(0.5, expected * 0.001)))
    if name in TOLERANCES:
        return bool(abs(found - expected) <= TOLERANCES[name])
    return bool(found == expected)


def check_session(record: dict[str, Any], wanted: dict[str, Any], offset: int | None) -> None:
    facts, codes = record["facts"], {warning["code"] for warning in record["warnings"]}
    start, end = instant(record["start"]), instant(record["end"])
    assert record["local_offset_minutes"] == offset
    assert abs(start - instant(wanted["start_utc"])) <= timedelta(seconds=1)
    assert abs(end - start - timedelta(seconds=facts["elapsed_s"])) <= timedelta(seconds=1)
    if "end_utc" in wanted:
        assert abs(end - instant(wanted["end_utc"])) <= timedelta(seconds=1)
    assert facts.get("sport") == SPORTS.get(wanted.get("sport", "unknown"), wanted.get("sport"))
    for theirs, ours in FACTS.items():
        if wanted.get(theirs) is not None:
            assert near(ours, facts[ours], wanted[theirs], computed="distance-computed" in codes), ours
    for theirs, ours in (("avg_hr", "hr_avg"), ("max_hr", "hr_max"), ("energy_kcal", "energy_kcal")):
        if wanted.get(theirs) is None:
            assert ours not in facts
    if "steps_or_strokes" in wanted:
        assert facts.get("strokes", facts.get("steps")) == wanted["steps_or_strokes"]
    assert facts.get("distance_m") != 0 or wanted.get("distance_m") == 0


def quantities(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every value of the records, components apart."""
    return [value for record in records for value in record["facts"].get("components", [record["facts"]])]


def check_results(records: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """HL7: each expected result is there in its standard unit, and nothing else is."""
    found = {(value["code"], value["value"], value["unit"]) for value in quantities(records)}
    wanted = {
        (result.get("loinc") or result["code"], float(result.get("value_cel", result["value"])), "Cel" if "value_cel" in result else result["unit"])
        for result in facts["observations"]
    }
    assert found == wanted
    codes = {value["code"]: value.get("mdc") for value in quantities(records)}
    assert all(codes[result["loinc"]] == result["mdc"] for result in facts["observations"] if "mdc" in result)
    moments = {result["time"] for result in facts["observations"] if "time" in result} or {facts.get("time")}
    for record in records:
        assert record["local_offset_minutes"] == facts["local_offset_minutes"]
        if "msh_time_local" in facts:
            assert record["start"] == facts["msh_time_local"]
        else:
            assert {instant(record["start"])} == {instant(moment) for moment in moments if moment}


def check_point(records: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Open mHealth: one data point."""
    (record,) = records
    assert record["local_offset_minutes"] == facts["local_offset_minutes"]
    if "activities" in facts:
        check_session(record, facts["activities"][0], facts["local_offset_minutes"])
    elif "observations" in facts:
        (wanted,) = facts["observations"]
        for value in quantities(records):
            assert value["value"] == wanted[value["measure"]]
        assert len(quantities(records)) == 2
        for ours, theirs in (("code", "code"), ("posture", "posture"), ("body_site", "site")):
            assert record["facts"][ours] == wanted[theirs]
        assert {value["unit"] for value in quantities(records)} == {"mm[Hg]"}
        assert instant(record["start"]) == instant(wanted["time"])
    else:
        assert (record["facts"]["measure"], record["facts"]["value"]) == ("steps", facts["value"])
        assert (instant(record["start"]), instant(record["end"])) == (instant(facts["start"]), instant(facts["end"]))


def check_phd(records: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """A gateway's Observation: each value by its MDC code, in UCUM without annotations."""
    assert {(value["mdc"], value["value"], value["unit"]) for value in quantities(records)} == {
        (result["mdc"], float(result["value"]), result["unit"]) for result in facts["observations"]
    }
    loincs = {value["mdc"]: value["code"] for value in quantities(records)}
    assert all(loincs[result["mdc"]] == result["loinc"] for result in facts["observations"] if "loinc" in result)
    (record,) = records
    assert (record["local_offset_minutes"], instant(record["start"])) == (facts["local_offset_minutes"], instant(facts["time"]))


def check_track(records: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """A file of activities, or the one of whose eight tracks only five points have times."""
    wanted = facts.get("activities") or [
        {"start_utc": facts["first_time_utc"], "end_utc": facts["last_time_utc"], "points": facts["timed_points"], "sport": "unknown"}
    ]
    assert len(records) == len(wanted)
    for record, activity in zip(records, wanted, strict=True):
        check_session(record, activity, facts["local_offset_minutes"])


def check_fit(records: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    whole = {name: value for name, value in facts.items() if name in FACTS}
    assert len(records) == len(facts["sessions"]) == 1
    check_session(records[0], whole | facts["sessions"][0], facts["local_offset_minutes"])


CHECKS = {
    "FIT": check_fit, "TCX": check_track, "GPX": check_track, "HL7 v2 ORU^R01": check_results, "Open mHealth": check_point,
    "FHIR Observation (PHD)": check_phd,
}  # fmt: skip


async def uploaded(city: City, file: str, format_: str, order: int, zone: str | None = None) -> tuple[Any, UUID, set[str]]:
    """The answer to one sample for a new resident, and what its sender can then read of them."""
    sender = await city.party("Sender", "wearable-cloud", zone=zone)
    resident = await city.resident(order=order)
    answer = await city.upload(sender, (FOLDER / file).read_bytes(), resident=resident, format_=format_)
    return answer, resident, await city.shown(sender, resident)


@pytest.mark.parametrize("file", [name for name, case in CASES.items() if case["expect"] != "reject"])
def test_a_sample_gives_its_facts_and_names_its_defects(hub_url: str, tmp_path: Path, file: str) -> None:
    case = CASES[file]

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            for order, format_ in enumerate(("auto", FORMATS[case["format"]]), 2):
                answer, resident, shown = await uploaded(city, file, format_, order)
                receipt = answer.json()
                assert (answer.status_code, receipt["status"], receipt["format"]) == (201, "stored", FORMATS[case["format"]])
                assert (receipt["rejected"], receipt["pending"]) == ([], [])
                assert {record["resident_id"] for record in receipt["records"]} == {str(resident)}
                named = {reference for record in receipt["records"] for reference in record["resources"]}
                assert {f"Observation/{id_}" for id_ in shown} <= named
                assert shown
                CHECKS[case["format"]](receipt["records"], case["facts"])
                warned = {warning["code"] for record in receipt["records"] for warning in record["warnings"]}
                assert warned <= MAY_WARN if case["expect"] == "accept" else warned >= DEFECTS[file]

    asyncio.run(work())


@pytest.mark.parametrize("file", [name for name, case in CASES.items() if case["expect"] == "reject"])
def test_a_sample_that_cannot_be_used_is_refused_by_its_cause(hub_url: str, tmp_path: Path, file: str) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            for order, format_ in enumerate(("auto", FORMATS[CASES[file]["format"]]), 2):
                answer, _, shown = await uploaded(city, file, format_, order)
                problem = answer.json()
                assert answer.status_code == 422
                assert answer.headers["content-type"] == "application/problem+json"
                assert (problem["code"], problem["field"]) == REFUSALS[file]
                assert problem["title"]
                assert shown == set()

    asyncio.run(work())


def test_a_clock_relative_to_power_up_is_anchored_only_in_a_known_zone(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            answer, _, shown = await uploaded(city, "fit_fr70_relative_timestamps.fit", "auto", 2, zone="Europe/Berlin")
            if answer.status_code == 422:
                assert shown == set()
                return
            (record,) = answer.json()["records"]
            assert record["start"].startswith("2012-02-13T11:23:5")
            assert record["warnings"]

    asyncio.run(work())


def test_two_activities_of_one_device_and_hour_stay_two_and_a_repeat_adds_nothing(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            sender = await city.party("Sender", "wearable-cloud", zone=None)
            resident = await city.resident()
            files = [(FOLDER / name).read_bytes() for name in ("fit_fenix5_run.fit", "fit_fenix5_walk.fit")]
            first = [await city.upload(sender, file, resident=resident, format_="auto") for file in files]
            shown = await city.shown(sender, resident)
            again = [await city.upload(sender, file, resident=resident, format_="auto") for file in files]
            assert [answer.status_code for answer in (*first, *again)] == [201, 201, 200, 200]
            assert len({answer.json()["records"][0]["record_id"] for answer in (*first, *again)}) == 2
            assert await city.shown(sender, resident) == shown

    asyncio.run(work())


def test_what_a_manifest_forbids_is_not_on_any_face(hub_url: str, tmp_path: Path) -> None:
    """`must_not` as the hospital would meet it: no zero that was not measured, no export time, no unit mistaken for another."""

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            sender = await city.party("Sender", "wearable-cloud", zone=None)
            resident = await city.resident()
            for file in CASES:
                await city.upload(sender, (FOLDER / file).read_bytes(), resident=resident, format_="auto")
            found = (await city.get(sender, "Observation", patient=str(resident), _count=1000)).json()
            assert "next" not in {link["relation"] for link in found["link"]}
            forbidden_days = ("1989-", "1990-", "2010-08-06", "2010-10-04", "2021-03-10")
            for entry in found["entry"]:
                resource = entry["resource"]
                moments = [resource.get("effectiveDateTime", ""), *resource.get("effectivePeriod", {}).values()]
                assert not any(str(moment).startswith(forbidden_days) for moment in moments)
                for part in (resource, *resource.get("component", [])):
                    quantity = part.get("valueQuantity", {})
                    assert quantity.get("value") not in (98.6, 3.56)
                    codes = {coding["code"] for coding in part["code"].get("coding", [])}
                    assert quantity.get("value") != 0 or not codes & {"8867-4", "55425-3", "29463-7", "8302-2"}

    asyncio.run(work())
