"""FHIR R4 resources: a Bundle, one resource, an array of them, or one per line (NDJSON, as bulk export writes it).

What a hospital, a PHD gateway or another hub says in FHIR becomes records by the same YAML that writes our own face (`mappings/fhir/`):
Observations with a LOINC, IEEE 11073 MDC or our own code, activity groups of the HL7 Physical Activity IG with their measures, reports
with their results. A resource that names nothing of the standard is a rejected row; Patient, Device, Provenance and the directory's types
are read for what they say of the others. Whose a resource is: the identifiers of the Patient it refers to, where the file holds that Patient
or the reference carries an identifier; else the reference itself, as a member number of the sender.
The source's own id of a record is the resource's identifier, else its `Type/id`, so a resource sent again is the same record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from adapters import elements
from adapters.base import AdapterError, Context, Decoded, Rejected, TooLarge
from mappings import sampled
from mappings.inverse import Understood, local_reference, names_of, records_of
from mappings.places import places
from schemas.errors import InvalidRecord
from schemas.r4 import shape
from schemas.records import KINDS, Flag, Series, Who

id = "fhir-r4"
title = ("FHIR R4 资源", "FHIR R4 resources")
version = "1"
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


class _Entry(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw(b"")
    full_url: str | None = None


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


class _Type(msgspec.Struct, rename="camel"):
    resource_type: str


class _Found(NamedTuple):
    """One resource of the file: where it stood (1-based), its own bytes, and what they say."""

    row: int
    raw: bytes
    said: dict[str, Any]


_bundle = msgspec.json.Decoder(_Bundle).decode
_type = msgspec.json.Decoder(_Type).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


def recognises(head: bytes, filename: str | None) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") and b'"resourceType"' in head


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    found, rejected = _resources(elements.cut(stream, context.limits), context)
    if not found and not rejected:
        raise AdapterError("The file holds no resource.", code="empty-file", advice="Send at least one.")
    return _rows(found, rejected)


def _resources(cut: elements.Elements, context: Context) -> tuple[list[_Found], list[Rejected]]:
    """Every resource of the file, those in Bundles too, and what is no resource."""
    found: list[_Found] = []
    rejected: list[Rejected] = []
    for raw, full_url in _unfolded(cut):
        row = len(found) + len(rejected) + 1
        if row > context.limits.rows:
            raise TooLarge(f"The file has more than {context.limits.rows} resources.", advice="Split it and send the parts one by one.")
        try:
            said = _one(raw, context)
        except InvalidRecord as wrong:
            rejected.append(Rejected(row, wrong.field, wrong.code, wrong.message, wrong.advice, original=raw))
        else:
            found.append(_Found(row, raw, said | ({"_fullUrl": full_url} if full_url else {})))
    return found, rejected


def _unfolded(cut: elements.Elements) -> Iterator[tuple[bytes, str | None]]:
    for raw in cut.raws:
        try:
            entries = _bundle(raw).entry if _type(raw).resource_type == "Bundle" else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            entries = None
        if entries is None:
            yield raw, None
        else:
            yield from ((content, entry.full_url) for entry in entries if (content := bytes(entry.resource)))


def _one(raw: bytes, context: Context) -> dict[str, Any]:
    """A resource's content. Raises InvalidRecord for what is none."""
    try:
        fault = elements.fault(raw, context.limits)
        said = _object(raw) if not fault else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise InvalidRecord(f"It is not valid JSON: {elements.reason(wrong)}.", code="not-json") from None
    except RecursionError:
        fault, said = "too-deep", {}
    if fault:
        raise InvalidRecord("It names a key twice." if fault == "duplicate-key" else f"It is nested deeper than {context.limits.depth} levels.", code=fault)
    if not isinstance(said.get("resourceType"), str):
        raise InvalidRecord("It has no resourceType.", code="not-a-resource", field="resourceType", advice="Send FHIR R4 resources as JSON.")
    shape.check(said)
    return said


def _rows(found: Sequence[_Found], rejected: list[Rejected]) -> Iterator[Decoded | Rejected]:
    resources = [one.said for one in found]
    people = {name: one for one in resources if one["resourceType"] == "Patient" for name in names_of(one)}
    curves = _curves(resources)
    many = len({str(one.get("subject", one.get("patient"))) for one in resources if "subject" in one or "patient" in one}) > 1
    yield from rejected
    for understood in records_of(resources):
        if isinstance(understood, Understood):
            yield _decoded(understood, found, people, curves, many=many)
        elif understood[0] not in curves.places:
            place, wrong = understood
            yield Rejected(found[place].row, wrong.field, wrong.code, wrong.message, wrong.advice, original=found[place].raw)


def _decoded(understood: Understood, found: Sequence[_Found], people: dict[str, dict[str, Any]], curves: _Curves, *, many: bool) -> Decoded:
    record, first = understood.record, found[understood.places[0]]
    if record.source_record_id is None and "id" in first.said:
        record.source_record_id = f"{first.said['resourceType']}/{first.said['id']}"
    record.flags = [*record.flags, *_converted(record)]
    series = [one for name in names_of(first.said) for one in curves.of.get(name, ())]
    places = [*understood.places, *(place for name in names_of(first.said) for place in curves.places_of.get(name, ()))]
    original = b"[%b]" % b",".join(found[place].raw for place in places) if many else None
    return Decoded(record, _who(understood.subject, people), first.row, series, original)


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


def _who(subject: dict[str, Any] | None, people: dict[str, dict[str, Any]]) -> Who | None:
    """Whom a subject reference means, as far as the file says."""
    if not subject:
        return None
    said = subject.get("reference")
    person = people.get(local_reference(said)) if isinstance(said, str) else None
    if person is not None:
        return _person(person, local_reference(str(said)))
    if isinstance(subject.get("identifier"), dict):
        return _identified([subject["identifier"]], Who(name=subject.get("display")))
    return Who(source_id=local_reference(said)) if isinstance(said, str) else None


def _person(person: dict[str, Any], reference: str) -> Who:
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
