"""Both ways by one YAML: record to FHIR to record is the record, and FHIR to record to FHIR keeps what the standard knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hub.exchange import responses
from mappings import functions, opposites
from mappings.calls import EXTENSION_TYPES, FUNCTIONS
from mappings.face import FOLDER, Example, examples, face, tables_of
from mappings.inverse import Understood, records_of
from mappings.shape import BESIDE, is_call
from mappings.tables import Table
from schemas.errors import InvalidRecord
from schemas.measures import MEASURES
from schemas.records import (
    Answer,
    DaySummary,
    Device,
    DeviceVersion,
    FitnessTest,
    Flag,
    LabResult,
    Lap,
    Moment,
    Quantity,
    Record,
    Screening,
    Session,
    Specialization,
    VenueOccupancy,
    VitalSign,
)
from schemas.sports import SPORTS, sport_code
from tests.mappings.r4_oracle import SUBJECT
from tests.mappings.record_strategies import NIGHTS, OF_EXERCISE, RECORDS, filled_in

LEFT_OUT = ("samples", "hr_samples", "gps_samples", "ordinal")
"""Fields that the mappings leave out with a reason."""
BOUT_OR_DAY = {
    "duration", "elapsed-time", "distance", "swim-distance", "distance-other", "energy", "hr-mean", "hr-peak", "hr-lowest", "steps", "strokes",
    "moderate-minutes", "vigorous-minutes", "power-mean", "power-peak", "cadence", "ascent", "met", "rpe", "floors",
} | {key for key in MEASURES if key.endswith("-day")}  # fmt: skip
"""Measures of a workout or a day: alone they are read as a session or a day summary, never as a measurement of its own."""


def shown(record: Record) -> list[dict[str, Any]]:
    return [orjson.loads(resource.json) for resource in face(record, SUBJECT)]


def read_back(resources: list[dict[str, Any]]) -> Record:
    (found,) = records_of(resources)
    assert isinstance(found, Understood), found
    return found.record


def _said(text: str | None) -> str | None:
    return text if text and not text.isspace() else None


def _moment(moment: Moment | None) -> Moment | None:
    """A moment as far as a FHIR dateTime carries it: a day is its date, and minutes are not told from instants."""
    if moment is None:
        return None
    if moment.precision == "day":
        said, _ = functions.clock(moment, SUBJECT.zone)
        return Moment(local=datetime.combine(datetime.fromisoformat(said).date(), time()), precision="day")
    return Moment(at=moment.at, offset_minutes=moment.offset_minutes, local=moment.local)


def _coding(measure: str, coding: str | None) -> str | None:
    written = orjson.loads(functions.coding(None, coding)[1:] or b"null") if coding else None  # type: ignore[arg-type]  # the context is not read
    if written is None or (written.get("system"), written["code"]) in {("http://loinc.org", code) for code in MEASURES[measure].loinc}:
        return None
    return "|".join(filter(None, (written.get("system"), written["code"])))


def _quantity(quantity: Quantity | None) -> Quantity | None:
    if quantity is None:
        return None
    return Quantity(quantity.measure, quantity.value + 0.0, quantity.unit, _said(quantity.original), _coding(quantity.measure, quantity.coding))


def _device(device: Device | None) -> Device | None:
    if device is None or not functions.known_device(device):
        return None
    fields: dict[str, Any] = {name: _said(value) for name in Device.__struct_fields__ if not isinstance(value := getattr(device, name), list)}
    if fields["identifier"]:
        fields["identifier"] = functions.eui64(fields["identifier"]) or fields["identifier"]
    fields["mdc_type"] = _mdc(fields["mdc_type"])
    versions = [DeviceVersion(one.value, _mdc(one.mdc)) for one in device.versions if _said(one.value)]
    if fields["firmware"] is None:
        first = next((one for one in versions if one.mdc == functions.FIRMWARE), None)
        fields["firmware"] = first and first.value
    versions = [one for one in versions if (one.mdc, one.value) != (functions.FIRMWARE, fields["firmware"])]
    listed = [Specialization(mdc, _said(one.version)) for one in device.specializations if (mdc := _mdc(one.mdc))]
    return Device(**fields, specializations=listed, versions=versions)


def _mdc(said: str | None) -> str | None:
    if not _said(said):
        return None
    written = orjson.loads(functions.device_type(None, said))  # type: ignore[arg-type]
    return str(written["coding"][0]["code"] if "coding" in written else written["text"])


def _lap(lap: Lap) -> Lap:
    return msgspec.structs.replace(lap, elapsed_s=_seconds(lap.elapsed_s), timer_s=_seconds(lap.timer_s))


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def kept(record: Record) -> Record:
    """A record as far as the mappings claim to carry it."""
    changed: dict[str, Any] = {
        "start": _moment(record.start), "end": _moment(record.end), "device": _device(record.device), "note": _said(record.note),
        "flags": [Flag(code) for code in dict.fromkeys(flag.code for flag in record.flags)],
    }  # fmt: skip
    for field in msgspec.structs.fields(type(record)):
        value = getattr(record, field.name)
        if field.name in LEFT_OUT:
            changed[field.name] = field.default
        elif isinstance(value, Device):
            changed[field.name] = _device(value)
        elif isinstance(value, Quantity):
            changed[field.name] = _quantity(value)
        elif isinstance(value, list) and value and isinstance(value[0], Quantity | Lap):
            changed[field.name] = [_quantity(one) if isinstance(one, Quantity) else _lap(one) for one in value]
        elif isinstance(value, Moment) and field.name not in ("start", "end"):
            changed[field.name] = _moment(value)
        elif isinstance(value, str) and field.name not in ("measure", "modality", "interpretation"):
            changed[field.name] = _said(value)
        elif field.name in ("elapsed_s", "timer_s"):
            changed[field.name] = _seconds(value)
    if isinstance(record, Session) and record.sport not in SPORTS:
        changed["sport"] = sport_code(record.sport) or _said(record.sport)
    if isinstance(record, VenueOccupancy):
        changed |= {"device": None, "end": None if changed["end"] == changed["start"] else changed["end"]}
    if isinstance(record, DaySummary):
        changed |= {"start": Moment(local=datetime.combine(record.date, time()), precision="day"), "end": None}
    return msgspec.structs.replace(record, **changed)


def in_order(record: Record) -> Record:
    """Quantities by measure: a weighing or test visit has no order but that of the trials of one item."""
    for name in ("quantities", "items"):
        if hasattr(record, name):
            record = msgspec.structs.replace(record, **{name: sorted(getattr(record, name), key=lambda one: one.measure or "")})
    return record


def _ambiguous(record: Record) -> bool:
    """What two kinds can say alike, or a face cannot tell apart."""
    if isinstance(record, VitalSign):
        return record.measure in BOUT_OR_DAY or (record.measure == "resting-heart-rate" and record.start.precision == "day")
    if isinstance(record, Session):
        return any(lap.start is not None and lap.start == record.start.at for lap in record.laps)
    if isinstance(record, LabResult):
        return any(item.measure is None and item.coding in ("urn:iso:std:iso:11073:10101|150021", "http://loinc.org|8480-6") for item in record.items)
    return isinstance(record, FitnessTest) and any(item.measure == "fitness-total-score" for item in record.items)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])
@given(st.one_of(OF_EXERCISE, NIGHTS))
def test_a_record_comes_back_from_its_face(record: Record) -> None:
    assume(not _ambiguous(record))
    whole = kept(record)
    try:
        resources = shown(whole)
    except InvalidRecord:
        assume(False)
        raise
    assert in_order(read_back(resources)) == in_order(whole)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])
@given(RECORDS)
def test_what_is_read_back_shows_the_same_face(record: Record) -> None:
    assume(not _ambiguous(record))
    resources = shown(in_order(kept(record)))
    assert shown(in_order(read_back(resources))) == resources


@settings(max_examples=100, deadline=None)
@given(filled_in())
def test_answers_to_a_published_questionnaire_fit_it_and_come_back_with_the_words_of_the_source(record: Screening) -> None:
    resources = shown(record)
    (response,) = (one for one in resources if one["resourceType"] == "QuestionnaireResponse")
    assert responses.judged(response) == []
    found = read_back(resources)
    assert isinstance(found, Screening)
    assert (found.instrument, found.answers) == (record.instrument, [_answer(one) for one in record.answers])


def _answer(one: Answer) -> Answer:
    return Answer(one.item, _said(one.question), _said(one.answer) if isinstance(one.answer, str) else one.answer)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.says)
def test_a_yaml_s_example_comes_back(example: Example) -> None:
    resources = shown(in_order(kept(example.record)))
    assert shown(in_order(read_back(resources))) == resources


def _calls(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and {"to", "local"} & set(node):
        return
    if isinstance(node, Table) and is_call(node):
        yield from (name for name in node if name not in BESIDE)
    elif isinstance(node, dict):
        yield from (name for inner in node.values() for name in _calls(inner))
    elif isinstance(node, list):
        yield from (name for inner in node for name in _calls(inner))


def test_every_function_of_the_mappings_has_its_opposite() -> None:
    shared, tables = tables_of(FOLDER)
    specs = [shared["device"], *(spec for table in tables for spec in table["resources"])]
    assert {name for spec in specs for inner in spec.get("elements", {}).values() for name in _calls(inner)} <= set(opposites.OPPOSITES)
    assert set(FUNCTIONS) == set(opposites.OPPOSITES)
    assert set(EXTENSION_TYPES) == set(opposites.EXTENSIONS)
