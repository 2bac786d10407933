"""The profiles and extensions of `schemas/fsh/` with their snapshots, without what is only for people: `make guide WRITE=--write` makes them.

structures.json  canonical URL to StructureDefinition
parents.json     the same of the profiles of IPS that ours are derived from
sets.json        value set that they bind to {system: its codes, or null for every code of it}
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import orjson

__all__ = ["parents", "profiles", "structures", "value_sets"]


def _read(name: str) -> Any:
    return orjson.loads(files("schemas.package").joinpath(name).read_bytes())


@cache
def structures() -> dict[str, dict[str, Any]]:
    """Every profile and extension of ours."""
    found: dict[str, dict[str, Any]] = _read("structures.json")
    return found


@cache
def parents() -> dict[str, dict[str, Any]]:
    """Every profile of IPS that ours are derived from, and the profiles of datatypes that it uses."""
    found: dict[str, dict[str, Any]] = _read("parents.json")
    return found


@cache
def value_sets() -> dict[str, dict[str, list[str] | None]]:
    """The value sets that they bind, ours and those of IPS whose codes can be listed."""
    found: dict[str, dict[str, list[str] | None]] = _read("sets.json")
    return found


def profiles(type_: str) -> list[str]:
    """The profiles of a resource type that a resource may claim: those of IPS, and ours."""
    return [url for url, one in (parents() | structures()).items() if one["type"] == type_ and not one.get("abstract")]
