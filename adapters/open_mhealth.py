"""Open mHealth data points: with a header (1.2), or the bare body, whose schema is told by its keys.

Units are taken strictly as the schemas allow them: a wrong unit word means the sender is not sure what it measured.
Source: openmhealth/schemas (step-count 2 and 3, heart-rate, blood-pressure 3 and 4, body-weight, body-height,
body-temperature, blood-glucose, oxygen-saturation, respiratory-rate, physical-activity 1.2, calories-burned 2,
minutes-moderate-activity 1). A rejected field is named as in the file (`systolic_blood_pressure.unit`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import msgspec

from adapters import elements
from adapters.base import AdapterError, Context, Decoded, Rejected
from schemas.flags import FLAGS
from schemas.measures import MEASURES
from schemas.records import Device, Flag, Moment, Quantity, Record, Session, VitalSign, Who
from schemas.sports import sport_code
from schemas.units import convert

id = "open-mhealth"
title = ("Open mHealth 数据点", "Open mHealth data points")
version = "1"
extensions = (".json", ".ndjson")
emits = frozenset({"vital", "session"})
sample = b"""[
{"header": {"id": "3f1c0f5e-0000-4000-8000-000000000001", "creation_date_time": "2026-05-01T08:31:00+08:00",
            "schema_id": {"namespace": "omh", "name": "blood-pressure", "version": "4.0"},
            "acquisition_provenance": {"source_name": "Sample cuff", "modality": "sensed"}},
 "body": {"systolic_blood_pressure": {"value": 126, "unit": "mmHg"}, "diastolic_blood_pressure": {"value": 81, "unit": "mmHg"},
          "body_posture": "sitting", "effective_time_frame": {"date_time": "2026-05-01T08:30:00+08:00"}}},
{"activity_name": "walking", "distance": {"value": 1.5, "unit": "km"}, "kcal_burned": {"value": 85, "unit": "kcal"},
 "effective_time_frame": {"time_interval": {"start_date_time": "2026-05-01T07:00:00+08:00", "duration": {"value": 25, "unit": "min"}}}}
]
"""

Precision = Literal["instant", "minute", "day"]

_LENGTHS: Final = {"mm": 0.001, "cm": 0.01, "m": 1.0, "km": 1000.0, "in": 0.0254, "ft": 0.3048, "yd": 0.9144, "mi": 1609.344}
_SECONDS: Final = {"ms": 0.001, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "wk": 604800.0}
_ENERGIES: Final = {"kcal": 1.0}
_DAY_PARTS: Final = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24), "night": (0, 6)}
"""Hours of the local day, as the part-of-day schema names them."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:?\d\d)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_POSTURES: Final = {"sitting": "sitting", "standing": "standing", "lying down": "lying", "semi-recumbent": "semi-recumbent"}


class _Bad(Exception):
    """A fault of one data point: field, code, sentence, advice."""

    def __init__(self, field: str, code: str, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.field, self.code, self.message, self.advice = field, code, message, advice


class _Single(NamedTuple):
    """A schema of one quantity: its key, the measure, and the unit words it allows with what they are in UCUM."""

    key: str
    measure: str
    units: dict[str, str]


class _Frame(NamedTuple):
    start: Moment
    end: Moment | None


_SINGLES: Final = {
    "heart-rate": _Single("heart_rate", "heart-rate", {"beats/min": "/min"}),
    "body-weight": _Single("body_weight", "body-weight", {"g": "g", "kg": "kg", "lb": "[lb_av]"}),
    "body-height": _Single("body_height", "body-height", {"mm": "mm", "cm": "cm", "m": "m", "in": "[in_i]", "ft": "[ft_i]"}),
    "body-temperature": _Single("body_temperature", "body-temperature", {"C": "Cel", "F": "[degF]"}),
    "oxygen-saturation": _Single("oxygen_saturation", "oxygen-saturation", {"%": "%"}),
    "respiratory-rate": _Single("respiratory_rate", "respiratory-rate", {"breaths/min": "/min"}),
    "step-count": _Single("step_count", "steps", {"steps": "{steps}"}),
    "calories-burned": _Single("kcal_burned", "energy", {"kcal": "kcal"}),
    "minutes-moderate-activity": _Single("minutes_moderate_activity", "moderate-minutes", {"min": "min", "h": "h", "sec": "s", "d": "d"}),
}
_KNOWN: Final = ("physical-activity", "blood-pressure", "blood-glucose", *_SINGLES)


def recognises(head: bytes, filename: str | None) -> bool:
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"{", b"["):
        return False
    return (b'"schema_id"' in head and b'"header"' in head) or b'"effective_time_frame"' in head or _bare(head)


