"""Whether a resource is valid FHIR R4 (4.0.1), by the definitions beside this file. Knows nothing of HTTP or of what is stored.

What is claimed and what is not is in docs/reference/validation.md, which is measured against HL7's own validator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.r4.fhirpath import Scope
from schemas.r4.issues import Found, Issue, below, both, error, is_broken, warning
from schemas.r4.profiles import profile_rule
from schemas.r4.shapes import is_resource_type, judge_resource
from schemas.r4.structures import structure


def validate(resource: Any, profiles: Sequence[str] = ()) -> list[Issue]:
    """What is wrong with a parsed resource, by R4, the profiles it claims in `meta.profile`, and those asked for. Empty = valid.

    Findings hold paths and rules, never values. Invariants of an element are judged when its structure is sound, profiles when the
    whole resource is.
    """
    found = by_r4(resource)
    return found if is_broken(found) else found + by_profiles(resource, profiles)


def is_valid(resource: Any, profiles: Sequence[str] = ()) -> bool:
    """Whether no error is found."""
    return not is_broken(validate(resource, profiles))


def by_r4(resource: Any) -> list[Issue]:
    """What is wrong by R4 itself."""
    if type(resource) is not dict:
        return error("structure", "type", "A resource is a JSON object.")
    found = judge_resource(resource, Scope(resource, resource))
    return [] if found is None else below(_name(resource), found)


def by_profiles(resource: dict[str, Any], profiles: Sequence[str] = ()) -> list[Issue]:
    """What is wrong by the profiles that a resource claims and those asked for. R4 itself has found no error of structure in it."""
    scope = Scope(resource, resource)
    found: Found = None
    for url in dict.fromkeys([*_claimed(resource), *profiles]):
        found = both(found, _by_profile(url, resource, scope, asked=url in profiles))
    return [] if found is None else below(_name(resource), found)


def _name(resource: dict[str, Any]) -> str:
    type_ = resource.get("resourceType")
    return str(type_) if is_resource_type(type_) else "Resource"


def _claimed(resource: dict[str, Any]) -> list[str]:
    meta = resource.get("meta")
    urls = meta.get("profile", ()) if type(meta) is dict else ()
    return [url for url in urls if type(url) is str]


def _by_profile(url: str, resource: dict[str, Any], scope: Scope, *, asked: bool) -> Found:
    known = structure(url)
    if known is None:
        said = error if asked else warning
        return said("not-found", "unknown-profile", "A profile that is not known here was not checked.")
    if known.type != resource.get("resourceType"):
        return error("structure", "profile-resource", f"The profile is about {known.type}.")
    rule = profile_rule(url)
    return None if rule is None else rule(resource, scope)
