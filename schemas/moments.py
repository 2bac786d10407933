"""Time rules of the standard: the file's own offset, else the party's zone (flagged), else the local clock alone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from schemas.records import DaySummary, Envelope, Flag, Moment
from schemas.standard import MOMENTS, STANDARD

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing is older: no consumer device kept records before, and unset clocks start in 1970, 1989 or 1990."""

WIDEST = timedelta(hours=14)
"""The widest offset from UTC that any place uses (+14:00, Kiribati; -12:00 the other way)."""


def settled(moment: Moment, zone: str | None) -> tuple[Moment, str | None]:
    """A moment with the zone applied where the source left it out, and the flag that says so."""
    if moment.at is not None:
        return moment, None
    assert moment.local is not None
    if zone is None:
        return moment, "zone-unknown"
    aware = moment.local.replace(tzinfo=ZoneInfo(zone))
    offset = aware.utcoffset()
    assert offset is not None
    return Moment(at=aware.astimezone(UTC), offset_minutes=int(offset.total_seconds() // 60), precision=moment.precision), "zone-assumed"


def settle(record: Envelope, zone: str | None) -> None:
    """Apply the zone to a record's times, flagging once what was assumed."""
    record.start, flag = settled(record.start, zone)
    if record.end is not None:
        record.end, end_flag = settled(record.end, zone)
        flag = flag or end_flag
    for name in MOMENTS[str(record.__struct_config__.tag)]:
        if (moment := getattr(record, name)) is not None:
            found, further = settled(moment, zone)
            setattr(record, name, found)
            flag = flag or further
    if flag and not isinstance(record, DaySummary):
        record.flags = [*record.flags, Flag(flag, "start")]


def earliest(moment: Moment) -> datetime:
    """The earliest instant a moment can mean."""
    if moment.at is not None:
        return moment.at
    assert moment.local is not None
    return moment.local.replace(tzinfo=UTC) - WIDEST


def latest(moment: Moment) -> datetime:
    """The latest instant a moment can mean; a day lasts to its end."""
    span = timedelta(days=1) - timedelta(milliseconds=1) if moment.precision == "day" else timedelta(0)
    if moment.at is not None:
        return moment.at + span
    assert moment.local is not None
    return moment.local.replace(tzinfo=UTC) + WIDEST + span


def time_range(record: Envelope, zone: str | None) -> tuple[datetime, datetime]:
    """The widest range of instants a record can cover; for a day summary its local day in the resident's zone."""
    if isinstance(record, DaySummary):
        day = datetime.combine(record.date, time(), tzinfo=ZoneInfo(zone) if zone else UTC)
        slack = timedelta(0) if zone else WIDEST
        return day - slack, day + timedelta(days=1) - timedelta(milliseconds=1) + slack
    starts = earliest(record.start)
    return starts, max(latest(record.end or record.start), starts)


def natural_key(record: Envelope) -> tuple[str, ...]:
    """What makes a record the same one when it comes again from the same party about the same resident.

    The source's own id first; else the fields that `kinds.csv` names for its kind.
    """
    kind = str(record.__struct_config__.tag)
    if record.source_record_id:
        return kind, "id", record.source_record_id
    return kind, *(_key_part(record, name) for name in STANDARD[kind].key)


def _key_part(record: Envelope, name: str) -> str:
    if name in ("start", "end"):
        moment = getattr(record, name)
        return (moment.at or moment.local or EARLIEST).isoformat(timespec="seconds") if moment else ""
    if name == "device":
        return (record.device.identifier or record.device.model or "") if record.device else ""
    value = getattr(record, name)
    return "" if value is None else str(value)


def local_text(moment: Moment) -> str | None:
    """ISO 8601 text of a moment for receipts: with its offset, in UTC when none is stated, without when only the clock is known."""
    if moment.at is None:
        return moment.local.isoformat() if moment.local else None
    if moment.offset_minutes is None:
        return msgspec.to_builtins(moment.at.astimezone(UTC))  # type: ignore[no-any-return]  # datetimes become str
    from datetime import timezone

    return moment.at.astimezone(timezone(timedelta(minutes=moment.offset_minutes))).isoformat()
