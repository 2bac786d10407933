"""TCX activities (Garmin Training Center, and what Strava, MapMyRide and others export as such): one session an Activity.

Source: Garmin TrainingCenterDatabase v2, ActivityExtension v2 (TPX, LX). A lap's figures win over its points.
Running cadence counts strides, as in FIT, and becomes steps per minute.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from adapters import tracks, xml
from adapters.base import AdapterError, Context, Decoded, Limits, Rejected, TooLarge
from adapters.tracks import Points, Time
from schemas.records import Device, Flag, Lap, Session
from schemas.sports import SPORTS, sport_code

id = "tcx"
title = ("TCX 运动文件", "TCX activity file")
version = "1"
extensions = (".tcx",)
emits = frozenset({"session"})
sample = b"""<?xml version="1.0" encoding="UTF-8"?>
<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2">
<Activities><Activity Sport="Running"><Id>2026-05-03T07:00:00+08:00</Id><Lap StartTime="2026-05-03T07:00:00+08:00">
<TotalTimeSeconds>60</TotalTimeSeconds><DistanceMeters>150</DistanceMeters><Calories>11</Calories>
<AverageHeartRateBpm><Value>128</Value></AverageHeartRateBpm><MaximumHeartRateBpm><Value>135</Value></MaximumHeartRateBpm>
<Track><Trackpoint><Time>2026-05-03T07:00:00+08:00</Time><HeartRateBpm><Value>121</Value></HeartRateBpm></Trackpoint>
<Trackpoint><Time>2026-05-03T07:01:00+08:00</Time><HeartRateBpm><Value>135</Value></HeartRateBpm></Trackpoint></Track>
</Lap></Activity></Activities></TrainingCenterDatabase>
"""

POINT_VALUES = {
    "LatitudeDegrees": "latitude", "LongitudeDegrees": "longitude", "AltitudeMeters": "altitude", "DistanceMeters": "distance",
    "HeartRateBpm": "heart-rate", "Cadence": "cadence", "RunCadence": "cadence", "Speed": "speed", "Watts": "power",
}  # fmt: skip
LAP_VALUES = {
    "TotalTimeSeconds", "DistanceMeters", "Calories", "AverageHeartRateBpm", "MaximumHeartRateBpm", "MaximumSpeed", "AvgWatts", "MaxWatts", "Steps",
}  # fmt: skip
ACTIVITY_TEXTS = {"Id", "Name", "UnitId", "VersionMajor", "VersionMinor"}
ON_FOOT = {"running", "walking", "hiking"}
MOST_ACTIVITIES = 1_000
FASTEST_M_S = 50.0
LAP_SLACK_S = 5.0


class _Lap:
    """A lap while it is read."""

    def __init__(self, start: Time | None) -> None:
        self.start = start
        self.figures: dict[str, float] = {}

    def figure(self, name: str) -> float | None:
        """A figure above zero; zero is how TCX writes "not measured"."""
        value = self.figures.get(name, math.nan)
        return round(value, 3) if value > 0 else None


class _Activity:
    """An activity while it is read."""

    def __init__(self, sport: str, limits: Limits) -> None:
        self.sport = sport
        self.texts: dict[str, str] = {}
        self.laps: list[_Lap] = []
        self.points = Points(limits.samples)
        self.first: Time | None = None
        self.last: Time | None = None
        self.empty = 0
        self.unreadable = 0

    def add(self, time: Time | None, segment: int, point: dict[str, float]) -> None:
        if time is None or (self.first and self.first.zoned != time.zoned):
            self.unreadable += 1
            return
        self.points.add(time.seconds, segment, point)
        self.empty += not point
        self.first = time if self.first is None or time.seconds < self.first.seconds else self.first
        self.last = time if self.last is None or time.seconds > self.last.seconds else self.last


class _Reader:
    """Follows the elements of a TCX file and collects its activities."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.activities: list[_Activity] = []
        self.holds: set[str] = set()
        self._path: list[str] = []
        self._activity: _Activity | None = None
        self._lap: _Lap | None = None
        self._point: dict[str, float] | None = None
        self._time: Time | None = None
        self._segment = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != "TrainingCenterDatabase":
            raise AdapterError("This is not a TCX file: it does not begin with TrainingCenterDatabase.", advice="Name its format in the URL.")
        self._path.append(name)
        if name == "Activity":
            self._open_activity(attributes.get("Sport", ""))
        elif name == "Lap" and self._activity is not None:
            self._open_lap(self._activity, attributes.get("StartTime", ""))
        elif name == "Track":
            self._segment += 1
        elif name == "Trackpoint" and self._activity is not None:
            self._point, self._time = {}, None
        elif name in ("Courses", "Workouts"):
            self.holds.add(name)

    def end(self, name: str, text: str) -> None:
        self._path.pop()
        if name == "Value" and self._path:
            name = self._path[-1]
        if self._point is not None:
            self._end_in_point(name, text)
        elif self._lap is not None:
            if name == "Lap":
                self._lap = None
            elif name in LAP_VALUES and text:
                self._lap.figures[name] = tracks.number(text)
        elif self._activity is not None:
            if name == "Activity":
                self._activity = None
            elif name in ACTIVITY_TEXTS and text and "Training" not in self._path:
                self._activity.texts.setdefault(name, text[:100])

    def _open_activity(self, sport: str) -> None:
        if len(self.activities) >= MOST_ACTIVITIES or sum(len(activity.points) for activity in self.activities) > self.limits.samples:
            raise TooLarge(f"The file holds more than {MOST_ACTIVITIES} activities or {self.limits.samples} track points.")
        self._activity = _Activity(sport, self.limits)
        self.activities.append(self._activity)

    def _open_lap(self, activity: _Activity, start: str) -> None:
        if len(activity.laps) >= self.limits.rows:
            raise TooLarge(f"An activity holds more than {self.limits.rows} laps.")
        self._lap = _Lap(tracks.read_time(start))
        activity.laps.append(self._lap)

    def _end_in_point(self, name: str, text: str) -> None:
        assert self._point is not None
        if name == "Time":
            self._time = tracks.read_time(text)
        elif name in POINT_VALUES and text:
            self._point[POINT_VALUES[name]] = tracks.number(text)
        elif name == "Trackpoint":
            if self._activity is not None:
                self._activity.add(self._time, self._segment, self._point)
            self._point = None


