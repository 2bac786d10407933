"""The whole standard as one document: what is served, kept for each release, and compared between versions.

Made from the tables and the structs, never written by hand. Released versions lie in `schemas/releases/VERSION.json` and do not
change; a version without such a file is a draft. How the standard looks in FHIR has versions of its own (`mappings/fhir/`).
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from schemas.classes import CODES, NAMES, codes_of
from schemas.codes import LISTS
from schemas.errors import NotFound
from schemas.flags import FLAGS
from schemas.measures import MEASURES, Measure
from schemas.records import KINDS, STANDARD_VERSION
from schemas.sports import SPORTS, Sport
from schemas.standard import PARTS, STANDARD, Field

Document = dict[str, Any]

_NAMES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", date: "date", datetime: "instant"}
_RELEASES = files("schemas").joinpath("releases")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@cache
def current() -> Document:
    """The standard as the code has it now."""
    return {
        "standard": "KineHub unified data standard 统一数据口径",
        "version": STANDARD_VERSION,
        "kinds": {
            kind.code: {"zh": kind.zh, "en": kind.en, "key": list(kind.key), "fields": _fields(kind.fields, KINDS[kind.code])} for kind in STANDARD.values()
        },
        "parts": {name: {"fields": _fields(fields, part_structs().get(name))} for name, fields in PARTS.items()},
        "measures": {measure.key: _measure(measure) for measure in MEASURES.values()},
        "codes": {
            "sport": {sport.code: _sport(sport) for sport in SPORTS.values()},
            "data-class": {code: {"zh": NAMES[code][0], "en": NAMES[code][1], "bit": int(member).bit_length() - 1} for code, member in CODES.items()},
            "flag": {code: {"zh": zh, "en": en} for code, (zh, en) in FLAGS.items()},
            **{name: {one.code: _said(zh=one.zh, en=one.en, definition=one.definition) for one in listed.values()} for name, listed in LISTS.items()},
        },
    }


def _fields(fields: dict[str, Field], struct: type[msgspec.Struct] | None) -> Document:
    shapes = {field.name: field for field in msgspec.structs.fields(struct)} if struct else {}
    hints = get_type_hints(struct) if struct else {}
    return {
        field.name: _said(
            zh=field.zh, en=field.en, **(_type(hints[field.name]) if field.name in hints else {}),
            required=field.name in shapes and shapes[field.name].required, unit=field.unit, possible=_range(field.low, field.high),
            fact=field.fact, meaning_zh=field.meaning_zh, meaning=field.meaning,
        )
        for field in fields.values()
    }  # fmt: skip


def _measure(measure: Measure) -> Document:
    return _said(
        zh=measure.zh, en=measure.en, loinc=list(measure.loinc), mdc=list(measure.mdc), wst363=measure.wst363, unit=measure.unit,
        category=measure.category, data_class=codes_of(measure.data_class)[0], usual=_range(measure.low, measure.high),
        possible=_range(measure.reject_low, measure.reject_high), source=measure.source,
    )  # fmt: skip


def _sport(sport: Sport) -> Document:
    return {"zh": sport.zh, "en": sport.en, "indoor": sport.indoor, "distance_measure": sport.distance_measure} | _said(
        loinc=[sport.loinc] if sport.loinc else [], source=sport.source
    )


def _said(**words: Any) -> Document:
    """What there is to say: absent is absent."""
    return {name: value for name, value in words.items() if value not in ("", None, [], False)}


def _range(low: float | None, high: float | None) -> list[float | None] | None:
    return None if low is None and high is None else [_whole(low), _whole(high)]


def _whole(number: float | None) -> float | None:
    return int(number) if number is not None and number.is_integer() else number


def _type(hint: Any) -> dict[str, Any]:
    """A field's type by name, with its values where it is one of a closed list."""
    kinds = [kind for kind in get_args(hint) if kind is not types.NoneType] if get_origin(hint) in (Union, types.UnionType) else [hint]
    if len(kinds) > 1:
        return {"type": " or ".join(_type(kind)["type"] for kind in kinds)}
    (only,) = kinds
    if get_origin(only) is Literal:
        return {"type": "code", "values": list(get_args(only))}
    if get_origin(only) is list:
        return {"type": f"list of {_type(get_args(only)[0])['type']}"}
    return {"type": _NAMES.get(only) or _part_name(only)}


def _part_name(struct: Any) -> str:
    name = getattr(struct, "__name__", str(struct))
    return "".join(f"-{letter.lower()}" if letter.isupper() and place else letter.lower() for place, letter in enumerate(name))


@cache
def part_structs() -> dict[str, type[msgspec.Struct]]:
    """The structs inside records by the name that `fields.csv` gives them."""
    found: dict[str, type[msgspec.Struct]] = {}
    waiting: list[Any] = list(KINDS.values())
    while waiting:
        inner = [part for hint in get_type_hints(waiting.pop()).values() for part in _structs(hint) if _part_name(part) not in found]
        found |= {_part_name(part): part for part in inner}
        waiting += inner
    return {name: found[wanted] for name in PARTS for wanted in (name, name.replace("_", "-")) if wanted in found}


def _structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for part in get_args(hint):
        yield from _structs(part)


# Written


def written(document: Document) -> bytes:
    """A document as JSON with one line for each entry, so that a change of one is a change of one line."""
    return (_lines(document, "") + "\n").encode()


def _lines(value: Any, indent: str) -> str:
    if not isinstance(value, dict) or not any(isinstance(inner, dict) for inner in value.values()):
        return json.dumps(value, ensure_ascii=False)
    inside = ",\n".join(f"{indent} {json.dumps(name, ensure_ascii=False)}: {_lines(inner, indent + ' ')}" for name, inner in value.items())
    return f"{{\n{inside}\n{indent}}}"


# Releases


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@cache
def versions() -> tuple[str, ...]:
    """Released versions, oldest first."""
    names = (found.name.removesuffix(".json") for found in _RELEASES.iterdir() if found.name.endswith(".json"))
    return tuple(sorted(filter(_VERSION.fullmatch, names), key=_order))


@cache
def release(version: str) -> Document:
    """A version of the standard: a released one, or the current one. Raises NotFound."""
    if version == STANDARD_VERSION:
        return current()
    if version in versions():
        return kept(version)
    known = ", ".join(dict.fromkeys((*versions(), STANDARD_VERSION)))
    raise NotFound(f"There is no version {version[:20]!r} of the standard.", advice=f"Known: {known}.")


def kept(version: str) -> Document:
    """The release file of a version."""
    found: Document = json.loads(_RELEASES.joinpath(f"{version}.json").read_text(encoding="utf-8"))
    return found


def is_draft() -> bool:
    """Whether the current version has not been released."""
    return STANDARD_VERSION not in versions()
