"""Heart rates that a chest strap remembered: FIT `hr` messages, written beside the records or in chained files.

Source: Garmin FIT SDK, "Plugin: heart rate to record merge". A full time anchors; then come 12-bit event times of
1/1024 s, two in three bytes. A rate holds for up to 5 s, and a record takes the mean since the record before it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapters import fitfile
from adapters.fitfile import TIMESTAMP, FitFile, Floats, figure

HR = 132
FRACTION, RATES, EVENT, EVENTS_12 = 0, 6, 9, 10
_STEP_S, _LONGEST_HOLD = 0.25, 20

Ticks = npt.NDArray[np.int64]


def merged(file: FitFile, times: Floats, own: Floats) -> Floats:
    """The records' own heart rates, and where they have none those of the strap. Times in FIT seconds."""
    beats, rates = _readings(file) if file.of(HR) and len(times) else (np.empty(0), np.empty(0))
    if not len(beats):
        return own
    held, held_rates = _held(beats, rates)
    totals = np.concatenate(([0.0], np.cumsum(held_rates)))
    last = np.searchsorted(held, times, side="right")
    since = np.minimum(np.concatenate((times[:1], times[:-1])), times - 1)
    first = np.searchsorted(held, since, side="right")
    count = last - first
    means = np.where(count > 0, np.round((totals[last] - totals[first]) / np.maximum(count, 1)), np.nan)
    return np.where(own > 0, own, means)


def _held(beats: Floats, rates: Floats) -> tuple[Floats, Floats]:
    """Each rate repeated every quarter second until the next one, for 5 s at most."""
    copies = 1 + np.clip(np.ceil(np.diff(beats, append=beats[-1]) / _STEP_S) - 1, 0, _LONGEST_HOLD).astype(np.int64)
    step = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    held: Floats = np.repeat(beats, copies) + _STEP_S * step
    return held, np.repeat(rates, copies)


def _readings(file: FitFile) -> tuple[Floats, Floats]:
    """Times and rates of all readings, in the order of time."""
    rows = fitfile.positioned(file, HR, (TIMESTAMP, FRACTION, RATES, EVENT), needed=EVENT)
    anchors = [(at, row) for at, row in rows if figure(row, TIMESTAMP) is not None and figure(row, EVENT) is not None]
    positions, ticks, rates = _events(file)
    bounds = [*np.searchsorted(positions, [at for at, _ in anchors]).tolist(), len(positions)]
    times: list[Floats] = [np.empty(0)]
    found: list[Floats] = [np.empty(0)]
    for place, (_, row) in enumerate(anchors):
        begin = (figure(row, TIMESTAMP) or 0) + (figure(row, FRACTION, 32_768) or 0)
        own = slice(bounds[place], bounds[place + 1])
        since = np.diff(ticks[own], prepend=int(figure(row, EVENT) or 0) & 0xFFF) & 0xFFF
        times += [np.array([begin]), begin + np.cumsum(since) / 1024]
        found += [np.array([figure(row, RATES) or np.nan]), rates[own]]
    joined, joined_rates = np.concatenate(times), np.concatenate(found)
    order = np.argsort(joined, kind="stable")
    order = order[np.isfinite(joined_rates[order])]
    return joined[order], joined_rates[order]


def _events(file: FitFile) -> tuple[Ticks, Ticks, Floats]:
    """Every event in the file's order: position of its message, 12-bit time, rate."""
    parts = [_unpacked(positions, *matrices) for positions, matrices in fitfile.blocks(file, HR, (EVENTS_12, RATES))]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
    positions, ticks, rates = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(positions, kind="stable")
    return positions[order], ticks[order], rates[order].astype(np.float64)


def _unpacked(positions: Ticks, packed: npt.NDArray[np.uint8], rates: npt.NDArray[np.uint8]) -> tuple[Ticks, Ticks, npt.NDArray[np.uint8]]:
    """Three bytes hold two times, low nibble first."""
    wide = packed[:, : packed.shape[1] // 3 * 3].reshape(len(packed), -1, 3).astype(np.int64)
    both = np.stack((wide[..., 0] | (wide[..., 1] & 0x0F) << 8, wide[..., 1] >> 4 | wide[..., 2] << 4), axis=-1).reshape(len(packed), -1)
    count = min(both.shape[1], rates.shape[1])
    both, rates = both[:, :count], rates[:, :count]
    valid = (rates > 0) & (rates < 0xFF)
    return np.broadcast_to(positions[:, None], both.shape)[valid], both[valid], rates[valid]
