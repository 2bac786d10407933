"""The closed list of transforms of table cells: what a centre's staff type or a spreadsheet holds, to a value with one meaning.

A transform returns the value, or raises CellError with a sentence and, where it is sensible, a suggestion. Blank cells
never reach one. Clock times without a date are completed by the layout (`mappings/sources.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple

from schemas.codes import LISTS
from schemas.errors import InvalidRecord
from schemas.sports import sport_code
from schemas.units import convert, ucum

Cell = str | int | float | bool | datetime | date | time | timedelta | None

LONGEST_TEXT: Final = 500
_BLANKS: Final = frozenset({"", "-", "--", "—", "——", "/", "\\", "无", "空", "未测", "未填", "n/a", "na", "null", "none", "nan", "#n/a"})
_NUMBER = re.compile(r"([+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{0,9})?)\s*(\D{1,12})?")
_DAY = r"(?P<y>\d{4})\s*[-/.年]\s*(?P<m>\d{1,2})\s*[-/.月]\s*(?P<d>\d{1,2})\s*日?|(?P<cy>\d{4})(?P<cm>\d\d)(?P<cd>\d\d)"
_CLOCK = (
    r"(?P<half>上午|下午|晚上|早上|中午)?\s*(?P<h>\d{1,2})\s*[:时点]\s*(?P<mi>\d{1,2})?\s*分?\s*(?::?\s*(?P<s>\d{1,2})(?:\.\d{1,6})?\s*秒?)?"
    r"\s*(?P<ampm>[AaPp]\.?[Mm]\.?)?"
)
_STAMP = re.compile(rf"(?:{_DAY})(?:(?:\s*[T ]\s*|\s*(?=[上下晚早中]))(?:{_CLOCK})\s*(?P<zone>Z|[+-]\d\d:?\d\d)?)?(?:\s*(?:星期|周).)?")
_TIME_ONLY = re.compile(_CLOCK)
_SPAN = re.compile(
    r"(?:(\d+(?:\.\d+)?)\s*(?:小时|时|h|hr|hours?))?\s*(?:(\d+(?:\.\d+)?)\s*(?:分钟|分|min|mins|minutes?|m|'))?"
    r"\s*(?:(\d+(?:\.\d+)?)\s*(?:秒|s|sec|\"))?"
)
_CLOCK_SPAN = re.compile(r"(\d{1,3}):(\d\d)(?::(\d\d))?")
_TYPOS = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", "，": ".", ",": ".", "。": ".", " ": None})
_AFTERNOON: Final = frozenset({"下午", "晚上", "pm", "p.m."})
_GENDERS: Final = {"男": "male", "女": "female", "m": "male", "f": "female", "male": "male", "female": "female", "1": "male", "2": "female",
                   "未知": "unknown", "0": "unknown", "9": "unknown"}  # fmt: skip
_YES: Final = {"是": True, "有": True, "y": True, "yes": True, "1": True, "true": True, "室内": True, "indoor": True,
               "否": False, "n": False, "no": False, "0": False, "false": False, "室外": False, "户外": False, "outdoor": False}  # fmt: skip

_COUNTING: Final = {said.casefold(): one.code for one in LISTS["counting"].values() for said in (one.code, one.zh, one.zh.partition("（")[0], one.en)}


class CellError(Exception):
    """A cell that cannot be used: code, a sentence that does not quote it, and advice with a suggestion where there is one."""

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.advice = code, message, advice


class Uncomputed(str):
    """What stands for a formula whose value the file does not hold: no spreadsheet program has computed it."""

    __slots__ = ()


class Bounds(NamedTuple):
    """Usual and possible values in the field's unit; None = open."""

    low: float | None = None
    high: float | None = None
    reject_low: float | None = None
    reject_high: float | None = None


class Meaning(NamedTuple):
    """What a column's number means: the unit it is written in, the field's own unit, its bounds."""

    unit: str = ""
    target: str = ""
    bounds: Bounds = Bounds()


class Stamp(NamedTuple):
    """A date, a clock time, or both, as written. `offset_minutes` only when the cell says one."""

    day: date | None
    clock: time | None
    precision: Literal["instant", "minute", "day"]
    offset_minutes: int | None = None


class Number(NamedTuple):
    """A number in the field's unit, and as it was written when the units differ."""

    value: float
    original: str | None


def plain(cell: Cell) -> str:
    """A cell as text: full-width characters narrowed, blanks trimmed and each run of them made one, `10023.0` as `10023`.

    The patterns here leave blanks between their parts: a thousand of them would be tried in every division, for minutes.
    """
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return " ".join(unicodedata.normalize("NFKC", str(cell)).split()) if cell is not None else ""


def letters(position: int) -> str:
    """A column's letters as a spreadsheet shows them: 0 is A, 26 is AA."""
    found = ""
    position += 1
    while position:
        position, letter = divmod(position - 1, 26)
        found = chr(65 + letter) + found
    return found


