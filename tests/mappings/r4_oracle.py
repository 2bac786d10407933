"""Judges a face by what others wrote: the R4B models of fhir.resources, R4's invariants, the profiles' fixed parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from typing import Any

import orjson

from mappings.face import Resource, Subject

RECORD_ID = "0190a000-0000-7000-8000-000000000001"
SUBJECT = Subject(
    record_id=RECORD_ID, patient="Patient/0190c000-0000-7000-8000-000000000001", party="Organization/0190b000-0000-7000-8000-000000000001",
    party_name="东湖健身中心", adapter="fit", adapter_version="1.0.0", original_hash="ab" * 32, recorded="2026-05-01T01:00:00Z", zone="Asia/Shanghai",
)  # fmt: skip
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
DATE_TIME = re.compile(
    r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])"
    r"(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?"
)
CODE = re.compile(r"[^\s]+(\s[^\s]+)*")
PA = "http://hl7.org/fhir/us/physical-activity/StructureDefinition/"
VITAL_SIGNS = {
    "heartrate": ("8867-4", "/min"), "resprate": ("9279-1", "/min"), "oxygensat": ("2708-6", "%"), "bodytemp": ("8310-5", "Cel"),
    "bodyweight": ("29463-7", "kg"), "bodyheight": ("8302-2", "cm"), "bmi": ("39156-5", "kg/m2"),
}  # fmt: skip


def read(resources: list[Resource]) -> dict[int, dict[str, Any]]:
    """Resources by slot."""
    return {resource.slot: orjson.loads(resource.json) for resource in resources}


def judge(resources: list[Resource], record_id: str = RECORD_ID) -> None:
    """Every rule at once, over one face."""
    faces = read(resources)
    assert len(faces) == len(resources)
    assert [resource.slot for resource in resources] == sorted(faces)
    of_nobody = [resource.type for resource in resources] == ["MeasureReport"]
    assert all(resource.classes for resource in resources) != of_nobody
    for resource in resources:
        said = faces[resource.slot]
        _judge_frame(resource, said, record_id)
        module = import_module(f"fhir.resources.R4B.{resource.type.lower()}")
        getattr(module, resource.type).model_validate(said)
        _judge_values(said)
        if resource.type == "Observation":
            _judge_observation(said)
    if not of_nobody:
        _judge_references(faces, record_id)


def _judge_frame(resource: Resource, said: dict[str, Any], record_id: str) -> None:
    assert said["id"] == f"{record_id}-{resource.slot}"
    assert ID.fullmatch(said["id"])
    assert resource.json.startswith(b'{"resourceType":"%b","id":"%b","meta":{"' % (resource.type.encode(), said["id"].encode()))
    assert said["meta"]["profile"]
    assert not {"versionId", "lastUpdated"} & set(said["meta"])
    assert bin(resource.classes).count("1") == len(said["meta"].get("security", ()))


def _walk(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, value
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from _walk(inner, key)
    for inner in value if isinstance(value, list) else ():
        yield from _walk(inner, name)


def _judge_values(said: dict[str, Any]) -> None:
    for name, value in _walk(said):
        assert value not in ("", [], {}, None), name
        if name in ("effectiveDateTime", "start", "end", "recorded") and isinstance(value, str):
            assert DATE_TIME.fullmatch(value), value
        if name in ("code", "valueCode") and isinstance(value, str):
            assert CODE.fullmatch(value)
        if name in ("period", "effectivePeriod") and isinstance(value, dict) and {"start", "end"} <= set(value):
            assert _not_after(value["start"], value["end"])
        if name == "valueQuantity":
            assert value.get("system", "http://unitsofmeasure.org") == "http://unitsofmeasure.org"
            assert ("system" in value) == ("code" in value)


def _not_after(start: str, end: str) -> bool:
    if "T" not in start or "T" not in end:
        return True
    return datetime.fromisoformat(start) <= datetime.fromisoformat(end)


def _codes(concept: dict[str, Any]) -> set[tuple[str, str]]:
    return {(coding.get("system", ""), coding["code"]) for coding in concept.get("coding", [])}


def _judge_observation(said: dict[str, Any]) -> None:
    value = [name for name in said if name.startswith("value")]
    assert len(value) <= 1
    assert not (value and "dataAbsentReason" in said), "obs-6"
    assert value or "dataAbsentReason" in said or "component" in said or "hasMember" in said, "vs-2"
    codes = _codes(said["code"])
    assert not (value and any(codes & _codes(part["code"]) for part in said.get("component", []))), "obs-7"
    assert all(any(name.startswith("value") for name in part) or "dataAbsentReason" in part for part in said.get("component", []))
    for ends in said.get("referenceRange", []):
        assert {"low", "high", "text"} & set(ends), "obs-3"
    for profile in said["meta"]["profile"]:
        if profile.startswith(PA):
            _judge_physical_activity(profile.removeprefix(PA), said)
        elif profile.startswith("http://hl7.org/fhir/StructureDefinition/"):
            _judge_vital_sign(profile.rpartition("/")[2], said)


def _categories(said: dict[str, Any]) -> set[str]:
    return {coding["code"] for concept in said["category"] for coding in concept["coding"]}


def _judge_physical_activity(profile: str, said: dict[str, Any]) -> None:
    assert {"activity", "PhysicalActivity"} <= _categories(said)
    assert ("effectiveDateTime" in said) != ("effectivePeriod" in said)
    if "effectivePeriod" in said:
        assert {"start", "end"} <= set(said["effectivePeriod"])
    assert not {"performer", "note", "focus", "specimen", "implicitRules", "modifierExtension"} & set(said)
    assert {name for name in said if name.startswith("value")} <= {"valueQuantity", "valueCodeableConcept"}
    if profile == "pa-observation-activity-group":
        assert said["hasMember"]
        assert not [name for name in said if name.startswith("value")]
        assert said["code"]["coding"][0]["code"] == "PAPanel"


def _judge_vital_sign(profile: str, said: dict[str, Any]) -> None:
    assert "vital-signs" in _categories(said)
    assert len(said["effectiveDateTime"]) >= 8, "vs-1"
    if profile == "bp":
        assert ("http://loinc.org", "85354-9") in _codes(said["code"])
        parts = {code for part in said["component"] for code in _codes(part["code"])}
        assert {("http://loinc.org", "8480-6"), ("http://loinc.org", "8462-4")} <= parts
    elif profile != "vitalsigns":
        code, unit = VITAL_SIGNS[profile]
        assert ("http://loinc.org", code) in _codes(said["code"])
        if "valueQuantity" in said:
            assert said["valueQuantity"]["code"] == unit


def _judge_references(faces: dict[int, dict[str, Any]], record_id: str) -> None:
    own = {f"{said['resourceType']}/{said['id']}" for said in faces.values()}
    provenance = faces[0]
    assert provenance["resourceType"] == "Provenance"
    targets = [target["reference"] for target in provenance["target"]]
    assert set(targets) == own - {f"Provenance/{provenance['id']}"}
    assert len(targets) == len(set(targets))
    for said in faces.values():
        for name, value in _walk(said):
            if name == "reference" and record_id in value:
                assert value in own
