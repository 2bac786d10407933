"""GPX 1.0 and 1.1 tracks: one session a track. A track says where and when; what else it may say is in extensions.

Source: topografix.com GPX schemas; Garmin TrackPointExtension v1/v2, TrackStatsExtension, PowerExtension; cluetrust gpxdata.
The time in the file's head is the time of export and dates nothing. Gaps between segments are not distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from adapters import tracks, xml
from adapters.base import AdapterError, Context, Decoded, Limits, Rejected, TooLarge
from adapters.tracks import Points, Time
from schemas.records import Device, Flag, Session
from schemas.sports import SPORTS, sport_code

id = "gpx"
title = ("GPX 轨迹文件", "GPX track file")
version = "1"
extensions = (".gpx",)
emits = frozenset({"session"})
sample = b"""<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="KineHub" xmlns="http://www.topografix.com/GPX/1/1" xmlns:x="http://www.garmin.com/xmlschemas/TrackPointExtension/v1">
<trk><name>Morning walk</name><type>walking</type><trkseg>
<trkpt lat="31.2304" lon="121.4737"><ele>4</ele><time>2026-05-03T07:00:00+08:00</time>
<extensions><x:TrackPointExtension><x:hr>92</x:hr></x:TrackPointExtension></extensions></trkpt>
<trkpt lat="31.2313" lon="121.4737"><ele>5</ele><time>2026-05-03T07:01:15+08:00</time>
<extensions><x:TrackPointExtension><x:hr>98</x:hr></x:TrackPointExtension></extensions></trkpt>
</trkseg></trk></gpx>
"""

POINT_VALUES = {
    "ele": "altitude", "speed": "speed", "hr": "heart-rate", "heartrate": "heart-rate", "cad": "cadence", "cadence": "cadence",
    "power": "power", "PowerInWatts": "power", "watts": "power",
}  # fmt: skip
TRACK_VALUES = {
    "Distance": "distance_m",
    "TimerTime": "timer_s",
    "Calories": "energy_kcal",
    "AvgHeartRate": "hr_avg",
    "Ascent": "ascent_m",
}
STRAVA_TYPES = {"1": "cycling", "9": "running"}
ON_FOOT = {"running", "walking", "hiking"}
MOST_TRACKS = 1_000


class _Track:
    """A track while it is read."""

    def __init__(self, limits: Limits) -> None:
        self.points = Points(limits.samples)
        self.texts: dict[str, str] = {}
        self.figures: dict[str, float] = {}
        self.segment = 0
        self.untimed = 0
        self.unreadable = 0
        self.first: Time | None = None
        self.last: Time | None = None

    def add(self, time: Time | None, point: dict[str, float]) -> None:
        if time is None or (self.first and time.zoned != self.first.zoned):
            self.untimed += 1
            return
        self.points.add(time.seconds, self.segment, point)
        self.first = time if self.first is None or time.seconds < self.first.seconds else self.first
        self.last = time if self.last is None or time.seconds > self.last.seconds else self.last


class _Reader:
    """Follows the elements of a GPX file and collects its tracks."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.tracks: list[_Track] = []
        self.creator = ""
        self.other = False
        self._track: _Track | None = None
        self._point: dict[str, float] | None = None
        self._time: Time | None = None
        self._root = True

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._root:
            self._root = False
            if name != "gpx":
                raise AdapterError("This is not a GPX file: it does not begin with gpx.", advice="Name its format in the URL.")
            self.creator = attributes.get("creator", "").strip()[:100]
        elif name == "trk":
            self._open_track()
        elif name == "trkpt":
            self._point = {"latitude": tracks.number(attributes.get("lat", "")), "longitude": tracks.number(attributes.get("lon", ""))}
            self._time = None
        elif name == "trkseg" and self._track:
            self._track.segment += 1
        elif name in ("rte", "wpt"):
            self.other = True

    def end(self, name: str, text: str) -> None:
        if self._point is not None:
            self._end_in_point(name, text)
        elif self._track is not None:
            if name == "trk":
                self._track = None
            elif name in ("name", "type"):
                self._track.texts.setdefault(name, text[:200])
            elif name in TRACK_VALUES:
                self._track.figures[TRACK_VALUES[name]] = tracks.number(text)

    def _open_track(self) -> None:
        if len(self.tracks) >= MOST_TRACKS or sum(len(track.points) + track.untimed for track in self.tracks) > self.limits.samples:
            raise TooLarge(f"The file holds more than {MOST_TRACKS} tracks or {self.limits.samples} track points.")
        self._track = _Track(self.limits)
        self.tracks.append(self._track)

    def _end_in_point(self, name: str, text: str) -> None:
        assert self._point is not None
        if name == "time":
            self._time = tracks.read_time(text)
            if self._time is None and self._track:
                self._track.unreadable += 1
        elif name in POINT_VALUES:
            self._point[POINT_VALUES[name]] = tracks.number(text)
        elif name == "trkpt":
            if self._track is not None:
                self._track.add(self._time, self._point)
            self._point = None


