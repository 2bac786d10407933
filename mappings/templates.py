"""The standard's own templates for tables: which columns there are, how a filled-in file is told, and what it may not lack.

A template is derived from one version of the standard, released or current, so every released version stays recognised for as
long as its file lies in `schemas/releases/`. The first header says which template it is (`模板 session 0.2.0`): spreadsheet programs
keep a header. Under it stands `示例` in the example row and nothing elsewhere. The files are written by `mappings/template_files.py`.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from mappings import sources, tables
from mappings.cells import Cell, address, is_blank, plain
from mappings.sources import KINDS_TAKEN, Layout, Placed
from mappings.tables import Table
from schemas import published
from schemas.codes import LISTS
from schemas.errors import AdapterError, NotFound
from schemas.lines import lines
from schemas.measures import MEASURES
from schemas.published import Document
from schemas.records import KINDS, STANDARD_VERSION, Who
from schemas.sports import SPORTS
from schemas.standard import STANDARD

LANGUAGES: Final = ("zh-CN", "en")
MARKS: Final = ("模板", "template")
EXAMPLES: Final = ("示例", "example")
"""What stands under the mark in the example row."""
INVENTED: Final = ("示例-0001", "EXAMPLE-0001")
"""The example row's member number: the person does not exist."""
BESIDE: Final = frozenset({"错误", "怎么办", "What is wrong", "What to do"})
"""Columns that the centre's page adds to a file with faults; they are passed over when it comes back."""

_LACKING: Final = 2
"""So many headers may be missing where a template is known by its headers."""
_MARK = re.compile(r"(?:模板|template)\s*([a-z][a-z-]*)\s*v?(\d{1,4}\.\d{1,4}\.\d{1,4})")
_TYPED: Final = frozenset({"string", "number", "integer", "boolean", "moment"})
"""Types that one cell can hold."""
_CODED: Final = frozenset({"counting"})
"""Fields of a closed list that a cell names in words: `codes.csv` has them under the field's name."""
_NOT_ASKED: Final = {
    "samples", "hr_samples", "gps_samples", "sub_sport", "measure", "ordinal", "reference_low", "reference_high", "body_site"
}  # fmt: skip
"""Facts about a file, and what goes with one value only where a row holds many."""
_MINUTES: Final = {"s": "min"}
"""Units a template asks for in place of the standard's."""
_SHOWN: Final[dict[str, tuple[str, str]]] = {
    "/min": ("次/分", "/min"), "mm[Hg]": ("mmHg", "mmHg"), "Cel": ("℃", "°C"), "min": ("分钟", "min"), "h": ("小时", "h"), "m": ("米", "m"),
    "kcal": ("千卡", "kcal"), **dict.fromkeys(("1", "", "/d"), ("", "")),
}  # fmt: skip
"""UCUM unit to how a header writes it (zh-CN, en), in spellings that `schemas/units.py` reads; annotations are not written."""
_WHO: Final[dict[str, tuple[str, str, str, str]]] = {
    "member_number": ("会员号", "Member number", "本机构给的号码；会员号、身份证号、健康卡号至少填一个", "your own number; at least one number is needed"),
    "id_number": ("身份证号", "ID number", "18 位；按文本填写", "18 characters; kept as text"),
    "health_card": ("健康卡号", "Health card number", "居民健康卡", "resident health card"),
    "name": ("姓名", "Name", "", ""),
    "phone": ("手机", "Phone", "", ""),
    "birth_date": ("出生日期", "Date of birth", "如 1955-04-17", "for example 1955-04-17"),
    "gender": ("性别", "Gender", "男或女", "male or female"),
}
"""What a row says of its person: names and meaning in both languages."""
_EXAMPLE: Final[dict[str, Any]] = {
    "member_number": INVENTED, "start": "2026-05-01 08:00", "end": "2026-05-01 08:45", "sport": ("健走", "Walking"), "elapsed_s": 45, "timer_s": 40,
    "distance_m": 3200, "energy_kcal": 180, "hr_avg": 104, "hr_max": 126, "indoor": ("否", "no"), "body-weight": 63.2, "body-height": 161, "body-fat": 21.5,
    "systolic": 128, "diastolic": 79, "heart-rate": 72, "oxygen-saturation": 97, "grip-strength": 24.6, "sit-and-reach": 3.5, "vital-capacity": 2150,
    "venue": ("二楼", "Second floor"), "present": 41, "peak": 46, "mean": 38, "visits": 57, "capacity": 80, "withdrawn": ("否", "no"),
}  # fmt: skip
"""Values of the example row; where there is none its cell is empty, but for the first of a set of choices."""


