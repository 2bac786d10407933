"""What a rule may look for inside a FHIR resource: codes, references, authors, profiles, labels, times. Reading only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from consent.request import Facts
from consent.span import EVER, NEVER, Span, moment, period
from consent.terms import (
    ACT_CODE,
    ACT_REASON,
    CONFIDENTIALITY,
    INSTRUCTIONS,
    MEDIA_TYPES,
    OBSERVATION_VALUE,
    PURPOSES,
    RANKS,
    broader,
    is_standard,
    meaning,
    system,
)
from schemas.classes import CODES, SYSTEM, DataClass
from schemas.measures import LOCAL, MEASURES

AUTHORS = (
    "author", "performer", "recorder", "asserter", "informationSource", "participant", "practitioner", "device",
    "attester", "source", "requester", "agent",
)  # fmt: skip
"""Elements that name who made a resource."""
PRINCIPAL = ("code", "medicationCodeableConcept", "vaccineCode", "type")
"""Elements that say what a resource is about, first found first."""
TIMES = (
    "effective", "performed", "occurrence", "onset", "collected", "period", "started", "date", "authoredOn", "authored", "created", "occurred",
    "sent", "whenHandedOver", "recordedDate", "dateAsserted",
)  # fmt: skip
"""Elements that say when the data was made, first found first; `issued` is when it was published, and never counts."""
TYPE_CLASSES = {
    "Patient": DataClass.IDENTITY, "RelatedPerson": DataClass.IDENTITY, "Person": DataClass.IDENTITY,
    "Condition": DataClass.DIAGNOSIS, "Encounter": DataClass.DIAGNOSIS, "Procedure": DataClass.DIAGNOSIS, "AllergyIntolerance": DataClass.DIAGNOSIS,
    "MedicationStatement": DataClass.MEDICATION, "MedicationRequest": DataClass.MEDICATION, "MedicationAdministration": DataClass.MEDICATION,
    "MedicationDispense": DataClass.MEDICATION, "ImagingStudy": DataClass.IMAGING, "Media": DataClass.IMAGING,
    "QuestionnaireResponse": DataClass.LIFESTYLE, "CarePlan": DataClass.PRESCRIPTION, "ServiceRequest": DataClass.PRESCRIPTION,
    "Goal": DataClass.PRESCRIPTION, "Appointment": DataClass.ATTENDANCE,
}  # fmt: skip


class Concepts(NamedTuple):
    """Codes found together. `bare` are the codes without their systems; `opaque`: what they are about is not known here, but by `systems`."""

    codes: frozenset[tuple[str, str]]
    bare: frozenset[str]
    systems: frozenset[str]
    opaque: bool


class Content(NamedTuple):
    """The inside of one resource. References are versionless; `components` are the concepts of each component in order."""

    concepts: Concepts
    components: tuple[Concepts, ...]
    references: frozenset[str]
    authors: frozenset[str]
    derived_from: frozenset[str]
    members: tuple[str, ...]
    profiles: frozenset[str]
    document_types: frozenset[tuple[str, str]]
    identifiers: frozenset[tuple[str, str]]


def identifiers(resource: Mapping[str, Any] | None) -> frozenset[tuple[str, str]]:
    """The business identifiers of a resource, by system and value."""
    return frozenset((str(each.get("system", "")), str(each["value"])) for each in _nodes((resource or {}).get("identifier")) if "value" in each)


def joined(around: Content, inner: Content) -> Content:
    """A contained resource, which also is what surrounds it; its components and derivations stay its own."""
    return Content(
        together(around.concepts, inner.concepts), inner.components, around.references | inner.references, around.authors | inner.authors,
        inner.derived_from, inner.members, around.profiles | inner.profiles, around.document_types | inner.document_types,
        around.identifiers | inner.identifiers,
    )  # fmt: skip


def together(whole: Concepts, part: Concepts) -> Concepts:
    """Concepts of a part: its own, and those of what surrounds it."""
    unknown = [each.systems for each in (whole, part) if each.opaque]
    systems = frozenset.intersection(*unknown) if unknown else whole.systems | part.systems
    return Concepts(whole.codes | part.codes, whole.bare | part.bare, systems, bool(unknown))


def versionless(reference: str) -> str:
    """A reference without `/_history/n`."""
    return reference.partition("/_history/")[0]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _walk(value: Any, skip: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for key, inner in value.items():
            if key not in skip:
                yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)


def _codings(nodes: Iterator[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        bare = [node] if "system" in node and "value" not in node else []
        for coding in (*_listed(node.get("coding")), *bare):
            if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                yield system(str(coding.get("system", ""))), coding["code"]


def _principal(resource: Mapping[str, Any]) -> tuple[frozenset[str], bool]:
    """Systems of the concept the resource is about, and whether none of its codings is understood."""
    concept = next((resource[name] for name in PRINCIPAL if name in resource), None)
    if concept is None:
        return frozenset(), False
    codings = [coding for each in _listed(concept) for coding in _codings(_walk(each))]
    return frozenset(uri for uri, _ in codings), not any(is_standard(uri, code) for uri, code in codings)


def _concepts(part: Mapping[str, Any], skip: frozenset[str] = frozenset()) -> Concepts:
    codings = list(_codings(_walk(part, skip)))
    systems, opaque = _principal(part)
    above = {(uri, wider) for uri, code in codings for wider in broader(uri, code)}
    return Concepts(frozenset(meaning(*coding) for coding in codings) | above, frozenset(code for _, code in codings), systems, opaque)


UNKNOWN_CONCEPTS = Concepts(frozenset(), frozenset(), frozenset(), opaque=True)


def medication(resource: Mapping[str, Any], resources: Mapping[str, Mapping[str, Any]]) -> Concepts | None:
    """What a resource says by `medicationReference`, from the Medication contained or at hand; where there is none, it may be anything."""
    named = resource.get("medicationReference")
    if not isinstance(named, dict):
        return None
    reference = versionless(str(named.get("reference")))
    inner = {f"#{each.get('id')}": each for each in _nodes(resource.get("contained"))}
    found = inner.get(reference) or resources.get(reference)
    return _concepts(found) if found else UNKNOWN_CONCEPTS


def _references(value: Any) -> frozenset[str]:
    return frozenset(versionless(node["reference"]) for node in _walk(value) if isinstance(node.get("reference"), str))


_APART = frozenset({"meta", "text", "contained", "component", "extension", "modifierExtension"})
_MADE_FROM = frozenset({"transforms", "appends", "signs"})


def _derived_from(resource: Mapping[str, Any]) -> frozenset[str]:
    related = [each for each in _nodes(resource.get("relatesTo")) if each.get("code") in _MADE_FROM]
    context = _references(resource.get("securityContext")) - patients_in(resource)
    return _references([resource.get("derivedFrom"), resource.get("basis"), related]) | context


def patients_in(resource: Mapping[str, Any]) -> frozenset[str]:
    """Every patient a resource refers to."""
    return frozenset(reference for reference in _references(resource) if "Patient" in reference.split("/")[-2:-1])


def _members(resource: Mapping[str, Any]) -> Iterator[str]:
    """What a resource gathers by reference: members of a panel, results of a report, entries of a section or a list."""
    gathered = [*(each for name in ("hasMember", "result", "imagingStudy") for each in _listed(resource.get(name)))]
    gathered += [each.get(name) for parts, name in (("media", "link"), ("entry", "item")) for each in _nodes(resource.get(parts))]
    for section in _sections(resource):
        gathered += _listed(section.get("entry"))
    for each in gathered:
        if isinstance(each, dict) and isinstance(each.get("reference"), str):
            yield versionless(each["reference"])


def _nodes(value: Any) -> list[dict[str, Any]]:
    return [each for each in _listed(value) if isinstance(each, dict)]


def _sections(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for section in _nodes(value.get("section")):
        yield section
        yield from _sections(section)


def _document_types(resource: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    formats = [each.get("format") for each in _nodes(resource.get("content"))]
    documents = [*(resource[name] for name in ("type", "category", "code") if name in resource), *formats]
    yield from (meaning(*coding) for coding in _codings(_walk(documents)))
    for node in _walk(resource):
        if isinstance(node.get("contentType"), str):
            yield MEDIA_TYPES, node["contentType"].partition(";")[0].strip().lower()


def read(resource: Mapping[str, Any]) -> Content:
    """Everything rules may ask of one resource."""
    meta = resource.get("meta") or {}
    return Content(
        concepts=_concepts(resource, _APART),
        components=tuple(_concepts(part) for part in _listed(resource.get("component")) if isinstance(part, dict)),
        references=_references({key: value for key, value in resource.items() if key != "contained"}),
        authors=_references([resource.get(name) for name in AUTHORS]) | frozenset(filter(None, [meta.get("source")])),
        derived_from=_derived_from(resource),
        members=tuple(dict.fromkeys(_members(resource))),
        profiles=frozenset(str(url).partition("|")[0] for url in _listed(meta.get("profile"))),
        document_types=frozenset(_document_types(resource)),
        identifiers=identifiers(resource),
    )


_SOURCES = frozenset({"derivation", "revision", "quotation", "source"})


class Origin(NamedTuple):
    """What Provenance at hand says of one resource: who made it, and from what."""

    authors: frozenset[str]
    derived_from: frozenset[str]


NOWHERE = Origin(frozenset(), frozenset())


def origins(resources: Mapping[str, Mapping[str, Any]]) -> dict[str, Origin]:
    """The origins that Provenance among the resources tells of, by the reference of what was made; a Binary is of the document it is attached to."""
    found: dict[str, Origin] = {}
    for each in resources.values():
        for binary in _attached(each):
            known = found.get(binary, NOWHERE)
            found[binary] = known._replace(derived_from=known.derived_from | {f"{each.get('resourceType')}/{each.get('id')}"})
        if each.get("resourceType") == "Provenance":
            sources = [entity.get("what") for entity in _nodes(each.get("entity")) if entity.get("role") in _SOURCES]
            own = Origin(_references(each.get("agent")), _references(sources))
            for target in _references(each.get("target")):
                known = found.get(target, NOWHERE)
                found[target] = Origin(known.authors | own.authors, known.derived_from | own.derived_from - {target})
    return found


def _attached(resource: Mapping[str, Any]) -> Iterator[str]:
    for node in _nodes(resource.get("content")):
        attachment = node.get("attachment", node)
        url = attachment.get("url") if isinstance(attachment, dict) else None
        if isinstance(url, str) and url.startswith("Binary/"):
            yield versionless(url)


def with_origin(content: Content, origin: Origin) -> Content:
    """The content, with what Provenance adds."""
    if origin is NOWHERE:
        return content
    return content._replace(authors=content.authors | origin.authors, derived_from=content.derived_from | origin.derived_from)


def about(resource: Mapping[str, Any]) -> str | None:
    """The patient a resource is about, versionless; None where it names none."""
    if resource.get("resourceType") == "Patient":
        return f"Patient/{resource.get('id', '')}"
    for name in ("subject", "patient", "beneficiary", "for"):
        found = (resource.get(name) or {}).get("reference") if isinstance(resource.get(name), dict) else None
        if isinstance(found, str):
            return versionless(found)
    return None


_NO_INLINE = frozenset({"contained", "text"})
UNRANKED = "?"
"""The confidentiality of what carries labels, but none of that kind: any."""


def _labels(resource: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Labels by system and code. One without a system is what its code says: never less confidential for being sloppy."""
    security = _listed((resource.get("meta") or {}).get("security"))
    inline = [each.get("valueCoding") for each in _walk(resource, _NO_INLINE) if str(each.get("url", "")).endswith("/extension-inline-sec-label")]
    found = [label for label in (*security, *inline) if isinstance(label, dict) and "code" in label]
    return [(_label_system(str(label.get("system") or ""), str(label["code"])), str(label["code"])) for label in found]


