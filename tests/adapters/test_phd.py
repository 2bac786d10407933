"""FHIR of device gateways, in the shapes of the HL7 Personal Health Device IG: compounds, units and codes of IEEE 11073, and what is no measure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.base import Decoded, Rejected
from mappings.face import face
from schemas.r4.validator import validate
from tests.adapters.test_fhir import LOINC, UCUM, bundle, observation, only, read
from tests.mappings.r4_oracle import SUBJECT

MDC = "urn:iso:std:iso:11073:10101"
PRIVATE = "https://vendor.test/codes"
PHD = {"category": [{"coding": [{"system": "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories", "code": "phd"}]}]}
MEAL = {"code": {"coding": [{"system": MDC, "code": "8417864"}], "text": "Meal"}, "valueCodeableConcept": {"text": "Before breakfast"}}


def part(code: str, value: float, unit: str, system: str = UCUM) -> dict[str, Any]:
    return {"code": {"coding": [{"system": MDC, "code": code}]}, "valueQuantity": {"value": value, "system": system, "code": unit}}


def compound(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return observation("8452999", system=PRIVATE, component=list(parts), **PHD, **more)


@pytest.mark.parametrize(
    ("code", "value", "unit", "measure"),
    [
        ("160184", 5.4, "mmol/L", "glucose-capillary"), ("160184", 97, "mg/dL", "glucose-capillary-mass"), ("160188", 97, "mg/dl", "glucose-capillary-mass"),
        ("160368", 97, "mg/dL", "glucose-serum-mass"), ("160368", 5.4, "mmol/L", "glucose-serum"), ("160364", 97, "mg/dL", "glucose-blood-mass"),
        ("160192", 5.4, "mmol/L", "glucose-blood"), ("29296", 97, "mg/dL", "glucose-serum-mass"),
    ],
)  # fmt: skip
def test_a_devices_glucose_is_the_measure_of_its_units_property_and_is_not_converted(code: str, value: float, unit: str, measure: str) -> None:
    quantity = only(observation(code, value, unit, system=MDC, **PHD)).record.quantity  # type: ignore[attr-defined]
    assert (quantity.measure, quantity.value, quantity.original, quantity.coding) == (measure, value, None, f"{MDC}|{code}")


@pytest.mark.parametrize("loinc", ["2339-0", "2345-7"])
def test_a_glucose_in_mass_by_loinc_is_taken(loinc: str) -> None:
    assert only(observation(loinc, 97, "mg/dL")).record.quantity.value == 97  # type: ignore[attr-defined]


def test_a_loinc_number_keeps_its_property_whatever_the_unit() -> None:
    (refused,) = read(observation("14743-9", 97, "mg/dL"))
    assert isinstance(refused, Rejected)
    assert refused.code == "unit"


@pytest.mark.parametrize(
    ("code", "value", "unit", "gives"),
    [("150456", 97, "262688", 97), ("149530", 61, "264864", 61), ("150364", 98.6, "266560", 37), ("188736", 62, "1731", 62), ("160184", 99, "264274", 99)],
)
def test_a_unit_of_ieee_11073_is_read_in_32_bits_or_the_16_of_its_partition(code: str, value: float, unit: str, gives: float) -> None:
    said = observation(code, system=MDC, valueQuantity={"value": value, "unit": "MDC_DIM", "system": MDC, "code": unit})
    assert only(said).record.quantity.value == pytest.approx(gives)  # type: ignore[attr-defined]


def test_a_unit_of_ieee_11073_that_is_not_known_is_refused() -> None:
    (refused,) = read(observation("150456", system=MDC, valueQuantity={"value": 97, "system": MDC, "code": "999999"}))
    assert isinstance(refused, Rejected)
    assert refused.code == "unit"


def test_a_compound_of_one_measure_is_that_measure_with_the_words_beside_it() -> None:
    note = [{"text": "Second try"}]
    record: Any = only(compound(MEAL, part("160184", 5.4, "mmol/L") | {"interpretation": [{"coding": [{"code": "N"}]}]}, note=note)).record
    assert (record.measure, record.quantity.value, record.interpretation) == ("glucose-capillary", 5.4, "N")
    assert record.quantity.coding == f"{MDC}|160184"
    assert record.note == "Second try\nMeal: Before breakfast"
    assert record.source_record_id == "Observation/o-8452999"


def test_a_pressure_in_parts_under_a_devices_own_code_is_a_blood_pressure() -> None:
    record: Any = only(compound(part("150021", 118, "266016", MDC), part("150022", 9.6, "kPa"))).record
    assert (record.measure, record.quantity) == ("blood-pressure", None)
    assert [(one.measure, round(one.value)) for one in record.components] == [("systolic", 118), ("diastolic", 72)]


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({"valueString": "left thumb"}, "Where: left thumb"), ({"valueBoolean": True}, "Where: true"), ({"valueInteger": 3}, "Where: 3"),
        ({"valueQuantity": {"value": 4, "comparator": "<", "unit": "points"}}, "Where: < 4 points"), ({"valueRange": {"low": {"value": 1}}}, None),
        ({"dataAbsentReason": {"text": "unknown"}}, None),
    ],
)  # fmt: skip
def test_words_beside_a_measurement_are_kept_as_its_note(beside: dict[str, Any], words: str | None) -> None:
    parts = [{"code": {"coding": [{"system": MDC, "code": "68193", "display": "Where"}]}, **beside}]
    assert only(observation("150456", 97, "%", system=MDC, component=parts)).record.note == words


def test_parts_of_a_hospitals_panel_are_not_taken_for_measurements_of_their_own() -> None:
    (refused,) = read(observation("8452999", system=PRIVATE, component=[part("149530", 168, "/min")]))
    assert isinstance(refused, Rejected)
    assert refused.code == "not-a-measure"


@pytest.mark.parametrize(
    ("resource", "field", "says"),
    [
        (observation("67975", system=MDC, valueDateTime="2026-05-01T08:00:00+08:00", subject={"reference": "Device/d1"}), "subject", "about a device"),
        (observation("149530", 60, "/min", system=MDC, subject={"reference": "Device/d1"}, **PHD), "subject", "about a device"),
        (observation("150604", system=MDC, component=[{"code": {"text": "poor signal"}, "valueBoolean": True}], **PHD), "component", "bits"),
        (observation("150452", system=MDC, valueSampledData={"origin": {"value": 0}, "period": 2, "dimensions": 1, "data": "1"}), "valueSampledData", "curve"),
        (observation("8417864", system=MDC, valueCodeableConcept={"text": "Before breakfast"}, **PHD), "code", "8417864"),
        (observation("150320", system=MDC, dataAbsentReason={"text": "not a number"}, **PHD), "code", "no value either"),
        (observation("8452096", system=PRIVATE, valueString="strip bent", **PHD), "code", "Its code is no measure"),
        (compound(part("149530", 60, "/min"), part("150456", 97, "%")), "component", "send each"),
    ],
)  # fmt: skip
def test_what_a_device_says_that_is_no_measurement_is_refused_by_its_cause(resource: dict[str, Any], field: str, says: str) -> None:
    good, refused = sorted(read(bundle(observation("150456", 97, "%", system=MDC), resource | {"id": "other"})), key=lambda row: row.row)
    assert isinstance(good, Decoded)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("not-a-measure", field)
    assert says in refused.message
    assert "strip bent" not in refused.message


def test_a_reading_without_a_value_is_a_record_that_has_none() -> None:
    record: Any = only(observation("150456", system=MDC, dataAbsentReason={"coding": [{"code": "not-a-number"}]}, **PHD)).record
    assert (record.measure, record.quantity) == ("oxygen-saturation", None)


def test_loinc_beside_mdc_is_one_measure() -> None:
    codes = {"coding": [{"system": MDC, "code": "149530"}, {"system": LOINC, "code": "8867-4"}]}
    assert only(observation("149530", 61, "/min", system=MDC) | {"code": codes}).record.quantity.measure == "heart-rate"  # type: ignore[attr-defined]


GUIDE = "http://hl7.org/fhir/uv/phd/StructureDefinition/"


def described(kind: str, specialization: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Device as a gateway describes it or itself; `kind` is 65573 for what measures and 531981 for a gateway."""
    firmware = {"type": {"coding": [{"system": MDC, "code": "531976"}]}, "value": "2.1"}
    system_id = {"system": "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680", "value": "FE-ED-AB-EE-DE-AD-77-C3"}
    return {
        "resourceType": "Device", "id": f"d{kind}", "identifier": [system_id], "type": {"coding": [{"system": MDC, "code": kind}]}, "version": [firmware],
        "specialization": [specialization], **more,
    }  # fmt: skip


