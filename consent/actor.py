"""Who a provision is about: references resolved once, at compile time, to the identities that match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from consent.content import identifiers, versionless
from consent.match import MAYBE, NO, YES, likeness
from consent.request import Request
from consent.span import EVER, NEVER, Span, period

DEPTH = 4
"""How deep groups in groups are followed; deeper ones stay unresolved."""

Resources = Mapping[str, dict[str, Any]]


class Identity(msgspec.Struct, frozen=True):
    """Who asks, under every name: references, identifiers, person and organization. `above`: what the organization is part of.

    `strange`: types of parties the asker may be any of: it asks as a PractitionerRole that is not at hand.
    """

    references: frozenset[str]
    above: frozenset[str]
    identifiers: frozenset[tuple[str, str]]
    person: str
    organization: str | None
    strange: tuple[str, ...] = ()
    absolute: bool = False


class Actors(msgspec.Struct, frozen=True):
    """The actors of one provision. `timed` are memberships that hold for a while; `roles` are (person, organization, while) triples."""

    references: frozenset[str]
    identifiers: frozenset[tuple[str, str]]
    roles: frozenset[tuple[str, str | None, Span | None]]
    timed: tuple[tuple[str, Span], ...]
    absolute: bool
    unclear: bool

    def match(self, who: Identity, request: Request) -> int:
        if not self.references.isdisjoint(who.references) or not self.identifiers.isdisjoint(who.identifiers):
            return YES
        if any(self._plays(role, who, request) for role in self.roles):
            return YES
        if any(reference in who.references and span.holds(request.at) for reference, span in self.timed):
            return YES
        if self.unclear or not self.references.isdisjoint(who.above) or self._incomparable(who) or self._may_be(who, request):
            return MAYBE
        return max(likeness(reference, self.references) for reference in who.references) if self.absolute or who.absolute else NO

    def _plays(self, role: tuple[str, str | None, Span | None], who: Identity, request: Request) -> bool:
        person, organization, span = role
        return person == who.person and organization in (None, who.organization) and (span is None or span.holds(request.at))

    def _may_be(self, who: Identity, request: Request) -> bool:
        """Whether a role named here may be the asker's, who says no organization, or somebody named the one behind a role that is not at hand."""
        held = [(person, who.organization and organization, span) for person, organization, span in self.roles]
        if any(self._plays(role, replace(who, person=role[0]) if who.strange else who, request) for role in held):
            return True
        timed = [reference for reference, span in self.timed if span.holds(request.at)] if who.strange else []
        return bool(who.strange) and any(_kind(reference) in who.strange for reference in (*self.references, *timed))

    def _incomparable(self, who: Identity) -> bool:
        """Whether some identifier named here is of a system in which the asker has none at hand."""
        known = {system for system, _ in who.identifiers}
        return any(system not in known for system, _ in self.identifiers)


def _kind(reference: str) -> str:
    """The type in a reference."""
    return reference.rsplit("/", 2)[-2] if "/" in reference else ""


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


def identify(request: Request, resources: Resources, zone: ZoneInfo) -> Identity:
    """Every name the asker goes by. A PractitionerRole at hand also is its practitioner, acting for its organization.

    Of a role that is not in force only denies are still met.
    """
    actor = versionless(request.actor)
    role = resources.get(actor, {}) if actor.startswith("PractitionerRole/") else {}
    person, organization = _target(role.get("practitioner")), _target(role.get("organization"))
    doubted = frozenset(filter(None, [person, organization]))
    if _in_force(role, request.at, zone):
        doubted = frozenset()
    else:
        person, organization = None, None
    person, organization = person or actor, versionless(request.acts_for) if request.acts_for else organization
    names = frozenset(filter(None, [actor, person, organization, *map(versionless, request.member_of)]))
    known = frozenset[tuple[str, str]]().union(*(identifiers(resources.get(name)) for name in names)) if resources else frozenset()
    unseen = actor.startswith("PractitionerRole/") and not role
    strange = ("Practitioner", "Organization")[: 2 - bool(organization)] if unseen else ()
    above = _above(organization, resources) if organization else _employers(person, request.at, resources, zone)
    return Identity(names, above | doubted, known, person, organization, strange, any("://" in name for name in names))


def _employers(person: str, at: datetime, resources: Resources, zone: ZoneInfo) -> frozenset[str]:
    """The organizations for which a person who does not say so may be asking: those of its roles at hand."""
    roles = [each for each in resources.values() if each.get("resourceType") == "PractitionerRole" and _target(each.get("practitioner")) == person]
    return frozenset(filter(None, [_target(role.get("organization")) for role in roles if _in_force(role, at, zone)]))


def _in_force(role: Mapping[str, Any], at: datetime, zone: ZoneInfo) -> bool:
    try:
        span = _while(role, zone, None)
    except ValueError:
        return False
    return _plain(role) and (span is None or span.holds(at))


