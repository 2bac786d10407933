"""TCX activities: the facts of real files, laps before points, and what broken or hostile files become."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from adapters import tcx
from adapters.base import AdapterError, Context, Decoded, Limits, TooLarge
from schemas.records import Session
from tests.shared import codes, shared


def decoded(content: bytes | str, zone: str | None = None, limits: Limits | None = None) -> list[Decoded]:
    raw = content.encode() if isinstance(content, str) else content
    found = list(tcx.decode(io.BytesIO(raw), Context(zone=zone, limits=limits or Limits())))
    return [one for one in found if isinstance(one, Decoded)]


def sessions(content: bytes | str) -> list[Session]:
    return [one.record for one in decoded(content) if isinstance(one.record, Session)]


def a_file(*activities: str) -> str:
    return f"<TrainingCenterDatabase><Activities>{''.join(activities)}</Activities></TrainingCenterDatabase>"


def an_activity(*laps: str, sport: str = "Running", start: str = "2026-05-03T07:00:00Z", more: str = "") -> str:
    return f'<Activity Sport="{sport}"><Id>{start}</Id>{"".join(laps)}{more}</Activity>'


def a_lap(start: str = "2026-05-03T07:00:00Z", seconds: float = 60, inside: str = "") -> str:
    return f'<Lap StartTime="{start}"><TotalTimeSeconds>{seconds}</TotalTimeSeconds>{inside}</Lap>'


def a_point(time: str, inside: str = "") -> str:
    return f"<Trackpoint><Time>{time}</Time>{inside}</Trackpoint>"


def test_decimal_calories_and_microseconds_of_mapmyride() -> None:
    (session,) = sessions(shared("tcx_mapmyride_no_hr_microseconds.tcx"))
    assert session.end is not None
    assert session.start.at == datetime(2022, 11, 12, 15, 58, 25, tzinfo=UTC)
    assert session.end.at == datetime(2022, 11, 12, 16, 50, 16, 526400, tzinfo=UTC)
    assert (session.sport, session.timer_s, session.energy_kcal, session.start.offset_minutes) == ("cycling", 3111, 458, 0)
    assert session.distance_m == pytest.approx(15350.42)
    assert (session.samples, session.gps_samples, session.hr_samples, session.hr_avg, len(session.laps)) == (3112, 3105, 0, None, 1)
    assert codes(session) == {"value-rounded", "sample-empty", "implausible"}


def test_two_laps_of_paddling_are_summed_and_weighted() -> None:
    (one,) = decoded(shared("tcx_sup.tcx"))
    session = one.record
    assert isinstance(session, Session)
    assert session.end is not None
    assert session.device is not None
    assert session.end.at == datetime(2022, 7, 16, 16, 26, 57, tzinfo=UTC)
    assert (session.start.at, session.start.offset_minutes) == (datetime(2022, 7, 16, 16, 8, 25, tzinfo=UTC), None)
    assert (session.sport, session.timer_s, session.energy_kcal, session.hr_max) == ("other", 1112.335, 92, 108)
    assert session.distance_m == pytest.approx(1157.51)
    assert session.hr_avg == pytest.approx(88.13, abs=1)
    assert (session.samples, len(session.laps), session.flags) == (111, 2, [])
    assert (session.device.model, session.device.identifier, session.device.firmware) == ("vívoactive HR", "3937453043", "5.30")
    assert {"speed", "heart-rate", "latitude", "distance"} <= {series.channel for series in one.series}


def test_speed_and_power_of_the_extension_become_series() -> None:
    extension = "<Extensions><x:TPX><x:Speed>2.5</x:Speed><x:RunCadence>84</x:RunCadence><x:Watts>210</x:Watts></x:TPX></Extensions>"
    track = f"<Track>{a_point('2026-05-03T07:00:00Z', extension)}{a_point('2026-05-03T07:00:01Z', extension)}</Track>"
    (one,) = decoded(a_file(an_activity(a_lap(inside=track))))
    assert {series.channel: series.values[0] for series in one.series} == {"speed": 2.5, "cadence": 168, "power": 210}


def test_every_activity_of_a_file_is_a_session() -> None:
    first, second = sessions(a_file(an_activity(a_lap()), an_activity(a_lap("2026-05-04T07:00:00Z"), sport="Biking", start="2026-05-04T07:00:00Z")))
    assert (first.sport, second.sport) == ("running", "cycling")
    assert second.start.at == datetime(2026, 5, 4, 7, tzinfo=UTC)
    assert codes(first) == {"end-from-duration"}
    assert first.elapsed_s == 60


@pytest.mark.parametrize(
    ("written", "offset"), [("2026-05-03T07:00:00Z", None), ("2026-05-03T07:00:00+00:00", 0), ("2026-05-03T15:00:00+08:00", 480)]
)
def test_offset_is_what_the_file_states(written: str, offset: int | None) -> None:
    (session,) = sessions(a_file(an_activity(a_lap(written), start=written)))
    assert (session.start.at, session.start.offset_minutes) == (datetime(2026, 5, 3, 7, tzinfo=UTC), offset)


def test_time_without_zone_stays_a_local_clock_and_its_samples_wait_for_a_zone() -> None:
    point = a_point("2026-05-03T07:00:30", "<HeartRateBpm><Value>99</Value></HeartRateBpm>")
    content = a_file(an_activity(a_lap("2026-05-03T07:00:00", 60, f"<Track>{point}</Track>"), start="2026-05-03T07:00:00"))
    (one,) = decoded(content)
    assert (one.record.start.at, one.record.start.local) == (None, datetime(2026, 5, 3, 7))  # noqa: DTZ001 - a wall clock is meant
    assert one.series == []
    (placed,) = decoded(content, "Asia/Shanghai")
    assert placed.series[0].start == datetime(2026, 5, 2, 23, 0, 30, tzinfo=UTC)


def test_zeros_are_not_measurements() -> None:
    zeros = "<DistanceMeters>0</DistanceMeters><Calories>0</Calories><AverageHeartRateBpm><Value>0</Value></AverageHeartRateBpm>"
    (session,) = sessions(a_file(an_activity(a_lap(inside=zeros))))
    assert (session.distance_m, session.energy_kcal, session.hr_avg) == (None, None, None)
    assert {"distance-not-measured", "energy-not-measured", "heart-rate-not-measured"} <= codes(session)


def test_points_speak_where_laps_are_silent() -> None:
    points = "".join(
        a_point(f"2026-05-03T07:00:{i:02}Z", f"<DistanceMeters>{i * 3}</DistanceMeters><HeartRateBpm><Value>{100 + i}</Value></HeartRateBpm>")
        for i in range(11)
    )
    (session,) = sessions(a_file(an_activity(a_lap(seconds=10, inside=f"<Track>{points}</Track>"))))
    assert (session.distance_m, session.hr_avg, session.hr_max) == (30, 105, 110)
    assert codes(session) == {"distance-computed", "hr-avg-computed"}


def test_leading_blanks_before_the_declaration_are_forgiven() -> None:
    (session,) = sessions(b"          " + tcx.sample)
    assert session.sport == "running"


def test_activity_without_time_is_rejected_and_its_neighbour_kept() -> None:
    content = a_file(an_activity(start="yesterday"), an_activity(a_lap())).encode()
    found = list(tcx.decode(io.BytesIO(content), Context()))
    assert [type(one).__name__ for one in found] == ["Rejected", "Decoded"]


@pytest.mark.parametrize(("content", "why"), [
    ("<TrainingCenterDatabase><Courses/></TrainingCenterDatabase>", "courses, no activity"),
    ("<TrainingCenterDatabase/>", "no activity"),
    (a_file(an_activity(start="")), "readable time"),
    ("<gpx/>", "not a TCX file"),
    ("", "empty"),
    (tcx.sample[:500].decode(), "not well-formed"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_reason(content: str, why: str) -> None:
    with pytest.raises(AdapterError, match=why):
        decoded(content)


def test_limits_of_points_and_laps() -> None:
    points = "".join(a_point(f"2026-05-03T07:00:{i:02}Z") for i in range(20))
    with pytest.raises(TooLarge):
        decoded(a_file(an_activity(a_lap(inside=f"<Track>{points}</Track>"))), limits=Limits(samples=10))
    with pytest.raises(TooLarge):
        decoded(a_file(an_activity(*[a_lap()] * 20)), limits=Limits(rows=10))
