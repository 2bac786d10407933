"""Small named functions for the faces of care: laboratories, questionnaires, prescriptions, referrals, bookings.

Like those of `mappings/functions.py`: JSON bytes, `b""` where nothing is said.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from html import escape
from typing import Any, Final

from mappings.functions import (
    ABSENT,
    BASE,
    SOURCE_RECORD_SYSTEM,
    Context,
    boolean,
    clock,
    coding,
    codings,
    concept,
    dumps,
    entry,
    local_date,
    number,
    period,
    sport_concept,
    text,
    there,
    zoned,
)
from schemas.errors import InvalidRecord
from schemas.instruments import is_held
from schemas.measures import MEASURES, UCUM
from schemas.records import Answer, Moment
from schemas.units import FACTORS

KNOWN_UNITS: Final = frozenset({measure.unit for measure in MEASURES.values()} | {unit for pair in FACTORS for unit in pair} | {"g/L", "U/L", "mmol", "10*9/L"})
"""UCUM units that are written as such; whatever else a laboratory writes stays its own words."""
_XHTML = 'xmlns="http://www.w3.org/1999/xhtml" lang="zh-CN" xml:lang="zh-CN"'


def concept_of(context: Context, *said: str | None) -> bytes:
    """A CodeableConcept with the first text that is there."""
    return concept(context, next((one for one in said if there(one)), None))


def patient(context: Context) -> bytes:
    """The Reference to whom the record is about, where it is not the resource's subject."""
    return context.subject[11:]


def practitioner(context: Context, name: str | None) -> bytes:
    """The Reference to a person by name: the directory's entry, or the name alone."""
    inner = entry(context, "Practitioner", name)
    return b'{"type":"Practitioner",%b}' % inner if inner else b""


def organization(context: Context, name: str | None) -> bytes:
    """The Reference to an organization by name or identifier: the directory's entry, or the name alone."""
    inner = entry(context, "Organization", name)
    return b'{"type":"Organization",%b}' % inner if inner else b""


def author(context: Context, name: str | None) -> bytes:
    """The Reference to the person named, else to the party the record came from."""
    return practitioner(context, name) or context.party


def day(_: Context, value: date | None) -> bytes:
    """A FHIR date."""
    return b'"%b"' % value.isoformat().encode() if value is not None else b""


def moment(context: Context, *moments: Moment | None) -> bytes:
    """A dateTime: the first moment that is known."""
    found = next((one for one in moments if one is not None), None)
    return b'"%b"' % clock(found, context.zone)[0].encode() if found is not None else b""


def date_of(context: Context, *moments: Moment | None) -> bytes:
    """The date of the first moment that is known."""
    found = next((one for one in moments if one is not None), None)
    return b'"%b"' % local_date(found, context.zone).encode() if found is not None else b""


def moment_of(context: Context, *moments: Moment | None) -> bytes:
    """As `moment`, of what another element says: nothing is read from it."""
    return moment(context, *moments)


def day_with(context: Context, value: date | None, beside: object) -> bytes:
    """A date where something else is there too."""
    return day(context, value) if there(beside) else b""


def day_without(context: Context, value: date | None, beside: object) -> bytes:
    """A date where something else is not there."""
    return b"" if there(beside) else day(context, value)


def instant(_: Context, value: Moment | None) -> bytes:
    """An instant; absent when only a day or a local clock is known."""
    if value is None or value.at is None or value.precision == "day":
        return b""
    return b'"%b"' % zoned(value.at, value.offset_minutes).encode()


def coded(context: Context, said: str | None, source: str | None) -> bytes:
    """A CodeableConcept of a source's words and its own `system|code`."""
    coding_, inner = coding(context, source), text(context, said)
    parts = [b'"coding":[%b]' % coding_[1:] if coding_ else b"", b'"text":' + inner if inner else b""]
    return b"{%b}" % b",".join(filter(None, parts)) if coding_ or inner else b""


@lru_cache(maxsize=512)
def _of_measure(key: str) -> tuple[bytes, bytes]:
    measure = MEASURES.get(key)
    if measure is None:
        raise InvalidRecord("The record names a measure that the standard does not have.", code="measure")
    return dumps(codings(measure))[1:-1], dumps(measure.zh)


def analyte(context: Context, measure: str | None, source: str | None, name: str | None) -> bytes:
    """A CodeableConcept of a measure of the standard, the source's own code and the source's own name, as far as they are there."""
    if measure is None:
        return coded(context, name, source)
    standard, zh = _of_measure(measure)
    own = coding(context, source)
    further = b"" if own[1:-1] and own[1:-1] in standard else own
    return b'{"coding":[%b%b],"text":%b}' % (standard, further, text(context, name) or zh)


def measure_concept(context: Context, measure: str) -> bytes:
    """A CodeableConcept of a measure of the standard."""
    return analyte(context, measure, None, None)


def goal_measure(context: Context, measure: str | None, value: float | None, said: str) -> bytes:
    """What a goal's figure is a figure of: the measure, else the goal's own words; absent without a figure."""
    return analyte(context, measure, None, None if measure else said) if value is not None else b""


def times(_: Context, per_week: int | None, minutes: float | None) -> bytes:
    """Timing.repeat of so many times a week, so many minutes each."""
    often = b'"frequency":%d,"period":1,"periodUnit":"wk"' % per_week if per_week and per_week > 0 else b""
    long = b'"duration":%b,"durationUnit":"min"' % number(minutes) if minutes is not None else b""
    return b"{%b}" % b",".join(filter(None, (often, long))) if often or long else b""


def period_if(context: Context, start: Moment, end: Moment | None) -> bytes:
    """A Period, where it has an end."""
    return period(context, start, end) if end is not None else b""


