"""FHIR R4 as a source: a hospital's Observations, a gateway's, a Physical Activity bundle of another hub; and what is hostile."""

from __future__ import annotations

import asyncio
import copy
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import fhir
from adapters.base import AdapterError, Context, Decoded, Rejected
from tests.adapters.test_contract import JSON, holds_its_promise
from tests.builders import a_city, a_pressure, a_session

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
PA = "http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes"
ICD = "http://hl7.org/fhir/sid/icd-10"
PERIOD = {"start": "2026-05-01T08:00:00+08:00", "end": "2026-05-01T08:40:00+08:00"}
SERIES = {"heart_rate": {"interval_s": 1, "values": [92, 93, None, 95, 101, 99]}}


def read(content: Any) -> list[Decoded | Rejected]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return list(fhir.decode(io.BytesIO(body), Context(zone="Asia/Shanghai")))


def observation(code: str, value: float | None = None, unit: str = "", system: str = LOINC, **more: Any) -> dict[str, Any]:
    said = {"valueQuantity": {"value": value, "system": UCUM, "code": unit}} if value is not None else {}
    about = {"subject": {"reference": "Patient/p1"}} | ({} if "effectivePeriod" in more else {"effectiveDateTime": "2026-05-01T08:40:00+08:00"})
    coding = {"coding": [{"system": system, "code": code}]}
    return {"resourceType": "Observation", "id": f"o-{code}", "status": "final", "code": coding, **about, **said, **more}


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


def only(content: Any) -> Decoded:
    (found,) = read(content)
    assert isinstance(found, Decoded), found
    return found


def test_a_physical_activity_group_of_another_hub_is_one_session() -> None:
    members = [
        observation("73985-4", valueCodeableConcept={"coding": [{"system": LOINC, "code": "LA11834-1", "display": "Walking"}]}, effectivePeriod=PERIOD),
        observation("55411-3", 0.5, "h", effectivePeriod=PERIOD), observation("55430-3", 2.1, "km", effectivePeriod=PERIOD),
        observation("55425-3", 104, "{beats}/min", effectivePeriod=PERIOD), observation("55424-6", 130, "kcal", effectivePeriod=PERIOD),
    ]  # fmt: skip
    group = observation("PAPanel", system=PA, effectivePeriod=PERIOD, hasMember=[{"reference": f"Observation/{one['id']}"} for one in members])
    record: Any = only(bundle(*members, group)).record
    assert (record.__struct_config__.tag, record.sport, record.timer_s, record.distance_m, record.hr_avg) == ("session", "walking", 1800, 2100, 104)
    assert (record.energy_kcal, record.source_record_id) == (130, "Observation/o-PAPanel")
    assert record.elapsed_s is None


def test_activity_measures_without_a_group_are_one_session_a_period() -> None:
    later = {"start": "2026-05-02T08:00:00+08:00", "end": "2026-05-02T08:30:00+08:00"}
    found = read(bundle(
        observation("55411-3", 40, "min", effectivePeriod=PERIOD), observation("55425-3", 104, "/min", effectivePeriod=PERIOD),
        observation("55411-3", 30, "min", effectivePeriod=later) | {"id": "other"},
    ))  # fmt: skip
    assert [(one.record.timer_s, one.record.hr_avg) for one in found] == [(2400, 104), (1800, None)]  # type: ignore[union-attr]


def test_measures_of_a_day_are_one_summary() -> None:
    day = "2026-05-01"
    found: Any = only(bundle(observation("41950-7", 8421, "/d", effectiveDateTime=day), observation("40443-4", 61, "/min", effectiveDateTime=day)))
    assert (str(found.record.date), found.record.steps, found.record.resting_hr) == ("2026-05-01", 8421, 61)


@pytest.mark.parametrize(
    ("code", "value", "unit", "gives", "original"),
    [
        ("8310-5", 98.6, "[degF]", 37.0, "98.6 [degF]"), ("29463-7", 150, "[lb_av]", 68.038856, "150 [lb_av]"), ("8867-4", 71, "{beat}/min", 71, None),
        ("14743-9", 6.1, "mmol/L", 6.1, None),
    ],
)  # fmt: skip
def test_a_value_is_kept_in_the_standards_unit_with_what_was_written(code: str, value: float, unit: str, gives: float, original: str | None) -> None:
    found: Any = only(observation(code, value, unit))
    assert found.record.quantity.value == pytest.approx(gives)
    assert found.record.quantity.original == original
    assert ("unit-converted" in {flag.code for flag in found.record.flags}) == (original is not None)


