"""A template as a file: CSV, or a workbook with drop-downs, a comment on each header, an example row and the codes explained."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from mappings.cells import Cell
from mappings.templates import Column, columns, example_row, mark_header
from schemas.published import release

ROWS: Final = 2_000
"""So many rows of a workbook have drop-downs and formats."""
_CODES: Final = ("代码", "Codes")
_SAID: Final = ("填写说明", "How to fill in")
_HEADS: Final = (("列", "含义", "单位", "可能的数值", "必填"), ("Column", "Meaning", "Unit", "Possible values", "Required"))
_OPEN: Final = {"sport", "method", "posture", "grade"}
"""Fields whose choices are suggestions: another text is taken too."""


def as_csv(kind: str, version: str, language: str) -> bytes:
    """Header row and example row."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([headers(kind, version, language), example_row(kind, version, language)])
    return out.getvalue().encode("utf-8-sig")


def headers(kind: str, version: str, language: str) -> list[str]:
    """The header row, its mark first."""
    return [mark_header(kind, version, language), *(column.header(language) for column in columns(kind, version))]


def as_workbook(kind: str, version: str, language: str) -> bytes:
    """The sheet to fill in, a sheet that explains each column, and a sheet of the codes."""
    from xlsxwriter import Workbook

    out, english = io.BytesIO(), language == "en"
    with Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"title": mark_header(kind, version, language), "created": datetime(2026, 1, 1, tzinfo=UTC)})
        sheet = book.add_worksheet(_title(release(version)["kinds"][kind], english))
        listed = _code_sheet(book, columns(kind, version), english)
        _fill(book, sheet, kind, version, language, listed)
        _explain(book, kind, version, language)
    return out.getvalue()


def _title(names: dict[str, Any], english: bool) -> str:
    return re.sub(r"[\[\]:*?/\\]", " ", names["en" if english else "zh"])[:31]


def _code_sheet(book: Any, shown: Sequence[Column], english: bool) -> dict[str, str]:
    """A sheet with one column for each set of choices; field to the range its drop-down reads."""
    sheet = book.add_worksheet(_CODES[english])
    ranges: dict[str, str] = {}
    for column in shown:
        if column.choices:
            place = len(ranges)
            sheet.write(0, place, column.header("en" if english else "zh-CN"), book.add_format({"bold": True}))
            sheet.write_column(1, place, [choice[english] for choice in column.choices])
            sheet.set_column(place, place, 24)
            letter = chr(65 + place)
            ranges[column.field] = f"='{_CODES[english]}'!${letter}$2:${letter}${len(column.choices) + 1}"
    return ranges


def _fill(book: Any, sheet: Any, kind: str, version: str, language: str, listed: dict[str, str]) -> None:
    looks = {name: book.add_format(look) for name, look in _LOOKS.items()}
    sheet.freeze_panes(1, 2)
    sheet.write(0, 0, mark_header(kind, version, language), looks["mark"])
    sheet.set_column(0, 0, 24, looks["text"])
    sheet.write_comment(0, 0, _MARK_SAID[language == "en"], {"x_scale": 2})
    for place, column in enumerate(columns(kind, version), 1):
        header = column.header(language)
        sheet.set_column(place, place, max(12, 2 * len(header) if language != "en" else len(header) + 2), looks.get(_look(column)))
        sheet.write(0, place, header, looks["required" if column.required else "head"])
        sheet.write_comment(0, place, said(column, language), {"x_scale": 2})
        if rule := _rule(column, listed, language):
            sheet.data_validation(1, place, ROWS, place, rule)
    _write_row(sheet, example_row(kind, version, language), looks)


_LOOKS: Final[dict[str, dict[str, Any]]] = {
    "head": {"bold": True, "bg_color": "#E2EEEC", "text_wrap": True, "valign": "top"},
    "required": {"bold": True, "bg_color": "#0B5C56", "font_color": "#FFFFFF", "text_wrap": True, "valign": "top"},
    "mark": {"bold": True, "bg_color": "#ECE9DF", "text_wrap": True, "valign": "top"},
    "text": {"num_format": "@"},
    "example": {"italic": True, "font_color": "#6B3F00", "bg_color": "#FDF1DA", "num_format": "@"},
    "number": {"italic": True, "font_color": "#6B3F00", "bg_color": "#FDF1DA"},
}
_MARK_SAID: Final = (
    "这一列说明是哪一份模板，请不要改、不要删。“示例”那一行是编的，不会收；从它下面开始填，这一列空着。",
    "This column says which template it is: leave it as it is. The row marked “example” is invented and is not taken; fill in below it, this column empty.",
)


def _look(column: Column) -> str:
    """Numbers stay numbers; all else is text, so that no spreadsheet makes a date or a rounded number of it."""
    return "" if column.type in ("number", "integer") else "text"


def _write_row(sheet: Any, row: Sequence[Cell], looks: dict[str, Any]) -> None:
    for place, value in enumerate(row):
        if isinstance(value, str):
            sheet.write_string(1, place, value, looks["example"])
        elif value is not None:
            sheet.write(1, place, value, looks["number"])


def _rule(column: Column, listed: dict[str, str], language: str) -> dict[str, Any] | None:
    """A drop-down, or the bounds of a number. Both only warn: what a cell may say besides is the hub's to judge."""
    english = language == "en"
    if column.field in listed:
        hint = ("请从列表里选。", "Choose from the list.")[english]
        return {"validate": "list", "source": listed[column.field], "error_type": "warning" if column.field in _OPEN else "stop", "error_message": hint}
    if column.possible is None or None in column.possible:
        return None
    low, high = column.possible
    hint = (f"数值应在 {low:g} 到 {high:g} 之间。", f"The value lies between {low:g} and {high:g}.")[english]
    return {"validate": "decimal", "criteria": "between", "minimum": low, "maximum": high, "error_type": "warning", "error_message": hint}


def said(column: Column, language: str) -> str:
    """What a column means, its unit, its bounds, whether it must be filled in."""
    english = language == "en"
    parts = [column.meaning[english], (f"单位 {column.unit}", f"unit {column.unit}")[english] if column.unit else ""]
    parts.append((f"可能的数值 {limits}", f"possible values {limits}")[english] if (limits := _limits(column)) else "")
    parts.append(("必填" if column.required else "没有就空着", "required" if column.required else "leave empty when not known")[english])
    text = ("；", "; ")[english].join(filter(None, parts))
    return f"{text[:1].upper()}{text[1:]}{'.' if english else '。'}"


def _limits(column: Column) -> str:
    low, high = column.possible or (None, None)
    return f"{'' if low is None else f'{low:g}'}–{'' if high is None else f'{high:g}'}".strip("–")


def _explain(book: Any, kind: str, version: str, language: str) -> None:
    english = language == "en"
    sheet = book.add_worksheet(_SAID[english])
    bold, wrapped = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_column(0, 0, 26, wrapped)
    sheet.set_column(1, 1, 60, wrapped)
    sheet.set_column(2, 4, 16, wrapped)
    sheet.write(0, 0, _MARK_SAID[english])
    sheet.write_row(2, 0, _HEADS[english], bold)
    for place, column in enumerate(columns(kind, version), 3):
        needed = (("是", "yes") if column.required else ("", ""))[english]
        sheet.write_row(place, 0, (column.header(language), column.meaning[english], column.unit, _limits(column), needed))
