"""FIT activity files (Garmin, Wahoo, Coros, OneLap …): sessions, laps and samples. Bytes are read by `fitfile.py`.

Source: Garmin FIT profile; names of sports, makers and products from fitdecode's export of it (SDK 21.171).
The session message's figures win over anything computed. Zero heart rate, distance or energy is "not measured".
Cadence and cycles of running, walking and hiking count strides in FIT; they become steps (twice as many).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from fitdecode.profile import FIELD_TYPES

from adapters import fitfile, strap, tracks
from adapters.base import AdapterError, Context, Decoded, Rejected, TooLarge
from adapters.fitfile import EPOCH, RELATIVE_BELOW, TIMESTAMP, FitFile, Floats, Row, figure
from schemas.records import Device, Flag, Lap, Moment, Series, Session
from schemas.sports import SPORTS, sport_code

id = "fit"
title = ("FIT 运动文件", "FIT activity file")
version = "1"
extensions = (".fit",)
emits = frozenset({"session"})

FILE_ID, SPORT, SESSION, LAP, RECORD, DEVICE_INFO, ACTIVITY, FIELD_DESCRIPTION = 0, 12, 18, 19, 20, 23, 34, 206
START, CYCLES, SPORT_NAME, FRACTIONAL_CADENCE = 2, 10, 110, 92
ACTIVITY_TYPES = {4, 20, 0xFF}

# Record field to (number, scale); session and lap figure to (number, scale).
SESSION_FIGURES = {
    "timer_s": (8, 1000), "distance_m": (9, 100), "energy_kcal": (11, 1), "hr_avg": (16, 1), "hr_max": (17, 1), "hr_min": (64, 1),
    "power_avg_w": (20, 1), "power_max_w": (21, 1), "pool_length_m": (44, 100), "rpe": (193, 10),
}  # fmt: skip
LAP_FIGURES = {"elapsed_s": (7, 1000), "timer_s": (8, 1000), "distance_m": (9, 100), "energy_kcal": (11, 1), "hr_avg": (15, 1), "hr_max": (16, 1)}
RECORD_FIELDS = (0, 1, 2, 78, 3, 4, 53, 5, 6, 73, 7)
DEVELOPER_CHANNELS = {3: ("heart-rate", "bpm"), 4: ("cadence", "rpm spm"), 5: ("distance", "m"), 6: ("speed", "m/s"), 7: ("power", "w watt watts")}

# 2026-05-03T07:00:00+08:00, a one-minute run with two records.
_SAMPLE_START = 1_146_697_200
sample = fitfile.write([
    (FILE_ID, [(0, 0x00, 4), (1, 0x84, 1), (2, 0x84, 2697), (3, 0x8C, 12345), (4, 0x86, _SAMPLE_START)]),
    (RECORD, [(TIMESTAMP, 0x86, _SAMPLE_START), (3, 0x02, 118), (5, 0x86, 0)]),
    (RECORD, [(TIMESTAMP, 0x86, _SAMPLE_START + 60), (3, 0x02, 134), (5, 0x86, 16_500)]),
    (LAP, [(TIMESTAMP, 0x86, _SAMPLE_START + 60), (START, 0x86, _SAMPLE_START), (7, 0x86, 60_000), (8, 0x86, 60_000), (9, 0x86, 16_500)]),
    (SESSION, [
        (TIMESTAMP, 0x86, _SAMPLE_START + 60), (START, 0x86, _SAMPLE_START), (5, 0x00, 1), (6, 0x00, 0), (7, 0x86, 60_000), (8, 0x86, 60_000),
        (9, 0x86, 16_500), (11, 0x84, 12), (16, 0x02, 126), (17, 0x02, 134),
    ]),
    (ACTIVITY, [(TIMESTAMP, 0x86, _SAMPLE_START + 60), (0, 0x86, 60_000), (1, 0x84, 1), (5, 0x86, _SAMPLE_START + 60 + 8 * 3600)]),
])  # fmt: skip

ON_FOOT = {"running", "walking", "hiking"}
STROKED = {"cycling", "swimming", "rowing", "stand_up_paddleboarding", "paddling", "kayaking"}
UMBRELLAS = {"generic", "all", "fitness_equipment", "training", "racket"}
INDOORS = {"treadmill", "spin", "elliptical", "stair_climbing", "virtual_activity"}
NOT_MEASURED = {"distance_m": "distance-not-measured", "energy_kcal": "energy-not-measured"}


class _Samples(NamedTuple):
    """The record messages: times (Unix seconds), channels, and which channels came from developer fields."""

    times: Floats
    channels: dict[str, Floats]
    from_developer: list[str]


class _Clock(NamedTuple):
    """How FIT times become Unix seconds, and the local offset where the clock itself had to be anchored."""

    shift: float = EPOCH
    anchored: bool = False
    offset_minutes: int | None = None


def recognises(head: bytes, filename: str | None) -> bool:
    """A FIT header has `.FIT` at byte 8."""
    return head[8:12] == b".FIT"


def decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]:
    """One session for each session message; from the records when there is none. Raises AdapterError."""
    file = fitfile.read(tracks.whole(stream, context.limits), context.limits)
    _refuse_other_types(file)
    _refuse_floods(file, context)
    yield from _sessions(file, context)


def _name(kind: str, number: object) -> str | None:
    found: str | None = FIELD_TYPES[kind].enum.get(number)
    return found


def _text(row: Row, number: int) -> str | None:
    value = row.get(number)
    return value if isinstance(value, str) else None


def _refuse_other_types(file: FitFile) -> None:
    types = {int(figure(row, 0) or 0) for row in fitfile.rows(file, FILE_ID, (0,)) if 0 in row}
    if types and not types & ACTIVITY_TYPES:
        kind = (_name("file", min(types)) or f"type {min(types)}").replace("_", " ")
        raise AdapterError(f"This FIT file is a {kind} file, not an activity.", advice="Send the activity file of the workout.", field="file_id.type")


def _refuse_floods(file: FitFile, context: Context) -> None:
    for message, limit in ((RECORD, context.limits.samples), (strap.HR, context.limits.samples), (SESSION, 1_000), (LAP, context.limits.rows)):
        if sum(len(layout.at) for layout in file.of(message)) > limit:
            raise TooLarge(f"The FIT file holds more than {limit} {'samples' if limit > context.limits.rows else 'sessions or laps'}.")
    for message in (FILE_ID, SPORT, DEVICE_INFO, ACTIVITY, FIELD_DESCRIPTION):
        if sum(len(layout.at) for layout in file.of(message)) > context.limits.rows:
            raise TooLarge(f"The FIT file holds more than {context.limits.rows} descriptions.")


def _sessions(file: FitFile, context: Context) -> Iterator[Decoded]:
    wanted = (TIMESTAMP, START, 5, 6, 7, CYCLES, 18, 22, SPORT_NAME, FRACTIONAL_CADENCE, *(number for number, _ in SESSION_FIGURES.values()))
    rows = fitfile.rows(file, SESSION, wanted)
    laps = fitfile.rows(file, LAP, (TIMESTAMP, START, 25, 39, *(number for number, _ in LAP_FIGURES.values())))
    samples = _samples(file)
    if not rows and "truncated" in file.defects:
        raise AdapterError("The FIT file ends early, before any session was complete.", advice="Copy it from the device again.", code="truncated")
    computed = not rows
    rows = rows or [_computed(laps, samples)]
    activities = fitfile.rows(file, ACTIVITY, (TIMESTAMP, 0, 5))
    clock = _clock(rows, activities, context)
    starts = [_start(row) for row in rows]
    order = sorted(range(len(rows)), key=starts.__getitem__)
    bounds = np.array([starts[index] for index in order])
    owner = np.clip(np.searchsorted(bounds, samples.times, side="right") - 1, 0, None)
    lap_owner = np.clip(np.searchsorted(bounds, [_start(lap) for lap in laps], side="right") - 1, 0, None)
    distances = _developer_distances(file, samples, len(rows))
    device, record_id = _device(file)
    for place, index in enumerate(order):
        row = _named(file, rows[index])
        own = _slice(samples, owner == place)
        flags = [Flag(defect) for defect in sorted(file.defects)] + ([Flag("session-computed")] if computed else [])
        session = _session(row, own, distances[index], clock, flags)
        session.laps = [_lap(lap, clock) for lap, at in zip(laps, lap_owner.tolist(), strict=True) if at == place]
        session.device = device
        session.source_record_id = f"{record_id}-{place}" if record_id else None
        _locate(session, starts[index], activities, clock)
        _compare(session, file, activities, clock, single=len(rows) == 1)
        yield Decoded(session, row=index + 1, series=_series(session, own, clock))


def _start(row: Row) -> float:
    """When a session or lap began, in FIT seconds: its start, else its end less its length."""
    start, stamp = figure(row, START), figure(row, TIMESTAMP)
    if start is not None:
        return start
    return max((stamp or 0) - (figure(row, 7, 1000) or figure(row, 8, 1000) or 0), 0)


def _computed(laps: list[Row], samples: _Samples) -> Row:
    """A session message for a file that has none: from its laps where they say, else from its records."""
    times = samples.times[np.isfinite(samples.times)]
    stamps = [stamp for lap in laps for stamp in (_start(lap), figure(lap, TIMESTAMP)) if stamp]
    if not len(times) and not stamps:
        raise AdapterError("The FIT file holds no session and no timed record.", advice="Send the activity file of the workout.")
    first, last = (float(times.min()), float(times.max())) if len(times) else (min(stamps), max(stamps))
    row: Row = {START: first, TIMESTAMP: last, 7: (last - first) * 1000}
    for number in (8, 9, 11):
        figures = [value for lap in laps if (value := figure(lap, number))]
        if figures and len(figures) == len(laps):
            row[number] = sum(figures)
    for number, channel, measure in ((20, "power", np.nanmean), (21, "power", np.nanmax)):
        if np.any(samples.channels[channel] > 0):
            row[number] = float(measure(samples.channels[channel]))
    sports = {(lap[25], lap.get(39, 0)) for lap in laps if 25 in lap}
    return row | dict(zip((5, 6), sports.pop(), strict=True)) if len(sports) == 1 else row


def _clock(rows: list[Row], activities: list[Row], context: Context) -> _Clock:
    """Whether times are absolute; a clock that was never set is anchored on the activity's local time, given a zone."""
    if all(_start(row) >= RELATIVE_BELOW for row in rows):
        return _Clock()
    for activity in activities:
        local, stamp = figure(activity, 5), figure(activity, TIMESTAMP)
        if context.zone and local and stamp and local >= RELATIVE_BELOW > stamp:
            wall = tracks.instant(EPOCH + local).replace(tzinfo=ZoneInfo(context.zone))
            return _Clock(wall.timestamp() - stamp, True, int((wall.utcoffset() or timedelta()).total_seconds() // 60))
    raise AdapterError(
        "The times in this FIT file count from when the device was switched on, because its clock was never set.",
        advice="Set the device's clock; for this file, name the zone in which it was recorded, or enter the session by hand.",
        field="session.start_time", code="clock-relative",
    )  # fmt: skip


def _samples(file: FitFile) -> _Samples:
    described = _described(file, RECORD)
    keys = [(key, base) for key, base, _ in described]
    times, lat, lon, low, altitude, hr, cadence, part, distance, slow, speed, power, *own = fitfile.columns(file, RECORD, RECORD_FIELDS, keys)
    semicircles = 180 / 2**31
    placed = np.isfinite(lat) & np.isfinite(lon) & ((lat != 0) | (lon != 0))
    channels = {
        "heart-rate": tracks.positive(strap.merged(file, times, hr)),
        "power": power,
        "cadence": cadence + np.nan_to_num(part) / 128,
        "speed": np.where(np.isfinite(speed), speed, slow) / 1000,
        "altitude": np.where(np.isfinite(altitude), altitude, low) / 5 - 500,
        "distance": distance / 100,
        "latitude": np.where(placed, lat * semicircles, np.nan),
        "longitude": np.where(placed, lon * semicircles, np.nan),
    }
    replaced = []
    for (_, _, number), values in zip(described, own, strict=True):
        channel = DEVELOPER_CHANNELS[number][0]
        if not np.any(channels[channel] > 0) and np.any(values > 0):
            channels[channel] = values
            replaced.append(channel)
    return _Samples(times, channels, replaced)


def _described(file: FitFile, message: int) -> list[tuple[tuple[int, int], int, int]]:
    """Developer fields that say which native field they stand for, in that field's unit: key, base type, native number."""
    found: dict[tuple[int, int], tuple[tuple[int, int], int, int]] = {}
    for row in fitfile.rows(file, FIELD_DESCRIPTION, (0, 1, 2, 6, 7, 8, 14, 15)):
        index, number, base, native = (figure(row, field) for field in (0, 1, 2, 15))
        about = 9 if message == SESSION else native
        unit = DEVELOPER_CHANNELS[5][1] if message == SESSION else DEVELOPER_CHANNELS.get(int(native or 0), ("", ""))[1]
        scaled = figure(row, 6) not in (None, 0, 1) or figure(row, 7) not in (None, 0)
        if None in (index, number, base, native) or figure(row, 14) != message or native != about or scaled:
            continue
        if (_text(row, 8) or "").casefold() in unit.split():
            key = int(index or 0), int(number or 0)
            found[key] = key, int(base or 0), int(native or 0)
    return list(found.values())


def _developer_distances(file: FitFile, samples: _Samples, count: int) -> list[float | None]:
    """Each session's distance in a developer field: only where the device's own records, counted the same way, agree."""
    described = _described(file, SESSION)
    furthest = np.nanmax(samples.channels["distance"]) if "distance" in samples.from_developer else np.nan
    if count != 1 or len(described) != 1 or not furthest > 0:
        return [None] * count
    values = fitfile.developer_rows(file, SESSION, *described[0][:2])
    return [value if value and abs(value - furthest) <= max(1, 0.01 * furthest) else None for value in values] or [None]


def _slice(samples: _Samples, mine: np.ndarray) -> _Samples:
    return _Samples(samples.times[mine], {name: values[mine] for name, values in samples.channels.items()}, samples.from_developer)


def _named(file: FitFile, row: Row) -> Row:
    """A session that names no sport takes it from the sport message before it."""
    if 5 in row:
        return row
    sports = fitfile.rows(file, SPORT, (0, 1))
    return row | ({5: sports[-1][0], 6: sports[-1].get(1, 0)} if sports and 0 in sports[-1] else {})


def _inside(sub_sport: str | None) -> bool:
    return bool(sub_sport and (sub_sport in INDOORS or sub_sport.startswith("indoor_")))


def _sport(row: Row) -> tuple[str | None, str | None, bool | None]:
    """Sport, sub-sport and whether indoors. What the broad sports leave open, the sub-sport says."""
    name, sub = _name("sport", row.get(5)), _name("sub_sport", row.get(6))
    sub = None if sub in ("generic", "all") else sub
    code = sport_code(name) if name not in UMBRELLAS else None
    if code is None or (name, sub) == ("rowing", "indoor_rowing"):
        code = sport_code(sub) or code or sport_code(_text(row, SPORT_NAME)) or (sport_code(name) if name not in ("generic", "all") else None)
    indoor = _inside(sub) or (code is not None and SPORTS[code].indoor)
    return code, sub, indoor or None


def _session(row: Row, own: _Samples, developer_distance: float | None, clock: _Clock, flags: list[Flag]) -> Session:
    sport, sub, indoor = _sport(row)
    if sport is None:
        flags.append(Flag("sport-unknown", "sport"))
    if clock.anchored:
        flags += [Flag("clock-relative", "start"), Flag("zone-assumed", "start")]
    if _inside(sub) and np.isfinite(own.channels["latitude"]).any():
        flags.append(Flag("position-virtual", "latitude"))
    session = Session(start=Moment(), modality="sensed", sport=sport, sub_sport=sub, indoor=indoor, title=_text(row, SPORT_NAME), flags=flags)
    for field, (number, scale) in SESSION_FIGURES.items():
        value = figure(row, number, scale)
        if value:
            setattr(session, field, value)
        elif value == 0 and field in NOT_MEASURED:
            flags.append(Flag(NOT_MEASURED[field], field))
    _extent(session, row, own)
    _counts(session, row, own, _name("sport", row.get(5)))
    _distance(session, own, developer_distance)
    _heart(session, row, own)
    flags += [Flag("developer-field", channel) for channel in own.from_developer if np.isfinite(own.channels[channel]).any()]
    return session


def _extent(session: Session, row: Row, own: _Samples) -> None:
    """How long the session took; the message's own time when it gives no length, else its records."""
    elapsed = figure(row, 7, 1000) or (figure(row, TIMESTAMP) or 0) - _start(row)
    if elapsed <= 0 and np.isfinite(own.times).any():
        elapsed = float(np.nanmax(own.times)) - _start(row)
    elapsed = elapsed if elapsed > 0 else session.timer_s or 0
    session.elapsed_s = round(elapsed, 3) if elapsed > 0 else None
    if (figure(row, TIMESTAMP) or 0) <= _start(row) and elapsed > 0:
        session.flags.append(Flag("end-from-duration", "end"))


def _counts(session: Session, row: Row, own: _Samples, name: str | None) -> None:
    cycles, cadence = int(figure(row, CYCLES) or 0), (figure(row, 18) or 0) + (figure(row, FRACTIONAL_CADENCE, 128) or 0)
    session.steps = 2 * cycles if cycles and session.sport in ON_FOOT else None
    session.strokes = cycles if cycles and name in STROKED else None
    session.cadence_avg = round(2 * cadence if session.sport in ON_FOOT else cadence, 1) or None
    session.samples = len(own.times)
    session.hr_samples = int(np.isfinite(own.channels["heart-rate"]).sum())
    session.gps_samples = int(np.isfinite(own.channels["latitude"]).sum())
    ascent = figure(row, 22)
    session.ascent_m = ascent if ascent or (session.gps_samples and not session.indoor) else None


def _distance(session: Session, own: _Samples, developer: float | None) -> None:
    """The session's distance; where it says 0 or nothing: its developer field, its records' counter, its positions."""
    if session.distance_m:
        return
    counter = own.channels["distance"]
    counted = float(np.nanmax(counter) - max(np.nanmin(counter), 0)) if np.any(counter > 0) and "distance" not in own.from_developer else 0
    if developer:
        session.distance_m = developer
        session.flags.append(Flag("developer-field", "distance_m"))
    elif counted > 0:
        session.distance_m = round(counted, 2)
        session.flags.append(Flag("distance-computed", "distance_m"))
    elif (session.gps_samples or 0) > 1 and not _inside(session.sub_sport):
        placed = np.isfinite(own.channels["latitude"])
        session.distance_m = round(float(tracks.legs(own.channels["latitude"][placed], own.channels["longitude"][placed]).sum()), 2)
        session.flags.append(Flag("distance-computed", "distance_m"))


def _heart(session: Session, row: Row, own: _Samples) -> None:
    rates = own.channels["heart-rate"]
    if session.hr_samples and session.hr_avg is None:
        session.hr_avg = round(float(np.nanmean(rates)), 1)
        session.hr_max = session.hr_max or float(np.nanmax(rates))
        session.flags.append(Flag("hr-avg-computed", "hr_avg"))
    elif session.hr_avg is None and (row.get(16) == 0 or row.get(17) == 0):
        session.flags.append(Flag("heart-rate-not-measured", "hr_avg"))


def _lap(lap: Row, clock: _Clock) -> Lap:
    figures = {field: value for field, (number, scale) in LAP_FIGURES.items() if (value := figure(lap, number, scale))}
    return Lap(start=_instant(_start(lap), clock), **figures)


def _instant(seconds: float, clock: _Clock) -> datetime | None:
    return tracks.instant(clock.shift + seconds) if clock.anchored or seconds >= RELATIVE_BELOW else None


def _offset(activities: list[Row], start: float) -> int | None:
    """Minutes from UTC by the activity that closed the session: its local time less its time, when that can be a zone."""
    closing = [row for row in activities if (figure(row, TIMESTAMP) or 0) >= start] or activities
    local, stamp = (figure(closing[0], 5), figure(closing[0], TIMESTAMP)) if closing else (None, None)
    if not local or not stamp or local < RELATIVE_BELOW or stamp < RELATIVE_BELOW:
        return None
    minutes = round((local - stamp) / 900) * 15
    return minutes if abs(local - stamp - 60 * minutes) <= 60 and -720 <= minutes <= 840 else None


def _locate(session: Session, start: float, activities: list[Row], clock: _Clock) -> None:
    offset = clock.offset_minutes if clock.anchored else _offset(activities, start)
    began = tracks.instant(clock.shift + start)
    session.start = Moment(at=began, offset_minutes=offset)
    if session.elapsed_s is not None:
        session.end = Moment(at=began + timedelta(seconds=session.elapsed_s), offset_minutes=offset)


def _compare(session: Session, file: FitFile, activities: list[Row], clock: _Clock, *, single: bool) -> None:
    """Flag what the file says twice and differently."""
    spans = [span for span in (session.timer_s, session.elapsed_s) if span]
    total = figure(activities[0], 0, 1000) if len(activities) == 1 and single else None
    if total and spans and all(abs(total - span) > max(2, 0.01 * span) for span in spans):
        session.flags.append(Flag("figures-disagree", "timer_s", "The activity's timer differs from the session's."))
    created = figure(next(iter(fitfile.rows(file, FILE_ID, (4,))), {}), 4)
    if not created or created < RELATIVE_BELOW or clock.anchored or session.start.at is None:
        return
    if abs((tracks.instant(EPOCH + created) - session.start.at).total_seconds()) > 86_400 + (session.elapsed_s or 0):
        session.flags.append(Flag("figures-disagree", "start", "The file says it was created on another day than the session."))


def _device(file: FitFile) -> tuple[Device | None, str | None]:
    """The recording device, and the stem of the records' ids where serial number and time of creation give one."""
    head = next((row for row in fitfile.rows(file, FILE_ID, (0, 1, 2, 3, 4, 8)) if row.get(0, 4) in ACTIVITY_TYPES), {})
    described = fitfile.rows(file, DEVICE_INFO, (0, 2, 3, 4, 5, 27))
    creator = next((row for row in described if row.get(0) == 0), described[0] if len(described) == 1 else {})
    maker, product = head.get(1, creator.get(2)), head.get(2, creator.get(4))
    manufacturer = _name("manufacturer", maker) or (f"manufacturer {maker}" if maker is not None else None)
    garmin = _name("garmin_product", product) if maker in (1, 13, 15, 89) else None
    serial, software = head.get(3, creator.get(3)), figure(creator, 5, 100)
    device = Device(
        manufacturer=manufacturer,
        model=garmin or _text(head, 8) or _text(creator, 27),
        identifier=str(serial) if serial else None,
        firmware=f"{software:.2f}" if software else None,
    )
    return (device if device != Device() else None), (f"{serial}-{head[4]}" if serial and 4 in head else None)


def _series(session: Session, own: _Samples, clock: _Clock) -> list[Series]:
    times = own.times + clock.shift if clock.anchored else np.where(own.times >= RELATIVE_BELOW, own.times + clock.shift, np.nan)
    channels = {name: values for name, values in own.channels.items() if not (_inside(session.sub_sport) and name in ("latitude", "longitude"))}
    channels["cadence"] = channels["cadence"] * (2 if session.sport in ON_FOOT else 1)
    return tracks.series(times, channels)
