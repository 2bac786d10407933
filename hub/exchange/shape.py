"""What `_summary` and `_elements` leave of a resource. Numbers keep their digits: 72.50 stays 72.50."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from hub.exchange.definitions import below, by_key, is_summary
from hub.exchange.parameters import Query

_read = msgspec.json.Decoder(float_hook=Decimal).decode
_write = msgspec.json.Encoder(decimal_format="number").encode
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = frozenset({"resourceType", "id", "meta"})

Content = dict[str, Any]


def _summary_of(path: str, node: Any) -> Any:
    """The summary elements of a node, downwards; primitives and nested resources stay as they are."""
    if isinstance(node, list):
        return [_summary_of(path, one) for one in node]
    if not isinstance(node, dict) or "resourceType" in node:
        return node
    return {key: value for key, value in _kept(path, node) if value not in ({}, [])}


def _kept(path: str, node: Content) -> list[tuple[str, Any]]:
    found = []
    for key, value in node.items():
        if is_summary(path, key):
            element = by_key(path).get(key)
            found.append((key, _summary_of(below(path, *element), value) if element else value))
    return found


def summarise(resource: Content) -> Content:
    """`_summary=true`: the elements that R4 marks as summary, at every depth."""
    return {key: value for key, value in _kept(resource["resourceType"], resource) if value not in ({}, [])}


def _only(resource: Content, names: frozenset[str]) -> Content:
    return {key: value for key, value in resource.items() if key.removeprefix("_") in names}


def _required(resource_type: str) -> frozenset[str]:
    return frozenset(key for key, (element, _) in by_key(resource_type).items() if element.is_required)


def _modifiers(resource_type: str) -> frozenset[str]:
    return frozenset(key for key, (element, _) in by_key(resource_type).items() if element.is_modifier)


def text_of(resource: Content) -> Content:
    """`_summary=text`: narrative, id, meta and the mandatory top level."""
    return _only(resource, _ALWAYS | _required(resource["resourceType"]) | {"text"})


def data_of(resource: Content) -> Content:
    """`_summary=data`: everything but the narrative."""
    return {key: value for key, value in resource.items() if key != "text"}


def elements_of(resource: Content, keys: tuple[str, ...]) -> Content:
    """`_elements`: the keys asked for, and those without which the rest could be misread (mandatory and modifier elements)."""
    kind = resource["resourceType"]
    return _only(resource, _ALWAYS | _required(kind) | _modifiers(kind) | set(keys))


def subsetted(resource: Content) -> Content:
    """The resource with the tag that says it is incomplete, so that nobody writes it back."""
    meta = resource.get("meta", {})
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") != "SUBSETTED"]
    first: Content = {key: resource[key] for key in ("resourceType", "id") if key in resource}
    return {**first, "meta": {**meta, "tag": [*tags, _SUBSETTED]}, **{key: value for key, value in resource.items() if key not in _ALWAYS}}


_BY_SUMMARY = {"true": summarise, "text": text_of, "data": data_of}


def is_shaped(query: Query, resource_type: str) -> bool:
    """Whether resources of a type leave otherwise than they are stored; `_elements` speaks of the searched type alone."""
    return query.summary in _BY_SUMMARY or (bool(query.elements) and resource_type == query.resource_type)


def shaped(query: Query, resource_type: str, raw: bytes) -> bytes:
    """The bytes of a resource as the query wants them; untouched when it asks for no shape."""
    if not is_shaped(query, resource_type):
        return raw
    content = _read(raw)
    if query.summary in _BY_SUMMARY:
        return _write(subsetted(_BY_SUMMARY[query.summary](content)))
    return _write(subsetted(elements_of(content, query.elements)))
