"""FHIR R4 resources: a Bundle, one resource, an array of them, or one per line (NDJSON, as bulk export writes it).

What a hospital, a PHD gateway or another hub says in FHIR becomes records by the same YAML that writes our own face (`mappings/fhir/`):
Observations with a LOINC, IEEE 11073 MDC or our own code, activity groups of the HL7 Physical Activity IG with their measures, reports
with their results. A device's compound (HL7 PHD IG) is the measure or blood pressure that is in it, with the words beside it as a note; a
glucose by an MDC code is the measure of its unit's property. A resource that names nothing of the standard is a rejected row; Patient,
Device, Provenance and the directory's types are read for what they say of the others. Whose a resource is: the identifiers of the Patient
it refers to, where the file or the resource holds that Patient or the reference carries an identifier; else the reference itself, as a
member number of the sender.

A resource is judged by R4's validator before it is read. What it cannot be read by (`_UNREADABLE`) makes it a rejected row, with the
FHIRPath of the place; any other rule of R4 that it breaks, or of a profile that it claims, is a flag on the record, which is taken.
The source's own id of a record is the resource's identifier, else its `Type/id`, so a resource sent again is the same record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, BinaryIO, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from adapters import elements
from adapters.base import AdapterError, Context, Decoded, Rejected, TooLarge
from mappings import sampled
from mappings.inverse import Understood, local_reference, names_of, records_of, whose
from mappings.places import places
from schemas.errors import InvalidRecord
from schemas.r4.issues import Issue
from schemas.r4.validator import by_profiles, by_r4
from schemas.records import KINDS, Flag, Series, Who

id = "fhir-r4"
title = ("FHIR R4 资源", "FHIR R4 resources")
version = "3"
extensions = (".json", ".ndjson")
emits = frozenset(KINDS)
sample = b"""{"resourceType": "Bundle", "type": "collection", "entry": [
{"resource": {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:kinehub:sample", "value": "A1001"}]}},
{"resource": {"resourceType": "Observation", "id": "bp-1", "status": "final",
  "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
  "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
  "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-05-01T08:40:00+08:00",
  "component": [
    {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
     "valueQuantity": {"value": 124, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}},
    {"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4"}]},
     "valueQuantity": {"value": 78, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}]}},
{"resource": {"resourceType": "Observation", "id": "weight-1", "status": "final",
  "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
  "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-05-01T08:45:00+08:00",
  "valueQuantity": {"value": 63.2, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}}}
]}
"""

IDENTIFIERS: Final = {
    "urn:oid:2.16.156.10011.1.3": "id_number",
    "urn:oid:2.16.156.10011.1.19": "health_card",
    "https://kinehub.org/id/member-number": "member_number",
}
"""Identifier systems of Patients to the hints they are (OIDs: STANDARD 5a); any other system is the sender's own number."""


def fills() -> dict[str, frozenset[str]]:
    """What a face has a place for is read back from it."""
    return {kind: frozenset(name for name in places(kind) if "." not in name) for kind in KINDS}


_UNREADABLE: Final = frozenset({"type", "empty", "null", "unknown-element", "choice", "resource-type", "primitive", "required", "required-binding"})
"""Rules about structure, primitives, cardinality and required codes. The others (invariants, units, narrative …) say nothing that reading rests on."""