def recognises(head: bytes, filename: str | None) -> bool:
    """The root element is `gpx`."""
    return xml.recognised(head, "gpx")


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    """One session for each track that has times; the other tracks become flags on them. Raises AdapterError."""
    reader = _Reader(context.limits)
    xml.walk(stream, context.limits, reader.start, reader.end)
    timed = [track for track in reader.tracks if track.first]
    if not timed:
        raise _nothing(reader)
    skipped = _skipped(reader.tracks)
    for row, track in enumerate(reader.tracks, 1):
        if track.first and track.last:
            yield _decoded(track, track.first, track.last, reader.creator, skipped, row, context)


def _nothing(reader: _Reader) -> AdapterError:
    if any(track.untimed for track in reader.tracks):
        return AdapterError("No track point in this GPX file has a time: it cannot be dated.", advice="Export the recorded activity.", field="time")
    what = "routes or waypoints, but no track" if reader.other else "no track"
    return AdapterError(f"This GPX file holds {what} with points.", advice="Export the recorded activity.", field="trk")


def _skipped(found: list[_Track]) -> list[Flag]:
    """What happened to the tracks that gave no session."""
    untimed = sum(1 for track in found if not track.first and track.untimed)
    empty = sum(1 for track in found if not track.first and not track.untimed)
    flags = [Flag("track-without-times", "trk", f"{untimed} of {len(found)} tracks have no times and were skipped.")] if untimed else []
    return flags + ([Flag("track-empty", "trk", f"{empty} of {len(found)} tracks hold no point and were skipped.")] if empty else [])


def _sport(track: _Track, creator: str) -> str | None:
    said = track.texts.get("type")
    return sport_code(said) or (STRAVA_TYPES.get(said or "") if "strava" in creator.casefold() else None)


def _decoded(track: _Track, first: Time, last: Time, creator: str, skipped: list[Flag], row: int, context: Context) -> Decoded:
    sport = _sport(track, creator)
    flags = [*skipped]
    if sport is None:
        flags.append(Flag("sport-unknown", "sport"))
    if track.untimed - track.unreadable > 0:
        flags.append(Flag("track-without-times", "trkpt", f"{track.untimed - track.unreadable} points of the track have no time and were left out."))
    if track.unreadable:
        flags.append(Flag("time-unreadable", "time"))
    # The file's first point states the offset; `Z` in GPX means UTC was meant, not that the offset is unknown.
    first, last = (time._replace(offset_minutes=time.offset_minutes or 0) if time.zoned else time for time in (first, last))
    session = Session(
        start=tracks.moment(first), end=tracks.moment(last), modality="sensed", device=Device(model=creator) if creator else None,
        flags=flags, sport=sport, title=track.texts.get("name") or None, indoor=SPORTS[sport].indoor or None if sport else None,
        elapsed_s=round(last.seconds - first.seconds, 3), samples=len(track.points), gps_samples=int(track.points.placed().sum()),
    )  # fmt: skip
    _figures(session, track)
    shift = tracks.zone_shift(first, context.zone)
    return Decoded(session, row=row, series=[] if shift is None else track.points.series(sport in ON_FOOT, shift))


def _figures(session: Session, track: _Track) -> None:
    """The track's own figures where it states them, else what its points say."""
    for field, value in track.figures.items():
        if value > 0:
            setattr(session, field, value)
    rates = track.points.heart_rates()
    session.hr_samples = len(rates)
    if len(rates):
        session.hr_max = float(rates.max())
        if session.hr_avg is None:
            session.hr_avg = round(float(rates.mean()), 2)
            session.flags.append(Flag("hr-avg-computed", "hr_avg"))
    if len(track.points) == 1:
        session.flags.append(Flag("activity-empty", "trkpt"))
        session.distance_m = 0.0
    elif session.distance_m is None and session.gps_samples:
        session.distance_m = round(track.points.length_m(), 2)
        session.flags.append(Flag("distance-computed", "distance_m"))
