"""The standard as its page shows it: fields in rows with their place in FHIR and the sources that fill them, codes, and the search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from adapters.fills import sources_of
from hub.web.locales import pick, say
from mappings.places import Place, left_out, places
from schemas import published, terminology
from schemas.classes import NAMES, codes_of
from schemas.instruments import INSTRUMENTS, Instrument
from schemas.measures import MEASURES, Measure
from schemas.quality import Band, bands_of
from schemas.records import Envelope
from schemas.standard import PARTS, STANDARD, Field

MOST: Final = 40
"""So many hits of one group are shown."""
_PLAIN: Final = frozenset({"moment", "flag", "device", "quantity"})
"""Parts that every record may have: their fields are not repeated under each."""
_TYPES: Final[dict[str, tuple[str, str]]] = {
    "string": ("文字", "text"), "number": ("数字", "number"), "integer": ("整数", "whole number"), "boolean": ("是或否", "yes or no"),
    "moment": ("时刻", "moment"), "instant": ("时刻", "instant"), "date": ("日期", "date"), "device": ("设备", "device"), "flag": ("标记", "flag"),
    "quantity": ("数值和单位", "value with unit"), "code": ("编码", "code"),
}  # fmt: skip


COMMON: Final = frozenset(Envelope.__struct_fields__)
"""Fields of every record."""


class Row(NamedTuple):
    """One field. `inner`: of an entry of the list above it. `places`: FHIR element to the codes of its resources."""

    code: str
    anchor: str
    names: tuple[str, str]
    meaning: tuple[str, str]
    unit: str
    possible: str
    type: str
    values: tuple[str, ...]
    required: bool
    places: dict[str, list[str]]
    reason: str
    sources: tuple[tuple[str, str], ...]
    inner: bool


class Hit(NamedTuple):
    """What a search may find: its group, its address, names, code, and a line about it."""

    group: tuple[str, str]
    href: str
    names: tuple[str, str]
    code: str
    about: str
    text: str


# Fields


def rows(kind: str, *, common: bool) -> Iterator[Row]:
    """The fields of a kind, its own or those that every record has; those of a list's entries under it."""
    document = published.current()
    for name, said in document["kinds"][kind]["fields"].items():
        if (name in COMMON) != common:
            continue
        yield _row(kind, name, STANDARD[kind].fields[name], said, inner=False)
        part = said["type"].removeprefix("list of ")
        if part in PARTS and part not in _PLAIN:
            for inner, told in document["parts"][part]["fields"].items():
                yield _row(kind, f"{name}.{inner}", PARTS[part][inner], told, inner=True)


def _row(kind: str, path: str, field: Field, said: dict[str, Any], *, inner: bool) -> Row:
    sources = () if inner else tuple(source.title for source in sources_of(kind, path))
    return Row(
        field.name, path.replace(".", "-"), (field.zh, field.en), (field.meaning_zh, field.meaning), field.unit, limits(field.low, field.high),
        _type(said["type"]), tuple(said.get("values", ())), bool(said.get("required")), _by_path(places(kind).get(path, ())),
        left_out(kind).get(path, ""), sources, inner,
    )  # fmt: skip


def _type(name: str) -> str:
    several = name.startswith("list of ")
    if several and name.removeprefix("list of ") in PARTS.keys() - _PLAIN:
        return say("多项，各有以下字段")
    shown = " / ".join(pick(_TYPES.get(one, (one, one))) for one in name.removeprefix("list of ").split(" or "))
    return say("多个：%(what)s", what=shown) if several else shown


def _by_path(found: Iterable[Place]) -> dict[str, list[str]]:
    """Paths with their codes; where there are many codes the path says enough."""
    by: dict[str, list[str]] = {}
    for place in found:
        by.setdefault(place.path, []).append(place.code)
    return {path: codes if len(codes) <= 2 and all(codes) else [] for path, codes in by.items()}


def limits(low: float | None, high: float | None) -> str:
    """`20–260`; an open end is empty."""
    return "" if low is None and high is None else f"{'' if low is None else f'{low:g}'}–{'' if high is None else f'{high:g}'}"


# Measures and codes


class Shown(NamedTuple):
    """A measure as a row. `unsure`: its code was not yet compared with its own release; `bands`: what is usual at an age."""

    measure: Measure
    data_class: tuple[str, str]
    usual: str
    possible: str
    unsure: bool
    bands: list[Band]


