"""What track formats share: distances on the globe, and series from columns of samples. Times are Unix seconds."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from adapters.base import AdapterError, Limits, TooLarge
from schemas.records import Moment, Series

Floats = npt.NDArray[np.float64]

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius R1 of the IUGG."""

_DIGITS = {"latitude": 7, "longitude": 7, "altitude": 1, "speed": 3, "distance": 2, "heart-rate": 0, "power": 0, "cadence": 1}


def whole(stream: BinaryIO, limits: Limits) -> bytes:
    """All bytes of an upload. Raises TooLarge, and AdapterError when there are none."""
    content = stream.read(limits.bytes + 1)
    if len(content) > limits.bytes:
        raise TooLarge(f"The file is larger than {limits.bytes} bytes.")
    if not content:
        raise AdapterError("The file is empty.", advice="Export it again from the device or app.")
    return content


def instant(seconds: float) -> datetime:
    """Unix seconds as an aware time, to the microsecond."""
    return datetime.fromtimestamp(round(seconds, 6), UTC)


def legs(latitude: Floats, longitude: Floats) -> Floats:
    """Great-circle metres from each point to the next (haversine, mean radius)."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    half = np.sin(np.diff(phi) / 2) ** 2 + np.cos(phi[:-1]) * np.cos(phi[1:]) * np.sin(np.diff(theta) / 2) ** 2
    metres: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return metres


def positive(values: Floats) -> Floats:
    """Values above zero; a zero from a sensor that was not there becomes no value."""
    return np.where(values > 0, values, np.nan)


def _spacing(offsets: Floats) -> float | None:
    """The regular spacing of samples, when they have one."""
    gaps = np.diff(offsets)
    return round(float(gaps[0]), 6) if len(gaps) and gaps[0] > 0 and np.all(np.abs(gaps - gaps[0]) < 1e-6) else None


def _listed(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _channel(name: str, offsets: Floats, spacing: float | None, start: float, values: Floats) -> Series | None:
    present = np.isfinite(values)
    if not present.any():
        return None
    rounded = np.round(values, _DIGITS[name])
    if spacing is not None and present.mean() >= 0.5:
        return Series(name, instant(start), _listed(rounded), interval_s=spacing)
    kept = offsets[present]
    return Series(name, instant(start + float(kept[0])), _listed(rounded[present]), offsets_s=np.round(kept - kept[0], 6).tolist())


def series(times: Floats, channels: Mapping[str, Floats]) -> list[Series]:
    """One series a channel that has values; samples without a time are left out, and time runs forward."""
    timed = np.isfinite(times)
    if not timed.any():
        return []
    order = np.flatnonzero(timed)[np.argsort(times[timed], kind="stable")]
    start = float(times[order[0]])
    offsets = times[order] - start
    spacing = _spacing(offsets)
    found = (_channel(name, offsets, spacing, start, values[order]) for name, values in channels.items())
    return [one for one in found if one is not None]


class Time(NamedTuple):
    """A time as a file wrote it: Unix seconds (of the wall clock when `zoned` is false), and the offset it states."""

    seconds: float
    offset_minutes: int | None
    zoned: bool


def read_time(text: str) -> Time | None:
    """ISO 8601 as real files write it; None when it cannot be read. `Z` states no offset, `+00:00` states 0."""
    try:
        found = datetime.fromisoformat(text.strip())
        if found.tzinfo is None:
            return Time(found.replace(tzinfo=UTC).timestamp(), None, False)
        offset = found.utcoffset() or timedelta()
        return Time(found.timestamp(), None if text.rstrip()[-1] in "Zz" else int(offset.total_seconds() // 60), True)
    except (ValueError, OverflowError):
        return None


def moment(time: Time) -> Moment:
    """A file's time as a Moment; without a zone it stays the local clock."""
    if not time.zoned:
        return Moment(local=instant(time.seconds).replace(tzinfo=None))
    return Moment(at=instant(time.seconds), offset_minutes=time.offset_minutes)


def number(text: str) -> float:
    """A decimal as XML sources write it; NaN when it is none, or none that a device could mean."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if abs(value) < 1e9 else math.nan


class Points:
    """Track points collected column by column (8 bytes a value), so that a day at 1 Hz stays small.

    `segment` counts up where the track was interrupted.
    """

    CHANNELS = ("latitude", "longitude", "altitude", "distance", "heart-rate", "cadence", "speed", "power")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._columns = {name: array("d") for name in ("time", "segment", *self.CHANNELS)}

    def __len__(self) -> int:
        return len(self._columns["time"])

    def add(self, time: float, segment: int, point: Mapping[str, float]) -> None:
        """Take one point. Raises TooLarge."""
        if len(self) >= self._limit:
            raise TooLarge(f"The file holds more than {self._limit} track points.")
        self._columns["time"].append(time)
        self._columns["segment"].append(segment)
        for name in self.CHANNELS:
            self._columns[name].append(point.get(name, math.nan))

    def column(self, name: str) -> Floats:
        return np.frombuffer(self._columns[name], dtype=np.float64) if len(self) else np.empty(0)

    def placed(self) -> npt.NDArray[np.bool_]:
        """Which points have a position on Earth; 0, 0 is a receiver without a fix."""
        lat, lon = self.column("latitude"), self.column("longitude")
        found: npt.NDArray[np.bool_] = (np.abs(lat) <= 90) & (np.abs(lon) <= 180) & ((lat != 0) | (lon != 0))
        return found

    def length_m(self) -> float:
        """Metres along the positions, gaps between segments left out."""
        placed = self.placed()
        segment = self.column("segment")[placed]
        steps = legs(self.column("latitude")[placed], self.column("longitude")[placed])
        return float(steps[np.diff(segment) == 0].sum()) if len(steps) else 0.0

    def counted_m(self) -> float:
        """Metres by the points' own running distance."""
        values = self.column("distance")
        values = values[np.isfinite(values)]
        return float(values.max() - min(max(values.min(), 0.0), values[0])) if len(values) else 0.0

    def heart_rates(self) -> Floats:
        rates = positive(self.column("heart-rate"))
        return rates[np.isfinite(rates)]

    def series(self, doubled_cadence: bool, shift: float) -> list[Series]:
        """Series of all channels; `shift` turns the times into Unix seconds."""
        placed = self.placed()
        channels = {name: self.column(name) for name in self.CHANNELS}
        channels["heart-rate"] = positive(channels["heart-rate"])
        channels["latitude"] = np.where(placed, channels["latitude"], np.nan)
        channels["longitude"] = np.where(placed, channels["longitude"], np.nan)
        channels["cadence"] = channels["cadence"] * (2 if doubled_cadence else 1)
        return series(self.column("time") + shift, channels)


def zone_shift(time: Time, zone: str | None) -> float | None:
    """Seconds that turn a file's times into Unix time; None for a local clock whose zone nobody knows."""
    if time.zoned:
        return 0.0
    if zone is None:
        return None
    wall = instant(time.seconds).replace(tzinfo=ZoneInfo(zone))
    return wall.timestamp() - time.seconds