class Column(NamedTuple):
    """One column of a template. `zh`, `en`: its headers, with the unit; `part`: whether it belongs to the record, its measures or whom it is about."""

    field: str
    part: str
    zh: str
    en: str
    unit: str
    type: str
    required: bool
    meaning: tuple[str, str]
    possible: tuple[float | None, float | None] | None
    choices: tuple[tuple[str, str], ...]

    def header(self, language: str) -> str:
        return self.en if language == "en" else self.zh


class Mark(NamedTuple):
    """What a header row says of its template, and in which position."""

    kind: str
    version: str
    position: int


def mark_header(kind: str, version: str, language: str) -> str:
    """The first header: `模板 session 0.2.0`."""
    return f"{MARKS[language == 'en']} {kind} {version}"


# Columns


@cache
def columns(kind: str, version: str) -> tuple[Column, ...]:
    """The columns of a kind's template, those of whom a row is about first. Raises NotFound."""
    document = published.release(version)
    if kind not in KINDS_TAKEN or kind not in document["kinds"]:
        raise NotFound(f"There is no template of {kind[:40]!r}.", advice=f"Known: {', '.join(KINDS_TAKEN)}.")
    who = _who() if STANDARD[kind].about == "resident" else ()
    return (*who, *_of_fields(kind, document["kinds"][kind]["fields"]), *_of_measures(document, _measures_shown(kind)))


def _who() -> Iterator[Column]:
    for name in Who.__struct_fields__:
        if name in _WHO:
            zh, en, *meaning = _WHO[name]
            yield Column(name, "who", zh, en, "", "string", False, (meaning[0], meaning[1]), None, _choices().get(name, ()))


def _of_fields(kind: str, fields: Document) -> Iterator[Column]:
    for name, field in fields.items():
        several = kind == "vital" and name == "source_record_id"
        if (field["type"] in _TYPED or name in _CODED) and name not in _NOT_ASKED and not several and name in KINDS[kind].__struct_fields__:
            yield _column(name, "record", field, _MINUTES.get(field.get("unit", ""), field.get("unit", "")))


def _of_measures(document: Document, shown: Sequence[str]) -> Iterator[Column]:
    for key in shown:
        measure = document["measures"].get(key)
        if measure and measure.get("unit"):
            yield _column(key, "measure", measure | {"type": "number"}, measure["unit"])


def _column(name: str, part: str, said: Document, unit: str) -> Column:
    shown = _shown(unit)
    factor = 60 if unit == "min" and said.get("unit") == "s" else 1
    possible = said.get("possible")
    limits = tuple(None if limit is None else limit / factor for limit in possible) if possible else None
    zh, en = said["zh"], said["en"][:1].upper() + said["en"][1:]
    headers = (zh if zh.endswith(shown[0]) else f"{zh}({shown[0]})", f"{en} ({shown[1]})" if shown[1] else en)
    return Column(
        name, part, *headers, unit, said["type"], bool(said.get("required")), (said.get("meaning_zh", ""), said.get("meaning", "")),
        limits, _choices_of(name, said["type"]),  # type: ignore[arg-type]  # a pair stays a pair
    )  # fmt: skip


def _shown(unit: str) -> tuple[str, str]:
    return _SHOWN.get(unit, ("", "") if unit.startswith("{") else (unit, unit))


def holds_measures(kind: str) -> bool:
    """Whether the records of a kind are lists of measured values: its table has one column for each."""
    return "Quantity" in str([field.type for field in msgspec.structs.fields(KINDS[kind])])


@cache
def _measures_shown(kind: str) -> tuple[str, ...]:
    """The measures a table of this kind has columns for: those its FHIR face has places for, else vital signs and what devices measure of blood."""
    if not holds_measures(kind):
        return ()
    face = tables.read(Path(__file__).with_name("fhir") / f"{kind}.yaml")
    listed = next((spec["order"] for spec in face["resources"] if "order" in spec), None)
    usual = (key for key, one in MEASURES.items() if one.unit and (one.category == "vital-signs" or (one.category == "laboratory" and one.mdc)))
    return tuple(listed if listed is not None else usual)