def _label_system(uri: str, code: str) -> str:
    if uri:
        return system(uri)
    return CONFIDENTIALITY if code in RANKS else ACT_REASON if code in PURPOSES else ACT_CODE


def _confidentiality(labels: list[tuple[str, str]]) -> str:
    found = [code for uri, code in labels if uri == CONFIDENTIALITY]
    if found:
        return max(found, key=lambda code: RANKS.get(code, len(RANKS)))
    if any(uri == SYSTEM for uri, _ in labels) and not any(sensitivity(*label) for label in labels):
        return "N"
    return UNRANKED if any(uri != ACT_REASON for uri, _ in labels) else ""


def sensitivity(uri: str, code: str) -> str | None:
    """The name of a sensitivity label: the code of ActCode, `system|code` elsewhere; None where the label is of another kind."""
    if uri == ACT_CODE:
        return None if code in INSTRUCTIONS else code
    return None if uri in (CONFIDENTIALITY, ACT_REASON, OBSERVATION_VALUE, SYSTEM) else f"{uri}|{code}"


def _classes(resource: Mapping[str, Any], labels: list[tuple[str, str]], concepts: Concepts) -> int:
    bits = 0
    for uri, code in labels:
        bits |= int(CODES.get(code, 0)) if uri == SYSTEM else 0
    if bits:
        return bits
    for uri, code in concepts.codes:
        bits |= int(MEASURES[code].data_class) if uri == LOCAL and code in MEASURES else 0
    return bits or int(TYPE_CLASSES.get(str(resource.get("resourceType")), 0))


