"""Table layouts: `mappings/sources/*.yaml` compiled once to what reads a row. A new centre is a new YAML, no code.

A layout says which column headers mean which field of which record. It is chosen by the headers of a file. Cells are
read by the named functions of `mappings/cells.py`; a YAML cannot compute. Reading files is the adapter's (`adapters/table.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from mappings import tables
from mappings.cells import TRANSFORMS, Bounds, Cell, CellError, Meaning, Number, Stamp, Uncomputed, is_blank
from mappings.tables import Table
from schemas.errors import InvalidRecord, MappingError
from schemas.flags import FLAGS
from schemas.measures import MEASURES, Measure
from schemas.records import (
    KINDS,
    BodyComposition,
    CheckIn,
    Envelope,
    FitnessTest,
    Flag,
    Moment,
    Quantity,
    Record,
    Session,
    VenueOccupancy,
    VitalSign,
    Who,
)
from schemas.sports import SPORTS
from schemas.units import SPELLINGS, convert, same_unit, ucum

FOLDER: Final = Path(__file__).with_name("sources")
KINDS_TAKEN: Final = ("session", "check-in", "fitness-test", "body-composition", "vital", "venue-occupancy")
IDENTIFYING: Final = frozenset(Who.__struct_fields__)
"""Fields whose cells are never repeated in a message."""

_KEYS: Final = ("id", "title", "kind", "columns", "measures", "who", "constants", "examples")
_COLUMN_KEYS: Final = ("headers", "required", "transform", "unit")
_EXAMPLE_KEYS: Final = ("row", "gives", "who", "flags", "rejects")
_NOISE: Final = frozenset({"必填", "选填", "required", "optional"})
LONGEST_HEADER: Final = 200
"""Letters of a header that are looked at: what is longer is none of ours, and its parts would be divided in every way."""
_BRACKETS = re.compile(r"^(.*?)\s*[(\[]([^()\[\]]*)[)\]]$")
_TAIL = re.compile(r"^(.+?)[\s_/]+([^\s_]+)$")
_UNITS: Final = frozenset([*SPELLINGS, *(measure.unit for measure in MEASURES.values()), "s", "min", "h", "km", "m", "kcal", "kJ", "g", "kPa"])
_MEASURE_OF: Final = {
    "hr_avg": "hr-mean", "hr_max": "hr-peak", "hr_min": "heart-rate", "distance_m": "distance-other", "energy_kcal": "energy", "rpe": "rpe",
    "power_avg_w": "power-mean", "power_max_w": "power-mean", "met": "met", "steps": "steps", "moderate_min": "moderate-minutes",
    "vigorous_min": "vigorous-minutes", "elapsed_s": "duration", "timer_s": "duration",
}  # fmt: skip
_UNIT_OF: Final = {"_m": "m", "_s": "s", "_kcal": "kcal", "_w": "W", "_min": "min"}
_ZERO_IS_ABSENT: Final = {
    "distance_m": "distance-not-measured", "energy_kcal": "energy-not-measured", "elapsed_s": "activity-empty", "timer_s": "activity-empty",
    **dict.fromkeys(("hr_avg", "hr_max", "hr_min"), "heart-rate-not-measured"),
}  # fmt: skip
_PANEL: Final = ("systolic", "diastolic", "mean-pressure")
_SHOWABLE = re.compile(r"[-+]?\d{1,6}(?:[.,]\d{1,6})?|(?:\d{4}[-/]\d{1,2}[-/]\d{1,2})?[ T]?\d{1,2}:\d\d(?::\d\d)?")
_CLOSE_S: Final = 90.0
"""Clock times are often kept to the minute, so start, end and duration may differ by this much."""


class Column(NamedTuple):
    """One column a layout knows: the field or measure it fills, what its header may be, how its cells are read."""

    field: str
    headers: tuple[str, ...]
    required: bool
    transform: str
    meaning: Meaning
    part: str
    line: int


class Layout(NamedTuple):
    """A compiled YAML. `columns` of the record, its measures and of whom it is about, told apart by their `part`."""

    id: str
    title: tuple[str, str]
    kind: str
    columns: tuple[Column, ...]
    constants: dict[str, Any]
    examples: tuple[Table, ...]
    file: str


class Placed(NamedTuple):
    """A layout laid over a header row: position of a cell to its column (with the unit its header states)."""

    layout: Layout
    at: dict[int, Column]
    missing: tuple[Column, ...]


class Fault(NamedTuple):
    """A cell that cannot be used. `position` None: a column that is not there."""

    position: int | None
    field: str
    code: str
    message: str
    advice: str


class Filled(NamedTuple):
    """What a row gives: records, or faults."""

    records: list[Record]
    who: Who | None
    faults: list[Fault]


# --- compiling -----------------------------------------------------------------------------------------------------------


def compile_layout(path: Path) -> Layout:
    """The layout in a YAML file. Raises MappingError with file and line."""
    return compile_table(tables.read(path))


def compile_table(table: Table) -> Layout:
    """The layout that a table of keys says. Raises MappingError with file and line."""
    table.only(_KEYS)
    kind = table.need("kind")
    if kind not in KINDS_TAKEN:
        raise table.wrong(f"kind {kind!r} is not taken; known: {', '.join(KINDS_TAKEN)}", "kind")
    title = _part(table, "title", required=True)
    columns = [*_record_columns(table, kind), *_measure_columns(table, kind), *_who_columns(table)]
    _distinct(table, columns)
    titles = (str(title.need("zh")), str(title.need("en")))
    return Layout(str(table.need("id")), titles, kind, tuple(columns), _constants(table, kind), _examples(table), table.file)


def _part(table: Table, key: str, *, required: bool = False) -> Table:
    part = table.need(key) if required else table.get(key, Table())
    if not isinstance(part, Table):
        raise table.wrong(f"{key!r} is a table of keys", key)
    return part


def _record_columns(table: Table, kind: str) -> list[Column]:
    part = _part(table, "columns", required=True)
    fields = {field.name: field for field in msgspec.structs.fields(KINDS[kind])}
    part.only([*fields, "date"])
    if "start" not in part and "date" not in part:
        raise part.wrong("neither 'start' nor 'date' has a column")
    return [_column(part, name, "record", _usual_transform(name, fields[name].type if name in fields else date)) for name in part]


def _measure_columns(table: Table, kind: str) -> list[Column]:
    part = _part(table, "measures")
    if bool(part) != (kind in ("fitness-test", "body-composition", "vital")):
        raise table.wrong(f"kind {kind!r} and 'measures' do not go together", "measures" if part else "kind")
    part.only([measure.key for measure in MEASURES.values() if measure.unit])
    return [_column(part, name, "measure", "number") for name in part]


def _who_columns(table: Table) -> list[Column]:
    part = _part(table, "who")
    part.only(IDENTIFYING)
    usual = {"name": "text", "birth_date": "day", "gender": "gender"}
    return [_column(part, name, "who", usual.get(name, "identifier")) for name in part]


def _usual_transform(name: str, kind: object) -> str:
    if name in ("start", "end"):
        return "moment"
    if name == "date":
        return "day"
    if name in ("sport", "counting"):
        return name
    if name.endswith("_s"):
        return "duration"
    shown = str(kind)
    return next((transform for word, transform in (("bool", "yes-no"), ("float", "number"), ("int", "integer")) if word in shown), "text")


def _column(part: Table, name: str, kind: str, usual: str) -> Column:
    spec = part[name]
    line = part.lines[name]
    if isinstance(spec, list):
        spec = Table(headers=spec)
        spec.file, spec.line, spec.lines = part.file, line, {}
    if not isinstance(spec, Table):
        raise part.wrong(f"{name!r} is a list of headers, or a table with headers", name)
    spec.only(_COLUMN_KEYS)
    transform = spec.get("transform", usual)
    if transform not in TRANSFORMS:
        raise spec.wrong(f"unknown transform {transform!r}; known: {', '.join(TRANSFORMS)}", "transform")
    return Column(name, _headers(spec), bool(spec.get("required", False)), transform, _meaning(spec, name), kind, line)


def _headers(spec: Table) -> tuple[str, ...]:
    found = spec.need("headers")
    if not isinstance(found, list) or not found or not all(isinstance(header, str) and header.strip() for header in found):
        raise spec.wrong("'headers' is a list of header texts (quote numbers and dates)", "headers")
    return tuple(found)


def _meaning(spec: Table, name: str) -> Meaning:
    measure = MEASURES.get(name) or MEASURES.get(_MEASURE_OF.get(name, ""))
    target = measure.unit if measure and name in MEASURES else _target(name)
    unit = ucum(str(spec.get("unit", target)))
    if spec.get("unit") and not _convertible(unit, target):
        raise spec.wrong(f"unit {unit!r} cannot be converted to {target or 'anything'!r}", "unit")
    return Meaning(unit, target, _bounds(measure, target))


def _target(field: str) -> str:
    if field.startswith("hr_"):
        return "/min"
    return next((unit for ending, unit in _UNIT_OF.items() if field.endswith(ending)), "")


def _convertible(unit: str, target: str) -> bool:
    try:
        convert(1.0, unit, target)
    except InvalidRecord:
        return False
    return bool(target)


def _bounds(measure: Measure | None, target: str) -> Bounds:
    if measure is None:
        return Bounds()
    limits = (measure.low, measure.high, measure.reject_low, measure.reject_high)
    return Bounds(*(limit if limit is None or not target else convert(limit, measure.unit, target) for limit in limits))


def _distinct(table: Table, columns: Sequence[Column]) -> None:
    taken: dict[str, Column] = {}
    for column in columns:
        for header in column.headers:
            other = taken.setdefault(_normal(header), column)
            if other is not column:
                raise MappingError(f"{table.file}:{column.line}: header {header!r} already belongs to {other.field!r}", field=column.field)


def _constants(table: Table, kind: str) -> dict[str, Any]:
    part = _part(table, "constants")
    fields = {field.name: field.type for field in msgspec.structs.fields(KINDS[kind])}
    part.only([name for name in fields if name not in ("start", "end", "flags")])
    try:
        return {name: msgspec.convert(dict(value) if isinstance(value, Table) else value, fields[name]) for name, value in part.items()}
    except msgspec.ValidationError as wrong:
        raise part.wrong(f"a constant has the wrong type: {wrong}") from None


def _examples(table: Table) -> tuple[Table, ...]:
    found = table.need("examples")
    if not isinstance(found, list) or len(found) < 2 or not all(isinstance(example, Table) for example in found):
        raise table.wrong("'examples' is a list of two or more, each with row and gives, or row and rejects", "examples")
    for example in found:
        example.only(_EXAMPLE_KEYS)
        example.need("row")
        if ("gives" in example) == ("rejects" in example):
            raise example.wrong("an example has either 'gives' or 'rejects'")
    return tuple(found)


@cache
def layouts() -> tuple[Layout, ...]:
    """Every layout there is, by id. Raises MappingError."""
    found = sorted((compile_layout(path) for path in FOLDER.glob("*.yaml")), key=lambda layout: layout.id)
    if len({layout.id for layout in found}) != len(found):
        raise tables.read(FOLDER / found[0].file).wrong("two layouts have the same id", "id")
    return tuple(found)


# --- choosing by headers -------------------------------------------------------------------------------------------------


def _normal(header: str) -> str:
    narrow = unicodedata.normalize("NFKC", header[:LONGEST_HEADER]).casefold().strip().strip("*:").strip()
    found = _BRACKETS.match(narrow)
    if found and found[2].strip() in _NOISE:
        narrow = found[1]
    return re.sub(r"[\s_*]+", "", narrow)


def _with_unit(header: str) -> tuple[str, str] | None:
    """A header that ends in a unit, as its name and the unit in UCUM: `距离（公里）`, `distance_km`, `Weight kg`."""
    narrow = unicodedata.normalize("NFKC", header[:LONGEST_HEADER]).strip().strip("*").strip()
    for pattern in (_BRACKETS, _TAIL):
        found = pattern.match(narrow)
        if found and (found[2].strip() in _UNITS or found[2].strip().casefold() in _UNITS):
            unit = found[2].strip()
            return _normal(found[1]), ucum(unit if unit in _UNITS else unit.casefold())
    return None


def place(layout: Layout, headers: Sequence[Cell]) -> Placed:
    """The layout over these headers: which cell fills which column, and which required columns are missing."""
    known = _known(layout)
    at: dict[int, Column] = {}
    taken: set[tuple[str, str]] = set()
    for position, header in enumerate(headers):
        column = _column_of(known, header) if isinstance(header, str) and header.strip() else None
        if column and (column.part, column.field) not in taken:
            taken.add((column.part, column.field))
            at[position] = column
    return Placed(layout, at, tuple(column for column in layout.columns if column.required and (column.part, column.field) not in taken))


@cache
def _known_headers(columns: tuple[Column, ...]) -> dict[str, Column]:
    known = {_normal(header): column for column in columns for header in column.headers}
    for column in columns:
        for header in column.headers:
            bare = _with_unit(header)
            if bare:
                known.setdefault(bare[0], column)
    return known


def _known(layout: Layout) -> dict[str, Column]:
    return _known_headers(layout.columns)


def _column_of(known: Mapping[str, Column], header: str) -> Column | None:
    """The column a header names. A unit in the header outranks the layout's; one that cannot be converted makes it another column."""
    stated, exact = _with_unit(header), known.get(_normal(header))
    column = exact or (known.get(stated[0]) if stated else None)
    if column is None or stated is None or not column.meaning.target:
        return column
    if _convertible(stated[1], column.meaning.target):
        return column._replace(meaning=column.meaning._replace(unit=stated[1]))
    return exact


