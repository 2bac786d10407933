"""Dates and clocks as people read them, in the language of the request. Residents get full dates, never bare numbers."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from hub.web.locales import LANGUAGE
from schemas.resident import ZONE

_WEEKDAYS = "一二三四五六日"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _english() -> bool:
    return LANGUAGE.get() == "en"


def full(day: date) -> str:
    """2026年5月3日 星期日."""
    if _english():
        return f"{day:%A}, {day.day} {day:%B} {day.year}"
    return f"{day.year}年{day.month}月{day.day}日 星期{_WEEKDAYS[day.weekday()]}"


def plain(day: date) -> str:
    """2026年5月3日."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}" if _english() else f"{day.year}年{day.month}月{day.day}日"


def short(day: date) -> str:
    """5月3日."""
    return f"{day.day} {_MONTHS[day.month - 1]}" if _english() else f"{day.month}月{day.day}日"


def weekday(day: date) -> str:
    """5月3日 周日."""
    return f"{_DAYS[day.weekday()]} {short(day)}" if _english() else f"{short(day)} 周{_WEEKDAYS[day.weekday()]}"


def near(day: date, today: date) -> str:
    """今天, 昨天, or the date; with the year when it is another one."""
    if (days := (today - day).days) in (0, 1):
        return (("Today", "Yesterday") if _english() else ("今天", "昨天"))[days]
    return weekday(day) if day.year == today.year else plain(day)


def told(day: date, today: date) -> str:
    """今天, 昨天, or the date in full: for residents."""
    return near(day, today) if 0 <= (today - day).days <= 1 else full(day)


def clock(at: datetime) -> str:
    """上午 9:14."""
    if _english():
        return f"{at:%H:%M}"
    part = "凌晨" if at.hour < 6 else "上午" if at.hour < 12 else "下午" if at.hour < 18 else "晚上"
    return f"{part} {(at.hour - 1) % 12 + 1 if at.hour else 12}:{at.minute:02d}"


def age(born: date, today: date) -> int:
    """Full years."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def ago(days: int) -> str:
    """今天, 昨天, 3 天前."""
    if days == 0:
        return "today" if _english() else "今天"
    if days == 1:
        return "yesterday" if _english() else "昨天"
    return f"{days} days ago" if _english() else f"{days} 天前"


def at_the_hub(moment: datetime) -> datetime:
    """A moment on the clock of the hub's city, for people at work."""
    return moment.astimezone(ZoneInfo(ZONE))
