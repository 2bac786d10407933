"""The provision tree of an R4 Consent, parsed once into rules. What cannot be understood permits nothing; its denies still deny."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from consent.actor import Actors, Resources, actors
from consent.actor import boundaries as memberships
from consent.content import read, sensitivity, versionless
from consent.match import Class, Codes, Condition, Data, DataPeriod, Labels
from consent.span import EVER, NEVER, Span, moment, period
from consent.terms import ACT_REASON, CONFIDENTIALITY, PURPOSES, RANKS, RESOURCE_TYPES, meaning, system, with_parts
from schemas.classes import CODES, SYSTEM

SILENT, PERMIT, DENY = 1, 2, 4
"""Outcomes as bits, so that a set of possible outcomes is a number."""

TYPES = {"permit": PERMIT, "deny": DENY}
BASES = {"OPTIN": PERMIT, "OPTINR": PERMIT, "OPTOUT": DENY, "OPTOUTE": DENY}
SHARING_SCOPES = frozenset({"patient-privacy", "research"})
"""Scopes that speak of sharing data; a consent to a treatment or an advance directive decides nothing here."""
ELEMENTS = frozenset(
    {"id", "extension", "type", "period", "actor", "action", "securityLabel", "purpose", "class", "code", "dataPeriod", "data", "provision"}
)
DEPTH = 64
"""Deepest provision that is read; below it a consent is not understood."""

T = TypeVar("T")


class Rule(msgspec.Struct, frozen=True):
    """One provision. `outcome` is its own when it matches; a permit of a consent not understood is SILENT.

    `unclear`: something in it was not understood, so it may match but never surely does. `guarded`: it permits a sensitivity, or
    biometric data, only where it (or the rules above it) names that. `opens_at`: before it the consent permits nothing.
    """

    outcome: int
    place: tuple[str, str]
    span: Span | None = None
    actors: Actors | None = None
    purposes: frozenset[str] | None = None
    actions: frozenset[str] | None = None
    conditions: tuple[Condition, ...] = ()
    labels: Labels | None = None
    unclear: bool = False
    guarded: bool = False
    named: int = 0
    opens_at: datetime = EVER
    children: tuple[Rule, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """Why a consent, or a part of it, is not understood. Quotes nothing."""

    place: tuple[str, str]
    text: str


class Reading:
    """One consent being read: where things go wrong is noted, and its permits are void in the end."""

    def __init__(self, consent: str, zone: ZoneInfo, resources: Resources, *, house: bool) -> None:
        self.consent = consent
        self.zone = zone
        self.resources = resources
        self.house = house
        self.problems: list[Problem] = []

    def object(self, place: str, text: str) -> None:
        self.problems.append(Problem((self.consent, place), text))

    def take(self, place: str, element: Mapping[str, Any], name: str, parse: Callable[[Any], T]) -> T | None:
        """Parse one element; None where it is absent or not understood (and then it is noted)."""
        if name not in element:
            return None
        try:
            return parse(element[name])
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as wrong:
            self.object(f"{place}.{name}".lstrip("."), str(wrong) if type(wrong) is ValueError else "not understood")
            return None


def _some(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise ValueError("not a list of elements")
    return value


def _coding(coding: Any) -> tuple[str, str]:
    code, uri = coding.get("code"), coding.get("system", "")
    if not isinstance(code, str) or not isinstance(uri, str) or not code:
        raise ValueError("a coding without code")
    return system(uri), code


def _codings(value: Any) -> list[tuple[str, str]]:
    return [_coding(each) for each in _some(value)]


def _concept_codings(value: Any) -> list[tuple[str, str]]:
    return [coding for concept in _some(value) for coding in _codings(concept.get("coding"))]


def _purposes(value: Any) -> frozenset[str]:
    """Purposes by code; one of a foreign system that borrows a known code keeps its system, so that it never passes for it."""
    found = set()
    for uri, code in _codings(value):
        found.add(f"{uri}|{code}")
        if uri in ("", ACT_REASON) or code not in PURPOSES:
            found.add(code)
    return frozenset(found)


def _actions(value: Any) -> frozenset[str]:
    return frozenset(code for _, code in _concept_codings(value))


def _class(value: Any) -> Class:
    bits, types, profiles, documents = 0, set(), set(), set()
    for uri, code in _codings(value):
        if uri == SYSTEM:
            if code not in CODES:
                raise ValueError("an unknown data class")
            bits |= int(CODES[code])
        elif uri == RESOURCE_TYPES:
            types.add(code)
        elif "://" in code or code.startswith("urn:"):
            profiles.add(code.partition("|")[0])
        elif uri.startswith("http://hl7.org/fhir/StructureDefinition"):
            profiles |= {uri, f"{uri.rstrip('/')}/{code}"}
        else:
            documents.add(meaning(uri, code))
    return Class(bits, frozenset(types), frozenset(profiles), frozenset(documents))


def _codes(value: Any) -> Codes:
    codings = _concept_codings(value)
    known = frozenset(concept for uri, code in codings if uri for concept in with_parts(meaning(uri, code)))
    return Codes(known, frozenset(code for uri, code in codings if not uri), frozenset(uri for uri, _ in codings))


def _labels(outcome: int) -> Callable[[Any], Labels]:
    def parse(value: Any) -> Labels:
        ranks, sensitivities = [], set()
        for uri, code in _codings(value):
            if uri == CONFIDENTIALITY:
                ranks.append(RANKS[code])
            elif name := sensitivity(uri, code):
                sensitivities.add(name)
            else:
                raise ValueError("a security label of another kind")
        permits = outcome == PERMIT
        rank = (max(ranks) if permits else min(ranks)) if ranks else None
        return Labels(rank, frozenset(sensitivities), permits)

    return parse


def _members(reference: str, resources: Resources) -> frozenset[str]:
    found = resources.get(reference, {})
    listed = [member.get("entity") for member in found.get("member", ())] + [each.get("member") for each in found.get("participant", ())]
    return frozenset(versionless(each["reference"]) for each in listed if isinstance(each, dict) and "reference" in each)


def _data(resources: Resources) -> Callable[[Any], Data]:
    def parse(value: Any) -> Data:
        named: dict[str, set[str]] = {"instance": set(), "related": set(), "dependents": set(), "authoredby": set()}
        unclear = False
        for each in _some(value):
            reference = (each.get("reference") or {}).get("reference")
            if each.get("meaning") not in named:
                raise ValueError("data of an unknown meaning")
            unclear |= not isinstance(reference, str)
            named[each["meaning"]] |= {versionless(reference)} if isinstance(reference, str) else set()
        authors = named["authoredby"].union(*(_members(author, resources) for author in named["authoredby"]))
        unclear |= any(author.startswith(("Group/", "CareTeam/")) and author not in resources for author in authors)
        targets = named["related"] | named["dependents"]
        referred = frozenset().union(*(read(resources[target]).references for target in named["related"] if target in resources))
        around = frozenset(named["instance"] | targets) | referred
        return Data(frozenset(named["instance"]), around, frozenset(targets), frozenset(authors), unclear)

    return parse


def _data_period(zone: ZoneInfo) -> Callable[[Any], DataPeriod]:
    return lambda value: DataPeriod(*period(value, zone))


def _root_outcome(reading: Reading, consent: Mapping[str, Any], provision: Mapping[str, Any]) -> tuple[int, str]:
    """The base of a consent and where it stands; where `policyRule` and the root's type contradict, the most restrictive wins."""
    codings = (consent.get("policyRule") or {}).get("coding") or []
    bases = [BASES[each["code"]] for each in codings if isinstance(each, dict) and each.get("code") in BASES]
    stated = [TYPES[provision["type"]]] if provision.get("type") in TYPES else []
    if "type" in provision and not stated:
        reading.object("provision.type", "neither permit nor deny")
    outcome = DENY if DENY in bases + stated else PERMIT if bases + stated else SILENT
    return outcome, "provision" if outcome in stated or not bases else "policyRule"


