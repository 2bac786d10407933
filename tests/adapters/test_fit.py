"""FIT activities: the facts of real files, agreement with fitdecode, and what broken or odd files become."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import fitdecode
import pytest

from adapters import fit, fitfile
from adapters.base import AdapterError, Context, Decoded, Limits, TooLarge
from schemas.records import Session
from tests.shared import codes, shared

START = 1_146_697_200
BEGAN = datetime(2026, 5, 2, 23, tzinfo=UTC)
ENUM, U8, U16, U32, U32Z, TEXT = 0x00, 0x02, 0x84, 0x86, 0x8C, 0x07

Message = tuple[int, list[tuple[int, int, int | float | str]]]
A_FILE_ID: Message = (0, [(0, ENUM, 4), (1, U16, 1), (3, U32Z, 7), (4, U32, START)])
AN_ACTIVITY: Message = (34, [(253, U32, START + 600), (5, U32, START + 600 + 8 * 3600)])


def a_session(start: int = START, seconds: int = 600, sport: int = 1, *more: tuple[int, int, int | float | str]) -> Message:
    return 18, [(253, U32, start + seconds), (2, U32, start), (5, ENUM, sport), (7, U32, seconds * 1000), (8, U32, seconds * 1000), *more]


def a_record(at: int, hr: int, metres: float = 0) -> Message:
    return 20, [(253, U32, START + at), (3, U8, hr), (5, U32, round(metres * 100))]


def decoded(content: bytes, zone: str | None = None, limits: Limits | None = None) -> list[Decoded]:
    found = list(fit.decode(io.BytesIO(content), Context(zone=zone, limits=limits or Limits())))
    return [one for one in found if isinstance(one, Decoded)]


def sessions(content: bytes, zone: str | None = None) -> list[Session]:
    return [one.record for one in decoded(content, zone) if isinstance(one.record, Session)]


def expected(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = next(row["facts"] for row in json.loads(shared("expected.json")) if row["file"] == name)
    return facts


FILES = [
    "fit_edge800_indoor_trainer.fit", "fit_elemnt_devdata_no_appid.fit", "fit_fenix5_run.fit", "fit_fenix5_walk.fit",
    "fit_fr735_pool_swim_chained_hr.fit", "fit_onelap_indoor_hr_zero.fit", "fit_pm5_indoor_rowing_devfields.fit",
]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_real_files_give_the_expected_facts(name: str) -> None:
    facts = expected(name)
    (session,) = sessions(shared(name))
    (said,) = facts["sessions"]
    assert session.start.at == datetime.fromisoformat(said["start_utc"])
    assert session.start.offset_minutes == facts["local_offset_minutes"]
    assert session.end is not None
    assert session.end.at == session.start.at + timedelta(seconds=said["elapsed_s"])
    assert session.sport == {"fitness_equipment": said.get("sub_sport")}.get(said["sport"], said["sport"])
    assert (session.elapsed_s, session.timer_s) == (said["elapsed_s"], said["timer_s"])
    assert session.energy_kcal == said.get("energy_kcal")
    assert (session.hr_avg, session.hr_max, session.power_avg_w) == (said.get("avg_hr"), said.get("max_hr"), said.get("avg_power_w"))
    assert session.pool_length_m == said.get("pool_length_m")
    assert (session.samples, len(session.laps)) == (facts["records"], facts["laps"])
    assert (session.gps_samples, session.hr_samples) == (facts["gps_records"], facts["hr_samples_valid"])
    assert session.device is not None
    assert session.device.manufacturer == facts["manufacturer"]
    assert facts.get("device") in (None, session.device.model)
    if not said.get("distance_not_measured"):
        assert session.distance_m == said.get("distance_m")
    if "steps_or_strokes" in said:
        assert session.strokes == said["steps_or_strokes"]


def test_distance_zero_on_a_trainer_is_not_measured() -> None:
    (session,) = sessions(shared("fit_edge800_indoor_trainer.fit"))
    assert session.distance_m is None
    assert "distance-not-measured" in codes(session)


def test_rower_takes_its_distance_from_the_developer_field_that_its_records_confirm() -> None:
    (one,) = decoded(shared("fit_pm5_indoor_rowing_devfields.fit"))
    assert isinstance(one.record, Session)
    assert (one.record.sport, one.record.indoor, one.record.distance_m) == ("indoor_rowing", True, 6163)
    assert {"developer-field", "distance-not-measured"} <= codes(one.record)
    assert {"distance", "power", "speed"} <= {series.channel for series in one.series}


def test_virtual_ride_names_each_of_its_defects() -> None:
    (one,) = decoded(shared("fit_onelap_indoor_hr_zero.fit"))
    assert isinstance(one.record, Session)
    assert codes(one.record) == {"heart-rate-not-measured", "end-from-duration", "figures-disagree", "position-virtual"}
    assert "heart-rate" not in {series.channel for series in one.series}
    assert (one.record.sport, one.record.sub_sport, one.record.indoor) == ("cycling", "indoor_cycling", True)


def test_chained_strap_memory_is_merged_into_the_records() -> None:
    (one,) = decoded(shared("fit_fr735_pool_swim_chained_hr.fit"))
    (rates,) = [series.values for series in one.series if series.channel == "heart-rate"]
    known = [rate for rate in rates if rate is not None]
    assert (len(known), min(known), max(known)) == (4376, 80, 161)
    assert sum(known) / len(known) == pytest.approx(138.29, abs=0.1)


def test_walk_and_run_of_one_device_have_ids_of_their_own() -> None:
    ids = [sessions(shared(f"fit_fenix5_{name}.fit"))[0].source_record_id for name in ("run", "walk")]
    assert None not in ids
    assert len(set(ids)) == 2


def test_relative_clock_is_refused_without_a_zone_and_anchored_with_one() -> None:
    content = shared("fit_fr70_relative_timestamps.fit")
    with pytest.raises(AdapterError, match="switched on") as refusal:
        sessions(content)
    assert refusal.value.code == "clock-relative"
    (session,) = sessions(content, "Asia/Shanghai")
    assert session.start.at == datetime(2012, 2, 13, 3, 23, 51, tzinfo=UTC)
    assert (session.start.offset_minutes, session.samples, session.hr_samples, session.hr_avg) == (480, 686, 685, 162)
    assert {"clock-relative", "zone-assumed"} <= codes(session)


def _oracle(content: bytes, field: str) -> list[tuple[Any, Any]]:
    found = []
    with fitdecode.FitReader(io.BytesIO(content), check_crc=fitdecode.CrcCheck.DISABLED) as reader:
        for frame in reader:
            if isinstance(frame, fitdecode.FitDataMessage) and frame.name == "record":
                found.append((frame.get_raw_value("timestamp"), frame.get_value(field, fallback=None)))
    return [(time, value) for time, value in found if value is not None]


@pytest.mark.parametrize("name", [name for name in FILES if "pm5" not in name and "onelap" not in name])
@pytest.mark.parametrize(("channel", "field"), [("power", "power"), ("altitude", "enhanced_altitude"), ("distance", "distance")])
def test_series_agree_with_fitdecode(name: str, channel: str, field: str) -> None:
    content = shared(name)
    (one,) = decoded(content)
    found = [
        (round(series.start.timestamp() + (series.offsets_s[i] if series.offsets_s else i * (series.interval_s or 0))) - fitfile.EPOCH, value)
        for series in one.series
        if series.channel == channel
        for i, value in enumerate(series.values)
        if value is not None
    ]
    theirs = _oracle(content, field)
    assert [time for time, _ in found] == [time for time, _ in theirs]
    assert [value for _, value in found] == pytest.approx([value for _, value in theirs], abs=0.05)


def test_checksum_matches_the_published_check_value() -> None:
    assert fitfile.crc(b"123456789") == 0xBB3D
    assert fitfile.crc(b"") == 0
    assert fitfile.crc(fit.sample) == 0


def test_wrong_checksum_is_accepted_and_flagged() -> None:
    (session,) = sessions(fit.sample[:-2] + b"\x12\x34")
    assert codes(session) == {"checksum-wrong"}


def test_header_without_checksum_is_plainly_accepted() -> None:
    body = bytearray(fit.sample[:-2])
    body[12:14] = b"\0\0"
    (session,) = sessions(bytes(body) + fitfile.crc(bytes(body)).to_bytes(2, "little"))
    assert session.flags == []


def test_bytes_after_the_end_are_left_and_flagged_unless_they_are_padding() -> None:
    assert sessions(fit.sample + b"\0" * 40)[0].flags == []
    assert codes(sessions(fit.sample + b"and something else")[0]) == {"trailing-bytes"}


def test_file_cut_before_its_session_is_refused() -> None:
    with pytest.raises(AdapterError, match="ends early"):
        sessions(fit.sample[:100])


def test_file_cut_after_a_whole_session_is_taken_and_flagged() -> None:
    second = fitfile.write([A_FILE_ID, *(a_record(at, 100) for at in range(50))])
    (session,) = sessions(fit.sample + second[:-40])
    assert codes(session) == {"truncated"}


def test_file_without_session_message_is_summed_up_from_its_records() -> None:
    (session,) = sessions(fitfile.write([A_FILE_ID, a_record(0, 100), a_record(30, 110, 90), a_record(60, 120, 180)]))
    assert (session.start.at, session.elapsed_s, session.distance_m) == (BEGAN, 60, 180)
    assert (session.hr_avg, session.hr_max, session.samples, session.timer_s) == (110, 120, 3, None)
    assert {"session-computed", "hr-avg-computed", "sport-unknown", "distance-computed"} == codes(session)


def test_several_sessions_share_out_records_and_laps_by_time() -> None:
    lap: Message = (19, [(253, U32, START + 900), (2, U32, START + 700), (7, U32, 200_000)])
    legs = [a_session(START, 600, 5), a_session(START + 700, 300, 1)]
    first, second = sessions(fitfile.write([A_FILE_ID, a_record(10, 100), a_record(20, 100), a_record(720, 150), lap, *legs, AN_ACTIVITY]))
    assert (first.sport, first.samples, first.laps) == ("swimming", 2, [])
    assert (second.sport, second.samples, len(second.laps)) == ("running", 1, 1)
    assert first.source_record_id != second.source_record_id
    assert second.start.at == BEGAN + timedelta(seconds=700)


def test_chained_activities_are_all_read() -> None:
    later = fitfile.write([A_FILE_ID, a_record(5000, 90), a_session(START + 5000, 60, 11)])
    assert [session.sport for session in sessions(fit.sample + later)] == ["running", "walking"]


def test_compressed_time_headers_roll_over() -> None:
    full = fitfile.write([A_FILE_ID, a_session(), a_record(0, 100)])
    body = bytearray(full[14:-2])
    body += b"\x41\0\0\x14\0\x01\x03\x01\x02"
    times = [START + 5, START + 30, START + 33, START + 60]
    for at in times:
        body += bytes((0x80 | 1 << 5 | at & 0x1F, 101))
    header = full[:4] + len(body).to_bytes(4, "little") + b".FIT\0\0"
    (one,) = decoded(header + bytes(body) + fitfile.crc(header + bytes(body)).to_bytes(2, "little"))
    (rates,) = [series for series in one.series if series.channel == "heart-rate"]
    assert rates.offsets_s == [0, 5, 30, 33, 60]
    assert rates.values == [100, 101, 101, 101, 101]


def test_big_endian_messages_are_read() -> None:
    body = b"\x40\0\x01\x00\x12\x04\xfd\x04\x86\x02\x04\x86\x05\x01\x00\x07\x04\x86"
    body += b"\x00" + (START + 60).to_bytes(4, "big") + START.to_bytes(4, "big") + b"\x0b" + (60_000).to_bytes(4, "big")
    header = bytes((12, 0x10)) + b"\0\0" + len(body).to_bytes(4, "little") + b".FIT"
    (session,) = sessions(header + body + fitfile.crc(header + body).to_bytes(2, "little"))
    assert (session.start.at, session.sport, session.elapsed_s) == (BEGAN, "walking", 60)


@pytest.mark.parametrize(("sport", "sub", "code", "indoor"), [
    (1, 1, "running", True), (4, 1, "running", True), (4, 14, "indoor_rowing", True), (15, 14, "indoor_rowing", True), (2, 6, "cycling", True),
    (2, 7, "cycling", None), (10, 20, "strength_training", True), (4, 0, "fitness_equipment", True), (64, 97, "table_tennis", True),
    (0, 0, None, None), (37, 0, "stand_up_paddleboarding", None), (83, 0, "dancing", None), (99, 0, None, None),
])  # fmt: skip
def test_sports_of_fit_become_the_one_vocabulary(sport: int, sub: int, code: str | None, indoor: bool | None) -> None:
    (session,) = sessions(fitfile.write([A_FILE_ID, a_session(START, 600, sport, (6, ENUM, sub))]))
    assert (session.sport, session.indoor) == (code, indoor)
    assert ("sport-unknown" in codes(session)) == (code is None)


def test_sport_profile_name_is_cut_at_its_first_nul() -> None:
    (session,) = sessions(fitfile.write([A_FILE_ID, a_session(START, 600, 0, (110, TEXT, "Run\0\x07garbage"))]))
    assert (session.title, session.sport) == ("Run", "running")


def test_absent_figures_stay_absent_and_zeros_are_not_measurements() -> None:
    zeros = ((9, U32, 0), (11, U16, 0), (16, U8, 0), (17, U8, 0))
    (session,) = sessions(fitfile.write([A_FILE_ID, a_session(START, 600, 1, *zeros)]))
    assert (session.distance_m, session.energy_kcal, session.hr_avg, session.hr_max) == (None, None, None, None)
    assert {"distance-not-measured", "energy-not-measured", "heart-rate-not-measured"} == codes(session)
    (session,) = sessions(fitfile.write([A_FILE_ID, a_session()]))
    assert (session.distance_m, session.energy_kcal, session.hr_avg, session.flags) == (None, None, None, [])


def test_positions_outdoors_give_a_distance_where_the_file_has_none() -> None:
    semicircle = 2**31 / 180
    points: list[Message] = [
        (20, [(253, U32, START + i), (0, 0x85, round((31 + i / 1000) * semicircle)), (1, 0x85, round(121 * semicircle))]) for i in range(3)
    ]
    (session,) = sessions(fitfile.write([A_FILE_ID, *points, a_session()]))
    assert session.distance_m == pytest.approx(222.4, abs=0.5)
    assert session.gps_samples == 3
    assert codes(session) == {"distance-computed"}


@pytest.mark.parametrize(("kind", "name"), [(5, "workout"), (6, "course"), (2, "settings"), (32, "monitoring b"), (200, "type 200")])
def test_files_that_are_no_activity_are_refused_by_name(kind: int, name: str) -> None:
    with pytest.raises(AdapterError, match=name):
        sessions(fitfile.write([(0, [(0, ENUM, kind)]), a_session()]))


def test_activity_without_session_or_time_is_refused() -> None:
    with pytest.raises(AdapterError, match="no session"):
        sessions(fitfile.write([A_FILE_ID]))


def test_more_samples_than_the_limit_are_refused() -> None:
    many = fitfile.write([A_FILE_ID, *(a_record(at, 100) for at in range(60)), a_session()])
    with pytest.raises(TooLarge):
        decoded(many, limits=Limits(samples=50))
    with pytest.raises(TooLarge):
        decoded(many, limits=Limits(samples=10))
    with pytest.raises(TooLarge):
        decoded(many, limits=Limits(bytes=100))


def test_sizes_that_lie_end_in_a_clear_refusal() -> None:
    lying = fit.sample[:4] + b"\xff\xff\xff\xff" + fit.sample[8:40]
    with pytest.raises(AdapterError, match="ends early"):
        sessions(lying)
    empty_layouts = b"\x40\0\0\x14\0\x00" + b"\0" * 5_000
    header = bytes((12, 0x10)) + b"\0\0" + len(empty_layouts).to_bytes(4, "little") + b".FIT"
    with pytest.raises(AdapterError):
        sessions(header + empty_layouts)


@pytest.mark.parametrize(("sub", "kept"), [(58, False), (0, True)])
def test_positions_are_dropped_only_where_they_are_virtual(sub: int, kept: bool) -> None:
    points: list[Message] = [(20, [(253, U32, START + i), (0, 0x85, 370_000_000 + i), (1, 0x85, 1_443_000_000)]) for i in range(3)]
    (one,) = decoded(fitfile.write([A_FILE_ID, *points, a_session(START, 600, 2, (6, ENUM, sub))]))
    assert isinstance(one.record, Session)
    assert one.record.gps_samples == 3
    assert ({series.channel for series in one.series} == {"latitude", "longitude"}) == kept
    assert ("position-virtual" in codes(one.record)) != kept


def test_strides_on_foot_become_steps() -> None:
    (session,) = sessions(fitfile.write([A_FILE_ID, a_session(START, 600, 1, (10, U32, 800), (18, U8, 80))]))
    assert (session.steps, session.strokes, session.cadence_avg) == (1600, None, 160)
    (session,) = sessions(fitfile.write([A_FILE_ID, a_session(START, 600, 2, (10, U32, 800), (18, U8, 80))]))
    assert (session.steps, session.strokes, session.cadence_avg) == (None, 800, 80)
