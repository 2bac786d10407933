"""What one Consent does, for its resident to read: whom it lets see what, whom it refuses, whether it lets everybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from consent.match import Class, Condition, Data
from consent.provision import DENY, PERMIT, Rule, applies, parse


class Kinds(msgspec.Struct, frozen=True):
    """Data classes by their bits; `every`: all that is stored, `some`: a part that classes do not describe (dates, codes, named resources)."""

    bits: int = 0
    every: bool = False
    some: bool = False


class Effect(msgspec.Struct, frozen=True):
    """What a Consent permits, denies, and denies within its own permits. `everybody`: a permit stands under no actor.

    `named` are references of those it permits, or, where it permits nobody, of those it refuses. A Consent that is not about
    sharing, or is not understood, permits nothing. `pauses`: it denies everybody everything; `shuts`: whose writing it denies everybody;
    `hides`: which resources. `sensitive`: the sensitivities it permits by name.
    """

    permits: Kinds
    denies: Kinds
    without: Kinds
    everybody: bool
    named: tuple[str, ...]
    pauses: bool = False
    shuts: frozenset[str] = frozenset()
    sensitive: tuple[str, ...] = ()
    hides: frozenset[str] = frozenset()


class _Said(NamedTuple):
    """One rule, with what the rules above it say as well."""

    outcome: int
    kinds: Kinds
    named: frozenset[str] | None
    inner: bool
    sensitive: frozenset[str]


def effect(consent: Mapping[str, Any], zone: ZoneInfo) -> Effect:
    """What the Consent does while it is in force; what a withdrawn one did."""
    root = _root(consent, zone)
    said = tuple(_walk(root, Kinds(every=True), None, None)) if root else ()
    permits, denies = ([one for one in said if one.outcome == outcome] for outcome in (PERMIT, DENY))
    acting = permits or denies
    return Effect(
        permits=together(one.kinds for one in permits),
        denies=together(one.kinds for one in denies),
        without=together(one.kinds for one in denies if permits and one.inner),
        everybody=any(one.named is None for one in acting),
        named=tuple(sorted(frozenset().union(*(one.named or () for one in acting)))),
        sensitive=tuple(sorted(frozenset().union(*(one.sensitive for one in permits)))),
        pauses=bool(root and _bare(root) and not root.conditions),
        shuts=_shut(root) if root and _bare(root) else frozenset(),
        hides=_hidden(root) if root and _bare(root) else frozenset(),
    )


def _root(consent: Mapping[str, Any], zone: ZoneInfo) -> Rule | None:
    stated = {**consent, "status": "active"}
    try:
        return parse(stated, 0, zone=zone, resources={}, house=True)[0] if applies(stated, "") else None
    except (AttributeError, TypeError, ValueError):  # the engine permits nothing then, and so does this
        return None


def _bare(rule: Rule) -> bool:
    """Whether a rule denies everybody, always and for whatever they want it."""
    limits = (rule.actors, rule.purposes, rule.actions, rule.labels, rule.span)
    return rule.outcome == DENY and not rule.children and all(limit is None for limit in limits)


def _shut(rule: Rule) -> frozenset[str]:
    """Whose writing a rule is about, where it is about nothing else."""
    only = rule.conditions[0] if len(rule.conditions) == 1 else None
    return only.authors if isinstance(only, Data) and not (only.instances or only.around or only.targets or only.unclear) else frozenset()


def _hidden(rule: Rule) -> frozenset[str]:
    """Which resources a rule names, where it is about nothing else."""
    only = rule.conditions[0] if len(rule.conditions) == 1 else None
    return only.instances if isinstance(only, Data) and not (only.authors or only.targets or only.unclear) else frozenset()


def _walk(rule: Rule, above: Kinds, named: frozenset[str] | None, parent: Rule | None) -> Iterator[_Said]:
    kinds = _kinds(rule.conditions, above)
    who = rule.actors.references if rule.actors else named
    yield _Said(rule.outcome, kinds, who, parent is not None and rule.actors is None, rule.labels.sensitivities if rule.labels else frozenset())
    for child in rule.children:
        yield from _walk(child, kinds, who, rule)


def _kinds(conditions: Iterable[Condition], above: Kinds) -> Kinds:
    """What a rule speaks of: the classes it names among those of the rule above."""
    for condition in conditions:
        bits = condition.bits if isinstance(condition, Class) else 0
        above = Kinds(bits if above.every else above.bits & bits) if bits else Kinds(above.bits, some=True)
    return above


def together(kinds: Iterable[Kinds]) -> Kinds:
    """What any of them speaks of."""
    found = Kinds()
    for each in kinds:
        found = Kinds(found.bits | each.bits, found.every or each.every, found.some or each.some)
    return found
