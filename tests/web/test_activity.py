"""How active someone is: counted once, in their own week, against their own baseline."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hub.care import activity
from hub.care.activity import Bout, Reading, Week
from schemas.records import DaySummary, Moment, Quantity, Session, VitalSign

SHANGHAI = ZoneInfo("Asia/Shanghai")


def clock(*parts: int) -> datetime:
    """A wall clock where the resident lives: without a zone, as the pages count it."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc]  # of five parts at most


NOON = clock(2026, 5, 1, 12)


def a_bout(start: int = 0, minutes: int = 30, source: str = "a", **more: object) -> Bout:
    """A bout so many minutes after noon."""
    starts = NOON + timedelta(minutes=start)
    return msgspec.convert({"starts": starts, "ends": starts + timedelta(minutes=minutes), "minutes": float(minutes), "source": source} | more, Bout)


BOUTS = st.lists(st.builds(a_bout, st.integers(0, 600), st.integers(1, 180), st.sampled_from("abc"), samples=st.integers(0, 3)), max_size=12)


@given(BOUTS, st.randoms())
def test_the_order_in_which_sources_arrive_changes_nothing(bouts: list[Bout], chance: object) -> None:
    shuffled = list(bouts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert activity.counted(shuffled) == activity.counted(bouts)
    assert activity.workouts(shuffled) == activity.workouts(bouts)


@given(BOUTS)
def test_each_bout_is_in_one_workout_and_linked_to_what_counts_there(bouts: list[Bout]) -> None:
    found = activity.workouts(bouts)
    assert sorted(map(repr, bouts)) == sorted(repr(bout) for one in found for bout in (one.counts, *one.again))
    assert all(activity.linked(one.counts, bout) for one in found for bout in one.again)


@given(BOUTS)
def test_what_is_counted_is_not_linked_and_what_is_left_out_is(bouts: list[Bout]) -> None:
    kept = activity.counted(bouts)
    assert not any(activity.linked(one, other) for number, one in enumerate(kept) for other in kept[number + 1 :])
    assert all(any(activity.linked(one, other) for other in kept) for one in bouts)
    assert activity.counted(kept) == kept


@given(BOUTS, st.sampled_from("xyz"))
def test_the_same_workouts_from_one_more_source_add_no_minutes(bouts: list[Bout], source: str) -> None:
    copies = [msgspec.structs.replace(bout, source=source, samples=0) for bout in bouts]
    assert sum(bout.minutes for bout in activity.counted(bouts + copies)) == sum(bout.minutes for bout in activity.counted(bouts))


def test_half_or_less_in_common_is_two_workouts() -> None:
    assert not activity.linked(a_bout(0, 30), a_bout(15, 30))
    assert activity.linked(a_bout(0, 30), a_bout(14, 30))
    assert activity.linked(a_bout(0, 120), a_bout(50, 10))


def test_a_long_one_over_two_workouts_goes_with_the_one_it_shares_most_with() -> None:
    found = activity.workouts([a_bout(0, 180, "paper", sensed=False), a_bout(10, 30, "watch"), a_bout(90, 60, "watch")])
    assert [(one.counts.minutes, [bout.source for bout in one.again]) for one in found] == [(30, []), (60, ["paper"])]


def test_a_workout_over_midnight_is_one() -> None:
    late = 11 * 60 + 30
    assert [bout.minutes for bout in activity.counted([a_bout(late, 60), a_bout(late + 35, 24, "b")])] == [60]


def test_of_sessions_known_by_their_day_only_none_is_called_the_same() -> None:
    day = Moment(local=clock(2026, 5, 1), precision="day")
    told = [activity.bout(Session(start=day, elapsed_s=1800), source, SHANGHAI) for source in "ab"]
    assert len(activity.counted([one for one in told if one])) == 2
    clock_known = activity.bout(Session(start=Moment(at=datetime(2026, 5, 1, tzinfo=UTC)), end=day, elapsed_s=1800), "a", SHANGHAI)
    assert clock_known is not None
    assert clock_known.ends - clock_known.starts == timedelta(minutes=30)


def test_the_measured_one_counts_rather_than_the_written_down_one() -> None:
    kept = activity.counted([a_bout(0, 60, "paper", sensed=False), a_bout(2, 51, "watch", samples=900)])
    assert [bout.source for bout in kept] == ["watch"]


def test_a_session_belongs_to_the_residents_own_day() -> None:
    late = Session(start=Moment(at=datetime(2026, 5, 3, 16, 30, tzinfo=UTC)), elapsed_s=1800)
    found = activity.bout(late, "a", SHANGHAI)
    assert found is not None
    assert found.starts == clock(2026, 5, 4, 0, 30)
    weeks = activity.weeks([found], [], date(2026, 5, 4), 2)
    assert [week.minutes for week in weeks] == [0, 30]


def test_pauses_do_not_count_and_an_unknown_length_counts_nothing() -> None:
    start = Moment(at=datetime(2026, 5, 1, tzinfo=UTC))
    paused = activity.bout(Session(start=start, elapsed_s=3600, timer_s=3000), "a", SHANGHAI)
    assert paused is not None
    assert paused.minutes == 50
    stated = activity.bout(Session(start=start, elapsed_s=3600, moderate_min=20, vigorous_min=5), "a", SHANGHAI)
    assert stated is not None
    assert stated.minutes == 25
    assert activity.bout(Session(start=start), "a", SHANGHAI) is None


def test_a_day_counts_its_sessions_or_its_summary_whichever_is_more() -> None:
    day = Moment(local=clock(2026, 5, 1), precision="day")
    summary = DaySummary(start=day, date=date(2026, 5, 1), moderate_min=25, vigorous_min=10)
    assert activity.weeks([a_bout(0, 30)], [summary], date(2026, 5, 1), 1)[0].minutes == 35
    assert activity.weeks([a_bout(0, 60)], [summary], date(2026, 5, 1), 1)[0].minutes == 60


def _weeks(*minutes: int) -> tuple[Week, ...]:
    return tuple(Week(date(2026, 1, 5) + timedelta(weeks=number), value, 0, 1) for number, value in enumerate(minutes))


def test_the_baseline_is_the_persons_own_and_needs_four_weeks() -> None:
    found = activity.summary(_weeks(0, 0, 60, 60, 60, 60, 90, 90, 90, 90, 500))
    assert (found.recent, found.baseline, found.change, found.reached) == (90, 60, 0.5, 1)
    short = activity.summary(_weeks(60, 60, 60, 90, 90, 90, 90, 0))
    assert (short.recent, short.baseline, short.change) == (90, None, None)
    assert activity.summary(_weeks(0, 0, 0)).recent is None


def test_strength_days_are_days_not_sessions() -> None:
    bouts = [a_bout(0, 20, sport="strength_training"), a_bout(60, 20, sport="strength_training"), a_bout(-1440, 20, sport="strength_training")]
    assert activity.weeks(bouts, [], date(2026, 5, 1), 1)[0].strength_days == 2


def test_a_trend_has_the_last_value_its_age_and_the_change() -> None:
    readings = [Reading(clock(2026, 2, 10) + timedelta(weeks=number), 140.0 - number) for number in range(12)]
    found = activity.trend(readings, clock(2026, 5, 1), timedelta(weeks=12))
    assert found.last is not None
    assert (found.last.value, found.age_days) == (129, 3)
    assert found.change is not None
    assert found.change < -5
    nothing = activity.trend([], NOON, timedelta(weeks=12))
    assert (nothing.last, nothing.age_days, nothing.change) == (None, None, None)


def test_pressure_is_read_from_panels_and_resting_rate_from_vitals_and_days() -> None:
    at = Moment(at=datetime(2026, 5, 1, tzinfo=UTC))
    parts = [Quantity(measure="systolic", value=128, unit="mm[Hg]"), Quantity(measure="diastolic", value=76, unit="mm[Hg]")]
    panel = VitalSign(start=at, measure="blood-pressure", components=parts)
    resting = VitalSign(start=at, measure="resting-heart-rate", quantity=Quantity(measure="resting-heart-rate", value=61, unit="/min"))
    day = DaySummary(start=at, date=date(2026, 4, 30), resting_hr=63)
    records = [(panel, "kiosk"), (resting, "watch"), (day, "watch")]
    assert [(reading.value, reading.second) for reading in activity.blood_pressure(records, SHANGHAI)] == [(128, 76)]
    assert [reading.value for reading in activity.resting_heart_rate(records, SHANGHAI)] == [63, 61]
