"""Resources of every type whose structure is known, made at random out of R4's own definitions: shapes, not stories."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from schemas.r4.elements import targets_of
from schemas.r4.primitives import PRIMITIVES
from schemas.r4.structures import Element, Structure, Type, core
from schemas.r4.terms import codes_of, value_set

DEEPEST = 4
LEFT_OUT = frozenset(
    {
        "id",
        "hash",
        "size",
        "outputProfile",
        "inputProfile",
        "extension",
        "modifierExtension",
        "contained",
        "implicitRules",
        "meta",
        "language",
        "text",
        "fhir_comments",
    }
)
NEVER = frozenset({"Extension", "ElementDefinition", "Narrative", "Meta", "Expression", "TriggerDefinition", "DataRequirement", "UsageContext"})
OID = "urn:oid:2.16.840.1.113883"
SAMPLES: dict[str, tuple[Any, ...]] = {
    "boolean": (True, False), "integer": (0, 7, -3), "unsignedInt": (0, 3), "positiveInt": (1, 4), "decimal": (72.5, 3, 0.1),
    "string": ("text", "两个字"), "markdown": ("*text*",), "code": ("abc", "x-y"), "id": ("a1", "b-2.c"), "uri": ("http://example.org/a", OID),
    "url": ("http://example.org/u",), "canonical": ("http://example.org/c|1.0",), "oid": (OID,),
    "uuid": ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520",), "date": ("2024-02-29", "2023-05", "2021"),
    "dateTime": ("2024-05-01T08:00:00+08:00", "2023-05-06", "2022"), "instant": ("2024-05-01T08:00:00.123Z",), "time": ("08:30:00",),
    "base64Binary": ("aGVsbG8=",), "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml">text</div>',),
}  # fmt: skip
UNITS = ("/min", "mm[Hg]", "kg/m2", "mL/kg/min", "{steps}", "%", "Cel", "10*3/uL", "kcal/d", "kcal/(kg.h)", "1")
UCUM = "http://unitsofmeasure.org"


def a_resource(type_: str, chance: random.Random, fullness: float) -> dict[str, Any]:
    """A resource of a type; `fullness` is how likely an optional element is there."""
    structure = core(type_)
    assert structure is not None
    return {"resourceType": type_, "id": "example"} | _object(structure.root, structure, chance, fullness, 0)


def _object(element: Element, of: Structure, chance: random.Random, fullness: float, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in element.children.values():
        if child.name in LEFT_OUT or (not child.definition.min and (depth >= DEEPEST or chance.random() > fullness)):
            continue
        found |= _element(child, of, chance, fullness * 0.6, depth + 1)
    return found


def _element(element: Element, of: Structure, chance: random.Random, fullness: float, depth: int) -> dict[str, Any]:
    if element.definition.content_reference:
        if not element.definition.min and depth > 2:
            return {}
        target = of.elements[element.definition.content_reference.partition("#")[2]]
        return {element.name: [_object(target, of, chance, 0, depth + 1)]}
    keys = [(key, type_) for key, type_ in element.spellings() if type_.code not in NEVER or element.definition.min]
    if not keys:
        return {}
    key, type_ = chance.choice(keys)
    value = _object(element, of, chance, fullness, depth) if element.children else _value(element, type_, chance, fullness, depth)
    if value in ({}, None):
        return {}
    return {key: [value] if element.is_list else value}


def _value(element: Element, type_: Type, chance: random.Random, fullness: float, depth: int) -> Any:
    binding = element.definition.binding
    url = binding.value_set if binding is not None and binding.strength != "example" else ""
    if type_.code in PRIMITIVES:
        codes = codes_of(url) if url else None
        return chance.choice(sorted(codes)) if codes else "en" if element.name == "language" else _primitive(url, type_.code, chance)
    if type_.code in ("CodeableConcept", "Coding"):
        coding = _coding(url, chance)
        return coding if type_.code == "Coding" else {"coding": [coding]} if coding else {"text": "text"}
    if type_.code == "Reference":
        targets = sorted(targets_of((type_,))) or ["Patient"]
        return {"reference": f"{chance.choice(targets)}/example"}
    if type_.code in ("Quantity", "SimpleQuantity", "Age", "Duration", "Distance", "Count"):
        return _quantity(type_.code, chance)
    if type_.code in ("Resource", "DomainResource"):
        return {"resourceType": "Basic", "id": "inner", "code": {"text": "inner"}}
    inner = core(type_.code)
    assert inner is not None, type_.code
    return _object(inner.root, inner, chance, fullness, depth) if depth < DEEPEST + 2 else {}


def _primitive(url: str, type_: str, chance: random.Random) -> Any:
    if url.endswith("/mimetypes"):
        return "application/pdf"
    return "CNY" if url.endswith("/currencies") else "Asia/Shanghai" if url.endswith("/timezones") else chance.choice(SAMPLES[type_])


def _quantity(type_: str, chance: random.Random) -> dict[str, Any]:
    unit = {"Age": "a", "Duration": "min", "Distance": "km", "Count": "1"}.get(type_) or chance.choice(UNITS)
    value: Any = 3 if type_ == "Count" else chance.choice((1, 2.5, 70))
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _coding(url: str, chance: random.Random) -> dict[str, Any]:
    if url.endswith("/languages"):
        return {"system": "urn:ietf:bcp:47", "code": "zh-CN"}
    listed: list[tuple[str, str]] = sorted((system, code) for system, codes in (value_set(url) or {}).items() if system for code in codes or ())
    if listed:
        system, code = chance.choice(listed)
        return {"system": system, "code": code}
    return {"system": "http://example.org/system", "code": "a"}


def shapes(types: list[str], seed: int, each: int) -> Iterator[dict[str, Any]]:
    """So many of each type, the first with what is required alone, the others fuller and fuller."""
    for type_ in types:
        chance = random.Random(f"{seed}/{type_}")
        for place in range(each):
            yield a_resource(type_, chance, 0.75 * place / max(1, each - 1))
