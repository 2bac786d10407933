"""Invariants of R4 that are written out here: those that look through a whole resource, or are asked very often."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import orjson

from schemas.r4.fhirpath import Scope, Truth, condition
from schemas.r4.issues import Issue
from schemas.r4.structures import Constraint, choices

_CONSENT_SCOPE: Final = "http://terminology.hl7.org/CodeSystem/consentscope"


def references(node: Any) -> Iterator[str]:
    """Every text in a resource that may lead to a contained one."""
    if type(node) is dict:
        for value in node.values():
            if type(value) is str:
                if value[:1] == "#":
                    yield value
            else:
                yield from references(value)
    elif type(node) is list:
        for one in node:
            if type(one) is str and one[:1] == "#":
                yield one
            else:
                yield from references(one)


def _every_contained_is_meant(item: Any, scope: Scope) -> bool:
    """dom-3: each contained resource is referred to, or refers to its container."""
    contained = item.get("contained")
    if not contained:
        return True
    meant = set(references(item))
    return all(type(one) is not dict or f"#{one.get('id')}" in meant or "#" in set(references(one)) for one in contained)


def _has_a_patient(code: str) -> Truth:
    """ppc-2 to ppc-5 as their text says; their FHIRPath asks for a code system called `something`."""

    def holds(item: Any, scope: Scope) -> bool:
        codings = item["scope"].get("coding", ())
        return "patient" in item or not any(coding.get("code") == code and coding.get("system") == _CONSENT_SCOPE for coding in codings)

    return holds


def _component_codes_differ(item: Any, scope: Scope) -> bool:
    """obs-7: no component has a coding of the Observation's own code beside a value. Read once, as FHIRPath would for each component."""
    components = item.get("component")
    if not components or _values().isdisjoint(item):
        return True
    own = _codings(item)
    return not any(own & _codings(one) for one in components if type(one) is dict)


@cache
def _values() -> frozenset[str]:
    return choices().keys["value"]


def _unit_has_a_system(item: Any, scope: Scope) -> bool:
    """qty-3, which every Quantity is asked."""
    return "system" in item or "_system" in item or ("code" not in item and "_code" not in item)


def _codings(node: dict[str, Any]) -> set[bytes]:
    code = node.get("code")
    codings = code.get("coding") if type(code) is dict else None
    return {orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in codings} if type(codings) is list else set()


def _link_ids(node: Any) -> Iterator[Any]:
    for item in node.get("item", ()):
        if type(item) is dict:
            yield item.get("linkId")
            yield from _link_ids(item)


def _link_ids_differ(item: Any, scope: Scope) -> bool:
    """que-2: no two items have the same linkId."""
    found = list(_link_ids(item))
    return len(found) == len(set(found))


def _has_no_contained(name: str) -> Truth:
    def holds(item: Any, scope: Scope) -> bool:
        contained = item.get("contained")
        return not contained or not any(type(one) is dict and name in one for one in contained)

    return holds


def _contained_metas(item: Any) -> Iterator[dict[str, Any]]:
    for one in item.get("contained", ()):
        if type(one) is dict and type(one.get("meta")) is dict:
            yield one["meta"]


WRITTEN: Final[dict[str, Truth]] = {
    "dom-2": _has_no_contained("contained"),
    "dom-3": _every_contained_is_meant,
    "dom-4": lambda item, scope: not any("versionId" in meta or "lastUpdated" in meta for meta in _contained_metas(item)),
    "dom-5": lambda item, scope: not any("security" in meta for meta in _contained_metas(item)),
    "dom-6": lambda item, scope: type(item.get("text")) is dict and "div" in item["text"],
    "obs-7": _component_codes_differ,
    **{key: _has_a_patient(code) for key, code in (("ppc-2", "patient-privacy"), ("ppc-3", "research"), ("ppc-4", "adr"), ("ppc-5", "treatment"))},
    "qty-3": _unit_has_a_system,
    "que-2": _link_ids_differ,
    "ref-1": lambda item, scope: True,
}  # fmt: skip
"""Key of an invariant to its function. ref-1 is judged where references are, in `elements.py`."""

OF_CONTAINERS: Final = frozenset({"dom-2", "dom-3", "dom-4", "dom-5"})
"""Invariants that hold wherever nothing is contained."""


def truth_of(constraint: Constraint, type_: str) -> Truth:
    """The function of an invariant."""
    return WRITTEN.get(constraint.key) or condition(constraint.expression, choices(), type_)


def broken(constraint: Constraint) -> list[Issue]:
    """What to say when an invariant does not hold."""
    severity = "error" if constraint.severity == "error" else "warning"
    return [Issue(severity, "invariant", constraint.key, f"{constraint.human.rstrip('.')} ({constraint.key}).")]