def recognises(head: bytes, filename: str | None) -> bool:
    """The root element is `TrainingCenterDatabase`."""
    return xml.recognised(head, "TrainingCenterDatabase")


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    """One session for each activity; an activity without any time is rejected. Raises AdapterError."""
    reader = _Reader(context.limits)
    xml.walk(stream, context.limits, reader.start, reader.end)
    if not any(_start(activity) for activity in reader.activities):
        raise _nothing(reader)
    for row, activity in enumerate(reader.activities, 1):
        start = _start(activity)
        if start is None:
            yield Rejected(row, "Id", "time-missing", "The activity has neither a readable Id nor a lap or track point with a time.")
        else:
            yield _decoded(activity, start, row, context)


def _nothing(reader: _Reader) -> AdapterError:
    if reader.activities:
        return AdapterError("No activity in this TCX file has a readable time.", advice="Export the recorded activity again.", field="Id")
    what = " and ".join(sorted(reader.holds)).lower() or "nothing"
    return AdapterError(f"This TCX file holds {what}, no activity.", advice="Export the recorded activity.", field="Activities")


def _start(activity: _Activity) -> Time | None:
    laps = [lap.start for lap in activity.laps if lap.start]
    return (laps[0] if laps else None) or tracks.read_time(activity.texts.get("Id", "")) or activity.first


def _end(activity: _Activity, start: Time) -> float:
    """The last point; the last lap's start and length where that is clearly later (laps without points)."""
    laps = [lap.start.seconds + (lap.figure("TotalTimeSeconds") or 0) for lap in activity.laps if lap.start and lap.start.zoned == start.zoned] or [
        start.seconds + (_total(activity, "TotalTimeSeconds") or 0)
    ]
    by_laps = max(start.seconds, *laps)
    if activity.last is None or activity.last.zoned != start.zoned or by_laps - activity.last.seconds > LAP_SLACK_S:
        return by_laps
    return max(activity.last.seconds, start.seconds)


def _decoded(activity: _Activity, start: Time, row: int, context: Context) -> Decoded:
    sport = sport_code(activity.sport)
    end = start._replace(seconds=_end(activity, start))
    points = activity.points
    session = Session(
        start=tracks.moment(start), end=tracks.moment(end), modality="sensed", device=_device(activity), flags=[], sport=sport,
        indoor=SPORTS[sport].indoor or None if sport else None, elapsed_s=round(end.seconds - start.seconds, 3) or None,
        samples=len(points), hr_samples=len(points.heart_rates()), gps_samples=int(points.placed().sum()),
    )  # fmt: skip
    session.laps = [_lap(lap, start, context) for lap in activity.laps]
    _figures(session, activity)
    _distance(session, activity)
    _heart(session, activity)
    _flag(session, activity)
    shift = tracks.zone_shift(start, context.zone)
    return Decoded(session, row=row, series=[] if shift is None else points.series(sport in ON_FOOT, shift))