def _conditions(reading: Reading, place: str, provision: Mapping[str, Any]) -> tuple[Condition, ...]:
    found = (
        reading.take(place, provision, "class", _class),
        reading.take(place, provision, "dataPeriod", _data_period(reading.zone)),
        reading.take(place, provision, "data", _data(reading.resources)),
        reading.take(place, provision, "code", _codes),
    )
    return tuple(condition for condition in found if condition is not None)


def _rule(reading: Reading, place: str, provision: Mapping[str, Any], above: Rule, outcome: int, depth: int) -> Rule:
    before = len(reading.problems)
    if unknown := provision.keys() - ELEMENTS:
        reading.object(place, f"{len(unknown)} element(s) of a provision that are not understood")
    conditions = _conditions(reading, place, provision)
    bits = next((condition.bits for condition in conditions if isinstance(condition, Class)), 0)
    labels = reading.take(place, provision, "securityLabel", _labels(outcome))
    rule = Rule(
        outcome=outcome,
        place=(reading.consent, place),
        span=reading.take(place, provision, "period", lambda value: period(value, reading.zone)),
        actors=reading.take(place, provision, "actor", lambda value: actors(_some(value), reading.resources, reading.zone)),
        purposes=reading.take(place, provision, "purpose", _purposes),
        actions=reading.take(place, provision, "action", _actions),
        conditions=conditions,
        labels=labels or _inherited(above, outcome),
        guarded=reading.house or bool(bits) or above.guarded,
        named=bits | above.named,
        opens_at=above.opens_at,
    )
    rule = msgspec.structs.replace(rule, unclear=len(reading.problems) > before)
    return msgspec.structs.replace(rule, children=tuple(_children(reading, place, provision, rule, depth)))