class _Entry(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw(b"")
    full_url: Any = None


class _Bundle(msgspec.Struct):
    entry: list[msgspec.Raw] = []


class _Type(msgspec.Struct, rename="camel"):
    resource_type: str


class _Found(NamedTuple):
    """One resource of the file: where it stood (1-based), its own bytes, what they say, and the rules that it does not meet."""

    row: int
    raw: bytes
    said: dict[str, Any]
    flags: list[Flag]


_People = dict[str, dict[str, Any] | None]
"""What references call the Patients of a file to what these say; None for one that was refused: nobody else is meant."""


class _Read(NamedTuple):
    """The resources of a file, the rows that are none, and what references may call a Patient among these."""

    found: list[_Found]
    rejected: list[Rejected]
    strangers: set[str]


_bundle = msgspec.json.Decoder(_Bundle).decode
_entry = msgspec.json.Decoder(_Entry).decode
_type = msgspec.json.Decoder(_Type).decode
_json = msgspec.json.Decoder().decode


def recognises(head: bytes, filename: str | None) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") and b'"resourceType"' in head


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    read = _resources(elements.cut(stream, context.limits), context)
    if not read.found and not read.rejected:
        raise AdapterError("The file holds no resource.", code="empty-file", advice="Send at least one.")
    return _rows(read)


def _resources(cut: elements.Elements, context: Context) -> _Read:
    """Every resource of the file, those in Bundles too, and what is no resource."""
    read = _Read([], [], set())
    for row, (raw, full_url) in enumerate(_unfolded(cut), 1):
        if row > context.limits.rows:
            raise TooLarge(f"The file has more than {context.limits.rows} resources.", advice="Split it and send the parts one by one.")
        said: Any = None
        try:
            said = _parsed(raw, context)
            flags = _judged(said)
        except InvalidRecord as wrong:
            read.rejected.append(Rejected(row, wrong.field, wrong.code, wrong.message, wrong.advice, original=raw))
            read.strangers.update(names_of(_named(said, full_url)) if _is_patient(said) else ())
        else:
            read.found.append(_Found(row, raw, _named(said, full_url), flags))
    return read


def _unfolded(cut: elements.Elements) -> Iterator[tuple[bytes, Any]]:
    for raw in cut.raws:
        try:
            entries = _bundle(raw).entry if _type(raw).resource_type == "Bundle" else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            entries = None
        if entries is None:
            yield raw, None
        else:
            yield from (one for entry in entries if (one := _carried(bytes(entry)))[0])


def _carried(entry: bytes) -> tuple[bytes, Any]:
    """The resource of an entry and its fullUrl; what is no entry is itself refused as a resource."""
    try:
        found = _entry(entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return entry, None
    return bytes(found.resource), found.full_url


def _is_patient(said: Any) -> bool:
    return isinstance(said, dict) and said.get("resourceType") == "Patient"


def _named(said: dict[str, Any], full_url: Any) -> dict[str, Any]:
    return said | ({"_fullUrl": full_url} if isinstance(full_url, str) else {})


def _parsed(raw: bytes, context: Context) -> Any:
    """A resource's JSON. Raises InvalidRecord for what is none."""
    try:
        fault = elements.fault(raw, context.limits)
        said = _json(raw) if not fault else None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise InvalidRecord(f"It is not valid JSON: {elements.reason(wrong)}.", code="not-json") from None
    except RecursionError:
        fault, said = "too-deep", None
    if fault:
        raise InvalidRecord("It names a key twice." if fault == "duplicate-key" else f"It is nested deeper than {context.limits.depth} levels.", code=fault)
    return said


def _judged(said: Any) -> list[Flag]:
    """The rules that a resource does not meet. Raises InvalidRecord for the first by which it cannot be read."""
    found = by_r4(said)
    for issue in found:
        if issue.severity == "error" and issue.rule in _UNREADABLE:
            raise _refusal(issue)
        if issue.rule == "unserved-type" and issue.path == said["resourceType"]:
            raise InvalidRecord("Resources of this type say nothing that the standard has.", code="not-a-measure", field=issue.path)
    errors = [issue for issue in (*found, *by_profiles(said)) if issue.severity == "error"]
    return [Flag("rule-unmet", issue.path, issue.text) for issue in {issue.rule: issue for issue in reversed(errors)}.values()]


def _refusal(issue: Issue) -> InvalidRecord:
    code = "not-a-resource" if issue.rule == "resource-type" else "not-r4"
    return InvalidRecord(issue.text, code=code, field=issue.path, advice="Send FHIR R4 (4.0.1) as JSON; `$validate` names everything that is wrong.")


def _rows(read: _Read) -> Iterator[Decoded | Rejected]:
    found, resources = read.found, [one.said for one in read.found]
    people: _People = {name: one for one in resources if _is_patient(one) for name in names_of(one)}
    people |= dict.fromkeys(read.strangers - people.keys())
    curves = _curves(resources)
    many = len({str(about) for one in resources if (about := whose(one) or one.get("patient"))}) > 1
    yield from read.rejected
    for understood in records_of(resources):
        if isinstance(understood, Understood):
            yield _decoded(understood, found, people, curves, many=many)
        elif understood[0] not in curves.places:
            place, wrong = understood
            yield Rejected(found[place].row, wrong.field, wrong.code, wrong.message, wrong.advice, original=found[place].raw)


def _decoded(understood: Understood, found: Sequence[_Found], people: _People, curves: _Curves, *, many: bool) -> Decoded:
    record, first = understood.record, found[understood.places[0]]
    if record.source_record_id is None and "id" in first.said:
        record.source_record_id = f"{first.said['resourceType']}/{first.said['id']}"
    record.flags = [*record.flags, *_converted(record), *(flag for place in understood.places for flag in found[place].flags)]
    series = [one for name in names_of(first.said) for one in curves.of.get(name, ())]
    places = [*understood.places, *(place for name in names_of(first.said) for place in curves.places_of.get(name, ()))]
    original = b"[%b]" % b",".join(found[place].raw for place in places) if many else None
    contained = [one for place in understood.places for one in found[place].said.get("contained", ())]
    return Decoded(record, _who(understood.subject, people, contained), first.row, series, original)


def _converted(record: Any) -> list[Flag]:
    quantities = [*getattr(record, "components", ()), *getattr(record, "quantities", ()), *getattr(record, "items", ())]
    quantities += [record.quantity] if getattr(record, "quantity", None) is not None else []
    return [Flag("unit-converted", one.measure) for one in quantities if one.original]


class _Curves(NamedTuple):
    """Samples of sessions: by the name of the activity group they derive from, and where they stood."""

    of: dict[str, list[Series]]
    places_of: dict[str, list[int]]
    places: set[int]


def _curves(resources: Sequence[dict[str, Any]]) -> _Curves:
    curves = _Curves({}, {}, set())
    for place, one in enumerate(resources):
        series = sampled.series_of(one) if "valueSampledData" in one else []
        if not series:
            continue
        curves.places.add(place)
        for source in one.get("derivedFrom", ()):
            name = local_reference(source.get("reference", ""))
            curves.of.setdefault(name, []).extend(series)
            curves.places_of.setdefault(name, []).append(place)
    return curves


def _who(subject: dict[str, Any] | None, people: _People, contained: Sequence[dict[str, Any]]) -> Who | None:
    """Whom a subject reference means, as far as the file says."""
    if not subject:
        return None
    said = subject.get("reference")
    if isinstance(said, str) and said.startswith("#"):
        return next((_person(one, None) for one in contained if _is_patient(one) and one.get("id") == said[1:]), None)
    if isinstance(said, str) and "?" in said:
        named = [text.rpartition("|") for name, text in parse_qsl(said.partition("?")[2]) if name == "identifier"]
        return _identified([{"system": system, "value": value} for system, _, value in named], Who())
    name = local_reference(said) if isinstance(said, str) else ""
    if name in people:
        person = people[name]
        return None if person is None else _person(person, name)
    if isinstance(subject.get("identifier"), dict):
        return _identified([subject["identifier"]], Who(name=subject.get("display")))
    return Who(source_id=name) if name else None


def _person(person: dict[str, Any], reference: str | None) -> Who:
    names = [name.get("text") or f"{name.get('family', '')}{''.join(name.get('given', ()))}" for name in person.get("name", ())]
    phones = [contact.get("value") for contact in person.get("telecom", ()) if contact.get("system") == "phone"]
    who = Who(
        name=next(filter(None, names), None), phone=next(filter(None, phones), None), birth_date=_day(person.get("birthDate")), gender=person.get("gender"),
        source_id=reference,
    )  # fmt: skip
    return _identified(person.get("identifier", ()), who)


def _day(said: Any) -> date | None:
    try:
        return date.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        return None


def _identified(identifiers: Sequence[dict[str, Any]], who: Who) -> Who:
    found: dict[str, str] = {}
    for one in identifiers:
        if one.get("value"):
            found.setdefault(IDENTIFIERS.get(one.get("system", ""), "source_id"), str(one["value"]))
    return msgspec.structs.replace(who, **found)
