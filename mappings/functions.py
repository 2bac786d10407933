"""Small named functions for what YAML would say badly: JSON fragments, times, and the elements a face names by function.

Everything here returns JSON bytes; `b""` means absent. No function reads the clock, the database or a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import orjson

from schemas.errors import InvalidRecord
from schemas.measures import LOCAL, LOINC, MEASURES, UCUM, WST363, Measure
from schemas.records import DaySummary, Device, DeviceVersion, Lap, Moment, Quantity, Record, Session, Specialization
from schemas.sports import SPORTS
from schemas.sports import SYSTEM as SPORT_SYSTEM

BASE: Final = "https://kinehub.org/fhir/"
EXTENSIONS: Final = BASE + "StructureDefinition/"
MDC_SYSTEM: Final = "urn:iso:std:iso:11073:10101"
EUI64_SYSTEM: Final = "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680"
SOURCE_RECORD_SYSTEM: Final = "https://kinehub.org/id/source-record"
DEVICE_SYSTEM: Final = "https://kinehub.org/id/device"


dumps = orjson.dumps


class Context(msgspec.Struct):
    """What is the same for every resource of one face, as fragments. `about` is subject, effective time and device.

    is_phd: whether all of it may claim the HL7 PHD IG (`mappings/phd.py`)

    id: the record's id; zone: IANA zone of the resident, for dates of instants without an offset
    named: (type, exact text) to (reference, display) of directory entries
    """

    record: Record
    id: bytes
    zone: str | None
    party: bytes
    named: Mapping[tuple[str, str], tuple[str, str]] = {}
    subject: bytes = b""
    effective: bytes = b""
    device: bytes = b""
    gateway: bytes = b""
    is_phd: bool = False
    about: bytes = b""
    members: bytes = b""


def number(value: float) -> bytes:
    """The shortest exact text of a number: 72.5, 72 for 72.0. Raises InvalidRecord for what is no number."""
    text = repr(value) if value.__class__ is float or value.__class__ is int else repr(float(value))
    if text[-1] in "fn":
        raise InvalidRecord("A value is not a finite number.", code="not-a-number")
    if text[-2:] == ".0":
        text = text[:-2]
    return b"0" if text == "-0" else text.encode()


def there(value: object) -> bool:
    """Whether a field says something: not None, and no blank text."""
    return value is not None and not (isinstance(value, str) and (not value or value.isspace()))


def text(_: Context, value: str | None) -> bytes:
    """A JSON string; absent when there is nothing but space in it."""
    return dumps(value) if value and not value.isspace() else b""


def concept(context: Context, value: str | None) -> bytes:
    """A CodeableConcept that has only its text."""
    inner = text(context, value)
    return b'{"text":%b}' % inner if inner else b""


def concepts(context: Context, value: str | None) -> bytes:
    """A list of one CodeableConcept that has only its text."""
    inner = concept(context, value)
    return b"[%b]" % inner if inner else b""


def boolean(_: Context, value: bool | None) -> bytes:
    """true, false, or absent."""
    return b"" if value is None else b"true" if value else b"false"


def decimal(_: Context, value: float | None) -> bytes:
    """A number, or absent."""
    return b"" if value is None else number(value)


@lru_cache(maxsize=512)
def _timezone(minutes: int) -> timezone:
    return timezone(timedelta(minutes=minutes if abs(minutes) <= 840 else 0))


def zoned(at: datetime, offset_minutes: int | None) -> str:
    if not offset_minutes:
        local = at.astimezone(_timezone(0)).isoformat()
        return local if offset_minutes == 0 else local[:-6] + "Z"
    return at.astimezone(_timezone(offset_minutes)).isoformat()


def local_date(moment: Moment, zone: str | None) -> str:
    at = moment.at
    if at is None:
        return (moment.local or _nowhen()).date().isoformat()
    if moment.offset_minutes is None and zone:
        return at.astimezone(ZoneInfo(zone)).date().isoformat()
    return at.astimezone(_timezone(moment.offset_minutes or 0)).date().isoformat()


def _nowhen() -> datetime:
    raise InvalidRecord("A record has no time.", code="no-time")


def clock(moment: Moment, zone: str | None) -> tuple[str, bytes]:
    """A moment as FHIR dateTime, and the element's own extension with the local clock when that is all that is known."""
    if moment.precision == "day":
        return local_date(moment, zone), b""
    if moment.at is not None:
        return zoned(moment.at, moment.offset_minutes), b""
    local = (moment.local or _nowhen()).isoformat()
    return local[:10], b'{"extension":[{"url":"%blocal-clock","valueString":"%b"}]}' % (EXTENSIONS.encode(), local.encode())


