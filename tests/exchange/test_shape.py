from __future__ import annotations

import json
from decimal import Decimal

import pytest
from fhir.resources.R4B import get_fhir_model_class

from hub.exchange.definitions import is_summary
from hub.exchange.shape import shaped
from tests.exchange.exchange_corpus import HELD, RESOURCES, query

RAW = {(one.type, one.id): one.raw for one in HELD}
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


def shape(kind, id, *pair):
    return json.loads(shaped(query(kind, pair), kind, RAW[kind, id]), parse_float=Decimal)


def test_a_summary_keeps_the_elements_that_r4_marks():
    made = shape("Observation", "hr", "_summary", "true")
    assert set(made) == {"resourceType", "id", "meta", "status", "code", "subject", "encounter", "effectiveDateTime", "valueQuantity"}
    assert made["meta"]["tag"] == [SUBSETTED]
    assert set(shape("Patient", "p1", "_summary", "true")) >= {"name", "identifier", "telecom", "gender", "birthDate", "managingOrganization"}
    assert "contact" not in shape("Patient", "p1", "_summary", "true")


def test_a_summary_reaches_into_components():
    made = shape("Observation", "bp1", "_summary", "true")
    assert [set(part) for part in made["component"]] == [{"code", "valueQuantity"}] * 2
    assert is_summary("Observation", "component")
    assert not is_summary("Observation.component", "referenceRange")


@pytest.mark.parametrize("summary", ["true", "data", "text"])
def test_what_a_summary_leaves_is_still_valid(summary):
    for content in RESOURCES:
        made = shape(content["resourceType"], content["id"], "_summary", summary)
        if content["resourceType"] != "Media":
            assert get_fhir_model_class(content["resourceType"]).model_validate(made).id == content["id"]


def test_text_keeps_the_narrative_and_what_is_mandatory_and_data_drops_it():
    assert set(shape("Observation", "hr", "_summary", "text")) == {"resourceType", "id", "meta", "text", "status", "code"}
    assert set(shape("Observation", "hr", "_summary", "data")) == set(json.loads(RAW["Observation", "hr"])) - {"text"}


def test_elements_keep_what_was_asked_and_what_must_not_be_lost():
    assert set(shape("Observation", "hr", "_elements", "value,effective")) == {
        "resourceType",
        "id",
        "meta",
        "status",
        "code",
        "valueQuantity",
        "effectiveDateTime",
    }
    assert set(shape("Patient", "p1", "_elements", "Patient.name")) == {"resourceType", "id", "meta", "active", "name"}
    assert shape("Encounter", "e1", "_elements", "class")["meta"]["tag"] == [{"system": "urn:t", "code": "gym"}, SUBSETTED]


def test_the_extension_of_a_primitive_goes_with_it():
    raw = b'{"resourceType":"Patient","id":"x","birthDate":"2000-01-01","_birthDate":{"extension":[{"url":"urn:t"}]},"_language":{"id":"1"}}'
    assert "_birthDate" in json.loads(shaped(query("Patient", ("_elements", "birthDate")), "Patient", raw))
    made = json.loads(shaped(query("Patient", ("_summary", "true")), "Patient", raw))
    assert ("_birthDate" in made, "_language" in made) == (True, False)


def test_numbers_keep_their_digits():
    raw = b'{"resourceType":"Observation","id":"x","valueQuantity":{"value":72.50},"component":[{"valueQuantity":{"value":0.10}},{"valueInteger":7}]}'
    made = shaped(query("Observation", ("_summary", "data")), "Observation", raw)
    assert b'"value":72.50' in made
    assert b'"value":0.10' in made
    assert b'"valueInteger":7}' in made


def test_nothing_is_touched_unless_a_shape_is_asked():
    assert shaped(query("Observation"), "Observation", b"not even json") == b"not even json"
    assert shaped(query("Observation", ("_elements", "code")), "Patient", b"{}") == b"{}"