def from_a_gateway(reading: dict[str, Any], /, **without: str) -> dict[str, Any]:
    """A reading with its device and the gateway, all said that the guide asks, but for the element to leave out of each."""
    device = described("65573", {"systemType": {"coding": [{"system": MDC, "code": "528388"}]}, "version": "1"}, manufacturer="Acme", modelNumber="M1")
    gateway = described("531981", {"systemType": {"coding": [{"system": MDC, "code": "528457"}]}})
    received = {"url": "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice", "valueReference": {"reference": "Device/d531981"}}
    said = {"reading": {**reading, "device": {"reference": "Device/d65573"}, "extension": [received]}, "device": device, "gateway": gateway}
    return bundle(*({name: value for name, value in one.items() if name != without.get(which)} for which, one in said.items()))


def claimed(content: dict[str, Any]) -> list[list[str]]:
    """The profiles of the guide that the faces of the reading, its device and its gateway claim."""
    shown = [json.loads(one.json) for one in face(only(content).record, SUBJECT)]
    assert [issue for one in shown for issue in validate(one) if issue.severity == "error"] == []
    return [[url.removeprefix(GUIDE) for url in one["meta"]["profile"] if url.startswith(GUIDE)] for one in shown[1:]]


SATURATION = observation("150456", 97, "%", system=MDC, **PHD)
PRESSURE = observation("150020", system=MDC, component=[part("150021", 118, "mm[Hg]"), part("150022", 72, "mm[Hg]")], **PHD)


