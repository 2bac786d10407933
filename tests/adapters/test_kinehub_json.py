"""The unified standard's own JSON: easy to write, strict in what it takes, one bad row never costs its neighbours."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import kinehub_json
from adapters.base import AdapterError, Context, Decoded, Limits, Rejected, TooLarge
from schemas.records import KINDS, Session, VitalSign

SESSION: dict[str, Any] = {"kind": "session", "start": "2026-05-01T08:00:00+08:00", "sport": "running", "elapsed_s": 1800, "hr_avg": 128}


def read(content: object, **limits: int) -> list[Decoded | Rejected]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return list(kinehub_json.decode(io.BytesIO(raw), Context(limits=Limits(**limits))))


def one(record: dict[str, Any], **row: Any) -> Decoded:
    (found,) = read({"record": record, **row})
    assert isinstance(found, Decoded)
    return found


def refusal(record: dict[str, Any], **row: Any) -> Rejected:
    good, found = read([{"record": SESSION}, {"record": record, **row}])
    assert isinstance(good, Decoded)
    assert isinstance(found, Rejected)
    return found


def test_sample_shows_every_kind() -> None:
    found = read(kinehub_json.sample)
    assert {type(item.record) for item in found if isinstance(item, Decoded)} == set(KINDS.values())


@pytest.mark.parametrize(
    "content",
    [
        {"record": SESSION},
        [{"record": SESSION}],
        {"records": [{"record": SESSION}]},
        json.dumps({"record": SESSION}).encode() + b"\n" + json.dumps({"record": SESSION}).encode() + b"\n",
        b"\xef\xbb\xbf" + json.dumps([{"record": SESSION}]).encode(),
        json.dumps({"record": SESSION}, indent=2).encode(),
    ],
)
def test_every_way_of_packing_rows_gives_the_same_record(content: object) -> None:
    expected = one(SESSION).record
    assert all(isinstance(item, Decoded) and item.record == expected for item in read(content))


def test_rows_of_many_carry_their_own_bytes_and_a_single_one_none() -> None:
    rows = [json.dumps({"record": {**SESSION, "hr_avg": n}}).encode() for n in (100, 101)]
    assert [item.original for item in read(b"[" + b" ,\n".join(rows) + b"]")] == rows
    assert read(rows[0])[0].original is None


@pytest.mark.parametrize(
    ("start", "at", "offset", "local", "precision"),
    [
        ("2026-05-01T08:00:00+08:00", datetime(2026, 5, 1, tzinfo=UTC), 480, None, "instant"),
        ("2026-05-01T08:00+08:00", datetime(2026, 5, 1, tzinfo=UTC), 480, None, "minute"),
        ("2026-05-01T00:00:00Z", datetime(2026, 5, 1, tzinfo=UTC), 0, None, "instant"),
        ("2026-05-01T08:00:00", None, None, datetime(2026, 5, 1, 8), "instant"),  # noqa: DTZ001
        ("2026-05-01", None, None, datetime(2026, 5, 1), "day"),  # noqa: DTZ001
        ({"at": "2026-05-01T08:00:00+08:00"}, datetime(2026, 5, 1, tzinfo=UTC), 480, None, "instant"),
        ({"at": "2026-05-01T00:00:00Z"}, datetime(2026, 5, 1, tzinfo=UTC), None, None, "instant"),
        ({"at": "2026-05-01T00:00:00Z", "offset_minutes": 480}, datetime(2026, 5, 1, tzinfo=UTC), 480, None, "instant"),
        ({"local": "2026-05-01T08:00:00"}, None, None, datetime(2026, 5, 1, 8), "instant"),  # noqa: DTZ001
    ],
)
def test_times_are_as_sure_as_they_were_written(start: object, at: object, offset: object, local: object, precision: str) -> None:
    moment = one({**SESSION, "start": start}).record.start
    assert (moment.at, moment.offset_minutes, moment.local, moment.precision) == (at, offset, local, precision)


@pytest.mark.parametrize(
    "start",
    ["yesterday", "20260501", "2026-13-01", "2026-05-01T25:00:00Z", "2026-05-01T08:00:00+99:99", "0001-01-01T00:00:00+08:00", "2026-W01",
     {}, {"at": "2026-05-01T08:00:00"}, {"at": "2026-05-01T08:00:00Z", "local": "2026-05-01T08:00:00"}, {"local": "2026-05-01T08:00:00Z"},
     {"at": "2026-05-01T08:00:00Z", "offset_minutes": 99999}, 1777593600, None],
)  # fmt: skip
def test_a_time_that_is_none_is_refused_with_its_field(start: object) -> None:
    assert refusal({**SESSION, "start": start}).field.startswith("record.start")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"elapsed_s": "1800"}, "record.elapsed_s"),
        ({"elapsd_s": 1800}, "record"),
        ({"laps": [{"timer_s": 1}, {"timer_s": "x"}]}, "record.laps[1].timer_s"),
        ({"kind": "dance"}, "record.kind"),
        ({"sport": "quidditch"}, "record.sport"),
        ({"steps": 1.5}, "record.steps"),
    ],
)
def test_a_fault_is_named_with_its_field(change: dict[str, object], field: str) -> None:
    assert refusal({**SESSION, **change}).field.startswith(field)


def test_no_message_quotes_what_was_sent() -> None:
    secret = "LiSi13800138000"
    for record, who in [
        ({**SESSION, "kind": secret}, {}),
        ({**SESSION, "start": secret}, {}),
        (SESSION, {"birth_date": secret}),
        ({**SESSION, "sport": secret}, {}),
    ]:
        found = refusal(record, who=who)
        assert secret not in found.message + found.advice + found.field


@pytest.mark.parametrize(
    "row",
    [
        b'{"record": {"kind": "session", "start": "2026-05-01", "elapsed_s": 1e400}}',
        b'{"record": {"kind": "session", "start": "2026-05-01", "elapsed_s": 1, "elapsed_s": 2}}',
        b'{"record": {"kind": "session", "start": "2026-05-01", "note": "a\\"b", "elapsed_s": 1, "elapsed_s": 2}}',
        b'{"record": {"kind": "session", "start": "2026-05-01", "note": "\xff"}}',
        b'{"record": {"kind": "session", "start": "2026-05-01"}, "record": {"kind": "check-in", "start": "2026-05-01"}}',
        b'{"record": {"kind": "session", "start": "2026-05-01"}, "__proto__": {}}',
        b'{"record": 5}', b"7", b"null", b"[]", b"{}",
    ],
)  # fmt: skip
def test_hostile_rows_are_rejected_and_their_neighbours_kept(row: bytes) -> None:
    good = json.dumps({"record": SESSION}).encode()
    found = read(b"[" + good + b"," + row + b"," + good + b"]")
    assert [type(item) for item in found] == [Decoded, Rejected, Decoded]
    assert isinstance(found[1], Rejected)
    assert found[1].original == row
    with pytest.raises(AdapterError):
        read(row)


@pytest.mark.parametrize("row", [b'{"record": NaN}', b'{"record": ', b"nonsense", b'{"record": {"kind": "session", "start": "\\ud800"}}'])
def test_lines_that_are_no_json_cost_only_themselves(row: bytes) -> None:
    good = json.dumps({"record": SESSION}).encode()
    assert [type(item) for item in read(b"\n".join([good, row, good]))] == [Decoded, Rejected, Decoded]
    with pytest.raises(AdapterError):
        read(b"[" + row + b"]")


@pytest.mark.parametrize(
    "content", [b"", b"  ", b"[]", b"hello", b"[1,", b'{"records": []}', b'{"records": 5}', b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000]
)
def test_broken_files_are_adapter_errors(content: bytes) -> None:
    with pytest.raises(AdapterError):
        read(content)


def test_deep_elements_are_rejected() -> None:
    deep = b'{"record":' + b"[" * 500 + b"]" * 500 + b"}"
    assert isinstance(read(b"[" + deep + b"]")[0], Rejected)
    assert isinstance(read(b"[" + b'{"record":' * 9_00 + b"1" + b"}" * 900 + b"]")[0], Rejected)


def test_equal_keys_in_different_objects_are_no_duplicates() -> None:
    record = {**SESSION, "laps": [{"start": "2026-05-01T00:00:00Z", "timer_s": 1}, {"start": "2026-05-01T00:10:00Z", "timer_s": 1}]}
    assert isinstance(one(record, series={"power": {"start": "2026-05-01T00:00:00Z", "interval_s": 1, "values": [1]}}).record, Session)


def test_series_are_keyed_by_channel_or_listed() -> None:
    samples = {"interval_s": 1, "values": [92, None, 95.5]}
    (keyed,) = one(SESSION, series={"heart_rate": samples}).series
    (listed,) = one(SESSION, series=[{"channel": "heart-rate", "start": "2026-05-01T00:00:00Z", **samples}]).series
    assert keyed == listed
    assert (keyed.channel, keyed.start, keyed.values) == ("heart-rate", datetime(2026, 5, 1, tzinfo=UTC), [92, None, 95.5])


@pytest.mark.parametrize(
    "series",
    [
        {"mood": {"interval_s": 1, "values": [1]}},
        {"power": {"values": [1]}},
        {"power": {"interval_s": 0, "values": [1]}},
        {"power": {"offsets_s": [0], "values": [1, 2]}},
        {"power": {"interval_s": 1, "values": ["1"]}},
        {"power": {"interval_s": 1, "values": [1], "start": "2026-05-01T08:00:00"}},
    ],
)
def test_a_series_that_cannot_be_placed_is_refused(series: object) -> None:
    assert refusal(SESSION, series=series).field.startswith("series")


def test_samples_need_an_instant() -> None:
    assert refusal({**SESSION, "start": "2026-05-01"}, series={"power": {"interval_s": 1, "values": [1]}}).code == "time"


def test_too_many_samples_rows_or_bytes_are_refused() -> None:
    (found,) = read([{"record": SESSION, "series": {"power": {"interval_s": 1, "values": [1] * 20}}}], samples=10)
    assert isinstance(found, Rejected)
    with pytest.raises(TooLarge):
        read([{"record": SESSION}] * 3, rows=2)
    with pytest.raises(TooLarge):
        read([{"record": SESSION}] * 3, bytes=100)


def test_a_vital_may_be_written_flat_and_units_are_converted() -> None:
    start = {"kind": "vital", "start": "2026-05-01T08:00:00+08:00"}
    flat = one({**start, "measure": "body-temperature", "value": 98.6, "unit": "degF"}).record
    nested = one({**start, "measure": "body-temperature", "quantity": {"measure": "body-temperature", "value": 98.6, "unit": "[degF]"}}).record
    assert flat == nested
    assert isinstance(flat, VitalSign)
    assert flat.quantity
    assert (flat.quantity.value, flat.quantity.unit, flat.quantity.original) == (37.0, "Cel", "98.6 [degF]")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"measure": "aura"}, "record.measure"),
        ({"measure": "heart-rate"}, "record"),
        ({"measure": "heart-rate", "value": 70}, "record.value"),
        ({"measure": "heart-rate", "value": 70, "unit": "kg"}, "record.quantity.unit"),
        ({"measure": "heart-rate", "quantity": {"measure": "bmi", "value": 20, "unit": "kg/m2"}}, "record.quantity.measure"),
        ({"measure": "blood-pressure", "components": [{"measure": "systolic", "value": 1, "unit": "kg"}]}, "record.components[0].unit"),
    ],
)
def test_a_vital_that_says_too_little_or_too_much_is_refused(change: dict[str, object], field: str) -> None:
    assert refusal({"kind": "vital", "start": "2026-05-01", **change}).field == field


def test_who_is_read_and_a_misspelt_hint_is_not_dropped_silently() -> None:
    who = one(SESSION, who={"member_number": "A1", "birth_date": "1950-01-01"}).who
    assert who
    assert (who.member_number, str(who.birth_date)) == ("A1", "1950-01-01")
    assert refusal(SESSION, who={"memberNumber": "A1"}).field == "who"


@given(st.binary(max_size=200))
def test_random_bytes_give_adapter_errors_or_rejected_rows_only(noise: bytes) -> None:
    for content in (noise, b"[" + noise, kinehub_json.sample[:400] + noise, b'{"record":' + noise + b"}"):
        try:
            assert all(isinstance(item, Decoded | Rejected) for item in read(content))
        except AdapterError:
            continue


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["kind", "start", "at"]), inner, max_size=4),
    max_leaves=8,
)


@given(_json, st.sampled_from(["start", "end", "laps", "hr_avg", "flags", "device", "kind", "note"]))
def test_any_value_in_any_field_gives_a_record_or_a_rejection(value: object, field: str) -> None:
    (found,) = read([{"record": {**SESSION, field: value}}])
    assert isinstance(found, Decoded | Rejected)


@given(
    st.builds(Session, start=st.just(one(SESSION).record.start), sport=st.sampled_from(["running", None]), elapsed_s=st.none() | st.floats(0, 1e6))
)
def test_what_the_standard_writes_is_read_back_the_same(session: Session) -> None:
    raw = b'{"record": ' + msgspec.json.encode(session) + b"}"
    (found,) = read(raw)
    assert isinstance(found, Decoded)
    assert found.record == session