def _bare(head: bytes) -> bool:
    """A body whose time is missing still is one, so that its sender is told what is missing."""
    keys = [single.key for single in _SINGLES.values()] + ["systolic_blood_pressure", "blood_glucose"]
    return any(re.search(rb'"%s"\s*:\s*\{\s*"(?:value|unit)"' % key.encode(), head) for key in keys)


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    found = elements.cut(stream, context.limits)
    return _points(found, context)


def _points(found: elements.Elements, context: Context) -> Iterator[Decoded | Rejected]:
    for row, raw in enumerate(found.raws, 1):
        try:
            record, who = _point(raw, context)
        except _Bad as bad:
            if not found.many:
                sentence = f"{bad.field}: {bad.message}" if bad.field else bad.message
                raise AdapterError(sentence, advice=bad.advice, code=bad.code, field=bad.field) from None
            yield Rejected(row, bad.field, bad.code, bad.message, bad.advice, original=raw)
        else:
            yield Decoded(record, who, row, original=raw if found.many else None)


def _point(raw: bytes, context: Context) -> tuple[Record, Who | None]:
    point = _parsed(raw, context)
    header = point.get("header")
    body = point.get("body") if "body" in point else point
    if not isinstance(body, dict):
        raise _Bad("body", "schema", "The data point has no body.", "Send header and body, or the body alone.")
    header = header if isinstance(header, dict) else {}
    record = _record(_schema(header, body), body)
    _head(record, header)
    user = header.get("user_id")
    return record, Who(source_id=user) if isinstance(user, str) and user else None


def _parsed(raw: bytes, context: Context) -> dict[str, Any]:
    try:
        point = msgspec.json.decode(raw)
        fault = elements.fault(raw, context.limits)
    except RecursionError:
        point, fault = None, "too-deep"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Bad("", "not-json", f"Not valid JSON: {elements.reason(error)}.", "Send complete JSON in UTF-8.") from None
    if fault:
        text = "An object names the same key twice." if fault == "duplicate-key" else f"Nested deeper than {context.limits.depth} levels."
        raise _Bad("", fault, text, "Send the data point as its schema says.")
    if not isinstance(point, dict):
        raise _Bad("", "schema", "The data point is not a JSON object.", "Send header and body, or the body alone.")
    return point


def _schema(header: dict[str, Any], body: dict[str, Any]) -> str:
    stated = header.get("schema_id")
    name = stated.get("name") if isinstance(stated, dict) else None
    if name is None:
        return _inferred(body)
    if name not in _KNOWN:
        raise _Bad("header.schema_id.name", "schema", "This schema is not taken.", f"Schemas taken: {', '.join(_KNOWN)}.")
    return str(name)


def _inferred(body: dict[str, Any]) -> str:
    if "activity_name" in body:
        return "physical-activity"
    if "systolic_blood_pressure" in body or "diastolic_blood_pressure" in body:
        return "blood-pressure"
    if "blood_glucose" in body:
        return "blood-glucose"
    found = next((name for name, single in _SINGLES.items() if single.key in body), None)
    if found is None:
        raise _Bad("header.schema_id", "schema", "The schema is not named and cannot be told from the keys.", f"Schemas taken: {', '.join(_KNOWN)}.")
    return found


def _head(record: Record, header: dict[str, Any]) -> None:
    """What the header says about the record: its id, how it was obtained, by what."""
    if isinstance(header.get("id"), str):
        record.source_record_id = header["id"][:100] or None
    provenance = header.get("acquisition_provenance")
    provenance = provenance if isinstance(provenance, dict) else {}
    modality = header.get("modality", provenance.get("modality"))
    if modality in ("sensed", "self-reported"):
        record.modality = modality
    if modality == "self-reported":
        record.flags = [*record.flags, _flag("self-reported")]
    name = provenance.get("source_name")
    if isinstance(name, str) and name:
        record.device = Device(model=name[:100])


def _flag(code: str, field: str = "") -> Flag:
    return Flag(code, field, FLAGS[code][1])


def _record(schema: str, body: dict[str, Any]) -> Record:
    made: dict[str, Callable[[dict[str, Any]], Record]] = {
        "physical-activity": _activity,
        "blood-pressure": _pressure,
        "blood-glucose": _glucose,
    }
    return made[schema](body) if schema in made else _single(_SINGLES[schema], body)


