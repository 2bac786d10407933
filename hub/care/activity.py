"""How active is this person: pure functions over records of the unified data standard, for pages and reports.

Minutes are minutes of a session without its pauses; where the source states moderate and vigorous minutes, their sum (a
vigorous minute is not doubled). The same workout from two sources counts once: sessions are linked when more than half of
the shorter one lies inside the other; of a session whose time of day is not known nobody can say that. A day counts its
sessions, or its day summary's moderate and vigorous minutes when those are more. Weeks begin on Monday, in the resident's zone.
Guideline: 150 minutes and 2 strength days a week (WHO guidelines on physical activity and sedentary behaviour, 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import fmean
from zoneinfo import ZoneInfo

import msgspec

from schemas.records import DaySummary, Envelope, Moment, Session, VitalSign
from schemas.rules import LONGEST_S

GOAL_MIN = 150
GOAL_STRENGTH_DAYS = 2
STRENGTH = frozenset({"strength_training", "pilates"})
LONGEST = timedelta(seconds=LONGEST_S)
RECENT_WEEKS = 4
"""How many full weeks `recent` and the ends of a trend look at."""


class Bout(msgspec.Struct, frozen=True):
    """One session as it counts: local wall clock in the resident's zone, minutes, and where it came from.

    timed: whether its time of day is known; record: the id of what it was read from
    """

    starts: datetime
    ends: datetime
    minutes: float
    source: str
    sport: str | None = None
    sensed: bool = True
    samples: int = 0
    timed: bool = True
    record: str = ""


class Workout(msgspec.Struct, frozen=True):
    """One workout: the bout that counts, and those that tell of it once more."""

    counts: Bout
    again: list[Bout]


class Week(msgspec.Struct, frozen=True):
    """One week from Monday: minutes, days with strength training, sessions counted."""

    monday: date
    minutes: int
    strength_days: int
    sessions: int


class Reading(msgspec.Struct, frozen=True):
    """One measured value at a local time; `second` is the diastolic of a blood pressure, `flags` the codes of its quality flags.

    whole: whether all of its record was seen; flags of one that was not are not known
    """

    at: datetime
    value: float
    second: float | None = None
    source: str = ""
    flags: tuple[str, ...] = ()
    whole: bool = True


class Trend(msgspec.Struct, frozen=True):
    """Readings in time order with the last one, its age in whole days, and last weeks' mean minus first weeks' mean."""

    readings: tuple[Reading, ...]
    last: Reading | None
    age_days: int | None
    change: float | None


class Summary(msgspec.Struct, frozen=True):
    """The weeks of a window, oldest first, the last one unfinished; `change` is recent against the person's own baseline."""

    weeks: tuple[Week, ...]
    recent: float | None
    baseline: float | None
    change: float | None
    reached: int

    @property
    def this_week(self) -> Week:
        return self.weeks[-1]


def local(moment: Moment, zone: ZoneInfo) -> datetime:
    """Wall clock where the resident lives (naive); a moment without a zone is taken as that clock."""
    if moment.at is None:
        assert moment.local is not None
        return moment.local
    return moment.at.astimezone(zone).replace(tzinfo=None)


def bout(session: Session, source: str, zone: ZoneInfo, record: str = "") -> Bout | None:
    """A session as it counts; None when its length is not known."""
    minutes = _minutes(session)
    if minutes is None:
        return None
    starts = local(session.start, zone)
    length = max((session.elapsed_s or session.timer_s or minutes * 60), 1)
    ends = local(session.end, zone) if session.end and session.end.precision != "day" else starts + timedelta(seconds=length)
    return Bout(
        starts=starts, ends=min(max(ends, starts + timedelta(seconds=1)), starts + LONGEST), minutes=minutes, source=source, sport=session.sport,
        sensed=session.modality != "self-reported", samples=session.samples or 0, timed=session.start.precision != "day", record=record,
    )  # fmt: skip


def _minutes(session: Session) -> float | None:
    stated = [minutes for minutes in (session.moderate_min, session.vigorous_min) if minutes is not None]
    if stated:
        return sum(stated)
    seconds = session.timer_s or session.elapsed_s
    if seconds is None and session.end and session.end.at and session.start.at:
        seconds = (session.end.at - session.start.at).total_seconds()
    return seconds / 60 if seconds else None


def linked(one: Bout, other: Bout) -> bool:
    """Whether two bouts are the same workout: more than half of the shorter lies inside the other."""
    shorter = min((one.ends - one.starts).total_seconds(), (other.ends - other.starts).total_seconds())
    return one.timed and other.timed and _shared_s(one, other) * 2 > shorter


def _shared_s(one: Bout, other: Bout) -> float:
    return (min(one.ends, other.ends) - max(one.starts, other.starts)).total_seconds()


def workouts(bouts: Iterable[Bout]) -> list[Workout]:
    """Each workout once, in time order. Of linked bouts the measured one with most samples counts, then the longest.

    A bout that is linked to several that count goes with the one it shares most time with. The order of `bouts` changes nothing.
    """
    kept: list[Workout] = []
    by_day: dict[date, list[Workout]] = {}
    for candidate in sorted(bouts, key=_worth):
        known = [one for day in _days(candidate) for one in by_day.get(day, ()) if linked(candidate, one.counts)]
        if known:
            max(known, key=lambda one: _shared_s(candidate, one.counts)).again.append(candidate)
            continue
        kept.append(Workout(candidate, []))
        for day in _days(candidate):
            by_day.setdefault(day, []).append(kept[-1])
    return sorted(kept, key=lambda one: (one.counts.starts, one.counts.ends, one.counts.source, one.counts.record))


