"""The unified data standard's own JSON: what partners' systems send, and the hot path of the intake.

A file is one row, an array of rows, `{"records": [rows]}` or one row per line. A row:

    {"who":    {"member_number": "A1001"},
     "record": {"kind": "session", "start": "2026-05-01T08:00:00+08:00", "sport": "running", "elapsed_s": 1800},
     "series": {"heart_rate": {"interval_s": 1, "values": [92, 93, null, 95]}}}

`record` has the fields of `schemas/records.py`. A time is RFC 3339 text (without offset: local clock; a date alone: day
precision) or a Moment object. `series` is keyed by channel, or a list of Series; its start is the record's unless given.
A vital may say `value` and `unit` instead of `quantity`; quantities in another exact unit are converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import reduce
from operator import attrgetter, or_
from typing import Any, BinaryIO, Final, NamedTuple, cast

import msgspec

from adapters import elements
from adapters.base import AdapterError, Context, Decoded, Rejected
from schemas.errors import InvalidRecord
from schemas.measures import MEASURES
from schemas.records import KINDS, Analyte, Envelope, Moment, Quantity, Record, Series, Who
from schemas.sports import SPORTS
from schemas.standard import MEASURED, MOMENTS
from schemas.units import convert, same_unit, ucum

id = "kinehub-json"
title = ("统一数据标准 JSON", "Unified data standard JSON")
version = "1"
extensions = (".json", ".ndjson")
emits = frozenset(KINDS)
sample = b"""[
{"who": {"member_number": "A1001"},
 "record": {"kind": "session", "start": "2026-05-01T08:00:00+08:00", "end": "2026-05-01T08:30:00+08:00", "sport": "running",
            "elapsed_s": 1800, "distance_m": 4200.5, "energy_kcal": 310, "hr_avg": 128, "hr_max": 151},
 "series": {"heart_rate": {"interval_s": 1, "values": [92, 93, null, 95]}}},
{"who": {"member_number": "A1001"},
 "record": {"kind": "vital", "start": "2026-05-01T08:40:00+08:00", "measure": "blood-pressure",
            "components": [{"measure": "systolic", "value": 124, "unit": "mm[Hg]"}, {"measure": "diastolic", "value": 78, "unit": "mm[Hg]"}]}},
{"who": {"member_number": "A1001"},
 "record": {"kind": "body-composition", "start": "2026-05-01T08:45:00+08:00",
            "quantities": [{"measure": "body-weight", "value": 63.2, "unit": "kg"}, {"measure": "body-fat", "value": 21.5, "unit": "%"}]}},
{"who": {"member_number": "A1002"}, "record": {"kind": "day-summary", "start": "2026-05-01", "date": "2026-05-01", "steps": 8412}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "fitness-test", "start": "2026-05-01T09:00:00+08:00", "edition": "GTZD-2023",
            "items": [{"measure": "grip-strength", "value": 31.4, "unit": "kg"}]}},
{"who": {"member_number": "A1002"}, "record": {"kind": "check-in", "start": "2026-05-01T07:55:00+08:00", "method": "card"}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "lab-result", "start": "2026-05-01T08:10:00+08:00", "source_record_id": "LIS-7", "issued": "2026-05-01T14:30:00+08:00",
            "items": [{"measure": "total-cholesterol", "value": 5.4, "unit": "mmol/L", "reference_high": 5.2, "interpretation": "H"},
                      {"name": "Urine protein", "text": "negative"}]}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "sleep", "start": "2026-05-01T23:05:00+08:00", "end": "2026-05-02T06:45:00+08:00", "total_min": 428, "deep_min": 71}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "screening", "start": "2026-05-01T09:00:00+08:00", "instrument": "par-q-plus", "answers": [{"item": "1", "answer": false}],
            "limits": [{"text": "Heart rate below 120"}]}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "prescription", "start": "2026-05-01", "end": "2026-07-31", "status": "active", "reason": "Insufficient physical activity",
            "goals": [{"text": "150 minutes a week", "measure": "active-minutes-week", "value": 150, "unit": "min/wk"}],
            "exercises": [{"text": "Brisk walking", "sport": "walking", "frequency_per_week": 5, "duration_min": 30, "intensity": "moderate"}]}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "referral", "start": "2026-05-01T10:00:00+08:00", "source_record_id": "R-7", "status": "requested",
            "reason": "Insufficient physical activity", "recipient": "Eastlake Fitness"}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "effect-evaluation", "start": "2026-02-01", "end": "2026-05-01", "formula": "difference of means", "formula_version": "1.2",
            "changes": [{"measure": "resting-heart-rate", "before": 74, "after": 68, "unit": "/min"}]}},
{"who": {"member_number": "A1002"}, "record": {"kind": "rehabilitation-status", "start": "2026-05-01", "stage": "recovery", "scale": "HSS", "score": 78}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "movement-assessment", "start": "2026-05-01T10:30:00+08:00", "movement": "squat", "algorithm": "pose-squat", "algorithm_version": "2.1"}},
{"who": {"member_number": "A1002"}, "record": {"kind": "condition", "start": "2026-05-01", "name": "Hypertension", "clinical_status": "active"}},
{"who": {"member_number": "A1002"}, "record": {"kind": "medication", "start": "2026-01-01", "name": "Amlodipine", "dosage": "5 mg a day"}},
{"who": {"member_number": "A1002"}, "record": {"kind": "visit", "start": "2026-05-01T09:00:00+08:00", "end": "2026-05-01T09:20:00+08:00"}},
{"who": {"member_number": "A1002"}, "record": {"kind": "imaging", "start": "2026-05-01", "dicom_modality": "MR", "description": "Left knee"}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "appointment", "start": "2026-05-03T09:00:00+08:00", "end": "2026-05-03T10:00:00+08:00", "status": "booked"}},
{"who": {"member_number": "A1002"}, "record": {"kind": "guidance", "start": "2026-05-01T10:40:00+08:00", "advice": "Keep the knees over the toes"}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "adherence", "start": "2026-05-01", "end": "2026-05-29", "formula": "sessions done", "formula_version": "2.0", "done_sessions": 14}},
{"who": {"member_number": "A1002"},
 "record": {"kind": "points", "start": "2026-05-01T10:45:00+08:00", "source_record_id": "P-9", "delta": 20, "reason": "session"}},
{"who": {"member_number": "A1002"}, "record": {"kind": "membership", "start": "2026-01-01", "end": "2026-12-31", "status": "active", "number": "A1002"}},
{"who": {"member_number": "A1002"}, "record": {"kind": "issue-report", "start": "2026-05-01T11:00:00+08:00", "text": "A loose pedal", "status": "requested"}},
{"record": {"kind": "venue-occupancy", "start": "2026-05-01T08:00:00+08:00", "end": "2026-05-01T09:00:00+08:00", "venue": "YH-2F",
            "present": 41, "peak": 46, "mean": 38.5, "visits": 57, "capacity": 80, "counting": "gate"}}
]
"""

CHANNELS: Final = frozenset({"heart-rate", "power", "cadence", "speed", "altitude", "distance", "latitude", "longitude"})
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(:\d\d(?:[.,]\d{1,9})?)?)([Zz]|[+-]\d\d:\d\d)?)?")

When = str | Moment


_WIRE: Final[dict[Any, Any]] = {Moment: When, Moment | None: When | None}


class _Bad(Exception):
    """A fault of one row: field, code, sentence, advice."""

    def __init__(self, field: str, code: str, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.field, self.code, self.message, self.advice = field, code, message, advice


class _Samples(msgspec.Struct, forbid_unknown_fields=True):
    values: list[int | float | None]
    start: str | None = None
    interval_s: float | None = None
    offsets_s: list[float] | None = None


class _ListedSamples(_Samples, kw_only=True, forbid_unknown_fields=True):
    channel: str


class _Who(Who, frozen=True, forbid_unknown_fields=True):
    pass


class _Kind(NamedTuple):
    record: type[Envelope]
    wire: type[msgspec.Struct]
    fields: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    moments: tuple[str, ...]
    looks: tuple[Callable[[dict[str, Any], Any], None], ...]


def _wire(name: str, record: type[Envelope]) -> type[msgspec.Struct]:
    """The partner-facing twin of a record: same fields, times also as text, a vital's value without nesting."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(record):
        kind = _WIRE.get(field.type, field.type)
        fields.append((field.name, kind) if field.required else (field.name, kind, _default(field)))
    if name == "vital":
        fields += [("value", float | None, None), ("unit", str | None, None)]
    return msgspec.defstruct(f"Wire_{record.__name__}", fields, kw_only=True, tag=name, tag_field="kind", forbid_unknown_fields=True)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=cast(Callable[[], Any], field.default_factory))
    return field.default


