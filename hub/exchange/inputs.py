"""The in-parameters of an operation, out of a URL or a Parameters resource, read against the list that its definition gives.

What a client may send and this hub does not heed is refused by name, so that no answer leaves out a condition unsaid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from fastapi import Request

from hub.exchange.written import written
from schemas.errors import BadRequest

MOST: Final = 100
"""Parameters of one call."""
Inputs = dict[str, list[Any]]
"""Parameter name to the values given for it, at least one."""

_EDGE: Final = ("_format", "_pretty")
_TEXTS: Final = frozenset({"code", "string", "uri", "url", "canonical", "id", "dateTime", "date", "markdown"})


class Named(NamedTuple):
    """A code that is asked about, with what was said beside it."""

    system: str
    code: str
    display: str = ""
    version: str = ""


class Definition(NamedTuple):
    """What an operation takes: name to R4 type, those that may repeat, and those of R4 that are refused here."""

    takes: Mapping[str, str]
    repeats: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()


def one(inputs: Inputs, name: str) -> Any:
    """The value of a parameter, or None."""
    return inputs[name][0] if name in inputs else None


def need(inputs: Inputs, name: str) -> Any:
    """The value of a parameter. Raises BadRequest when it was not given."""
    if name not in inputs:
        raise BadRequest(f"The parameter {name} is needed.", field=name)
    return inputs[name][0]


async def inputs_of(request: Request, definition: Definition) -> Inputs:
    """The parameters of a call by GET or POST. Raises BadRequest naming the one that is unknown, refused, given twice or of another type."""
    found: Inputs = {}
    pairs = [(name, text) for name, text in request.query_params.multi_items() if name not in _EDGE]
    for name, text in pairs[:MOST]:
        found.setdefault(name, []).append(_of_text(name, _type(definition, name), text))
    if request.method == "POST":
        for name, key, value in _listed(await written(request, "Parameters")):
            found.setdefault(name, []).append(_of_value(name, _type(definition, name), key, value))
    twice = next((name for name, values in found.items() if len(values) > 1 and name not in definition.repeats), None)
    if twice:
        raise BadRequest(f"The parameter {twice} is given more than once.", field=twice)
    return found


def _type(definition: Definition, name: str) -> str:
    if name in definition.refuses:
        raise BadRequest(f"The parameter {name} is not supported.", code="not-supported", field=name)
    if name not in definition.takes:
        raise BadRequest("The operation does not take one of these parameters.", field=name[:40], advice=f"It takes {', '.join(definition.takes)}.")
    return definition.takes[name]


def _wrong(name: str, type_: str) -> BadRequest:
    return BadRequest(f"The parameter {name} must be a {type_}.", field=name)


def _of_text(name: str, type_: str, text: str) -> Any:
    read = _READ.get(type_)
    if read is None:
        raise BadRequest(f"The parameter {name} does not fit into a URL.", field=name, advice="Send it by POST, in a Parameters resource.")
    value = read(text)
    if value is None:
        raise _wrong(name, type_)
    return value


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


_READ: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(_TEXTS, lambda text: text or None), "string": str, "boolean": {"true": True, "false": False}.get, "integer": _whole,
}  # fmt: skip


def _listed(resource: Mapping[str, Any]) -> Iterable[tuple[str, str, Any]]:
    """(name, JSON key of the value, value) of each parameter in a Parameters resource."""
    parameters = resource.get("parameter", [])
    if not isinstance(parameters, list) or len(parameters) > MOST:
        raise BadRequest(f"Parameters has a list of {MOST} parameters at most.", field="Parameters.parameter")
    for parameter in parameters:
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if not isinstance(name, str):
            raise BadRequest("A parameter has no name.", field="Parameters.parameter.name")
        values = [(key, value) for key, value in parameter.items() if key.startswith("value") or key in ("resource", "part")]
        yield name, *(values[0] if len(values) == 1 else ("", None))


def _of_value(name: str, type_: str, key: str, value: Any) -> Any:
    given = key.removeprefix("value")
    given = given[:1].lower() + given[1:] if given[1:] != given[1:].upper() else given
    fits = given == type_[:1].lower() + type_[1:] or (given in _TEXTS and type_ in _TEXTS)
    if not fits or not _SHAPES.get(type_, _is_text)(value):
        raise _wrong(name, type_)
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_coding(value: Any) -> bool:
    return isinstance(value, dict) and all(value.get(name) is None or _is_text(value[name]) for name in ("system", "code", "display", "version"))


def _is_concept(value: Any) -> bool:
    codings = value.get("coding", []) if isinstance(value, dict) else None
    return isinstance(codings, list) and all(_is_coding(coding) for coding in codings)


_SHAPES: Final[dict[str, Callable[[Any], bool]]] = {
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9,
    "Coding": _is_coding,
    "CodeableConcept": _is_concept,
}


# Codes


def _coded(coding: Mapping[str, Any], name: str) -> Named:
    if not coding.get("system") or not coding.get("code"):
        raise BadRequest("A coding needs system and code.", field=name)
    return Named(coding["system"], coding["code"], coding.get("display") or "", coding.get("version") or "")


def codings(inputs: Inputs, system: str | None, version: str = "version") -> list[Named]:
    """What is asked about: `code` of a system, `coding`, or the codings of `codeableConcept`; exactly one of the three.

    `version`: the parameter that gives the code system's version with `code`. Raises BadRequest.
    """
    given = [name for name in ("code", "coding", "codeableConcept") if name in inputs]
    if len(given) != 1:
        raise BadRequest("One of code, coding and codeableConcept is needed.", field=given[1] if given else "code")
    if given == ["code"]:
        if not system:
            raise BadRequest("A code needs its system.", field="system")
        return [Named(system, inputs["code"][0], one(inputs, "display") or "", one(inputs, version) or "")]
    if given == ["coding"]:
        return [_coded(inputs["coding"][0], "coding")]
    found = [_coded(one, "codeableConcept") for one in inputs["codeableConcept"][0].get("coding", []) if one.get("system") and one.get("code")]
    if not found:
        raise BadRequest("The concept has no coding with system and code.", field="codeableConcept")
    return found