@pytest.mark.parametrize(
    ("resource", "code", "field"),
    [
        (observation("8867-4", 71, "mm[Hg]"), "unit", "heart-rate"),
        (observation("8867-4", 71, "furlong"), "unit", "heart-rate"),
        (observation("8867-4", valueQuantity={"value": 71}), "unit", "heart-rate"),
        (observation("8867-4", 71, "/min", status="entered-in-error"), "status", "status"),
        (observation("99999-9", 71, "/min"), "not-a-measure", "code"),
        (observation("8867-5", 71, "/min"), "not-a-measure", "code"),
        (observation("8867-4", 71, "/min", effectiveDateTime="2026-05"), "not-readable", "effective"),
        (observation("8867-4", 71, "/min") | {"code": {"coding": {}}}, "not-r4", "Observation.code.coding"),
        (observation("8867-4", valueQuantity={"value": "71"}), "not-r4", "Observation.value.ofType(Quantity).value"),
        (observation("8867-4", 71, "/min", valueString="71"), "not-r4", "Observation.value"),
        (observation("8867-4", 71, "/min", effectiveDateTime="2026-02-30"), "not-r4", "Observation.effective.ofType(dateTime)"),
        (observation("8867-4", 71, "/min", status="done"), "not-r4", "Observation.status"),
        (observation("8867-4", 71, "/min", heartRate=71), "not-r4", "Observation.heartRate"),
        (observation("8867-4", 71, "/min", note=[]), "not-r4", "Observation.note"),
        (observation("8867-4", 71, "/min", device=None), "not-r4", "Observation.device"),
        (observation("8867-4", 71, "/min", component=[{"valueInteger": 1}]), "not-r4", "Observation.component[0].code"),
        ({"resourceType": "ResearchElementDefinition", "valueSampledData": 5}, "not-a-measure", "ResearchElementDefinition"),
        ({"resourceType": "Telescope"}, "not-a-resource", "Resource"),
        ({"id": "x"}, "not-a-resource", "Resource"),
        (7, "not-r4", ""),
    ],
)
def test_what_cannot_be_a_record_is_refused_by_its_cause_and_its_neighbour_kept(resource: dict[str, Any], code: str, field: str) -> None:
    rows = read([observation("8310-5", 36.6, "Cel"), resource])
    (good,) = [row for row in rows if isinstance(row, Decoded)]
    (bad,) = [row for row in rows if isinstance(row, Rejected)]
    assert good.row == 1
    assert (bad.row, bad.code, bad.field) == (2, code, field)


def test_a_hospitals_order_for_exercise_is_a_prescription_though_it_has_no_plan() -> None:
    order = {
        "resourceType": "ServiceRequest", "id": "rx", "status": "active", "intent": "order", "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "229065009"}]}, "authoredOn": "2026-05-01T09:00:00+08:00",
        "reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I10"}], "text": "高血压"}], "orderDetail": [{"text": "快走"}],
        "occurrenceTiming": {"repeat": {"frequency": 5, "period": 1, "periodUnit": "wk", "duration": 30, "durationUnit": "min"}},
    }  # fmt: skip
    record: Any = only(order).record
    assert (record.__struct_config__.tag, record.status, record.reason, record.reason_coding) == ("prescription", "active", "高血压", f"{ICD}|I10")
    (exercise,) = record.exercises
    assert (exercise.text, exercise.frequency_per_week, exercise.duration_min) == ("快走", 5, 30)
    assert record.start.at.isoformat() == "2026-05-01T01:00:00+00:00"


def of_activity(type_: str, id_: str, **said: Any) -> dict[str, Any]:
    category = [{"coding": [{"system": PA, "code": "PhysicalActivity"}]}]
    return {"resourceType": type_, "id": id_, "category": category, "subject": {"reference": "Patient/p1"}, **said}


def test_a_plan_of_another_hub_is_known_by_its_category_and_takes_orders_and_goals() -> None:
    plan = of_activity("CarePlan", "c1", status="active", intent="plan", period={"start": "2026-05-01"})
    goal = of_activity("Goal", "g1", lifecycleStatus="active", description={"text": "每周150分钟"})
    order = of_activity(
        "ServiceRequest", "s1", status="active", intent="order", basedOn=[{"reference": "CarePlan/c1"}], authoredOn="2026-05-01",
        code={"coding": [{"system": "http://snomed.info/sct", "code": "229065009", "display": "Exercise therapy"}]}, reasonCode=[{"text": "久坐"}],
        extension=[{"url": "http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal", "valueReference": {"reference": "Goal/g1"}}],
    )  # fmt: skip
    record: Any = only(bundle(plan, goal, order)).record
    assert record.__struct_config__.tag == "prescription"
    assert (record.reason, [one.text for one in record.goals], [one.text for one in record.exercises]) == ("久坐", ["每周150分钟"], ["Exercise therapy"])


