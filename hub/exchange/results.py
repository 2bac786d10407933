"""The parameters that shape a search's result: order, page, counts, which elements, what else is included."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, cast

from hub.exchange.clauses import Wrong, parameter_of
from hub.exchange.definitions import by_key, elements, resource_types

DEFAULT_COUNT: Final = 50
MAX_COUNT: Final = 1000
Summary = Literal["true", "text", "data", "count", "false"]


class Sort(NamedTuple):
    """One key of `_sort`."""

    code: str
    is_descending: bool


class Include(NamedTuple):
    """One `_include` or `_revinclude`: `source:code[:target]`; code `*` = every reference, target `` = any type."""

    source: str
    code: str
    target: str
    is_iterate: bool


class Result:
    """What the parameters that shape the result say, while they are being read."""

    def __init__(self, resource_type: str) -> None:
        self.resource_type = resource_type
        self.sort: tuple[Sort, ...] = ()
        self.count = DEFAULT_COUNT
        self.total = ""
        self.summary: Summary = "false"
        self.elements: tuple[str, ...] = ()
        self.include: tuple[Include, ...] = ()
        self.revinclude: tuple[Include, ...] = ()
        self.cursor = ""


def _read_sort(result: Result, text: str, _: str) -> None:
    keys = []
    for one in text.split(","):
        code = one.removeprefix("-")
        if parameter_of(result.resource_type, code).type in ("composite", "special"):
            raise Wrong("a composite cannot be sorted by", "not-supported")
        keys.append(Sort(code, one.startswith("-")))
    result.sort = tuple(keys)


def _read_count(result: Result, text: str, _: str) -> None:
    if not re.fullmatch(r"\d{1,9}", text):
        raise Wrong("a whole number from 0 is expected")
    result.count = min(int(text), MAX_COUNT)


def _read_total(result: Result, text: str, _: str) -> None:
    if text not in ("none", "estimate", "accurate"):
        raise Wrong("none, estimate or accurate is expected")
    result.total = text


def _read_total_method(result: Result, text: str, _: str) -> None:
    """Aidbox's older name of `_total`, which fhirpy sends whenever it counts."""
    named = {"count": "accurate", "estimate": "estimate"}
    if text not in named:
        raise Wrong("count or estimate is expected")
    result.total = named[text]


def _read_summary(result: Result, text: str, _: str) -> None:
    if text not in ("true", "text", "data", "count", "false"):
        raise Wrong("true, text, data, count or false is expected")
    result.summary = cast(Summary, text)


def _read_elements(result: Result, text: str, _: str) -> None:
    names = [name.removeprefix(result.resource_type + ".") for name in text.split(",")]
    known = elements(result.resource_type)
    keys = [key for name in names for key in (known[name].json_keys() if name in known else [name])]
    if any(key not in by_key(result.resource_type) for key in keys):
        raise Wrong(f"top-level elements of {result.resource_type} are expected")
    result.elements = (*result.elements, *keys)


def _read_include(result: Result, text: str, modifier: str) -> None:
    result.include = (*result.include, _included(text, modifier))


def _read_revinclude(result: Result, text: str, modifier: str) -> None:
    found = _included(text, modifier)
    if found.source == "*":
        raise Wrong("_revinclude names its source type")
    result.revinclude = (*result.revinclude, found)


def _included(text: str, modifier: str) -> Include:
    if modifier not in ("", "iterate", "recurse"):
        raise Wrong("only :iterate is supported here", "not-supported")
    source, code, target = (*text.split(":"), "", "")[:3]
    if text.count(":") > 2 or (source != "*" and not code):
        raise Wrong("Type:parameter or Type:parameter:Target is expected")
    if source != "*" and (source not in resource_types() or (code != "*" and parameter_of(source, code).type != "reference")):
        raise Wrong("a resource type and one of its reference parameters are expected")
    if target and target not in resource_types():
        raise Wrong("the target is no resource type")
    return Include(source, code or "*", target, modifier != "")


def _read_cursor(result: Result, text: str, _: str) -> None:
    result.cursor = text


def _read_contained(_result: Result, text: str, _: str) -> None:
    if text != "false":
        raise Wrong("only _contained=false is supported", "not-supported")


def _ignore(_result: Result, _text: str, _: str) -> None:
    """`_format` and `_pretty` are the edge's."""


RESULT: Final[dict[str, Callable[[Result, str, str], None]]] = {
    "_sort": _read_sort, "_count": _read_count, "_total": _read_total, "_summary": _read_summary, "_elements": _read_elements,
    "_include": _read_include, "_revinclude": _read_revinclude, "_cursor": _read_cursor, "_contained": _read_contained,
    "_totalMethod": _read_total_method, "_format": _ignore, "_pretty": _ignore,
}  # fmt: skip


def read_result(result: Result, name: str, text: str) -> None:
    plain, _, modifier = name.partition(":")
    if modifier and plain not in ("_include", "_revinclude"):
        raise Wrong("it takes no modifier", "not-supported")
    RESULT[plain](result, text, modifier)
