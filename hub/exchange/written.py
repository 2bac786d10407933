"""What somebody writes to /fhir: a JSON body of limited size and depth."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Request

from adapters.base import Limits
from adapters.elements import fault, too_deep
from hub.access.requests import body
from schemas.errors import BadRequest, TooLarge

LIMIT = 256 * 1024
"""Bytes of a written resource."""


async def written(request: Request, *types: str) -> dict[str, Any]:
    """The resource in the body, of one of these types (none = any), not checked further. Raises BadRequest, TooLarge."""
    raw, limits = await body(request, LIMIT), Limits()
    if too_deep(raw, limits):
        raise TooLarge(f"The body is nested deeper than {limits.depth} levels.")
    try:
        resource = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadRequest("The body is not JSON.") from None
    if fault(raw, limits):
        raise BadRequest("An object in the body names the same element twice.")
    if not isinstance(resource, dict) or (types and resource.get("resourceType") not in types):
        raise BadRequest(f"The body must be a {' or a '.join(types) or 'resource'}.", field="resourceType")
    return resource
