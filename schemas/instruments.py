"""The instruments that the standard names: questionnaires and self-rating scales, published as FHIR Questionnaires without their text.

Names stand in `codes.csv` (`instrument`), the link ids, what type an answer has and where that comes from in `questions.csv`. The text
belongs to the authors; nothing is scored. An answer set that does not fit, or of another instrument, stays as the source gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.codes import LISTS
from schemas.lines import lines
from schemas.records import Answer

_INTEGERS: Final = 2**31
"""R4's integers lie below."""
_ANSWERS: Final[dict[str, tuple[type, ...]]] = {"boolean": (bool,), "integer": (int,), "string": (str,)}


class Question(NamedTuple):
    """One item: its link id, and the R4 type of its answer."""

    item: str
    type: str


class Instrument(NamedTuple):
    """Its questions in their order. `source`: where link ids and scores come from, with `(verify)` while they were not compared with the instrument."""

    questions: tuple[Question, ...]
    source: str

    @property
    def is_unsure(self) -> bool:
        return "(verify)" in self.source


def _read() -> dict[str, Instrument]:
    found: dict[str, Instrument] = {}
    for line in lines("questions.csv"):
        first, last, type_ = line.number("first"), line.number("last"), line.one_of("type", _ANSWERS)
        if first is None or last is None or first > last:
            raise line.wrong("an instrument has a first item and a last one", "first")
        if not line["source"]:
            raise line.wrong("it says where the items come from", "source")
        questions = tuple(Question(str(number), type_) for number in range(int(first), int(last) + 1))
        found[line.one_of("instrument", LISTS["instrument"])] = Instrument(questions, line["source"])
    return found


INSTRUMENTS: Final = _read()


def is_held(instrument: str, answers: Sequence[Answer]) -> bool:
    """Whether an instrument is one of the standard's and every answer fits the question it names: each once at most, and in their order."""
    known = INSTRUMENTS.get(instrument)
    left = iter(known.questions if known else ())
    return known is not None and all(any(question.item == one.item and _fits(one, question) for question in left) for one in answers)


def _fits(one: Answer, question: Question) -> bool:
    return one.answer is None or (type(one.answer) in _ANSWERS[question.type] and not (type(one.answer) is int and abs(one.answer) >= _INTEGERS))
