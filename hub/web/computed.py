"""Results that were computed or judged of a resident: score, grade, risk, evaluation, quality flag; and what the record says they were made from (PIPL 24).

Nothing is computed here. What a source does not say of its result, such as the edition of its table, is shown as not said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hub.web import words
from hub.web.history import Seen
from hub.web.locales import LANGUAGE, pick, say
from schemas.codes import LISTS
from schemas.flags import ROUTINE
from schemas.measures import MEASURES
from schemas.records import STANDARD_VERSION, Adherence, Answer, Change, EffectEvaluation, Envelope, MovementAssessment, Quantity
from schemas.standard import STANDARD

RESULTS: dict[str, tuple[str, ...]] = {
    "fitness-test": ("grade", "total_score"),
    "screening": ("risk_level", "score"),
    "effect-evaluation": ("grade", "conclusion"),
    "adherence": ("achievement", "adherence_percent"),
    "movement-assessment": ("score", "findings"),
    "rehabilitation-status": ("score",),
    "sleep": ("score",),
}
"""Kind of record to the fields in which a result stands."""
WAYS: dict[str, tuple[str, ...]] = {
    "fitness-test": ("edition",),
    "screening": ("instrument", "edition"),
    "effect-evaluation": ("formula", "formula_version"),
    "adherence": ("formula", "formula_version"),
    "movement-assessment": ("algorithm", "algorithm_version"),
    "rehabilitation-status": ("scale",),
}
"""Kind of record to the fields that say by what a result was made; what of it is absent is shown as not said."""
MADE_OF: dict[str, tuple[str, ...]] = {
    "fitness-test": ("items",),
    "screening": ("answers",),
    "effect-evaluation": ("changes",),
    "adherence": ("done_sessions", "prescribed_sessions", "done_min", "prescribed_min", "in_zone_min"),
    "movement-assessment": ("repetitions",),
    "sleep": ("total_min", "deep_min", "light_min", "rem_min", "awakenings"),
}
ALWAYS = (EffectEvaluation, Adherence, MovementAssessment)
"""Kinds that are a result whatever they say."""
NAMED = {"instrument": LISTS["instrument"], "edition": LISTS["fitness-edition"]}


class Result(NamedTuple):
    """A result in words: what it says, by what it was made, of what, and the marks that this hub put on the record."""

    said: list[tuple[str, str]]
    made: list[tuple[str, str]]
    flags: list[str]


def result_of(record: Envelope, inputs: Sequence[Seen] = ()) -> Result:
    """What is computed in a record. `inputs`: the records that it names, as far as its reader may see them."""
    kind = str(record.__struct_config__.tag)
    said = [(_label(kind, name), told) for name in RESULTS.get(kind, ()) if (told := _told(kind, name, getattr(record, name)))]
    flags = [words.flag(flag.code) for flag in record.flags if flag.code not in ROUTINE]
    if not said and not isinstance(record, ALWAYS):
        return Result([], [], flags)
    made = [(_label(kind, name), _told(kind, name, getattr(record, name)) or say("对方没有写明")) for name in WAYS.get(kind, ())]
    made += [(_label(kind, name), told) for name in MADE_OF.get(kind, ()) if (told := _told(kind, name, getattr(record, name)))]
    named = getattr(record, "inputs", [])
    return Result(said or [(words.kind(kind), words.line(record))], made + ([(say("依据的记录"), _inputs(named, inputs))] if named else []), flags)


def is_computed(record: Envelope) -> bool:
    """Whether a person may be asked about it."""
    found = result_of(record)
    return bool(found.said or found.flags)


def edition() -> str:
    """By what this hub marks records."""
    return say("统一数据口径 %(version)s", version=STANDARD_VERSION)


def _label(kind: str, name: str) -> str:
    field = STANDARD[kind].fields[name]
    return pick((field.zh, field.en))


def _told(kind: str, name: str, value: object) -> str:
    """A field's value in words; nothing where it is absent."""
    if isinstance(value, list):
        return _joined(_item(one) for one in value)
    if isinstance(value, (int, float)):
        return f"{words.number(value)} {words.unit(STANDARD[kind].fields[name].unit)}".strip()
    known = NAMED.get(name, {}).get(str(value))
    return pick((known.zh, known.en)) if known else str(value or "")


def _item(one: object) -> str:
    if isinstance(one, Quantity):
        return words.quantity(one)
    if isinstance(one, Change):
        measure = MEASURES.get(one.measure)
        name = pick((measure.zh, measure.en)) if measure else one.measure
        return f"{name} {words.number(one.before)} → {words.number(one.after)} {words.unit(one.unit)} {one.verdict or ''}".strip()
    if isinstance(one, Answer):
        answer = {True: say("是"), False: say("否")}[one.answer] if isinstance(one.answer, bool) else one.answer
        return f"{one.question or one.item}: {'–' if answer is None else answer}"
    return str(one)


def _inputs(named: Sequence[str], found: Sequence[Seen]) -> str:
    left = len(named) - len(found)
    lines = [words.line(one.record) for one in found]
    return _joined([*lines, say("另有 %(n)d 条这里没有", n=left)] if left > 0 else lines)


def _joined(parts: Iterable[str]) -> str:
    return ("; " if LANGUAGE.get() == "en" else "；").join(parts)
