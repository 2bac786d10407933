"""Small makers for consents, requests and resources of the examples."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from consent.decision import Decision, Verdict, check_resource, compile_policy, decide
from consent.request import Request

LOINC = "http://loinc.org"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LEVEL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
CLASS = "https://kinehub.org/fhir/CodeSystem/data-class"
TYPES = "http://hl7.org/fhir/resource-types"

Json = dict[str, Any]


def codings(system: str, *codes: str) -> list[Json]:
    return [{"system": system, "code": code} for code in codes]


def concepts(system: str, *codes: str) -> list[Json]:
    return [{"coding": codings(system, code)} for code in codes]


def actor(reference: str) -> Json:
    return {"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": reference}}


def rule(kind: str, *nested: Json, **elements: Any) -> Json:
    """A provision; `class_` stands for `class`."""
    found = {"type": kind, **{name.rstrip("_"): value for name, value in elements.items()}}
    return {**found, "provision": list(nested)} if nested else found


def consent(provision: Json | None, **elements: Any) -> Json:
    base = {"resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": "Patient/p"}, "dateTime": "2026-01-01"}
    return {**base, **({"provision": provision} if provision is not None else {}), **elements}


def ask(**given: Any) -> Request:
    at = datetime.fromisoformat(given.pop("at", "2026-06-01T10:00:00+08:00"))
    return Request(**{"actor": "Practitioner/a", "acts_for": "Organization/h", "purpose": "TREAT", **given}, at=at)


def observation(code: str = "8867-4", *, labels: list[Json] | None = None, **elements: Any) -> Json:
    """A heart rate of the morning of 1 May, labelled `activity` and normal."""
    security = [*codings(CLASS, "activity"), *codings(LEVEL, "N")] if labels is None else labels
    base = {"resourceType": "Observation", "id": "1", "meta": {"security": security}, "subject": {"reference": "Patient/p"}}
    when = {} if any(name.startswith("effective") for name in elements) else {"effectiveDateTime": "2026-05-01T08:00:00+08:00"}
    return {**base, "code": {"coding": codings(LOINC, code)}, **when, **elements}


def blood_pressure(**elements: Any) -> Json:
    parts = [{"code": {"coding": codings(LOINC, code)}, "valueQuantity": {"value": value}} for code, value in (("8480-6", 131), ("8462-4", 87))]
    return observation("85354-9", component=parts, **elements)


def decision(*consents: Json, request: Request | None = None, resources: dict[str, Json] | None = None, house: bool = True) -> Decision:
    policy = compile_policy(list(consents), resident="Patient/p", zone="Asia/Shanghai", resources=resources or {}, house=house)
    return decide(policy, request or ask())


def verdict(*consents: Json, on: Json | None = None, **given: Any) -> Verdict:
    """The verdict on `on` for `ask(**request)`; `resources` and `house` go to the policy."""
    resources, house = given.pop("resources", None), given.pop("house", True)
    made = decision(*consents, request=ask(**given), resources=resources, house=house)
    assert made.policy is not None
    return check_resource(made, on or observation(), made.policy.zone)


def outcome(*consents: Json, on: Json | None = None, **given: Any) -> str:
    return verdict(*consents, on=on, **given).decision