def _days(found: Bout) -> Iterator[date]:
    return (found.starts.date() + timedelta(days=number) for number in range((found.ends.date() - found.starts.date()).days + 1))


def counted(bouts: Iterable[Bout]) -> list[Bout]:
    """Each workout once, in time order, as the bout that counts."""
    return [one.counts for one in workouts(bouts)]


def _worth(found: Bout) -> tuple[bool, int, float, datetime, datetime, str, str, str]:
    return not found.sensed, -found.samples, -found.minutes, found.starts, found.ends, found.source, found.sport or "", found.record


def weeks(bouts: Sequence[Bout], days: Sequence[DaySummary], today: date, count: int) -> tuple[Week, ...]:
    """The last `count` weeks up to the one of `today`."""
    once = counted(bouts)
    last = _monday(today)
    return tuple(_week(last - timedelta(weeks=back), once, days) for back in range(count - 1, -1, -1))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _week(monday: date, once: Sequence[Bout], days: Sequence[DaySummary]) -> Week:
    sessions = [found for found in once if _monday(found.starts.date()) == monday]
    minutes = sum(_day_minutes(monday + timedelta(days=offset), sessions, days) for offset in range(7))
    strength = {found.starts.date() for found in sessions if found.sport in STRENGTH}
    return Week(monday, round(minutes), len(strength), len(sessions))


def _day_minutes(day: date, sessions: Sequence[Bout], days: Sequence[DaySummary]) -> float:
    exercised = sum(found.minutes for found in sessions if found.starts.date() == day)
    stated = [(found.moderate_min or 0) + (found.vigorous_min or 0) for found in days if found.date == day]
    return max([exercised, *stated])


def summary(found: tuple[Week, ...]) -> Summary:
    """Recent weeks against the person's own baseline: the full weeks before them, from the first active one on; at least four."""
    full = found[:-1]
    active = next((number for number, week in enumerate(full) if week.minutes), len(full))
    recent, before = full[active:][-RECENT_WEEKS:], full[active:][:-RECENT_WEEKS]
    mean = fmean(week.minutes for week in recent) if recent else None
    baseline = fmean(week.minutes for week in before) if len(before) >= RECENT_WEEKS else None
    change = (mean - baseline) / baseline if mean is not None and baseline else None
    return Summary(found, mean, baseline, change, sum(week.minutes >= GOAL_MIN for week in found))


def resting_heart_rate(records: Iterable[tuple[Envelope, str]], zone: ZoneInfo) -> list[Reading]:
    """Resting heart rate (/min) from vital signs and day summaries, in time order."""
    found = []
    for record, source in records:
        if isinstance(record, VitalSign) and record.measure == "resting-heart-rate" and record.quantity:
            found.append(Reading(local(record.start, zone), record.quantity.value, source=source, flags=_codes(record)))
        elif isinstance(record, DaySummary) and record.resting_hr is not None:
            found.append(Reading(datetime.combine(record.date, datetime.min.time()), record.resting_hr, source=source, flags=_codes(record)))
    return sorted(found, key=lambda reading: reading.at)


def blood_pressure(records: Iterable[tuple[Envelope, str]], zone: ZoneInfo) -> list[Reading]:
    """Systolic and diastolic (mm[Hg]) from blood-pressure panels, in time order."""
    found = []
    for record, source in records:
        if isinstance(record, VitalSign) and record.measure == "blood-pressure":
            parts = {part.measure: part.value for part in record.components}
            if "systolic" in parts:
                found.append(Reading(local(record.start, zone), parts["systolic"], parts.get("diastolic"), source, _codes(record)))
    return sorted(found, key=lambda reading: reading.at)


def _codes(record: Envelope) -> tuple[str, ...]:
    return tuple(flag.code for flag in record.flags)


def trend(readings: Sequence[Reading], now: datetime, window: timedelta) -> Trend:
    """The trend of readings (in time order) inside the window before `now` (local, naive)."""
    inside = tuple(reading for reading in readings if now - window <= reading.at <= now + timedelta(days=1))
    last = inside[-1] if inside else None
    age = max((now.date() - last.at.date()).days, 0) if last else None
    return Trend(inside, last, age, _change(inside))


def _change(readings: Sequence[Reading]) -> float | None:
    """Mean of the last weeks minus mean of the first weeks; None where the two would share readings."""
    if len(readings) < 2:
        return None
    span = timedelta(weeks=RECENT_WEEKS)
    first, last = readings[0].at, readings[-1].at
    span = min(span, (last - first) / 2)
    early = [reading.value for reading in readings if reading.at < first + span]
    late = [reading.value for reading in readings if reading.at > last - span]
    return fmean(late) - fmean(early) if early and late else None


def today_in(zone: ZoneInfo, now: datetime | None = None) -> datetime:
    """The wall clock now where the resident lives (naive)."""
    return (now or datetime.now(UTC)).astimezone(zone).replace(tzinfo=None)