def of_measure(measure: Measure) -> Shown:
    code = codes_of(measure.data_class)[0]
    return Shown(
        measure, NAMES[code], limits(measure.low, measure.high), limits(measure.reject_low, measure.reject_high), is_unsure(measure),
        bands_of(measure.key),
    )  # fmt: skip


def is_unsure(measure: Measure) -> bool:
    return "(verify)" in measure.source or measure.source.startswith("third-party use")


def unsure() -> int:
    """How many measures carry a code that was not compared with its own release."""
    return sum(map(is_unsure, MEASURES.values()))


@cache
def systems() -> dict[str, dict[str, Any]]:
    """The lists of codes as CodeSystems, by id; measures have a page of their own."""
    return {one["id"]: one for one in terminology.code_systems() if one["id"] != "measure"}


def title(system: dict[str, Any]) -> tuple[str, str]:
    """A CodeSystem's names, which it says one behind the other."""
    zh, _, en = system["title"].partition(" ")
    return zh, en or zh


def concept_names(concept: dict[str, Any]) -> tuple[str, str]:
    """zh-CN and en."""
    english = next((one["value"] for one in concept.get("designation", ()) if one["language"] == "en"), concept["display"])
    return concept["display"], english


def instrument(system: dict[str, Any], concept: dict[str, Any]) -> Instrument | None:
    """The questions behind a code of the list of instruments."""
    return INSTRUMENTS.get(concept["code"]) if system["id"] == "instrument" else None


def is_unsure_code(system: dict[str, Any], concept: dict[str, Any]) -> bool:
    """Whether what a code stands for was not compared with its own release."""
    known = instrument(system, concept)
    return "(verify)" in concept.get("definition", "") or (known is not None and known.is_unsure)


def unsure_codes(system: dict[str, Any]) -> int:
    """How many codes of a list are marked so."""
    return sum(is_unsure_code(system, concept) for concept in system["concept"])


# Search


def search(asked: str) -> list[Hit]:
    """Everything that has all the words asked for in its names, codes, meaning or place."""
    wanted = asked.casefold().split()
    return [hit for hit in _everything() if all(word in hit.text for word in wanted)] if wanted else []


def grouped(found: list[Hit]) -> dict[tuple[str, str], list[Hit]]:
    """Hits by group."""
    by: dict[tuple[str, str], list[Hit]] = {}
    for hit in found:
        by.setdefault(hit.group, []).append(hit)
    return by


_GROUPS: Final = (("记录", "Records"), ("字段", "Fields"), ("指标", "Measures"))


@cache
def _everything() -> tuple[Hit, ...]:
    return (*_of_kinds(), *_of_measures(), *_of_codes())


def _hit(group: tuple[str, str], href: str, names: tuple[str, str], code: str, about: str, *more: str) -> Hit:
    return Hit(group, href, names, code, about, " ".join((*names, code, about, *more)).casefold())


def _of_kinds() -> Iterator[Hit]:
    for kind in STANDARD.values():
        yield _hit(_GROUPS[0], f"/standard/kinds/{kind.code}", (kind.zh, kind.en), kind.code, "")
    for kind in STANDARD.values():
        for row in (*rows(kind.code, common=False), *rows(kind.code, common=True)):
            names = (f"{kind.zh} · {row.names[0]}", f"{kind.en} · {row.names[1]}")
            if row.inner and (of := kind.fields.get(row.anchor.partition("-")[0])):
                names = (f"{kind.zh} · {of.zh} · {row.names[0]}", f"{kind.en} · {of.en} · {row.names[1]}")
            codes = (code for codes in row.places.values() for code in codes)
            yield _hit(_GROUPS[1], f"/standard/kinds/{kind.code}#{row.anchor}", names, row.code, row.unit, *row.meaning, *row.places, *codes)


def _of_measures() -> Iterator[Hit]:
    for one in MEASURES.values():
        yield _hit(_GROUPS[2], f"/standard/measures#{one.key}", (one.zh, one.en), one.key, " ".join((*one.loinc, one.unit)), *one.mdc, one.wst363, one.source)


def _of_codes() -> Iterator[Hit]:
    for name, system in systems().items():
        for concept in system["concept"]:
            yield _hit(title(system), f"/standard/codes/{name}#{concept['code']}", concept_names(concept), concept["code"], "")
