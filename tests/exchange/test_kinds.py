"""Every kind of record through the front doors: taken, told in the receipt, read and searched over FHIR, and shown by its data class alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters import kinehub_json
from hub.exchange.reading import KINDS_OF_TYPE
from schemas.standard import FACTS, OF_RESIDENTS
from tests.builders import City, a_city

SAMPLE: list[dict[str, Any]] = [{"record": row["record"]} for row in json.loads(kinehub_json.sample) if row["record"]["kind"] in OF_RESIDENTS]
CLASSES = {
    "session": "activity", "vital": "health-check", "body-composition": "health-check", "day-summary": "activity", "fitness-test": "fitness-test",
    "check-in": "attendance", "lab-result": "laboratory", "sleep": "sleep", "screening": "lifestyle", "prescription": "prescription",
    "referral": "prescription", "effect-evaluation": "rehabilitation", "rehabilitation-status": "rehabilitation", "movement-assessment": "fitness-test",
    "condition": "diagnosis", "medication": "medication", "visit": "diagnosis", "imaging": "imaging", "appointment": "attendance",
    "guidance": "attendance", "adherence": "prescription", "points": "points", "membership": "points", "issue-report": "attendance",
}  # fmt: skip
"""Kind to the class that lets all of it be seen; of a screening, its limits are `prescription`."""

Work = Callable[[City], Awaitable[None]]
InCity = Callable[[Work], None]


@pytest.fixture
def in_city(hub_url: str, tmp_path: Path) -> InCity:
    def run(work: Work) -> None:
        async def inside() -> None:
            async with a_city(hub_url, tmp_path) as city:
                await work(city)

        asyncio.run(inside())

    return run


async def taken(city: City, *, purpose: str = "TREAT") -> tuple[Any, Any, UUID, list[dict[str, Any]]]:
    """A centre that sent one record of every kind about a resident, a hospital that has asked for nothing, and the receipt's records."""
    center, hospital = await city.party("滨江运动健康中心", "fitness-center"), await city.party("市第二医院", "hospital")
    resident = await city.resident()
    answer = await city.upload(center, SAMPLE, resident=resident)
    assert answer.status_code == 201, answer.text
    return center, hospital, resident, answer.json()["records"]


def ids(records: list[dict[str, Any]], *kinds: str) -> set[str]:
    return {reference for record in records if record["kind"] in kinds for reference in record["resources"]}


async def everything(city: City, party: Any, resident: UUID) -> dict[str, dict[str, Any]]:
    """What `$everything` shows of the records, by reference."""
    bundle = (await city.get(party, f"Patient/{resident}/$everything", _count=1000)).json()
    found = [entry["resource"] for entry in bundle.get("entry", [])]
    return {f"{one['resourceType']}/{one['id']}": one for one in found if one["resourceType"] not in ("Patient", "Consent", "Organization", "Linkage")}


def test_every_kind_is_in_the_sample_and_has_a_class() -> None:
    assert {row["record"]["kind"] for row in SAMPLE} == set(OF_RESIDENTS) == set(CLASSES)


def test_a_receipt_tells_every_kinds_facts(in_city: InCity) -> None:
    async def work(city: City) -> None:
        _, _, _, records = await taken(city)
        assert {record["kind"] for record in records} == set(OF_RESIDENTS)
        by_kind = {record["kind"]: record["facts"] for record in records}
        for row in SAMPLE:
            kind = row["record"]["kind"]
            said = {name: value for name, value in row["record"].items() if name in FACTS[kind]}
            assert said.items() <= by_kind[kind].items(), kind
        assert (by_kind["lab-result"]["items"], by_kind["prescription"]["exercises"], by_kind["screening"]["limits"]) == (2, 1, 1)

    in_city(work)


def test_nothing_is_seen_of_any_kind_without_a_grant(in_city: InCity) -> None:
    async def work(city: City) -> None:
        _, hospital, resident, records = await taken(city)
        assert await everything(city, hospital, resident) == {}
        for reference in sorted(ids(records, *OF_RESIDENTS)):
            assert (await city.get(hospital, reference)).status_code == 404, reference
        for type_ in sorted(set(KINDS_OF_TYPE) - {"Patient", "Consent", "Linkage"}):
            assert await city.shown(hospital, resident, type_) == set(), type_

    in_city(work)


