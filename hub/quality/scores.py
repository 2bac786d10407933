"""How good a batch is, and when a source got worse than it usually is. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from hub.quality.frames import Frame
from schemas.quality import DIMENSIONS, breaks

LEAST_RUNS = 5
"""Runs of the last 30 days before a source's own usual score is known."""
LEAST_DROP, SPREADS = 5.0, 3.0
"""A score is bad when it lies five points, and three standard deviations, below the usual one."""


def shares(frames: Mapping[str, Frame], stability: Sequence[bool]) -> dict[str, float]:
    """Dimension to the share of records that break no rule of it that counts; for stability, of comparisons that held. Absent where nothing was judged."""
    found = {}
    for dimension in DIMENSIONS:
        kept = [good for frame in frames.values() for good in _kept(frame, dimension)]
        if kept:
            found[dimension] = sum(kept) / len(kept)
    if stability:
        found["stability"] = sum(stability) / len(stability)
    return found


def _kept(frame: Frame, dimension: str) -> list[bool]:
    rules = [rule for rule in frame.rules if rule.dimension == dimension and rule.is_scored]
    return [not any(breaks(rule, row) for rule in rules) for row in frame.rows] if rules else []


def score(found: Mapping[str, float]) -> float | None:
    """The mean of a batch's dimensions, 0 to 100."""
    return round(100 * statistics.fmean(found.values()), 1) if found else None


def usual(earlier: Sequence[float]) -> float | None:
    """A source's own usual score, once it is known."""
    return round(statistics.fmean(earlier), 1) if len(earlier) >= LEAST_RUNS else None


def worse(now: float | None, earlier: Sequence[float]) -> bool:
    """Whether a score lies below what its source usually has."""
    if now is None or len(earlier) < LEAST_RUNS:
        return False
    return now < statistics.fmean(earlier) - max(LEAST_DROP, SPREADS * statistics.pstdev(earlier))
