"""Codes: value sets that R4 or our profiles bind and code systems that are known whole, read when they are first asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from schemas import package, terminology
from schemas.r4.ucum import is_unit

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


def _is(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda code: pattern.fullmatch(code) is not None


GRAMMARS: Final[dict[str, Callable[[str], bool]]] = {
    "http://unitsofmeasure.org": is_unit, "urn:ietf:bcp:47": _is(_LANGUAGE), "urn:ietf:bcp:13": bool, "urn:iso:std:iso:4217": _is(_CURRENCY),
}  # fmt: skip
"""Code systems that are a grammar: a code is judged by its form. R4 itself writes `json` for a media type: any is taken."""


class _Terms(msgspec.Struct):
    sets: dict[str, dict[str, list[str] | None]]
    systems: dict[str, msgspec.Raw]
    insensitive: dict[str, bool]


@cache
def _terms() -> _Terms:
    return msgspec.json.decode(files("schemas").joinpath("r4", "terms.json").read_bytes(), type=_Terms)


@cache
def _ours() -> dict[str, frozenset[str]]:
    """The code systems of the standard."""
    return {one["url"]: frozenset(_within(one["concept"])) for one in terminology.code_systems()}


def _within(concepts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for one in concepts:
        yield one["code"]
        yield from _within(one.get("concept", ()))


@cache
def _codes(system: str) -> frozenset[str] | None:
    if system in _ours():
        return _ours()[system]
    raw = _terms().systems.get(system)
    return None if raw is None else frozenset(_cased(system, code) for code in msgspec.json.decode(raw, type=list[str]))


def _cased(system: str, code: str) -> str:
    return code.lower() if system in _terms().insensitive else code


def all_codes(system: str) -> frozenset[str] | None:
    """Every code of a code system; None when it is not known whole."""
    return _codes(system) if system in _terms().systems or system in _ours() else None


def is_code(system: str, code: str) -> bool | None:
    """Whether a code system has the code; None when the system is not known whole."""
    if (grammar := GRAMMARS.get(system)) is not None:
        return grammar(code)
    codes = all_codes(system)
    return None if codes is None else _cased(system, code) in codes


@cache
def value_set(url: str) -> dict[str, frozenset[str] | None] | None:
    """System to the codes of a value set, None = all of the system; None when the set is not known whole."""
    found = _terms().sets.get(url) or package.value_sets().get(url)
    return None if found is None else {system: None if codes is None else frozenset(_cased(system, code) for code in codes) for system, codes in found.items()}


@cache
def codes_of(url: str) -> frozenset[str] | None:
    """Every code of a value set whatever its system; None when they cannot be listed."""
    found = value_set(url)
    if found is None or None in found.values():
        return None
    return frozenset(code for codes in found.values() for code in codes or ())


def is_member(url: str, system: str | None, code: str) -> bool | None:
    """Whether a value set has the code (of any system when none is said); None when that cannot be told."""
    found = value_set(url)
    if found is None:
        return None
    told = [_among(one, codes, code) for one, codes in found.items() if system in (None, one)]
    return True if True in told else None if None in told else False


def _among(system: str, codes: frozenset[str] | None, code: str) -> bool | None:
    return _cased(system, code) in codes if codes is not None else is_code(system, code)