def fills() -> dict[str, frozenset[str]]:
    """Every field: its rows have the records' own."""
    return {name: frozenset(record.__struct_fields__) for name, record in KINDS.items()}


def recognises(head: bytes, filename: str | None) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") and b'"record"' in head and b'"kind"' in head


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    found = elements.cut(stream, context.limits)
    return _rows(found, context)


def _rows(found: elements.Elements, context: Context) -> Iterator[Decoded | Rejected]:
    for row, raw in enumerate(found.raws, 1):
        try:
            yield _decoded(raw, row, raw if found.many else None, context)
        except _Bad as bad:
            if not found.many:
                sentence = f"{bad.field}: {bad.message}" if bad.field else bad.message
                raise AdapterError(sentence, advice=bad.advice, code=bad.code, field=bad.field) from None
            yield Rejected(row, bad.field, bad.code, bad.message, bad.advice, original=raw)


def _decoded(raw: bytes, row: int, original: bytes | None, context: Context) -> Decoded:
    parsed = _parse(raw, context)
    record = _record(parsed.record)
    series = _series(parsed.series, record.start, context.limits.samples) if parsed.series else []
    return Decoded(cast(Record, record), _who(parsed.who), row, series, original)


def _parse(raw: bytes, context: Context) -> Any:
    try:
        parsed = _decode_row(raw)
        fault = elements.fault(raw, context.limits)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        code = "schema" if isinstance(error, msgspec.ValidationError) else "not-json"
        raise _Bad(elements.path(error), code, _sentence(elements.reason(error)), "See the JSON Schema of the unified data standard.") from None
    except RecursionError:
        parsed, fault = None, "too-deep"
    if fault == "duplicate-key":
        raise _Bad("", fault, "An object names the same key twice.", "Send each key once.")
    if fault:
        raise _Bad("", fault, f"The row is nested deeper than {context.limits.depth} levels.", "Send it flat, as the standard asks.")
    return parsed


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _who(who: Who | None) -> Who | None:
    if who is None:
        return None
    return Who(who.member_number, who.id_number, who.health_card, who.name, who.phone, who.birth_date, who.gender, who.source_id)