def _plain(found: Mapping[str, Any]) -> bool:
    """Whether a resource says what it seems to: in force, and without a modifier that is not understood."""
    in_force = found.get("active") is not False and found.get("status", "active") == "active"
    return in_force and not found.get("modifierExtension") and "implicitRules" not in found and not found.get("_ambiguous")


def _while(member: Mapping[str, Any], zone: ZoneInfo, span: Span | None) -> Span | None:
    """How long a membership holds, within that of the group around it."""
    if "period" not in member:
        return span
    own = period(member["period"], zone)
    return Span(max(own.since, span.since), min(own.until, span.until)) if span else own


class _Finding:
    """What is gathered while a provision's actors are resolved."""

    def __init__(self, resources: Resources, zone: ZoneInfo) -> None:
        self.resources = resources
        self.zone = zone
        self.references: set[str] = set()
        self.identifiers: set[tuple[str, str]] = set()
        self.roles: set[tuple[str, str | None, Span | None]] = set()
        self.timed: list[tuple[str, Span]] = []
        self.unclear = False

    def name(self, element: Any, span: Span | None, depth: int) -> None:
        """One Reference: its literal name, and whom it stands for."""
        target = _target(element)
        if target is None:
            self._logical(element, span, depth)
            return
        self._add(target, span)
        self._follow(target, span, depth)

    def _add(self, target: str, span: Span | None) -> None:
        if span:
            self.timed.append((target, span))
        else:
            self.references.add(target)

    def _logical(self, element: Any, span: Span | None, depth: int) -> None:
        """A Reference by identifier: whoever at hand bears it, else whoever may turn out to."""
        named = identifiers(element) if isinstance(element, dict) else frozenset()
        self.unclear |= not named
        bearers = [name for name, found in self.resources.items() if named and not named.isdisjoint(identifiers(found))]
        for bearer in bearers:
            self._add(bearer, span)
            self._follow(bearer, span, depth)
        if not bearers:
            self.identifiers |= named

    def _follow(self, target: str, span: Span | None, depth: int) -> None:
        kind = _kind(target)
        found = self.resources.get(target)
        if "://" in target or target.startswith("urn:"):
            self._elsewhere(found, span)
        if kind not in ("Group", "CareTeam", "PractitionerRole") and not target.startswith(("#", "urn:")):
            return
        if found is None or depth >= DEPTH or not _plain(found):
            self.unclear = True
            return
        self._members(found, _while(found, self.zone, span), depth)

    def _elsewhere(self, found: Mapping[str, Any] | None, span: Span | None) -> None:
        """A full address at hand is the resource found there, under its own name too."""
        if found is not None and found.get("id"):
            self._add(f"{found.get('resourceType')}/{found['id']}", span)

    def _members(self, found: Mapping[str, Any], span: Span | None, depth: int) -> None:
        kind = found.get("resourceType")
        if kind == "Group":
            self.unclear |= found.get("actual") is False
            self._each(found.get("member"), "entity", span, depth)
        elif kind == "CareTeam":
            self._each(found.get("participant"), "member", span, depth)
        elif kind == "PractitionerRole" and (person := _target(found.get("practitioner"))):
            self.roles.add((person, _target(found.get("organization")), span))
        else:
            self.identifiers |= identifiers(found)
            self.unclear |= not identifiers(found)

    def _each(self, members: Any, name: str, span: Span | None, depth: int) -> None:
        for member in members if isinstance(members, list) else ():
            if not isinstance(member, dict) or member.get("modifierExtension"):
                self.unclear = True
            elif not member.get("inactive"):
                self.name(member.get(name), _while(member, self.zone, span), depth + 1)


_ACTOR = frozenset({"id", "extension", "role", "reference"})


def actors(elements: list[Any], resources: Resources, zone: ZoneInfo) -> Actors:
    """Compile `provision.actor`. A role without a reference matches nobody; what does not resolve leaves the match open."""
    found = _Finding(resources, zone)
    for element in elements:
        if not isinstance(element, dict) or not element.keys() & {"role", "reference"} or element.keys() - _ACTOR:
            raise ValueError("an actor without role and reference, or with more")
        if "reference" in element:
            found.name(element["reference"], None, 0)
    absolute = any("://" in reference for reference in found.references)
    return Actors(frozenset(found.references), frozenset(found.identifiers), frozenset(found.roles), tuple(found.timed), absolute, found.unclear)


def boundaries(compiled: Actors | None) -> Iterator[datetime]:
    """Instants at which a membership begins or ends."""
    roles = [span for _, _, span in compiled.roles if span] if compiled else []
    return _edges((*(span for _, span in compiled.timed), *roles) if compiled else ())


def held(resources: Resources, zone: ZoneInfo) -> Iterator[datetime]:
    """Instants at which a role at hand begins or ends: for whom its holder asks goes by it, whoever is named."""
    for role in resources.values():
        if role.get("resourceType") == "PractitionerRole":
            with suppress(ValueError):
                yield from _edges(filter(None, [_while(role, zone, None)]))


def _edges(spans: Iterable[Span]) -> Iterator[datetime]:
    return (edge for span in spans for edge in span if edge not in (EVER, NEVER))