@pytest.mark.parametrize(("reading", "profile"), [(SATURATION, "PhdNumericObservation"), (PRESSURE, "PhdCompoundNumericObservation")])
def test_what_a_gateway_says_in_full_claims_the_guide(reading: dict[str, Any], profile: str) -> None:
    assert claimed(from_a_gateway(reading)) == [[profile], ["PhdDevice"], ["PhgDevice"]]


@pytest.mark.parametrize(
    ("which", "element"),
    [
        *[("device", name) for name in ("identifier", "manufacturer", "modelNumber", "type", "version", "specialization")],
        *[("gateway", name) for name in ("identifier", "type", "version", "specialization")],
        *[("reading", name) for name in ("extension", "device")],
    ],
)
@pytest.mark.parametrize("reading", [SATURATION, PRESSURE], ids=["figure", "compound"])
def test_what_a_gateway_leaves_out_is_not_claimed(reading: dict[str, Any], which: str, element: str) -> None:
    assert not any(claimed(from_a_gateway(reading, **{which: element})))


@pytest.mark.parametrize(
    "reading",
    [
        observation("59408-5", 97, "%", **PHD), SATURATION | {"interpretation": [{"coding": [{"code": "L"}]}]},
        PRESSURE | {"component": [part("150021", 118, "mm[Hg]"), part("8462-4", 72, "mm[Hg]") | {"code": {"coding": [{"system": LOINC, "code": "8462-4"}]}}]},
        PRESSURE | {"component": [part("150021", 118, "mm[Hg]")]},
    ],
    ids=["no code of IEEE 11073", "judged by somebody", "a part without a code of IEEE 11073", "a part missing"],
)  # fmt: skip
def test_a_reading_that_is_not_all_the_guide_asks_names_its_gateway_and_claims_nothing(reading: dict[str, Any]) -> None:
    assert not any(claimed(from_a_gateway(reading)))
    assert only(from_a_gateway(reading)).record.gateway.identifier == "FEEDABEEDEAD77C3"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("version", "specialization"), [({"value": "2.1"}, "528388"), ({"type": {"text": "chip"}, "value": "2.1"}, "528388"), (None, "4711")])
def test_a_version_or_specialization_of_no_known_kind_is_not_claimed(version: dict[str, Any] | None, specialization: str) -> None:
    content = from_a_gateway(SATURATION)
    device = content["entry"][1]["resource"]
    device["specialization"][0]["systemType"]["coding"][0]["code"] = specialization
    device["version"] = [version] if version else device["version"]
    assert not any(claimed(content))


def test_a_specialization_without_the_version_of_its_standard_is_claimed_of_a_gateway_alone() -> None:
    content = from_a_gateway(SATURATION)
    assert "version" not in content["entry"][2]["resource"]["specialization"][0]
    assert all(claimed(content))
    del content["entry"][1]["resource"]["specialization"][0]["version"]
    assert not any(claimed(content))


def test_a_resource_of_others_that_claims_our_restatement_is_judged_by_it() -> None:
    shown = [json.loads(one.json) for one in face(only(from_a_gateway(PRESSURE)).record, SUBJECT)][1:]
    broken = [{name: value for name, value in one.items() if name not in ("extension", "version")} for one in shown]
    assert [{issue.severity for issue in validate(one)} & {"error"} for one in broken] == [{"error"}] * 3