def _lap(lap: _Lap, start: Time, context: Context) -> Lap:
    shift = tracks.zone_shift(start, context.zone)
    return Lap(
        start=tracks.instant(lap.start.seconds + shift) if lap.start and shift is not None else None,
        timer_s=lap.figure("TotalTimeSeconds"),
        distance_m=lap.figure("DistanceMeters"),
        energy_kcal=lap.figure("Calories"),
        hr_avg=lap.figure("AverageHeartRateBpm"),
        hr_max=lap.figure("MaximumHeartRateBpm"),
    )


def _total(activity: _Activity, name: str) -> float | None:
    values = [value for lap in activity.laps if (value := lap.figure(name)) is not None]
    return sum(values) if values else None


def _weighted(activity: _Activity, name: str) -> float | None:
    """A lap average over the whole activity, each lap counting by its time."""
    pairs = [(value, lap.figure("TotalTimeSeconds") or 0) for lap in activity.laps if (value := lap.figure(name)) is not None]
    time = sum(weight for _, weight in pairs)
    if time > 0:
        return round(sum(value * weight for value, weight in pairs) / time, 2)
    return round(sum(value for value, _ in pairs) / len(pairs), 2) if pairs else None


def _figures(session: Session, activity: _Activity) -> None:
    timer, energy, steps = (_total(activity, name) for name in ("TotalTimeSeconds", "Calories", "Steps"))
    session.timer_s = round(timer, 3) if timer else None
    session.power_avg_w, session.power_max_w = _weighted(activity, "AvgWatts"), _most(activity, "MaxWatts")
    session.steps = round(steps) if steps and session.sport in ON_FOOT else None
    if energy:
        session.energy_kcal = float(round(energy))
        if any(lap.figures.get("Calories", 0) % 1 for lap in activity.laps):
            session.flags.append(Flag("value-rounded", "energy_kcal"))
    elif any("Calories" in lap.figures for lap in activity.laps):
        session.flags.append(Flag("energy-not-measured", "energy_kcal"))


def _most(activity: _Activity, name: str) -> float | None:
    return max((value for lap in activity.laps if (value := lap.figure(name)) is not None), default=None)


def _distance(session: Session, activity: _Activity) -> None:
    stated, counted = _total(activity, "DistanceMeters"), activity.points.counted_m()
    if stated:
        session.distance_m = round(stated, 2)
    elif counted > 0 or (session.gps_samples or 0) > 1:
        session.distance_m = round(counted or activity.points.length_m(), 2)
        session.flags.append(Flag("distance-computed", "distance_m"))
    elif any("DistanceMeters" in lap.figures for lap in activity.laps):
        session.flags.append(Flag("distance-not-measured", "distance_m"))


def _heart(session: Session, activity: _Activity) -> None:
    rates = activity.points.heart_rates()
    session.hr_avg, session.hr_max = _weighted(activity, "AverageHeartRateBpm"), _most(activity, "MaximumHeartRateBpm")
    if session.hr_avg is None and len(rates):
        session.hr_avg = round(float(np.mean(rates)), 2)
        session.hr_max = session.hr_max or float(np.max(rates))
        session.flags.append(Flag("hr-avg-computed", "hr_avg"))
    elif session.hr_avg is None and any("AverageHeartRateBpm" in lap.figures for lap in activity.laps):
        session.flags.append(Flag("heart-rate-not-measured", "hr_avg"))


def _flag(session: Session, activity: _Activity) -> None:
    """Warn of what is odd in the file without changing a figure."""
    flags = session.flags
    if session.sport is None:
        flags.append(Flag("sport-unknown", "sport"))
    if not len(activity.points) and session.elapsed_s:
        flags.append(Flag("end-from-duration", "end"))
    if not session.elapsed_s:
        flags.append(Flag("activity-empty", "Activity"))
    if activity.empty:
        flags.append(Flag("sample-empty", "Trackpoint", f"{activity.empty} track points hold nothing but a time."))
    if activity.unreadable:
        flags.append(Flag("time-unreadable", "Time", f"{activity.unreadable} track points have no readable time and were left out."))
    if (_most(activity, "MaximumSpeed") or 0) > FASTEST_M_S:
        flags.append(Flag("implausible", "MaximumSpeed", f"The maximum speed is above {FASTEST_M_S:g} m/s; it was not taken."))


def _device(activity: _Activity) -> Device | None:
    texts = activity.texts
    unit = texts.get("UnitId", "").strip("0")
    firmware = f"{texts['VersionMajor']}.{texts['VersionMinor']}" if {"VersionMajor", "VersionMinor"} <= texts.keys() else None
    device = Device(model=texts.get("Name"), identifier=texts["UnitId"] if unit else None, firmware=firmware)
    return device if device != Device() else None
