"""The Patient of a resident, the Organization of a party, and the ID number's check."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import orjson
import pytest
from fhir.resources.R4B.organization import Organization
from fhir.resources.R4B.patient import Patient
from hypothesis import given
from hypothesis import strategies as st

from mappings.resident import organization, patient
from schemas.classes import DataClass
from schemas.r4.validator import is_valid
from schemas.resident import MemberNumber, Resident, area_valid, id_number, id_number_birth_date, id_number_gender, id_number_valid, phone_valid

RESIDENT_ID = "0190c000-0000-7000-8000-000000000001"
VALID = "11010519491231002X"
"""The worked example of GB 11643-1999."""


def test_the_standard_s_own_example_passes() -> None:
    assert id_number_valid(VALID)
    assert id_number(" 11010519491231002x ") == VALID
    assert id_number_birth_date(VALID) == date(1949, 12, 31)
    assert id_number_gender(VALID) == "female"


@given(st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_never_passes(place: int, shift: int) -> None:
    alphabet = "0123456789"
    was = alphabet.index(VALID[place]) if VALID[place] != "X" else 0
    wrong = VALID[:place] + alphabet[(was + shift) % 10] + VALID[place + 1 :]
    assert not id_number_valid(wrong)
    assert id_number_birth_date(wrong) is None
    assert id_number_gender(wrong) is None


@pytest.mark.parametrize(
    "text",
    ["13812345678", "138 1234 5678", "138-1234-5678", "１３８１２３４５６７８", "8613812345678", "+8613812345678", "+86 138 1234 5678", "+14155550123",
     "021-62345678", "0571-8765432", "010 62345678", "02162345678-801"],
)  # fmt: skip
def test_mobiles_landlines_and_e164_are_phones(text: str) -> None:
    assert phone_valid(text)


@pytest.mark.parametrize(
    "text", ["", "abc", "1381234567", "138123456789", "12812345678", "62345678", "+0123456789", "+1234", "021-12345", "13812345678x", "1" * 400]
)
def test_what_is_no_phone_is_refused(text: str) -> None:
    assert not phone_valid(text)


@pytest.mark.parametrize(("text", "valid"), [
    ("3101", True), ("310110", True), ("310110016", True), ("310110016001", True), ("810000", True),
    ("", False), ("zz", False), ("31", False), ("31011", False), ("3101100", False), ("3101100160010", False), ("990000", False),
    ("３１０１１０", False), ("310110 ", False),
])  # fmt: skip
def test_an_area_is_a_division_code_of_one_of_four_levels(text: str, valid: bool) -> None:
    assert area_valid(text) is valid


@pytest.mark.parametrize("text", [None, "", "110105491231002", "11010519490231002X", "１１0105194912310021", "X" * 18, "1" * 400])
def test_what_is_no_id_number_is_refused(text: str | None) -> None:
    assert not id_number_valid(text)


def test_a_full_resident_is_a_valid_patient() -> None:
    resident = Resident(
        name="王小明", id_number=VALID.lower(), birth_date=date(1949, 12, 31), gender="unknown", gender_code="9", phone="13800000000",
        area="310101001001", zone="Asia/Shanghai", health_card="HC001", member_numbers=[MemberNumber("0190b000-0000-7000-8000-000000000001", "M-7")],
    )  # fmt: skip
    resource = patient(resident, RESIDENT_ID)
    said = orjson.loads(resource.json)
    Patient.model_validate(said)
    assert (resource.slot, resource.type, resource.classes) == (-1, "Patient", DataClass.IDENTITY)
    assert resource.json.startswith(b'{"resourceType":"Patient","id":"%b","meta":{"' % RESIDENT_ID.encode())
    assert {(found["system"], found["value"]) for found in said["identifier"]} == {
        ("urn:oid:2.16.156.10011.1.3", VALID),
        ("urn:oid:2.16.156.10011.1.19", "HC001"),
        ("https://kinehub.org/id/member-number", "M-7"),
    }
    assert said["gender"] == "unknown"
    assert said["_gender"]["extension"][0]["valueCoding"]["code"] == "9"


def test_what_is_not_known_of_a_resident_is_absent_and_said_to_be_unknown_where_ips_requires_it() -> None:
    said = orjson.loads(patient(Resident(), RESIDENT_ID).json)
    assert set(said) == {"resourceType", "id", "meta", "language", "active", "name", "_birthDate"}
    assert [set(name) for name in said["name"]] == [{"_text"}]
    assert [one["extension"][0]["valueCode"] for one in (said["name"][0]["_text"], said["_birthDate"])] == ["unknown", "unknown"]
    Patient.model_validate(said)
    assert is_valid(said)


@pytest.mark.parametrize(
    ("contact", "system"),
    [("021-00000001", "phone"), ("privacy@hub.example", "email"), ("https://hub.example/contact", "url"), ("控江路 1 号二楼", "other"), (None, None)],
)
def test_an_organization_is_valid_and_says_its_kind_and_how_it_is_reached(contact: str | None, system: str | None) -> None:
    said = organization(SimpleNamespace(name="东湖健身中心", kind="fitness-center", contact=contact, country="CN" if contact else None))
    Organization.model_validate(said)
    assert said["type"][0]["coding"][0]["code"] == "fitness-center"
    assert said.get("telecom") == ([{"system": system, "value": contact}] if contact else None)
    assert said.get("address") == ([{"country": "CN"}] if contact else None)