def _single(single: _Single, body: dict[str, Any]) -> VitalSign:
    quantity = _quantity(body, single.key, single.measure, single.units)
    frame = _frame(body)
    return _vital(single.measure, frame, quantity, body)


def _vital(measure: str, frame: _Frame, quantity: Quantity, body: dict[str, Any]) -> VitalSign:
    flags = [_flag("unit-converted", measure)] if quantity.original else []
    return VitalSign(start=frame.start, end=frame.end, measure=measure, quantity=quantity, flags=flags, posture=_posture(body), body_site=_site(body))


def _pressure(body: dict[str, Any]) -> VitalSign:
    components = [_quantity(body, f"{key}_blood_pressure", key, {"mmHg": "mm[Hg]"}) for key in ("systolic", "diastolic")]
    frame = _frame(body)
    return VitalSign(
        start=frame.start, end=frame.end, measure="blood-pressure", components=components, posture=_posture(body), body_site=_site(body)
    )


def _glucose(body: dict[str, Any]) -> VitalSign:
    """The code follows the property of the unit; without another specimen, meters measure capillary blood."""
    specimen = body.get("specimen_source", body.get("blood_specimen_type"))
    unit = _value(body, "blood_glucose", {"mg/dL", "mmol/L"})[1]
    if specimen in ("serum", "plasma") and unit == "mmol/L":
        measure = "glucose-serum"
    elif specimen in (None, "capillary blood", "whole blood", "interstitial fluid"):
        measure = "glucose-capillary" if unit == "mmol/L" else "glucose-capillary-mass"
    else:
        raise _Bad("specimen_source", "measure", "Glucose of this specimen and unit is not taken.", "Send capillary values, or serum in mmol/L.")
    return _vital(measure, _frame(body), _quantity(body, "blood_glucose", measure, {unit: unit}), body)


def _activity(body: dict[str, Any]) -> Session:
    name = body.get("activity_name")
    if not isinstance(name, str) or not name.strip():
        raise _Bad("activity_name", "required", "The activity's name is missing.", "Send activity_name.")
    frame = _frame(body)
    sport = sport_code(name)
    session = Session(
        start=frame.start, end=frame.end, sport=sport, title=None if sport else name.strip()[:100], elapsed_s=_elapsed(frame, body),
        distance_m=_scaled(body, "distance", _LENGTHS), energy_kcal=_scaled(body, "kcal_burned", _ENERGIES), met=_plain(body, "met_value"),
        flags=[] if sport else [_flag("sport-unknown", "sport")],
    )  # fmt: skip
    for field, code in (("distance_m", "distance-not-measured"), ("energy_kcal", "energy-not-measured")):
        if getattr(session, field) == 0:
            setattr(session, field, None)
            session.flags = [*session.flags, _flag(code, field)]
    return session


def _elapsed(frame: _Frame, body: dict[str, Any]) -> float | None:
    stated = _scaled(body, "duration", _SECONDS)
    if stated is not None or frame.end is None or frame.start.precision == "day":
        return stated
    first, last = frame.start.at or frame.start.local, frame.end.at or frame.end.local
    return (last - first).total_seconds() if first and last else None


