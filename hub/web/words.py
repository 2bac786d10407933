"""Records, sources and rows in plain words: what a resident, a doctor or a member of staff reads for each."""

from __future__ import annotations

from collections.abc import Iterable

from hub.care.activity import Reading
from hub.web.locales import pick, say
from schemas.flags import FLAGS
from schemas.measures import MEASURES
from schemas.records import BodyComposition, CheckIn, DaySummary, Envelope, FitnessTest, Quantity, Session, VitalSign
from schemas.sports import SPORTS

UNITS: dict[str, tuple[str, str]] = {
    "/min": ("次/分", "/min"),
    "mm[Hg]": ("mmHg", "mmHg"),
    "Cel": ("℃", "°C"),
    "{count}": ("次", ""),
    "{count}/min": ("次/分", "/min"),
    "{score}": ("分", "points"),
    "{steps}": ("步", "steps"),
    "/d": ("步", "steps"),
    "{level}": ("级", "level"),
    "kg/m2": ("kg/m²", "kg/m²"),
    "mL/kg/min": ("mL/kg/min", "mL/kg/min"),
    "s": ("秒", "s"),
    "min": ("分钟", "min"),
    "kcal": ("千卡", "kcal"),
    "kcal/d": ("千卡/天", "kcal/day"),
    "1": ("", ""),
}
"""UCUM unit to how it is written for people; a unit that is not here is written as it is."""

FIELDS: dict[str, tuple[str, str]] = {
    "start": ("开始时间", "start"),
    "end": ("结束时间", "end"),
    "elapsed_s": ("总用时（秒）", "elapsed time (s)"),
    "timer_s": ("运动时长（秒）", "exercise time (s)"),
    "distance_m": ("距离（米）", "distance (m)"),
    "energy_kcal": ("热量（千卡）", "energy (kcal)"),
    "steps": ("步数", "steps"),
    "hr_avg": ("平均心率", "mean heart rate"),
    "hr_max": ("最高心率", "highest heart rate"),
    "hr_min": ("最低心率", "lowest heart rate"),
    "sport": ("运动项目", "sport"),
    "rpe": ("自觉用力", "exertion"),
    "power_avg_w": ("平均功率", "mean power"),
    "power_max_w": ("最大功率", "peak power"),
    "cadence_avg": ("平均步频", "mean cadence"),
    "ascent_m": ("爬升", "ascent"),
    "moderate_min": ("中等强度分钟", "moderate minutes"),
    "vigorous_min": ("高强度分钟", "vigorous minutes"),
    "resting_hr": ("静息心率", "resting heart rate"),
    "measure": ("指标", "measure"),
    "date": ("日期", "date"),
    "member_number": ("会员号", "member number"),
    "id_number": ("身份证号", "ID number"),
    "name": ("姓名", "name"),
    "phone": ("手机", "phone"),
    "value": ("数值", "value"),
    "met": ("代谢当量", "MET"),
    "strokes": ("划次", "strokes"),
    "active_min": ("活动分钟", "active minutes"),
    "floors": ("楼层", "floors"),
    "active_energy_kcal": ("活动热量", "active energy"),
}

KINDS: dict[str, tuple[str, str]] = {
    "session": ("运动", "Exercise"),
    "vital": ("健康检测", "Measurement"),
    "body-composition": ("身体成分", "Body composition"),
    "day-summary": ("一天小结", "Day summary"),
    "fitness-test": ("体质测定", "Fitness test"),
    "check-in": ("到场", "Check-in"),
}


ROUTINE = frozenset(
    {
        "zone-assumed",
        "hr-avg-computed",
        "unit-converted",
        "unit-normalized",
        "end-from-duration",
        "value-rounded",
        "distance-computed",
        "session-computed",
        "developer-field",
        "time-from-header",
        "code-system-assumed",
        "unit-assumed",
        "value-missing",
    }
)
"""Flags that say how a value came about, not that it is doubtful."""