def _inherited(above: Rule, outcome: int) -> Labels | None:
    """A rule without labels stands under those of its parent; only a deny is not narrowed by what its parent merely permits."""
    return None if above.labels and above.labels.permits and outcome == DENY else above.labels


def _children(reading: Reading, place: str, provision: Mapping[str, Any], above: Rule, depth: int) -> Iterator[Rule]:
    listed = provision.get("provision", [])
    if not isinstance(listed, list) or depth >= DEPTH:
        reading.object(f"{place}.provision", "not a list of provisions" if depth < DEPTH else "nested too deep")
        return
    for number, child in enumerate(listed):
        at = f"{place}.provision[{number}]"
        if not isinstance(child, dict):
            reading.object(at, "not a provision")
            continue
        outcome = TYPES.get(child.get("type", ""), SILENT) if isinstance(child.get("type"), str) else SILENT
        if outcome == SILENT:
            reading.object(f"{at}.type", "a nested provision needs permit or deny")
        yield _rule(reading, at, child, above, outcome, depth + 1)


def _modified(value: Any) -> bool:
    """Whether a modifier that is not understood stands anywhere inside."""
    if isinstance(value, dict):
        return bool(value.get("modifierExtension")) or any(_modified(inner) for inner in value.values())
    return isinstance(value, list) and any(_modified(inner) for inner in value)


def _verified(consent: Mapping[str, Any]) -> bool:
    listed = consent.get("verification", [])
    return isinstance(listed, list) and all(isinstance(each, dict) and each.get("verified") is True for each in listed)


def _void(rule: Rule) -> Rule:
    """The rule without its permits."""
    outcome = SILENT if rule.outcome == PERMIT else rule.outcome
    return msgspec.structs.replace(rule, outcome=outcome, children=tuple(_void(child) for child in rule.children))


def _doubts(reading: Reading, consent: Mapping[str, Any]) -> None:
    if _modified(consent) or "implicitRules" in consent:
        reading.object("", "a modifier that is not understood")
    if not _verified(consent):
        reading.object("verification", "verification that did not confirm the consent")


def applies(consent: Mapping[str, Any], resident: str) -> bool:
    """Whether a resource is a consent in force about sharing this resident's data. `resident` empty: whoever it is about."""
    codings = (consent.get("scope") or {}).get("coding") or [{}]
    scopes = {each.get("code") for each in codings if isinstance(each, dict)} - {None}
    patient = versionless(str((consent.get("patient") or {}).get("reference") or resident))
    about = not resident or patient == resident or patient.endswith(f"/{resident}")
    in_force = consent.get("resourceType", "Consent") == "Consent" and consent.get("status") == "active"
    return in_force and about and (not scopes or bool(scopes & SHARING_SCOPES))


def parse(consent: dict[str, Any], number: int, *, zone: ZoneInfo, resources: Resources, house: bool) -> tuple[Rule, tuple[Problem, ...]]:
    """One consent in force to its tree of rules, and what in it was not understood. `number` names a consent without id."""
    name = f"Consent/{consent['id']}" if consent.get("id") else f"Consent[{number}]"
    contained = {f"#{each.get('id')}": each for each in consent.get("contained") or () if isinstance(each, dict)}
    reading = Reading(name, zone, {**resources, **contained} if contained else resources, house=house)
    _doubts(reading, consent)
    recorded = reading.take("", consent, "dateTime", lambda value: moment(value, zone))
    provision = consent.get("provision", {})
    if not isinstance(provision, dict):
        reading.object("provision", "not a provision")
        provision = {}
    outcome, place = _root_outcome(reading, consent, provision)
    above = Rule(SILENT, (name, ""), opens_at=recorded.since if recorded else EVER)
    rule = _rule(reading, "provision", provision, above, outcome, 0)
    rule = msgspec.structs.replace(rule, place=(name, place))
    return (_void(rule) if reading.problems else rule), tuple(reading.problems)


def boundaries(rules: Sequence[Rule]) -> Iterator[datetime]:
    """Every instant at which a rule may change its mind."""
    for rule in rules:
        edges = (*(rule.span or ()), rule.opens_at, *memberships(rule.actors))
        yield from (edge for edge in edges if edge not in (EVER, NEVER))
        yield from boundaries(rule.children)
