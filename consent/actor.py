"""Who a provision is about: references resolved once, at compile time, to the identities that match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from consent.content import versionless
from consent.match import MAYBE, NO, YES, likeness
from consent.request import Request
from consent.span import EVER, NEVER, Span, period

DEPTH = 4
"""How deep groups in groups are followed; deeper ones stay unresolved."""

Resources = Mapping[str, dict[str, Any]]


class Identity(msgspec.Struct, frozen=True):
    """Who asks, under every name: references, identifiers, person and organization. `above`: what the organization is part of."""

    references: frozenset[str]
    above: frozenset[str]
    identifiers: frozenset[tuple[str, str]]
    person: str
    organization: str | None


class Actors(msgspec.Struct, frozen=True):
    """The actors of one provision. `timed` are memberships that hold for a while; `roles` are (person, organization) pairs."""

    references: frozenset[str]
    identifiers: frozenset[tuple[str, str]]
    roles: frozenset[tuple[str, str | None]]
    timed: tuple[tuple[str, Span], ...]
    absolute: bool
    unclear: bool

    def match(self, who: Identity, request: Request) -> int:
        if not self.references.isdisjoint(who.references) or not self.identifiers.isdisjoint(who.identifiers):
            return YES
        if self.roles and any(person == who.person and organization in (None, who.organization) for person, organization in self.roles):
            return YES
        if any(reference in who.references and span.holds(request.at) for reference, span in self.timed):
            return YES
        if self.unclear or not self.references.isdisjoint(who.above) or self._incomparable(who):
            return MAYBE
        return max(likeness(reference, self.references) for reference in who.references) if self.absolute else NO

    def _incomparable(self, who: Identity) -> bool:
        """Whether some identifier named here is of a system in which the asker has none at hand."""
        known = {system for system, _ in who.identifiers}
        return any(system not in known for system, _ in self.identifiers)


def _identifiers(resource: Mapping[str, Any] | None) -> frozenset[tuple[str, str]]:
    listed = (resource or {}).get("identifier") or []
    return frozenset((str(each.get("system", "")), str(each["value"])) for each in listed if isinstance(each, dict) and "value" in each)


def _target(element: Any) -> str | None:
    found = element.get("reference") if isinstance(element, dict) else None
    return versionless(found) if isinstance(found, str) else None


def _above(organization: str | None, resources: Resources) -> frozenset[str]:
    """The organizations one is part of, as far as they are at hand. A deny reaches down to a department, a permit does not."""
    found: list[str] = []
    part = organization
    while part and len(found) <= DEPTH:
        part = _target(resources.get(part, {}).get("partOf"))
        found += [part] if part else []
    return frozenset(found)


def identify(request: Request, resources: Resources) -> Identity:
    """Every name the asker goes by. A PractitionerRole at hand also is its practitioner, acting for its organization."""
    role = resources.get(request.actor, {}) if request.actor.startswith("PractitionerRole/") else {}
    person = _target(role.get("practitioner")) or request.actor
    organization = request.acts_for or _target(role.get("organization"))
    names = frozenset(filter(None, [request.actor, person, organization, *request.member_of]))
    identifiers: frozenset[tuple[str, str]] = frozenset()
    if resources:
        identifiers = frozenset().union(*(_identifiers(resources.get(name)) for name in names))
    return Identity(names, _above(organization, resources), identifiers, person, organization)


class _Finding:
    """What is gathered while a provision's actors are resolved."""

    def __init__(self, resources: Resources, zone: ZoneInfo) -> None:
        self.resources = resources
        self.zone = zone
        self.references: set[str] = set()
        self.identifiers: set[tuple[str, str]] = set()
        self.roles: set[tuple[str, str | None]] = set()
        self.timed: list[tuple[str, Span]] = []
        self.unclear = False

    def name(self, element: Any, span: Span | None, depth: int) -> None:
        """One Reference: its literal name, and whom it stands for."""
        target = _target(element)
        if target is None:
            self._logical(element)
            return
        if span:
            self.timed.append((target, span))
        else:
            self.references.add(target)
        self._follow(target, span, depth)

    def _logical(self, element: Any) -> None:
        identifier = element.get("identifier") if isinstance(element, dict) else None
        if isinstance(identifier, dict) and "value" in identifier:
            self.identifiers.add((str(identifier.get("system", "")), str(identifier["value"])))
        else:
            self.unclear = True

    def _follow(self, target: str, span: Span | None, depth: int) -> None:
        kind = target.rsplit("/", 2)[-2] if "/" in target else ""
        found = self.resources.get(target)
        if kind not in ("Group", "CareTeam", "PractitionerRole") and not target.startswith(("#", "urn:")):
            return
        if found is None or depth >= DEPTH:
            self.unclear = True
            return
        self._members(found, span, depth)

    def _members(self, found: Mapping[str, Any], span: Span | None, depth: int) -> None:
        kind = found.get("resourceType")
        if kind == "Group":
            self.unclear |= found.get("actual") is False
            for member in _active(found.get("member")):
                self.name(member.get("entity"), self._while(member, span), depth + 1)
        elif kind == "CareTeam":
            for participant in _active(found.get("participant")):
                self.name(participant.get("member"), self._while(participant, span), depth + 1)
        elif kind == "PractitionerRole" and (person := _target(found.get("practitioner"))):
            self.roles.add((person, _target(found.get("organization"))))
            self.unclear |= span is not None
        else:
            self.identifiers |= _identifiers(found)
            self.unclear |= not _identifiers(found)

    def _while(self, member: Mapping[str, Any], span: Span | None) -> Span | None:
        if "period" not in member:
            return span
        own = period(member["period"], self.zone)
        return Span(max(own.since, span.since), min(own.until, span.until)) if span else own


def _active(members: Any) -> Iterator[Mapping[str, Any]]:
    for member in members or ():
        if isinstance(member, dict) and not member.get("inactive"):
            yield member


def actors(elements: list[Any], resources: Resources, zone: ZoneInfo) -> Actors:
    """Compile `provision.actor`. A role without a reference matches nobody; what does not resolve leaves the match open."""
    found = _Finding(resources, zone)
    for element in elements:
        if not isinstance(element, dict) or not element.keys() & {"role", "reference"}:
            raise ValueError("an actor without role and reference")
        if "reference" in element:
            found.name(element["reference"], None, 0)
    absolute = any("://" in reference for reference in found.references)
    return Actors(frozenset(found.references), frozenset(found.identifiers), frozenset(found.roles), tuple(found.timed), absolute, found.unclear)


def boundaries(compiled: Actors | None) -> Iterator[datetime]:
    """Instants at which a membership begins or ends."""
    for _, span in compiled.timed if compiled else ():
        yield from (edge for edge in span if edge not in (EVER, NEVER))
