"""What a validator finds: never a value of the resource, only where it stands and which rule it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from schemas.r4.fhirpath import Scope


class Issue(NamedTuple):
    """One finding. `code` is of R4's issue-type, `rule` the class of rule or the key of the invariant, `path` FHIRPath of the element."""

    severity: str
    code: str
    rule: str
    text: str
    path: str = ""


Found = list[Issue] | None
"""None = nothing is wrong, which is nearly always: no list is made then."""
Check = Callable[[Any, dict[str, Any], Scope], Found]
"""Judges a JSON value that stands in an object of a resource."""
Rule = Callable[[Any, Scope], Found]
"""Judges a JSON value by itself."""


def error(code: str, rule: str, text: str) -> list[Issue]:
    return [Issue("error", code, rule, text)]


def warning(code: str, rule: str, text: str) -> list[Issue]:
    return [Issue("warning", code, rule, text)]


def below(segment: str, found: list[Issue]) -> list[Issue]:
    """The same findings one step further from the element they are about."""
    return [Issue(one.severity, one.code, one.rule, one.text, segment + one.path) for one in found]


def both(one: Found, other: Found) -> Found:
    return other if one is None else one if other is None else one + other


def more(found: Found, fresh: list[Issue]) -> list[Issue]:
    """`found` with what `below` made of a member of a list: grown in place, as a list may have a million members. Both are the caller's own."""
    if found is None:
        return fresh
    found += fresh
    return found


def is_broken(found: Found) -> bool:
    """Whether an error is among the findings."""
    return found is not None and any(one.severity in ("error", "fatal") for one in found)
