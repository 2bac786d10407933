"""Tables as CSV for spreadsheets: UTF-8 with a mark so that Chinese opens well, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from fastapi import Response

from hub.web import history, words
from hub.web.history import Seen
from hub.web.locales import say
from hub.web.pages import download
from mappings.cells import Cell
from schemas.records import Session

_HARMLESS = re.compile(r"[-+－＋]?[\d\s.,:/()-]*")
"""Numbers, phone numbers and dashes: without a letter there is no function and no command to run."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The wide ones too, as spreadsheets in Chinese read them."""


_IN_MEMORY = {
    "in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "default_date_format": "yyyy-mm-dd hh:mm:ss", "remove_timezone": True,
    "nan_inf_to_errors": True,
}  # fmt: skip
"""How workbooks are written: rows of people never pass through a temporary file, and no text becomes a formula or a link."""


def neutral(cell: object) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection); numbers and phone numbers stay as they are."""
    text = "" if cell is None else str(cell)
    return "'" + text if text.startswith(_FORMULA) and not _HARMLESS.fullmatch(text) else text


def encoded(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as CSV bytes."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([neutral(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def workbook(sheets: Iterable[tuple[str, Iterable[Sequence[Cell]]]]) -> bytes:
    """Sheets as an .xlsx file. What looks like a formula stays text, which no spreadsheet runs."""
    from xlsxwriter import Workbook

    out = io.BytesIO()
    with Workbook(out, _IN_MEMORY) as book:
        for name, rows in sheets:
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return out.getvalue()


COLUMNS = ("sport", "title", "elapsed_s", "timer_s", "distance_m", "hr_avg", "hr_max", "energy_kcal")
"""The fields of a session that its table is made of."""


def sessions_csv(seen: Sequence[Seen], zone: ZoneInfo) -> Response:
    """Sessions, one a row."""
    head = [say(text) for text in ("开始", "项目", "来源", "时长（分钟）", "距离（米）", "平均心率", "最高心率", "热量（千卡）", "同一次运动")]
    again = history.again(seen, zone)
    rows = [
        (
            f"{history.local(one.record, zone):%Y-%m-%d %H:%M}",
            words.sport(one.record),
            one.source,
            _rounded(one.record.timer_s or one.record.elapsed_s, 60),
            _rounded(one.record.distance_m),
            _rounded(one.record.hr_avg),
            _rounded(one.record.hr_max),
            _rounded(one.record.energy_kcal),
            say("是") if one.id in again else "",
        )
        for one in seen
        if isinstance(one.record, Session)
    ]
    return download(encoded([head, *rows]), "sessions.csv", "text/csv; charset=utf-8")


def _rounded(value: float | None, by: float = 1) -> int | None:
    return None if value is None else round(value / by)
