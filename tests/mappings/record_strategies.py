"""Any record the standard allows, for laws that every face must keep."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from schemas.flags import FLAGS
from schemas.measures import MEASURES
from schemas.records import BodyComposition, CheckIn, DaySummary, Device, FitnessTest, Flag, Lap, Moment, Quantity, Session, VitalSign
from schemas.sports import SPORTS

TEXT = st.text(max_size=12) | st.sampled_from(["", " ", "\n\t"])
SAID = st.none() | TEXT
VALUE = st.floats(min_value=-1e6, max_value=1e6) | st.integers(0, 10**6).map(float)
MAYBE = st.none() | VALUE
COUNT = st.none() | st.integers(0, 10**6)
INSTANTS = st.datetimes(datetime(2000, 1, 2), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract
OFFSETS = st.none() | st.integers(-840, 840)
MOMENTS = st.one_of(
    st.builds(Moment, at=INSTANTS, offset_minutes=OFFSETS, precision=st.sampled_from(["instant", "minute", "day"])),
    st.builds(
        Moment, local=st.datetimes(datetime(2000, 1, 2), datetime(2035, 1, 1)), precision=st.sampled_from(["instant", "day"]),  # noqa: DTZ001
    ),
)  # fmt: skip
DEVICES = st.none() | st.builds(Device, manufacturer=SAID, model=SAID, identifier=SAID, firmware=SAID, mdc_type=SAID)
LAPS = st.builds(Lap, start=st.none() | INSTANTS, elapsed_s=MAYBE, timer_s=MAYBE, distance_m=MAYBE, energy_kcal=MAYBE, hr_avg=MAYBE, hr_max=MAYBE)
CODINGS = st.sampled_from([None, "urn:iso:std:iso:11073:10101|150021", "http://loinc.org|8480-6", "|", "99 LOCAL", "L|  spaced  code "]) | TEXT
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "start": MOMENTS,
    "source_record_id": SAID,
    "modality": st.sampled_from([None, "sensed", "self-reported", "derived"]),
    "device": DEVICES,
    "flags": st.lists(st.builds(Flag, code=st.sampled_from(sorted(FLAGS)), field=TEXT), max_size=3),
    "note": SAID,
}


@st.composite
def quantities(draw: st.DrawFn, keys: list[str] | None = None) -> Quantity:
    key = draw(st.sampled_from(keys or sorted(key for key, measure in MEASURES.items() if measure.unit)))
    return Quantity(key, draw(VALUE), MEASURES[key].unit, draw(SAID), draw(CODINGS))


def _ended(record: Any, seconds: int) -> Any:
    if seconds and record.start.at is not None:
        record.end = Moment(at=record.start.at + timedelta(seconds=seconds), offset_minutes=record.start.offset_minutes)
    elif seconds and record.start.local is not None:
        record.end = Moment(local=record.start.local + timedelta(seconds=seconds))
    return record


def ended(records: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(_ended, records, st.sampled_from([0, 1, 3600, 90_000]))


SESSIONS = ended(
    st.builds(
        Session, **COMMON, sport=st.none() | st.sampled_from(sorted(SPORTS)) | TEXT, sub_sport=SAID, title=SAID, elapsed_s=MAYBE, timer_s=MAYBE,
        distance_m=MAYBE, energy_kcal=MAYBE, steps=COUNT, strokes=COUNT, hr_avg=MAYBE, hr_max=MAYBE, hr_min=MAYBE, power_avg_w=MAYBE,
        power_max_w=MAYBE, cadence_avg=MAYBE, ascent_m=MAYBE, met=MAYBE, rpe=MAYBE, moderate_min=MAYBE, vigorous_min=MAYBE, pool_length_m=MAYBE,
        indoor=st.none() | st.booleans(), laps=st.lists(LAPS, max_size=3), venue=SAID, coach=SAID, programme=SAID,
    )
)  # fmt: skip


@st.composite
def vitals(draw: st.DrawFn) -> VitalSign:
    common = {name: draw(strategy) for name, strategy in COMMON.items()}
    more = {name: draw(SAID) for name in ("posture", "body_site")}
    ends = {name: draw(MAYBE) for name in ("reference_low", "reference_high")}
    meaning = draw(st.sampled_from([None, "L", "H", "N", "AA"]))
    if draw(st.booleans()):
        parts = draw(st.lists(quantities(["systolic", "diastolic", "mean-pressure"]), max_size=3, unique_by=lambda part: part.measure))
        return VitalSign(**common, **more, **ends, interpretation=meaning, measure="blood-pressure", components=parts)
    quantity = draw(quantities())
    present = quantity if draw(st.booleans()) else None
    return VitalSign(**common, **more, **ends, interpretation=meaning, measure=quantity.measure, quantity=present)


BODY = st.builds(BodyComposition, **COMMON, quantities=st.lists(quantities(), min_size=1, max_size=5))
DAYS = st.builds(
    DaySummary, **COMMON, date=st.dates(date(2000, 1, 1), date(2035, 1, 1)), steps=st.integers(0, 10**6), distance_m=MAYBE, energy_kcal=MAYBE,
    active_energy_kcal=MAYBE, active_min=MAYBE, moderate_min=MAYBE, vigorous_min=MAYBE, resting_hr=MAYBE, hr_avg=MAYBE, hr_max=MAYBE,
    hr_min=MAYBE, floors=COUNT,
)  # fmt: skip
TESTS = st.builds(FitnessTest, **COMMON, edition=SAID, items=st.lists(quantities(), max_size=8), grade=SAID, total_score=MAYBE, tester=SAID)
CHECK_INS = ended(st.builds(CheckIn, **COMMON, venue=SAID, method=SAID, programme=SAID))
RECORDS = st.one_of(SESSIONS, ended(vitals()), BODY, DAYS, TESTS, CHECK_INS)