def test_every_resource_of_every_kind_is_read_found_and_exported_once_granted(in_city: InCity) -> None:
    async def work(city: City) -> None:
        _, hospital, resident, records = await taken(city)
        await city.grant(resident, hospital, "all")
        wanted = ids(records, *OF_RESIDENTS)
        assert set(await everything(city, hospital, resident)) == wanted
        for reference in sorted(wanted):
            answer = await city.get(hospital, reference)
            assert (answer.status_code, answer.json()["id"]) == (200, reference.partition("/")[2])
        for type_ in sorted({reference.partition("/")[0] for reference in wanted} - {"Provenance"}):  # R4 finds those by target
            found = await city.shown(hospital, resident, type_)
            assert {f"{type_}/{id_}" for id_ in found} == {reference for reference in wanted if reference.startswith(f"{type_}/")}

    in_city(work)


@pytest.mark.parametrize("class_", sorted(set(CLASSES.values())))
def test_a_grant_of_one_class_shows_its_kinds_and_no_other(in_city: InCity, class_: str) -> None:
    async def work(city: City) -> None:
        _, hospital, resident, records = await taken(city)
        await city.grant(resident, hospital, class_)
        shown = await everything(city, hospital, resident)
        whole = ids(records, *(kind for kind, own in CLASSES.items() if own == class_ and kind != "screening"))
        screened = {reference for reference in ids(records, "screening") if reference.startswith("Flag/") == (class_ == "prescription")}
        of_screening = screened - {one for one in screened if one.startswith("Provenance/")} if class_ in ("lifestyle", "prescription") else set()
        assert set(shown) == whole | of_screening
        for one in shown.values():
            assert {label["code"] for label in one["meta"]["security"]} == {class_, "N"}

    in_city(work)


def test_an_instructor_learns_the_limit_and_not_the_answers(in_city: InCity) -> None:
    async def work(city: City) -> None:
        _, hospital, resident, records = await taken(city)
        await city.grant(resident, hospital, "prescription")
        (flag,) = [one for reference, one in (await everything(city, hospital, resident)).items() if reference in ids(records, "screening")]
        assert (flag["resourceType"], flag["code"]["text"]) == ("Flag", "Heart rate below 120")
        assert "QuestionnaireResponse" not in json.dumps(flag)
        assert await city.shown(hospital, resident, "QuestionnaireResponse") == set()

    in_city(work)


SEARCHES = {
    "DiagnosticReport?category=LAB": "lab-result", "DiagnosticReport?category=RAD": "imaging", "Observation?code=http://loinc.org|14647-2": "lab-result",
    "Observation?code=http://loinc.org|93831-6": "sleep", "QuestionnaireResponse?status=completed": "screening", "Flag?date=ge2026-05-01": "screening",
    "CarePlan?status=active": "prescription", "CarePlan?category=PhysicalActivity": "prescription", "Goal?lifecycle-status=active": "prescription",
    "ServiceRequest?code=http://snomed.info/sct|229065009": "prescription", "ServiceRequest?code=exercise-referral": "referral",
    "Task?status=requested&code=fulfill": "referral", "Task?code=issue-report": "issue-report", "Condition?clinical-status=active": "condition",
    "MedicationStatement?status=unknown": "medication", "ImagingStudy?started=2026-05-01": "imaging", "Appointment?date=2026-05-03": "appointment",
    "Communication?status=completed": "guidance", "Basic?code=points-entry": "points", "Coverage?status=active": "membership",
    "Observation?code=done-sessions": "adherence", "Encounter?date=lt2026-05-01T09:30:00%2B08:00&class=AMB": "visit",
}  # fmt: skip


def test_the_new_types_are_searched_by_their_own_parameters(in_city: InCity) -> None:
    async def work(city: City) -> None:
        _, hospital, resident, records = await taken(city)
        await city.grant(resident, hospital, "all")
        for asked, kind in SEARCHES.items():
            bundle = (await city.get(hospital, f"{asked}&patient={resident}")).json()
            found = {f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in bundle.get("entry", [])}
            assert found & ids(records, kind), (asked, bundle)

    in_city(work)


def test_the_statement_promises_the_types_of_every_kind(in_city: InCity) -> None:
    async def work(city: City) -> None:
        stated = (await city.http.get("/fhir/metadata")).json()["rest"][0]["resource"]
        assert set(KINDS_OF_TYPE) <= {one["type"] for one in stated}
        assert {kind for kinds in KINDS_OF_TYPE.values() for kind in kinds} == {*OF_RESIDENTS, "resident", "consent"}

    in_city(work)