def number(value: float) -> str:
    """A value without needless decimals."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"


def unit(ucum: str) -> str:
    return pick(UNITS[ucum]) if ucum in UNITS else ucum


def quantity(found: Quantity) -> str:
    """血氧饱和度 97 %."""
    name = pick((MEASURES[found.measure].zh, MEASURES[found.measure].en)) if found.measure in MEASURES else found.measure
    return f"{name} {number(found.value)} {unit(found.unit)}".strip()


def sport(record: Session) -> str:
    """The sport's name, else the session's own title."""
    if record.sport in SPORTS and record.sport != "other":
        return pick((SPORTS[record.sport].zh, SPORTS[record.sport].en))
    return record.title or say("运动")


def sport_name(code: str) -> str:
    return pick((SPORTS[code].zh, SPORTS[code].en)) if code in SPORTS else code


def minutes(seconds: float | None) -> str:
    return say("%(count)s 分钟", count=round(seconds / 60)) if seconds else ""


def line(record: Envelope) -> str:
    """One record in one line."""
    if isinstance(record, Session):
        distance = f"{record.distance_m / 1000:.1f} {say('公里')}" if record.distance_m else ""
        return " ".join(filter(None, (sport(record), minutes(record.timer_s or record.elapsed_s), distance)))
    if isinstance(record, VitalSign):
        return _vital(record)
    if isinstance(record, BodyComposition):
        return _listed(record.quantities)
    if isinstance(record, FitnessTest):
        return f"{pick(KINDS['fitness-test'])} {_listed(record.items)}"
    if isinstance(record, DaySummary):
        return _day(record)
    if isinstance(record, CheckIn):
        return " ".join(filter(None, (pick(KINDS["check-in"]), record.programme, record.venue)))
    return ""


def same_workout(source: str) -> str:
    """What stands beside a session that is not counted; `source` is whose record of it is."""
    return say("与%(who)s的记录是同一次锻炼，只计一次", who=source)


def _vital(record: VitalSign) -> str:
    if record.measure == "blood-pressure":
        parts = {part.measure: number(part.value) for part in record.components}
        return f"{pick((MEASURES['blood-pressure'].zh, MEASURES['blood-pressure'].en))} {parts.get('systolic', '–')}/{parts.get('diastolic', '–')}"
    return quantity(record.quantity) if record.quantity else _listed(record.components)


def _listed(quantities: list[Quantity], most: int = 3) -> str:
    shown = "，".join(quantity(found) for found in quantities[:most])
    return shown + (say(" 等 %(count)d 项", count=len(quantities)) if len(quantities) > most else "")


def _day(record: DaySummary) -> str:
    parts = [say("%(count)s 步", count=number(record.steps)) if record.steps is not None else ""]
    active = (record.moderate_min or 0) + (record.vigorous_min or 0) or record.active_min
    parts.append(say("活动 %(count)s 分钟", count=number(active)) if active else "")
    parts.append(say("静息心率 %(value)s", value=number(record.resting_hr)) if record.resting_hr is not None else "")
    return "，".join(filter(None, parts)) or pick(KINDS["day-summary"])


def field(name: str) -> str:
    """A field's name as people call it."""
    stem = name.rpartition(".")[2]
    if stem in FIELDS:
        return pick(FIELDS[stem])
    return pick((MEASURES[stem].zh, MEASURES[stem].en)) if stem in MEASURES else name


def doubtful(readings: Iterable[Reading]) -> int:
    """How many readings carry a flag that says more than how the value came about."""
    return sum(not ROUTINE.issuperset(reading.flags) for reading in readings)


def flag(code: str) -> str:
    return pick(FLAGS[code]) if code in FLAGS else code


def masked(name: str | None) -> str:
    """张・・: the family name only."""
    return name[0] + "・" * max(min(len(name) - 1, 3), 1) if name else "–"


def tail(identifier: str | None) -> str:
    """…4417: the end of an identifier."""
    return "…" + identifier[-4:] if identifier else "–"
