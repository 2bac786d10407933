"""The decision engine: consents compiled once into a policy, a request into a decision, a resource into a verdict. No I/O.

Every rule answers with a *set* of possible outcomes (silent, permit, deny), because dates, references and content may be unknown:
one world in which a deny applies is enough to deny, and a permit must hold in all of them. Between siblings and between consents
a deny overrides; below a rule, the outcome of its matching exceptions replaces its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from consent.actor import Identity, Resources, held, identify
from consent.content import NOWHERE, Concepts, Content, Origin, about, facts_of, joined, medication, origins, read, together, with_origin
from consent.match import ANY, MAYBE, NO, YES, Case, Class, Codes, Data, DataPeriod, Labels, Source
from consent.provision import ACTIONS, DENY, PARTIES, PERMIT, SILENT, Problem, Rule, applies, boundaries, parse
from consent.redaction import redacted
from consent.request import Facts, Request
from consent.span import EVER, NEVER
from consent.terms import ACT_REASON, RANKS, purposes_above, system
from schemas.classes import ALL, DataClass
from schemas.errors import BadRequest
from schemas.labels import MINOR, SENSITIVITIES

BIOMETRIC = int(DataClass.BIOMETRIC)
EVERY_CLASS = int(ALL) | BIOMETRIC
REMEMBERED = 4096
"""Verdicts a decision keeps; past it they are made anew."""
UTC_ZONE = ZoneInfo("UTC")
DERIVATIONS = 8
"""How far `derivedFrom` is followed; a longer chain is denied."""

Place = tuple[str, str]


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of one resource, and the rule that decided; no rule: nothing applied. `resource`: the redacted copy."""

    decision: Literal["permit", "deny", "redact"]
    rule: tuple[str, ...] = ()
    text: str = ""
    resource: dict[str, Any] | None = None


class Policy(msgspec.Struct, frozen=True, eq=False):
    """The consents of one resident, parsed. Good for every request until a consent, a referenced resource or the zone changes.

    `origins` is what Provenance at hand tells; `sources`: something is at hand that other resources may be made of.
    """

    resident: str
    zone: ZoneInfo
    rules: tuple[Rule, ...]
    boundaries: tuple[datetime, ...]
    problems: tuple[Problem, ...]
    resources: Resources
    origins: Mapping[str, Origin]
    sources: bool


class Node(NamedTuple):
    """A rule that may match the request. `sure`: it does; else something about the asker is unknown."""

    rule: Rule
    outcome: int
    sure: bool
    children: tuple[Node, ...]


class Weight(NamedTuple):
    """The possible outcomes, and the places of the deny and of the permit among them."""

    outcomes: int
    denied_by: Place | None
    permitted_by: Place | None


def _joined(one: int, other: int) -> int:
    """Outcomes of two siblings together: deny overrides permit overrides silence, in every pair of worlds."""
    outcomes = DENY if (one | other) & DENY else 0
    if (one & PERMIT and other & (SILENT | PERMIT)) or (other & PERMIT and one & SILENT):
        outcomes |= PERMIT
    return outcomes | (one & other & SILENT)


JOINED = [[_joined(one, other) for other in range(8)] for one in range(8)]
SILENCE = Weight(SILENT, None, None)


def _own(node: Node, case: Case) -> int:
    """What the rule itself says when none of its exceptions does."""
    rule = node.rule
    if node.outcome == SILENT:
        return SILENT
    matched = rule.labels.match(case) if rule.labels else YES
    if node.outcome == PERMIT and rule.guarded:
        matched = min(matched, _named(rule, case))
    return node.outcome if matched == YES else SILENT if matched == NO else node.outcome | SILENT


def _named(rule: Rule, case: Case) -> int:
    """Sensitive and biometric data are permitted only by name."""
    if case.bit == BIOMETRIC and not rule.named & BIOMETRIC:
        return NO
    if case.sensitivity is None:
        return YES
    if case.sensitivity == ANY:
        return MAYBE
    return YES if rule.labels and rule.labels.covers(case) == YES else NO


def _weigh(node: Node, case: Case) -> Weight:
    matched = YES if node.sure else MAYBE
    for condition in node.rule.conditions:
        answer = condition.match(case)
        if answer == NO:
            return SILENCE
        matched = min(matched, answer)
    outcomes, denied_by, permitted_by = _weigh_all(node.children, case) if node.children else SILENCE
    if outcomes & SILENT:
        own = _own(node, case)
        outcomes = outcomes & ~SILENT | own
        denied_by = denied_by or (node.rule.place if own & DENY else None)
        permitted_by = permitted_by or (node.rule.place if own & PERMIT else None)
    return Weight(outcomes if matched == YES else outcomes | SILENT, denied_by, permitted_by)


