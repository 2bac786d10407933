"""Samples on an even grid: what R4's SampledData needs, exact where the readings allow it, in bins where they do not.

A grid is exact when every reading stands on it; instants without a reading are gaps (NaN). Readings that fit no grid of whole
seconds, and coarser periods on request, are binned: one value stands for the stretch that begins at its instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.records import Series

Floats = npt.NDArray[np.float64]
Method = Literal["", "mean", "first"]

FINEST_MS = 1000.0
"""The finest grid that uneven readings are laid on."""
MOST_POINTS = 200_000
"""Points of one grid; uneven readings over a longer time are binned more coarsely."""


class Grid(NamedTuple):
    """Values (points x dimensions, NaN = no reading) each `period_ms`, the first at `start`; `end` is the last reading's instant.

    method: "" = the readings themselves; `mean` of a bin's readings, or their `first`
    """

    start: datetime
    end: datetime
    period_ms: float
    values: Floats
    method: Method


class _Points(NamedTuple):
    """Readings in the order of time: milliseconds after `origin`, values (points x dimensions), their regular spacing if any."""

    origin: datetime
    times: Floats
    values: Floats
    spacing: float | None


def on_grid(
    series: Sequence[Series], *, period_ms: float = 0, since: datetime | None = None, until: datetime | None = None, method: Method = "mean"
) -> Grid | None:
    """The readings of one channel, or of several taken together, from `since` on and before `until`; None when there are none.

    period_ms: at least this; a period no longer than the readings' own gives the readings themselves
    method: how bins are made of their readings
    """
    points = _cut(_points(series), since, until)
    if not len(points.times):
        return None
    own = points.spacing or _step(points.times)
    if period_ms <= own and (points.spacing or _fits(points.times, own)):
        return _grid(points, own, _placed(points, own), "")
    period = max(period_ms, own, FINEST_MS, float(np.ceil(points.times[-1] / MOST_POINTS / FINEST_MS) * FINEST_MS))
    return _grid(points, period, _binned(points, period, method), method)


def _grid(points: _Points, period_ms: float, values: Floats, method: Method) -> Grid:
    return Grid(points.origin, points.origin + timedelta(milliseconds=float(points.times[-1])), period_ms, values, method)


def _points(series: Sequence[Series]) -> _Points:
    first = series[0]
    if first.interval_s and all((one.start, one.interval_s, len(one.values)) == (first.start, first.interval_s, len(first.values)) for one in series):
        spacing = first.interval_s * 1000
        times: Floats = np.arange(len(first.values), dtype=np.float64) * spacing
        return _Points(first.start, times, np.array([one.values for one in series], dtype=np.float64).T, spacing)
    origin = min(one.start for one in series)
    dimensions = [(_times(one, origin), np.array(one.values, dtype=np.float64)) for one in series]
    if len(dimensions) == 1:
        ((instants, values),) = dimensions
        order = np.argsort(instants, kind="stable")
        return _Points(origin, instants[order], values[order, None], None)
    return _together(origin, dimensions)


def _together(origin: datetime, dimensions: Sequence[tuple[Floats, Floats]]) -> _Points:
    """Dimensions of instants of their own: every instant of any, and of several readings of one instant the first."""
    instants = np.array(sorted({instant for times, _ in dimensions for instant in times.tolist()}), dtype=np.float64)
    values = np.full((len(instants), len(dimensions)), np.nan)
    for column, (times, readings) in enumerate(dimensions):
        values[np.searchsorted(instants, times[::-1]), column] = readings[::-1]
    return _Points(origin, instants, values, None)


def _times(series: Series, origin: datetime) -> Floats:
    offsets = np.arange(len(series.values)) * series.interval_s if series.interval_s else np.array(series.offsets_s or [], dtype=np.float64)
    times: Floats = np.rint((offsets + (series.start - origin).total_seconds()) * 1000)
    return times


def _cut(points: _Points, since: datetime | None, until: datetime | None) -> _Points:
    """The points inside the window, counted from the first of them."""
    first = 0 if since is None else int(np.searchsorted(points.times, _after(points.origin, since)))
    last = len(points.times) if until is None else int(np.searchsorted(points.times, _after(points.origin, until)))
    times = points.times[first:last]
    if not len(times):
        return points._replace(times=times)
    return _Points(points.origin + timedelta(milliseconds=float(times[0])), times - times[0], points.values[first:last], points.spacing)


def _after(origin: datetime, moment: datetime) -> float:
    return (moment - origin) / timedelta(milliseconds=1)


def _step(times: Floats) -> float:
    """The longest step, in whole milliseconds, that leads to every reading."""
    steps = np.diff(times.astype(np.int64))
    return float(np.gcd.reduce(steps)) if steps.any() else FINEST_MS


def _fits(times: Floats, step: float) -> bool:
    return step >= FINEST_MS and times[-1] / step < MOST_POINTS and bool(np.all(np.diff(times) > 0))


def _placed(points: _Points, step: float) -> Floats:
    places = np.rint(points.times / step).astype(np.int64)
    values = np.full((int(places[-1]) + 1, points.values.shape[1]), np.nan)
    values[places] = points.values
    return values


def _binned(points: _Points, period_ms: float, method: Method) -> Floats:
    # a hair more, or 0.1 * 3 / 0.3 would fall into the bin before its own
    bins = np.floor(points.times / period_ms + 1e-9).astype(np.int64)
    values = np.full((int(bins[-1]) + 1, points.values.shape[1]), np.nan)
    whole = ~np.isnan(points.values).any(axis=1)
    if method == "first":
        taken, where = np.unique(bins[whole], return_index=True)
        values[taken] = points.values[whole][where]
        return values
    for column in range(values.shape[1]):
        known = ~np.isnan(points.values[:, column])
        counts = np.bincount(bins[known], minlength=len(values))
        sums = np.bincount(bins[known], weights=points.values[known, column], minlength=len(values))
        values[:, column] = np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)
    return values
