"""Samples as chunks: one hour of one channel, delta-coded, compressed. About a third of a byte per 1 Hz heart-rate sample.

A chunk is a msgpack header (start, spacing or offsets, scale, gaps) and the deltas in the narrowest integer type that holds
them. Values are kept exactly to the channel's resolution (`SCALES`), as their sources state them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.records import Series

SCALES = {
    "heart-rate": 1,
    "power": 1,
    "cadence": 2,
    "speed": 1000,
    "altitude": 10,
    "distance": 100,
    "temperature": 10,
    "latitude": 1e7,
    "longitude": 1e7,
}
"""Steps per unit: FIT's own resolutions, and 1e-7 degrees (about 1 cm)."""

HOUR_S = 3600.0


class _Chunk(msgspec.Struct, array_like=True):
    start: datetime
    interval_s: float | None
    scale: float
    first: int
    dtype: str
    deltas: bytes
    gaps: bytes
    offsets_ms: bytes
    count: int


def chunks(series: Series) -> Iterator[tuple[int, bytes]]:
    """(hour number from the series' start, bytes to seal) for each hour that has samples."""
    values = _array(series.values)
    if not len(values):
        return
    if series.interval_s is not None and series.offsets_s is None:
        per_chunk = max(1, int(HOUR_S / series.interval_s))
        for number in range(0, len(values), per_chunk):
            start = series.start + timedelta(seconds=number * series.interval_s)
            yield number // per_chunk, _packed(series.channel, start, series.interval_s, values[number : number + per_chunk], None)
        return
    offsets = np.asarray(series.offsets_s, dtype=np.float64)
    hours = (offsets // HOUR_S).astype(np.int64)
    for hour in np.unique(hours):
        part = hours == hour
        yield int(hour), _packed(series.channel, series.start, None, values[part], offsets[part])


def _array(values: Sequence[float | None]) -> npt.NDArray[Any]:
    """Samples as numbers, gaps as NaN. Whole numbers below 256, as heart rates are, convert six times as fast by way of bytes."""
    try:
        return np.frombuffer(bytes(values), dtype=np.uint8).astype(np.float64)  # type: ignore[arg-type]  # what is no such number raises
    except (TypeError, ValueError):
        return np.array([np.nan if value is None else value for value in values] if None in values else values, dtype=np.float64)


def _packed(channel: str, start: datetime, interval_s: float | None, values: npt.NDArray[Any], offsets: npt.NDArray[Any] | None) -> bytes:
    scale = SCALES.get(channel, 1000)
    gaps = np.isnan(values)
    steps = np.rint(np.where(gaps, 0, values) * scale).astype(np.int64)
    if gaps.any():
        known = np.flatnonzero(~gaps)
        steps = steps[known[np.clip(np.searchsorted(known, np.arange(len(steps)), side="right") - 1, 0, None)]] if len(known) else steps
    deltas = np.diff(steps)
    narrow = np.min_scalar_type(int(-abs(deltas).max()) - 1) if len(deltas) else np.dtype(np.int8)
    times = b"" if offsets is None else np.diff(np.rint(offsets * 1000).astype(np.int64), prepend=0).astype(np.int32).tobytes()
    return msgspec.msgpack.encode(_Chunk(
        start, interval_s, scale, int(steps[0]), narrow.str, deltas.astype(narrow).tobytes(),
        np.packbits(gaps).tobytes() if gaps.any() else b"", times, len(values)
    ))  # fmt: skip


def series(channel: str, parts: list[bytes]) -> Series:
    """Chunks of one channel, in order, back to the series they were made of."""
    values: list[float | None] = []
    offsets: list[float] = []
    first: _Chunk | None = None
    for part in parts:
        chunk = msgspec.msgpack.decode(part, type=_Chunk)
        first = first or chunk
        steps = chunk.first + np.concatenate(([0], np.cumsum(np.frombuffer(chunk.deltas, dtype=chunk.dtype).astype(np.int64))))
        gaps = np.unpackbits(np.frombuffer(chunk.gaps, dtype=np.uint8))[: chunk.count].astype(bool) if chunk.gaps else np.zeros(chunk.count, dtype=bool)
        values += [None if gap else value for value, gap in zip((steps / chunk.scale).tolist(), gaps.tolist(), strict=True)]
        offsets += (np.cumsum(np.frombuffer(chunk.offsets_ms, dtype=np.int32)) / 1000).tolist()
    assert first is not None
    return Series(channel, first.start, values, interval_s=first.interval_s, offsets_s=offsets or None)