def span(context: Context, start: Moment, end: Moment | None) -> bytes:
    """A Period with both ends, the same for a moment: without its end it would go on."""
    return period(context, start, end or start)


def uid(_: Context, value: str | None) -> bytes:
    """A DICOM UID as URI."""
    return dumps(f"urn:oid:{value.strip()}") if value and there(value) else b""


def cancelled_because(context: Context, status: str, said: str | None) -> bytes:
    """Why an appointment was called off, which R4 lets a cancelled or missed one say alone."""
    return concept(context, said) if status in ("cancelled", "noshow") else b""


def sport_of(context: Context, sport: str | None) -> bytes:
    """The activity type, where the source says it."""
    return sport_concept(context, sport, None) if sport else b""


def venue(context: Context, name: str | None) -> bytes:
    """The Reference to a place by name: the directory's entry, or the name alone."""
    inner = entry(context, "Location", name)
    return b'{"type":"Location",%b}' % inner if inner else b""


def place(context: Context, name: str) -> bytes:
    """As `venue`, for a resource that is about the place."""
    return venue(context, name)


def report_status(_: Context, withdrawn: bool) -> bytes:
    """MeasureReport.status: what was taken back is in error."""
    return b'"error"' if withdrawn else b'"complete"'


def persons(_: Context, value: float | None) -> bytes:
    """A Quantity of people."""
    return b'{"value":%b,"unit":"\xe4\xba\xba","system":"%b","code":"{person}"}' % (number(value), UCUM.encode()) if value is not None else b""


def measured(_: Context, value: float | None, unit: str | None, comparator: str | None = None) -> bytes:
    """A Quantity; a unit that is no UCUM unit of the standard is shown as it was written."""
    if value is None:
        return b""
    compared = b',"comparator":%b' % dumps(comparator) if comparator else b""
    if unit in KNOWN_UNITS or not unit or not unit.strip():
        said = b',"unit":%b,"system":"%b","code":%b' % (dumps(unit), UCUM.encode(), dumps(unit)) if unit and unit.strip() else b""
    else:
        said = b',"unit":%b' % dumps(unit)
    return b'{"value":%b%b%b}' % (number(value), compared, said)


def words_beside(context: Context, said: str | None, value: float | None) -> bytes:
    """What a result says in words where it has no figure."""
    return text(context, said) if value is None else b""


def words_under(context: Context, said: str | None, value: float | None) -> bytes:
    """A note with what a result says in words beside its figure."""
    inner = text(context, said) if value is not None else b""
    return b'[{"text":%b}]' % inner if inner else b""


def nothing_said(_: Context, said: str | None, value: float | None) -> bytes:
    """Why there is no value: unknown."""
    return ABSENT if value is None and not there(said) else b""


def ranges(context: Context, low: float | None, high: float | None, said: str | None, unit: str | None) -> bytes:
    """Observation.referenceRange of a result in its own unit, as the source gives it."""
    ends = [b'"%b":%b' % (name, measured(context, value, unit)) for name, value in ((b"low", low), (b"high", high)) if value is not None]
    inner = text(context, said)
    parts = [*ends, *([b'"text":' + inner] if inner else [])]
    return b"[{%b}]" % b",".join(parts) if parts else b""


def answer(context: Context, value: str | float | bool | None) -> bytes:
    """The answer to a question in the type it was given in."""
    if value is None or isinstance(value, str):
        inner = text(context, value)
        return b'[{"valueString":%b}]' % inner if inner else b""
    if isinstance(value, bool):
        return b'[{"valueBoolean":%b}]' % boolean(context, value)
    return b'[{"value%b":%b}]' % (b"Integer" if isinstance(value, int) and abs(value) < 2**31 else b"Decimal", number(value))


def questionnaire(_: Context, instrument: str, answers: list[Answer]) -> bytes:
    """The canonical of the published Questionnaire that the answers are to; nothing where there is none or they do not fit it."""
    return b'"%bQuestionnaire/%b"' % (BASE.encode(), instrument.encode()) if is_held(instrument, answers) else b""


def question_text(context: Context, said: str | None, instrument: str, answers: list[Answer]) -> bytes:
    """The source's words of a question as `item.text`. A response that names a Questionnaire may only repeat the text of that, and ours have none."""
    return b"" if is_held(instrument, answers) else text(context, said)


def question_original(context: Context, said: str | None, instrument: str, answers: list[Answer]) -> bytes:
    """The same words where `item.text` may not hold them."""
    return text(context, said) if is_held(instrument, answers) else b""


def notes(context: Context, said: list[str]) -> bytes:
    """A list of Annotations."""
    notes = [b'{"text":%b}' % inner for one in said if (inner := text(context, one))]
    return b"[%b]" % b",".join(notes) if notes else b""


def sources(_: Context, identifiers: list[str] | str | None) -> bytes:
    """References to records by the ids that their sources gave them."""
    listed = [identifiers] if isinstance(identifiers, str) else identifiers or []
    said = [{"identifier": {"system": SOURCE_RECORD_SYSTEM, "value": one}} for one in listed if there(one)]
    return dumps(said) if said else b""


def narrative(_: Context, *said: str | list[Any] | None) -> bytes:
    """A Narrative with a paragraph for each thing said; where there are none, for the words of each entry."""
    words = [one for one in said if isinstance(one, str) and there(one)]
    entries = (entry.text for listed in said if isinstance(listed, list) for entry in listed)
    paragraphs = "".join(f"<p>{escape(_printable(one))}</p>" for one in words or entries if there(one))
    return dumps({"status": "additional", "div": f"<div {_XHTML}>{paragraphs}</div>"}) if paragraphs else b""


def _printable(said: str) -> str:
    return "".join(one if one.isprintable() else " " for one in said)
