"""What others say in FHIR and our face says again: each element comes back with its value, or stands in DROPPED with the reason why not.

An element is kept where the face has a leaf of the same type and path with the same value; lists have no order here. A reason that no shape
needs any more fails too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import orjson
import pytest

from mappings.face import face
from mappings.inverse import Understood, records_of
from schemas.r4.validator import by_r4
from tests.mappings.r4_oracle import SUBJECT

LOINC, MDC, UCUM, SNOMED = "http://loinc.org", "urn:iso:std:iso:11073:10101", "http://unitsofmeasure.org", "http://snomed.info/sct"
ACTIVITY = {"coding": [{"system": "http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes", "code": "PhysicalActivity"}]}
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
    "resourceType": "Device", "id": "dev", "identifier": [{"system": "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680", "value": "FEEDABEEDEAD77C3"}],
    "manufacturer": "Acme", "modelNumber": "M1", "serialNumber": "7", "type": concept("65573", MDC), "version": [{"value": "1.2"}],
    "specialization": [{"systemType": concept("528391", MDC), "version": "1"}],
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
    "verificationStatus": concept("confirmed", "http://terminology.hl7.org/CodeSystem/condition-ver-status"), "severity": {"text": "轻度"},
    "category": [concept("health-concern", "urn:c")], "code": concept("Z72.3", "http://hl7.org/fhir/sid/icd-10-cm", text="身体活动不足"), "subject": PERSON,
    "onsetDateTime": "2022-06-08", "bodySite": [{"text": "全身"}], "recorder": DOCTOR, "asserter": DOCTOR, "note": NOTE,
    "evidence": [{"detail": [{"reference": "Observation/hr"}]}], "stage": [{"summary": {"text": "1期"}}],
}  # fmt: skip
PLAN = {
    "resourceType": "CarePlan", "id": "p", "status": "active", "intent": "plan", "category": [ACTIVITY], "title": "计划", "description": "每周三次",
    "subject": PERSON, "period": {"start": "2026-05-01", "end": "2026-07-31"}, "created": "2026-04-30T09:00:00+08:00", "author": DOCTOR,
    "addresses": [{"reference": "Condition/c"}], "goal": [{"reference": "Goal/g"}], "note": NOTE, "contributor": [DOCTOR],
}  # fmt: skip
GOAL = {
    "resourceType": "Goal", "id": "g", "lifecycleStatus": "active", "category": [ACTIVITY], "description": {"text": "每周150分钟"}, "subject": PERSON,
    "achievementStatus": concept("improving", "http://terminology.hl7.org/CodeSystem/goal-achievement"), "startDate": "2026-05-01", "expressedBy": DOCTOR,
    "target": [{"measure": concept("82290-8"), "detailQuantity": amount(150, "min/wk"), "dueDate": "2026-07-31"}], "note": NOTE,
}  # fmt: skip
ORDER = {
    "resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order", "category": [ACTIVITY], "priority": "routine", "subject": PERSON,
    "code": concept("229065009", SNOMED), "orderDetail": [{"text": "快走"}], "authoredOn": "2026-04-30T09:00:00+08:00", "requester": DOCTOR,
    "performer": [PERSON], "basedOn": [{"reference": "CarePlan/p"}], "note": NOTE, "patientInstruction": "量力而行",
    "occurrenceTiming": {"repeat": {"frequency": 5, "period": 1, "periodUnit": "wk", "duration": 30, "durationUnit": "min"}},
    "reasonCode": [concept("Z72.3", "http://hl7.org/fhir/sid/icd-10-cm", text="身体活动不足")],
}  # fmt: skip
TASK = {
    "resourceType": "Task", "id": "t", "status": "rejected", "intent": "order", "code": concept("fulfill", "http://hl7.org/fhir/CodeSystem/task-code"),
    "focus": {"reference": "ServiceRequest/s"}, "for": PERSON, "authoredOn": "2026-05-01T09:00:00+08:00", "lastModified": "2026-05-02T09:00:00+08:00",
    "requester": DOCTOR, "owner": {"reference": "Organization/o", "display": "东湖健身中心"}, "statusReason": {"text": "名额已满"},
    "businessStatus": {"text": "已回复"}, "note": NOTE, "identifier": [{"system": "urn:hospital", "value": "T-1"}],
}  # fmt: skip
BOUT = {"subject": PERSON, "status": "final", "effectivePeriod": {"start": WHEN, "end": "2026-05-01T09:10:00+08:00"}}
GROUP = {
    "resourceType": "Observation", "id": "gr", "category": [ACTIVITY], "code": concept("PAPanel", ACTIVITY["coding"][0]["system"]), **BOUT,
    "hasMember": [{"reference": f"Observation/{name}"} for name in ("m1", "m2", "m3")],
}  # fmt: skip
MEMBERS = [
    {"resourceType": "Observation", "id": "m1", "category": [ACTIVITY], "code": concept("55411-3"), "valueQuantity": amount(30, "min"), **BOUT},
    {"resourceType": "Observation", "id": "m2", "category": [ACTIVITY], "code": concept("55425-3"), "valueQuantity": amount(104, "/min"), **BOUT},
    {"resourceType": "Observation", "id": "m3", "category": [ACTIVITY], "code": concept("73985-4"), **BOUT,
     "valueCodeableConcept": concept("LA11834-1", text="健走")},
]
SHAPES: dict[str, list[dict[str, Any]]] = {
    "a gateway's reading with its device": [READING, DEVICE], "a pressure with a part that failed": [PRESSURE], "a laboratory's report": [REPORT, RESULT],
    "a diagnosis by its onset": [DIAGNOSIS], "a plan with a goal and an order": [PLAN, GOAL, ORDER],
    "a referral with its order": [TASK, {name: said for name, said in ORDER.items() if name not in ("basedOn", "occurrenceTiming", "orderDetail")}],
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
    "Task.note.text": "as of a plan",
    "ServiceRequest.authoredOn": "an order has the time of its plan or task",
    "ServiceRequest.code.coding.code": "what a referral asks for is kept in words",
    "Observation.valueCodeableConcept.*": "a sport has the standard's code and name",
    "Task.for.reference": "as the subject",
    "CarePlan.note.text": "kept in the extension `note`: the profile wants a person behind each note",
    "Goal.note.text": "no field: a goal is words, a figure and a day",
    "ServiceRequest.note.text": "no field: an exercise is FITT-VP",
    "ServiceRequest.patientInstruction": "no field: an exercise is FITT-VP",
    "ServiceRequest.priority": "no field: a referral has its urgency, an exercise has none",
    "CarePlan.contributor.*": "no field: one author",
    "Goal.achievementStatus.*": "no field: how far it is, adherence and evaluations say",
    "Goal.expressedBy.*": "no field: the plan's author",
    "Condition.asserter.*": "no field: who recorded it is kept",
    "Condition.category.*": "no field: every diagnosis is one data class",
    "Condition.stage.*": "no field",
    "Condition.evidence.*": "no field",
    "Device.serialNumber": "one identifier: the first that is stated",
    "Device.specialization.*": "no field: the type is kept",
    "DiagnosticReport.code.*": "every laboratory has codes of its own; ours says that it is a laboratory's report",
    "DiagnosticReport.conclusionCode.*": "no field: the conclusion's words",
    "Observation.category.*": "the measure has its category; the gateway's own says only that a device sent it",
    "Observation.code.coding.*": "a panel's code is the standard's",
    "Observation.component.code.*": "what is no measure is words of the note; a part without a value has the standard's codes alone",
    "Observation.component.valueCodeableConcept.*": "words of the note",
    "Observation.component.dataAbsentReason.coding.code": "that a part has no value is kept, why is not",
    "Observation.component.interpretation.text": "no field: only a measurement of one value has an interpretation",
    "Observation.extension.*": "gateways are no devices of a record",
    "Observation.issued": "no field: when it was measured counts",
    "Observation.method.text": "no field for a measurement outside a laboratory's report",
    "Observation.referenceRange.text": "no field for a measurement outside a laboratory's report",
    "Observation.status": "a record is the last word of its source; one that is preliminary has the flag `not-final`",
    "*.unit": "the display of a unit is ours",
}
"""Element (without indices, `*` for any) to why it does not come back."""


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


def understood(shape: str) -> list[Understood]:
    found = list(records_of(SHAPES[shape]))
    return [one for one in found if isinstance(one, Understood)] if len(found) == 1 else []


def lost(shape: str) -> set[str]:
    """The elements of a shape that do not come back with their values."""
    (found,) = understood(shape)
    shown = [orjson.loads(resource.json) for resource in face(found.record, SUBJECT)]
    return {path for path, _ in said(SHAPES[shape]) - said(shown)}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_valid_r4(shape: str) -> None:
    assert not [str(issue) for one in SHAPES[shape] for issue in by_r4(one) if issue.severity == "error"]


@pytest.mark.parametrize("shape", SHAPES)
def test_whose_a_shape_is_is_read(shape: str) -> None:
    (found,) = understood(shape)
    assert found.subject == PERSON


@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_comes_back_or_is_dropped_for_a_reason(shape: str) -> None:
    assert sorted(path for path in lost(shape) if not any(fnmatchcase(path, known) for known in DROPPED)) == []


def test_no_reason_is_left_that_nothing_needs() -> None:
    every = {path for shape in SHAPES for path in lost(shape)}
    assert sorted(known for known in DROPPED if not any(fnmatchcase(path, known) for path in every)) == []
