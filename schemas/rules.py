"""Rules that decide at once, in the hot path: what cannot be (refused) and what is unusual (flagged).

Bounds of measures come from `measures.csv`, those of other fields from `fields.csv`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from schemas.errors import InvalidRecord
from schemas.measures import MEASURES
from schemas.moments import EARLIEST, earliest
from schemas.records import BodyComposition, Envelope, FitnessTest, Flag, Quantity, VitalSign
from schemas.standard import BOUNDS

SKEW = timedelta(hours=14, minutes=10)
"""How far ahead of the hub's clock a start may lie: the widest zone mistake plus ten minutes of clock error."""

LONGEST_S = 7 * 86_400.0
"""Longest session: multi-day expeditions end within a week; longer means a clock jumped."""


def check(record: Envelope, now: datetime) -> None:
    """Refuse what cannot be, flag what is unusual. Raises InvalidRecord naming the field."""
    _check_times(record, now)
    _check_bounds(record)
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


def _check_bounds(record: Envelope) -> None:
    for field, low, high in BOUNDS[str(record.__struct_config__.tag)]:
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
