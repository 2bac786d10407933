"""The provision tree of an R4 Consent, parsed once into rules. What cannot be understood permits nothing; its denies still deny."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from consent.actor import Actors, Resources, actors
from consent.actor import boundaries as memberships
from consent.content import identifiers, read, sensitivity, versionless
from consent.match import MAYBE, NO, YES, Class, Codes, Condition, Data, DataPeriod, Labels, likeness
from consent.span import EVER, NEVER, Span, moment, period
from consent.terms import (
    ACT_CODE,
    ACT_REASON,
    CONFIDENTIALITY,
    CONSENT_ACTION,
    CONSENT_SCOPE,
    MEDIA_TYPES,
    PURPOSES,
    RANKS,
    RESOURCE_TYPES,
    broader,
    is_standard,
    meaning,
    system,
    with_parts,
)
from schemas.classes import CODES, SYSTEM

SILENT, PERMIT, DENY = 1, 2, 4
"""Outcomes as bits, so that a set of possible outcomes is a number."""

TYPES = {"permit": PERMIT, "deny": DENY}
BASES = {"OPTIN": PERMIT, "OPTINR": PERMIT, "OPTOUT": DENY, "OPTOUTE": DENY, "NOCONSENT": DENY, "EMRGONLY": DENY}
"""Directives of `policyRule` (v3 ActConsentDirective). An emergency-only base denies; what an emergency may see needs a rule of its own."""
SHARING_SCOPES = frozenset({"patient-privacy", "research"})
"""Scopes that speak of sharing data; a consent to a treatment or an advance directive decides nothing here."""
SCOPES = SHARING_SCOPES | {"adr", "treatment"}
PARTIES = frozenset({"Group", "CareTeam", "Practitioner", "PractitionerRole", "Organization", "Device", "Patient", "RelatedPerson", "Person"})
"""Types that say who is who, and nothing else is made of."""
ACTIONS = frozenset({"collect", "access", "use", "disclose", "correct"})
STATED = frozenset({
    "resourceType", "id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension", "identifier", "status",
    "scope", "category", "patient", "dateTime", "performer", "organization", "sourceAttachment", "sourceReference", "policy", "policyRule",
    "verification", "provision",
})  # fmt: skip
"""Elements of an R4 Consent; one with others (R5's `decision`, say) may mean something else than what is read here."""
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


def _known(element: Mapping[str, Any], names: frozenset[str]) -> None:
    if {name.removeprefix("_") for name in element} - names:
        raise ValueError("with an element that is not understood")


_CODING = frozenset({"id", "extension", "system", "version", "code", "display", "userSelected"})
_CONCEPT = frozenset({"id", "extension", "coding", "text"})
_DATA = frozenset({"id", "extension", "meaning", "reference"})


def _coding(coding: Any) -> tuple[str, str]:
    _known(coding, _CODING)
    code, uri = coding.get("code"), coding.get("system", "")
    if not isinstance(code, str) or not isinstance(uri, str) or not code:
        raise ValueError("a coding without code")
    return system(uri), code


def _codings(value: Any) -> list[tuple[str, str]]:
    return [_coding(each) for each in _some(value)]


def _concept_codings(value: Any) -> list[tuple[str, str]]:
    for concept in _some(value):
        _known(concept, _CONCEPT)
    return [coding for concept in value for coding in _codings(concept.get("coding"))]


def _purposes(value: Any) -> frozenset[str]:
    """Purposes by code; one of a foreign system that borrows a known code keeps its system, so that it never passes for it."""
    found = set()
    for uri, code in _codings(value):
        found.add(f"{uri}|{code}")
        if uri in ("", ACT_REASON) or code not in PURPOSES:
            found.add(code)
    return frozenset(found)


def _actions(value: Any) -> frozenset[str]:
    """Actions by code; one of a system that is not known here keeps it, and only may be the action asked for."""
    return frozenset(code if uri in ("", CONSENT_ACTION) else f"{uri}|{code}" for uri, code in _concept_codings(value))


def _class(value: Any) -> Class:
    bits, types, profiles, documents, loose = 0, set(), set(), set(), set()
    for uri, code in _codings(value):
        if uri == SYSTEM:
            if code not in CODES:
                raise ValueError("an unknown data class")
            bits |= int(CODES[code])
        elif uri == RESOURCE_TYPES:
            types.add(code)
        elif "://" in code or code.startswith("urn:"):
            profiles.add(code.partition("|")[0])
            documents.add(meaning(uri, code))
        elif uri.startswith("http://hl7.org/fhir/StructureDefinition"):
            profiles |= {uri, f"{uri.rstrip('/')}/{code}"}
        elif uri == MEDIA_TYPES:
            documents.add((uri, code.partition(";")[0].strip().lower()))
        elif uri:
            documents.add(meaning(uri, code))
        else:
            loose.add(code)
    return Class(bits, frozenset(types), frozenset(profiles), frozenset(documents), frozenset(loose))


def _codes(value: Any) -> Codes:
    codings = _concept_codings(value)
    known = frozenset(concept for uri, code in codings if uri for concept in with_parts(meaning(uri, code)))
    loose = {code for uri, code in codings if not (uri and is_standard(uri, code))}.union(*(broader(*coding) for coding in codings))
    return Codes(known, frozenset(loose), frozenset(uri for uri, _ in codings))


def _denied_codes(value: Any) -> Codes:
    """LEAP's own consents write one concept where R4 has a list: clear enough to deny by, not to permit by."""
    return _codes([value] if isinstance(value, dict) else value)


def _labels(outcome: int) -> Callable[[Any], Labels]:
    def parse(value: Any) -> Labels:
        ranks, sensitivities = [], set()
        permits = outcome == PERMIT
        for uri, code in _codings(value):
            if not uri and permits:
                raise ValueError("a security label without system")
            if uri == CONFIDENTIALITY or (not uri and code in RANKS):
                ranks.append(RANKS[code])
            elif name := sensitivity(uri or ACT_CODE, code):
                sensitivities.add(name)
            else:
                raise ValueError("a security label of another kind")
        rank = (max(ranks) if permits else min(ranks)) if ranks else None
        return Labels(rank, frozenset(sensitivities), permits)

    return parse


def _members(reference: str, resources: Resources) -> frozenset[str]:
    found = resources.get(reference, {})
    listed = [member.get("entity") for member in found.get("member", ())] + [each.get("member") for each in found.get("participant", ())]
    return frozenset(versionless(each["reference"]) for each in listed if isinstance(each, dict) and "reference" in each)


def _people(resources: Resources) -> frozenset[str]:
    """Who is at hand: to share a patient or a doctor with a resource is not to be related to it."""
    return frozenset(name for name, found in resources.items() if found.get("resourceType") in PARTIES)


def _named(reference: Any, resources: Resources) -> frozenset[str]:
    """What a Reference names: what is at the address, or what bears the identifier; nothing where that is not at hand."""
    address = reference.get("reference") if isinstance(reference, dict) else None
    if isinstance(address, str):
        return frozenset({versionless(address)})
    sought = identifiers(reference) if isinstance(reference, dict) else frozenset()
    return frozenset(name for name, found in resources.items() if sought and not sought.isdisjoint(identifiers(found)))


def _roles(authors: set[str], resources: Resources) -> Iterator[str]:
    """Roles at hand in which one of the authors, or somebody of such an organization, writes."""
    for name, found in resources.items():
        parties = [(found.get(part) or {}).get("reference") for part in ("practitioner", "organization")]
        if found.get("resourceType") == "PractitionerRole" and authors & {versionless(party) for party in parties if isinstance(party, str)}:
            yield name


def _data(resources: Resources) -> Callable[[Any], Data]:
    def parse(value: Any) -> Data:
        named: dict[str, set[str]] = {"instance": set(), "related": set(), "dependents": set(), "authoredby": set()}
        unclear = False
        borne: set[tuple[str, str]] = set()
        for each in _some(value):
            _known(each, _DATA)
            if each.get("meaning") not in named:
                raise ValueError("data of an unknown meaning")
            found = _named(each.get("reference"), resources)
            named[each["meaning"]] |= found
            sought = identifiers(each["reference"]) if not found and each["meaning"] == "instance" and "reference" in each else frozenset()
            borne |= sought
            unclear |= not found and not sought
        authors = named["authoredby"].union(*(_members(author, resources) for author in named["authoredby"]))
        authors |= set(_roles(authors, resources))
        unclear |= any(author.startswith(("Group/", "CareTeam/")) and author not in resources for author in authors)
        targets = named["related"] | named["dependents"]
        referred = frozenset().union(*(read(resources[target]).references for target in named["related"] if target in resources))
        around = frozenset(named["instance"] | targets) | referred
        indirect = frozenset(name for name, found in resources.items() if targets and not targets.isdisjoint(read(found).references))
        roles = frozenset(name for name, found in resources.items() if found.get("resourceType") == "PractitionerRole")
        return Data(
            frozenset(named["instance"]), around, frozenset(targets), frozenset(authors), unclear, indirect - _people(resources), frozenset(borne), roles
        )

    return parse


def _data_period(zone: ZoneInfo) -> Callable[[Any], DataPeriod]:
    return lambda value: DataPeriod(*period(value, zone))


def _bases(reading: Reading, consent: Mapping[str, Any]) -> list[int]:
    """What `policyRule` says; a directive of another code system can deny, not permit."""
    rule = consent.get("policyRule", {})
    codings = rule.get("coding", []) if isinstance(rule, dict) else None
    if not isinstance(codings, list) or not all(isinstance(each, dict) for each in codings):
        reading.object("policyRule", "not a concept")
        return []
    found = [(BASES.get(str(each.get("code"))), system(str(each.get("system") or ""))) for each in codings]
    return [base for base, uri in found if base == DENY or (base and uri == ACT_CODE)]


def _root_outcome(reading: Reading, consent: Mapping[str, Any], provision: Mapping[str, Any]) -> tuple[int, str]:
    """The base of a consent and where it stands; where `policyRule` and the root's type contradict, the most restrictive wins."""
    bases = _bases(reading, consent)
    known = isinstance(provision.get("type"), str) and provision["type"] in TYPES
    stated = [TYPES[provision["type"]]] if known else []
    if "type" in provision and not stated:
        reading.object("provision.type", "neither permit nor deny")
    outcome = DENY if DENY in bases + stated else PERMIT if bases + stated else SILENT
    return outcome, "provision" if outcome in stated or not bases else "policyRule"


def _conditions(reading: Reading, place: str, provision: Mapping[str, Any]) -> tuple[Condition, ...]:
    found = (
        reading.take(place, provision, "class", _class),
        reading.take(place, provision, "dataPeriod", _data_period(reading.zone)),
        reading.take(place, provision, "data", _data(reading.resources)),
        reading.take(place, provision, "code", _denied_codes if provision.get("type") == "deny" else _codes),
    )
    return tuple(condition for condition in found if condition is not None)


def _rule(reading: Reading, place: str, provision: Mapping[str, Any], above: Rule, outcome: int, depth: int) -> Rule:
    before = len(reading.problems)
    if unknown := {name.removeprefix("_") for name in provision} - ELEMENTS:
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
    if not isinstance(listed, list):
        reading.object(f"{place}.provision", "not a list of provisions")
        listed = [listed]
    if listed and depth >= DEPTH:
        reading.object(f"{place}.provision", "nested too deep")
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
    if {name.removeprefix("_") for name in consent} - STATED:
        reading.object("", "an element that R4 does not know")
    if not _verified(consent):
        reading.object("verification", "verification that did not confirm the consent")


def _codes_of(value: Any) -> set[str]:
    """Codes of the consent scopes among the codings of concepts."""
    concepts = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
    listed = [concept.get("coding") for concept in concepts]
    codings = [each for each in chain.from_iterable(each for each in listed if isinstance(each, list)) if isinstance(each, dict)]
    return {str(each["code"]) for each in codings if "code" in each and system(str(each.get("system") or "")) in ("", CONSENT_SCOPE)}


def scopes(consent: Mapping[str, Any]) -> set[str]:
    """What a consent is about, by `scope`; where it has none, by a scope among its categories, as later releases have it."""
    if consent.get("scope"):
        return _codes_of(consent["scope"])
    return {code for code in _codes_of(consent.get("category")) if code in SCOPES}


def _about(consent: Mapping[str, Any], resident: str, resources: Resources) -> int:
    """Whether the consent is this resident's. By an identifier, or by an address of elsewhere, it may be."""
    patient = consent.get("patient")
    if not resident or patient is None:
        return YES
    if not isinstance(patient, dict) or not isinstance(patient.get("reference"), str):
        return _identified(patient, resources.get(resident))
    return likeness(versionless(patient["reference"]), frozenset({resident}))


def _identified(patient: Any, resident: Mapping[str, Any] | None) -> int:
    """A patient named by identifier, against the one at hand."""
    named = patient.get("identifier") if isinstance(patient, dict) else None
    if not isinstance(named, dict) or not resident:
        return MAYBE
    known = {(each.get("system"), each.get("value")) for each in resident.get("identifier") or () if isinstance(each, dict)}
    if (named.get("system"), named.get("value")) in known:
        return YES
    return NO if named.get("system") in {uri for uri, _ in known} else MAYBE


def applies(consent: Mapping[str, Any], resident: str, resources: Resources | None = None) -> int:
    """NO, MAYBE or YES: whether a resource is a consent in force about sharing this resident's data. `resident` empty: whoever it is about."""
    if consent.get("resourceType", "Consent") != "Consent" or consent.get("status") != "active":
        return NO
    found = scopes(consent)
    unscoped = MAYBE if consent.get("scope") and not found else YES
    return min(unscoped, _about(consent, resident, resources or {})) if not found or found & SHARING_SCOPES else NO


def parse(
    consent: dict[str, Any], number: int, *, zone: ZoneInfo, resources: Resources, house: bool, doubtful: bool = False
) -> tuple[Rule, tuple[Problem, ...]]:
    """One consent in force to its tree of rules, and what in it was not understood. `number` names a consent without id.

    `doubtful`: it only may be about this resident, and so permits nothing.
    """
    name = f"Consent/{consent['id']}" if consent.get("id") else f"Consent[{number}]"
    inner = consent.get("contained")
    contained = {f"#{each.get('id')}": each for each in (inner if isinstance(inner, list) else ()) if isinstance(each, dict)}
    reading = Reading(name, zone, {**resources, **contained} if contained else resources, house=house)
    if doubtful:
        reading.object("", "not surely about sharing, or about this resident")
    _doubts(reading, consent)
    recorded = reading.take("", consent, "dateTime", lambda value: moment(value, zone))
    provision = consent.get("provision", {})
    if not isinstance(provision, dict):
        reading.object("provision", "not a provision")
        provision = {"provision": provision} if isinstance(provision, list) else {}
    outcome, place = _root_outcome(reading, consent, provision)
    above = Rule(SILENT, (name, ""), opens_at=recorded.since if recorded else EVER)
    rule = _rule(reading, "provision", provision, above, outcome, 0)
    rule = msgspec.structs.replace(rule, place=(name, place))
    if scopes(consent) == {"research"} and rule.purposes is None:
        rule = msgspec.structs.replace(rule, purposes=frozenset({"HRESCH"}))
    return (_void(rule) if reading.problems else rule), tuple(reading.problems)


def boundaries(rules: Sequence[Rule]) -> Iterator[datetime]:
    """Every instant at which a rule may change its mind."""
    for rule in rules:
        edges = (*(rule.span or ()), rule.opens_at, *memberships(rule.actors))
        yield from (edge for edge in edges if edge not in (EVER, NEVER))
        yield from boundaries(rule.children)
