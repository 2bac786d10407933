"""JSON Schema (2020-12) of the standard's own JSON: for each kind of record, and for a file of it.

Shapes come from the wire structs that `adapters/kinehub_json.py` decodes with; names, units, bounds and codes from the tables.
Beside the words of JSON Schema stand `x-title-zh`, `x-unit` (UCUM), `x-loinc` and `x-usual`, which validators pass over.
What it cannot say: that a day exists in the calendar, that a unit can be converted, that no key stands twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

import msgspec

from adapters.kinehub_json import CHANNELS, ROW, WIRE
from schemas.measures import MEASURES, Measure
from schemas.records import KINDS, STANDARD_VERSION
from schemas.sports import SPORTS
from schemas.standard import MOMENTS, PARTS, STANDARD, Field

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BASE: Final = f"https://kinehub.org/standard/{STANDARD_VERSION}/schema/"
FILE: Final = "file"
"""The name of the schema of a whole file."""

Schema = dict[str, Any]

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = "[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
_OFFSET = "([Zz]|[+-][0-9]{2}:[0-9]{2})"
_TIME: Final = f"^{_DAY}([Tt ]{_CLOCK}{_OFFSET}?)?$"
_INSTANT: Final = f"^{_DAY}[Tt ]{_CLOCK}{_OFFSET}$"
_RENAMED: Final = {"_Who": "who", "_Samples": "samples", "_ListedSamples": "listed-samples", "Row": "row"}
_MOMENTS: Final = {"start", "end"}.union(*MOMENTS.values())
_ABSENT: Final[Schema] = {"type": "null"}
_NONE: Final[Schema] = {"maxItems": 0}


def schemas() -> dict[str, Schema]:
    """Every schema by its name: the kinds of record, and `file`."""
    return {name: schema(name) for name in (*KINDS, FILE)}


@cache
def schema(name: str) -> Schema:
    """The schema of a kind of record, or of a `file`. Raises KeyError."""
    known = definitions()
    root: Schema = {"$schema": DIALECT, "$id": f"{BASE}{name}.json", "title": known[name]["title"], "$ref": f"#/$defs/{name}"}
    return root | {"$defs": {each: known[each] for each in sorted(_needed(name, known))}}


def _needed(name: str, known: dict[str, Schema]) -> set[str]:
    found, waiting = {name}, [name]
    while waiting:
        inner = {reference.rpartition("/")[2] for reference in _references(known[waiting.pop()])} - found
        found |= inner
        waiting += inner
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


@cache
def definitions(place: str = "#/$defs/") -> dict[str, Schema]:
    """All shapes by name; they refer to each other under `place`, for OpenAPI `#/components/schemas/…`."""
    _, found = msgspec.json.schema_components([ROW], ref_template="#/$defs/{name}")
    names = {wire.__name__: kind for kind, wire in WIRE.items()} | _RENAMED
    shapes = {names.get(name, name.lower()): part for name, part in found.items()}
    text = json.dumps(_enriched({name: shapes[name] for name in sorted(shapes)}))
    for old in found:
        text = text.replace(f'"#/$defs/{old}"', f'"#/$defs/{names.get(old, old.lower())}"')
    finished: dict[str, Schema] = json.loads(text.replace('"#/$defs/', f'"{place}'))
    return finished


def _enriched(shapes: dict[str, Schema]) -> dict[str, Schema]:
    for name, kind in STANDARD.items():
        shapes[name] |= {"title": kind.en, "x-title-zh": kind.zh}
        _fields(shapes[name], kind.fields)
        for field in msgspec.structs.fields(KINDS[name]):
            if field.required and shapes[name]["properties"][field.name].get("type") == "array":
                shapes[name]["properties"][field.name]["minItems"] = 1
    for name, fields in PARTS.items():
        if name in shapes:
            _fields(shapes[name], fields)
    for name, add in _RULES.items():
        add(shapes[name])
    return shapes | {"sport": _sports(), "measure": _measures(), FILE: _file()}


def _fields(shape: Schema, fields: dict[str, Field]) -> None:
    for name, field in fields.items():
        shape["properties"][name] = _field(shape["properties"][name], field)


def _field(shape: Schema, field: Field) -> Schema:
    """A property with its names, its unit and its bounds."""
    branches = shape.get("anyOf", [shape])
    for branch in branches:
        if branch.get("type") in ("number", "integer") and field.low is not None:
            branch |= {"minimum": field.low, "maximum": field.high}
    if field.name in ("sport", "measure"):
        branches[:] = [{"$ref": f"#/$defs/{field.name}"} if branch.get("type") == "string" else branch for branch in branches]
        shape = {"anyOf": branches} | {key: shape[key] for key in ("default",) if key in shape}
    if field.name in _MOMENTS and len(branches) > 1:
        for branch in branches:
            branch |= {"pattern": _TIME, "examples": ["2026-05-01T08:00:00+08:00", "2026-05-01"]} if branch.get("type") == "string" else {}
    return shape | _words(field)


def _words(field: Field) -> Schema:
    said = {"title": field.en, "x-title-zh": field.zh, "description": field.meaning, "x-description-zh": field.meaning_zh, "x-unit": field.unit}
    return {name: text for name, text in said.items() if text}


def _sports() -> Schema:
    return {"title": "Sport", "oneOf": [{"const": sport.code, "title": sport.en, "x-title-zh": sport.zh} for sport in SPORTS.values()]}


def _measures() -> Schema:
    return {"title": "Measure", "oneOf": [_measure(measure) for measure in MEASURES.values()]}


def _measure(measure: Measure) -> Schema:
    said: Schema = {"const": measure.key, "title": measure.en, "x-title-zh": measure.zh, "x-unit": measure.unit, "x-loinc": list(measure.loinc)}
    return {name: value for name, value in said.items() if value} | ({} if measure.low is None else {"x-usual": [measure.low, measure.high]})


def _file() -> Schema:
    rows = {"type": "array", "items": {"$ref": "#/$defs/row"}, "minItems": 1}
    return {
        "title": "A file of the unified data standard", "x-title-zh": "统一数据标准文件",
        "description": "One row, a list of rows, or an object with `records`. Rows may also stand one per line (NDJSON): each line is then one row.",
        "anyOf": [{"$ref": "#/$defs/row"}, rows, {"type": "object", "properties": {"records": rows}, "required": ["records"]}],
    }  # fmt: skip


# What the adapter asks beyond the shapes of its structs


def _moment(shape: Schema) -> None:
    """Either an instant with its offset or a local clock without one."""
    instant = {"required": ["at"], "properties": {"at": {"type": "string", "pattern": _INSTANT}, "local": _ABSENT}}
    local = {"required": ["local"], "properties": {"local": {"type": "string", "pattern": f"^{_DAY}[Tt ]{_CLOCK}$"}, "at": _ABSENT, "offset_minutes": _ABSENT}}
    shape["oneOf"] = [instant, local]
    shape["properties"]["offset_minutes"]["anyOf"][0] |= {"minimum": -1080, "maximum": 1080}


def _quantity(shape: Schema) -> None:
    """A value in the measure's own unit lies inside what is possible; in another unit it is converted first."""
    shape["properties"]["measure"] = {"$ref": "#/$defs/measure", "not": {"enum": [measure.key for measure in MEASURES.values() if not measure.unit]}}
    shape["allOf"] = [_bounded(measure) for measure in MEASURES.values() if measure.unit and (measure.reject_low, measure.reject_high) != (None, None)]


