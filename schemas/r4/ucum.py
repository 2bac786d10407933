"""UCUM: whether a text is a unit of its grammar with atoms that exist. Annotations in braces carry no meaning."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

import msgspec

_TERM: Final = re.compile(r"((?:[^\s./()\[\]{}]|\[[^\s\[\]]*\])+)?(\{[^{}]*\})?")
_EXPONENT: Final = re.compile(r"[+-]?[0-9]+$")


class _Atoms(msgspec.Struct):
    prefixes: list[str]
    atoms: list[str]
    metric: list[str]


@cache
def _simple_units() -> frozenset[str]:
    found = msgspec.json.decode(files("schemas").joinpath("r4", "atoms.json").read_bytes(), type=_Atoms)
    return frozenset([*found.atoms, *(prefix + atom for prefix in found.prefixes for atom in found.metric)])


@lru_cache(4096)
def is_unit(code: str) -> bool:
    """Whether UCUM (case-sensitive) has this unit."""
    if not code or not code.isascii() or len(code) > 200:
        return False
    end = _term(code, 1 if code[0] == "/" else 0, 0)
    return end == len(code)


def _term(code: str, at: int, depth: int) -> int:
    """Where the term that begins here ends; -1 when there is none."""
    end = _component(code, at, depth)
    while 0 <= end < len(code) and code[end] in "./":
        end = _component(code, end + 1, depth)
    return end


def _component(code: str, at: int, depth: int) -> int:
    if code[at : at + 1] == "(" and depth < 20:
        end = _term(code, at + 1, depth + 1)
        return end + 1 if end > 0 and code[end : end + 1] == ")" else -1
    found = _TERM.match(code, at)
    if found is None or found.end() == at or (found[1] and not _is_simple(found[1])):
        return -1
    return found.end()


def _is_simple(text: str) -> bool:
    units = _simple_units()
    return text in units or text.isdigit() or _EXPONENT.sub("", text) in units