def test_a_corrected_report_is_a_new_version_of_what_changed(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, resident = await city.party("市检验中心", "hospital"), await city.resident()
        report = next(row for row in SAMPLE if row["record"]["kind"] == "lab-result")["record"]
        first = (await city.upload(center, {"record": report}, resident=resident)).json()["records"][0]
        corrected = report | {"status": "corrected", "items": [{**report["items"][0], "value": 5.1, "interpretation": "N"}, report["items"][1]]}
        again = await city.upload(center, {"record": corrected}, resident=resident)
        second = again.json()["records"][0]
        assert (again.json()["status"], second["record_id"], second["resources"]) == ("updated", first["record_id"], first["resources"])
        total = next(one for one in second["resources"] if one.endswith("-15"))
        served = (await city.get(center, total)).json()
        assert (served["status"], served["valueQuantity"]["value"], served["meta"]["versionId"]) == ("corrected", 5.1, "2")
        assert (await city.get(center, f"{total}/_history/1")).json()["valueQuantity"]["value"] == 5.4

    in_city(work)


def sent(kind: str, **change: Any) -> dict[str, Any]:
    """The sample's record of a kind, changed; None takes a field out."""
    record = next(row for row in SAMPLE if row["record"]["kind"] == kind)["record"] | change
    return {"record": {name: value for name, value in record.items() if value is not None}}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (sent("referral", status="rejected"), "status-reason", "status_reason"),
    (sent("referral", status_reason="full"), "status-reason", "status_reason"),
    (sent("referral", changed="2026-04-01T00:00:00Z"), "end-before-start", "changed"),
    (sent("appointment", start="2026-05-03", end="2026-05-03"), "time", "start"),
    (sent("appointment", start="2099-05-03T09:00:00Z", end="2099-05-03T10:00:00Z"), "date-in-future", "start"),
    (sent("appointment", cancellation="rain"), "status-reason", "cancellation"),
    (sent("sleep", total_min=2000), "out-of-range", "total_min"),
    (sent("lab-result", items=[{"value": 1, "unit": "g/L"}]), "unknown-measure", "items[0]"),
    (sent("lab-result", items=[{"measure": "hba1c", "value": 80, "unit": "%"}]), "out-of-range", "hba1c"),
    (sent("lab-result", items=[{"measure": "hba1c", "value": 8, "unit": "mmol/mol"}]), "unit", "record.items[0].unit"),
    (sent("lab-result", items=[{"measure": "aura", "value": 8, "unit": "%"}]), "measure", "record.items[0].measure"),
    (sent("lab-result", items=[]), "schema", "record.items"),
    (sent("prescription", exercises=[]), "schema", "record.exercises"),
    (sent("prescription", exercises=[{"text": "x", "sport": "quidditch"}]), "sport", "record.exercises[0].sport"),
    (sent("prescription", goals=[{"text": "x", "value": 3}]), "unknown-measure", "goals"),
    (sent("effect-evaluation", changes=[{"measure": "bmi", "before": 1, "after": 2, "unit": "kg/m2"}]), "out-of-range", "bmi"),
    (sent("effect-evaluation", formula=None), "schema", "record"),
    (sent("movement-assessment", algorithm_version=None), "schema", "record"),
    (sent("condition", abatement="2026-04-01"), "clinical-status", "clinical_status"),
    (sent("adherence", achievement="achieved"), "goal", "goal"),
    (sent("points", delta=1e9), "out-of-range", "delta"),
    (sent("visit", setting="spa"), "schema", "record.setting"),
]


def test_what_a_kind_may_not_say_is_refused_with_its_place(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, resident = await city.party("滨江运动健康中心", "fitness-center"), await city.resident()
        answer = await city.upload(center, [sent("points"), *(row for row, _, _ in WRONG)], resident=resident)
        told = [(one["code"], one["field"]) for one in answer.json()["rejected"]]
        assert told == [(code, field) for _, code, field in WRONG]

    in_city(work)


def test_a_booking_may_lie_ahead_and_a_result_not(in_city: InCity) -> None:
    async def work(city: City) -> None:
        center, resident = await city.party("滨江运动健康中心", "fitness-center"), await city.resident()
        ahead = {"start": "2027-05-03T09:00:00+08:00", "end": "2027-05-03T10:00:00+08:00"}
        assert (await city.upload(center, sent("appointment", **ahead), resident=resident)).status_code == 201
        refused = await city.upload(center, sent("sleep", **ahead), resident=resident)
        assert (refused.status_code, refused.json()["code"]) == (422, "date-in-future")

    in_city(work)