def test_each_task_for_one_order_is_a_referral_with_the_orders_reason() -> None:
    condition = {"resourceType": "Condition", "id": "d1", "code": {"text": "高血压"}, "recordedDate": "2026-05-01", "subject": {"reference": "Patient/p1"}}
    order = of_activity(
        "ServiceRequest", "s1", status="active", intent="order", authoredOn="2026-05-01", reasonReference=[{"reference": "Condition/d1"}],
        code={"coding": [{"system": "http://snomed.info/sct", "code": "409063005", "display": "Counselling"}]},
    )  # fmt: skip
    owner = {"reference": "Organization/o1", "display": "东湖健身中心"}
    asked = {"resourceType": "Task", "intent": "order", "focus": {"reference": "ServiceRequest/s1"}, "for": {"reference": "Patient/p1"}, "owner": owner}
    tasks = [
        {**asked, "id": f"t{number}", "status": status, "authoredOn": "2026-05-01", **more}
        for number, (status, more) in enumerate([("rejected", {"statusReason": {"text": "名额已满"}}), ("requested", {})])
    ]
    found = [one.record for one in read(bundle(order, condition, *tasks)) if isinstance(one, Decoded)]
    referrals: list[Any] = [one for one in found if one.__struct_config__.tag == "referral"]
    assert [(one.status, one.reason, one.service) for one in referrals] == [("rejected", "高血压", "Counselling"), ("requested", "高血压", "Counselling")]
    assert len(found) == 3


@pytest.mark.parametrize(("period", "kind"), [
    ({"start": "2026-05-01", "end": "2026-05-08"}, "vital"),
    ({"start": "2026-05-01T00:00:00+08:00", "end": "2026-05-08T00:00:00+08:00"}, "vital"),
    ({"start": "2026-05-01", "end": "2026-05-01"}, "day-summary"),
    ({"start": "2026-05-01T00:00:00+08:00", "end": "2026-05-02T00:00:00+08:00"}, "day-summary"),
])  # fmt: skip
def test_a_mean_of_a_week_is_no_figure_of_its_first_day(period: dict[str, str], kind: str) -> None:
    record = only(observation("41950-7", 7000, "/d", effectivePeriod=period)).record
    assert record.__struct_config__.tag == kind


def test_words_beside_a_foreign_group_are_kept() -> None:
    kind = observation("73985-4", valueCodeableConcept={"coding": [{"system": LOINC, "code": "LA1-1", "display": "Quidditch"}]})
    note = [{"authorReference": {"reference": "Patient/p1"}, "time": "2026-05-01", "text": "很累"}]
    group = observation("PAPanel", system=PA, hasMember=[{"reference": "Observation/o-73985-4"}], note=note)
    record: Any = only(bundle(kind, group)).record
    assert (record.sport, record.note) == ("Quidditch", "很累")


def test_a_laboratorys_report_takes_its_results_whatever_its_own_code() -> None:
    results = [
        observation("14749-6", 126, "mmol/L", interpretation=[{"coding": [{"code": "H"}]}]),
        observation("99999-9", 3.1, "ug/L", system="urn:lab") | {"code": {"coding": [{"system": "urn:lab", "code": "X"}], "text": "本院项目"}},
    ]
    report = {
        "resourceType": "DiagnosticReport", "id": "r", "status": "final", "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2026-05-01",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}], "conclusion": "复查",
        "code": {"coding": [{"system": "urn:lab", "code": "PANEL-7"}]}, "result": [{"reference": f"Observation/{one['id']}"} for one in results],
    }  # fmt: skip
    record: Any = only(bundle(report, *results)).record
    assert (record.__struct_config__.tag, record.conclusion, record.source_record_id) == ("lab-result", "复查", "DiagnosticReport/r")
    assert [(item.measure, item.name, item.value, item.unit) for item in record.items] == [
        ("glucose-serum", None, 126, "mmol/L"), (None, "本院项目", 3.1, "ug/L"),
    ]  # fmt: skip


