"""Rules of data quality, from one place for both who judge: the hot path (`schemas/rules.py`) and the worker (`hub/quality`).

`rules.csv` says what must hold between the figures of a record; what is possible and usual of one figure comes from `fields.csv`
and `measures.csv`, what is usual at an age from `bands.csv`. A rule looks at named numbers of a record (`numbers`), never at names, identifiers or words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple

from schemas.lines import lines
from schemas.measures import MEASURES
from schemas.records import CheckIn, DaySummary, Envelope, Flag, Moment, Session, Sleep
from schemas.standard import EVERY, MEASURED, STANDARD

DIMENSIONS: Final[dict[str, tuple[str, str]]] = {
    "completeness": ("完整", "Completeness"),
    "plausibility": ("可信", "Plausibility"),
    "consistency": ("一致", "Consistency"),
    "uniqueness": ("不重复", "Uniqueness"),
    "timeliness": ("时间", "Time"),
    "intake": ("收得下", "Taken in"),
    "stability": ("稳定", "Stability"),
}
INTAKE: Final = "intake"
"""The rows of an upload, as a kind of their own: whether each was refused or had to wait."""
FORMS: Final = ("between", "at-most", "below", "present")


class Rule(NamedTuple):
    """What must hold. Missing figures never break a rule, except that `present` wants them.

    form: `between` low <= a <= high; `at-most` a <= b; `below` a < b; `present` a is there
    share: of the records of a batch, how many must keep it
    sex, age_from, age_to: whom it is about (completed years on the record's day), everybody where absent
    at_once: `refuse` or `flag` in the hot path; else the worker finds it
    flag: what a record that breaks it is marked with; none for what is judged of a batch as a whole
    """

    code: str
    kind: str
    form: str
    a: str
    b: str
    low: float | None
    high: float | None
    share: float
    sex: str
    age_from: float | None
    age_to: float | None
    at_once: str
    flag: str
    dimension: str
    zh: str
    en: str
    source: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.a, self.b) if self.b else (self.a,)

    @property
    def is_scored(self) -> bool:
        """Whether it counts in a score: a band whose source was not verified only marks records."""
        return self.age_from is None or "verify" not in self.source


def _written() -> Iterator[Rule]:
    for row in lines("rules.csv"):
        rule = Rule(
            row["rule"], row["kind"], row["form"], row["a"], row["b"], row.number("low"), row.number("high"), row.number("share") or 1.0,
            row["sex"], row.number("age_from"), row.number("age_to"), row["at_once"], row["flag"], row["dimension"], row["zh"], row["en"],
            row["source"],
        )  # fmt: skip
        for kind in STANDARD if rule.kind == EVERY else rule.kind.split():
            if not (rule.a == "lead_s" and STANDARD[kind].ahead):  # what lies ahead by its nature
                yield rule._replace(kind=kind)


def _range(code: str, kind: str, name: str, low: float | None, high: float | None, words: tuple[str, str], at_once: str, source: str) -> Rule:
    return Rule(
        code, kind, "between", name, "", low, high, 1.0, "", None, None, at_once, "implausible", "plausibility", words[0], words[1], source
    )  # fmt: skip


def _of_fields(kind: str) -> Iterator[Rule]:
    for field in STANDARD[kind].fields.values():
        if field.low is not None and field.high is not None:
            span = f"{field.low:g} – {field.high:g} {field.unit}"
            words = f"{field.zh}在可能的范围内（{span}）", f"{field.en} is possible ({span})"
            yield _range(f"{field.name}-possible", kind, field.name, field.low, field.high, words, "refuse", "schemas/fields.csv")


def _of_measures(kind: str) -> Iterator[Rule]:
    for measure in MEASURES.values():
        for word, low, high, at_once in (("possible", measure.reject_low, measure.reject_high, "refuse"), ("usual", measure.low, measure.high, "flag")):
            if (low is None and high is None) or (word == "usual" and (low, high) == (measure.reject_low, measure.reject_high)):
                continue
            span = f"{'' if low is None else f'{low:g}'} – {'' if high is None else f'{high:g}'} {measure.unit}"
            zh = f"{measure.zh}在{'可能' if word == 'possible' else '常见'}的范围内（{span}）"
            yield _range(f"{measure.key}-{word}", kind, measure.key, low, high, (zh, f"{measure.en} is {word} ({span})"), at_once, "schemas/measures.csv")


class Band(NamedTuple):
    """What is usual of a figure in people of an age (completed years, `age_to` not among them) and sex; whoever is outside is flagged, never refused.

    figures: measures, or `kind.field`
    """

    figures: tuple[str, ...]
    sex: str
    age_from: float
    age_to: float | None
    low: float | None
    high: float | None
    zh: str
    en: str
    source: str

    @property
    def whom(self) -> tuple[str, str]:
        sex = {"female": ("女性", "women and girls, "), "male": ("男性", "men and boys, "), "": ("", "")}[self.sex]
        zh = f"{self.age_from:g}岁以上" if self.age_to is None else f"{self.age_from:g}至{self.age_to - 1:g}岁"
        en = f"{self.age_from:g} and over" if self.age_to is None else f"{self.age_from:g} to {self.age_to - 1:g} years"
        return sex[0] + zh, sex[1] + en

    @property
    def span(self) -> str:
        return f"{'' if self.low is None else f'{self.low:g}'} – {'' if self.high is None else f'{self.high:g}'}".strip()


def _bands() -> Iterator[Band]:
    for row in lines("bands.csv"):
        age_from = row.number("age_from")
        if age_from is None:
            raise row.wrong("a band has a first age", "age_from")
        yield Band(
            tuple(row["figures"].split()), row.one_of("sex", ("", "female", "male")), age_from, row.number("age_to"), row.number("low"), row.number("high"),
            row["zh"], row["en"], row["source"],
        )  # fmt: skip


BANDS: Final = tuple(_bands())


def bands_of(measure: str) -> list[Band]:
    """What is usual of a measure, by age and sex."""
    return [band for band in BANDS if measure in band.figures]


def _of_bands(kind: str) -> Iterator[Rule]:
    for band in BANDS:
        for figure in band.figures:
            of, _, field = figure.rpartition(".")
            if of == kind or (not of and MEASURED[kind]):
                zh, en = band.whom
                yield Rule(
                    "-".join(filter(None, (field, "from", f"{band.age_from:g}", band.sex))), kind, "between", field, "", band.low, band.high, 1.0, band.sex,
                    band.age_from, band.age_to, "", "implausible", "plausibility", f"{band.zh}在该年龄常见的范围内（{zh}：{band.span}）",
                    f"{band.en} is usual for the age ({en}: {band.span})", band.source,
                )  # fmt: skip


@cache
def rules_of(kind: str) -> tuple[Rule, ...]:
    """Every rule about a kind of record: of one figure first, by age, then between figures."""
    if kind == INTAKE:
        return tuple(rule for rule in _WRITTEN if rule.kind == kind)
    measures = _of_measures(kind) if MEASURED[kind] else ()
    return (*_of_fields(kind), *measures, *_of_bands(kind), *(rule for rule in _WRITTEN if rule.kind == kind))


_WRITTEN: Final = tuple(_written())

RELATIONS: Final[dict[str, tuple[tuple[Rule, str, str], ...]]] = {
    kind: tuple((rule, rule.a, rule.b) for rule in _WRITTEN if rule.kind == kind and rule.at_once == "flag" and rule.b) for kind in STANDARD
}
"""Kind to the rules between two of its figures that the hot path flags."""


def flags_of(kind: str, codes: Iterable[str]) -> list[Flag]:
    """Quality flags for the rules that a record breaks; those that the standard no longer has are left out."""
    by_code = _by_code(kind)
    return [Flag(by_code[code].flag, by_code[code].a, by_code[code].en) for code in codes if code in by_code]


@cache
def _by_code(kind: str) -> dict[str, Rule]:
    return {rule.code: rule for rule in rules_of(kind)}


def rule_named(kind: str, code: str) -> Rule | None:
    return _by_code(kind).get(code)


def concerns(rule: Rule, figures: Mapping[str, float]) -> bool:
    """Whether a record is one of those the rule is about; of somebody whose age or sex is not known, it is not."""
    if rule.sex and figures.get("female") != (1.0 if rule.sex == "female" else 0.0):
        return False
    if rule.age_from is None and rule.age_to is None:
        return True
    age = figures.get("age")
    return age is not None and (rule.age_from is None or age >= rule.age_from) and (rule.age_to is None or age < rule.age_to)


def breaks(rule: Rule, figures: Mapping[str, float]) -> bool:
    """Whether a record's figures break a rule that is about a record."""
    a = figures.get(rule.a)
    if rule.form == "present":
        return a is None
    if a is None or not concerns(rule, figures):
        return False
    if rule.form == "between":
        return (rule.low is not None and a < rule.low) or (rule.high is not None and a > rule.high)
    b = figures.get(rule.b)
    return b is not None and (a > b if rule.form == "at-most" else a >= b)


# Figures


def numbers(record: Envelope, received: datetime) -> dict[str, float]:
    """The figures of a record by name, its own and those computed from them; what is not known is absent."""
    kind = str(record.__struct_config__.tag)
    found = _stated(record) | _measured(record, kind)
    computed = {name: compute(record, found) for name, compute in _COMPUTED.get(kind, {}).items()}
    lead = (record.start.at - received).total_seconds() if record.start.at is not None and record.start.precision != "day" else None
    return found | {name: value for name, value in (computed | {"lead_s": lead}).items() if value is not None}


def _stated(record: Envelope) -> dict[str, float]:
    """Numbers as they are; of words only that they are there."""
    found = {}
    for field in record.__struct_fields__:
        value = getattr(record, field)
        if isinstance(value, (int, float)):
            found[field] = float(value)
        elif isinstance(value, str) and field in _WORDS:
            found[field] = 1.0
    return found


_WORDS: Final = frozenset({"sport", "venue"})


def _measured(record: Envelope, kind: str) -> dict[str, float]:
    """Quantities by their measure, and how many there are."""
    held = [(getattr(record, name), many) for name, many in MEASURED[kind]]
    listed = [quantity for value, many in held for quantity in (value if many else [value]) if quantity is not None]
    return {quantity.measure: quantity.value for quantity in listed} | ({"values": float(len(listed))} if listed else {})


def _seconds(start: Moment, end: Moment | None) -> float | None:
    """From start to end, where both are known alike and better than to the day."""
    if end is None or "day" in (start.precision, end.precision):
        return None
    if start.at is not None and end.at is not None:
        return (end.at - start.at).total_seconds()
    return (end.local - start.local).total_seconds() if start.local is not None and end.local is not None else None


def _moving(record: Session) -> float | None:
    return record.timer_s or record.elapsed_s or None


def _speed(record: Session) -> float | None:
    seconds = _moving(record)
    return record.distance_m / seconds if record.distance_m is not None and seconds else None


def _speed_m_s(record: Session) -> float | None:
    """Of a sport that covers ground, over five minutes or more."""
    return _speed(record) if record.sport in TOP_SPEEDS and (_moving(record) or 0) >= 300 else None


def _speed_share(record: Session) -> float | None:
    speed, top = _speed(record), TOP_SPEEDS.get(record.sport or "")
    return speed / top if speed is not None and top else None


def _per_minute(record: Session, value: float | None) -> float | None:
    seconds = _moving(record)
    return value * 60 / seconds if value is not None and seconds and seconds >= 60 else None


def _overrun(record: Session) -> float | None:
    span = _seconds(record.start, record.end)
    return record.elapsed_s - span if span is not None and record.elapsed_s is not None else None


def _intensity(record: Session | DaySummary) -> float | None:
    stated = [minutes for minutes in (record.moderate_min, record.vigorous_min) if minutes is not None]
    return sum(stated) if stated else None


def _intensity_over(record: Session) -> float | None:
    minutes = _intensity(record)
    return minutes - record.elapsed_s / 60 if minutes is not None and record.elapsed_s is not None else None


def _covered(record: Session) -> float | None:
    return record.hr_samples / record.samples if record.hr_samples and record.samples and record.samples >= 10 else None


def _stride(record: DaySummary) -> float | None:
    return record.distance_m / record.steps if record.distance_m and record.steps and record.steps >= 100 else None


def _bmi_gap(found: Mapping[str, float]) -> float | None:
    bmi, weight, height = found.get("bmi"), found.get("body-weight"), found.get("body-height")
    return bmi - weight / (height / 100) ** 2 if bmi is not None and weight is not None and height else None


def _fat_gap(found: Mapping[str, float]) -> float | None:
    fat, share, weight = found.get("fat-mass"), found.get("body-fat"), found.get("body-weight")
    return fat - weight * share / 100 if fat is not None and share is not None and weight is not None else None


def _pause(record: Session) -> float | None:
    return record.elapsed_s - record.timer_s if record.elapsed_s is not None and record.timer_s is not None else None


def _stay(record: CheckIn) -> float | None:
    seconds = _seconds(record.start, record.end)
    return seconds / 3600 if seconds is not None else None


def _stages_over(record: Sleep) -> float | None:
    stages = [minutes for minutes in (record.deep_min, record.light_min, record.rem_min) if minutes is not None]
    return sum(stages) - record.total_min if stages and record.total_min is not None else None


_COMPUTED: Final[dict[str, dict[str, Callable[..., float | None]]]] = {
    "session": {
        "pause_s": lambda record, _: _pause(record), "overrun_s": lambda record, _: _overrun(record),
        "intensity_over_min": lambda record, _: _intensity_over(record), "speed_m_s": lambda record, _: _speed_m_s(record),
        "speed_share": lambda record, _: _speed_share(record), "energy_per_min": lambda record, _: _per_minute(record, record.energy_kcal),
        "steps_per_min": lambda record, _: _per_minute(record, record.steps), "hr_coverage": lambda record, _: _covered(record),
    },
    "day-summary": {"intensity_min": lambda record, _: _intensity(record), "stride_m": lambda record, _: _stride(record)},
    "body-composition": {"bmi_gap": lambda _, found: _bmi_gap(found), "fat_gap_kg": lambda _, found: _fat_gap(found)},
    "fitness-test": {"bmi_gap": lambda _, found: _bmi_gap(found)},
    "check-in": {"stay_h": lambda record, _: _stay(record)},
    "sleep": {"stages_over_min": lambda record, _: _stages_over(record)},
}  # fmt: skip


TOP_SPEEDS: Final = {row["sport"]: row.number("top_m_s") or 0.0 for row in lines("speeds.csv")}
"""Sport to the mean speed (m/s) that no session of it can have."""
