"""What somebody writes to /fhir: a body of limited size and depth, valid R4, with codes that R4's required bindings allow.

fhir.resources knows elements, types and cardinalities. It checks no binding, takes an empty list for one element, and a code
that is only an extension for a code; that is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from adapters.base import Limits
from adapters.elements import fault, too_deep
from hub.access.requests import body
from schemas.errors import BadRequest, InvalidRecord, TooLarge

LIMIT = 256 * 1024
"""Bytes of a written resource."""
NAMED = 5
"""How many wrong elements an answer names."""

Place = tuple[str | int, ...]


async def written(request: Request, type_: str) -> dict[str, Any]:
    """The resource of this type in the body, not checked further. Raises BadRequest, TooLarge."""
    raw, limits = await body(request, LIMIT), Limits()
    if too_deep(raw, limits):
        raise TooLarge(f"The body is nested deeper than {limits.depth} levels.")
    try:
        resource = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadRequest("The body is not JSON.") from None
    if fault(raw, limits):
        raise BadRequest("An object in the body names the same element twice.")
    if not isinstance(resource, dict) or resource.get("resourceType") != type_:
        raise BadRequest(f"The body must be a {type_}.", field="resourceType")
    return resource


def check(resource: dict[str, Any]) -> None:
    """Raises InvalidRecord with the elements that are not valid R4."""
    type_ = resource["resourceType"]
    model = getattr(import_module(f"fhir.resources.R4B.{type_.lower()}"), type_)
    try:
        wrong = [*_empty(resource, ()), *_unbound(model.model_validate(resource), ())]
    except ValidationError as error:
        wrong = [problem["loc"] for problem in error.errors()]
    if wrong:
        places = sorted({_path(type_, place) for place in wrong})
        raise InvalidRecord(f"The {type_} is not valid: {', '.join(places[:NAMED])}.", field=places[0])


def _path(type_: str, place: Place) -> str:
    return type_ + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _empty(value: Any, place: Place) -> Iterator[Place]:
    """Lists and elements without content, which R4 forbids. A list may hold null where an extension takes a value's place."""
    if value in ([], {}):
        yield place
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _empty(inner, (*place, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _empty(inner, (*place, number))


def _unbound(element: BaseModel, place: Place) -> Iterator[Place]:
    """Codes outside their required binding, and required codes that are absent."""
    for name, field in type(element).model_fields.items():
        value, at = getattr(element, name), (*place, field.alias or name)
        known = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        codes = known.get("enum_values")
        if isinstance(codes, list) and value not in (*codes, *(() if known.get("element_required") else (None,))):
            yield at
        yield from _inner(value, at)


def _inner(value: Any, place: Place) -> Iterator[Place]:
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _inner(each, (*place, number))
    elif isinstance(value, BaseModel):
        yield from _unbound(value, place)