def test_a_condition_without_words_is_called_by_its_code() -> None:
    about = {"subject": {"reference": "Patient/p1"}, "recordedDate": "2026-05-01", "code": {"coding": [{"system": ICD, "code": "E11"}]}}
    record: Any = only({"resourceType": "Condition", "id": "c", **about}).record
    assert (record.__struct_config__.tag, record.name, record.coding) == ("condition", f"{ICD}|E11", f"{ICD}|E11")


def test_whose_it_is_comes_from_the_patient_in_the_file_or_the_reference() -> None:
    patient = {
        "resourceType": "Patient", "id": "p1", "birthDate": "1955-04-17", "gender": "female", "name": [{"text": "王秀英"}],
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "990000195504170022"}, {"system": "urn:hospital", "value": "H-7"}],
        "telecom": [{"system": "phone", "value": "19900000002"}],
    }  # fmt: skip
    pulse = observation("8867-4", 71, "/min")
    who = only(bundle(patient, pulse)).who
    assert who is not None
    assert (who.id_number, who.source_id, who.name, who.phone, str(who.birth_date)) == ("990000195504170022", "H-7", "王秀英", "19900000002", "1955-04-17")
    alone = only(pulse).who
    assert alone is not None
    assert (alone.source_id, alone.name) == ("Patient/p1", None)
    logical = only(pulse | {"subject": {"identifier": {"system": "urn:oid:2.16.156.10011.1.19", "value": "C1"}}}).who
    assert logical is not None
    assert logical.health_card == "C1"


def test_whose_it_is_comes_from_a_contained_patient_or_a_conditional_reference() -> None:
    """Neither is a number of the sender's: `#p` is another person in every resource."""
    identifier = {"system": "urn:oid:2.16.156.10011.1.3", "value": "990000195504170022"}
    patient = {"resourceType": "Patient", "id": "p", "identifier": [identifier], "name": [{"text": "王秀英"}]}
    for subject, contained, said in (
        ("#p", [patient], ("990000195504170022", None, "王秀英")), ("#q", [patient], None),
        ("Patient?identifier=urn:oid:2.16.156.10011.1.3|990000195504170022", [], ("990000195504170022", None, None)),
        ("Patient?name=x", [], (None, None, None)),
    ):  # fmt: skip
        more = {"contained": contained} if contained else {}
        (row,) = read(observation("29463-7", 63.2, "kg", subject={"reference": subject}, **more))
        assert isinstance(row, Decoded)
        assert (row.who and (row.who.id_number, row.who.source_id, row.who.name)) == said, subject


def test_two_peoples_file_keeps_each_ones_own_bytes() -> None:
    mine, hers = observation("8867-4", 71, "/min"), observation("8867-4", 64, "/min", subject={"reference": "Patient/p2"}) | {"id": "hers"}
    found = read(bundle(mine, hers))
    assert [json.loads(row.original or b"null") for row in found] == [[mine], [hers]]
    assert only(mine).original is None


