"""What others say in FHIR and our face says again: each element comes back with its value, or stands in DROPPED with the reason why not.

An element is kept where the face has a leaf of the same type and path, or an extension of words, with the same value; lists have no order here.
A reason that no shape needs any more fails too. Below: conditions, goals and plans that say less than ours. All of it is invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import msgspec
import orjson
import pytest

from adapters.base import Rejected
from mappings.face import face
from mappings.inverse import Understood, records_of
from schemas.r4.validator import by_r4
from tests.adapters.test_fhir import ICD, LOINC, PA, UCUM, bundle, of_activity, only, read
from tests.mappings.r4_oracle import SUBJECT

MDC, SNOMED = "urn:iso:std:iso:11073:10101", "http://snomed.info/sct"
VERIFIED, ICD_CM = "http://terminology.hl7.org/CodeSystem/condition-ver-status", "http://hl7.org/fhir/sid/icd-10-cm"
PA_ORDER, DAY = "http://hl7.org/fhir/us/physical-activity/StructureDefinition/pa-servicerequest", "2026-05-01"
ACTIVITY = {"coding": [{"system": PA, "code": "PhysicalActivity"}]}
PHD = {"coding": [{"system": "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories", "code": "phd"}]}
LABORATORY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}
PERSON, DOCTOR = {"reference": "Patient/p1"}, {"reference": "Practitioner/d1", "display": "李医生"}
WHEN = "2026-05-01T08:40:00+08:00"
NOTE = [{"authorReference": DOCTOR, "time": WHEN, "text": "备注"}]


def concept(code: str, system: str = LOINC, **more: Any) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}], **more}


def amount(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def absent(code: str) -> dict[str, Any]:
    return concept(code, "http://terminology.hl7.org/CodeSystem/data-absent-reason")


DEVICE = {
    "resourceType": "Device", "id": "dev", "identifier": [{"system": "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680", "value": "FE-ED-AB-EE-DE-AD-77-C3"}],
    "manufacturer": "Acme", "modelNumber": "M1", "serialNumber": "7", "type": concept("65573", MDC),
    "version": [{"type": concept(code, MDC), "value": value} for code, value in (("531976", "1.2"), ("531975", "9"), ("531974", "C"))],
    "specialization": [{"systemType": concept("528391", MDC), "version": "1"}],
}  # fmt: skip
GATEWAY = {
    "resourceType": "Device", "id": "gw", "identifier": [{
        "type": concept("SYSID", "http://terminology.hl7.org/CodeSystem/ContinuaDeviceIdentifiers"), "system": "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680",
        "value": "EC-DE-3D-4E-58-53-2D-31",
    }], "type": concept("531981", MDC), "version": [{"type": concept("532352", MDC), "value": "6.0"}],
    "specialization": [{"systemType": concept("528457", MDC)}],
}  # fmt: skip
READING = {
    "resourceType": "Observation", "id": "hr", "status": "amended", "category": [PHD], "code": {"coding": [
        {"system": MDC, "code": "149530"}, {"system": LOINC, "code": "8867-4"},
    ]}, "identifier": [{"system": "urn:gateway", "value": "hr-1"}], "subject": PERSON, "effectiveDateTime": WHEN, "valueQuantity": amount(61, "/min"),
    "performer": [DOCTOR], "issued": WHEN, "device": {"reference": "Device/dev"}, "note": NOTE, "method": {"text": "指夹"}, "bodySite": {"text": "左手"},
    "interpretation": [concept("N", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation")],
    "referenceRange": [{"low": amount(50, "/min"), "high": amount(100, "/min"), "text": "静息"}],
    "component": [{"code": concept("68193", MDC, text="方式"), "valueCodeableConcept": concept("150588", MDC, text="平稳")}],
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice", "valueReference": {"reference": "Device/gw"}}],
}  # fmt: skip
SAID_IN_FULL = {
    **{name: READING[name] for name in ("resourceType", "category", "subject", "effectiveDateTime", "device", "extension")}, "id": "temp", "status": "final",
    "code": {"coding": [{"system": MDC, "code": "150364"}, {"system": LOINC, "code": "8310-5"}]}, "valueQuantity": amount(36.5, "Cel"),
    "interpretation": [concept("questionable", "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status")],
}  # fmt: skip
PRESSURE = {
    "resourceType": "Observation", "id": "bp", "status": "final", "code": concept("150020", MDC), "subject": PERSON, "effectiveDateTime": WHEN,
    "component": [
        {"code": concept("150021", MDC), "valueQuantity": amount(118, "mm[Hg]"), "interpretation": [{"text": "normal"}]},
        {"code": concept("150022", MDC), "dataAbsentReason": absent("error")},
    ],
}  # fmt: skip
REPORT = {
    "resourceType": "DiagnosticReport", "id": "r", "status": "final", "category": [LABORATORY], "code": concept("P7", "urn:lab"), "subject": PERSON,
    "effectiveDateTime": WHEN, "issued": WHEN, "identifier": [{"system": "urn:lab", "value": "L-1"}], "result": [{"reference": "Observation/glu"}],
    "conclusion": "复查", "performer": [{"reference": "Organization/lab", "display": "中心实验室"}], "resultsInterpreter": [DOCTOR],
    "specimen": [{"display": "血清"}], "conclusionCode": [concept("x", "urn:lab")],
}  # fmt: skip
RESULT = {
    "resourceType": "Observation", "id": "glu", "status": "final", "code": {**concept("160368", MDC), "text": "葡萄糖"}, "subject": PERSON,
    "effectiveDateTime": WHEN, "valueQuantity": amount(99, "mg/dL"), "method": {"text": "己糖激酶法"}, "specimen": {"display": "血清"},
    "interpretation": [concept("H", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation")],
    "referenceRange": [{"low": amount(70, "mg/dL"), "high": amount(110, "mg/dL"), "text": "空腹"}],
}  # fmt: skip
DIAGNOSIS = {
    "resourceType": "Condition", "id": "c", "clinicalStatus": concept("active", "http://terminology.hl7.org/CodeSystem/condition-clinical"),
    "verificationStatus": concept("confirmed", VERIFIED), "severity": {"text": "轻度"},
    "category": [concept("health-concern", "urn:c")], "code": concept("Z72.3", ICD_CM, text="身体活动不足"), "subject": PERSON,
    "onsetDateTime": "2022-06-08", "bodySite": [{"text": "全身"}], "recorder": DOCTOR, "asserter": DOCTOR, "note": NOTE,
    "evidence": [{"detail": [{"reference": "Observation/hr"}]}], "stage": [{"summary": {"text": "1期"}}],
}  # fmt: skip
ENDED = {
    "resourceType": "Condition", "id": "d", "identifier": [{"system": "urn:hospital", "value": "D-7"}], "subject": PERSON,
    "clinicalStatus": concept("resolved", "http://terminology.hl7.org/CodeSystem/condition-clinical"), "abatementDateTime": "2026-04-01",
    "recordedDate": "2026-05-01T09:00:00+08:00", "evidence": [{"code": [{"text": "X 线"}]}],
    "code": {"coding": [{"system": ICD, "code": "M17.1", "display": "Gonarthrosis"}, {"system": "urn:hospital", "code": "K7"}], "text": "膝关节炎"},
}  # fmt: skip
PERIOD = {"resourceType": "Condition", "id": "o", "subject": PERSON, "code": {"text": "久坐"}, "onsetPeriod": {"start": "2024-03-09", "end": "2024-04-01"}}
PLAN = {
    "resourceType": "CarePlan", "id": "p", "identifier": [{"system": "urn:hospital", "value": "YD-9"}], "status": "active",
    "intent": "plan", "category": [ACTIVITY], "title": "计划", "description": "每周三次",
    "subject": PERSON, "period": {"start": "2026-05-01", "end": "2026-07-31"}, "created": "2026-04-30T09:00:00+08:00", "author": DOCTOR,
    "addresses": [{"reference": "Condition/c"}], "goal": [{"reference": "Goal/g"}], "note": NOTE, "contributor": [DOCTOR],
    "careTeam": [{"display": "社区团队"}], "activity": [{"reference": {"reference": "ServiceRequest/s"}, "outcomeCodeableConcept": [{"text": "完成"}]}],
}  # fmt: skip
GOAL = {
    "resourceType": "Goal", "id": "g", "lifecycleStatus": "active", "category": [ACTIVITY], "description": {"text": "每周150分钟"}, "subject": PERSON,
    "achievementStatus": concept("improving", "http://terminology.hl7.org/CodeSystem/goal-achievement"), "startDate": "2026-05-01", "expressedBy": DOCTOR,
    "priority": {"text": "高"}, "statusDate": "2026-05-02",
    "target": [{"measure": concept("82290-8"), "detailQuantity": amount(150, "min/wk") | {"comparator": ">="}, "dueDate": "2026-07-31"}], "note": NOTE,
}  # fmt: skip
ORDER = {
    "resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order", "category": [ACTIVITY], "priority": "routine", "subject": PERSON,
    "code": {"coding": [{"system": SNOMED, "code": "229065009", "display": "Exercise therapy"}]}, "quantityQuantity": {"value": 3},
    "orderDetail": [{"text": "快走"}], "authoredOn": "2026-04-30T09:00:00+08:00", "requester": DOCTOR,
    "performer": [PERSON], "basedOn": [{"reference": "CarePlan/p"}], "note": NOTE, "patientInstruction": "量力而行",
    "occurrenceTiming": {"repeat": {"frequency": 5, "period": 1, "periodUnit": "wk", "duration": 30, "durationUnit": "min"}},
    "reasonCode": [concept("Z72.3", ICD_CM, text="身体活动不足")],
}  # fmt: skip
TASK = {
    "resourceType": "Task", "id": "t", "status": "rejected", "intent": "order", "code": concept("fulfill", "http://hl7.org/fhir/CodeSystem/task-code"),
    "focus": {"reference": "ServiceRequest/s"}, "for": PERSON, "authoredOn": "2026-05-01T09:00:00+08:00", "lastModified": "2026-05-02T09:00:00+08:00",
    "requester": DOCTOR, "owner": {"reference": "Organization/o", "display": "东湖健身中心"}, "statusReason": {"text": "名额已满"},
    "businessStatus": {"text": "已回复"}, "note": NOTE, "identifier": [{"system": "urn:hospital", "value": "T-1"}],
}  # fmt: skip
BOUT = {"subject": PERSON, "status": "final", "effectivePeriod": {"start": WHEN, "end": "2026-05-01T09:10:00+08:00"}}
GROUP = {
    "resourceType": "Observation", "id": "gr", "category": [ACTIVITY], "code": concept("PAPanel", PA), **BOUT,
    "hasMember": [{"reference": f"Observation/{name}"} for name in ("m1", "m2", "m3")],
}  # fmt: skip
MEMBERS = [
    {"resourceType": "Observation", "id": "m1", "category": [ACTIVITY], "code": concept("55411-3"), "valueQuantity": amount(30, "min"), **BOUT},
    {"resourceType": "Observation", "id": "m2", "category": [ACTIVITY], "code": concept("55425-3"), "valueQuantity": amount(104, "/min"), **BOUT},
    {"resourceType": "Observation", "id": "m3", "category": [ACTIVITY], "code": concept("73985-4"), **BOUT,
     "valueCodeableConcept": concept("LA11834-1", text="健走")},
]
OF_A_PLAN = ("basedOn", "occurrenceTiming", "orderDetail", "quantityQuantity")
SHAPES: dict[str, list[dict[str, Any]]] = {
    "a gateway's reading with its device": [READING, DEVICE, GATEWAY], "a gateway's reading with all that the PHD IG asks": [SAID_IN_FULL, DEVICE, GATEWAY],
    "a pressure with a part that failed": [PRESSURE], "a laboratory's report": [REPORT, RESULT],
    "a diagnosis by its onset": [DIAGNOSIS], "a diagnosis under two codes": [ENDED], "an onset that is a period": [PERIOD],
    "a plan with a goal and an order": [PLAN, GOAL, ORDER],
    "a referral with its order": [TASK, {name: said for name, said in ORDER.items() if name not in OF_A_PLAN}],
    "an activity group": [GROUP, *MEMBERS],
}  # fmt: skip

DROPPED: dict[str, str] = {
    "*.id": "a resource of ours has an id of ours; where there is no identifier the adapter keeps `Type/id` as that",
    "*.subject.reference": "whose it is travels beside a record, and the face names our Patient",
    "ServiceRequest.performer.reference": "as the subject: the resident does it",
    "*.identifier.system": "the source's id is kept under our system, with the sender as its assigner",
    "*.reference": "people, organizations and resources of the sender's server cannot be reached here; their names and what they say are kept",
    "*.note.authorReference.display": "a note has its words alone",
    "*.note.time": "as its author",
    "Observation.note.text": "kept in one note with what the components say",
    "ServiceRequest.authoredOn": "an order has the time of its plan or task",
    "ServiceRequest.code.coding.code": "what a referral asks for is kept in words",
    "Observation.valueCodeableConcept.*": "a sport has the standard's code and name",
    "Task.for.reference": "as the subject",
    "Goal.note.text": "no field: a goal is words, a figure and a day",
    "ServiceRequest.note.text": "no field: an exercise is FITT-VP",
    "ServiceRequest.patientInstruction": "no field: an exercise is FITT-VP",
    "ServiceRequest.priority": "no field: a referral has its urgency, an exercise has none",
    "CarePlan.contributor.*": "no field: one author",
    "CarePlan.careTeam.display": "no field: one author",
    "CarePlan.activity.outcomeCodeableConcept.text": "no field: what came of it, adherence and evaluations say",
    "Goal.priority.text": "no field: a goal is words, a figure and a day",
    "Goal.statusDate": "no field: a goal is words, a figure and a day",
    "ServiceRequest.code.coding.display": "the standard's name of what is asked for",
    "ServiceRequest.quantityQuantity.value": "no field: an exercise is FITT-VP",
    "Goal.achievementStatus.*": "no field: how far it is, adherence and evaluations say",
    "Goal.expressedBy.*": "no field: the plan's author",
    "Condition.asserter.*": "no field: who recorded it is kept",
    "Condition.category.*": "no field: every diagnosis is one data class",
    "Condition.stage.*": "no field",
    "Condition.evidence.*": "no field",
    "a diagnosis under two codes: Condition.code.coding.*": "one code: the standard's system, and its words",
    "an onset that is a period: Condition.onsetPeriod.*": "its first day is the onset",
    "DiagnosticReport.code.*": "every laboratory has codes of its own; ours says that it is a laboratory's report",
    "DiagnosticReport.conclusionCode.*": "no field: the conclusion's words",
    "a gateway's reading with its device: Observation.category.*": "somebody judged it in other codes than the device's, so that it is not all the PHD IG asks",
    "Observation.code.coding.*": "a panel's code is the standard's",
    "Observation.component.code.*": "what is no measure is words of the note; a part without a value has the standard's codes alone",
    "Observation.component.valueCodeableConcept.*": "words of the note",
    "Observation.component.dataAbsentReason.coding.code": "that a part has no value is kept, why is not",
    "Observation.component.interpretation.text": "no field: only a measurement of one value has an interpretation",
    "Observation.issued": "no field: when it was measured counts",
    "Observation.method.text": "no field for a measurement outside a laboratory's report",
    "Observation.referenceRange.text": "no field for a measurement outside a laboratory's report",
    "Observation.status": "a record is the last word of its source; one that is preliminary has the flag `not-final`",
    "*.unit": "the display of a unit is ours",
}
"""Element (without indices, `*` for any), of one shape or of all, to why it does not come back."""


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from leaves(inner, f"{path}.{name}") if name != "resourceType" else ()
    elif isinstance(node, list):
        for inner in node:
            yield from leaves(inner, path)
    else:
        yield path, _plain(node)


def _plain(value: Any) -> Any:
    """Times by their instant, numbers by their value."""
    if isinstance(value, str) and len(value) > len("2026-05-01T00:00") and value[10] == "T":
        return datetime.fromisoformat(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def said(resources: list[dict[str, Any]]) -> set[tuple[str, Any]]:
    return {leaf for one in resources for leaf in leaves(one, one["resourceType"])}


@cache
def understood(shape: str) -> Understood:
    (found,) = records_of(SHAPES[shape])
    assert isinstance(found, Understood), found
    return found


@cache
def lost(shape: str) -> frozenset[str]:
    """The elements of a shape that do not come back with their values."""
    shown = said([orjson.loads(resource.json) for resource in face(understood(shape).record, SUBJECT)])
    return frozenset(path for path, value in said(SHAPES[shape]) - shown if (f"{path.partition('.')[0]}.extension.valueString", value) not in shown)


def stands_for(known: str, shape: str, path: str) -> bool:
    """Whether a reason is about this element of this shape."""
    return fnmatchcase(path, known) or fnmatchcase(f"{shape}: {path}", known)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_valid_r4(shape: str) -> None:
    assert not [str(issue) for one in SHAPES[shape] for issue in by_r4(one) if issue.severity == "error"]


@pytest.mark.parametrize("shape", SHAPES)
def test_whose_a_shape_is_is_read(shape: str) -> None:
    assert understood(shape).subject == PERSON


@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_comes_back_or_is_dropped_for_a_reason(shape: str) -> None:
    assert sorted(path for path in lost(shape) if not any(stands_for(known, shape, path) for known in DROPPED)) == []


def test_no_reason_is_left_that_nothing_needs() -> None:
    every = [(shape, path) for shape in SHAPES for path in lost(shape)]
    assert sorted(known for known in DROPPED if not any(stands_for(known, *element) for element in every)) == []


# What says less than ours


def a_condition(**said: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": "d1", "subject": {"reference": "Patient/p1"}, "code": {"text": "久坐"}, **said}


def a_goal(**said: Any) -> dict[str, Any]:
    return of_activity("Goal", "g1", **{"lifecycleStatus": "active", "startDate": DAY, "description": {"text": "每周走满五天"}, **said})


def a_plan(**said: Any) -> dict[str, Any]:
    return of_activity("CarePlan", "c1", status="active", intent="plan", **{"period": {"start": DAY}, **said})


def an_order(**said: Any) -> dict[str, Any]:
    coding = [{"system": "http://snomed.info/sct", "code": "229065009", "display": "Exercise therapy"}]
    about = {"status": "active", "intent": "order", "authoredOn": DAY, "basedOn": [{"reference": "CarePlan/c1"}]}
    return of_activity("ServiceRequest", "s1", code={"coding": coding}, **{**about, **said})


def answered(*resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [orjson.loads(one.json) for one in face(only(bundle(*resources)).record, SUBJECT)]


@pytest.mark.parametrize(
    "said", [{"onsetDateTime": "2024-03-09"}, {"onsetDateTime": "2024-03-09T21:00:00-05:00"}, {"onsetPeriod": {"start": "2024-03-09", "end": "2024-04"}}]
)
def test_a_condition_that_does_not_say_when_it_was_recorded_begins_with_its_onset_and_states_no_other_time(said: dict[str, Any]) -> None:
    record: Any = only(a_condition(**said)).record
    assert (str(record.onset), str(record.start.local), record.start.precision) == ("2024-03-09", "2024-03-09 00:00:00", "day")
    assert [flag.code for flag in record.flags] == ["time-from-onset"]
    (shown,) = (one for one in answered(a_condition(**said)) if one["resourceType"] == "Condition")
    assert "recordedDate" not in shown
    assert shown["onsetDateTime"] == "2024-03-09"
    assert only(shown).record == record


def test_an_onset_that_is_known_to_the_month_is_left_out_and_flagged() -> None:
    record: Any = only(a_condition(recordedDate=DAY, onsetDateTime="2024-03")).record
    assert (record.onset, [flag.code for flag in record.flags]) == (None, ["time-unreadable"])


@pytest.mark.parametrize(
    ("lifecycle", "status"), [("active", "active"), ("planned", "draft"), ("accepted", "draft"), ("rejected", "revoked"), ("completed", "completed")]
)
def test_a_goal_alone_is_a_plan_that_says_no_more(lifecycle: str, status: str) -> None:
    record: Any = only(a_goal(lifecycleStatus=lifecycle)).record
    assert (record.__struct_config__.tag, record.status, [one.text for one in record.goals]) == ("prescription", status, ["每周走满五天"])
    assert (record.reason, record.exercises, str(record.start.local)) == (None, [], "2026-05-01 00:00:00")


def test_a_plan_without_a_reason_has_none() -> None:
    record: Any = only(bundle(a_plan(title="步行方案"), an_order())).record
    assert (record.reason, record.reason_coding, record.title) == (None, None, "步行方案")


@pytest.mark.parametrize(("reason", "claimed"), [({}, []), ({"reasonCode": [{"text": "久坐"}]}, [PA_ORDER])])
def test_an_order_claims_the_guides_profile_with_a_reason_alone(reason: dict[str, Any], claimed: list[str]) -> None:
    known = msgspec.structs.replace(SUBJECT, named={("Practitioner", "李医生"): ("Practitioner/1", "李医生")})
    record = only(bundle(a_plan(title="步行方案", author={"display": "李医生"}), an_order(**reason))).record
    (order,) = (said for one in face(record, known) if (said := orjson.loads(one.json))["resourceType"] == "ServiceRequest")
    assert ("reasonCode" in order) == bool(reason)
    assert order["meta"]["profile"] == [*claimed, "https://kinehub.org/fhir/StructureDefinition/kinehub-service-request"]


@pytest.mark.parametrize("said", [a_plan(), a_goal()])
def test_a_plan_or_goal_is_given_for_what_it_addresses(said: dict[str, Any]) -> None:
    condition = a_condition(recordedDate=DAY, code={"coding": [{"system": ICD, "code": "Z72.3"}], "text": "缺乏身体锻炼"})
    rows = read(bundle(said | {"addresses": [{"reference": "Condition/d1"}]}, condition))
    found: list[Any] = [one.record for one in rows if not isinstance(one, Rejected)]
    (plan,) = (one for one in found if one.__struct_config__.tag == "prescription")
    assert (plan.reason, plan.reason_coding) == ("缺乏身体锻炼", f"{ICD}|Z72.3")


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        (a_condition(), "not-readable", "recordedDate"),
        (a_condition(onsetDateTime="2024"), "not-readable", "recordedDate"),
        (a_condition(recordedDate=DAY, verificationStatus={"coding": [{"system": VERIFIED, "code": "entered-in-error"}]}), "status", "verificationStatus"),
        ({name: value for name, value in a_goal().items() if name != "startDate"}, "not-readable", "startDate"),
        (a_goal(lifecycleStatus="entered-in-error"), "status", "lifecycleStatus"),
        (a_goal() | {"category": [{"text": "dietary"}]}, "not-a-measure", "code"),
        ({name: value for name, value in a_plan(title="x").items() if name != "period"}, "not-readable", "period"),
    ],
)  # fmt: skip
def test_what_does_not_hold_enough_for_a_record_is_refused_by_what_it_lacks(said: dict[str, Any], code: str, field: str) -> None:
    (found,) = read(said)
    assert isinstance(found, Rejected)
    assert (found.code, found.field) == (code, field)
