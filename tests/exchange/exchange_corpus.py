"""A small resident's compartment, made by hand: every stored type, each way a value can be written."""

# ruff: noqa: E501 - hand-made resources read best when one stands beside the other

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from hub.exchange.compartment import Compartment, Resource
from hub.exchange.parameters import Query, parse
from hub.exchange.search import Page, run

BASE = "http://localhost:8000/fhir"
NOW = datetime(2024, 6, 1, tzinfo=UTC)
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def concept(code: str, system: str = LOINC, text: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": f"Display of {code}"}], **({"text": text} if text else {})}


def observation(id: str, code: str, effective: Any, **more: Any) -> dict[str, Any]:
    key = "effectiveDateTime" if isinstance(effective, str) else "effectivePeriod"
    return {
        "resourceType": "Observation", "id": id, "meta": {"lastUpdated": "2024-05-02T08:00:00.000Z", "profile": ["http://x.org/P|1.0"]},
        "status": "final", "category": [concept("activity", CATEGORY)], "code": concept(code), "subject": {"reference": "Patient/p1"},
        key: effective, **more,
    }  # fmt: skip


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def blood_pressure(id: str, when: str, systolic: float, diastolic: float) -> dict[str, Any]:
    parts = [{"code": concept("8480-6"), "valueQuantity": quantity(systolic, "mm[Hg]")}, {"code": concept("8462-4"), "valueQuantity": quantity(diastolic, "mm[Hg]")}]
    return observation(id, "85354-9", when, component=parts)


PATIENT = {
    "resourceType": "Patient", "id": "p1", "meta": {"lastUpdated": "2024-05-01T08:00:00Z"}, "active": True,
    "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "11010519491231002X", "type": concept("NI", "http://terminology.hl7.org/CodeSystem/v2-0203", "身份证")}],
    "name": [{"text": "王芳", "family": "Müller", "given": ["Anna Maria", "Eva"]}], "gender": "female", "birthDate": "1949-12-31",
    "telecom": [{"system": "phone", "value": "13800000000"}, {"system": "email", "value": "a@example.org"}],
    "address": [{"line": ["南京路 1 号"], "city": "Shanghai", "country": "CN", "postalCode": "200000"}],
    "managingOrganization": {"reference": "Organization/o1"}, "contact": [{"name": {"text": "Li"}}],
}  # fmt: skip

RESOURCES: list[dict[str, Any]] = [
    PATIENT,
    observation("steps", "55423-8", "2024-05-01T08:30:00+08:00", valueQuantity=quantity(5400, "{steps}"), hasMember=[{"reference": "Observation/hr"}]),
    observation("hr", "8867-4", "2024-05-01T09:00:15.250+08:00", valueQuantity=quantity(72.5, "/min"), device={"reference": f"{BASE}/Device/d1"},
                encounter={"reference": "Encounter/e1"}, note=[{"text": "secret note"}], text={"status": "generated", "div": "<div>72.5</div>"}),
    observation("sleep", "93832-4", {"start": "2024-04-30T23:00:00+08:00", "end": "2024-05-01T07:00:00+08:00"}, valueQuantity=quantity(8, "h")),
    observation("open", "55411-3", {"start": "2024-05-03"}, valueCodeableConcept=concept("LA1", text="Läufer")),
    observation("month", "29463-7", "2024-03", valueQuantity={**quantity(70, "kg"), "comparator": "<"}, status="amended"),
    observation("text", "11111-1", "2024-05-01", valueString="Étude, deux", performer=[{"identifier": {"system": "urn:x", "value": "7"}}]),
    observation("when", "22222-2", "2023-12-31T23:59:59Z", valueDateTime="2024-02-29", focus=[{"reference": "http://other.org/fhir/Device/9"}]),
    observation("sampled", "8867-4", "2022-01-01", valueSampledData={"origin": {"value": 10, "system": UCUM, "code": "/min"}, "period": 1, "dimensions": 1, "data": "50 60 E"}),
    observation("absent", "8867-4", "2021-07-01", dataAbsentReason=concept("unknown", "http://terminology.hl7.org/CodeSystem/data-absent-reason")),
    blood_pressure("bp1", "2024-05-04T10:00:00+08:00", 120, 80),
    blood_pressure("bp2", "2024-05-05T10:00:00+08:00", 80, 120),
    {"resourceType": "Encounter", "id": "e1", "meta": {"tag": [{"system": "urn:t", "code": "gym"}], "security": [{"system": "urn:s", "code": "N"}], "source": "urn:file:1"},
     "status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}, "subject": {"reference": "Patient/p1"},
     "period": {"start": "2024-05-01T08:00:00+08:00", "end": "2024-05-01T10:00:00+08:00"}, "length": quantity(120, "min"),
     "serviceProvider": {"reference": "Organization/o1"}, "location": [{"location": {"reference": "Location/l1"}}]},
    {"resourceType": "DiagnosticReport", "id": "dr1", "status": "final", "code": concept("11488-4"), "subject": {"reference": "Patient/p1"},
     "effectiveDateTime": "2024-05-06", "issued": "2024-05-06T10:00:00.000+08:00", "result": [{"reference": "Observation/hr"}, {"reference": "Observation/bp1"}]},
    {"resourceType": "Device", "id": "d1", "status": "active", "manufacturer": "Garmin", "modelNumber": "fenix 5", "type": concept("528391", "urn:iso:std:iso:11073:10101"),
     "deviceName": [{"name": "Watch", "type": "user-friendly-name"}], "patient": {"reference": "Patient/p1"}, "url": "http://kinehub.org/devices/1"},
    {"resourceType": "Provenance", "id": "pv1", "target": [{"reference": "Observation/hr/_history/2"}, {"reference": "Encounter/e1"}],
     "occurredDateTime": "2024-05-01", "recorded": "2024-05-02T08:00:00Z", "agent": [{"who": {"reference": "Organization/o1"}}]},
    {"resourceType": "Provenance", "id": "pv2", "target": [{"reference": "Patient/p1"}], "recorded": "2024-05-02T08:00:00Z", "agent": [{"who": {"reference": "Organization/o1"}}]},
    {"resourceType": "Consent", "id": "c1", "status": "active", "scope": concept("patient-privacy", "http://terminology.hl7.org/CodeSystem/consentscope"),
     "category": [concept("59284-0")], "patient": {"reference": "Patient/p1"}, "dateTime": "2024-01-01", "policy": [{"uri": "urn:policy"}],
     "provision": {"period": {"start": "2024-01-01", "end": "2024-12-31"}, "actor": [{"role": concept("IRCP", "urn:r"), "reference": {"reference": "Organization/o1"}}],
                   "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}]}},
    {"resourceType": "Media", "id": "m1", "status": "completed", "subject": {"reference": "#inner"}, "content": {"url": "urn:x"},
     "contained": [{"resourceType": "Patient", "id": "inner", "birthDate": "2001-02-03"}]},
]  # fmt: skip

DIRECTORY: list[dict[str, Any]] = [
    {"resourceType": "Organization", "id": "o1", "name": "社区体育中心", "partOf": {"reference": "Organization/o0"}},
    {"resourceType": "Organization", "id": "o0", "name": "City"},
    {"resourceType": "Location", "id": "l1", "name": "Hall"},
]


def resource(content: dict[str, Any], at: int = 0) -> Resource:
    return Resource(msgspec.json.encode(content), content["resourceType"], content["id"], at)


HELD = [resource(content, at) for at, content in enumerate(RESOURCES)]
_BY_KEY = {(one["resourceType"], one["id"]): resource(one) for one in DIRECTORY}


def compartment(*hidden: str, held: list[Resource] | None = None) -> Compartment:
    visible = [one for one in (HELD if held is None else held) if one.id not in hidden]
    return Compartment(visible, lambda type, id: _BY_KEY.get((type, id)))


def query(resource_type: str, *pairs: tuple[str, str], lenient: bool = False) -> Query:
    return parse(resource_type, pairs, lenient=lenient, base_url=BASE, now=NOW)


def page(resource_type: str, *pairs: tuple[str, str], within: Compartment | None = None) -> Page:
    where = within or compartment()
    return run(query(resource_type, *pairs), where.of_type(resource_type), where)


def found(resource_type: str, *pairs: tuple[str, str], within: Compartment | None = None) -> set[str]:
    """Ids of what a search over the corpus matches."""
    return {one.id for one in page(resource_type, *pairs, within=within).matches}