def address(position: int, row: int) -> str:
    """A cell's name: `E7`."""
    return f"{letters(position)}{row}"


def is_blank(cell: Cell) -> bool:
    """Whether the cell says nothing: empty, a dash, 无, N/A …"""
    return cell is None or (isinstance(cell, str) and plain(cell).casefold() in _BLANKS)


def text(cell: Cell, meaning: Meaning) -> str:
    found = cell.strip() if isinstance(cell, str) else plain(cell)
    if len(found) > LONGEST_TEXT:
        raise CellError("too-long", f"The text is longer than {LONGEST_TEXT} characters.", "Shorten it.")
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\r\t" for letter in found):
        raise CellError("text", "The text holds control characters.", "Type it again.")
    return found


def identifier(cell: Cell, meaning: Meaning) -> str:
    """A number that names someone. A spreadsheet keeps 15 digits of a number, so longer ones are lost unless they are text."""
    lost = isinstance(cell, int | float) and abs(cell) >= 1e15
    found = re.sub(r"[\s\u200b]", "", text(cell, meaning).lstrip("'`"))
    if lost or re.fullmatch(r"\d(?:\.\d+)?[eE]\+?\d+", found):
        raise CellError("digits-lost", "The number has lost digits in the spreadsheet.", "Format the column as text and type it again.")
    if len(found) > 40:
        raise CellError("too-long", "The number is too long.", "Check the column.")
    return unicodedata.normalize("NFKC", found)


def number(cell: Cell, meaning: Meaning) -> Number:
    if isinstance(cell, bool | datetime | date | time | timedelta):
        raise CellError("not-a-number", "The cell is not a number.", "Format the column as number and type it again.")
    if isinstance(cell, int | float):
        return _bounded(float(cell), meaning.unit, meaning)
    written = plain(cell)
    found = _NUMBER.fullmatch(written)
    if found is None:
        raise CellError("not-a-number", "The cell is not a number.", _typo(written, meaning))
    value = float(found[1].replace(",", ""))
    return _bounded(value, ucum(found[2]) if found[2] else meaning.unit, meaning)


def _bounded(value: float, unit: str, meaning: Meaning) -> Number:
    if not abs(value) < 1e15:
        raise CellError("not-a-number", "The cell is not a number.", "Type the measured number.")
    converted = _converted(value, unit, meaning)
    bounds = meaning.bounds
    below = bounds.reject_low is not None and converted < bounds.reject_low and converted != 0
    if below or (bounds.reject_high is not None and converted > bounds.reject_high):
        raise CellError("out-of-range", _range(bounds, meaning.target), _slip(value, unit, meaning))
    return Number(converted, None if unit == meaning.target or not unit else f"{value:g} {unit}")


def _converted(value: float, unit: str, meaning: Meaning) -> float:
    if not meaning.target or not unit:
        return value
    try:
        return convert(value, unit, meaning.target)
    except InvalidRecord:
        raise CellError("unit", f"The unit cannot be converted to {meaning.target}.", f"Write the number in {meaning.target}.") from None


def _range(bounds: Bounds, unit: str) -> str:
    low = "" if bounds.reject_low is None else f"{bounds.reject_low:g}"
    high = "" if bounds.reject_high is None else f"{bounds.reject_high:g}"
    return f"The value is outside what is possible ({low} to {high} {unit}).".replace(" )", ")")


def _slip(value: float, unit: str, meaning: Meaning) -> str:
    """A decimal point in the wrong place, or metres for centimetres: the first shift that gives a usual value."""
    for factor in (10, 100, 0.01, 1000):
        shifted = round(value / factor, 6)
        if _usual(shifted, unit, meaning):
            return f"{shifted:g}?"
    return "Check the value."


def _usual(value: float, unit: str, meaning: Meaning) -> bool:
    converted = _converted(value, unit, meaning)
    low, high = meaning.bounds.low, meaning.bounds.high
    return low is not None and high is not None and low <= converted <= high


def _typo(written: str, meaning: Meaning) -> str:
    mended = written.translate(_TYPOS)
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,6})?", mended) and _usual(float(mended), meaning.unit, meaning):
        return f"{mended}?"
    return "Type a plain number."


def integer(cell: Cell, meaning: Meaning) -> Number:
    found = number(cell, meaning)
    if not found.value.is_integer():
        raise CellError("not-a-number", "The cell is not a whole number.", f"{round(found.value)}?")
    return found


def duration(cell: Cell, meaning: Meaning) -> Number:
    """A length of time in seconds: `45` in the column's unit, `45分`, `1小时5分`, `0:45` (hours:minutes), `0:45:30`."""
    seconds = _clock_span(cell)
    if seconds is None and isinstance(cell, str):
        seconds = _worded_span(plain(cell).casefold())
    if seconds is None:
        return number(cell, meaning)
    return _bounded(seconds, "s", meaning)._replace(original=None)


