"""Tables as CSV for spreadsheets: UTF-8 with a mark so that Chinese opens well, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from fastapi import Response

from hub.web import history, words
from hub.web.history import Seen
from hub.web.locales import say
from hub.web.pages import download
from schemas.records import Session

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def neutral(cell: object) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection); plain numbers stay numbers."""
    text = "" if cell is None else str(cell)
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text


def encoded(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as CSV bytes."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([neutral(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


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
