"""Ways to break a resource, each one rule of R4 or of a profile. A mutation may leave it valid: the reference says which."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from schemas.r4.primitives import PRIMITIVES
from schemas.r4.structures import Element, Structure, core
from schemas.r4.terms import codes_of

Body = dict[str, Any]
UCUM = "http://unitsofmeasure.org"
OVERLAYS: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "broken.yaml").read_text(encoding="utf-8"))
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
    other = next(key for key, _ in place.element.spellings() if key != place.key)
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


def _extension(body: Body, chance: random.Random) -> bool:
    place = _some(body, chance, lambda place: isinstance(place.value, dict) and place.type not in ("Resource", "Narrative", "Extension"))
    node = place.value if place is not None and chance.random() < 0.4 else body
    if node is body and body["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return False
    node.setdefault("extension", []).append(deepcopy(chance.choice(OVERLAYS["extensions"])))
    return True


def _modifier(body: Body, chance: random.Random) -> bool:
    if body["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return False
    body["modifierExtension"] = [deepcopy(chance.choice(OVERLAYS["extensions"][:4]))]
    return True


# Invariants


def _invariant(body: Body, chance: random.Random) -> bool:
    found = [(place, addition) for place in places(body) for addition in OVERLAYS["datatypes"].get(place.type, ())]
    if not found:
        return False
    place, addition = chance.choice(found)
    value = deepcopy(addition)
    place.node[place.key] = [value] if isinstance(place.value, list) else value
    return True


def _narrative(body: Body, chance: random.Random) -> bool:
    if body["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return False
    body["text"] = deepcopy(chance.choice(OVERLAYS["datatypes"]["Narrative"]))
    return True


def _by_type(body: Body, chance: random.Random) -> bool:
    overlays = OVERLAYS["types"].get(body["resourceType"])
    if not overlays:
        return False
    for key, value in deepcopy(chance.choice(overlays)).items():
        if value is None:
            body.pop(key, None)
        else:
            body[key] = value
    return True


def _contained(body: Body, chance: random.Random) -> bool:
    reference = _some(body, chance, _of("Reference"))
    if reference is None or body["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return False
    body["contained"] = [deepcopy(chance.choice(OVERLAYS["contained"]))]
    if chance.random() < 0.7:
        reference.node[reference.key] = [{"reference": "#o"}] if isinstance(reference.value, list) else {"reference": "#o"}
    return True


def _quantity(value: Any, chance: random.Random) -> Any:
    return {"value": 3, "unit": "x", "system": UCUM, "code": chance.choice(OVERLAYS["values"]["unit"])}


# Profiles


def _of_profile(body: Body) -> bool:
    return any(str(url).startswith(BASE) for url in body.get("meta", {}).get("profile", ()))


def _ours(body: Body, chance: random.Random) -> bool:
    """What a profile of ours may ask for: an element, so many of a list, a code, a target."""
    if not any("kinehub.org" in str(url) for url in body.get("meta", {}).get("profile", ())):
        return False
    found = [place for place in places(body) if place.key not in ("profile", "versionId", "lastUpdated")]
    change = chance.choice((_left_out, _doubled, _other_code, _other_code))
    return change(found, chance)


def _left_out(found: list[Place], chance: random.Random) -> bool:
    place = chance.choice(found)
    del place.node[place.key]
    return True


def _doubled(found: list[Place], chance: random.Random) -> bool:
    lists = [place for place in found if isinstance(place.value, list)]
    if lists:
        place = chance.choice(lists)
        place.value.append(deepcopy(place.value[0]))
    return bool(lists)


def _other_code(found: list[Place], chance: random.Random) -> bool:
    codes = [place for place in found if place.key in ("code", "system", "url", "unit", "reference") and isinstance(place.value, str)]
    if codes:
        place = chance.choice(codes)
        others = {"code": "other", "system": "http://example.org/other", "url": "http://example.org/other", "unit": "other", "reference": "Group/1"}
        place.node[place.key] = others[place.key]
    return bool(codes)


def _vital(body: Body, chance: random.Random) -> bool:
    if not _of_profile(body) or body["resourceType"] != "Observation":
        return False
    change = chance.choice((_vital_unit, _vital_code, _vital_category, _vital_drop, _vital_component, _vital_type))
    return change(body, chance)


def _vital_unit(body: Body, chance: random.Random) -> bool:
    quantity = body.get("valueQuantity") or next((part["valueQuantity"] for part in body.get("component", ()) if "valueQuantity" in part), None)
    if quantity is None:
        return False
    change = chance.choice(
        ({"code": "kg/m"}, {"system": "http://example.org"}, {"unit": None}, {"value": None}, {"code": None}, {"unit": "another"}, {"code": "g"})
    )
    for key, value in change.items():
        quantity.pop(key, None) if value is None else quantity.update({key: value})
    return True


def _vital_code(body: Body, chance: random.Random) -> bool:
    body["code"] = chance.choice(
        ({"text": "x"}, {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}, {"coding": [*body["code"]["coding"], *body["code"]["coding"][:1]]})
    )
    return True


def _vital_category(body: Body, chance: random.Random) -> bool:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    vital = {"coding": [{"system": system, "code": "vital-signs"}]}
    body["category"] = chance.choice(
        ([{"coding": [{"system": system, "code": "activity"}]}], [vital, vital], [{"text": "vital-signs"}], [vital, {"text": "x"}])
    )
    return True


def _vital_drop(body: Body, chance: random.Random) -> bool:
    for key in chance.choice((("subject",), ("effectiveDateTime", "effectivePeriod"), ("category",), ("valueQuantity",), ("component",), ("status",))):
        body.pop(key, None)
    return True


def _vital_component(body: Body, chance: random.Random) -> bool:
    parts = body.get("component")
    if not parts:
        return False
    chance.choice(
        (parts.pop, lambda: parts.append(deepcopy(parts[0])), lambda: parts[0].pop("valueQuantity", None), lambda: parts[0].update(code={"text": "x"}))
    )()
    return True


def _vital_type(body: Body, chance: random.Random) -> bool:
    change: Body = chance.choice(
        (
            {"valueString": "x"},
            {"effectiveInstant": "2024-01-01T00:00:00Z"},
            {"valueCodeableConcept": {"text": "x"}},
            {"subject": {"reference": "Group/1"}},
            {"dataAbsentReason": {"text": "x"}},
        )
    )
    for stem in ("value", "effective"):
        if any(key.startswith(stem) for key in change):
            for key in [key for key in body if key.startswith(stem)]:
                del body[key]
    body.update(change)
    return True


def _claims(body: Body, chance: random.Random) -> bool:
    url = chance.choice(
        ("vitalsigns", "heartrate", "bp", "bmi", "lipidprofile", "Observation", "Patient", "actualgroup", "nonsense", "clinicaldocument", "bodyweight")
    )
    body["meta"] = {"profile": [BASE + url]}
    return True


def _another_type(value: Any, chance: random.Random) -> Any:
    other = value[0] if isinstance(value, list) else [value]
    return chance.choice((7, "text", {"a": 1}, [value], [[value]], True, {"text": "x"}, other))


MUTATIONS: dict[str, Mutation] = {
    "as it is": lambda body, chance: True,
    "required element left out": _drop(lambda place: bool(place.element.definition.min)),
    "element left out": _drop(_any),
    "unknown element": _unknown,
    "wrong JSON type": _whole(_any, _another_type),
    "empty": _whole(_any, _one_of([], {}, "", " ", [{}], [""])),
    "null": _whole(_any, _one_of(None, [None])),
    "nulls and siblings": _nulls,
    "beside a primitive": _beside,
    "code outside a required binding": _set(_bound, _one_of("bogus", "FINAL", "a b", "x", "unknown")),
    "date": _set(_of("date", "dateTime", "instant"), _one_of(*OVERLAYS["values"]["date"])),
    "time": _set(_of("time"), _one_of("8:00", "25:00:00", "08:00:00Z", "08:00", "08:00:00.5")),
    "number": _set(_of("integer", "unsignedInt", "positiveInt", "decimal"), _one_of(0, -1, 1.5, "5", 2**31, 2**40, True, 1e30)),
    "boolean": _set(_of("boolean"), _one_of("true", 1, "yes", 0)),
    "text": _set(_of("string", "markdown"), _one_of(" x", "x ", "a\u0001b", "\n", "two\nlines", 5, True)),
    "id and code": _set(_of("id", "code"), _one_of("a b", " a", "a  b", "under_score", "x" * 65, "ümlaut", 5)),
    "uri": _set(_of("uri", "url", "canonical", "oid", "uuid"), _one_of(*OVERLAYS["values"]["uri"])),
    "base64": _set(_of("base64Binary"), _one_of("a", "aGVsbG8", "aGVs bG8=", "!!!!", "")),
    "two types of a choice": _second_choice,
    "type outside a choice": _wrong_choice,
    "target of a reference": _set(_of("Reference"), _one_of(*OVERLAYS["values"]["reference"])),
    "unit": _set(_of("Quantity", "Duration", "Age"), _quantity),
    "coding": _set(_of("Coding"), _one_of(*OVERLAYS["values"]["coding"])),
    "extension": _extension,
    "modifier extension": _modifier,
    "contained": _contained,
    "narrative": _narrative,
    "invariant of a datatype": _invariant,
    "invariant of a type": _by_type,
    "fixed value, slice or rule of a profile": _vital,
    "rule of a profile of ours": _ours,
    "claimed profile": _claims,
    "resource type": lambda body, chance: bool(body.update(resourceType=chance.choice(("Foo", "Patient", "", 5, None, "observation")))) or True,
}  # fmt: skip
"""Name of what is broken to how."""
