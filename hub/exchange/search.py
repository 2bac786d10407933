"""A page of search results out of the visible resources of one compartment: filter, order, cut, include, and the Bundle.

Everything here sees only what the caller may see, so totals, pages and includes are those of a hub that holds nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from hub.exchange import values
from hub.exchange.clauses import branches_of, read_values, references
from hub.exchange.compartment import Compartment, Resource
from hub.exchange.definitions import is_supported, search_parameters
from hub.exchange.parameters import Query
from hub.exchange.results import Include, Sort
from hub.exchange.shape import is_shaped, shaped
from schemas.errors import BadRequest


class Page(NamedTuple):
    """One page: its matches in order, what was included with them, the total of all pages, and where the next begins.

    total:    None when the query asked for none
    position: None on the last page. It holds the last match's sort values: seal it, not only sign it, when `_sort` is used.
    """

    matches: list[Resource]
    included: list[Resource]
    total: int | None
    position: bytes | None


# Order


class _Backwards:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and bool(self.value == other.value)

    def __lt__(self, other: _Backwards) -> bool:
        return bool(other.value < self.value)

    __hash__ = None  # type: ignore[assignment]


SortValue = int | str | Decimal | None


def _sortable(kind: str, fhir_type: str, systems: tuple[str, ...], value: Any, query: Query) -> SortValue:
    if kind == "date":
        span = values.date_span(fhir_type, value, query.zone)
        return span[0] if span else None
    if kind in ("number", "quantity"):
        found = values.number_range(fhir_type, value)
        return found[0] if found else None
    if kind == "token":
        return next((code for _, code in values.token_pairs(fhir_type, systems, value) if code), None)
    if kind == "reference":
        return value.get("reference") if isinstance(value, dict) else str(value)
    return next((values.fold(part) for part in values.string_parts(fhir_type, value)), None)


def _sort_value(key: Sort, resource: Resource, query: Query) -> SortValue:
    """The value that comes first in the order asked for; None sorts last in both directions."""
    kind = search_parameters(query.resource_type)[key.code].type
    found: list[Any] = []
    for branch, value in read_values(branches_of(query.resource_type, key.code), resource.content):
        one = _sortable(kind, branch.type, branch.systems, value, query)
        if one is not None:
            found.append(one)
    if not found:
        return None
    best: SortValue = max(found) if key.is_descending else min(found)
    return best


def _rank(keys: Sequence[Sort], sort_values: Sequence[SortValue], at: int, id: str) -> tuple[Any, ...]:
    ranked = []
    for key, value in zip(keys, sort_values, strict=True):
        ranked.append((1,) if value is None else (0, _Backwards(value) if key.is_descending else value))
    return (*ranked, -at, id)


class _Row(NamedTuple):
    rank: tuple[Any, ...]
    sort_values: list[SortValue]
    resource: Resource


def _rows(query: Query, resources: Iterable[Resource]) -> list[_Row]:
    rows = []
    for resource in resources:
        found = [_sort_value(key, resource, query) for key in query.sort]
        rows.append(_Row(_rank(query.sort, found, resource.at, resource.id), found, resource))
    return sorted(rows, key=lambda row: row.rank)


# Position


def _position(row: _Row) -> bytes:
    plain = [str(value) if isinstance(value, Decimal) else value for value in row.sort_values]
    return msgspec.json.encode([plain, row.resource.at, row.resource.id])


def _restored(query: Query, key: Sort, value: int | str | None) -> SortValue:
    kind = search_parameters(query.resource_type)[key.code].type
    return Decimal(value) if kind in ("number", "quantity") and value is not None else value


def _rank_of(query: Query, position: bytes) -> tuple[Any, ...]:
    try:
        plain, at, id = msgspec.json.decode(position, type=tuple[list[int | str | None], int, str])
        return _rank(query.sort, [_restored(query, key, value) for key, value in zip(query.sort, plain, strict=True)], at, id)
    except (msgspec.MsgspecError, ValueError, InvalidOperation):
        raise BadRequest("The page's position does not belong to this search. Start again at its first page.", field="_cursor") from None


# Includes


@cache
def _reference_codes(resource_type: str) -> tuple[str, ...]:
    found = search_parameters(resource_type).values()
    return tuple(one.code for one in found if one.type == "reference" and is_supported(one))


def _codes(include: Include, resource_type: str) -> tuple[str, ...]:
    if include.source not in ("*", resource_type):
        return ()
    return _reference_codes(resource_type) if include.code == "*" else (include.code,)


def _keys(include: Include, resource: Resource, base_url: str) -> list[tuple[str, str]]:
    """(type, id) of what the references of an include name, of the wanted target type."""
    codes = _codes(include, resource.type)
    found = (key for code in codes for key in references(branches_of(resource.type, code), resource.content, base_url))
    return [key for key in found if include.target in ("", key[0])]


def _forward(query: Query, frontier: Sequence[Resource], includes: Sequence[Include], compartment: Compartment) -> Iterable[Resource]:
    for resource in frontier:
        for include in includes:
            for key in _keys(include, resource, query.base_url):
                found = compartment.read(*key)
                if found is not None:
                    yield found


def _reverse(query: Query, frontier: Sequence[Resource], includes: Sequence[Include], compartment: Compartment) -> Iterable[Resource]:
    wanted = {resource.key for resource in frontier}
    for include in includes:
        for resource in compartment.of_type(include.source):
            if not wanted.isdisjoint(_keys(include, resource, query.base_url)):
                yield resource


def included(query: Query, matches: Sequence[Resource], compartment: Compartment) -> list[Resource]:
    """What goes along with these matches, each once and none that is itself among them; `:iterate` until nothing new comes."""
    seen = {resource.key for resource in matches}
    found: list[Resource] = []
    frontier, include, revinclude = list(matches), query.include, query.revinclude
    while frontier and (include or revinclude):
        fresh: dict[tuple[str, str], Resource] = {}
        for step, includes in ((_forward, include), (_reverse, revinclude)):
            fresh |= {one.key: one for one in step(query, frontier, includes, compartment) if one.key not in seen}
        seen |= fresh.keys()
        frontier = list(fresh.values())
        found += frontier
        include = tuple(one for one in include if one.is_iterate)
        revinclude = tuple(one for one in revinclude if one.is_iterate)
    return found


# The page


def _is_match(query: Query, one: Resource, compartment: Compartment) -> bool:
    """Without opening the resource where the query says that its patient and id are all there is to compare."""
    if not query.content:
        return not query.ids or one.id in query.ids
    return query.matches(one.content, compartment)


def run(query: Query, candidates: Iterable[Resource], compartment: Compartment, position: bytes | None = None) -> Page:
    """The page of a query that begins after `position`, over the visible candidates of its type.

    With `query.content` False the candidates are taken to be of the one patient that the query names.
    Order: `_sort`, then newest first (`Resource.at`), then id. A candidate of another type or seen twice counts once or not.
    """
    unique = {one.id: one for one in candidates if one.type == query.resource_type}
    matched = [one for one in unique.values() if _is_match(query, one, compartment)]
    total = None if query.total == "none" and query.summary != "count" else len(matched)
    if query.count == 0:
        return Page([], [], total, None)
    rows = _rows(query, matched)
    if position is not None:
        after = _rank_of(query, position)
        rows = [row for row in rows if after < row.rank]
    matches = [row.resource for row in rows[: query.count]]
    last = _position(rows[query.count - 1]) if len(rows) > query.count else None
    return Page(matches, included(query, matches, compartment), total, last)


def search_url(query: Query, cursor: str = "", withheld: Collection[str] = ()) -> str:
    """The URL of this search as it was understood, for `self`, or for `next` with a cursor.

    withheld: parameter names whose values must not stand in a URL (identifiers of people, searched by POST)
    """
    pairs = [(name, text) for name, text in query.pairs if name not in withheld]
    pairs += [("_cursor", cursor)] if cursor else []
    asked = urlencode(pairs, safe=":/,$", quote_via=quote)
    return f"{query.base_url}/{query.resource_type}" + (f"?{asked}" if asked else "")


# The Bundle

_json: Callable[[Any], bytes] = msgspec.json.encode


def _entries(query: Query, resources: Sequence[Resource], mode: bytes) -> list[bytes]:
    """Type and id need no escaping: both are ours."""
    opening, closing = b'{"fullUrl":' + _json(f"{query.base_url}/")[:-1], b',"search":{"mode":"' + mode + b'"}}'
    return [
        b'%b%b","resource":%b%b' % (opening, f"{one.type}/{one.id}".encode(), one.raw, closing) for one in resources
    ]


def leaving(query: Query, page: Page) -> Page:
    """The page with its resources as they leave: the bytes they are stored as, unless the query asks for a shape."""
    matches, included = ([_shaped(query, one) for one in some] for some in (page.matches, page.included))
    return page._replace(matches=matches, included=included)


def _shaped(query: Query, one: Resource) -> Resource:
    return Resource(shaped(query, one.type, one.raw), one.type, one.id, one.at) if is_shaped(query, one.type) else one


def bundle(query: Query, page: Page, self_url: str, next_url: str | None = None) -> bytes:
    """The searchset Bundle of a page that is `leaving`."""
    links = [{"relation": "self", "url": self_url}, *([{"relation": "next", "url": next_url}] if next_url else [])]
    head = b'{"resourceType":"Bundle","type":"searchset"'
    total = b"" if page.total is None else b',"total":%d' % page.total
    entries = _entries(query, page.matches, b"match") + _entries(query, page.included, b"include")
    tail = b',"entry":[' + b",".join(entries) + b"]}" if entries else b"}"
    return head + total + b',"link":' + _json(links) + tail