@cache
def _choices() -> dict[str, tuple[tuple[str, str], ...]]:
    """Field to what a template offers for it (zh-CN, en); another text is taken too."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for row in lines("choices.csv"):
        found[row["field"]] = (*found.get(row["field"], ()), (row["zh"], row["en"]))
    return found


def _choices_of(name: str, type_: str) -> tuple[tuple[str, str], ...]:
    if name == "sport":
        return tuple((sport.zh, sport.en) for sport in SPORTS.values())
    if name in _CODED:
        return tuple((one.zh, one.en) for one in LISTS[name].values())
    return (("是", "yes"), ("否", "no")) if type_ == "boolean" else _choices().get(name, ())


def example_row(kind: str, version: str, language: str) -> list[Cell]:
    """The example row, its mark first."""
    return [EXAMPLES[language == "en"], *(_example(column, language) for column in columns(kind, version))]


def _example(column: Column, language: str) -> Cell:
    found = _EXAMPLE.get(column.field) or (column.choices[0] if column.choices else None)
    return found[language == "en"] if isinstance(found, tuple) else found


# Layouts


@cache
def layout(kind: str, version: str) -> Layout:
    """The layout that reads a template of this version, in both its languages. Raises NotFound.

    It takes every measure of the version, also those that the template does not show now, or did at another time.
    """
    parts: dict[str, dict[str, Any]] = {"record": {}, "measure": {}, "who": {}}
    document = published.release(version)
    more = _of_measures(document, [key for key in document["measures"] if key in MEASURES]) if columns(kind, version) and holds_measures(kind) else ()
    for column in (*columns(kind, version), *more):
        spec: dict[str, Any] = {"headers": [column.zh, column.en], "required": column.required}
        parts[column.part][column.field] = spec | ({"unit": column.unit} if column.unit == "min" and column.field.endswith("_s") else {})
    if "source_record_id" in parts["record"]:
        parts["record"]["source_record_id"]["transform"] = "identifier"
    names = document["kinds"][kind]
    whole = {"id": f"standard_{kind}", "title": {"zh": f"标准模板：{names['zh']}", "en": f"Standard template: {names['en']}"}, "kind": kind}
    measures = {"measures": parts["measure"]} if parts["measure"] else {}
    tried: dict[str, Any] = {"examples": [{"row": {}, "gives": {}}, {"row": {}, "rejects": {}}]}
    return sources.compile_table(_table({**whole, "columns": parts["record"], **measures, "who": parts["who"], **tried}, f"template {kind} {version}"))


def _table(content: Any, file: str) -> Any:
    if isinstance(content, list):
        return [_table(inner, file) for inner in content]
    if not isinstance(content, dict):
        return content
    found = Table({name: _table(inner, file) for name, inner in content.items()})
    found.file, found.line, found.lines = file, 0, dict.fromkeys(found, 0)
    return found


# Recognising


def stated(headers: Sequence[Cell]) -> Mark | None:
    """The template that a header row says it is."""
    for position, header in enumerate(headers):
        narrow = unicodedata.normalize("NFKC", header).strip().casefold() if isinstance(header, str) else ""
        if (found := _MARK.fullmatch(narrow)) is not None:
            return Mark(found[1], found[2], position)
    return None


def unmarked(headers: Sequence[Cell]) -> Mark | None:
    """The template whose headers these are, but for two at most, where none of them says which it is: of several the one most alike."""
    said = {header.strip() for header in headers if isinstance(header, str)}
    alike = [(len(own ^ said), mark) for mark, own in _own_headers() if len(own - said) <= _LACKING]
    return min(alike, key=itemgetter(0), default=(0, None))[1]


@cache
def _own_headers() -> tuple[tuple[Mark, frozenset[str]], ...]:
    """The headers of each template in each language, the newest version first."""
    return tuple(
        (Mark(kind, version, 0), frozenset(column.header(language) for column in columns(kind, version)))
        for version in dict.fromkeys((STANDARD_VERSION, *reversed(published.versions())))
        for kind in KINDS_TAKEN if kind in published.release(version)["kinds"]
        for language in LANGUAGES
    )  # fmt: skip


def not_marked(mark: Mark, row: int) -> AdapterError:
    """What to raise about a template that lost its mark: read as another table it would lose columns, and its example would be somebody."""
    marks = " or ".join(mark_header(mark.kind, mark.version, language) for language in LANGUAGES)
    return AdapterError(
        f"Row {row} has the headers of the template {mark.kind} {mark.version}, but the first of them is missing, which says so.", code="template-mark",
        field=address(mark.position, row), row=row, advice=f"Write {marks} as the header of a first column, or copy the rows into a new template.",
    )  # fmt: skip


def without_headers(mark: Mark, rows: int) -> AdapterError:
    """What to raise about a workbook that was made as a template and has its header row nowhere."""
    return AdapterError(
        f"No sheet of this template {mark.kind} {mark.version} has its header row in the first {rows} rows.", code="template-headers",
        advice="Put the header row back, or copy the rows into a new template.",
    )  # fmt: skip


def place(mark: Mark, headers: Sequence[Cell], row: int) -> Placed:
    """The template's layout over its headers. Raises AdapterError, with the cell, for a column that is not the template's or is missing."""
    try:
        found = sources.place(layout(mark.kind, mark.version), headers)
    except NotFound as wrong:
        advice = "Download the template again."
        raise AdapterError("This template is not known here.", code="template", field=address(mark.position, row), advice=f"{wrong.advice} {advice}") from None
    strange = next((position for position, header in enumerate(headers) if _strange(position, header, found, mark)), None)
    if strange is not None:
        raise _not_a_column(mark, found, headers, strange, row)
    if found.missing:
        lacking = ", ".join(" / ".join(column.headers) for column in found.missing)
        raise AdapterError(
            f"Row {row} lacks a column of the template {mark.kind} {mark.version}: {lacking}.", code="template-column", field=lacking, row=row,
            advice="Put the column back, or copy the rows into a new template.",
        )  # fmt: skip
    return found


def _strange(position: int, header: Cell, found: Placed, mark: Mark) -> bool:
    return position not in found.at and position != mark.position and not is_blank(header) and str(header).strip() not in BESIDE


def _not_a_column(mark: Mark, found: Placed, headers: Sequence[Cell], position: int, row: int) -> AdapterError:
    """Nothing of the header itself is repeated: it is the sender's own text."""
    where, header = address(position, row), str(headers[position])
    if (first := _also(found, header)) is not None:
        return AdapterError(
            f"{where} is the same column of the template {mark.kind} {mark.version} as {address(first, row)}.", code="template-header", field=where,
            advice="Empty the header of one of them.",
        )  # fmt: skip
    near = _meant(mark, found, headers, position)
    return AdapterError(
        f"{where} is not a column of the template {mark.kind} {mark.version}.", code="template-header", field=where,
        advice=f"{f'Was it {near}? ' if near else ''}Write the template's own header; to leave a column out, empty its header.",
    )  # fmt: skip