def _timed(name: str, moment: Moment, zone: str | None) -> bytes:
    value, extension = clock(moment, zone)
    sibling = b',"_%b":%b' % (name.encode(), extension) if extension else b""
    return b'"%b":"%b"%b' % (name.encode(), value.encode(), sibling)


def period(context: Context, start: Moment, end: Moment | None) -> bytes:
    """A Period. Raises InvalidRecord when both instants are known and the end lies before the start."""
    if end is None:
        return b"{%b}" % _timed("start", start, context.zone)
    if start.at is not None and end.at is not None and end.at < start.at:
        raise InvalidRecord("The record ends before it starts.", code="ends-before-start", field="end")
    return b"{%b,%b}" % (_timed("start", start, context.zone), _timed("end", end, context.zone))


def effective_period(context: Context, record: Any) -> bytes:
    """effectivePeriod when the end is known, else effectiveDateTime."""
    if record.end is None:
        return b"," + _timed("effectiveDateTime", record.start, context.zone)
    return b',"effectivePeriod":' + period(context, record.start, record.end)


def effective_start(context: Context, record: Any) -> bytes:
    """effectiveDateTime with the start: invariant vs-1 of R4's vital signs fails on every Period, so the end is an extension."""
    return b"," + _timed("effectiveDateTime", record.start, context.zone)


def _time_period(name: str) -> Callable[[Context, Any], bytes]:
    opening = b',"%b":' % name.encode()
    return lambda context, _: opening + period(context, context.record.start, context.record.end)


def _time_start(name: str) -> Callable[[Context, Any], bytes]:
    return lambda context, _: b"," + _timed(name, context.record.start, context.zone)


def _time_date(name: str) -> Callable[[Context, Any], bytes]:
    opening = b',"%b":"' % name.encode()
    return lambda context, _: opening + local_date(context.record.start, context.zone).encode() + b'"'


def _time_recorded(name: str) -> Callable[[Context, Any], bytes]:
    """The start, unless it is only the onset, which has an element of its own."""
    start = _time_start(name)

    def write(context: Context, item: Any) -> bytes:
        record: Any = context.record
        is_onset = record.onset is not None and any(flag.code == "time-from-onset" for flag in record.flags)
        return b"" if is_onset else start(context, item)

    return write


TIMES: Final[dict[str, Callable[[str], Callable[[Context, Any], bytes]]]] = {
    "period": _time_period, "start": _time_start, "date": _time_date, "recorded": _time_recorded,
}  # fmt: skip
"""How a type of `shared.yaml` writes the record's time in its own element."""


def effective_date(_: Context, record: DaySummary) -> bytes:
    """The local day a summary is about."""
    return b',"effectiveDateTime":"%b"' % record.date.isoformat().encode()


def effective_lap(context: Context, lap: Lap) -> bytes:
    """A lap's own time in the session's offset; the session's time when the source does not say."""
    if lap.start is None:
        return context.effective
    offset = context.record.start.offset_minutes
    start = Moment(at=lap.start, offset_minutes=offset)
    end = None if lap.elapsed_s is None or lap.elapsed_s < 0 else Moment(at=lap.start + timedelta(seconds=lap.elapsed_s), offset_minutes=offset)
    return effective_period(context, _Span(start, end))


class _Span(msgspec.Struct):
    start: Moment
    end: Moment | None


EFFECTIVE: Final[dict[str, Callable[[Context, Any], bytes]]] = {
    "period": effective_period,
    "date": effective_date,
    "lap": effective_lap,
    "none": lambda _, __: b"",
}
"""What a YAML may write under `effective`."""


