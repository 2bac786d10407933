"""Conditions, goals and plans of other hubs, in the shapes of the HL7 Physical Activity IG: what is taken, and which elements come back.

The resources are invented. What does not come back is listed element by element: an element that the standard knows may not be among it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest

from adapters.base import Rejected
from mappings.face import face
from tests.adapters.test_fhir import ICD, bundle, of_activity, only, read
from tests.mappings.r4_oracle import SUBJECT

VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
DAY = "2026-05-01"
PA_ORDER = "http://hl7.org/fhir/us/physical-activity/StructureDefinition/pa-servicerequest"


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


# What comes back


def said_in(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every primitive with its path, without the places in lists: an answer may have more in its lists, in another order."""
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from said_in(inner, f"{path}.{name}" if path else name)
    elif isinstance(node, list):
        for inner in node:
            yield from said_in(inner, path)
    else:
        yield path, str(node)


def dropped(*resources: dict[str, Any]) -> set[str]:
    """The elements of these resources that the answer does not have with the same value, there or in an extension of ours. Ids and references
    are the hub's own."""
    shown: dict[str, set[tuple[str, str]]] = {}
    for one in answered(*resources):
        shown.setdefault(one["resourceType"], set()).update(said_in(one))
    return {
        f"{one['resourceType']}.{path}" for one in resources for path, value in said_in(one)
        if not {(path, value), ("extension.valueString", value)} & shown.get(one["resourceType"], set())
        and path not in ("resourceType", "id") and not path.endswith("reference")
    }  # fmt: skip


CONDITION = a_condition(
    identifier=[{"system": "urn:hospital", "value": "D-7"}], recordedDate="2026-05-01T09:00:00+08:00", onsetDateTime="2024-03-09",
    severity={"text": "轻度"},
    clinicalStatus={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}]},
    abatementDateTime="2026-04-01",
    verificationStatus={"coding": [{"system": VERIFIED, "code": "confirmed"}]}, bodySite=[{"text": "左膝"}], note=[{"text": "复查"}],
    code={"coding": [{"system": ICD, "code": "M17.1", "display": "Gonarthrosis"}, {"system": "urn:hospital", "code": "K7"}], "text": "膝关节炎"},
    recorder={"display": "李医生"}, asserter={"display": "王医生"}, stage=[{"summary": {"text": "II"}}], evidence=[{"code": [{"text": "X 线"}]}],
)  # fmt: skip
GOAL = a_goal(
    priority={"text": "高"}, achievementStatus={"text": "进行中"}, statusDate="2026-05-02", note=[{"text": "慢慢来"}],
    target=[{"measure": {"coding": [{"system": "http://loinc.org", "code": "82290-8"}]}, "dueDate": "2026-07-31",
             "detailQuantity": {"value": 150, "unit": "min/wk", "system": "http://unitsofmeasure.org", "code": "min/wk", "comparator": ">="}}],
)  # fmt: skip
PLAN = a_plan(
    identifier=[{"system": "urn:hospital", "value": "YD-9"}], title="步行方案", description="先慢后快", created="2026-04-30",
    period={"start": DAY, "end": "2026-07-31"}, author={"display": "李医生"},
    goal=[{"reference": "Goal/g1"}], contributor=[{"display": "张教练"}],
    careTeam=[{"display": "社区团队"}], note=[{"text": "雨天停"}],
    activity=[{"reference": {"reference": "ServiceRequest/s1"}, "outcomeCodeableConcept": [{"text": "完成"}]}],
)  # fmt: skip
ORDER = an_order(
    reasonCode=[{"text": "久坐"}], requester={"display": "李医生"}, orderDetail=[{"text": "快走"}], priority="routine",
    patientInstruction="带水", quantityQuantity={"value": 3},
    occurrenceTiming={"repeat": {"frequency": 5, "period": 1, "periodUnit": "wk", "duration": 30, "durationUnit": "min"}}, note=[{"text": "平地"}],
)  # fmt: skip


@pytest.mark.parametrize(
    ("resources", "lost"),
    [
        ([CONDITION], {
            "Condition.code.coding.display", "Condition.code.coding.system", "Condition.code.coding.code", "Condition.asserter.display",
            "Condition.stage.summary.text", "Condition.evidence.code.text", "Condition.identifier.system",
        }),
        ([a_condition(onsetPeriod={"start": "2024-03-09", "end": "2024-04-01"})], {"Condition.onsetPeriod.start", "Condition.onsetPeriod.end"}),
        ([GOAL], {"Goal.priority.text", "Goal.achievementStatus.text", "Goal.statusDate", "Goal.note.text"}),
        ([PLAN, GOAL, ORDER], {
            "Goal.priority.text", "Goal.achievementStatus.text", "Goal.statusDate", "Goal.note.text", "CarePlan.identifier.system",
            "CarePlan.contributor.display", "CarePlan.careTeam.display", "CarePlan.activity.outcomeCodeableConcept.text",
            "ServiceRequest.authoredOn",  # a plan and its orders are written at one time
            "ServiceRequest.code.coding.display", "ServiceRequest.priority", "ServiceRequest.patientInstruction",
            "ServiceRequest.quantityQuantity.value", "ServiceRequest.note.text",
        }),
    ],
    ids=["a condition", "an onset that is a period", "a goal", "a plan with its goal and order"],
)  # fmt: skip
def test_what_a_resource_says_comes_back_but_for_what_the_standard_has_no_place_for(resources: list[dict[str, Any]], lost: set[str]) -> None:
    assert dropped(*resources) == lost
