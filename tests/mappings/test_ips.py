"""What claims a profile of the International Patient Summary fits it, and what lacks something that it requires claims less or says so."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from mappings.face import face
from mappings.resident import patient
from schemas.r4.validator import validate
from schemas.records import decode
from schemas.resident import Resident
from tests.mappings import kept
from tests.mappings.r4_oracle import SUBJECT

IPS, OURS = "http://hl7.org/fhir/uv/ips/StructureDefinition/", "https://kinehub.org/fhir/StructureDefinition/"
LABORATORY = f"{IPS}Observation-results-laboratory-pathology-uv-ips"


def claimants() -> list[dict[str, Any]]:
    """The resources of the full records on file that claim a profile of IPS, and a Patient."""
    made = [one for path in kept.files() for one in face(decode(orjson.dumps(kept.record_in(path))), SUBJECT)]
    shown = [orjson.loads(one.json) for one in (*made, patient(Resident(name="王秀英", zone="Asia/Shanghai"), "0190c000-0000-7000-8000-000000000001"))]
    return [one for one in shown if one["meta"]["profile"][0].startswith(IPS)]


def broken(body: dict[str, Any]) -> list[str]:
    return [issue.path for issue in validate(body) if issue.severity == "error"]


def test_what_claims_ips_fits_it_and_claims_ours_beside_it() -> None:
    kinds = Counter(one["resourceType"] for one in claimants())
    assert set(kinds) == {"Condition", "DiagnosticReport", "ImagingStudy", "MedicationStatement", "Observation", "Patient"}
    for one in claimants():
        assert one["meta"]["profile"][1].startswith(OURS)
        assert broken(one) == []


@pytest.mark.parametrize(
    ("type_", "gone"),
    [
        ("Patient", "_birthDate"), ("Patient", "name"), ("Condition", "code"), ("MedicationStatement", "effective"), ("DiagnosticReport", "effective"),
        ("Observation", "performer"), ("Observation", "value"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("claim", [IPS, OURS])
def test_what_ips_requires_is_required_by_its_profile_and_by_ours(type_: str, gone: str, claim: str) -> None:
    body = next(one for one in claimants() if one["resourceType"] == type_)
    body["meta"]["profile"] = [url for url in body["meta"]["profile"] if url.startswith(claim)]
    assert broken({name: value for name, value in body.items() if not name.startswith(gone)}) != []


def test_a_status_that_ips_leaves_out_is_refused_of_what_claims_it() -> None:
    body = next(one for one in claimants() if one["resourceType"] == "ImagingStudy")
    assert broken(body | {"status": "entered-in-error"}) == ["ImagingStudy.status"] * 2


def test_a_result_whose_laboratory_is_not_known_claims_no_profile_of_ips() -> None:
    (path,) = (path for path in kept.files() if path.stem == "lab-result")
    record = kept.record_in(path)
    del record["laboratory"]
    results = [orjson.loads(one.json) for one in face(decode(orjson.dumps(record)), SUBJECT) if one.type == "Observation"]
    assert {tuple(one["meta"]["profile"]) for one in results} == {(f"{OURS}kinehub-lab-observation",)}
    assert [one for one in results if "performer" in one or broken(one)] == []
