"""A copy of a resource without the parts that are not permitted, marked SUBSETTED, with no hint of what was there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from consent.content import versionless
from consent.terms import OBSERVATION_VALUE

SUBSETTED = {"system": OBSERVATION_VALUE, "code": "SUBSETTED"}
RETELLING = ("text", "note", "conclusion", "conclusionCode", "interpretation", "presentedForm")
"""Elements in which a removed value may be told again."""


def _pruned(value: Any, gone: frozenset[str]) -> Any:
    """The value without references to what is gone, and without narrative below."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str) and versionless(value["reference"]) in gone:
            return {}
        return {key: _pruned(inner, gone) for key, inner in value.items() if not (key == "text" and isinstance(inner, dict) and "div" in inner)}
    return [_pruned(inner, gone) for inner in value] if isinstance(value, list) else value


def marked(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The resource with `meta.tag` SUBSETTED."""
    meta = dict(resource.get("meta") or {})
    tags = [tag for tag in meta.get("tag") or [] if tag.get("code") != "SUBSETTED"]
    return {**resource, "meta": {**meta, "tag": [*tags, SUBSETTED]}}


def _emptied(value: Any) -> Any:
    """Without references left empty by pruning."""
    if isinstance(value, list):
        return [kept for inner in value if (kept := _emptied(inner)) != {}]
    return {key: kept for key, inner in value.items() if (kept := _emptied(inner)) not in ({}, [])} if isinstance(value, dict) else value


def redacted(
    resource: Mapping[str, Any], components: Sequence[bool], contained: Sequence[bool | dict[str, Any] | None], hidden: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Keep the components marked True; keep, replace (a dict) or drop each contained resource; drop references to what is `hidden`."""
    copy = {key: value for key, value in resource.items() if key not in RETELLING}
    if components:
        kept = [part for part, keep in zip(resource["component"], components, strict=True) if keep]
        copy = {key: value for key, value in {**copy, "component": kept}.items() if key != "component" or kept}
    pairs = list(zip(resource.get("contained") or (), contained, strict=True))
    gone = hidden | {f"#{each.get('id')}" for each, keep in pairs if not keep}
    if gone:
        copy = _emptied(_pruned({key: value for key, value in copy.items() if key != "contained"}, gone))
    if pairs:
        inner = [keep if isinstance(keep, dict) else each for each, keep in pairs if keep]
        copy = {key: value for key, value in {**copy, "contained": inner}.items() if key != "contained" or inner}
    return marked(copy)
