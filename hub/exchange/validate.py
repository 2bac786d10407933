"""`$validate`: whether a resource is valid R4, by the definitions in `schemas/r4`. Nothing of it is stored, logged or repeated in the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from fastapi import Request

from hub.access.caller import caller
from hub.access.requests import body
from hub.access.sessions import session
from hub.exchange import responses
from hub.exchange.written import LIMIT, written
from schemas.errors import BadRequest
from schemas.r4.issues import Issue, is_broken
from schemas.r4.validator import validate

OPERATION: Final = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
MODES: Final = ("create", "update", "delete", "profile")
_VALUES: Final = ("valueCode", "valueUri", "valueCanonical", "valueString")
_EDGE: Final = ("_format", "_pretty")
_MOST: Final = 10
"""Profiles of one call."""
_ALL_WELL: Final = Issue("information", "informational", "valid", "No issue was found.")


class Asked(NamedTuple):
    """What is to be validated, how (`mode` of R4; empty = as it is), and against which profiles beside those it claims."""

    resource: dict[str, Any] | None
    mode: str
    profiles: tuple[str, ...]


async def asked(request: Request) -> Asked:
    """What a call says, in the URL or in Parameters. Raises BadRequest, TooLarge."""
    pairs: list[tuple[str, Any]] = [pair for pair in request.query_params.multi_items() if pair[0] not in _EDGE]
    content = await written(request) if await body(request, LIMIT) else {}
    resource: Any = content or None
    if _wraps(content):
        pairs += _named(content)
        resource = next((one.get("resource") for one in _parameters(content) if one.get("name") == "resource"), None)
    if resource is not None and not isinstance(resource, dict):
        raise BadRequest("The parameter resource holds no resource.", field="resource")
    return _asked(resource, pairs)


def _wraps(content: Mapping[str, Any]) -> bool:
    """Whether a body is the operation's Parameters, and no Parameters that is to be validated itself."""
    names = {one.get("name") for one in _parameters(content)}
    return content.get("resourceType") == "Parameters" and bool(names) and names <= {"resource", "mode", "profile"}


def _asked(resource: dict[str, Any] | None, pairs: Sequence[tuple[str, Any]]) -> Asked:
    modes, profiles = ([value for name, value in pairs if name == wanted] for wanted in ("mode", "profile"))
    if len(modes) + len(profiles) < len(pairs):
        raise BadRequest("$validate takes resource, mode and profile.")
    if len(modes) > 1 or not set(map(str, modes)) <= set(MODES):
        raise BadRequest(f"The mode is one of {', '.join(MODES)}.", field="mode")
    if len(profiles) > _MOST or not all(isinstance(url, str) and url for url in profiles):
        raise BadRequest(f"A profile is a canonical URL; {_MOST} are taken at most.", field="profile")
    mode = modes[0] if modes else ""
    if mode == "profile" and not profiles:
        raise BadRequest("The mode profile needs a profile.", field="profile")
    return Asked(resource, mode, tuple(profiles))


def _parameters(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = content.get("parameter")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _named(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Name and value of each parameter but the resource."""
    return [(one["name"], next((one[key] for key in _VALUES if key in one), None)) for one in _parameters(content) if one["name"] != "resource"]


def outcome(issues: Sequence[Issue]) -> bytes:
    """The OperationOutcome of some findings, one that says so when there are none."""
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": [_issue(one) for one in issues or [_ALL_WELL]]})


def _issue(one: Issue) -> dict[str, Any]:
    said = {"severity": one.severity, "code": one.code, "details": {"text": one.text}}
    return said | ({"expression": [one.path]} if one.path else {})


def judged(type_: str, call: Asked, interactions: Sequence[str], id_: str | None = None) -> list[Issue]:
    """Findings on a resource that is to be of this type and, on an instance, of this id; `interactions` are those the hub offers."""
    found = _content(type_, call, id_) if call.mode != "delete" else []
    if call.mode in ("create", "update", "delete") and call.mode not in interactions:
        found = [*found, Issue("error", "not-supported", "interaction", f"This hub takes no {call.mode} of {type_} over FHIR.")]
    return found


def _content(type_: str, call: Asked, id_: str | None) -> list[Issue]:
    if call.resource is None:
        raise BadRequest("There is no resource to validate.", field="resource", advice="Send it as the body, or as the parameter resource.")
    if call.resource.get("resourceType") != type_:
        return [Issue("error", "invalid", "resource-type", f"The resource is no {type_}.", "resourceType")]
    found = findings(call.resource, call.profiles)
    if id_ is not None and call.mode != "create" and call.resource.get("id") != id_:
        found = [*found, Issue("error", "invalid", "id", "The id of the resource is not the one in the URL.", f"{type_}.id")]
    return found


def findings(resource: dict[str, Any], profiles: Sequence[str] = ()) -> list[Issue]:
    """What is wrong by R4 and profiles, and of a response that is sound by its Questionnaire."""
    found = validate(resource, profiles)
    if resource.get("resourceType") != "QuestionnaireResponse" or is_broken(found):
        return found
    return found + responses.judged(resource)


async def admit(request: Request) -> None:
    """Raises Unauthenticated unless a party or a signed-in person asks: nothing is disclosed, but it takes our time."""
    if "authorization" in request.headers or await session(request) is None:
        await caller(request)