def distance_measure(record: Record) -> str:
    """The measure a session's distance is coded as, by its sport."""
    sport = SPORTS.get(record.sport or "") if isinstance(record, Session) else None
    return (sport.distance_measure if sport else "") or "distance-other"


CHOICES: Final[dict[str, tuple[Callable[[Record], str], tuple[str, ...]]]] = {
    "distance_measure": (distance_measure, ("distance", "swim-distance", "distance-other")),
}
"""What a YAML may write under `measure: {of: ...}`, and the measures it can answer."""


def codings(measure: Measure) -> list[dict[str, str]]:
    """A measure's codings: LOINC, then our own with its name, then the national data element (WS/T 363)."""
    standard = [{"system": LOINC, "code": code} for code in measure.loinc]
    national = [{"system": WST363, "code": measure.wst363}] if measure.wst363 else []
    return [*standard, {"system": LOCAL, "code": measure.key, "display": measure.zh}, *national]


def coding(_: Context, source: str | None) -> bytes:
    """A source's own `system|code` as a further coding, with the comma before it."""
    return _coding(source) if source else b""


@lru_cache(maxsize=2048)
def _coding(source: str) -> bytes:
    system, bar, code = source.rpartition("|")
    code = " ".join(code.split())
    if not code:
        return b""
    return b"," + dumps({"system": system, "code": code} if bar and system.strip() and " " not in system else {"code": code})


def sport_concept(_: Context, sport: str | None, sub_sport: str | None) -> bytes:
    """The activity type: our sport coding, zh-CN and en in its text; an unknown sport is text only."""
    return _sport(sport or "", sub_sport or "")


@lru_cache(maxsize=512)
def _sport(code: str, sub_sport: str) -> bytes:
    sport = SPORTS.get(code)
    if sport is None:
        return dumps({"text": code}) if code.strip() else b""
    detail = f" · {sub_sport}" if sub_sport.strip() and sub_sport != "generic" else ""
    return dumps({"coding": [{"system": SPORT_SYSTEM, "code": code, "display": sport.zh}], "text": f"{sport.zh} {sport.en}{detail}"})


INTERPRETATIONS: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
MEASUREMENT_STATUS: Final = "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status"


def interpretation(_: Context, code: str | None, status: str | None = None) -> bytes:
    """Observation.interpretation: what whoever judged it says, and what the device itself says of its reading."""
    said = ((INTERPRETATIONS, code), (MEASUREMENT_STATUS, status))
    found = [{"coding": [{"system": system, "code": one}]} for system, one in said if one]
    return dumps(found) if found else b""


def reference_range(_: Context, low: float | None, high: float | None, measure: str) -> bytes:
    """Observation.referenceRange in the measure's unit, each end only when the source gave it."""
    unit = MEASURES[measure].unit
    ends = [b'"%b":%b' % (name, simple_quantity(value, unit)) for name, value in ((b"low", low), (b"high", high)) if value is not None]
    return b"[{%b}]" % b",".join(ends) if ends else b""


def simple_quantity(value: float, unit: str) -> bytes:
    """A Quantity in a UCUM unit; a panel's measure has none."""
    said = b',"unit":%b,"system":"%b","code":%b' % (dumps(unit), UCUM.encode(), dumps(unit)) if unit else b""
    return b'{"value":%b%b}' % (number(value), said)


ABSENT: Final = b'{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"unknown"}]}'


def absent_reason(_: Context, quantity: Quantity | None, components: list[Quantity], measure: str) -> bytes:
    """`unknown` when a measurement came without its value; never for a panel whose components tell."""
    return ABSENT if quantity is None and not components and measure != "blood-pressure" else b""


_SYSTEM_ID: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/ContinuaDeviceIdentifiers", "code": "SYSID"}]}


def device_identifier(_: Context, identifier: str | None) -> bytes:
    """An EUI-64 as an IEEE 11073 system id, its bytes apart by dashes (PhdDevice.identifier:systemIdIdentifier); any other number under our system."""
    return _identifier(identifier) if there(identifier) else b""


