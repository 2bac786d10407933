"""GPX tracks: the facts of real files, times and segments, and what hostile XML becomes."""

from __future__ import annotations

import io
import tracemalloc
from datetime import UTC, datetime

import pytest

from adapters import gpx
from adapters.base import AdapterError, Context, Decoded, Limits, TooLarge
from schemas.records import Session
from tests.shared import codes, shared


def decoded(content: bytes | str, zone: str | None = None, limits: Limits | None = None) -> list[Decoded]:
    raw = content.encode() if isinstance(content, str) else content
    found = list(gpx.decode(io.BytesIO(raw), Context(zone=zone, limits=limits or Limits())))
    return [one for one in found if isinstance(one, Decoded)]


def sessions(content: bytes | str) -> list[Session]:
    return [one.record for one in decoded(content) if isinstance(one.record, Session)]


def a_point(second: int | None, latitude: float = 31.0, inside: str = "") -> str:
    time = "" if second is None else f"<time>2026-05-03T07:{second // 60:02}:{second % 60:02}Z</time>"
    return f'<trkpt lat="{latitude}" lon="121.0">{time}{inside}</trkpt>'


def a_track(*segments: str, more: str = "<type>walking</type>") -> str:
    return f"<trk>{more}{''.join(f'<trkseg>{points}</trkseg>' for points in segments)}</trk>"


def a_file(*tracks: str, version: str = ' version="1.1"', head: str = "") -> str:
    return f'<gpx{version} creator="test">{head}{"".join(tracks)}</gpx>'


def test_fractions_of_seconds_and_the_offset_are_kept() -> None:
    (session,) = sessions(shared("gpx_fractional_seconds.gpx"))
    assert session.end is not None
    assert (session.start.at, session.start.offset_minutes) == (datetime(2015, 12, 11, 14, 43, 13, tzinfo=UTC), 60)
    assert session.end.at == datetime(2015, 12, 11, 14, 43, 13, 994000, tzinfo=UTC)
    assert (session.sport, session.elapsed_s, session.samples) == ("running", 0.994, 2)
    assert session.distance_m == pytest.approx(1.6, abs=0.5)


def test_single_point_is_an_empty_activity() -> None:
    (session,) = sessions(shared("gpx_local_offset_0115.gpx"))
    assert (session.start.at, session.start.offset_minutes) == (datetime(2021, 1, 7, 20, 36, 59, 179000, tzinfo=UTC), 75)
    assert (session.sport, session.distance_m, session.elapsed_s, session.samples) == (None, 0, 0, 1)
    assert codes(session) == {"activity-empty", "sport-unknown"}


def test_timed_tracks_are_sessions_and_the_others_are_named() -> None:
    first, second = sessions(shared("gpx_multi_track.gpx"))
    assert (first.title, first.samples, first.start.at) == ("ACTIVE LOG", 176, datetime(2010, 10, 3, 9, 36, 30, tzinfo=UTC))
    assert (second.title, second.samples, second.start.at) == ("ACTIVE LOG #2", 337, datetime(2010, 10, 3, 10, 57, 10, tzinfo=UTC))
    assert [session.end.at for session in (first, second) if session.end] == [
        datetime(2010, 10, 3, 10, 52, 22, tzinfo=UTC), datetime(2010, 10, 3, 13, 19, 31, tzinfo=UTC),
    ]  # fmt: skip
    assert [first.distance_m, second.distance_m] == pytest.approx([2284.6, 3984.0], rel=0.005)
    for session in (first, second):
        assert {"track-without-times", "track-empty", "distance-computed", "sport-unknown"} == codes(session)
        assert session.start.offset_minutes == 0


def test_file_time_never_dates_an_untimed_track() -> None:
    (session,) = sessions(shared("gpx_no_times.gpx"))
    assert session.end is not None
    assert (session.start.at, session.samples) == (datetime(2010, 8, 5, 16, 22, 52, tzinfo=UTC), 5)
    assert session.end.at == datetime(2010, 8, 5, 16, 23, 49, tzinfo=UTC)
    head = "<metadata><time>2026-01-01T00:00:00Z</time></metadata><time>2026-01-01T00:00:00Z</time>"
    with pytest.raises(AdapterError, match="time"):
        sessions(a_file(a_track(a_point(None) * 3), head=head))


@pytest.mark.parametrize("version", [
    ' version="1.0" xmlns="http://www.topografix.com/GPX/1/0"', ' version="1.1" xmlns="http://www.topografix.com/GPX/1/1"', "",
])  # fmt: skip
def test_both_versions_and_no_namespace_are_read(version: str) -> None:
    (session,) = sessions(a_file(a_track(a_point(0) + a_point(10, 31.001)), version=version))
    assert (session.sport, session.elapsed_s) == ("walking", 10)


def test_gap_between_segments_is_not_distance() -> None:
    (session,) = sessions(a_file(a_track(a_point(0) + a_point(60, 31.001), a_point(600, 32) + a_point(660, 32.001))))
    assert session.distance_m == pytest.approx(222.4, abs=0.2)
    assert session.elapsed_s == 660


