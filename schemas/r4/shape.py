"""The JSON shape of R4 resources: which elements there are, which repeat, which are objects, numbers, booleans or text.

What reading a foreign resource relies on; unknown elements, primitives' grammar, bindings and invariants are not judged here.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from schemas.errors import InvalidRecord

_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "boolean": (bool,), "decimal": (int, float), "integer": (int,), "positiveInt": (int,), "unsignedInt": (int,),
}  # fmt: skip
"""JSON kinds of primitive types; the others are text."""


class _Definitions(msgspec.Struct):
    elements: dict[str, dict[str, str]]


@cache
def _elements() -> dict[str, dict[str, str]]:
    return msgspec.json.decode(files("schemas").joinpath("r4", "definitions.json").read_bytes(), type=_Definitions).elements


@cache
def _known(type_: str, below: str) -> dict[str, tuple[bool, str, str]]:
    """JSON key to (repeats, type, path below the type) of the elements directly below a place in a type."""
    found = {}
    prefix = f"{below}." if below else ""
    for path, said in _elements().get(type_, {}).items():
        if not path.startswith(prefix) or "." in path[len(prefix) :]:
            continue
        flags, *types = said.split(" ")
        name = path[len(prefix) :]
        for one in types:
            key = name.replace("[x]", one[0].upper() + one[1:]) if name.endswith("[x]") else name
            found[key] = ("a" in flags, one, path)
    return found


def check(resource: dict[str, Any]) -> None:
    """Raises InvalidRecord naming the first element whose JSON is of another shape than R4 gives it."""
    type_ = str(resource.get("resourceType"))
    if type_ not in _elements():
        raise InvalidRecord(f"{type_[:40]!r} is no resource type of R4.", code="not-a-resource", field="resourceType")
    _object(resource, type_, "", type_)


def _object(node: Any, type_: str, below: str, at: str) -> None:
    if not isinstance(node, dict):
        raise _wrong(at, "an object")
    known = _known(type_, below)
    for key, value in node.items():
        if key.startswith("_") and key[1:] in known:
            for number, one in enumerate(value if isinstance(value, list) else [value]):
                if one is not None:
                    _object(one, "Element", "", f"{at}.{key}[{number}]")
        elif key in known:
            repeats, kind, path = known[key]
            if repeats != isinstance(value, list):
                raise _wrong(f"{at}.{key}", "a list" if repeats else "no list")
            for number, one in enumerate(value if repeats else [value]):
                _value(one, kind, (type_, path), f"{at}.{key}[{number}]" if repeats else f"{at}.{key}")


def _value(value: Any, kind: str, place: tuple[str, str], at: str) -> None:
    if kind == "BackboneElement" or (kind == "Element" and place[1]):
        _object(value, *place, at)
    elif kind.startswith("#"):
        type_, _, below = kind[1:].partition(".")
        _object(value, type_, below, at)
    elif kind == "Resource":
        _object(value, str(value.get("resourceType")) if isinstance(value, dict) else "", "", at)
    elif kind in _elements():
        _object(value, kind, "", at)
    elif kind not in ("xhtml",) and (not isinstance(value, _KINDS.get(kind, (str,))) or (isinstance(value, bool) and kind != "boolean")):
        raise _wrong(at, {"boolean": "true or false"}.get(kind, "a number" if kind in _KINDS else "text"))


def _wrong(at: str, what: str) -> InvalidRecord:
    return InvalidRecord(f"{at} must be {what}.", code="not-r4", field=at, advice="Send FHIR R4 (4.0.1) as JSON.")