def _weigh_all(nodes: Sequence[Node], case: Case) -> Weight:
    outcomes, denied_by, permitted_by = SILENCE
    for node in nodes:
        weight = _weigh(node, case)
        outcomes = JOINED[outcomes][weight.outcomes]
        denied_by = denied_by or weight.denied_by
        permitted_by = permitted_by or weight.permitted_by
    return Weight(outcomes, denied_by, permitted_by)


def _bits(classes: int) -> Iterator[int]:
    classes = int(classes)
    if not classes:
        yield 0
    while classes:
        lowest = classes & -classes
        yield lowest
        classes ^= lowest


def weigh(decision: Decision, case: Case) -> Weight:
    """The possible outcomes for one atom of a resource, by all rules of the decision."""
    return _weigh_all(decision.nodes, case)


class Decision(msgspec.Struct, frozen=True, eq=False):
    """What one request may see of one resident, until `valid_until`.

    `classes`, `since`, `until` (excluded), `sources` (None: any) and `restricted` bound what can be permitted, never too tightly:
    they are the query's filter, `check` is the answer. `exact`: no rule looks into content, so `check(facts)` is final;
    `by_names`: none does but those that hide single resources by name.
    `hidden`: resources by name that are hidden from everybody.
    """

    nodes: tuple[Node, ...]
    policy: Policy | None
    classes: int
    since: datetime | None
    until: datetime | None
    sources: frozenset[str] | None
    restricted: bool
    valid_until: datetime | None
    exact: bool
    by_names: bool
    keyed: tuple[bool, bool, bool, tuple[datetime, ...]]
    purposes: frozenset[str] | None
    remembered: dict[tuple[object, ...], Verdict | None]
    hidden: frozenset[str] = frozenset()

    def covers(self, facts: Facts) -> bool:
        """Whether the filter lets the resource through: always where `check` permits any of it. Unknown dates and classes pass."""
        if not self.classes or (facts.classes and not facts.classes & self.classes) or (facts.sensitivity and not self.restricted):
            return False
        if (self.since and facts.ends and facts.ends < self.since) or (self.until and facts.starts and facts.starts >= self.until):
            return False
        return self.sources is None or facts.source is None or facts.source in self.sources

    def check(self, facts: Facts, resource: Mapping[str, Any] | None = None) -> Verdict:
        """The verdict on one resource. Without its content, what depends on content is denied."""
        if facts.purposes and self.purposes is not None and facts.purposes.isdisjoint(self.purposes):
            return _OTHER_PURPOSE
        key = self._key(facts)
        if key in self.remembered:
            found = self.remembered[key]
        else:
            found = self._outside(facts)
            if len(self.remembered) < REMEMBERED:
                self.remembered[key] = found
        if found is not None and not (resource and found.decision == "permit" and "contained" in resource):
            return found
        return _UNOPENED if resource is None else self._inside(facts, resource, 0)

    def _key(self, facts: Facts) -> tuple[object, ...]:
        typed, sourced, named, cuts = self.keyed
        starts = bisect_right(cuts, facts.starts) if cuts and facts.starts else -1
        ends = bisect_right(cuts, facts.ends) if cuts and facts.ends else -1
        return (
            facts.classes, facts.confidentiality, facts.sensitivity, starts, ends,
            facts.resource_type if typed else "", facts.source if sourced else "", facts.reference if named else "",
        )  # fmt: skip

    def _outside(self, facts: Facts) -> Verdict | None:
        """The verdict as far as facts decide it; None where the content has a say."""
        weight = self._weight(facts, None, None)
        if self.exact or not weight.outcomes & PERMIT:
            return _verdict(weight)
        return None

    def _weight(self, facts: Facts, content: Content | None, concepts: Concepts | None) -> Weight:
        """All atoms of a resource together: permitted where each is, denied where any may be."""
        outcomes, denied_by, permitted_by = 0, None, None
        for bit in _bits(facts.classes):
            for sensitivity in facts.sensitivity or (None,):
                weight = _weigh_all(self.nodes, Case(facts, bit, sensitivity, content, concepts))
                outcomes |= weight.outcomes
                denied_by = denied_by or weight.denied_by
                permitted_by = permitted_by or weight.permitted_by
        return Weight(outcomes, denied_by, permitted_by)

    def _inside(self, facts: Facts, resource: Mapping[str, Any], depth: int, around: Content | None = None) -> Verdict:
        content = joined(around, read(resource)) if around else with_origin(read(resource), self._origin(facts))
        if drug := medication(resource, self.policy.resources if self.policy else {}):
            content = content._replace(concepts=together(content.concepts, drug))
        whole = self._weight(facts, content, content.concepts)
        inherited = self._derived(facts, content, depth)
        if inherited is not None:
            return inherited
        parts = [_verdict(self._weight(facts, content, together(content.concepts, part))) for part in content.components]
        inner = [self._contained(facts, each, content, depth) for each in resource.get("contained") or ()]
        members = {member: self._member(facts, member, content, depth) for member in content.members} if self.policy else {}
        return _together(resource, _verdict(whole), whole.outcomes, parts, inner, members)

    def _origin(self, facts: Facts) -> Origin:
        return self.policy.origins.get(facts.reference, NOWHERE) if self.policy else NOWHERE

    def _member(self, facts: Facts, reference: str, content: Content, depth: int) -> Verdict:
        """The verdict on what a resource gathers by reference: its own where it is at hand, else that of a rule that names it."""
        member = self.policy.resources.get(reference) if self.policy else None
        return self._at_hand(facts, reference, member, depth) if member is not None else self._named(facts, reference, content) or _MEMBER

    def _at_hand(self, facts: Facts, reference: str, resource: Mapping[str, Any], depth: int) -> Verdict:
        """The verdict on a resource that another is made of. While it is being judged, it is denied: what goes in circles is made of nothing."""
        if depth >= DERIVATIONS or self.policy is None:
            return _TOO_DEEP
        if resource.get("_ambiguous") or _anothers(self.policy, resource):
            return _ANOTHERS
        key = ("at hand", reference, facts.source)
        if key not in self.remembered:
            self.remembered[key] = _TOO_DEEP
            self.remembered[key] = self._inside(facts_of(resource, self.policy.zone, source=facts.source), resource, depth + 1)
        return self.remembered[key] or _TOO_DEEP

    def _named(self, facts: Facts, reference: str, content: Content) -> Verdict | None:
        """The denial of a resource that is not at hand: by a rule that names it."""
        weight = self._weight(msgspec.structs.replace(facts, reference=reference), content, content.concepts)
        return Verdict("deny", weight.denied_by or (), "made of data that is denied") if weight.outcomes & DENY else None

    def _derived(self, facts: Facts, content: Content, depth: int) -> Verdict | None:
        """The denial a derived resource inherits: from a source at hand by its own verdict, else from a rule that names the source."""
        for reference in sorted(content.derived_from):
            source = self.policy.resources.get(reference) if self.policy else None
            if source is not None:
                verdict = self._at_hand(facts, reference, source, depth)
                if verdict.decision != "permit":
                    return Verdict("deny", verdict.rule, "derived from data that is not permitted")
            elif denied := self._named(facts, reference, content):
                return denied
        return None

    def _contained(self, facts: Facts, resource: Mapping[str, Any], around: Content, depth: int) -> Verdict:
        if depth >= DERIVATIONS:
            return _TOO_DEEP
        own = _own_labels(facts, resource)
        return self._inside(own, resource, depth + 1, around)