def test_extensions_give_heart_rate_cadence_and_power() -> None:
    extension = "<extensions><power>150</power><g:TrackPointExtension><g:hr>{}</g:hr><g:cad>80</g:cad></g:TrackPointExtension></extensions>"
    (one,) = decoded(a_file(a_track(a_point(0, 31, extension.format(100)) + a_point(5, 31, extension.format(110)))))
    session = one.record
    assert isinstance(session, Session)
    assert (session.hr_avg, session.hr_max, session.hr_samples) == (105, 110, 2)
    assert "hr-avg-computed" in codes(session)
    values = {series.channel: series.values for series in one.series}
    assert (values["heart-rate"], values["cadence"], values["power"]) == ([100, 110], [160, 160], [150, 150])


def test_figures_that_the_track_states_win() -> None:
    stated = "<extensions><s:TrackStatsExtension><s:Distance>500</s:Distance><s:TimerTime>55</s:TimerTime></s:TrackStatsExtension></extensions>"
    (session,) = sessions(a_file(a_track(a_point(0) + a_point(60, 31.001), more=stated)))
    assert (session.distance_m, session.timer_s) == (500, 55)
    assert codes(session) == {"sport-unknown"}


def test_receiver_without_a_fix_is_not_in_the_gulf_of_guinea() -> None:
    lost = '<trkpt lat="0" lon="0"><time>2026-05-03T07:00:05Z</time></trkpt>'
    (one,) = decoded(a_file(a_track(a_point(0) + lost + a_point(10, 31.001))))
    assert isinstance(one.record, Session)
    assert (one.record.samples, one.record.gps_samples) == (3, 2)
    assert one.record.distance_m == pytest.approx(111.2, abs=0.1)


def test_local_clock_stays_local() -> None:
    point = '<trkpt lat="31" lon="121"><time>2026-05-03T07:00:0{}</time></trkpt>'
    (one,) = decoded(a_file(a_track(point.format(0) + point.format(5))))
    assert (one.record.start.at, one.record.start.local) == (None, datetime(2026, 5, 3, 7))  # noqa: DTZ001 - a wall clock is meant


def test_chinese_encodings_are_read() -> None:
    content = '<?xml version="1.0" encoding="GB18030"?>' + a_file(a_track(a_point(0) + a_point(9), more="<name>晨练</name><type>健走</type>"))
    (session,) = sessions(content.encode("gb18030"))
    assert (session.title, session.sport) == ("晨练", "walking")
    (session,) = sessions(content.replace("GB18030", "UTF-16").encode("utf-16"))
    assert session.sport == "walking"


@pytest.mark.parametrize(("content", "why"), [
    (a_file("<rte><rtept lat='1' lon='1'/></rte>"), "routes or waypoints"),
    (a_file(), "no track"),
    ("<kml/>", "not a GPX file"),
    ("", "empty"),
    (gpx.sample[:600].decode(), "not well-formed"),
    ("<gpx><trk></gpx>", "not well-formed"),
    ('<?xml version="1.0" encoding="no-such-thing"?><gpx/>', "encoding"),
    ('<?xml version="1.0" encoding="base64"?><gpx/>', "encoding"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_reason(content: str, why: str) -> None:
    with pytest.raises(AdapterError, match=why):
        decoded(content)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 30))


@pytest.mark.parametrize("attack", [
    f'<!DOCTYPE gpx [<!ENTITY l0 "lol">{LAUGHS}]><gpx>&l29;</gpx>',
    f'<!DOCTYPE gpx [<!ENTITY a "{"a" * 50_000}">]><gpx>{"&a;" * 50_000}</gpx>',
    '<!DOCTYPE gpx [<!ENTITY x SYSTEM "file:///etc/passwd">]><gpx><trk><name>&x;</name></trk></gpx>',
    '<!DOCTYPE gpx [<!ENTITY % x SYSTEM "http://localhost:9/x.dtd"> %x;]><gpx/>',
    '<!DOCTYPE gpx SYSTEM "http://localhost:9/gpx.dtd"><gpx>&missing;</gpx>',
    '<gpx xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></gpx>',
    "<gpx>" + "<a>" * 5_000_000,
    "<gpx>" + "<a/>" * 200_000,
    f'<gpx creator="{"x" * 5_000_000}"/>',
    f"<gpx><!--{'x' * 5_000_000}--></gpx>",
], ids=["laughs", "quadratic", "external", "parameter", "dtd", "xinclude", "nested", "siblings", "attribute", "comment"])  # fmt: skip
def test_hostile_xml_is_refused_without_growing(attack: str) -> None:
    raw = io.BytesIO(attack.encode())
    tracemalloc.start()
    try:
        with pytest.raises(AdapterError) as refusal:
            list(gpx.decode(raw, Context()))
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert "root:" not in str(refusal.value)


def test_limits_of_points_tracks_depth_and_bytes() -> None:
    crowd = a_file(a_track("".join(a_point(i) for i in range(30))))
    for limits in (Limits(samples=20), Limits(bytes=200), Limits(depth=3)):
        with pytest.raises(TooLarge):
            decoded(crowd, limits=limits)
    with pytest.raises(TooLarge):
        decoded(a_file(*["<trk/>"] * 1_001))
