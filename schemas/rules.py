"""Rules that decide at once, in the hot path: what cannot be (refused) and what is unusual (flagged).

Bounds of measures come from `measures.csv`, those of other fields from `fields.csv`, what must hold between two figures from
`rules.csv`: the definitions that the quality worker judges by as well (`schemas/quality.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, get_args, get_origin

import msgspec

from schemas.editions import unknown
from schemas.errors import InvalidRecord
from schemas.flags import FLAGS
from schemas.instruments import is_held
from schemas.measures import MEASURES
from schemas.moments import EARLIEST, earliest
from schemas.quality import RELATIONS, Rule
from schemas.records import (
    KINDS,
    Adherence,
    Appointment,
    Condition,
    EffectEvaluation,
    Envelope,
    FitnessTest,
    Flag,
    IssueReport,
    LabResult,
    Prescription,
    Quantity,
    Referral,
    Screening,
    VenueOccupancy,
)
from schemas.standard import BOUNDS, MEASURED, STANDARD

SKEW = timedelta(hours=14, minutes=10)
"""How far ahead of the hub's clock a start may lie: the widest zone mistake plus ten minutes of clock error."""

LONGEST_S = 7 * 86_400.0
"""Longest session: multi-day expeditions end within a week; longer means a clock jumped."""

MOST_LISTED = 5000
"""Members of a list of a record: laps of a week come to a thousand; a million of them fill the memory of who reads the record."""


LONGEST_TEXT = 20_000
"""Letters of one text: a report of twenty pages; a book would stand on each page that shows the record."""


def check(record: Envelope, now: datetime) -> None:
    """Refuse what cannot be, flag what is unusual. Raises InvalidRecord naming the field."""
    kind = str(record.__struct_config__.tag)
    _check_lengths(record, kind)
    _check_times(record, kind, now)
    _check_bounds(record, kind)
    if kind in _OWN:
        _OWN[kind](record)
    quantities = list(_quantities(record, kind))
    unusual = [flag for quantity in quantities for flag in _check_quantity(quantity)]
    if len(quantities) != 1:
        unusual += _check_relations(record, kind, quantities)
    if isinstance(record, FitnessTest):
        unusual += unknown(record)
    if isinstance(record, Screening) and not is_held(record.instrument, record.answers):
        unusual.append(Flag("instrument-unknown", "instrument", FLAGS["instrument-unknown"][1]))
    if unusual:
        record.flags = [*record.flags, *unusual]


def _names(wanted: Callable[[Any], bool]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(one.name for one in msgspec.structs.fields(struct) if wanted(one.type)) for kind, struct in KINDS.items()}


_LISTS = _names(lambda type_: get_origin(type_) is list)
_TEXTS = _names(lambda type_: str in (type_, *get_args(type_)))


def _check_lengths(record: Envelope, kind: str) -> None:
    for name in _LISTS[kind]:
        if len(getattr(record, name)) > MOST_LISTED:
            raise InvalidRecord(f"{name} has more than {MOST_LISTED} members.", code="list-too-long", field=name)
    for name in _TEXTS[kind]:
        said = getattr(record, name)
        if said and (len(said) > LONGEST_TEXT if type(said) is str else any(len(one) > LONGEST_TEXT for one in said)):
            raise InvalidRecord(f"{name} has more than {LONGEST_TEXT} letters.", code="text-too-long", field=name)


def _check_times(record: Envelope, kind: str, now: datetime) -> None:
    start = earliest(record.start)
    if start < EARLIEST:
        raise InvalidRecord("The start lies before the year 2000: the clock was not set.", code="date-too-early", field="start")
    if start > now + SKEW and start - timedelta(days=STANDARD[kind].ahead) > now + SKEW:
        raise InvalidRecord("The start lies in the future.", code="date-in-future", field="start")
    if record.end is not None and earliest(record.end) < start:
        raise InvalidRecord("The end lies before the start.", code="end-before-start", field="end")


def _check_bounds(record: Envelope, kind: str) -> None:
    for field, low, high in BOUNDS[kind]:
        value = getattr(record, field)
        if value is not None and not low <= value <= high:
            raise InvalidRecord(f"{field} must lie between {low:g} and {high:g}.", code="out-of-range", field=field)


def _check_relations(record: Envelope, kind: str, quantities: list[Quantity]) -> list[Flag]:
    """What cannot be of two figures together."""
    relations = RELATIONS[kind]
    if quantities:
        measured = {quantity.measure: quantity.value for quantity in quantities}
        return [_disagreeing(rule) for rule, a, b in relations if _broken(rule, measured.get(a), measured.get(b))]
    found = []
    for rule, a, b in relations:  # written out: this is in the path of every session
        first, second = getattr(record, a, None), getattr(record, b, None)
        if first is not None and second is not None and (first > second or (first == second and rule.form == "below")):
            found.append(_disagreeing(rule))
    return found