def _own_labels(facts: Facts, resource: Mapping[str, Any]) -> Facts:
    """The facts of a contained resource: its own type, and its own labels beside those of what surrounds it."""
    typed = msgspec.structs.replace(facts, resource_type=str(resource.get("resourceType", "")))
    own = facts_of(resource, UTC_ZONE)
    if not (own.confidentiality or own.sensitivity):
        return typed
    level = max(facts.confidentiality, own.confidentiality, key=lambda code: RANKS.get(code, len(RANKS)) if code else -1)
    return msgspec.structs.replace(typed, confidentiality=level, sensitivity=facts.sensitivity | own.sensitivity)


_OTHER_PURPOSE = Verdict("deny", (), "labelled for another purpose")
_UNOPENED = Verdict("deny", (), "the rules look into content, and it was not at hand")
_MEMBER = Verdict("permit")
_ANOTHERS = Verdict("deny", (), "not about this resident")
_TOO_DEEP = Verdict("deny", (), "nested too deep to be judged")


def _verdict(weight: Weight) -> Verdict:
    if weight.outcomes == PERMIT:
        return Verdict("permit", weight.permitted_by or (), "permitted by a rule of the resident's consent")
    if weight.outcomes & DENY:
        return Verdict("deny", weight.denied_by or (), "denied by a rule of the resident's consent")
    return Verdict("deny", (), "no rule of any consent permits it")


