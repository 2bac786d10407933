"""Rules that decide at once, in the hot path: what cannot be (refused) and what is unusual (flagged).

Bounds of measures come from `measures.csv`; those of sessions stand here, each with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from schemas.errors import InvalidRecord
from schemas.measures import MEASURES
from schemas.moments import EARLIEST, earliest
from schemas.records import BodyComposition, DaySummary, Envelope, FitnessTest, Flag, Quantity, Session, VitalSign

SKEW = timedelta(hours=14, minutes=10)
"""How far ahead of the hub's clock a start may lie: the widest zone mistake plus ten minutes of clock error."""

LONGEST_S = 7 * 86_400.0
"""Longest session: multi-day expeditions end within a week; longer means a clock jumped."""

SESSION_BOUNDS: dict[str, tuple[float, float]] = {
    "elapsed_s": (0, LONGEST_S), "timer_s": (0, LONGEST_S), "distance_m": (0, 2_000_000), "energy_kcal": (0, 50_000), "steps": (0, 300_000),
    "strokes": (0, 300_000), "hr_avg": (20, 260), "hr_max": (20, 260), "hr_min": (10, 260), "power_avg_w": (0, 3_000), "power_max_w": (0, 5_000),
    "cadence_avg": (0, 400), "ascent_m": (0, 20_000), "met": (0, 50), "rpe": (0, 20), "moderate_min": (0, 1440 * 7), "vigorous_min": (0, 1440 * 7),
}  # fmt: skip
"""Field to possible range; outside it the value cannot have been measured."""

DAY_BOUNDS: dict[str, tuple[float, float]] = {
    "steps": (0, 200_000), "distance_m": (0, 400_000), "energy_kcal": (0, 30_000), "active_energy_kcal": (0, 30_000), "active_min": (0, 1_440),
    "moderate_min": (0, 1_440), "vigorous_min": (0, 1_440), "resting_hr": (15, 250), "hr_avg": (15, 260), "hr_max": (15, 260), "hr_min": (10, 260),
    "floors": (0, 2_000),
}  # fmt: skip


def check(record: Envelope, now: datetime) -> None:
    """Refuse what cannot be, flag what is unusual. Raises InvalidRecord naming the field."""
    _check_times(record, now)
    if isinstance(record, Session):
        _check_bounds(record, SESSION_BOUNDS)
    elif isinstance(record, DaySummary):
        _check_bounds(record, DAY_BOUNDS)
    unusual = [flag for quantity in _quantities(record) for flag in _check_quantity(quantity)]
    if unusual:
        record.flags = [*record.flags, *unusual]


def _check_times(record: Envelope, now: datetime) -> None:
    start = earliest(record.start)
    if start < EARLIEST:
        raise InvalidRecord("The start lies before the year 2000: the clock was not set.", code="date-too-early", field="start")
    if start > now + SKEW:
        raise InvalidRecord("The start lies in the future.", code="date-in-future", field="start")
    if record.end is not None and earliest(record.end) < start:
        raise InvalidRecord("The end lies before the start.", code="end-before-start", field="end")


def _check_bounds(record: Envelope, bounds: dict[str, tuple[float, float]]) -> None:
    for field, (low, high) in bounds.items():
        value = getattr(record, field)
        if value is not None and not low <= value <= high:
            raise InvalidRecord(f"{field} must lie between {low:g} and {high:g}.", code="out-of-range", field=field)


def _quantities(record: Envelope) -> Iterator[Quantity]:
    if isinstance(record, VitalSign):
        yield from record.components
        if record.quantity is not None:
            yield record.quantity
    elif isinstance(record, BodyComposition):
        yield from record.quantities
    elif isinstance(record, FitnessTest):
        yield from record.items


def _check_quantity(quantity: Quantity) -> Iterator[Flag]:
    measure = MEASURES.get(quantity.measure)
    if measure is None:
        raise InvalidRecord(f"{quantity.measure[:40]!r} is not a measure of the standard.", code="unknown-measure", field="measure")
    if quantity.unit != measure.unit:
        raise InvalidRecord(f"{measure.key} is kept in {measure.unit}.", code="unit", field=measure.key)
    low, high = measure.reject_low, measure.reject_high
    if not math.isfinite(quantity.value) or (low is not None and quantity.value < low) or (high is not None and quantity.value > high):
        raise InvalidRecord(f"{measure.key} must lie between {low} and {high} {measure.unit}.", code="out-of-range", field=measure.key)
    if (measure.low is not None and quantity.value < measure.low) or (measure.high is not None and quantity.value > measure.high):
        yield Flag("implausible", measure.key, f"usual: {measure.low:g} to {measure.high:g} {measure.unit}")