@lru_cache(maxsize=512)
def _identifier(identifier: str) -> bytes:
    plain = eui64(identifier)
    if plain is None:
        return dumps([{"system": DEVICE_SYSTEM, "value": identifier}])
    return dumps([{"type": _SYSTEM_ID, "system": EUI64_SYSTEM, "value": "-".join(plain[place : place + 2] for place in range(0, 16, 2))}])


def eui64(identifier: str) -> str | None:
    """The 16 digits of an EUI-64, however its bytes are set apart; None for any other number."""
    plain = identifier.replace("-", "").replace(":", "").upper()
    return plain if len(plain) == 16 and all(digit in "0123456789ABCDEF" for digit in plain) else None


FIRMWARE: Final = "531976"
"""MDC_ID_PROD_SPEC_FW (IEEE 11073-10101)."""


def device_version(_: Context, firmware: str | None, versions: list[DeviceVersion]) -> bytes:
    """Device.version: the firmware's, then the others, each with what it is of where the source says so."""
    if not versions and not firmware:
        return b""
    said = [] if not there(firmware) else [{"type": _mdc(FIRMWARE), "value": firmware}]
    said += [{**({"type": _mdc(one.mdc)} if one.mdc and there(one.mdc) else {}), "value": one.value} for one in versions if there(one.value)]
    return dumps(said) if said else b""


def device_type(_: Context, mdc_type: str | None) -> bytes:
    """Device.type: an IEEE 11073 MDC code, or the source's word for it."""
    return dumps(_mdc(mdc_type)) if mdc_type and there(mdc_type) else b""


def device_specialization(_: Context, specializations: list[Specialization]) -> bytes:
    """Device.specialization: the standards that the device says it keeps, each with its version."""
    said = [{"systemType": _mdc(one.mdc), **({"version": one.version} if there(one.version) else {})} for one in specializations if there(one.mdc)]
    return dumps(said) if said else b""


def _mdc(said: str) -> dict[str, Any]:
    code = said.rpartition("|")[2].strip()
    return {"coding": [{"system": MDC_SYSTEM, "code": code}]} if code.isdigit() else {"text": said}


def known_device(device: Device | None) -> bool:
    """Whether the source says anything of the device at all."""
    if device is None:
        return False
    said = (device.manufacturer, device.model, device.identifier, device.firmware, device.mdc_type, device.serial)
    if any(value and not value.isspace() for value in said):
        return True
    return any(there(one.mdc) for one in device.specializations) or any(there(one.value) for one in device.versions)


def entry(context: Context, type_: str, said: str | None) -> bytes:
    """The inside of a Reference: to the one directory entry that has exactly this name or identifier, else by its text alone."""
    known = context.named.get((type_, said or ""))
    if known:
        return b'"reference":%b,"display":%b' % (dumps(known[0]), dumps(known[1]))
    inner = text(context, said)
    return b'"display":%b' % inner if inner else b""


def tester(context: Context, name: str | None) -> bytes:
    """DiagnosticReport.performer: the party, and the tester when the source says."""
    inner = entry(context, "Practitioner", name)
    return b"[%b%b]" % (context.party, b',{"type":"Practitioner",%b}' % inner if inner else b"")


def party(context: Context) -> bytes:
    """The Reference to the party the record came from."""
    return context.party


def encounter_status(_: Context, end: Moment | None) -> bytes:
    """finished once the end is known."""
    return b'"finished"' if end is not None else b'"in-progress"'


def location(context: Context, venue: str | None) -> bytes:
    """Encounter.location: the venue's directory entry, or its name."""
    inner = entry(context, "Location", venue)
    return b'[{"location":{%b}}]' % inner if inner else b""


def entry_extension(type_: str) -> Callable[[Context, str | None], bytes]:
    """valueReference to a directory entry, else valueString with the name as the source gave it."""

    def write(context: Context, said: str | None) -> bytes:
        inner = entry(context, type_, said)
        return b'"valueReference":{%b}' % inner if inner.startswith(b'"reference"') else b'"valueString":%b' % dumps(said) if inner else b""

    return write
