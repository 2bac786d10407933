"""Whether a resource that somebody wrote is valid R4.

fhir.resources knows elements, types and cardinalities. It checks no binding, takes an empty list for one element, and an extension
in place of a required code for the code; that is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.errors import InvalidRecord

Body = dict[str, Any]


def check(type_: str, body: Body) -> None:
    """Raises InvalidRecord with the path of the first element that is wrong."""
    try:
        element = model_of(type_).model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        what = "is no element of R4" if problem["type"] == "extra_forbidden" else "is not valid in R4"
        raise wrong("".join(_step(place) for place in (type_, *problem["loc"])).removeprefix("."), what) from None
    for path, codes in _unbound(element, type_):
        raise wrong(path, f"is one of {', '.join(codes)}")
    for path in _empty(body, type_):
        raise wrong(path, "is empty", "Leave out what is not known.")


def wrong(path: str, what: str, advice: str = "") -> InvalidRecord:
    """What to raise about the element at a path."""
    return InvalidRecord(f"{path} {what}.", field=path, advice=advice)


def model_of(type_: str) -> type[BaseModel]:
    """The model of a resource type."""
    model: type[BaseModel] = getattr(import_module(f"fhir.resources.R4B.{type_.lower()}"), type_)
    return model


def _step(place: str | int) -> str:
    return f"[{place}]" if isinstance(place, int) else f".{place}"


def _empty(node: Any, path: str) -> Iterator[str]:
    """Null, blank text, and lists or objects without content: FHIR has none of these."""
    if node in (None, [], {}) or (isinstance(node, str) and not node.strip()):
        yield path
    for place, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from _empty(inner, path + _step(place))


def _unbound(element: BaseModel, path: str) -> Iterator[tuple[str, list[str]]]:
    """Codes outside their required binding, and required codes without a value; with what they may be."""
    for name, field in type(element).model_fields.items():
        value, at = getattr(element, name), path + _step(field.alias or name)
        said: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        codes: list[str] = said.get("enum_values", [])
        if codes and value not in codes and (value is not None or said.get("element_required")):
            yield at, codes
        for place, inner in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(inner, BaseModel):
                yield from _unbound(inner, at if place is None else at + _step(place))