def _clock_span(cell: Cell) -> float | None:
    if isinstance(cell, timedelta):
        return cell.total_seconds()
    if isinstance(cell, time):
        return cell.hour * 3600.0 + cell.minute * 60 + cell.second
    found = _CLOCK_SPAN.fullmatch(plain(cell)) if isinstance(cell, str) else None
    if found is None:
        return None
    hours, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    if minutes > 59 or seconds > 59 or (hours > 23 and found[3] is None):
        raise CellError("duration", "The length of time is not clear.", "Write hours:minutes:seconds, for example 0:45:30.")
    return hours * 3600.0 + minutes * 60 + seconds


def _worded_span(written: str) -> float | None:
    found = _SPAN.fullmatch(written)
    if found is None or not any(found.groups()):
        return None
    return sum(float(part) * scale for part, scale in zip(found.groups(), (3600, 60, 1), strict=True) if part)


def moment(cell: Cell, meaning: Meaning) -> Stamp:
    """A date with or without a clock time, or a clock time alone."""
    if isinstance(cell, datetime):
        return Stamp(cell.date(), cell.time().replace(microsecond=0, tzinfo=None), "instant")
    if isinstance(cell, date):
        return Stamp(cell, None, "day")
    if isinstance(cell, time):
        return Stamp(None, cell.replace(microsecond=0, tzinfo=None), "instant")
    written = plain(cell)
    whole, alone = _STAMP.fullmatch(written), _TIME_ONLY.fullmatch(written)
    found = whole or alone
    if found is None or isinstance(cell, int | float | bool | timedelta):
        raise _no_time(written)
    try:
        return _stamp(found.groupdict())
    except ValueError:
        raise _no_time(written) from None


def _no_time(written: str) -> CellError:
    if re.fullmatch(r"\d{5}(?:\.\d+)?", written):
        return CellError("time", "The cell is a bare number, not a date.", "Format the column as date and time.")
    return CellError("time", "The cell is not a date and time.", "Write it as 2026-05-01 08:00.")


def _stamp(part: dict[str, str | None]) -> Stamp:
    year = part.get("y") or part.get("cy")
    day = date(int(year), int(part.get("m") or part["cm"] or 0), int(part.get("d") or part["cd"] or 0)) if year else None
    if part["h"] is None:
        return Stamp(day, None, "day")
    clock = time(_hour(int(part["h"]), part["half"] or (part["ampm"] or "").casefold()), int(part["mi"] or 0), int(part["s"] or 0))
    return Stamp(day, clock, "instant" if part["s"] else "minute", _offset(part.get("zone")))


def _hour(hour: int, half: str) -> int:
    if half in _AFTERNOON and hour < 12:
        return hour + 12
    return 0 if half in ("am", "a.m.", "早上", "上午") and hour == 12 else hour


def _offset(zone: str | None) -> int | None:
    if not zone:
        return None
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    if minutes > 18 * 60:
        raise ValueError
    return -minutes if zone[0] == "-" else minutes


def day(cell: Cell, meaning: Meaning) -> date:
    found = moment(cell, meaning)
    if found.day is None:
        raise CellError("time", "The cell is not a date.", "Write it as 2026-05-01.")
    return found.day


def sport(cell: Cell, meaning: Meaning) -> str:
    """The sport's code, or the text as written when the vocabulary does not know it (the layout keeps it as title)."""
    written = text(cell, meaning)
    return sport_code(written) or sport_code(plain(written)) or written


def gender(cell: Cell, meaning: Meaning) -> str:
    found = _GENDERS.get(plain(cell).casefold().removesuffix("性"))
    if found is None:
        raise CellError("gender", "The cell is not a gender.", "Write 男 or 女, male or female, or leave it empty.")
    return found


def counting(cell: Cell, meaning: Meaning) -> str:
    """A way of counting by its code or its name in either language."""
    found = _COUNTING.get(plain(cell).casefold())
    if found is None:
        raise CellError("counting", "The cell is not a way of counting.", "Write 闸机, 摄像头 or 人工清点, gate, camera or manual, or leave it empty.")
    return found


def yes_no(cell: Cell, meaning: Meaning) -> bool:
    found = cell if isinstance(cell, bool) else _YES.get(plain(cell).casefold())
    if found is None:
        raise CellError("yes-no", "The cell is neither yes nor no.", "Write 是 or 否, yes or no, or leave it empty.")
    return found


TRANSFORMS: Final[dict[str, Callable[[Cell, Meaning], object]]] = {
    "text": text, "identifier": identifier, "number": number, "integer": integer, "duration": duration, "moment": moment, "day": day,
    "sport": sport, "gender": gender, "counting": counting, "yes-no": yes_no,
}  # fmt: skip
"""Every transform a layout may name."""
