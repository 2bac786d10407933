"""Whether a resource that somebody writes may be kept: valid R4, and nothing in it that R4 lets pass although it says nothing."""

from __future__ import annotations

from typing import Any, Final

from schemas.errors import InvalidRecord
from schemas.r4.validator import validate

Body = dict[str, Any]

_SAYS_NOTHING: Final = frozenset({"blank", "no-value", "reference"})
"""Warnings for which nothing is kept: blank text, a required element without a value, a reference that leads nowhere."""


def check(body: Body) -> None:
    """Raises InvalidRecord with the path of the first element that is wrong."""
    for issue in validate(body):
        if issue.severity in ("error", "fatal") or issue.rule in _SAYS_NOTHING:
            raise InvalidRecord(f"{issue.path}: {issue.text}", field=issue.path)


def wrong(path: str, what: str, advice: str = "") -> InvalidRecord:
    """What to raise about the element at a path."""
    return InvalidRecord(f"{path} {what}.", field=path, advice=advice)