# --- reading a row -------------------------------------------------------------------------------------------------------


def fill(placed: Placed, cells: Sequence[Cell]) -> Filled:
    """A row of cells to records, or to the faults of its cells. Blank rows are the caller's to skip."""
    values, faults = _values(placed, cells)
    if faults:
        return Filled([], _who(values), faults)
    row = _Row(placed, values, list(_zeros(values)))
    try:
        return Filled(_MAKE[placed.layout.kind](row), _who(values), [])
    except _RowFault as wrong:
        return Filled([], _who(values), [wrong.fault])


Values = dict[tuple[str, str], Any]


class _RowFault(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Row(NamedTuple):
    placed: Placed
    values: Values
    flags: list[Flag]

    def fault(self, field: str, code: str, message: str, advice: str) -> _RowFault:
        found = (position for position, column in self.placed.at.items() if column.part == "record" and column.field == field)
        return _RowFault(Fault(next(found, None), field, code, message, advice))


def _values(placed: Placed, cells: Sequence[Cell]) -> tuple[Values, list[Fault]]:
    values: Values = {}
    faults: list[Fault] = []
    for position, column in placed.at.items():
        cell = cells[position] if position < len(cells) else None
        if isinstance(cell, Uncomputed):
            faults.append(Fault(position, column.field, "formula", "The cell holds a formula that was never computed.", _COMPUTE))
            continue
        if is_blank(cell):
            if column.required:
                faults.append(Fault(position, column.field, "required", "The cell is empty.", "Fill it in."))
            continue
        try:
            values[column.part, column.field] = TRANSFORMS[column.transform](cell, column.meaning)
        except CellError as wrong:
            faults.append(Fault(position, column.field, wrong.code, _said(wrong.message, cell, column), wrong.advice))
    return values, faults


_COMPUTE: Final = "Open the file in a spreadsheet program, save it, and send that."


def _said(message: str, cell: Cell, column: Column) -> str:
    """The sentence with the cell's own value where that is a short figure or a time; never from a column that tells who someone is."""
    if column.part == "who" or column.transform in ("text", "identifier"):
        return message
    shown = str(cell).strip()
    return f"{message} ({shown})" if _SHOWABLE.fullmatch(shown) else message


def _zeros(values: Values) -> list[Flag]:
    """Takes out what is 0 because nothing was measured, and says so."""
    flags = []
    for part, field in list(values):
        value = values[part, field]
        if not isinstance(value, Number) or value.value != 0:
            continue
        measure = MEASURES.get(field)
        code = _ZERO_IS_ABSENT.get(field) if part == "record" else "value-missing" if measure and (measure.reject_low or 0) > 0 else None
        if code:
            del values[part, field]
            flags.append(flag(code, field))
    return flags


def flag(code: str, field: str = "") -> Flag:
    return Flag(code, field, FLAGS[code][1])


def _who(values: Values) -> Who | None:
    who = Who(**{field: value for (part, field), value in values.items() if part == "who"})
    return who if who != Who() else None


def _moments(row: _Row) -> tuple[Moment, Moment | None]:
    """Start and end, with the date column completing bare clock times."""
    day = row.values.get(("record", "date"))
    begins, ends = row.values.get(("record", "start")), row.values.get(("record", "end"))
    begins = begins or Stamp(day, None, "day")
    start = _moment(row, "start", begins, day)
    if ends is None:
        return start, None
    end = _moment(row, "end", ends, begins.day or day, begins.offset_minutes)
    if (start.at is None) == (end.at is None) and _at(end) < _at(start) and "day" not in (start.precision, end.precision):
        late = "If it passed midnight, write the date with the end." if ends.day is None else "Check both; were they swapped?"
        raise row.fault("end", "end-before-start", "The end lies before the start.", late)
    return start, end


def _moment(row: _Row, field: str, stamp: Stamp, day: date | None, offset: int | None = None) -> Moment:
    on = stamp.day or day
    if on is None:
        raise row.fault(field, "time", "The cell is a clock time without a date.", "Write it as 2026-05-01 08:00.")
    local = datetime.combine(on, stamp.clock or datetime.min.time())
    stated = stamp.offset_minutes if stamp.offset_minutes is not None else offset
    if stated is None:
        return Moment(local=local, precision=stamp.precision)
    try:
        return Moment(local.replace(tzinfo=timezone(timedelta(minutes=stated))).astimezone(UTC), stated, precision=stamp.precision)
    except OverflowError:
        raise row.fault(field, "time", "The cell is not a date and time.", "Write it as 2026-05-01 08:00.") from None


def _at(moment: Moment) -> datetime:
    at = moment.at or moment.local
    assert at is not None
    return at


def _fields(row: _Row, kind: type[Envelope]) -> dict[str, Any]:
    """The record's plain fields: constants of the layout under the values of the row."""
    found = {field: value for (part, field), value in row.values.items() if part == "record" and field not in ("start", "end", "date")}
    whole = _whole_numbers(kind)
    numbers = {field: (int(value.value) if field in whole else value.value) for field, value in found.items() if isinstance(value, Number)}
    return {**row.placed.layout.constants, **found, **numbers}


@cache
def _whole_numbers(kind: type[Envelope]) -> frozenset[str]:
    return frozenset(field.name for field in msgspec.structs.fields(kind) if "int" in str(field.type))


def _session(row: _Row) -> list[Record]:
    start, end = _moments(row)
    session = Session(start=start, end=end, **_fields(row, Session))
    flags = list(row.flags)
    if session.sport not in SPORTS:
        session.title = session.title or session.sport
        session.sport = None
        flags.append(flag("sport-unknown", "sport"))
    session.flags = flags + _settle(session)
    return [session]


def _settle(session: Session) -> list[Flag]:
    """Start, end and duration agree, or what is missing of them is filled in and said."""
    start, end = session.start, session.end
    if start.precision == "day":
        return []
    if end is None:
        if session.elapsed_s is None:
            return []
        session.end = _later(start, session.elapsed_s)
        return [flag("end-from-duration", "end")] if session.end else []
    if end.precision == "day" or (start.at is None) != (end.at is None):
        return []
    span = (_at(end) - _at(start)).total_seconds()
    if session.elapsed_s is None:
        session.elapsed_s = span or None
        return []
    return [flag("figures-disagree", "elapsed_s")] if session.elapsed_s - span > _CLOSE_S else []


def _later(start: Moment, seconds: float) -> Moment | None:
    by = timedelta(seconds=seconds)
    try:
        return Moment(start.at and start.at + by, start.offset_minutes, start.local and start.local + by, start.precision)
    except OverflowError:
        return None


def _check_in(row: _Row) -> list[Record]:
    start, end = _moments(row)
    return [CheckIn(start=start, end=end, flags=row.flags, **_fields(row, CheckIn))]


def _occupancy(row: _Row) -> list[Record]:
    start, end = _moments(row)
    return [VenueOccupancy(start=start, end=end, flags=row.flags, **_fields(row, VenueOccupancy))]


def _quantities(row: _Row) -> list[Quantity]:
    found = [_quantity(field, value) for (part, field), value in row.values.items() if part == "measure"]
    if not found:
        raise _RowFault(Fault(None, "measures", "no-values", "The row holds no value of a measure.", "Fill in at least one, or remove the row."))
    return found


def _quantity(measure: str, value: Number) -> Quantity:
    original = None if value.original is None or same_unit(value.original.split(" ", 1)[1], MEASURES[measure].unit) else value.original
    return Quantity(measure, value.value, MEASURES[measure].unit, original)


def _fitness_test(row: _Row) -> list[Record]:
    start, end = _moments(row)
    return [FitnessTest(start=start, end=end, items=_quantities(row), flags=row.flags, **_fields(row, FitnessTest))]


def _body_composition(row: _Row) -> list[Record]:
    start, end = _moments(row)
    return [BodyComposition(start=start, end=end, quantities=_quantities(row), flags=row.flags, **_fields(row, BodyComposition))]


def _vitals(row: _Row) -> list[Record]:
    """One record a measure, the pressures together as one panel; the row's flags go to the first."""
    start, end = _moments(row)
    quantities = _quantities(row)
    fields = _fields(row, VitalSign)
    panel = [quantity for quantity in quantities if quantity.measure in _PANEL]
    found = [VitalSign(start=start, end=end, **{**fields, "measure": q.measure, "quantity": q}) for q in quantities if q not in panel]
    if panel:
        found.insert(0, VitalSign(start=start, end=end, **{**fields, "measure": "blood-pressure", "components": panel}))
    found[0].flags = row.flags
    return list(found)


_MAKE: Final[dict[str, Callable[[_Row], list[Record]]]] = {
    "session": _session,
    "check-in": _check_in,
    "fitness-test": _fitness_test,
    "body-composition": _body_composition,
    "vital": _vitals,
    "venue-occupancy": _occupancy,
}
