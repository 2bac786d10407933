"""Open mHealth data points: bare or with header, units taken strictly, times in all four ways."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import open_mhealth
from adapters.base import AdapterError, Context, Decoded, Limits, Rejected
from schemas.records import Moment, Session, VitalSign
from tests.shared import shared

AT = {"effective_time_frame": {"date_time": "2026-05-01T08:00:00+08:00"}}
HEART_RATE: dict[str, Any] = {"heart_rate": {"value": 60, "unit": "beats/min"}, **AT}


def read(content: object) -> list[Decoded | Rejected]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return list(open_mhealth.decode(io.BytesIO(raw), Context()))


def one(content: object) -> Any:
    (found,) = read(content)
    assert isinstance(found, Decoded)
    return found.record


def test_bare_blood_pressure_is_one_panel_with_posture_and_site() -> None:
    panel = one(shared("omh_blood_pressure_4.0_pass.json"))
    assert [(c.measure, c.value, c.unit) for c in panel.components] == [("systolic", 140, "mm[Hg]"), ("diastolic", 60, "mm[Hg]")]
    assert (panel.posture, panel.body_site) == ("sitting", "left upper arm")
    assert panel.start == Moment(datetime(2020, 2, 5, 15, 25, tzinfo=UTC), -480)


def test_physical_activity_is_a_session_in_metres() -> None:
    session = one(shared("omh_physical_activity_1.2_pass.json"))
    assert isinstance(session, Session)
    assert session.distance_m == pytest.approx(4988.97, abs=0.01)
    assert (session.sport, session.elapsed_s, session.energy_kcal, session.met) == ("walking", 3600, 160, 3.5)


def test_step_count_of_a_window_is_a_vital_with_start_and_end() -> None:
    steps = one(shared("omh_step_count_3.0_pass.json"))
    assert isinstance(steps, VitalSign)
    assert steps.quantity
    assert steps.end
    assert (steps.measure, steps.quantity.value, steps.start.at, steps.end.at) == (
        "steps", 10600, datetime(2016, 2, 5, 6, 25, tzinfo=UTC), datetime(2016, 2, 5, 7, 25, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("omh_blood_pressure_4.0_fail_unit.json", "systolic_blood_pressure.unit"),
        ("omh_heart_rate_2.0_fail_unit.json", "heart_rate.unit"),
        ("omh_oxygen_saturation_2.0_fail_no_time.json", "effective_time_frame"),
    ],
)
def test_a_single_point_that_breaks_its_schema_is_refused_by_field(name: str, field: str) -> None:
    assert open_mhealth.recognises(shared(name), name)
    with pytest.raises(AdapterError) as refused:
        read(shared(name))
    assert refused.value.field == field
    assert refused.value.message.startswith(field)


def test_a_bad_point_of_an_array_leaves_its_neighbours() -> None:
    found = read([HEART_RATE, {**HEART_RATE, "heart_rate": {"value": 60, "unit": "bpm"}}, HEART_RATE])
    assert [type(item) for item in found] == [Decoded, Rejected, Decoded]
    assert isinstance(found[1], Rejected)
    assert (found[1].row, found[1].field) == (2, "heart_rate.unit")
    assert found[1].original is not None


def test_one_point_per_line_is_read() -> None:
    line = json.dumps(HEART_RATE).encode()
    assert [item.original for item in read(line + b"\n\n" + line + b"\n")] == [line, line]


def test_header_gives_id_modality_device_and_user() -> None:
    header = {
        "id": "p-1", "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"}, "user_id": "u7",
        "acquisition_provenance": {"source_name": "Strap", "modality": "self-reported"},
    }  # fmt: skip
    (found,) = read({"header": header, "body": HEART_RATE})
    assert isinstance(found, Decoded)
    record = found.record
    assert (record.source_record_id, record.modality, record.device and record.device.model) == ("p-1", "self-reported", "Strap")
    assert record.flags[0].code == "self-reported"
    assert found.who
    assert found.who.source_id == "u7"


@pytest.mark.parametrize(
    ("body", "measure", "value", "unit", "original"),
    [
        ({"body_weight": {"value": 150, "unit": "lb"}}, "body-weight", 68.038855, "kg", "150 [lb_av]"),
        ({"body_height": {"value": 1.8, "unit": "m"}}, "body-height", 180, "cm", "1.8 m"),
        ({"body_temperature": {"value": 98.6, "unit": "F"}}, "body-temperature", 37, "Cel", "98.6 [degF]"),
        ({"oxygen_saturation": {"value": 97, "unit": "%"}}, "oxygen-saturation", 97, "%", None),
        ({"respiratory_rate": {"value": 14, "unit": "breaths/min"}}, "respiratory-rate", 14, "/min", None),
        ({"blood_glucose": {"value": 5.4, "unit": "mmol/L"}}, "glucose-capillary", 5.4, "mmol/L", None),
        ({"blood_glucose": {"value": 97, "unit": "mg/dL"}}, "glucose-capillary-mass", 97, "mg/dL", None),
        ({"blood_glucose": {"value": 5.4, "unit": "mmol/L"}, "specimen_source": "plasma"}, "glucose-serum", 5.4, "mmol/L", None),
        ({"kcal_burned": {"value": 120, "unit": "kcal"}}, "energy", 120, "kcal", None),
        ({"minutes_moderate_activity": {"value": 30, "unit": "min"}}, "moderate-minutes", 30, "min", None),
        ({"step_count": 6000}, "steps", 6000, "{steps}", None),
    ],
)
def test_each_schema_gives_its_measure_in_the_standards_unit(
    body: dict[str, object], measure: str, value: float, unit: str, original: str | None
) -> None:
    record = one({**body, **AT})
    assert (record.measure, record.quantity.measure) == (measure, measure)
    assert (record.quantity.value, record.quantity.unit, record.quantity.original) == (pytest.approx(value), unit, original)


@pytest.mark.parametrize(
    "interval",
    [
        {"start_date_time": "2026-05-01T07:00:00+08:00", "end_date_time": "2026-05-01T07:30:00+08:00"},
        {"start_date_time": "2026-05-01T07:00:00+08:00", "duration": {"value": 30, "unit": "min"}},
        {"end_date_time": "2026-05-01T07:30:00+08:00", "duration": {"value": 0.5, "unit": "h"}},
    ],
)
def test_an_interval_is_the_same_however_it_is_written(interval: dict[str, object]) -> None:
    session = one({"activity_name": "walking", "effective_time_frame": {"time_interval": interval}})
    assert session.start == Moment(datetime(2026, 4, 30, 23, tzinfo=UTC), 480)
    assert session.end == Moment(datetime(2026, 4, 30, 23, 30, tzinfo=UTC), 480)
    assert session.elapsed_s == 1800


def test_part_of_day_is_known_to_the_day_only() -> None:
    frame = {"effective_time_frame": {"time_interval": {"date": "2026-05-01", "part_of_day": "morning"}}}
    steps = one({"step_count": {"value": 100, "unit": "steps"}, **frame})
    assert (steps.start.local, steps.start.precision) == (datetime(2026, 5, 1, 6), "day")  # noqa: DTZ001
    session = one({"activity_name": "walking", **frame})
    assert session.elapsed_s is None


def test_an_unknown_activity_keeps_its_name_and_a_distance_of_zero_is_absent() -> None:
    session = one({"activity_name": "kite flying", "distance": {"value": 0, "unit": "m"}, **AT})
    assert (session.sport, session.title, session.distance_m) == (None, "kite flying", None)
    assert [flag.code for flag in session.flags] == ["sport-unknown", "distance-not-measured"]


@pytest.mark.parametrize(
    ("point", "field"),
    [
        ({"header": {"schema_id": {"name": "sleep-duration"}}, "body": {}}, "header.schema_id.name"),
        ({"header": {"schema_id": {"name": ["x"]}}, "body": {}}, "header.schema_id.name"),
        ({"header": {}, "body": {"mood": 3}}, "header.schema_id"),
        ({"header": {}, "body": 5}, "body"),
        ({"systolic_blood_pressure": {"value": 120, "unit": "mmHg"}, **AT}, "diastolic_blood_pressure"),
        ({"heart_rate": {"value": "60", "unit": "beats/min"}, **AT}, "heart_rate.value"),
        ({"heart_rate": {"value": True, "unit": "beats/min"}, **AT}, "heart_rate.value"),
        ({"heart_rate": {"value": 10**400, "unit": "beats/min"}, **AT}, "heart_rate.value"),
        ({"heart_rate": {"value": 60, "unit": {"a": 1}}, **AT}, "heart_rate.unit"),
        ({**HEART_RATE, "effective_time_frame": {"date_time": "1 May"}}, "effective_time_frame.date_time"),
        ({**HEART_RATE, "effective_time_frame": {}}, "effective_time_frame"),
        ({**HEART_RATE, "effective_time_frame": {"time_interval": {"date": "2026-05-01"}}}, "effective_time_frame.time_interval"),
        (
            {**HEART_RATE, "effective_time_frame": {"time_interval": {"date": "2026-05-01", "part_of_day": {}}}},
            "effective_time_frame.time_interval.part_of_day",
        ),
        ({"activity_name": "", **AT}, "activity_name"),
    ],
)  # fmt: skip
def test_each_fault_is_named_by_its_field(point: object, field: str) -> None:
    with pytest.raises(AdapterError) as refused:
        read(point)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"NaN", b"[" * 10_000, b'{"heart_rate":' * 10_000, b'{"heart_rate": 1, "heart_rate": 2}', b'{"heart_rate": {"value": 1e400}}'],
)
def test_broken_files_are_adapter_errors(content: bytes) -> None:
    with pytest.raises(AdapterError):
        read(content)


def test_deep_points_are_refused() -> None:
    with pytest.raises(AdapterError, match="deep"):
        list(open_mhealth.decode(io.BytesIO(b'{"heart_rate":' * 70 + b"1" + b"}" * 70), Context(limits=Limits(depth=64))))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["value", "unit", "date_time"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(_json, st.sampled_from(["heart_rate", "effective_time_frame", "body_posture", "activity_name", "header", "body", "distance", "blood_glucose"]))
def test_any_value_in_any_field_gives_a_record_or_a_rejection(value: object, field: str) -> None:
    (found,) = read([{**HEART_RATE, field: value}])
    assert isinstance(found, Decoded | Rejected)


@given(st.binary(max_size=200))
def test_random_bytes_give_adapter_errors_or_rejected_rows_only(noise: bytes) -> None:
    for content in (noise, b"[" + noise, open_mhealth.sample[:300] + noise):
        try:
            assert all(isinstance(item, Decoded | Rejected) for item in read(content))
        except AdapterError:
            continue
