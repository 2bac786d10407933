"""The rules of data quality: one table for the hot path and for Great Expectations, and both say the same."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas import rules
from schemas.flags import FLAGS
from schemas.measures import MEASURES
from schemas.quality import BANDS, DIMENSIONS, FORMS, TOP_SPEEDS, Band, bands_of, breaks, numbers, rules_of
from schemas.records import KINDS, BodyComposition, CheckIn, DaySummary, Envelope, FitnessTest, Moment, Quantity, Session, Sleep, VitalSign
from schemas.sports import SPORTS
from schemas.standard import MEASURED

pytest.importorskip("great_expectations", reason="great_expectations is not installed: pip install -e '.[quality]'")

from hub.quality import suites
from hub.quality.frames import Frame

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
START = Moment(at=NOW, offset_minutes=480)
FEW = settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
"""Each example takes a second: what fails is not made smaller."""


def later(seconds: float) -> Moment:
    return Moment(at=NOW + timedelta(seconds=seconds), offset_minutes=480)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    seconds = draw(st.integers(600, 7200))
    low, mean, high = sorted(draw(st.lists(st.floats(50, 180), min_size=3, max_size=3)))
    sport = draw(st.sampled_from(sorted(TOP_SPEEDS)))
    return Session(
        start=START, end=later(seconds), sport=sport, elapsed_s=float(seconds), timer_s=float(seconds - draw(st.integers(0, 300))), hr_min=low, hr_avg=mean,
        hr_max=high, distance_m=draw(st.floats(0.1, 0.9)) * TOP_SPEEDS[sport] * (seconds - 300), energy_kcal=draw(st.floats(1, 20)) * seconds / 60,
        steps=draw(st.integers(0, 100)) * (seconds // 60), samples=100, hr_samples=draw(st.integers(60, 100)), power_avg_w=100.0,
        power_max_w=draw(st.floats(100, 900)), moderate_min=draw(st.floats(0, seconds / 60)),
    )  # fmt: skip


def usual(key: str, part: float) -> Quantity:
    """A measure at a part of the range that is usual for the woman of 45 whom `rows` are about."""
    measure = MEASURES[key]
    bands = [band for band in bands_of(key) if in_years(45, "female", band)]
    low = max(edge for edge in (measure.low, *(band.low for band in bands)) if edge is not None)
    high = min(edge for edge in (measure.high, *(band.high for band in bands)) if edge is not None)
    return Quantity(key, low + part * (high - low), measure.unit)


@st.composite
def vitals(draw: st.DrawFn) -> VitalSign:
    if draw(st.booleans()):
        diastolic = draw(st.floats(40, 85))
        return VitalSign(start=START, measure="blood-pressure", components=[
            Quantity("systolic", draw(st.floats(90, 200)), "mm[Hg]"), Quantity("diastolic", diastolic, "mm[Hg]"),
        ])  # fmt: skip
    one = usual(draw(st.sampled_from(sorted(key for key, measure in MEASURES.items() if measure.low is not None))), draw(st.floats(0, 1)))
    return VitalSign(start=START, measure=one.measure, quantity=one)


@st.composite
def weighings(draw: st.DrawFn) -> BodyComposition:
    weight, height, fat = draw(st.floats(50, 100)), draw(st.floats(155, 180)), draw(st.floats(10, 40))
    found = {"body-weight": weight, "body-height": height, "bmi": weight / (height / 100) ** 2, "body-fat": fat, "fat-mass": weight * fat / 100}
    return BodyComposition(start=START, quantities=[Quantity(key, value, MEASURES[key].unit) for key, value in found.items()])


@st.composite
def days(draw: st.DrawFn) -> DaySummary:
    low, mean, high = sorted(draw(st.lists(st.floats(45, 180), min_size=3, max_size=3)))
    steps = draw(st.integers(100, 20_000))
    return DaySummary(
        start=START, date=NOW.date(), steps=steps, distance_m=steps * draw(st.floats(0.5, 1)), energy_kcal=2000.0, active_energy_kcal=draw(st.floats(0, 1900)),
        hr_min=low, hr_avg=mean, hr_max=high, moderate_min=draw(st.floats(0, 300)),
    )  # fmt: skip


@st.composite
def fitness(draw: st.DrawFn) -> FitnessTest:
    larger, other = sorted(draw(st.lists(st.floats(10, 60), min_size=2, max_size=2)), reverse=True)
    grips = {"grip-strength": larger, "grip-strength-left": other, "grip-strength-right": larger}
    return FitnessTest(start=START, items=[Quantity(key, value, "kg") for key, value in grips.items()])


@st.composite
def nights(draw: st.DrawFn) -> Sleep:
    stages = draw(st.lists(st.floats(30, 150), min_size=3, max_size=3))
    return Sleep(
        start=START, end=later(36_000), total_min=sum(stages) + 30, deep_min=stages[0], light_min=stages[1], rem_min=stages[2], in_bed_min=sum(stages) + 60
    )  # fmt: skip


CHECK_INS = st.builds(CheckIn, start=st.just(START), end=st.floats(60, 14_000).map(later), venue=st.just("馆"))
BATCHES = {
    "session": sessions(), "vital": vitals(), "body-composition": weighings(), "day-summary": days(), "fitness-test": fitness(), "check-in": CHECK_INS,
    "sleep": nights(),
}  # fmt: skip


def rows(records: list[Any]) -> list[dict[str, float]]:
    return [numbers(record, NOW + timedelta(minutes=5)) | {"age": 45.0, "female": 1.0, "twins": 0.0} for record in records]


def frame(kind: str, found: list[dict[str, float]]) -> Frame:
    stated = {name for row in found for name in row}
    return Frame(kind, found, [rule for rule in rules_of(kind) if rule.form == "present" or stated.issuperset(rule.columns)])


def test_the_table_names_what_there_is() -> None:
    for kind in KINDS:
        known = rules_of(kind)
        assert len({rule.code for rule in known}) == len(known)
        for rule in known:
            assert rule.form in FORMS
            assert rule.dimension in DIMENSIONS
            assert not rule.flag or rule.flag in FLAGS
            assert rule.flag or rule.form == "present"
            assert rule.source
            assert rule.zh != rule.en
            if rule.b:
                fields = set(MEASURES) if MEASURED[kind] else set(KINDS[kind].__struct_fields__)
                assert fields.issuperset(rule.columns)
    assert set(TOP_SPEEDS) <= set(SPORTS)


def in_years(age: int, sex: str, band: Band) -> bool:
    return band.sex in ("", sex) and age >= band.age_from and (band.age_to is None or age < band.age_to)


FIGURES = sorted({figure for band in BANDS for figure in band.figures})


@pytest.mark.parametrize("figure", FIGURES)
def test_every_age_and_sex_has_one_band_of_a_figure(figure: str) -> None:
    for age in range(126):
        for sex in ("female", "male"):
            assert len([band for band in BANDS if figure in band.figures and in_years(age, sex, band)]) == 1, (age, sex)


def test_bands_are_about_what_is_measured_and_wider_than_nothing() -> None:
    fields = {f"{kind}.{field}" for kind in KINDS for field in KINDS[kind].__struct_fields__}
    for band in BANDS:
        assert set(band.figures) <= fields | set(MEASURES)
        assert (band.low if band.low is not None else -1.0) < (band.high if band.high is not None else float("inf"))
        assert band.zh
        assert band.en
        assert band.source
        for key in set(band.figures) & set(MEASURES):
            measure = MEASURES[key]
            for edge in filter(None, (band.low, band.high)):
                assert measure.low is not None
                assert measure.high is not None
                assert measure.low <= edge <= measure.high  # nobody is flagged at once for what is usual at their age


def around_band(band: Band, figure: str) -> list[dict[str, float]]:
    """Figures on, just under and just over each bound of a band, at its first and last year and those beside it, of women, men and unknown."""
    edges = [edge + step for edge in (band.low, band.high) if edge is not None for step in (-0.5, 0.0, 0.5)]
    ages = [age for age in (band.age_from - 1, band.age_from, (band.age_to or 110) - 1, band.age_to or 110) if age >= 0]
    sexes: list[dict[str, float]] = [{"female": 1.0}, {"female": 0.0}, {}]
    return [{figure: value, "age": age} | sex for value in edges for age in ages for sex in sexes]


def outside(row: dict[str, float], figure: str, kind: str) -> bool:
    """Slowly: read the table as people do."""
    for line in csv.DictReader(Path("schemas/bands.csv").read_text(encoding="utf-8").splitlines()):
        if not {figure, f"{kind}.{figure}"} & set(line["figures"].split()):
            continue
        if line["sex"] and row.get("female") != (1.0 if line["sex"] == "female" else 0.0):
            continue
        if float(line["age_from"]) <= row["age"] < float(line["age_to"] or 999) and not (
            float(line["low"] or "-inf") <= row[figure] <= float(line["high"] or "inf")
        ):
            return True
    return False


def test_the_worker_agrees_with_a_slow_reading_of_the_bands_around_every_bound() -> None:
    asked = 0
    for band in BANDS:
        for name in band.figures:
            kind, _, figure = name.rpartition(".")
            kind = kind or "vital"
            by_age = [rule for rule in rules_of(kind) if rule.a == figure and rule.age_from is not None]
            for row in around_band(band, figure):
                asked += 1
                assert any(breaks(rule, row) for rule in by_age) is outside(row, figure, kind), (name, row)
    assert asked > 2000


@FEW
@given(st.fixed_dictionaries({kind: st.lists(drawn, min_size=3, max_size=6) for kind, drawn in BATCHES.items()}))
def test_a_batch_inside_the_standard_fails_no_expectation_and_gets_no_flag(batch: dict[str, list[Envelope]]) -> None:
    for records in batch.values():
        for record in records:
            rules.check(record, NOW + timedelta(hours=1))
            assert record.flags == []
    results = suites.judge({kind: frame(kind, rows(records)) for kind, records in batch.items()}, {})
    assert [one for one in results if not one.success or one.failed] == []
    assert {one.kind for one in results} == set(BATCHES)


def around_bounds(kind: str, chance: Random) -> Frame:
    """Figures on and around every bound, some missing."""
    known = rules_of(kind)
    edges = sorted({edge for rule in known for edge in (rule.low, rule.high) if edge is not None})
    ages = [age for rule in known for age in (rule.age_from, rule.age_to) if age is not None] or [25.0]
    columns = sorted({name for rule in known for name in rule.columns})
    found = [{name: chance.choice(edges) + chance.choice((-1, 0, 0, 0.5)) for name in columns if chance.random() < 0.7} for _ in range(6)]
    aged = [row | ({"age": max(chance.choice(ages) + chance.choice((-1, 0)), 0)} if chance.random() < 0.7 else {}) for row in found]
    return frame(kind, [row | ({"female": float(chance.random() < 0.5)} if chance.random() < 0.8 else {}) for row in aged])


@pytest.mark.parametrize("seed", range(2))
def test_great_expectations_and_the_rules_say_the_same(seed: int) -> None:
    chance = Random(seed)
    tables = {kind: around_bounds(kind, chance) for kind in BATCHES}
    results = suites.judge(tables, {})
    both: set[bool] = set()
    for kind, table in tables.items():
        said = {rule.code: sum(breaks(rule, row) for row in table.rows) <= (1 - rule.share) * len(table.rows) + 1e-9 for rule in table.rules}
        assert {one.rule: one.success for one in results if one.kind == kind} == said
        both |= set(said.values())
    assert both == {True, False}


def test_figures_that_cannot_be_together_are_flagged_at_once() -> None:
    session = Session(start=START, hr_avg=150, hr_max=140, power_avg_w=10, power_max_w=10)
    pressure = VitalSign(start=START, measure="blood-pressure", components=[Quantity("systolic", 90, "mm[Hg]"), Quantity("diastolic", 90, "mm[Hg]")])
    for record, field in ((session, "hr_avg"), (pressure, "diastolic")):
        rules.check(record, NOW)
        assert [(flag.code, flag.field) for flag in record.flags] == [("figures-disagree", field)]


def spread(middle: float, count: int) -> Frame:
    return frame("session", [{"hr_avg": middle + number % 11 - 5, "elapsed_s": 2400.0, "sport": 1.0, "flagged": 0.0} for number in range(count)])


@pytest.mark.parametrize(("middle", "count", "held"), [(120.0, 40, True), (121.0, 40, True), (129.0, 40, False), (129.0, 19, True)])
def test_a_source_is_compared_with_its_own_past(middle: float, count: int, *, held: bool) -> None:
    results = suites.judge({"session": spread(middle, count)}, {"session": spread(120, 300)})
    assert all(one.success for one in results if one.rule in ("mean:hr_avg", "median:hr_avg")) is held
    assert any(one.dimension == "stability" for one in results) is (count >= 20)


def test_more_flagged_records_than_usual_are_seen() -> None:
    now = spread(120, 40)
    for row in now.rows[:12]:
        row["flagged"] = 1.0
    (share,) = [one for one in suites.judge({"session": now}, {"session": spread(120, 300)}) if one.rule == "share:flagged"]
    assert share.success is False
