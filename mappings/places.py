"""Where each field of a record stands in FHIR, read from the same tables that are compiled into faces."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import msgspec

from mappings import calls, functions
from mappings.compiler import of_field
from mappings.elements import listed
from mappings.tables import Table, read
from schemas.measures import MEASURES
from schemas.records import KINDS

FOLDER: Final = Path(__file__).with_name("fhir")
_NAMED: Final = {"loinc": "LOINC", "snomed": "SNOMED CT", "pa": "PA IG", "record": "KineHub"}
_BESIDE: Final = frozenset({"otherwise", "map", "as"})


class Place(NamedTuple):
    """Where a field stands: the element, the code of its resource or component (`LOINC 55425-3`), the resource's slot in its record."""

    path: str
    code: str
    slot: int


@cache
def places(kind: str) -> dict[str, tuple[Place, ...]]:
    """Field of a record kind to its places. The entries of a list are `laps.timer_s`. Raises KeyError for a kind without a face."""
    table = _tables()[kind]
    found: dict[str, list[Place]] = {}
    for spec in _templates(table):
        for field, place in _of_template(spec, KINDS[kind]):
            if place not in (known := found.setdefault(field, [])):
                known.append(place)
    return {field: tuple(listed) for field, listed in found.items()}


@cache
def left_out(kind: str) -> dict[str, str]:
    """Fields that have no place in FHIR on purpose, with the reason."""
    return dict(_tables()[kind].get("left_out", {}))


@cache
def _tables() -> dict[str, Table]:
    found = (read(path) for path in sorted(FOLDER.glob("*.yaml")) if path.name != "shared.yaml")
    return {table.need("kind"): table for table in found}


@cache
def _shared() -> Table:
    return read(FOLDER / "shared.yaml")


def _templates(table: Table) -> Iterator[Table]:
    common = {"effective": table["effective"], **table.get("shared", {})}
    for spec in table["resources"]:
        yield Table({**common, **spec})
    for field in ("device", "gateway"):
        if field in table:
            common = _shared()["device"]
            yield Table({**common, "elements": of_field(common["elements"], field), "slot": table[field], "effective": "none"})


def _of_template(spec: Table, record: type[msgspec.Struct]) -> Iterator[tuple[str, Place]]:
    """Fields and places of one template. With `each`, names are those of an entry unless they begin with `record.`."""
    each = spec.get("each")
    struct, before = (_entry(record, each), f"{each}.") if each else (record, "")
    if each:
        yield each, Place(spec["type"], _code(spec), spec["slot"])
    for field, path, code in (*_whole(spec), *_time(spec), *_value(spec), *_nested(spec), *_components(spec, struct)):
        for name in _names(field, struct, record, before):
            yield name, Place(f"{spec['type']}.{path}", code or _code(spec), spec["slot"])


def _entry(struct: type[msgspec.Struct], field: str) -> type[msgspec.Struct]:
    entry: type[msgspec.Struct] = get_args(get_type_hints(struct)[field])[0]
    return entry


def _names(field: str, struct: type[msgspec.Struct], record: type[msgspec.Struct], before: str) -> Iterator[str]:
    """A name as a YAML writes it, as a field of the record or of the entry; nothing for what is no field."""
    first, _, rest = field.partition(".")
    if first == "record" and rest.partition(".")[0] in record.__struct_fields__:
        yield rest.partition(".")[0]
    elif first in struct.__struct_fields__:
        yield before + (field if first in ("device", "gateway") and rest else first)
        if first in ("device", "gateway") and rest:
            yield before + first


Said = Iterator[tuple[str, str, str]]
"""Field, path inside the resource, code of its own if it has one."""


def _whole(spec: Table) -> Said:
    if spec.get("whole"):
        yield "source_record_id", "identifier", ""
        yield "flags", "extension(quality-flag)", ""
        yield "modality", "extension(modality)", ""
        yield "note", "note" if spec.get("note") else "extension(note)", ""


def _time(spec: Table) -> Said:
    type_: dict[str, Any] = _shared()["types"][spec["type"]]
    for name, form in type_.get("time", {}).items():
        if spec["effective"] == "date":
            yield "record.date", f"{name}DateTime", ""
        for field in ("start", "end") if spec["effective"] == "period" and form in ("choice", "period") else ():
            yield f"record.{field}", f"{name}[x]" if form == "choice" else name, ""
        if spec["effective"] == "period" and form not in ("choice", "period"):
            yield "record.start", name, ""


def _value(spec: Table) -> Said:
    if spec.get("measure") == "own":
        yield "measure", "code", ""
    yield from _values(spec, "valueQuantity", "")
    if spec.get("quantity") == "self":
        for field, path in (("measure", "code"), ("value", "valueQuantity.value"), ("unit", "valueQuantity.code"), ("original", "extension(original-value)")):
            yield field, path, ""
    elif "quantity" in spec:
        yield spec["quantity"], "valueQuantity", ""


def _values(spec: dict[str, Any], path: str, code: str) -> Said:
    """The fields under `value`; one that is coded as another measure too has both codes."""
    for value in listed(spec.get("value", [])):
        if isinstance(value, dict):
            yield from ((field, path, " + ".join(filter(None, (code or _code(Table(spec)), _of_measure(measure))))) for field, measure in value.items())
        else:
            yield value, path, code


def _nested(spec: Table) -> Said:
    for name, typed in spec.get("extension", {}).items():
        for fields in typed.values():
            shown = _shared().get("extensions", {}).get(name, name).rpartition("/")[2]
            yield from ((field, f"extension({shown})", "") for field in listed(fields) if isinstance(field, str))
    for name, value in spec.get("elements", {}).items():
        yield from ((field, path, "") for field, path in _node(value, name))


def _node(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The fields that an element's value names. A key that is no function is the name of an element inside."""
    if isinstance(value, list):
        for inner in value:
            yield from _node(inner, path)
    if not isinstance(value, dict) or "to" in value or "local" in value:
        return
    for key, inner in value.items():
        if (key in calls.FUNCTIONS or key == "each") and all(isinstance(field, str) for field in listed(inner)):
            yield from ((field, path) for field in listed(inner))
        elif key not in _BESIDE:
            yield from _node(inner, f"{path}.{key}")


def _components(spec: Table, struct: type[msgspec.Struct]) -> Said:
    components = spec.get("components")
    if isinstance(components, dict):
        yield components["each"], "component", ""
    for inner in components if isinstance(components, list) else ():
        yield from _values(inner, "component.valueQuantity", _of_measure(inner["measure"]))


def _code(spec: Table) -> str:
    if isinstance(code := spec.get("code"), dict):
        system, value = next((system, value) for system, value in code.items() if system != "zh")
        return f"{_NAMED.get(system, system)} {value}"
    return _of_measure(spec.get("measure"))


def _of_measure(measure: object) -> str:
    """A measure's first standard code, else its own key; of several that a function chooses from, all."""
    if isinstance(measure, dict):
        return " / ".join(_of_measure(key) for key in functions.CHOICES[measure["of"]][1])
    if not isinstance(measure, str) or measure not in MEASURES:
        return ""
    return f"LOINC {MEASURES[measure].loinc[0]}" if MEASURES[measure].loinc else measure
