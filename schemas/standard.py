"""The unified data standard in words (统一数据口径): kinds of record and their fields, read once from `kinds.csv` and `fields.csv`.

The structs of `schemas/records.py` say what a field holds; here stand its names (zh-CN, en), its UCUM unit, what is possible,
and what makes a record the same one when it comes again. Labels of pages, facts of receipts, bounds, natural keys and what is
published about the standard all come from these two tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from schemas.lines import lines
from schemas.records import KINDS, Moment, Quantity

EVERY = "*"
"""The fields that every kind of record has."""


class Field(NamedTuple):
    """One row of `fields.csv`. `low`..`high` is possible (outside: refused), in `unit`; `fact`: a receipt shows it."""

    name: str
    zh: str
    en: str
    unit: str
    low: float | None
    high: float | None
    fact: bool
    meaning_zh: str
    meaning: str


class Kind(NamedTuple):
    """One row of `kinds.csv` with its fields.

    key:    the fields that tell a repeat where the source gives no id of its own
    number: what the store writes for the kind; never given to another
    ahead:  days that a start may lie in the future
    append_only: an entry of a ledger: sent again under the same key with another content it is refused, where others become a new version
    about:  a resident, unless it is a `venue`: then it names nobody, and lies beside the directory and not among residents' records
    """

    code: str
    zh: str
    en: str
    key: tuple[str, ...]
    number: int
    ahead: int
    append_only: bool
    about: str
    fields: dict[str, Field]


def _fields() -> dict[str, dict[str, Field]]:
    found: dict[str, dict[str, Field]] = {}
    for line in lines("fields.csv"):
        if line["kind"] in KINDS and line["field"] not in KINDS[line["kind"]].__struct_fields__:
            raise line.wrong(f"a {line['kind']} has no field {line['field']!r}", "field")
        found.setdefault(line["kind"], {})[line["field"]] = Field(
            line["field"], line["zh"], line["en"], line.unit("unit"), line.number("low"), line.number("high"), line["fact"] == "fact",
            line["meaning_zh"], line["meaning"],
        )  # fmt: skip
    return found


_FIELDS = _fields()

PARTS: dict[str, dict[str, Field]] = {kind[1:]: fields for kind, fields in _FIELDS.items() if kind.startswith(".")}
"""Fields of what lies inside a record: moment, device, quantity, lap and their like."""

STANDARD: dict[str, Kind] = {
    row["kind"]: Kind(
        row["kind"], row["zh"], row["en"], tuple(row["key"].split()), int(row["number"]), int(row["ahead"] or 0), row["append_only"] == "yes",
        row.one_of("about", ("", "venue")) or "resident", _FIELDS[EVERY] | _FIELDS[row["kind"]],
    )
    for row in lines("kinds.csv")
}
"""Kind of record to its names, natural key and fields."""

BOUNDS: dict[str, tuple[tuple[str, float, float], ...]] = {
    kind.code: tuple((f.name, f.low, f.high) for f in kind.fields.values() if f.low is not None and f.high is not None) for kind in STANDARD.values()
}
"""Kind to its bounded fields: outside them a value cannot have been measured."""

def _typed(kind: str) -> Iterator[tuple[str, Any]]:
    return ((field.name, field.type) for field in msgspec.structs.fields(KINDS[kind]))


MEASURED: dict[str, tuple[tuple[str, bool], ...]] = {
    kind: tuple((name, hint == list[Quantity]) for name, hint in _typed(kind) if hint in (list[Quantity], Quantity | None)) for kind in STANDARD
}
"""Kind to the fields that hold quantities, and whether they hold many."""

MOMENTS: dict[str, tuple[str, ...]] = {
    kind: tuple(name for name, hint in _typed(kind) if name not in ("start", "end") and hint in (Moment, Moment | None)) for kind in STANDARD
}
"""Kind to its moments beside start and end."""

APPEND_ONLY: frozenset[str] = frozenset(kind.code for kind in STANDARD.values() if kind.append_only)
"""Kinds whose records are never changed by their source."""

OF_RESIDENTS: tuple[str, ...] = tuple(kind.code for kind in STANDARD.values() if kind.about == "resident")
"""Kinds whose records are each about one resident."""

FACTS: dict[str, tuple[str, ...]] = {kind.code: tuple(f.name for f in kind.fields.values() if f.fact) for kind in STANDARD.values()}
"""Kind to the fields that a receipt shows."""


def field_of(name: str) -> Field | None:
    """The first field of that name in any kind of record, for a label where the kind is not known."""
    return next((kind.fields[name] for kind in STANDARD.values() if name in kind.fields), None)