def _together(
    resource: Mapping[str, Any], whole: Verdict, outcomes: int, parts: list[Verdict], inner: list[Verdict], members: dict[str, Verdict]
) -> Verdict:
    """The verdict on a resource from those on itself, its components, what it contains and what it gathers by reference."""
    hidden = frozenset(name for name, verdict in members.items() if verdict.decision == "deny")
    refused = [verdict for verdict in (*parts, *inner, *members.values()) if verdict.decision != "permit"]
    kept = [verdict for verdict in parts if verdict.decision == "permit"]
    shell = whole.decision == "permit" or (not outcomes & DENY and bool(kept))
    has_value = any(name.startswith("value") for name in resource)
    emptied = bool(parts or members) and not kept and len(hidden) == len(members)
    if not shell or (has_value and whole.decision != "permit") or (emptied and not has_value):
        first = next((verdict for verdict in refused if verdict.rule), whole)
        return whole if whole.decision == "deny" and whole.rule else Verdict("deny", first.rule, first.text)
    if not refused:
        return whole if whole.decision == "permit" else kept[0]
    keep = [verdict.decision == "permit" for verdict in parts]
    copy = redacted(resource, keep, [verdict.resource if verdict.decision == "redact" else verdict.decision == "permit" for verdict in inner], hidden)
    return Verdict("redact", refused[0].rule, "a part that is not permitted was removed", copy)


def compile_policy(consents: Sequence[dict[str, Any]], *, resident: str, zone: str, resources: Resources | None = None, house: bool = True) -> Policy:
    """Parse a resident's consents. `zone` is where the resident's days begin and end; `resources` are those consents refer to.

    `house`: sensitive and biometric data are permitted only by a rule that names them. Without it that holds for rules that grant
    by our data classes only, and other rules are read as FHIR has them (no label named: any label).
    """
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as wrong:
        raise BadRequest("unknown time zone", field="timezone") from wrong
    rules: list[Rule] = []
    problems: list[Problem] = []
    for number, consent in enumerate(consents):
        try:
            mine = applies(consent, resident, resources)
            if mine != NO:
                rule, found = parse(consent, number, zone=place, resources=resources or {}, house=house, doubtful=mine == MAYBE)
                rules.append(rule)
                problems.extend(found)
        except (AttributeError, TypeError, ValueError, RecursionError):
            problems.append(Problem((f"Consent[{number}]", ""), "not a Consent that can be read"))
    known = resources or {}
    edges = tuple(sorted({*boundaries(rules), *held(known, place)}))
    return Policy(resident, place, tuple(rules), edges, tuple(problems), known, origins(known) if known else {}, _sources(known))


def _sources(resources: Resources) -> bool:
    """Whether anything is at hand that other resources may be made of."""
    return any(each.get("resourceType") not in PARTIES for each in resources.values())


class _Ask(NamedTuple):
    request: Request
    who: Identity
    purposes: frozenset[str]


def _purposes(purpose: str | None) -> frozenset[str]:
    if not purpose:
        return frozenset()
    uri, bar, code = purpose.rpartition("|")
    return frozenset({purpose}) if bar and system(uri) != ACT_REASON else purposes_above(code)


def _asked(rule: Rule, ask: _Ask) -> int:
    """Whether the rule is about this request: its time, purpose, action and actor."""
    request = ask.request
    if rule.span and not rule.span.since <= request.at < rule.span.until:
        return NO
    matched = MAYBE if rule.unclear else YES
    if rule.purposes is not None and rule.purposes.isdisjoint(ask.purposes):
        if ask.purposes:
            return NO
        matched = MAYBE
    if rule.actions is not None and request.action not in rule.actions:
        if request.action is not None and not rule.actions - ACTIONS:
            return NO
        matched = MAYBE
    return min(matched, rule.actors.match(ask.who, request)) if rule.actors else matched


def _live(rules: Iterable[Rule], ask: _Ask) -> tuple[Node, ...]:
    """The rules that may match the request, with the exceptions under them."""
    nodes = []
    for rule in rules:
        matched = _asked(rule, ask)
        if matched != NO:
            early = rule.outcome == PERMIT and ask.request.at < rule.opens_at
            nodes.append(Node(rule, SILENT if early else rule.outcome, matched == YES, _live(rule.children, ask) if rule.children else ()))
    return tuple(nodes)