def test_a_bundle_that_refers_by_urn_is_read_alike() -> None:
    member = observation("55411-3", 40, "min", effectivePeriod=PERIOD)
    group = observation("PAPanel", system=PA, effectivePeriod=PERIOD, hasMember=[{"reference": "urn:uuid:1"}])
    del member["id"], group["id"]
    entries = [{"fullUrl": "urn:uuid:2", "resource": group}, {"fullUrl": "urn:uuid:1", "resource": member}]
    found: Any = only({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert found.record.timer_s == 2400


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from _places(inner, (*path, key))


SAMPLE = json.loads(fhir.sample)
FULL = bundle(
    observation("PAPanel", system=PA, effectivePeriod=PERIOD, hasMember=[{"reference": "Observation/o-55411-3"}], device={"reference": "Device/d"}),
    observation("55411-3", 40, "min", effectivePeriod=PERIOD), observation("41950-7", 8421, "/d", effectiveDateTime="2026-05-01"),
    observation("8867-4", 71, "/min", referenceRange=[{"low": {"value": 50}}], bodySite={"text": "左手"}, interpretation=[{"coding": [{"code": "H"}]}],
                note=[{"text": "x"}], identifier=[{"value": "i"}], extension=[{"url": "u", "valueString": "s"}]),
    {"resourceType": "Device", "id": "d", "manufacturer": "M", "identifier": [{"value": "1"}], "version": [{"value": "2"}], "type": {"text": "t"}},
    {"resourceType": "Patient", "id": "p1", "name": [{"text": "n", "given": ["g"]}], "telecom": [{"system": "phone", "value": "1"}]},
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_json_at_any_place_is_refused_or_read(data: st.DataObject) -> None:
    content = copy.deepcopy(data.draw(st.sampled_from([SAMPLE, FULL])))
    place = data.draw(st.sampled_from(sorted(filter(None, _places(content)), key=str)))
    node = content
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = data.draw(JSON)
    assert holds_its_promise(fhir, json.dumps(content).encode())  # type: ignore[arg-type]  # a module is an adapter


def test_a_file_of_nothing_is_refused() -> None:
    for content in (b'{"resourceType": "Bundle", "type": "collection"}', b"[]", b"{", b""):
        with pytest.raises(AdapterError):
            read(content)


def test_what_a_hub_shows_another_hub_reads_as_the_same(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            first, second = await city.resident(), await city.resident("李国强", 3)
            sent = [a_session(distance_m=4200.5, laps=[{"distance_m": 400, "timer_s": 131.5}]) | {"series": SERIES}, a_pressure()]
            assert (await city.upload(center, {"records": sent}, resident=first)).status_code == 201
            shown = (await city.get(center, "Observation", patient=str(first), _count=1000, _include="Observation:device")).json()
            again = await city.upload(center, shown, resident=second, format_="fhir-r4")
            assert again.status_code == 201, again.text
            assert {record["kind"] for record in again.json()["records"]} == {"session", "vital"}
            copied = (await city.get(center, "Observation", patient=str(second), _count=1000)).json()
            assert sorted(map(_content, _resources(shown))) == sorted(map(_content, _resources(copied)))
            repeated = await city.upload(center, {**shown, "total": 7}, resident=second, format_="fhir-r4")
            assert repeated.json()["status"] == "duplicate"

    asyncio.run(work())


BODY_WEIGHT = "http://hl7.org/fhir/StructureDefinition/bodyweight"
SECRET = "王秀英139"


def test_an_invalid_entry_is_a_rejected_row_and_the_rest_of_the_bundle_is_stored(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            sent = bundle(
                observation("8867-4", 71, "/min"), observation("8310-5", 36.6, "Cel", status=SECRET), observation("29463-7", 63.2, "kg", bodySite=[SECRET]),
                observation("8310-5", 36.6, "Cel", **{SECRET: 1}), observation("2708-6", 97, "%"),
            )  # fmt: skip
            sent["entry"] += [SECRET, {"fullUrl": 5, "resource": observation("9279-1", 14, "/min")}]
            answer = await city.upload(center, sent, resident=resident, format_="fhir-r4")
            assert answer.status_code == 207, answer.text
            receipt = answer.json()
            assert SECRET not in answer.text
            assert {(one["row"], one["code"], one["field"]) for one in receipt["rejected"]} == {
                (2, "not-r4", "Observation.status"), (3, "not-r4", "Observation.bodySite"), (4, "not-r4", "Observation"), (6, "not-r4", ""),
            }  # fmt: skip
            assert {record["facts"]["measure"] for record in receipt["records"]} == {"heart-rate", "oxygen-saturation", "respiratory-rate"}

    asyncio.run(work())


@pytest.mark.parametrize(
    ("more", "field", "rule"),
    [
        ({"meta": {"profile": [BODY_WEIGHT]}}, "Observation.category", "profile"),
        ({"dataAbsentReason": {"text": "none"}}, "Observation", "obs-6"),
        ({"text": {"status": "generated", "div": "<p>"}}, "Observation.text.div", "txt-1"),
    ],
)
def test_a_rule_that_reading_does_not_rest_on_is_a_flag_and_the_reading_is_stored(
    hub_url: str, tmp_path: Path, more: dict[str, Any], field: str, rule: str
) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center, resident = await city.party("Center", "fitness-center"), await city.resident()
            sent = bundle(observation("29463-7", 63.2, "kg", **more), observation("8867-4", 71, "/min"))
            receipt = (await city.upload(center, sent, resident=resident, format_="fhir-r4")).json()
            assert receipt["rejected"] == []
            (flag,) = [flag for record in receipt["records"] for flag in record["warnings"] if flag["code"] == "rule-unmet"]
            assert flag["field"].startswith(field)
            assert rule in flag["message"]

    asyncio.run(work())


def test_a_profile_that_is_not_known_here_says_nothing() -> None:
    found = only(observation("8867-4", 71, "/min", meta={"profile": ["http://hl7.org/fhir/uv/phd/StructureDefinition/PhdNumericObservation"]}))
    assert found.record.flags == []


def test_a_refused_patient_is_nobody_else() -> None:
    patient = {"resourceType": "Patient", "id": "p1", "gender": "F", "identifier": [{"system": "urn:hospital", "value": "H-7"}]}
    rows = read(bundle(patient, observation("8867-4", 71, "/min"), observation("8310-5", 36.6, "Cel", subject={"reference": "Patient/p2"})))
    assert [(row.field, row.code) for row in rows if isinstance(row, Rejected)] == [("Patient.gender", "not-r4")]
    assert [row.who.source_id if row.who else None for row in rows if isinstance(row, Decoded)] == [None, "Patient/p2"]


def _resources(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in found["entry"] if entry["resource"]["resourceType"] == "Observation"]


def _content(one: dict[str, Any]) -> str:
    """An Observation without whose and which it is."""
    left = {name: value for name, value in one.items() if name not in ("id", "subject", "identifier", "device", "derivedFrom", "hasMember")}
    return json.dumps(left | {"meta": one["meta"]["profile"], "members": len(one.get("hasMember", ()))}, sort_keys=True)


def test_a_measurement_that_is_not_final_says_so() -> None:
    record = only(observation("8867-4", 71, "/min", status="preliminary")).record
    assert [flag.code for flag in record.flags] == ["not-final"]


def test_referrals_of_two_people_are_each_ones_own() -> None:
    asked = {"resourceType": "Task", "intent": "order", "status": "requested", "authoredOn": "2026-05-01", "owner": {"display": "东湖健身中心"}}
    orders = [of_activity("ServiceRequest", f"s{n}", status="active", intent="order", code={"text": "指导"}, reasonCode=[{"text": "久坐"}]) for n in (1, 2)]
    tasks = [{**asked, "id": f"t{n}", "for": {"reference": f"Patient/p{n}"}, "focus": {"reference": f"ServiceRequest/s{n}"}} for n in (1, 2)]
    found = [row for row in read(bundle(*orders, *tasks)) if isinstance(row, Decoded)]
    assert [row.who.source_id for row in found if row.who] == ["Patient/p1", "Patient/p2"]
    assert all(row.original for row in found)


def test_a_plan_in_nothing_but_its_narrative_has_that_for_its_words() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Jog &amp; swim</p><p>twice a week</p></div>'
    plan = of_activity("CarePlan", "c1", status="active", intent="plan", period={"start": "2026-05-01"}, text={"status": "additional", "div": div})
    assert only(plan).record.summary == "Jog & swim twice a week"  # type: ignore[attr-defined]
    assert only(plan | {"text": {"status": "generated", "div": div}, "title": "x"}).record.summary is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("numbered", [False, True], ids=["by its id", "by its source's number"])
def test_what_derives_names_its_sources_as_they_are_known_here(numbered: bool) -> None:
    """However the reference is written: by these names the vault finds what it is judged with."""
    number = {"identifier": [{"system": "urn:clinic", "value": "GLU-7"}]} if numbered else {}
    glucose = observation("14743-9", 6.1, "mmol/L", **number)
    done = observation("adherence", 70, "%", system="https://kinehub.org/fhir/CodeSystem/measure")
    formula = {"formula": "完成次数比", "formula-version": "2.0"}
    made_of = [{"reference": f"https://clinic.test/fhir/Observation/{glucose['id']}"}, {"reference": "Observation/elsewhere"}]
    panel = observation(
        "adherence", system="https://kinehub.org/fhir/CodeSystem/record", hasMember=[{"reference": f"Observation/{done['id']}-m"}], derivedFrom=made_of,
        basedOn=[{"reference": "CarePlan/plan-3"}],
        extension=[{"url": f"https://kinehub.org/fhir/StructureDefinition/{name}", "valueString": said} for name, said in formula.items()],
    )  # fmt: skip
    records: Any = [row.record for row in read(bundle(glucose, done | {"id": f"{done['id']}-m"}, panel)) if isinstance(row, Decoded)]
    derived = next(one for one in records if one.__struct_config__.tag == "adherence")
    known = next(one for one in records if one is not derived).source_record_id
    assert derived.inputs == [known, "Observation/elsewhere"]
    assert known == ("GLU-7" if numbered else f"Observation/{glucose['id']}")
    assert derived.prescription == "CarePlan/plan-3"
