"""The instruments that the standard names: questionnaires and self-rating scales, published as FHIR Questionnaires without their text.

Names stand in `codes.csv` (`instrument`), the link ids and what type an answer has in `questions.csv`. The text belongs to the
authors and was not verified; nothing is scored. An answer set that does not fit, or of another instrument, stays as the source gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.codes import LISTS
from schemas.lines import lines
from schemas.records import Answer

_ANSWERS: Final[dict[str, tuple[type, ...]]] = {"boolean": (bool,), "integer": (int,), "string": (str,)}


class Question(NamedTuple):
    """One item: its link id, and the R4 type of its answer."""

    item: str
    type: str


def _read() -> dict[str, tuple[Question, ...]]:
    found: dict[str, tuple[Question, ...]] = {}
    for line in lines("questions.csv"):
        first, last, type_ = line.number("first"), line.number("last"), line.one_of("type", _ANSWERS)
        if first is None or last is None or first > last:
            raise line.wrong("an instrument has a first item and a last one", "first")
        found[line.one_of("instrument", LISTS["instrument"])] = tuple(Question(str(number), type_) for number in range(int(first), int(last) + 1))
    return found


QUESTIONS: Final = _read()
"""Instrument to its questions."""


def is_held(instrument: str, answers: Sequence[Answer]) -> bool:
    """Whether an instrument is one of the standard's and every answer fits the question it names."""
    questions = {question.item: _ANSWERS[question.type] for question in QUESTIONS.get(instrument, ())}
    return bool(questions) and all(one.item in questions and (one.answer is None or type(one.answer) in questions[one.item]) for one in answers)