def decide(policy: Policy, request: Request) -> Decision:
    """What the request may see. Keep it by the epochs of resident and recipient, no longer than `valid_until`."""
    if request.at.tzinfo is None:
        raise BadRequest("the time of a request needs an offset", field="at")
    purposes = _purposes(request.purpose)
    nodes = _live(policy.rules, _Ask(request, identify(request, policy.resources, policy.zone), purposes))
    later = bisect_right(policy.boundaries, request.at)
    return _decision(nodes, policy, policy.boundaries[later] if later < len(policy.boundaries) else None, purposes)


def _walk(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _walk(node.children)


class _Reach(NamedTuple):
    """Where a permit may reach: data time and sources."""

    since: datetime
    until: datetime
    sources: frozenset[str] | None
    restricted: bool


def _reaches(nodes: Iterable[Node], since: datetime, until: datetime, sources: frozenset[str] | None) -> Iterator[_Reach]:
    """One reach for each permit that surely matches the request; one that only may match never permits by itself."""
    for node in nodes:
        if not node.sure:
            continue
        low, high, origin = since, until, sources
        for condition in node.rule.conditions:
            if isinstance(condition, DataPeriod):
                low, high = max(low, condition.since), min(high, condition.until)
            elif isinstance(condition, Source):
                origin = frozenset({condition.party})
        if node.outcome == PERMIT and low < high:
            labels = node.rule.labels
            yield _Reach(low, high, origin, not node.rule.guarded or bool(labels and labels.sensitivities))
        yield from _reaches(node.children, low, high, origin)


def _reach(reaches: Iterable[_Reach]) -> _Reach | None:
    """The hull of all reaches; None where nothing can be permitted."""
    hull = None
    for each in reaches:
        if hull is None:
            hull = each
            continue
        sources = None if hull.sources is None or each.sources is None else hull.sources | each.sources
        hull = _Reach(min(hull.since, each.since), max(hull.until, each.until), sources, hull.restricted or each.restricted)
    return hull


_ANYTHING = Facts(classes=0, confidentiality="")


def _classes(nodes: tuple[Node, ...], conditions: list[Class]) -> int:
    """The classes some resource of which could be permitted, by weighing one of each kind of class with all else unknown."""
    groups = [EVERY_CLASS & ~BIOMETRIC, BIOMETRIC]
    for condition in conditions:
        groups = [part for group in groups for part in (group & condition.bits, group & ~condition.bits) if part]
    return sum(group for group in groups if _weigh_all(nodes, Case(_ANYTHING, group & -group, ANY)).outcomes & PERMIT)


def _decision(
    nodes: tuple[Node, ...], policy: Policy | None, valid_until: datetime | None, purposes: frozenset[str] | None = None
) -> Decision:
    conditions = [condition for node in _walk(nodes) for condition in node.rule.conditions]
    kinds = [each for each in conditions if isinstance(each, Class)]
    periods = [each for each in conditions if isinstance(each, DataPeriod)]
    named = any(isinstance(each, Data) for each in conditions)
    typed = any(each.types or each.profiles or each.documents or each.loose for each in kinds)
    looks_inside = typed or any(isinstance(each, Codes) for each in conditions) or bool(policy and policy.sources)
    reach = _reach(_reaches(nodes, EVER, NEVER, None))
    return Decision(
        nodes=nodes,
        policy=policy,
        classes=_classes(nodes, kinds) if reach else 0,
        since=reach.since if reach and reach.since != EVER else None,
        until=reach.until if reach and reach.until != NEVER else None,
        sources=reach.sources if reach else frozenset(),
        restricted=bool(reach and reach.restricted),
        valid_until=valid_until,
        exact=not (named or looks_inside),
        by_names=not (looks_inside or any(_named_otherwise(node.rule, each) for node in _walk(nodes) for each in node.rule.conditions)),
        keyed=(typed, named or any(isinstance(each, Source) for each in conditions), named, _edges(periods)),
        purposes=purposes,
        remembered={},
        hidden=frozenset(name for node in nodes if _hides(node.rule) for each in node.rule.conditions if isinstance(each, Data) for name in each.instances),
    )


def _named_otherwise(rule: Rule, condition: object) -> bool:
    """Whether it names resources, and not to hide just them from everybody."""
    return isinstance(condition, Data) and not (condition.by_name and _hides(rule))


def _edges(periods: list[DataPeriod]) -> tuple[datetime, ...]:
    return tuple(sorted({edge for each in periods for edge in (each.since, each.until)})) if periods else ()


def own_upload(party: str) -> Decision:
    """What an uploader may read back: what it uploaded itself. Join it by `either` with its decision, so that an explicit deny holds."""
    return _decision((Node(Rule(PERMIT, ("own-upload", party), conditions=(Source(party),)), PERMIT, True, ()),), None, None)


def nothing() -> Decision:
    """What a receiver may see to whom no consent can open anything."""
    return _decision((), None, None)


def self_access(resident: str) -> Decision:
    """The resident sees all of theirs; no consent narrows it."""
    return _decision((Node(Rule(PERMIT, ("self", resident)), PERMIT, True, ()),), None, None)


def emergency(policy: Policy, request: Request, place: str, ends: datetime) -> Decision:
    """What breaking the glass shows, whatever was agreed to, until `ends`: all but biometric data and what carries a sensitivity other than a child's age.

    Consents that refuse breaking the glass by name (a rule that denies BTG) hold, and those that hide single resources from everybody; other
    refusals, a pause among them, do not.
    """
    refusing = [rule for rule in policy.rules if _refuses(rule, "BTG") or _hides(rule)]
    return _beside(policy, request, place, ends, refusing, _purposes("BTG"))


def representative(policy: Policy, request: Request, place: str, ends: datetime | None) -> Decision:
    """What somebody who acts for the resident may look at until `ends`: as in an emergency; what the resident refuses others is not about them.

    What the resident hides from everybody is hidden from them too.
    """
    return _beside(policy, request, place, ends, [rule for rule in policy.rules if _hides(rule)], _purposes(request.purpose))


def _beside(policy: Policy, request: Request, place: str, ends: datetime | None, refusing: Sequence[Rule], purposes: frozenset[str]) -> Decision:
    """What rests on no consent, as far as these refusals let it."""
    nodes = _live(refusing, _Ask(request, identify(request, policy.resources, policy.zone), purposes))
    later = bisect_right(policy.boundaries, request.at)
    until = min(filter(None, (ends, *policy.boundaries[later : later + 1])), default=None)
    return _decision((*_ordinary(place), *nodes), policy, until, purposes)


def outlived(policy: Policy) -> Policy:
    """What is left of a policy after its resident's death: only what hides single resources from everybody. Nobody can withdraw a consent any more."""
    return msgspec.structs.replace(policy, rules=tuple(rule for rule in policy.rules if _hides(rule)))


def _ordinary(place: str) -> tuple[Node, Node]:
    """Everything but biometric data and what is sensitive; that it is a child's hides nothing."""
    child = Labels(None, frozenset({SENSITIVITIES[MINOR].name}), True)
    rules = Rule(PERMIT, (place, ""), guarded=True), Rule(PERMIT, (place, "child"), labels=child, guarded=True)
    return Node(rules[0], PERMIT, True, ()), Node(rules[1], PERMIT, True, ())


def _refuses(rule: Rule, purpose: str) -> bool:
    return (rule.outcome == DENY and purpose in (rule.purposes or ())) or any(_refuses(child, purpose) for child in rule.children)


def _hides(rule: Rule) -> bool:
    """Whether it hides resources by name from everybody, whatever they want them for."""
    named = any(isinstance(each, Data) and each.instances for each in rule.conditions)
    return named and rule.outcome == DENY and rule.actors is None and rule.purposes is None


def either(one: Decision, other: Decision) -> Decision:
    """Both together: what any of them permits, and neither denies."""
    ends = [each.valid_until for each in (one, other) if each.valid_until]
    purposes = one.purposes if one.purposes is not None else other.purposes
    return _decision(one.nodes + other.nodes, one.policy or other.policy, min(ends, default=None), purposes)


def _anothers(policy: Policy, resource: Mapping[str, Any]) -> bool:
    patient = about(resource)
    return bool(policy.resident and patient and patient != policy.resident)


def check_resource(decision: Decision, resource: Mapping[str, Any], zone: ZoneInfo, *, source: str | None = None) -> Verdict:
    """The verdict on a resource at hand, its facts read from it; one about another resident than the policy's is denied."""
    if decision.policy and _anothers(decision.policy, resource):
        return _ANOTHERS
    return decision.check(facts_of(resource, zone, source=source), resource)
