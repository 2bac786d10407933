"""What an answer disclosed, as an audit entry keeps it: how many of which, and which fields. Names only, never a value.

A field is a measure or a code of the standard (`systolic`, `lap`), or an element (`Patient.name`, `session.hr_avg`): names that the standard never
gives another meaning, so that an entry can be read years later. What the names mean in words is for those who show them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import orjson

from schemas.codes import CODE_SYSTEMS
from schemas.records import Envelope, Quantity

Detail = dict[str, Any]

_CODE: Final = re.compile(rb'"%b(?:measure|record)","code":"([^"]+)"' % re.escape(CODE_SYSTEMS.encode()))
"""Coded by the standard: every observation that the hub shows is."""
_VALUE, _NOTE, _CUT = b'"value', b'"note":[', b'"SUBSETTED"'
_FRAME: Final = frozenset({
    "resourceType", "id", "meta", "language", "text", "contained", "status", "intent", "category", "subject", "patient", "for", "beneficiary",
})  # fmt: skip
"""Elements that say what a resource is and whose, which its type says already."""
_ABOUT: Final = frozenset({"start", "end", "source_record_id", "device", "flags", "modality"})
"""Fields that every kind of record has."""


def resources(found: Iterable[tuple[str, bytes]], cut: int = 0) -> Detail:
    """Of FHIR resources as they leave: (type, bytes). `cut`: how many of them lack a part that was not permitted."""
    counts: Counter[str] = Counter()
    fields: set[str] = set()
    for type_, raw in found:
        counts[type_] += 1
        fields |= _observed(raw) if type_ == "Observation" else _elements(type_, raw)
    return _detail({"shown": counts}, fields, cut)


def is_cut(raw: bytes) -> bool:
    """Whether a resource lacks a part that was not permitted. What `_summary` and `_elements` leave out is marked alike: ask before."""
    return _CUT in raw


def _observed(raw: bytes) -> set[str]:
    """What was measured, found in the bytes: parsing each resource of a page would cost more than the rest of its entry."""
    fields = {code.decode() for code in _CODE.findall(raw)} if _VALUE in raw else set()
    return fields | {"Observation.note"} if _NOTE in raw else fields


def _elements(type_: str, raw: bytes) -> set[str]:
    return {f"{type_}.{name.removeprefix('_')}" for name in orjson.loads(raw) if name not in _FRAME}


def records(found: Iterable[Envelope], *, only: Iterable[str] | None = None) -> Detail:
    """Of records as a page shows them; `only`: the fields that it has columns for."""
    kinds: Counter[str] = Counter()
    fields: set[str] = set()
    columns = None if only is None else set(only)
    for record in found:
        kind = str(record.__struct_config__.tag)
        kinds[kind] += 1
        for name in record.__struct_fields__:
            value = getattr(record, name)
            if value in (None, [], "") or name in _ABOUT or (columns is not None and name not in columns):
                continue
            fields |= _measured(value) or {f"{kind}.{name}"}
    return _detail({"kinds": kinds}, fields)


def _measured(value: Any) -> set[str]:
    listed = value if isinstance(value, list) else [value]
    return {one.measure for one in listed if isinstance(one, Quantity)}


def person(detail: Detail, who: msgspec.Struct | None) -> Detail:
    """With whom a page named, as far as it did."""
    if who is None:
        return detail
    named = {f"Patient.{name}" for name in ("name", "gender", "birth_date", "health_card") if getattr(who, name, None)}
    return detail | {"identity": True, "fields": sorted({*detail.get("fields", ()), *named})}


def named(name: str | None) -> Detail:
    """Of a page that names whom it is about, and nothing else of them."""
    return {"fields": ["Patient.name"]} if name else {}


def together(details: Iterable[Detail]) -> Detail:
    """What one page disclosed in several parts."""
    kinds: Counter[str] = Counter()
    fields: set[str] = set()
    for one in details:
        kinds.update(one.get("kinds", {}))
        fields.update(one.get("fields", ()))
    return _detail({"kinds": kinds} if kinds else {}, fields)


def _detail(counts: Detail, fields: set[str], cut: int = 0) -> Detail:
    return counts | ({"fields": sorted(fields)} if fields else {}) | ({"cut": cut} if cut else {})