def _number(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise _Bad(field, "not-a-number", "Not a number that can be measured.", "Send a JSON number.")
    return float(value)


def _value(body: dict[str, Any], key: str, units: set[str]) -> tuple[float, str]:
    stated = body.get(key)
    if not isinstance(stated, dict):
        raise _Bad(key, "required", "The quantity is missing.", "Send an object with value and unit.")
    value = _number(stated.get("value"), f"{key}.value")
    unit = stated.get("unit")
    if not isinstance(unit, str) or unit not in units:
        raise _Bad(f"{key}.unit", "unit", "The unit is not one that the schema allows.", f"Allowed: {', '.join(sorted(units))}.")
    return value, unit


def _quantity(body: dict[str, Any], key: str, measure: str, units: dict[str, str]) -> Quantity:
    """A quantity in its measure's unit. A bare step count is version 1 and 2 of that schema, which need no unit."""
    if key == "step_count" and not isinstance(body.get(key), dict) and key in body:
        return Quantity(measure, _number(body[key], key), MEASURES[measure].unit)
    value, word = _value(body, key, set(units))
    target = MEASURES[measure].unit
    original = None if units[word] == target else f"{value:g} {units[word]}"
    return Quantity(measure, convert(value, units[word], target), target, original)


def _scaled(body: dict[str, Any], key: str, factors: dict[str, float]) -> float | None:
    if key not in body:
        return None
    value, unit = _value(body, key, set(factors))
    return round(value * factors[unit], 3)


def _plain(body: dict[str, Any], key: str) -> float | None:
    return _number(body[key], key) if key in body else None


def _posture(body: dict[str, Any]) -> str | None:
    return _POSTURES.get(str(body.get("body_posture")))


def _site(body: dict[str, Any]) -> str | None:
    site = body.get("measurement_location")
    return site[:60] if isinstance(site, str) and site else None


def _frame(body: dict[str, Any]) -> _Frame:
    where = "effective_time_frame"
    frame = body.get(where)
    if not isinstance(frame, dict):
        raise _Bad(where, "required", "The time of measurement is missing.", "Send effective_time_frame with date_time or time_interval.")
    if "date_time" in frame:
        return _Frame(_moment(frame["date_time"], f"{where}.date_time"), None)
    interval = frame.get("time_interval")
    if not isinstance(interval, dict):
        raise _Bad(where, "required", "The time frame has neither date_time nor time_interval.", "Send one of the two.")
    return _interval(interval, f"{where}.time_interval")


def _interval(interval: dict[str, Any], where: str) -> _Frame:
    start = _moment(interval["start_date_time"], f"{where}.start_date_time") if "start_date_time" in interval else None
    end = _moment(interval["end_date_time"], f"{where}.end_date_time") if "end_date_time" in interval else None
    if start and end:
        return _Frame(start, end)
    if start or end:
        return _by_duration(start, end, _duration(interval, where), where)
    if "date" in interval and "part_of_day" in interval:
        return _day_part(interval["date"], interval["part_of_day"], where)
    raise _Bad(where, "required", "The interval is incomplete.", "Send two of start_date_time, end_date_time, duration; or date and part_of_day.")


def _duration(interval: dict[str, Any], where: str) -> timedelta:
    try:
        value, unit = _value(interval, "duration", set(_SECONDS))
        return timedelta(seconds=value * _SECONDS[unit])
    except _Bad as bad:
        raise _Bad(f"{where}.{bad.field}", bad.code, bad.message, bad.advice) from None
    except OverflowError:
        raise _Bad(f"{where}.duration", "time", "The duration is too long.", "Send the measured duration.") from None


def _by_duration(start: Moment | None, end: Moment | None, duration: timedelta, where: str) -> _Frame:
    try:
        if start:
            return _Frame(start, _moved(start, duration))
        assert end is not None
        return _Frame(_moved(end, -duration), end)
    except OverflowError:
        raise _Bad(f"{where}.duration", "time", "The duration is too long.", "Send the measured duration.") from None


def _moved(moment: Moment, by: timedelta) -> Moment:
    return Moment(moment.at and moment.at + by, moment.offset_minutes, moment.local and moment.local + by, moment.precision)


def _day_part(day: object, part: object, where: str) -> _Frame:
    if not isinstance(day, str) or not _DAY.fullmatch(day):
        raise _Bad(f"{where}.date", "time", "Not a date.", "Write it as 2026-05-01.")
    if not isinstance(part, str) or part not in _DAY_PARTS:
        raise _Bad(f"{where}.part_of_day", "time", "Not a part of the day.", f"Allowed: {', '.join(_DAY_PARTS)}.")
    try:
        midnight = datetime.fromisoformat(day)
        first, last = (Moment(local=midnight + timedelta(hours=hour), precision="day") for hour in _DAY_PARTS[part])
        return _Frame(first, last)
    except (ValueError, OverflowError):
        raise _Bad(f"{where}.date", "time", "Not a date.", "Write it as 2026-05-01.") from None


def _moment(text: object, field: str) -> Moment:
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise _Bad(field, "time", "Not a date and time.", "Write it as 2026-05-01T08:00:00+08:00.")
    precision: Precision = "instant" if found[1] else "minute"
    try:
        at = datetime.fromisoformat(found[0])
        offset = at.utcoffset()
        if offset is None:
            return Moment(local=at, precision=precision)
        return Moment(at.astimezone(UTC), int(offset.total_seconds()) // 60, precision=precision)
    except (ValueError, OverflowError):
        raise _Bad(field, "time", "Not a date and time.", "Write it as 2026-05-01T08:00:00+08:00.") from None
