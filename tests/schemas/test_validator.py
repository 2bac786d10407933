"""The R4 validator as properties: of every type's shape, of anything that is JSON, and of each rule by an example and its opposite."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.r4.elements import QUICK_OBJECTS
from schemas.r4.fhirpath import Scope, condition
from schemas.r4.shapes import parts, placed
from schemas.r4.structures import CORE, choices, core, core_types, structure, urls
from schemas.r4.ucum import is_unit
from schemas.r4.validator import is_valid, validate
from tests.conformance.corpus import vitals
from tests.conformance.mutations import places
from tests.conformance.shapes import shapes

SHAPES = [body for body in shapes(sorted(core_types()), 7, 4) if is_valid(body)]
MARK = "wxyzMark"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "url", "extension", "code", "system", "value", "x"]), inner, max_size=3),
    max_leaves=8,
)


def errors(body: Any, *profiles: str) -> list[str]:
    """Paths of the errors."""
    return [issue.path for issue in validate(body, profiles) if issue.severity == "error"]


def test_a_valid_shape_is_made_of_nearly_every_type() -> None:
    assert len({body["resourceType"] for body in SHAPES}) > 0.9 * len(core_types())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["Coding", "CodeableConcept", "Quantity"]), st.randoms(use_true_random=False), ANYTHING)
def test_what_is_quickly_found_clean_has_no_fault_the_long_way(type_: str, chance: Any, value: Any) -> None:
    system, code = chance.choice([("http://loinc.org", "8867-4"), ("http://unitsofmeasure.org", "kg"), ("urn:oid:1", "x"), ("relative", "x")])
    coding = {"system": system, "code": code, "display": "x"}
    body: dict[str, Any] = {"Coding": coding, "CodeableConcept": {"coding": [coding], "text": "x"}, "Quantity": coding | {"value": 1, "unit": "x"}}[type_]
    body.pop("display", None)
    node = chance.choice([body, *body.get("coding", ())])
    node[chance.choice([*node, "text", "display", "value"])] = value
    found = core(type_)
    assert found is not None
    if QUICK_OBJECTS[type_](body):
        rule = placed(parts(found.root, found, type_), [], "", "BackboneElement")  # of no type that has a quick way
        assert rule(body, Scope(body, body)) is None


def test_every_type_and_every_invariant_compiles() -> None:
    for url in urls():
        found = structure(url)
        assert found is not None
        for element in found.elements.values():
            for constraint in element.definition.constraint:
                condition(constraint.expression, choices(), found.type)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SHAPES), st.randoms(use_true_random=False))
def test_a_valid_resource_with_any_required_element_left_out_is_refused(shape: dict[str, Any], chance: Any) -> None:
    body = deepcopy(shape)
    required = [place for place in places(body) if place.element.definition.min]
    if required:
        place = chance.choice(required)
        del place.node[place.key]
        assert errors(body)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SHAPES), st.randoms(use_true_random=False), st.sampled_from([None, [], {}, "", [[]], {"foo": 1}]))
def test_a_valid_resource_with_any_element_emptied_is_refused_at_that_element(shape: dict[str, Any], chance: Any, nothing: Any) -> None:
    body = deepcopy(shape)
    place = chance.choice([place for place in places(body) if place.key != "meta"])
    place.node[place.key] = nothing
    found = errors(body)
    assert found
    assert any(place.element.name.removesuffix("[x]") in path for path in found)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SHAPES), st.randoms(use_true_random=False), ANYTHING)
def test_no_value_breaks_the_validator_or_is_repeated(shape: dict[str, Any], chance: Any, value: Any) -> None:
    body = json.loads(json.dumps(shape))
    place = chance.choice(places(body))
    place.node[place.key] = value
    place.node["_" + place.key] = value
    body[chance.choice(["contained", "extension", "meta", "text"])] = value
    body["language"] = body["_id"] = MARK
    validate(body, ["http://hl7.org/fhir/StructureDefinition/heartrate"])
    assert MARK not in str(validate(body | {"status": MARK, "gender": MARK, "birthDate": MARK, MARK.upper(): 1, "subject": {"reference": MARK}}))


def test_a_vital_sign_is_valid_until_its_profile_is_broken() -> None:
    for body in vitals():
        assert errors(body) == []
        for path, broken in {
            "Observation.subject": {key: value for key, value in body.items() if key != "subject"},
            "Observation.category": body | {"category": [{"coding": [{"system": "http://example.org", "code": "x"}]}]},
            "Observation.code.coding": body | {"code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}},
            "Observation.subject.reference": body | {"subject": {"reference": "Group/1"}},
        }.items():
            assert path in errors(broken), body["id"]
            assert errors({key: value for key, value in broken.items() if key != "meta"}) == []


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"subject": {"reference": "Organization/1"}}, "Observation.subject.reference"),
        ({"subject": {"reference": "https://example.org/fhir/Patient/1", "display": " "}}, "Observation.subject.display"),
        ({"subject": {"reference": "Patient/1/"}}, "Observation.subject.reference"),
        ({"subject": {"reference": "Patient/1", "display": 5}}, "Observation.subject.display"),
        ({"performer": [{"reference": "Practitioner/1"}, {"reference": "Device/1"}]}, "Observation.performer[1].reference"),
        ({"performer": [{"reference": "Practitioner/1"}, "Practitioner/2"]}, "Observation.performer[1]"),
        ({"interpretation": [{"coding": [{"system": "http://example.org", "code": "x"}]}]}, "Observation.interpretation[0]"),
        ({"category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "x"}]}]},
         "Observation.category[0].coding[0]"),
        ({"referenceRange": [{"low": {"value": 1, "comparator": "<"}}]}, "Observation.referenceRange[0].low.comparator"),
        ({"referenceRange": [{"low": {"value": True, "unit": "x", "system": "http://unitsofmeasure.org", "code": "m"}}]},
         "Observation.referenceRange[0].low.value"),
        ({"effectivePeriod": {"start": "2024-05-01"}}, "Observation.effective"), ({"pulse": 1}, "Observation.pulse"),
    ],
)  # fmt: skip
def test_a_plain_value_is_held_to_its_place_however_often_the_like_was_valid(change: dict[str, Any], wrong: str) -> None:
    good = {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "effectiveDateTime": "2024-05-01",
        "subject": {"reference": "Patient/1", "display": "x"}, "performer": [{"reference": "Practitioner/1"}],
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "interpretation": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "N"}]}],
        "referenceRange": [{"low": {"value": 1, "unit": "m", "system": "http://unitsofmeasure.org", "code": "m"}}],
    }  # fmt: skip
    for _ in range(2):
        assert {one.path for one in validate(good)} == {"Observation"}  # no narrative
        assert wrong in {one.path for one in validate(good | change) if one.rule != "dom-6"}
        assert {one.path for one in validate(dict(reversed((good | change).items())))} == {one.path for one in validate(good | change)}


def test_a_code_outside_a_required_binding_is_an_error_in_a_list_as_well() -> None:
    status = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    body = {"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/1"}, "category": ["food"], "verificationStatus": {"text": "x"}}
    body["clinicalStatus"] = {"coding": [{"system": status, "code": "active"}]}
    assert errors(body | {"category": ["food", "x"]})[0] == "AllergyIntolerance.category[1]"
    assert "AllergyIntolerance.clinicalStatus" in errors(body | {"clinicalStatus": {"coding": [{"system": "http://example.org", "code": "active"}]}})
    assert "AllergyIntolerance.clinicalStatus" in errors(body | {"clinicalStatus": {"text": "x"}})
    assert "AllergyIntolerance.clinicalStatus" not in errors(body)


def test_a_slice_is_counted_and_judged() -> None:
    (pressure,) = [body for body in vitals() if body["id"] == "bp"]
    systolic, diastolic = pressure["component"]
    assert "Observation.component" in errors(pressure | {"component": [systolic]})
    assert "Observation.component" in errors(pressure | {"component": [systolic, systolic, diastolic]})
    wrong = deepcopy(systolic)
    wrong["valueQuantity"]["code"] = "kPa"
    assert set(errors(pressure | {"component": [wrong, diastolic]})) == {f"Observation.component[0].value.ofType(Quantity){end}" for end in ("", ".code")}


@pytest.mark.parametrize("unit", ["/min", "mm[Hg]", "kg/m2", "mL/kg/min", "{steps}", "1", "%", "Cel", "10*3/uL", "kcal/(kg.h)", "B[10.nV]", "m[H2O]"])
def test_a_unit_is_ucum(unit: str) -> None:
    assert is_unit(unit)


@pytest.mark.parametrize("unit", ["", "bpm", "steps", "mmHg", "kg/", ".m", "m//s", "kg{a}{b}", "(m", "m)", "KG", "µg", "m s", "(" * 99 + "m" + ")" * 99])
def test_what_is_no_unit_is_not_ucum(unit: str) -> None:
    assert not is_unit(unit)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("value.exists()", True), ("code.coding.where(code = 'b').exists()", True), ("code.coding.code.isDistinct()", True), ("note.empty()", True),
        ("(value as Quantity).value > 3 and value is Quantity", True), ("value is string", False), ("status in ('a' | 'final')", True),
        ("code.coding.count() = 2 implies status = 'x'", False), ("birthDate.exists() and birthDate.hasValue().not()", True),
        ("code.coding.all(system.startsWith('http'))", True), ("iif(status = 'final', 1, 2) = 1", True), ("code.coding.first().code = 'a'", True),
        ("code.coding[1].code = 'b'", True), ("missing = 1", None), ("code.coding.code.intersect('a' | 'c').count() = 1", True),
    ],
)  # fmt: skip
def test_a_condition_means_what_fhirpath_says(expression: str, expected: bool | None) -> None:
    coding = [{"system": "http://a", "code": "a"}, {"system": "http://b", "code": "b"}]
    item = {"status": "final", "valueQuantity": {"value": 5}, "code": {"coding": coding}, "_birthDate": {"id": "x"}}
    assert condition(expression, choices(), "Observation")(item, Scope(item, item)) is expected


def test_an_expression_that_is_not_understood_is_refused_when_it_is_compiled() -> None:
    for expression in ("foo(", "a.nonsense()", "%vs-x", "a ~~ b", "1 +"):
        with pytest.raises((ValueError, IndexError)):
            condition(expression, choices(), "Observation")


def test_a_resource_of_thousands_of_parts_is_judged() -> None:
    basic = {"resourceType": "Basic", "code": {"text": "x"}}
    many = [{"fullUrl": f"urn:uuid:c757873d-ec9a-4326-a141-{number:012d}", "resource": basic} for number in range(3000)]
    assert errors({"resourceType": "Bundle", "type": "collection", "entry": many}) == []
    coding = [{"system": "http://example.org", "code": f"c{number}"} for number in range(3000)]
    parts = [{"code": {"coding": [one]}, "valueString": "x"} for one in coding]
    body = {"resourceType": "Observation", "status": "final", "code": {"coding": coding}, "valueString": "x", "component": parts}
    assert errors(body) == ["Observation"]
    contained = [{"resourceType": "Basic", "id": f"b{number}", "code": {"text": "x"}} for number in range(3000)]
    lists = [{"item": {"reference": f"#b{number}"}} for number in range(3000)]
    assert errors({"resourceType": "List", "status": "current", "mode": "working", "contained": contained, "entry": lists}) == []


@pytest.mark.parametrize("wrong", [{"extension": [{"url": "x", "valueString": "y"}] * 20_000}, {"code": {"coding": [{"code": "a", "system": "x"}] * 20_000}}])
def test_each_of_many_findings_stands_at_its_place_and_is_found_anew(wrong: dict[str, Any]) -> None:
    """A list that is copied for each finding took minutes for a file of ten megabytes; one that is shared would grow from one resource to the next."""
    body = next(iter(vitals())) | wrong
    name = "extension" if "extension" in wrong else "code.coding"
    found = [[issue.path for issue in validate(body) if issue.path.startswith(f"Observation.{name}[")] for _ in range(2)]
    assert found[0] == found[1] == [f"Observation.{name}[{place}]" for place in range(20_000)]


def test_definitions_are_r4s() -> None:
    observation = core("Observation")
    assert observation is not None
    assert observation.url == CORE + "Observation"
    assert "subjectCanonical" not in {key for child in core("PlanDefinition").root.children.values() for key, _ in child.spellings()}  # type: ignore[union-attr]
    assert errors({"resourceType": "SubscriptionStatus"}) == ["Resource"]
