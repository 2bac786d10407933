"""Records, sources and rows in plain words: what a resident, a doctor or a member of staff reads for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from babel import Locale

from hub.access import devices
from hub.care.activity import Reading
from hub.web.locales import LANGUAGE, pick, say
from schemas.codes import LISTS
from schemas.flags import FLAGS, ROUTINE
from schemas.labels import SENSITIVITIES
from schemas.measures import MEASURES
from schemas.quality import INTAKE
from schemas.records import BodyComposition, CheckIn, DaySummary, Envelope, FitnessTest, Quantity, Session, VitalSign
from schemas.sports import SPORTS
from schemas.standard import FACTS, STANDARD, field_of

KINDS_OF_PARTY = LISTS["party-kind"]
UNITS: dict[str, tuple[str, str]] = {
    "/min": ("次/分", "/min"),
    "mm[Hg]": ("mmHg", "mmHg"),
    "Cel": ("℃", "°C"),
    "{count}": ("次", ""),
    "{count}/min": ("次/分", "/min"),
    "{score}": ("分", "points"),
    "{points}": ("分", "points"),
    "{steps}": ("步", "steps"),
    "{person}": ("人", ""),
    "/d": ("步", "steps"),
    "{level}": ("级", "level"),
    "kg/m2": ("kg/m²", "kg/m²"),
    "mL/kg/min": ("mL/kg/min", "mL/kg/min"),
    "s": ("秒", "s"),
    "m": ("米", "m"),
    "W": ("瓦", "W"),
    "min": ("分钟", "min"),
    "kcal": ("千卡", "kcal"),
    "kcal/d": ("千卡/天", "kcal/day"),
    "1": ("", ""),
}
"""UCUM unit to how it is written for people; a unit that is not here is written as it is."""

NAMED = ("title", "name", "movement", "stage", "topic", "programme", "service", "description", "reason", "level", "instrument", "venue")
"""Fields by which a record is called, first found first."""

HINTS: dict[str, tuple[str, str]] = {
    "member_number": ("会员号", "member number"),
    "id_number": ("身份证号", "ID number"),
    "name": ("姓名", "name"),
    "phone": ("手机", "phone"),
}
"""What a row says about whom it belongs to: no field of a record."""


def device(told: str) -> str:
    """Chrome · 安卓; what of it is not known is not said."""
    return " · ".join(pick(name) for name in devices.names(told)) or say("不认识的设备")


def country(code: str) -> str:
    """新加坡: the name of an ISO 3166-1 code, as CLDR (in Babel) has it; the code itself where it has none."""
    return str(Locale("en" if LANGUAGE.get() == "en" else "zh").territories.get(code, code))


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


_IN_A_LINE: Final = {
    "session": ("sport", "timer_s", "elapsed_s", "distance_m"), "vital": ("measure", "quantity", "components"), "body-composition": ("quantities",),
    "fitness-test": ("items",), "day-summary": ("steps", "moderate_min", "vigorous_min", "active_min", "resting_hr"), "check-in": ("programme", "venue"),
}  # fmt: skip


def in_a_line(code: str) -> tuple[str, ...]:
    """The fields of a kind of record that its line may show."""
    return _IN_A_LINE.get(code) or (*NAMED, *FACTS[code])


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
        return f"{kind('fitness-test')} {_listed(record.items)}"
    if isinstance(record, DaySummary):
        return _day(record)
    if isinstance(record, CheckIn):
        return " ".join(filter(None, (kind("check-in"), record.programme, record.venue)))
    return _told(record)


def _told(record: Envelope, most: int = 3) -> str:
    """A record by its kind's name, what it is called and its first figures."""
    code = str(record.__struct_config__.tag)
    fields = STANDARD[code].fields
    named = next((str(value) for name in NAMED if (value := getattr(record, name, None))), "")
    figures = [(fields[name], getattr(record, name)) for name in FACTS[code] if isinstance(getattr(record, name), (int, float))]
    told = [f"{pick((one.zh, one.en))} {number(value)} {unit(one.unit)}".strip() for one, value in figures[:most]]
    return " ".join(filter(None, (kind(code), named, "，".join(told))))


def sensitivities(codes: Sequence[str]) -> str:
    """Sensitivities as people call them."""
    known = [pick((SENSITIVITIES[code].zh, SENSITIVITIES[code].en)) if code in SENSITIVITIES else code for code in codes]
    return (", " if LANGUAGE.get() == "en" else "、").join(known)


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
    return "，".join(filter(None, parts)) or kind("day-summary")


def kind(code: str) -> str:
    """A kind of record as people call it."""
    return say("传来的行") if code == INTAKE else pick((STANDARD[code].zh, STANDARD[code].en))


def party_kind(code: str) -> str:
    """A kind of organization as people call it."""
    return pick((KINDS_OF_PARTY[code].zh, KINDS_OF_PARTY[code].en))


def field(name: str) -> str:
    """A field's name as people call it, with its unit where the bare number would not say."""
    stem = name.rpartition(".")[2]
    if stem in HINTS:
        return pick(HINTS[stem])
    if (known := field_of(stem)) is not None:
        unit = pick(UNITS[known.unit]) if known.unit in ("s", "m", "kcal", "W") else ""
        return pick((known.zh, known.en)) + (say("（%(unit)s）", unit=unit) if unit else "")
    return pick((MEASURES[stem].zh, MEASURES[stem].en)) if stem in MEASURES else name


def doubtful(readings: Iterable[Reading]) -> int:
    """How many readings carry a flag that says more than how the value came about."""
    return sum(not ROUTINE.issuperset(reading.flags) for reading in readings)


def parts(record: Session) -> str:
    """What is shown of a session of which only a part may be seen."""
    shown = [
        (record.sport, say("项目")), (record.timer_s or record.elapsed_s, say("时长")), (record.distance_m, say("距离")), (record.hr_avg, say("心率")),
    ]  # fmt: skip
    return (", " if LANGUAGE.get() == "en" else "、").join(name for value, name in shown if value is not None) or say("时间")


def flag(code: str) -> str:
    return pick(FLAGS[code]) if code in FLAGS else code


def masked(name: str | None) -> str:
    """张・・: the family name only."""
    return name[0] + "・" * max(min(len(name) - 1, 3), 1) if name else "–"


def tail(identifier: str | None) -> str:
    """…4417: the end of an identifier."""
    return "…" + identifier[-4:] if identifier else "–"