def _broken(rule: Rule, a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and (a > b or (a == b and rule.form == "below"))


def _disagreeing(rule: Rule) -> Flag:
    return Flag(rule.flag, rule.a, rule.en)


def _quantities(record: Envelope, kind: str) -> Iterator[Quantity]:
    for name, many in MEASURED[kind]:
        found = getattr(record, name)
        yield from found if many else () if found is None else (found,)


def _check_reason(record: Referral) -> None:
    """The rule `pa-taskrm-1` of the Physical Activity IG."""
    if (record.status in WITH_REASON) != bool(record.status_reason and record.status_reason.strip()):
        raise InvalidRecord(f"A referral says why exactly when it is one of {', '.join(WITH_REASON)}.", code="status-reason", field="status_reason")
    _check_changed(record)


def _check_changed(record: Referral | IssueReport) -> None:
    """The invariant inv-1 of R4's Task."""
    if record.changed is not None and earliest(record.changed) < earliest(record.start):
        raise InvalidRecord("The status changed before the record begins.", code="end-before-start", field="changed")


def _check_times_of_booking(record: Appointment) -> None:
    if any(moment.at is None or moment.precision == "day" for moment in (record.start, record.end)):
        raise InvalidRecord("A booking has a start and an end with their time of day and zone.", code="time", field="start")
    if record.cancellation and record.status not in ("cancelled", "noshow"):
        raise InvalidRecord("Only a cancelled or missed booking says why it was called off.", code="status-reason", field="cancellation")


def _check_goal(record: Adherence) -> None:
    if record.achievement and not record.goal:
        raise InvalidRecord("An achievement says of which goal.", code="goal", field="goal")


def _check_results(record: LabResult) -> None:
    for number, item in enumerate(record.items):
        field = f"items[{number}]"
        if not any((item.measure, item.name, item.coding)):
            raise InvalidRecord("A result says of what it is: measure, name or coding.", code="unknown-measure", field=field)
        if item.measure and item.value is not None:
            list(_check_quantity(Quantity(item.measure, item.value, item.unit or "")))


def _check_changes(record: EffectEvaluation) -> None:
    for change in record.changes:
        for value in (change.before, change.after):
            list(_check_quantity(Quantity(change.measure, value, change.unit)))


def _check_plan(record: Prescription) -> None:
    if not any((record.goals, record.exercises, record.precautions, *(filled and filled.strip() for filled in (record.title, record.reason, record.summary)))):
        raise InvalidRecord("A plan says at least one of: title, reason, summary, goal, exercise, precaution.", code="plan-empty", field="exercises")
    _check_goals(record)


def _check_goals(record: Prescription) -> None:
    for goal in record.goals:
        if goal.value is not None and not goal.measure:
            raise InvalidRecord("A goal's value says of which measure.", code="unknown-measure", field="goals")
        if goal.measure and goal.value is not None:
            list(_check_quantity(Quantity(goal.measure, goal.value, goal.unit or "")))


def _check_abatement(record: Condition) -> None:
    """The invariant con-4 of R4's Condition."""
    if record.abatement and record.clinical_status not in ("inactive", "remission", "resolved"):
        raise InvalidRecord("A condition that abated is inactive, in remission or resolved.", code="clinical-status", field="clinical_status")


def _check_count(record: VenueOccupancy) -> None:
    if record.start.at is None or (record.end is not None and record.end.at is None):
        raise InvalidRecord("The time says no offset, and its sender has no zone.", code="no-zone", field="start", advice="Write 2026-05-01T08:00+08:00.")
    if not record.withdrawn and all(figure is None for figure in (record.present, record.peak, record.mean, record.visits)):
        raise InvalidRecord("A count says at least one of: present, peak, mean, visits.", code="no-values", field="present")


WITH_REASON = ("rejected", "on-hold", "cancelled", "failed")
"""Statuses of a referral that are given with their reason, and no other is."""

_OWN: Final[dict[str, Callable[[Any], None]]] = {
    "referral": _check_reason, "appointment": _check_times_of_booking, "lab-result": _check_results, "effect-evaluation": _check_changes,
    "prescription": _check_plan, "condition": _check_abatement, "issue-report": _check_changed, "adherence": _check_goal,
    "venue-occupancy": _check_count,
}  # fmt: skip
"""What else a kind may not say."""


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