def _stretch(value: Any, zone: ZoneInfo) -> Span | None:
    try:
        return period(value, zone) if isinstance(value, dict) else moment(value, zone)
    except ValueError:
        return None


def made(resource: Mapping[str, Any], zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """First and last instant of what a resource tells of, by its clinical time; None where it does not say."""
    told = [_stretch(value, zone) for value in _told(resource)]
    spans = [span for span in told if span]
    if not spans or len(spans) < len(told):
        return None, None
    since, until = min(span.since for span in spans), max(span.until for span in spans)
    return None if since == EVER else since, None if until == NEVER else until - timedelta(microseconds=1)


def _told(resource: Mapping[str, Any]) -> Iterator[Any]:
    """Every value that says when: the first time found, with its end where it stands in an element of its own."""
    if isinstance(resource.get("collection"), dict):
        yield from _told(resource["collection"])
    if "start" in resource or "end" in resource:
        yield {name: resource[name] for name in ("start", "end") if name in resource}
        return
    stems = [(stem, [name for name in _forms(stem) if name in resource]) for stem in TIMES]
    first = next(((stem, names) for stem, names in stems if names), None)
    if first is not None:
        yield from chain.from_iterable(_moments(resource[name]) if name.endswith("Timing") else [resource[name]] for name in first[1])
    if first is not None and first[0] == "onset":
        yield from (resource[name] for name in _forms("abatement") if name in resource)
    if isinstance(resource.get("context"), dict) and "period" in resource["context"]:
        yield resource["context"]["period"]


def _moments(timing: Any) -> list[Any]:
    """The events of a Timing, or the period that bounds its repeats."""
    if not isinstance(timing, dict):
        return []
    repeat = timing.get("repeat")
    return [*_listed(timing.get("event")), *([repeat["boundsPeriod"]] if isinstance(repeat, dict) and "boundsPeriod" in repeat else [])]


@cache
def _forms(stem: str) -> tuple[str, ...]:
    return (stem, f"{stem}DateTime", f"{stem}Period", f"{stem}Instant", f"{stem}Date", f"{stem}Timing")


def facts_of(resource: Mapping[str, Any], zone: ZoneInfo, *, source: str | None = None) -> Facts:
    """Facts of a resource at hand. Class and labels are read from `meta.security`; without a class label, from code and type."""
    labels = _labels(resource)
    starts, ends = made(resource, zone)
    return Facts(
        classes=_classes(resource, labels, _concepts(resource, _APART)),
        resource_type=str(resource.get("resourceType", "")),
        reference=f"{resource.get('resourceType', '')}/{resource.get('id', '')}",
        starts=starts,
        ends=ends,
        source=source,
        sensitivity=frozenset(name for uri, code in labels if (name := sensitivity(uri, code))),
        confidentiality=_confidentiality(labels),
        purposes=frozenset(code for uri, code in labels if uri == ACT_REASON and code in PURPOSES and code != "HTEST"),
    )