def _also(found: Placed, header: str) -> int | None:
    """The position that has the column already which a header names."""
    named = sources.place(found.layout, [header]).at.get(0)
    same = (position for position, column in found.at.items() if named and (column.part, column.field) == (named.part, named.field))
    return next(same, None)


def _meant(mark: Mark, found: Placed, headers: Sequence[Cell], position: int) -> str:
    """The header that is nearly this one, or that the template has in this place; of those that stand nowhere."""
    language, header = LANGUAGES[MARKS[1] in str(headers[mark.position]).casefold()], str(headers[position]).strip()
    taken = {column.field for column in found.at.values()}
    free = [name for column in found.layout.columns if column.field not in taken for name in column.headers]
    own, ordinal = columns(mark.kind, mark.version), position - mark.position - 1
    here = own[ordinal] if 0 <= ordinal < len(own) and own[ordinal].field not in taken else None
    return next(iter(difflib.get_close_matches(header, free, 1, 0.5)), here.header(language) if here else "")


def is_header_again(mark: Mark, placed: Placed, cells: Sequence[Cell], row: int) -> bool:
    """Whether a row repeats the header row, in either language. Raises AdapterError where another table begins."""
    again = stated(cells[mark.position : mark.position + 1])
    if again is None:
        return False
    repeated = sources.place(placed.layout, cells).at
    fields = [{position: (one.part, one.field) for position, one in at.items()} for at in (placed.at, repeated)]
    if again[:2] == mark[:2] and fields[0] == fields[1]:
        return True
    where = address(mark.position, row)
    raise AdapterError(f"Another table begins at {where}.", code="template-again", field=where, row=row, advice="Send each table in a file of its own.")


def is_example(mark: Mark, placed: Placed, cells: Sequence[Cell]) -> bool:
    """Whether a row is the template's own example: marked so, and about the invented person, or about nobody where the table has no member numbers."""
    return _marked(mark, cells) and (_invented(placed, cells) or _numbers(placed) is None)


def is_half_example(mark: Mark | None, placed: Placed, cells: Sequence[Cell]) -> bool:
    """Whether a row is marked as example and about somebody else, or not marked and about the invented person; without a template the latter."""
    return (mark is not None and _marked(mark, cells)) != _invented(placed, cells)


def _numbers(placed: Placed) -> int | None:
    """Where the member numbers stand."""
    return next((position for position, column in placed.at.items() if column.field == "member_number"), None)


def _marked(mark: Mark, cells: Sequence[Cell]) -> bool:
    return mark.position < len(cells) and not is_blank(cells[mark.position])


def _invented(placed: Placed, cells: Sequence[Cell]) -> bool:
    position = _numbers(placed)
    return position is not None and position < len(cells) and plain(cells[position]) in INVENTED
