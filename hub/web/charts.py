"""Server-made SVG without scripts or inline styles: colours come from the style sheet, numbers from the table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from hub.care.activity import GOAL_MIN, Reading, Week
from hub.web import dates
from hub.web.locales import say

_WIDTH, _HEIGHT, _FOOT, _HEAD = 440, 118, 18, 14
_CURVE = 170
STEPS = 400
"""Points across a curve; more are not to be told apart."""


def column(value: float, most: float, height: int = 84) -> Markup:
    """One bar as high as its value, at least a line, for a row of columns with text above and below."""
    tall = max(round(height * value / most), 3) if most else 3
    return Markup('<svg class="column" width="100%" height="{0}" aria-hidden="true" focusable="false"><rect width="100%" height="{0}" rx="6"/></svg>').format(
        tall
    )


def bars(weeks: Sequence[Week]) -> Markup:
    """Minutes a week against the guideline, a dashed line that the heading names; the running week is paler."""
    most = max([GOAL_MIN * 1.2, *(week.minutes for week in weeks)])
    step = _WIDTH / len(weeks)
    every = max(len(weeks) // 4, 1)
    parts = [_bar(week, number, step, most, number == len(weeks) - 1) for number, week in enumerate(weeks)]
    labels = [_label(week, number, step, len(weeks)) for number, week in enumerate(weeks) if number % every == 0 and number < len(weeks) - 1]
    labels.append(_text(_WIDTH - step * 0.14, _HEIGHT - 5, say("本周"), "end", "axis"))
    goal = _y(GOAL_MIN, most)
    line = Markup('<line class="goal" x1="0" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(_WIDTH, goal, goal)
    return _svg([*parts, line, *labels], _HEIGHT)


def _bar(week: Week, number: int, step: float, most: float, running: bool) -> Markup:
    top, width = _y(week.minutes, most), step * 0.72
    shape = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2"/>').format(
        "bar now" if running else "bar", number * step + step * 0.14, top, width, max(_HEIGHT - _FOOT - top, 1)
    )
    shown = step > 24 and (running or week.minutes >= GOAL_MIN)
    return shape + (_text((number + 0.5) * step, top - 4, str(week.minutes), "middle", "value") if shown else Markup(""))


def _label(week: Week, number: int, step: float, count: int) -> Markup:
    return _text(number * step if count > 20 else (number + 0.5) * step, _HEIGHT - 5, dates.short(week.monday), "start" if count > 20 else "middle", "axis")


def _y(value: float, most: float) -> float:
    return _HEAD + (_HEIGHT - _FOOT - _HEAD) * (1 - value / most)


def lines(readings: Sequence[Reading], low: float | None = None, high: float | None = None) -> Markup:
    """A line of values over time (and of their second values, paler), with a dot on the last; a faint band from `low` to `high`."""
    height = 70
    values = [value for reading in readings for value in (reading.value, reading.second) if value is not None]
    if not values:
        return Markup("")
    bottom, top = min(values) - 4, max(values) + 4
    first, last = readings[0].at.timestamp(), readings[-1].at.timestamp()

    def place(reading: Reading, value: float) -> tuple[float, float]:
        across = (reading.at.timestamp() - first) / (last - first) if last > first else 0.5
        return 8 + across * (_WIDTH - 16), 6 + (height - 12) * (1 - (value - bottom) / (top - bottom))

    band = Markup("")
    if low is not None and high is not None:
        upper, lower = (6 + (height - 12) * (1 - (min(max(value, bottom), top) - bottom) / (top - bottom)) for value in (high, low))
        band = Markup('<rect class="band" x="0" width="{}" y="{:.1f}" height="{:.1f}"/>').format(_WIDTH, upper, max(lower - upper, 0))
    main = _line([place(reading, reading.value) for reading in readings], "line")
    second = _line([place(reading, reading.second) for reading in readings if reading.second is not None], "line pale")
    return _svg([band, second, main], height)


def curve(points: Sequence[tuple[float, float | None]]) -> Markup:
    """One session's values by the minute since its start, highest and lowest beside them; broken where a minute has no reading."""
    values = [value for _, value in points if value is not None]
    bottom, top, last = min(values), max(values), points[-1][0] or 1
    head, foot = 18, 22
    span = _CURVE - head - foot
    places = [
        (minute, 34 + minute / last * (_WIDTH - 42), head + span * (1 - (value - bottom) / ((top - bottom) or 1)))
        for minute, value in points
        if value is not None
    ]
    runs: list[list[tuple[float, float]]] = []
    before = -2.0
    for minute, x, y in places:
        if minute - before > 1:
            runs.append([])
        runs[-1].append((x, y))
        before = minute
    drawn = [_run(run) for run in runs]
    scale = [_text(28, head + 4, f"{top:.0f}", "end", "axis"), _text(28, head + span + 4, f"{bottom:.0f}", "end", "axis")]
    ends = [_text(34, _CURVE - 4, "0", "start", "axis"), _text(_WIDTH - 8, _CURVE - 4, say("%(count)s 分钟", count=round(last)), "end", "axis")]
    return _svg([*drawn, *scale, *ends], _CURVE)


def _run(points: Sequence[tuple[float, float]]) -> Markup:
    if len(points) == 1:
        return Markup('<circle class="line" cx="{:.1f}" cy="{:.1f}" r="2"/>').format(*points[0])
    path = Markup(" ").join(Markup("{:.1f},{:.1f}").format(x, y) for x, y in points)
    return Markup('<polyline class="line" points="{}"/>').format(path)


def _line(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    if not points:
        return Markup("")
    path = Markup(" ").join(Markup("{:.1f},{:.1f}").format(x, y) for x, y in points)
    drawn = Markup('<polyline class="{}" points="{}"/>').format(kind, path) if any(pairwise(points)) else Markup("")
    return drawn + Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(kind, *points[-1])


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, escape(text))


def _svg(parts: Sequence[Markup], height: int) -> Markup:
    inner = Markup("").join(parts)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}</svg>').format(_WIDTH, height, inner)