def _record(wire: msgspec.Struct) -> Envelope:
    kind = _KINDS[type(wire)]
    values = dict(zip(kind.fields, kind.values(wire), strict=True))
    values["start"] = moment(values["start"], "record.start")
    for name in kind.moments:
        if values[name] is not None:
            values[name] = moment(values[name], f"record.{name}")
    for look in kind.looks:
        look(values, wire)
    return kind.record(**values)


def moment(value: When, field: str) -> Moment:
    """RFC 3339 text, local text without offset, a date, or a Moment, to a Moment with `at` in UTC."""
    if isinstance(value, Moment):
        return _settled(value, field)
    match = _TIME.fullmatch(value)
    if match is None:
        raise _no_time(field)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise _no_time(field) from None
    offset = found.utcoffset()
    if offset is None:
        return Moment(local=found, precision=_precision(match))
    return Moment(_utc(found, field), int(offset.total_seconds()) // 60, precision=_precision(match))


def _no_time(field: str) -> _Bad:
    return _Bad(field, "time", "Not a time.", "Write it as 2026-05-01T08:00:00+08:00.")


def _precision(match: re.Match[str]) -> Any:
    return "instant" if match[3] else "minute" if match[2] else "day"


def _utc(at: datetime, field: str) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise _no_time(field) from None


def _settled(value: Moment, field: str) -> Moment:
    """A partner's Moment: exactly one of `at` (with offset) and `local` (without)."""
    if (value.at is None) == (value.local is None):
        raise _Bad(field, "time", "A moment has either at or local.", 'Write {"at": "2026-05-01T00:00:00Z", "offset_minutes": 480}.')
    if value.at is None:
        if value.local is None or value.local.tzinfo is not None or value.offset_minutes is not None:
            raise _Bad(f"{field}.local", "time", "A local clock has no offset.", "With an offset, write it as at.")
        return value
    offset = value.at.utcoffset()
    if offset is None:
        raise _Bad(f"{field}.at", "time", "The time has no offset.", "Write the offset, or use local.")
    stated = value.offset_minutes if value.offset_minutes is not None else int(offset.total_seconds()) // 60 or None
    if stated is not None and not -1080 <= stated <= 1080:
        raise _Bad(f"{field}.offset_minutes", "time", "No place has this offset.", "Offsets lie between -18:00 and +18:00.")
    return Moment(_utc(value.at, field), stated, precision=value.precision)


def _quantity(given: Quantity, field: str) -> Quantity:
    measure = MEASURES.get(given.measure)
    if measure is None or not measure.unit:
        raise _Bad(f"{field}.measure", "measure", "Not a measure of the unified data standard.", "See the list of measures.")
    if given.unit == measure.unit:
        return given
    unit = ucum(given.unit)
    try:
        value = convert(given.value, unit, measure.unit)
    except InvalidRecord as error:
        raise _Bad(f"{field}.unit", "unit", error.message, f"Send {measure.unit}.") from None
    original = given.original or (None if same_unit(unit, measure.unit) else f"{given.value:g} {unit}")
    return Quantity(given.measure, value, measure.unit, original, given.coding)


def _quantities(given: list[Quantity], field: str) -> list[Quantity]:
    return [_quantity(quantity, f"{field}[{i}]") for i, quantity in enumerate(given)]


def _look_session(values: dict[str, Any], wire: Any) -> None:
    if values["sport"] is not None and values["sport"] not in SPORTS:
        raise _Bad("record.sport", "sport", "Not a sport of the unified data standard.", "See the list of sports, or leave it out.")


def _look_vital(values: dict[str, Any], wire: Any) -> None:
    measure = MEASURES.get(values["measure"])
    if measure is None:
        raise _Bad("record.measure", "measure", "Not a measure of the unified data standard.", "See the list of measures.")
    if wire.value is not None:
        if values["quantity"] is not None or wire.unit is None:
            raise _Bad("record.value", "schema", "A value goes with a unit and without quantity.", "Send value and unit, or quantity.")
        values["quantity"] = Quantity(values["measure"], wire.value, wire.unit)
    if (values["quantity"] is None) == (not values["components"]):
        raise _Bad("record", "schema", "A vital has either a quantity or components.", "Send one of the two.")
    if values["quantity"] is not None:
        values["quantity"] = _quantity(values["quantity"], "record.quantity")
        if values["quantity"].measure != values["measure"]:
            raise _Bad("record.quantity.measure", "measure", "The quantity is of another measure than the record.", "Name the same measure in both.")
    values["components"] = _quantities(values["components"], "record.components")


def _look_items(name: str) -> Callable[[dict[str, Any], Any], None]:
    def look(values: dict[str, Any], wire: Any) -> None:
        if not values[name]:
            raise _Bad(f"record.{name}", "schema", "The list is empty.", "Send at least one quantity.")
        values[name] = _quantities(values[name], f"record.{name}")

    return look


def _look_lab_result(values: dict[str, Any], wire: Any) -> None:
    if not values["items"]:
        raise _Bad("record.items", "schema", "The list is empty.", "Send at least one result.")
    values["items"] = [_analyte(item, f"record.items[{number}]") for number, item in enumerate(values["items"])]


def _analyte(given: Analyte, field: str) -> Analyte:
    if given.measure is None:
        return given
    if given.value is None:
        _known_measure(given.measure, field)
        return given
    found = _quantity(Quantity(given.measure, given.value, given.unit or "", given.original), field)
    if found.unit == given.unit:
        return given
    ends = {name: _end(end, given, found.unit, field) for name in ("reference_low", "reference_high") if (end := getattr(given, name)) is not None}
    return msgspec.structs.replace(given, value=found.value, unit=found.unit, original=found.original, **ends)


def _end(end: float, given: Analyte, unit: str, field: str) -> float:
    return _quantity(Quantity(given.measure or "", end, given.unit or ""), field).value


def _known_measure(measure: str, field: str) -> None:
    if measure not in MEASURES:
        raise _Bad(f"{field}.measure", "measure", "Not a measure of the unified data standard.", "See the list of measures.")


def _look_prescription(values: dict[str, Any], wire: Any) -> None:
    if not values["exercises"]:
        raise _Bad("record.exercises", "schema", "The list is empty.", "Send at least one exercise.")
    for number, exercise in enumerate(values["exercises"]):
        if exercise.sport is not None and exercise.sport not in SPORTS:
            raise _Bad(f"record.exercises[{number}].sport", "sport", "Not a sport of the unified data standard.", "See the list of sports, or leave it out.")
    for number, goal in enumerate(values["goals"]):
        if goal.measure is not None:
            _known_measure(goal.measure, f"record.goals[{number}]")


def _look_effect_evaluation(values: dict[str, Any], wire: Any) -> None:
    if not values["changes"]:
        raise _Bad("record.changes", "schema", "The list is empty.", "Send at least one measure before and after.")
    for number, change in enumerate(values["changes"]):
        _known_measure(change.measure, f"record.changes[{number}]")


_LOOK: Final[dict[str, Callable[[dict[str, Any], Any], None]]] = {
    "session": _look_session,
    "vital": _look_vital,
    "lab-result": _look_lab_result,
    "prescription": _look_prescription,
    "effect-evaluation": _look_effect_evaluation,
}
"""What a row of a kind is looked at for beside its types; lists of quantities are looked at in every kind."""


def _kind(name: str, record: type[Envelope]) -> _Kind:
    fields = record.__struct_fields__
    own = (_LOOK[name],) if name in _LOOK else ()
    items = tuple(_look_items(field) for field, many in MEASURED[name] if many and name not in _LOOK)
    return _Kind(record, _wire(name, record), fields, attrgetter(*fields), ("end", *MOMENTS[name]), (*own, *items))


_KINDS: Final = {kind.wire: kind for kind in (_kind(name, record) for name, record in KINDS.items())}
WIRE: Final[dict[str, type[msgspec.Struct]]] = {name: kind.wire for name, kind in zip(KINDS, _KINDS.values(), strict=True)}
"""Kind of record to the struct it is decoded with; `ROW` is the struct of a whole row."""
ROW: Final = msgspec.defstruct(
    "Row",
    [
        ("record", reduce(or_, _KINDS)),
        ("who", _Who | None, None),
        ("series", dict[str, _Samples] | list[_ListedSamples] | None, None),
    ],
    forbid_unknown_fields=True,
)
_decode_row = msgspec.json.Decoder(ROW).decode


def _series(given: dict[str, _Samples] | list[_ListedSamples], start: Moment, limit: int) -> list[Series]:
    named = given.items() if isinstance(given, dict) else [(samples.channel, samples) for samples in given]
    if sum(len(samples.values) for _, samples in named) > limit:
        raise _Bad("series", "too-large", f"The record has more than {limit} samples.", "Split the record, or send fewer samples.")
    return [_channel(name.replace("_", "-"), samples, start) for name, samples in named]


def _channel(channel: str, samples: _Samples, start: Moment) -> Series:
    if channel not in CHANNELS:
        raise _Bad("series", "channel", "Not a channel of the unified data standard.", f"Channels: {', '.join(sorted(CHANNELS))}.")
    field = f"series.{channel}"
    if (samples.interval_s is None) == (samples.offsets_s is None):
        raise _Bad(field, "schema", "A series has either interval_s or offsets_s.", "Send one of the two.")
    if samples.interval_s is not None and samples.interval_s <= 0:
        raise _Bad(f"{field}.interval_s", "schema", "The interval is not positive.", "Send seconds, for example 1.")
    if samples.offsets_s is not None and len(samples.offsets_s) != len(samples.values):
        raise _Bad(f"{field}.offsets_s", "schema", "There is not one offset for each value.", "Send lists of equal length.")
    begins = start if samples.start is None else moment(samples.start, f"{field}.start")
    if begins.at is None:
        raise _Bad(f"{field}.start", "time", "Samples need a start with an offset.", "Write it as 2026-05-01T08:00:00+08:00.")
    return Series(channel, begins.at, cast("list[float | None]", samples.values), samples.interval_s, samples.offsets_s)
