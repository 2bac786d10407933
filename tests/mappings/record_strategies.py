"""Any record the standard allows, for laws that every face must keep."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from schemas.flags import FLAGS
from schemas.instruments import INSTRUMENTS
from schemas.measures import MEASURES
from schemas.records import (
    Adherence,
    Analyte,
    Answer,
    Appointment,
    BodyComposition,
    Change,
    CheckIn,
    Condition,
    DaySummary,
    Device,
    DeviceVersion,
    EffectEvaluation,
    Exercise,
    FitnessTest,
    Flag,
    Goal,
    Guidance,
    Imaging,
    IssueReport,
    LabResult,
    Lap,
    MeasurementStatus,
    Medication,
    Membership,
    Moment,
    MovementAssessment,
    Points,
    Precaution,
    Prescription,
    Quantity,
    Referral,
    RehabilitationStatus,
    Screening,
    Session,
    Sleep,
    Specialization,
    VenueOccupancy,
    Visit,
    VitalSign,
)
from schemas.rules import WITH_REASON
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
MDC_CODES = st.sampled_from(["65573", "528388", "528391", "531981", "531974", "531975", "531976"])
A_DEVICE = st.builds(
    Device, manufacturer=SAID, model=SAID, identifier=SAID | st.just("74-e8-ff-fe-ff-05-1c-00"), firmware=SAID, mdc_type=SAID | MDC_CODES, serial=SAID,
    specializations=st.lists(st.builds(Specialization, mdc=TEXT | MDC_CODES, version=SAID), max_size=2),
    versions=st.lists(st.builds(DeviceVersion, value=TEXT, mdc=SAID | MDC_CODES), max_size=2),
)  # fmt: skip
DEVICES = st.none() | A_DEVICE
ALL_SAID = st.builds(
    Device, manufacturer=st.just("某厂"), model=st.just("M"), identifier=st.just("74E8FFFEFF051C00"), mdc_type=st.sampled_from(["65573", "531981"]),
    firmware=SAID, specializations=st.just([Specialization("528391", "1")]), versions=st.just([DeviceVersion("6.0", "532352")]),
)  # fmt: skip
"""Devices and gateways of which the PHD IG may be claimed."""
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
    more = {name: draw(SAID) for name in ("posture", "body_site", "performer", "performing_organization")}
    ends = {name: draw(MAYBE) for name in ("reference_low", "reference_high")}
    common["device"] = draw(DEVICES | ALL_SAID)
    more |= {"gateway": draw(DEVICES | ALL_SAID), "measurement_status": draw(st.none() | st.sampled_from(get_args(MeasurementStatus)))}
    meaning = draw(st.sampled_from([None, "L", "H", "N", "AA"]))
    if draw(st.booleans()):
        parts = draw(st.lists(quantities(["systolic", "diastolic", "mean-pressure"]), max_size=3, unique_by=lambda part: part.measure))
        return VitalSign(**common, **more, **ends, interpretation=meaning, measure="blood-pressure", components=parts)
    quantity = draw(quantities())
    present = quantity if draw(st.booleans()) else None
    return VitalSign(**common, **more, **ends, interpretation=meaning, measure=quantity.measure, quantity=present)


BODY = st.builds(BodyComposition, **COMMON, quantities=st.lists(quantities(), min_size=1, max_size=5), performer=SAID, performing_organization=SAID)
DAYS = st.builds(
    DaySummary, **COMMON, date=st.dates(date(2000, 1, 1), date(2035, 1, 1)), steps=st.integers(0, 10**6), distance_m=MAYBE, energy_kcal=MAYBE,
    active_energy_kcal=MAYBE, active_min=MAYBE, moderate_min=MAYBE, vigorous_min=MAYBE, resting_hr=MAYBE, hr_avg=MAYBE, hr_max=MAYBE,
    hr_min=MAYBE, floors=COUNT,
)  # fmt: skip
TESTS = st.builds(FitnessTest, **COMMON, edition=SAID, items=st.lists(quantities(), max_size=8), grade=SAID, total_score=MAYBE, tester=SAID)
CHECK_INS = ended(st.builds(CheckIn, **COMMON, venue=SAID, method=SAID, programme=SAID))
WORDS = st.text(min_size=1, max_size=12).filter(lambda said: not said.isspace())
DATES = st.none() | st.dates(date(1990, 1, 1), date(2035, 1, 1))
TOKENS = WORDS | st.sampled_from(["par-q-plus", "a/b", "1"])
IDS = st.lists(TEXT, max_size=2)


def literal(struct: Any, field: str) -> st.SearchStrategy[Any]:
    """Any of the values that a field may have, None where it may be absent."""
    hint = get_type_hints(struct)[field]
    values = [value for part in (hint, *get_args(hint)) if get_origin(part) is Literal for value in get_args(part)]
    return st.sampled_from([*values, *([None] if type(None) in get_args(hint) else [])])


@st.composite
def analytes(draw: st.DrawFn) -> Analyte:
    key = draw(st.none() | st.sampled_from(sorted(key for key, measure in MEASURES.items() if measure.category == "laboratory")))
    name = draw(SAID) if key else draw(WORDS)
    unit = MEASURES[key].unit if key else draw(SAID)
    return Analyte(
        measure=key, name=name, coding=draw(CODINGS), value=draw(MAYBE), comparator=draw(literal(Analyte, "comparator")), unit=unit,
        original=draw(SAID), text=draw(SAID), reference_low=draw(MAYBE), reference_high=draw(MAYBE), reference_text=draw(SAID),
        interpretation=draw(literal(Analyte, "interpretation")), specimen=draw(SAID), method=draw(SAID),
    )  # fmt: skip


@st.composite
def changes(draw: st.DrawFn) -> Change:
    quantity = draw(quantities())
    return Change(quantity.measure, quantity.value, draw(VALUE), quantity.unit, draw(MAYBE), draw(SAID))


@st.composite
def goals(draw: st.DrawFn) -> Goal:
    quantity = draw(st.none() | quantities())
    due, comparator = draw(DATES), draw(literal(Goal, "comparator"))
    return Goal(draw(WORDS), quantity.measure, quantity.value, quantity.unit, comparator, due) if quantity else Goal(draw(WORDS), due=due)


PRECAUTIONS = st.lists(st.builds(Precaution, text=WORDS, coding=CODINGS, until=DATES), max_size=2)
EXERCISES = st.builds(
    Exercise, text=WORDS, sport=st.none() | st.sampled_from(sorted(SPORTS)), frequency_per_week=st.none() | st.integers(1, 21),
    duration_min=st.none() | st.floats(0, 600), intensity=literal(Exercise, "intensity"), hr_low=MAYBE, hr_high=MAYBE, hrr_low_percent=MAYBE,
    hrr_high_percent=MAYBE, rpe_low=MAYBE, rpe_high=MAYBE, met_minutes=MAYBE, progression=SAID,
)  # fmt: skip
ANSWERS = st.builds(Answer, item=WORDS, question=SAID, answer=st.none() | TEXT | st.booleans() | st.integers() | st.floats(-1e6, 1e6))
LABS = st.builds(
    LabResult, **COMMON, title=SAID, status=literal(LabResult, "status"), issued=st.none() | MOMENTS, items=st.lists(analytes(), min_size=1, max_size=6),
    specimen=SAID, laboratory=SAID, reporter=SAID, conclusion=SAID,
)  # fmt: skip
NIGHTS = ended(
    st.builds(
        Sleep, **COMMON, total_min=VALUE, deep_min=MAYBE, light_min=MAYBE, rem_min=MAYBE, in_bed_min=MAYBE, awake_min=MAYBE, awakenings=COUNT,
        efficiency_percent=MAYBE, score=MAYBE, hr_avg=MAYBE, hr_min=MAYBE,
    )
)  # fmt: skip


@st.composite
def filled_in(draw: st.DrawFn) -> Screening:
    """An instrument of the standard, with answers that fit it."""
    name = draw(st.sampled_from(sorted(INSTRUMENTS)))
    types = {"boolean": st.booleans(), "integer": st.integers(-(2**31) + 1, 2**31 - 1), "string": TEXT}
    asked = [question for question in INSTRUMENTS[name].questions if draw(st.booleans())]
    answers = [Answer(question.item, draw(SAID), draw(st.none() | types[question.type])) for question in asked]
    return Screening(start=draw(MOMENTS), instrument=name, answers=answers)


SCREENINGS = filled_in() | st.builds(
    Screening, **COMMON, instrument=TOKENS | st.sampled_from(sorted(INSTRUMENTS)), title=SAID, edition=SAID, answers=st.lists(ANSWERS, max_size=3),
    score=MAYBE, risk_level=SAID, conclusion=SAID, valid_until=DATES, limits=PRECAUTIONS, assessor=SAID,
)  # fmt: skip
PRESCRIPTIONS = ended(
    st.builds(
        Prescription, **COMMON, title=SAID, status=literal(Prescription, "status"), reason=SAID, reason_coding=CODINGS, author=SAID,
        authored=st.none() | MOMENTS, goals=st.lists(goals(), max_size=2), exercises=st.lists(EXERCISES, min_size=1, max_size=3),
        precautions=PRECAUTIONS, summary=SAID, replaces=SAID, change=SAID,
    )
)  # fmt: skip


@st.composite
def referrals(draw: st.DrawFn) -> Referral:
    status = draw(literal(Referral, "status"))
    common = {name: draw(strategy) for name, strategy in COMMON.items()}
    more = {name: draw(SAID) for name in ("progress", "service", "requester", "outcome")}
    return Referral(
        **common, **more, status=status, status_reason=draw(WORDS) if status in WITH_REASON else None, changed=draw(st.none() | MOMENTS),
        reason=draw(WORDS), reason_coding=draw(CODINGS), urgency=draw(literal(Referral, "urgency")), recipient=draw(WORDS),
    )  # fmt: skip


EFFECTS = ended(
    st.builds(
        EffectEvaluation, **COMMON, formula=WORDS, formula_version=WORDS, inputs=IDS, changes=st.lists(changes(), min_size=1, max_size=3), grade=SAID,
        conclusion=SAID, evaluator=SAID, prescription=SAID,
    )
)  # fmt: skip
REHABILITATIONS = st.builds(
    RehabilitationStatus, **COMMON, stage=WORDS, problem=SAID, problem_coding=CODINGS, scale=SAID, score=MAYBE, progress=SAID, programme=SAID, assessor=SAID,
)  # fmt: skip
MOVEMENTS = st.builds(
    MovementAssessment, **COMMON, movement=WORDS, algorithm=WORDS, algorithm_version=WORDS, repetitions=COUNT, score=MAYBE, findings=IDS, venue=SAID,
)  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    status = draw(literal(Condition, "clinical_status"))
    common = {name: draw(strategy) for name, strategy in COMMON.items()}
    more = {name: draw(SAID) for name in ("severity", "body_site", "recorder")}
    abatement = draw(DATES) if status in ("inactive", "remission", "resolved") else None
    verification = draw(literal(Condition, "verification"))
    return Condition(
        **common, **more, name=draw(WORDS), coding=draw(CODINGS), clinical_status=status, verification=verification, onset=draw(DATES), abatement=abatement
    )


MEDICATIONS = ended(
    st.builds(Medication, **COMMON, name=WORDS, coding=CODINGS, status=literal(Medication, "status"), dosage=SAID, reason=SAID, reason_coding=CODINGS)
)
VISITS = ended(st.builds(Visit, **COMMON, setting=literal(Visit, "setting"), department=SAID, practitioner=SAID, reason=SAID, reason_coding=CODINGS))
IMAGES = st.builds(
    Imaging, **COMMON, dicom_modality=st.sampled_from([None, "MR", "CT"]), description=SAID, body_site=SAID,
    study_uid=st.sampled_from([None, "", "1.2.840.113619.2.1.1"]), conclusion=SAID, reporter=SAID,
)  # fmt: skip


@st.composite
def appointments(draw: st.DrawFn) -> Appointment:
    at = draw(INSTANTS)
    common = {name: draw(strategy) for name, strategy in COMMON.items() if name != "start"}
    more = {name: draw(SAID) for name in ("service", "programme", "venue", "practitioner", "cancellation")}
    start, end = (Moment(at=moment, offset_minutes=480) for moment in (at, at + timedelta(hours=1)))
    return Appointment(**common, **more, start=start, end=end, status=draw(literal(Appointment, "status")))


ADVICE = ended(st.builds(Guidance, **COMMON, advice=WORDS, topic=SAID, mode=literal(Guidance, "mode"), practitioner=SAID, venue=SAID))
ADHERENCE = ended(
    st.builds(
        Adherence, **COMMON, formula=WORDS, formula_version=WORDS, inputs=IDS, prescription=SAID, prescribed_sessions=COUNT, done_sessions=st.integers(0, 99),
        prescribed_min=MAYBE, done_min=MAYBE, in_zone_min=MAYBE, adherence_percent=MAYBE, goal=SAID, achievement=literal(Adherence, "achievement"),
    )
)  # fmt: skip
ENTRIES = st.builds(Points, **COMMON, delta=VALUE, reason=WORDS, balance=MAYBE, rule=SAID, expires=DATES)
MEMBERSHIPS = ended(st.builds(Membership, **COMMON, status=literal(Membership, "status"), number=SAID, level=SAID))
ISSUES = ended(
    st.builds(IssueReport, **COMMON, text=WORDS, status=literal(IssueReport, "status"), topic=SAID, venue=SAID, answer=SAID, changed=st.none() | MOMENTS)
)
OCCUPANCIES = ended(
    st.builds(
        VenueOccupancy, **COMMON, venue=WORDS, present=COUNT, peak=COUNT, mean=MAYBE, visits=COUNT, capacity=COUNT,
        counting=literal(VenueOccupancy, "counting"), withdrawn=st.booleans(),
    )
)
OF_EXERCISE = st.one_of(SESSIONS, ended(vitals()), BODY, DAYS, TESTS, CHECK_INS)
OF_CARE = st.one_of(
    LABS, NIGHTS, SCREENINGS, PRESCRIPTIONS, referrals(), EFFECTS, REHABILITATIONS, MOVEMENTS, conditions(), MEDICATIONS, VISITS, IMAGES, appointments(),
    ADVICE, ADHERENCE, ENTRIES, MEMBERSHIPS, ISSUES, OCCUPANCIES,
)  # fmt: skip
RECORDS = st.one_of(OF_EXERCISE, OF_CARE)
