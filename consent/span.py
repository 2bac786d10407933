"""Stretches of time from FHIR dates: half open, aware, with a date read as the whole day where the resident lives."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

EVER = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
NEVER = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
"""The ends of time, two days short of what a datetime holds: any zone can still be applied."""

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d))?)?)?")


class Span(NamedTuple):
    """From `since` (included) to `until` (excluded)."""

    since: datetime
    until: datetime

    def holds(self, at: datetime) -> bool:
        return self.since <= at < self.until


def _day(zone: ZoneInfo, year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=zone).astimezone(UTC)


def _next_day(zone: ZoneInfo, year: int, month: int, day: int) -> datetime:
    after = datetime(year, month, day, tzinfo=UTC) + timedelta(days=1)
    return _day(zone, after.year, after.month, after.day)


def _instant(text: str, fraction: str | None) -> Span:
    since = datetime.fromisoformat(text[:19] + (f".{fraction[:6]:0<6}" if fraction else "") + text[19 + (len(fraction) + 1 if fraction else 0) :])
    step = timedelta(seconds=1) if not fraction else timedelta(microseconds=max(1, 10 ** (6 - min(6, len(fraction)))))
    return Span(since.astimezone(UTC), since.astimezone(UTC) + step)


def moment(text: object, zone: ZoneInfo) -> Span:
    """The stretch a FHIR date or dateTime names (year, month, day, second). ValueError where it is none."""
    found = _DATE.fullmatch(text) if isinstance(text, str) else None
    if found is None or not isinstance(text, str):
        raise ValueError("not a FHIR date or dateTime")
    year, month, day, hour = (int(part) if part else None for part in found.groups()[:4])
    if year is None or not 1 < year < 9998:
        raise ValueError("year out of range")
    if hour is not None:
        return _instant(text, found.group(7))
    if month is None:
        return Span(_day(zone, year, 1, 1), _day(zone, year + 1, 1, 1))
    if day is None:
        return Span(_day(zone, year, month, 1), _day(zone, year + month // 12, month % 12 + 1, 1))
    return Span(_day(zone, year, month, day), _next_day(zone, year, month, day))


def period(value: object, zone: ZoneInfo) -> Span:
    """The stretch of a FHIR Period; both ends are included as far as their precision reaches. ValueError where it is none."""
    if not isinstance(value, dict) or not (value.keys() & {"start", "end"}) or value.keys() - {"id", "extension", "start", "end"}:
        raise ValueError("not a Period")
    since = moment(value["start"], zone).since if "start" in value else EVER
    until = moment(value["end"], zone).until if "end" in value else NEVER
    if until <= since:
        raise ValueError("a Period that ends before it starts")
    return Span(since, until)