def _bounded(measure: Measure) -> Schema:
    limits = {name: limit for name, limit in (("minimum", measure.reject_low), ("maximum", measure.reject_high)) if limit is not None}
    same = {"required": ["measure", "unit"], "properties": {"measure": {"const": measure.key}, "unit": {"const": measure.unit}}}
    return {"if": same, "then": {"properties": {"value": limits}}}


def _vital(shape: Schema) -> None:
    """One of three: a quantity, a value with its unit, components."""
    shape["oneOf"] = [
        {"required": ["quantity"], "properties": {"quantity": {"type": "object"}, "value": _ABSENT, "components": _NONE}},
        {"required": ["value", "unit"], "properties": {"value": {"type": "number"}, "unit": {"type": "string"}, "quantity": _ABSENT, "components": _NONE}},
        {"required": ["components"], "properties": {"components": {"minItems": 1}, "quantity": _ABSENT, "value": _ABSENT}},
    ]


def _samples(shape: Schema) -> None:
    """Either a regular interval or one offset for each value."""
    even = {"required": ["interval_s"], "properties": {"interval_s": {"type": "number", "exclusiveMinimum": 0}, "offsets_s": _ABSENT}}
    uneven = {"required": ["offsets_s"], "properties": {"offsets_s": {"type": "array"}, "interval_s": _ABSENT}}
    shape["oneOf"] = [even, uneven]
    shape["properties"]["start"]["anyOf"][0] |= {"pattern": _INSTANT}


def _listed(shape: Schema) -> None:
    _samples(shape)
    shape["properties"]["channel"] |= {"enum": _channels()}


def _row(shape: Schema) -> None:
    shape |= {"title": "Row", "x-title-zh": "一行", "description": "One record with whom it is about and its samples."}
    shape["properties"]["series"]["anyOf"][0] |= {"propertyNames": {"enum": _channels()}}


def _channels() -> list[str]:
    return sorted(CHANNELS | {channel.replace("-", "_") for channel in CHANNELS})


_RULES: Final[dict[str, Callable[[Schema], None]]] = {
    "moment": _moment, "quantity": _quantity, "vital": _vital, "samples": _samples, "listed-samples": _listed, "row": _row,
}  # fmt: skip
"""Shape to what is added to it."""
