"""How good a source's data is: its score over time, and each run's report (Data Docs). A party sees its own only; no values of a person.

Our own pages, because the stock ones of Great Expectations load styles and scripts from other people's servers.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Request, Response

from hub.access.requests import hub_of
from hub.care.activity import Reading, today_in
from hub.quality import reports
from hub.quality.reports import Expected, Kept
from hub.web import words
from hub.web.center import staff_of
from hub.web.locales import pick, say
from hub.web.pages import Page, pages_of
from schemas.quality import DIMENSIONS, rule_named
from schemas.resident import ZONE

router = APIRouter(prefix="/center/quality", route_class=Page)

MOST = 60
SHOWN_RECEIPTS = 20
COMPUTED: dict[str, tuple[str, str]] = {
    "pause_s": ("暂停", "pauses"),
    "overrun_s": ("总用时与起止之差", "elapsed time against start and end"),
    "intensity_over_min": ("强度分钟与总用时之差", "minutes of intensity against elapsed time"),
    "intensity_min": ("中高强度分钟", "minutes of intensity"),
    "speed_m_s": ("速度", "speed"),
    "speed_share": ("速度占极限之比", "speed against the sport's limit"),
    "energy_per_min": ("每分钟热量", "energy a minute"),
    "steps_per_min": ("步频", "steps a minute"),
    "hr_coverage": ("心率采样所占的份额", "share of samples with a heart rate"),
    "stride_m": ("步长", "length of a step"),
    "bmi_gap": ("体质指数与身高体重之差", "body mass index against height and weight"),
    "fat_gap_kg": ("脂肪量与体脂率之差", "fat mass against body fat"),
    "stages_over_min": ("各期睡眠与睡眠时长之差", "stages against the duration of sleep"),
    "stay_h": ("停留", "stay"),
}
"""Figures computed from a record's own, as people call them."""


class Line(msgspec.Struct, frozen=True):
    """One expectation in words."""

    text: str
    dimension: str
    reason: str
    found: str


@router.get("")
async def source(request: Request) -> Response:
    """The party's score over time."""
    person, party = await staff_of(request)
    zone = ZoneInfo(party.zone or ZONE)
    async with hub_of(request).database.connection() as connection:
        runs = await reports.latest(connection, party.number, MOST)
    readings = [Reading(run.started.astimezone(zone).replace(tzinfo=None), run.score) for run in reversed(runs) if run.score is not None]
    return pages_of(request).render(
        request, "quality.html", person=person, party=party, now=today_in(zone), readings=readings, runs=[(run, _at(run, zone)) for run in runs]
    )  # fmt: skip


def _at(run: Kept, zone: ZoneInfo) -> Any:
    return run.started.astimezone(zone).replace(tzinfo=None)


@router.get("/{run}")
async def report(request: Request, run: UUID) -> Response:
    """What was expected of a batch, and what was kept."""
    person, party = await staff_of(request)
    zone = ZoneInfo(party.zone or ZONE)
    hub = hub_of(request)
    async with hub.database.connection() as connection:
        kept, found = await reports.read(connection, hub.keyring, party.number, run)
    tables = [
        (kind, count, *(_lines([one for one in found.results if one.kind == kind and one.success is met]) for met in (False, True)))
        for kind, count in found.kinds.items()
    ]
    return pages_of(request).render(
        request, "quality_report.html", person=person, party=party, run=kept, at=_at(kept, zone), now=today_in(zone), tables=tables,
        shares=[(pick(DIMENSIONS[name]), 100 * share) for name, share in found.shares.items()], receipts=kept.receipts[:SHOWN_RECEIPTS],
        more=max(len(kept.receipts) - SHOWN_RECEIPTS, 0),
    )  # fmt: skip


def _lines(results: list[Expected]) -> list[Line]:
    return [line for line in map(_line, results) if line is not None]


def _line(one: Expected) -> Line | None:
    """An expectation in words; None for a rule that the standard no longer has."""
    dimension, found = pick(DIMENSIONS[one.dimension]), say("%(of)d 条里 %(failed)d 条不合", of=one.of, failed=one.failed)
    what, _, column = one.rule.partition(":")
    if column:
        return Line(_drift(what, column), dimension, say("本来源自己前 30 天"), say("%(of)d 条一起看", of=one.of))
    rule = rule_named(one.kind, one.rule)
    return Line(pick((rule.zh, rule.en)), dimension, rule.source, found) if rule else None


def _drift(what: str, column: str) -> str:
    name = pick(COMPUTED[column]) if column in COMPUTED else words.field(column)
    if what == "mean":
        return say("“%(name)s”的平均值和前 30 天差不多", name=name)
    if what == "median":
        return say("“%(name)s”的中位数和前 30 天差不多", name=name)
    if column in ("refused", "waiting"):
        return say("不收的行没有比前 30 天多") if column == "refused" else say("等确认是谁的行没有比前 30 天多")
    return say("有疑问的记录没有比前 30 天多")
