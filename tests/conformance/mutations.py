"""Ways to break a resource, each one rule of R4 or of a profile. A mutation may leave it valid: the reference says which."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from schemas.r4.primitives import PRIMITIVES
from schemas.r4.structures import Element, Structure, core
from schemas.r4.terms import codes_of

Body = dict[str, Any]
UCUM = "http://unitsofmeasure.org"
BASE = "http://hl7.org/fhir/StructureDefinition/"


class Place(NamedTuple):
    """One element that is there: the object it stands in, its key, and what R4 says of it."""

    node: Body
    key: str
    element: Element
    type: str
    siblings: dict[str, Element]

    @property
    def value(self) -> Any:
        return self.node[self.key]


def places(body: Body) -> list[Place]:
    """Every element of a resource."""
    structure = core(body["resourceType"])
    return list(_places(body, structure.root, structure)) if structure is not None else []


def _places(node: Any, element: Element, of: Structure) -> Iterator[Place]:
    known = {key: (child, type_.code) for child in element.children.values() for key, type_ in child.spellings()}
    known |= {name: (child, "BackboneElement") for name, child in element.children.items() if child.definition.content_reference}
    for key, value in list(node.items()):
        if key not in known:
            continue
        child, type_ = known[key]
        yield Place(node, key, child, type_, element.children)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from _within(one, child, type_, of)


def _within(node: Body, child: Element, type_: str, of: Structure) -> Iterator[Place]:
    if child.definition.content_reference:
        yield from _places(node, of.elements[child.definition.content_reference.partition("#")[2]], of)
    elif child.children:
        yield from _places(node, child, of)
    elif type_ in ("Resource", "DomainResource"):
        yield from places(node)
    elif (inner := core(type_)) is not None:
        yield from _places(node, inner.root, inner)


Mutation = Callable[[Body, random.Random], bool]
"""Changes the resource where it stands; False when it has nothing to change."""


def _some(body: Body, chance: random.Random, wanted: Callable[[Place], bool]) -> Place | None:
    found = [place for place in places(body) if wanted(place)]
    return chance.choice(found) if found else None


def _set(wanted: Callable[[Place], bool], new: Callable[[Any, random.Random], Any]) -> Mutation:
    """Another value in place of one (the first of a list) that is wanted."""

    def mutate(body: Body, chance: random.Random) -> bool:
        place = _some(body, chance, wanted)
        if place is None:
            return False
        if isinstance(place.value, list):
            place.value[0] = new(place.value[0], chance)
        else:
            place.node[place.key] = new(place.value, chance)
        return True

    return mutate


def _whole(wanted: Callable[[Place], bool], new: Callable[[Any, random.Random], Any]) -> Mutation:
    """The same, the list and not its first."""

    def mutate(body: Body, chance: random.Random) -> bool:
        place = _some(body, chance, wanted)
        if place is not None:
            place.node[place.key] = new(place.value, chance)
        return place is not None

    return mutate


def _of(*types: str) -> Callable[[Place], bool]:
    return lambda place: place.type in types


def _any(place: Place) -> bool:
    return place.type != "Resource"


def _one_of(*values: Any) -> Callable[[Any, random.Random], Any]:
    return lambda value, chance: deepcopy(chance.choice(values))


def _drop(wanted: Callable[[Place], bool]) -> Mutation:
    def mutate(body: Body, chance: random.Random) -> bool:
        place = _some(body, chance, wanted)
        if place is not None:
            del place.node[place.key]
        return place is not None

    return mutate


def _unknown(body: Body, chance: random.Random) -> bool:
    place = _some(body, chance, lambda place: isinstance(place.value, dict) and place.type != "Resource")
    (place.value if place is not None and chance.random() < 0.7 else body)[chance.choice(("foo", "values", "valueFoo", "Status", "fhir_comments"))] = "x"
    return True


def _second_choice(body: Body, chance: random.Random) -> bool:
    place = _some(body, chance, lambda place: place.element.is_choice and len(place.element.types) > 1)
    if place is None:
        return False
    stem = place.element.name[:-3]
    other = next(key for key, type_ in place.element.spellings() if key != place.key and type_.code in ("string", "boolean", "dateTime", "Period", "uri", "Reference", "Quantity", "integer", "CodeableConcept", "Range", "Identifier", "Timing", "Address", "Age", "Duration", "decimal", "canonical", "code", "date", "time", "Attachment", "Coding", "Ratio", "base64Binary"))  # noqa: E501
    simple = {"string": "x", "boolean": True, "dateTime": "2024-01-01", "uri": "http://example.org", "integer": 3, "decimal": 1.5}
    place.node[other] = simple.get(other[len(stem)].lower() + other[len(stem) + 1 :], {"id": "x"})
    return True


def _wrong_choice(body: Body, chance: random.Random) -> bool:
    place = _some(body, chance, lambda place: place.element.is_choice)
    if place is None:
        return False
    stem = place.element.name[:-3]
    kind = chance.choice(("CodeableReference", "HumanName", "Foo", "Money", "Instant"))
    place.node[stem + kind] = place.node.pop(place.key)
    return True


def _bound(place: Place) -> bool:
    binding = place.element.definition.binding
    return place.type == "code" and binding is not None and binding.strength == "required" and codes_of(binding.value_set) is not None


def _beside(body: Body, chance: random.Random) -> bool:
    place = _some(body, chance, lambda place: place.type in PRIMITIVES and place.key != "id" and place.type != "xhtml")
    if place is None:
        return False
    reason = {"extension": [{"url": BASE + "data-absent-reason", "valueCode": "unknown"}]}
    wrong = chance.choice((reason, {}, {"id": "a"}, {"extension": []}, {"foo": 1}, "x", None, [reason], [None]))
    if chance.random() < 0.3:
        del place.node[place.key]
    place.node["_" + place.key] = [reason] if isinstance(place.node.get(place.key), list) and wrong == reason else wrong
    return True


def _nulls(body: Body, chance: random.Random) -> bool:
    place = _some(body, chance, lambda place: isinstance(place.value, list) and place.type in PRIMITIVES)
    if place is None:
        return False
    place.value.append(None)
    reason = {"extension": [{"url": BASE + "data-absent-reason", "valueCode": "unknown"}]}
    if chance.random() < 0.6:
        place.node["_" + place.key] = [*[None] * (len(place.value) - 1), reason]
    return True


# Extensions

EXTENSIONS: tuple[Body, ...] = (
    {"url": BASE + "patient-birthTime", "valueDateTime": "2024-01-01T08:00:00Z"}, {"url": BASE + "patient-birthPlace", "valueAddress": {"text": "x"}},
    {"url": BASE + "patient-birthPlace", "valueString": "x"}, {"url": BASE + "data-absent-reason", "valueCode": "unknown"},
    {"url": BASE + "data-absent-reason", "valueCode": "bogus"}, {"url": BASE + "data-absent-reason", "valueString": "unknown"},
    {"url": BASE + "data-absent-reason"}, {"url": "http://example.org/unknown", "valueString": "x"}, {"valueString": "x"},
    {"url": "http://example.org/unknown", "valueString": "x", "valueCode": "y"}, {"url": "http://example.org/unknown", "valueFoo": "x"},
    {"url": "http://example.org/unknown"}, {"url": BASE + "observation-bodyPosition", "valueCodeableConcept": {"text": "sitting"}},
    {"url": BASE + "geolocation", "extension": [{"url": "latitude", "valueDecimal": 1}, {"url": "longitude", "valueDecimal": 2}]},
    {"url": BASE + "geolocation", "extension": [{"url": "latitude", "valueDecimal": 1}]},
    {"url": BASE + "geolocation", "extension": [{"url": "latitude", "valueString": "1"}, {"url": "longitude", "valueDecimal": 2}]},
    {"url": BASE + "geolocation", "valueString": "x"}, {"url": "http://example.org/unknown", "valueString": "x", "extension": [{"url": "a", "valueCode": "b"}]},
    {"url": BASE + "patient-citizenship", "extension": [{"url": "code", "valueCodeableConcept": {"text": "x"}}]},
    {"url": BASE + "patient-citizenship", "extension": [{"url": "foo", "valueCodeableConcept": {"text": "x"}}]},
    {"url": BASE + "rendered-value", "valueString": "x"}, {"url": BASE + "humanname-own-name", "valueString": "x"},
)  # fmt: skip


def _extension(body: Body, chance: random.Random) -> bool:
    place = _some(body, chance, lambda place: isinstance(place.value, dict) and place.type not in ("Resource", "Narrative", "Extension"))
    node = place.value if place is not None and chance.random() < 0.4 else body
    if node is body and body["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return False
    node.setdefault("extension", []).append(deepcopy(chance.choice(EXTENSIONS)))
    return True


def _modifier(body: Body, chance: random.Random) -> bool:
    if body["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return False
    body["modifierExtension"] = [deepcopy(chance.choice(EXTENSIONS[:4]))]
    return True


# Invariants: what to add to an object of a type, so that the invariant breaks (or not, for its twin)

BROKEN: tuple[tuple[str, Body], ...] = (
    ("Period", {"start": "2024-02-01", "end": "2024-01-01"}), ("Period", {"start": "2024-02", "end": "2024-02-03"}),
    ("Period", {"start": "2024-02-01T10:00:00+08:00", "end": "2024-02-01T03:00:00Z"}), ("Period", {"start": "2024-02-01T10:00:00+08:00", "end": "2024-02-01T01:00:00Z"}),
    ("Reference", {"reference": "#nowhere"}), ("Reference", {"reference": "#"}), ("Quantity", {"value": 1, "code": "kg"}),
    ("Attachment", {"data": "aGVsbG8="}), ("Attachment", {"data": "aGVsbG8=", "contentType": "text/plain"}), ("ContactPoint", {"value": "1"}),
    ("Range", {"low": {"value": 5}, "high": {"value": 1}}), ("Range", {"low": {"value": 1}, "high": {"value": 5}}),
    ("Ratio", {"numerator": {"value": 1}}), ("Ratio", {"numerator": {"value": 1}, "denominator": {"value": 1}}),
    ("Timing", {"repeat": {"period": 1}}), ("Timing", {"repeat": {"period": -1, "periodUnit": "d"}}), ("Timing", {"repeat": {"duration": 5}}),
    ("Timing", {"repeat": {"countMax": 5}}), ("Timing", {"repeat": {"durationMax": 5}}), ("Timing", {"repeat": {"offset": 5}}),
    ("Timing", {"repeat": {"timeOfDay": ["08:00:00"], "when": ["MORN"]}}), ("Timing", {"repeat": {"offset": 5, "when": ["C"]}}),
    ("Timing", {"repeat": {"periodMax": 2}}), ("Timing", {"repeat": {"frequency": 3, "period": 1, "periodUnit": "wk"}}),
    ("Narrative", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'}),
    ("Narrative", {"status": "generated", "div": "<div>x</div>"}), ("Narrative", {"status": "generated", "div": "plain"}),
    ("Narrative", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</div>'}),
    ("Narrative", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"></div>'}),
    ("Narrative", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p onclick="x">y</p></div>'}),
    ("Narrative", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p class="x">y&nbsp;</p></div>'}),
    ("Narrative", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><form>y</form></div>'}),
)  # fmt: skip
BY_TYPE: dict[str, tuple[Body, ...]] = {
    "Observation": (
        {"dataAbsentReason": {"text": "x"}, "valueString": "x"}, {"valueString": "x", "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
         "component": [{"code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "valueString": "x"}]},
        {"referenceRange": [{"type": {"text": "x"}}]}, {"referenceRange": [{"text": "x"}]}, {"component": [{"valueString": "x"}]},
        {"component": [{"code": {"text": "x"}, "referenceRange": [{"type": {"text": "x"}}]}]},
    ),
    "Patient": ({"contact": [{"gender": "male"}]}, {"contact": [{"name": {"text": "x"}}]}, {"communication": [{"preferred": True}]}, {"link": [{"type": "seealso"}]}),
    "Organization": ({"name": None, "identifier": None}, {"telecom": [{"system": "phone", "value": "1", "use": "home"}]}, {"address": [{"use": "home"}]}),
    "Bundle": (
        {"total": 1, "type": "batch"}, {"type": "searchset", "entry": [{"request": {"method": "GET", "url": "x"}}]}, {"type": "document"},
        {"type": "transaction", "entry": [{"resource": {"resourceType": "Basic", "code": {"text": "x"}}}]},
        {"type": "collection", "entry": [{"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": {"resourceType": "Basic", "code": {"text": "x"}}}] * 2},
        {"type": "collection", "entry": [{"fullUrl": "http://example.org/Basic/1/_history/2", "resource": {"resourceType": "Basic", "id": "1", "code": {"text": "x"}}}]},
        {"type": "collection", "entry": [{"fullUrl": "http://example.org/Basic/2", "resource": {"resourceType": "Basic", "id": "1", "code": {"text": "x"}}}]},
        {"type": "collection", "entry": [{"link": [{"relation": "self", "url": "http://example.org"}]}]}, {"type": "collection", "entry": [{"fullUrl": "Basic/1"}]},
        {"type": "searchset", "entry": [{"fullUrl": "http://example.org/Basic/1", "search": {"mode": "match"}, "resource": {"resourceType": "Basic", "id": "1", "code": {"text": "x"}}}]},
        {"type": "collection", "entry": [{"search": {"mode": "match"}, "resource": {"resourceType": "Basic", "id": "1", "code": {"text": "x"}}}]},
        {"type": "collection", "entry": [{"fullUrl": "http://example.org/Foo/1", "resource": {"resourceType": "Foo"}}]},
        {"type": "collection", "entry": [{"fullUrl": "http://example.org/Patient/1", "resource": {"resourceType": "Patient", "id": "1", "gender": "bogus"}}]},
    ),
    "Questionnaire": (
        {"item": [{"linkId": "1", "type": "group"}]}, {"item": [{"linkId": "1", "type": "display", "required": True}]},
        {"item": [{"linkId": "1", "type": "string", "text": "x"}, {"linkId": "1", "type": "string", "text": "x"}]},
        {"item": [{"linkId": "1", "type": "boolean", "answerOption": [{"valueString": "x"}]}]},
        {"item": [{"linkId": "1", "type": "choice", "answerOption": [{"valueString": "x"}], "initial": [{"valueString": "x"}]}]},
        {"item": [{"linkId": "1", "type": "string", "text": "a", "enableWhen": [{"question": "2", "operator": "exists", "answerString": "x"}]}, {"linkId": "2", "type": "string", "text": "b"}]},
        {"item": [{"linkId": "1", "type": "string", "text": "a", "enableWhen": [{"question": "2", "operator": "exists", "answerBoolean": True}]}, {"linkId": "2", "type": "string", "text": "b"}]},
        {"item": [{"linkId": "1", "type": "date", "maxLength": 3, "text": "x"}]}, {"item": [{"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "string", "text": "x"}]}]},
    ),
    "QuestionnaireResponse": ({"item": [{"linkId": "1", "answer": [{"valueString": "x"}], "item": [{"linkId": "1.1"}]}]}, {"item": [{"linkId": "1", "answer": [{}]}]}),
    "Appointment": ({"start": "2024-01-01T08:00:00Z", "end": None}, {"status": "booked", "start": None, "end": None}, {"participant": [{"status": "accepted"}]}, {"cancelationReason": {"text": "x"}, "status": "booked"}),
    "Condition": (
        {"abatementString": "x", "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}},
        {"verificationStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "entered-in-error"}]},
         "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}},
        {"stage": [{"type": {"text": "x"}}]}, {"evidence": [{"id": "a"}]}, {"clinicalStatus": {"text": "x"}}, {"clinicalStatus": {"coding": [{"system": "http://loinc.org", "code": "x"}]}},
    ),
    "CarePlan": ({"activity": [{"reference": {"reference": "Task/1"}, "detail": {"status": "completed"}}]}, {"activity": [{"detail": {"kind": "Patient", "status": "completed"}}]}),
    "Goal": ({"target": [{"detailString": "x"}]}, {"target": [{"detailString": "x", "measure": {"text": "x"}}]}, {"target": [{"dueDate": "2024-01-01"}]}),
    "ServiceRequest": ({"orderDetail": [{"text": "x"}], "code": None}, {"quantityQuantity": {"value": 1}, "quantityRange": {"low": {"value": 1}}}),
    "Group": ({"actual": False, "member": [{"entity": {"reference": "Patient/1"}}]}, {"characteristic": [{"code": {"text": "x"}, "valueBoolean": True}]}),
    "List": ({"emptyReason": {"text": "x"}, "entry": [{"item": {"reference": "Patient/1"}}]}, {"mode": "working", "entry": [{"deleted": True, "item": {"reference": "Patient/1"}}]},
             {"mode": "snapshot", "entry": [{"date": "2024-01-01", "item": {"reference": "Patient/1"}}]}),
    "Consent": ({"policy": None, "policyRule": None}, {"policyRule": {"text": "x"}}, {"provision": {"type": "maybe"}}, {"provision": {"data": [{"meaning": "instance"}]}}),
    "Parameters": ({"parameter": [{"name": "x"}]}, {"parameter": [{"name": "x", "valueString": "y", "resource": {"resourceType": "Basic", "code": {"text": "x"}}}]},
                   {"parameter": [{"name": "x", "valueString": "y", "part": [{"name": "z", "valueString": "y"}]}]}, {"parameter": [{"name": "x", "valueFoo": "y"}]}, {"parameter": [{"valueString": "y"}]}),
    "Composition": ({"section": [{"title": "x"}]}, {"section": [{"entry": [{"reference": "Patient/1"}], "emptyReason": {"text": "x"}}]}, {"confidentiality": "Q"}),
    "Linkage": ({"item": [{"type": "source", "resource": {"reference": "Patient/1"}}]}, {"item": []}),
    "RiskAssessment": ({"prediction": [{"probabilityDecimal": 200}]}, {"prediction": [{"probabilityRange": {"low": {"value": 1, "code": "kg", "system": UCUM}}}]}, {"prediction": [{"probabilityDecimal": 20}]}),
    "CapabilityStatement": ({"rest": None}, {"kind": "requirements"}, {"kind": "instance", "implementation": None},
                            {"rest": [{"mode": "server", "resource": [{"type": "Patient"}, {"type": "Patient"}]}]}, {"fhirVersion": "9.9.9"}, {"format": ["json", "bogus/"]}),
    "MeasureReport": ({"type": "data-collection", "group": [{"code": {"text": "x"}}]}, {"group": [{"stratifier": [{"stratum": [{"value": {"text": "x"}, "component": [{"code": {"text": "a"}, "value": {"text": "b"}}]}]}]}]}),
    "OperationDefinition": ({"parameter": [{"name": "a", "use": "in", "min": 0, "max": "1"}]}, {"parameter": [{"name": "a", "use": "in", "min": 0, "max": "1", "type": "token", "searchType": "token"}]},
                            {"parameter": [{"name": "a", "use": "in", "min": 0, "max": "1", "type": "string"}]}),
    "AuditEvent": ({"entity": [{"name": "x", "query": "aGVsbG8="}]}, {"action": "Z"}, {"outcome": "5"}),
    "Immunization": ({"education": [{"publicationDate": "2024-01-01"}]}, {"status": "preparation"}),
    "Task": ({"input": [{"type": {"text": "x"}}]}, {"intent": "bogus"}, {"status": "active"}, {"code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "bogus"}]}}),
    "Encounter": ({"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "BOGUS"}}, {"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}},
                  {"location": [{"status": "active"}]}, {"status": "final"}),
    "Provenance": ({"agent": []}, {"agent": [{"role": [{"text": "x"}]}]}, {"entity": [{"role": "bogus", "what": {"reference": "Patient/1"}}]}),
    "Subscription": ({"channel": {"type": "mail"}}, {"channel": {"type": "rest-hook", "endpoint": "http://a b"}}, {"status": "on"}),
}  # fmt: skip
"""What to lay over a resource of a type; None leaves an element out."""


def _invariant(body: Body, chance: random.Random) -> bool:
    found = [(place, addition) for place in places(body) for type_, addition in BROKEN if place.type == type_]
    if not found:
        return False
    place, addition = chance.choice(found)
    value = deepcopy(addition)
    place.node[place.key] = [value] if isinstance(place.value, list) else value
    return True


def _narrative(body: Body, chance: random.Random) -> bool:
    if body["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return False
    body["text"] = deepcopy(chance.choice([addition for type_, addition in BROKEN if type_ == "Narrative"]))
    return True


def _by_type(body: Body, chance: random.Random) -> bool:
    overlays = BY_TYPE.get(body["resourceType"])
    if not overlays:
        return False
    for key, value in deepcopy(chance.choice(overlays)).items():
        if value is None:
            body.pop(key, None)
        else:
            body[key] = value
    return True


CONTAINED: tuple[Body, ...] = (
    {"resourceType": "Organization", "id": "o", "name": "x"}, {"resourceType": "Organization", "name": "x"}, {"resourceType": "Foo", "id": "o"},
    {"resourceType": "Organization", "id": "o", "name": "x", "meta": {"versionId": "1"}}, {"resourceType": "Patient", "id": "o", "gender": "bogus"},
    {"resourceType": "Organization", "id": "o", "name": "x", "contained": [{"resourceType": "Patient", "id": "p"}]},
    {"resourceType": "Organization", "id": "o", "name": "x", "meta": {"security": [{"system": "http://example.org", "code": "a"}]}}, {"id": "o"},
)  # fmt: skip


def _contained(body: Body, chance: random.Random) -> bool:
    reference = _some(body, chance, _of("Reference"))
    if reference is None or body["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return False
    body["contained"] = [deepcopy(chance.choice(CONTAINED))]
    if chance.random() < 0.7:
        reference.node[reference.key] = [{"reference": "#o"}] if isinstance(reference.value, list) else {"reference": "#o"}
    return True


def _coding(value: Any, chance: random.Random) -> Any:
    return deepcopy(chance.choice((
        {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "bogus"}, {"system": "relative", "code": "a"},
        {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}, {"code": "a"}, {"system": "http://example.org/x", "code": "a"},
        {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}, {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ZZZ"},
        {"system": "urn:ietf:bcp:47", "code": "zh-CN"}, {"system": UCUM, "code": "bpm"}, {"display": "x"},
    )))  # fmt: skip


def _quantity(value: Any, chance: random.Random) -> Any:
    units = ("bpm", "mmHg", "steps", "kg/", "m//s", "BPM", "times", "KG", "mL/kg/min", "/min", "{count}", "[lb_av]", "mg/dl", "10*3/uL", "kcal/(kg.h)", "mm[hg]", "µg", "%", "L/min", "degC")
    return {"value": 3, "unit": "x", "system": UCUM, "code": chance.choice(units)}


# Profiles


def _of_profile(body: Body) -> bool:
    return any(str(url).startswith(BASE) for url in body.get("meta", {}).get("profile", ()))


def _vital(body: Body, chance: random.Random) -> bool:
    if not _of_profile(body) or body["resourceType"] != "Observation":
        return False
    change = chance.choice((_vital_unit, _vital_code, _vital_category, _vital_drop, _vital_component, _vital_type))
    return change(body, chance)


def _vital_unit(body: Body, chance: random.Random) -> bool:
    quantity = body.get("valueQuantity") or next((part["valueQuantity"] for part in body.get("component", ()) if "valueQuantity" in part), None)
    if quantity is None:
        return False
    change = chance.choice(({"code": "kg/m"}, {"system": "http://example.org"}, {"unit": None}, {"value": None}, {"code": None}, {"unit": "another"}, {"code": "g"}))
    for key, value in change.items():
        quantity.pop(key, None) if value is None else quantity.update({key: value})
    return True


def _vital_code(body: Body, chance: random.Random) -> bool:
    body["code"] = chance.choice(({"text": "x"}, {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}, {"coding": [*body["code"]["coding"], *body["code"]["coding"][:1]]}))
    return True


def _vital_category(body: Body, chance: random.Random) -> bool:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    vital = {"coding": [{"system": system, "code": "vital-signs"}]}
    body["category"] = chance.choice(([{"coding": [{"system": system, "code": "activity"}]}], [vital, vital], [{"text": "vital-signs"}], [vital, {"text": "x"}]))
    return True


def _vital_drop(body: Body, chance: random.Random) -> bool:
    for key in chance.choice((("subject",), ("effectiveDateTime", "effectivePeriod"), ("category",), ("valueQuantity",), ("component",), ("status",))):
        body.pop(key, None)
    return True


def _vital_component(body: Body, chance: random.Random) -> bool:
    parts = body.get("component")
    if not parts:
        return False
    chance.choice((parts.pop, lambda: parts.append(deepcopy(parts[0])), lambda: parts[0].pop("valueQuantity", None), lambda: parts[0].update(code={"text": "x"})))()
    return True


def _vital_type(body: Body, chance: random.Random) -> bool:
    change: Body = chance.choice(({"valueString": "x"}, {"effectiveInstant": "2024-01-01T00:00:00Z"}, {"valueCodeableConcept": {"text": "x"}}, {"subject": {"reference": "Group/1"}}, {"dataAbsentReason": {"text": "x"}}))
    for stem in ("value", "effective"):
        if any(key.startswith(stem) for key in change):
            for key in [key for key in body if key.startswith(stem)]:
                del body[key]
    body.update(change)
    return True


def _claims(body: Body, chance: random.Random) -> bool:
    url = chance.choice(("vitalsigns", "heartrate", "bp", "bmi", "lipidprofile", "Observation", "Patient", "actualgroup", "nonsense", "clinicaldocument", "bodyweight"))
    body["meta"] = {"profile": [BASE + url]}
    return True


MUTATIONS: dict[str, Mutation] = {
    "as it is": lambda body, chance: True,
    "required element left out": _drop(lambda place: bool(place.element.definition.min)),
    "element left out": _drop(_any),
    "unknown element": _unknown,
    "wrong JSON type": _whole(_any, lambda value, chance: chance.choice((7, "text", {"a": 1}, [value], [[value]], True, {"text": "x"}, value[0] if isinstance(value, list) else [value]))),
    "empty": _whole(_any, _one_of([], {}, "", " ", [{}], [""])),
    "null": _whole(_any, _one_of(None, [None])),
    "nulls and siblings": _nulls,
    "beside a primitive": _beside,
    "code outside a required binding": _set(_bound, _one_of("bogus", "FINAL", "a b", "x", "unknown")),
    "date": _set(_of("date", "dateTime", "instant"), _one_of("2024-02-30", "2023-02-29", "2024-13-01", "24-01-01", "2024-1-1", "2024-01-01T08:00:00", "2024-01-01 08:00:00", "2024-01-01T25:00:00Z", "2024-01-01T08:00Z", "2024-01-01T08:00:00Z", "0000-01-01", "2024-06", "2024-01-01T23:59:60Z", "2024-01-01T08:00:00+15:00", "tomorrow")),  # noqa: E501
    "time": _set(_of("time"), _one_of("8:00", "25:00:00", "08:00:00Z", "08:00", "08:00:00.5")),
    "number": _set(_of("integer", "unsignedInt", "positiveInt", "decimal"), _one_of(0, -1, 1.5, "5", 2**31, 2**40, True, 1e30)),
    "boolean": _set(_of("boolean"), _one_of("true", 1, "yes", 0)),
    "text": _set(_of("string", "markdown"), _one_of(" x", "x ", "a\u0001b", "\n", "two\nlines", 5, True)),
    "id and code": _set(_of("id", "code"), _one_of("a b", " a", "a  b", "under_score", "x" * 65, "ümlaut", 5)),
    "uri": _set(_of("uri", "url", "canonical", "oid", "uuid"), _one_of("a b", "urn:oid:9.9", "urn:uuid:XYZ", "http://", "relative/path", "http://example.org/ä", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520", 5)),
    "base64": _set(_of("base64Binary"), _one_of("a", "aGVsbG8", "aGVs bG8=", "!!!!", "")),
    "two types of a choice": _second_choice,
    "type outside a choice": _wrong_choice,
    "target of a reference": _set(_of("Reference"), _one_of({"reference": "Subscription/1"}, {"reference": "http://example.org/fhir/Binary/1"}, {"reference": "Foo/1"}, {"reference": "Patient"}, {"reference": "Patient/a b"}, {"reference": "Patient/under_score"}, {"display": "x"}, {"reference": "Patient/1", "type": "Group"}, {"identifier": {"value": "1"}}, {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}, {"reference": "patient/1"}, {"type": "Patient", "display": "x"}, {"reference": "Patient/1/_history/2"})),  # noqa: E501
    "unit": _set(_of("Quantity", "Duration", "Age"), _quantity),
    "coding": _set(_of("Coding"), _coding),
    "extension": _extension,
    "modifier extension": _modifier,
    "contained": _contained,
    "narrative": _narrative,
    "invariant of a datatype": _invariant,
    "invariant of a type": _by_type,
    "fixed value, slice or rule of a profile": _vital,
    "claimed profile": _claims,
    "resource type": lambda body, chance: bool(body.update(resourceType=chance.choice(("Foo", "Patient", "", 5, None, "observation")))) or True,
}  # fmt: skip
"""Name of what is broken to how."""
