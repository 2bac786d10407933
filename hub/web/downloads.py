"""A copy of one's own records: as FHIR, as a table, as PDF, and as a page to print (docs/decisions/0023)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response

from hub.access import representatives
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.audit import disclosed
from hub.audit.disclosed import Detail
from hub.audit.trail import Entry
from hub.care import activity
from hub.exchange import reading
from hub.service import Hub
from hub.store.vault import Asked
from hub.web import dates, history, looks, papers, tables, words
from hub.web.history import Place, Seen
from hub.web.locales import pick, say
from hub.web.pages import Page, download, pages_of
from hub.web.resident import resident_of
from schemas.errors import NotFound
from schemas.measures import MEASURES
from schemas.records import Envelope, Quantity
from schemas.standard import STANDARD

router = APIRouter(prefix="/resident", route_class=Page)

YEARS = 20
"""The longest that is printed."""


@router.get("/downloads")
async def choose(request: Request) -> Response:
    """In which form. Asks for a recent sign-in here, so that no file is asked for in vain."""
    person, _ = await resident_of(request, "download")
    require_recent(person)
    return pages_of(request).render(request, "downloads.html", person=person)


@router.get("/download")
async def everything(request: Request) -> Response:
    """All of one's records as one FHIR Bundle."""
    person, resident = await resident_of(request, "download")
    require_recent(person)
    hub = hub_of(request)
    async with hub.database.connection() as connection:
        found, _ = await reading.visible(hub, connection, history.own(resident, person), ["*"])
    if not found:
        raise NotFound("There is nothing to download.")
    await _note(hub, person, resident, lambda: disclosed.resources((one.type, one.raw) for one in found))
    entries = b",".join(b'{"resource":%b}' % one.raw for one in found)
    bundle = b'{"resourceType":"Bundle","type":"collection","entry":[%b]}' % entries
    return download(bundle, f"kinehub-{datetime.now(await history.zone_of(hub, resident)):%Y-%m-%d}.json", "application/fhir+json")


async def _note(hub: Hub, person: Person, resident: UUID, shown: Callable[[], Detail]) -> None:
    """One entry for a copy, with what is in it where another than the resident takes it: only then is that looked for."""
    purpose = representatives.PURPOSE if person.acting else "PATRQT"
    actor, rule = history.actor_of(person, resident), history.rule_of(person)
    told = shown() if person.acting else None
    detail = hub.vault.seal_detail(resident, told) if told else None
    await hub.trail.note(Entry(actor=actor, action="download", outcome="success", resident=resident, purpose=purpose, rule=rule, detail=detail))


@router.get("/records.csv")
async def table(request: Request) -> Response:
    """All of one's records as a table, one figure a row, the newest first."""
    person, resident = await resident_of(request, "download")
    require_recent(person)
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    head = [say(text) for text in ("日期", "时间", "种类", "内容", "指标", "数值", "单位", "来源", "编号")]
    rows: list[tuple[object, ...]] = []
    copied: list[Envelope] = []
    async for one in _every(hub, history.own(resident, person)):
        if person.acting:
            copied.append(one.record)
        at = history.local(one.record, zone)
        what = (f"{at:%Y-%m-%d}", f"{at:%H:%M}" if history.timed(one.record) else "", words.kind(str(one.record.__struct_config__.tag)), words.line(one.record))
        found: list[tuple[object, ...]] = [*figures(one.record)]
        rows += [(*what, *figure, one.source, one.id) for figure in found or [("", "", "")]]
    await _note(hub, person, resident, lambda: disclosed.records(copied))
    return download(tables.encoded([head, *rows]), f"kinehub-{datetime.now(zone):%Y-%m-%d}.csv", "text/csv; charset=utf-8")


async def _every(hub: Hub, asked: Asked) -> AsyncIterator[Seen]:
    after: Place | None = None
    while True:
        found = await history.read(hub, asked, after=after)
        for one in found.seen:
            yield one
        if found.next is None:
            return
        after = found.next


def figures(record: Envelope) -> Iterator[tuple[str, float, str]]:
    """The figures of a record: what each is, how much, in which UCUM unit."""
    fields = STANDARD[str(record.__struct_config__.tag)].fields
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name in fields:
            yield pick((fields[name].zh, fields[name].en)), value, fields[name].unit
        for quantity in [value] if isinstance(value, Quantity) else value if isinstance(value, list) else []:
            if isinstance(quantity, Quantity):
                known = MEASURES.get(quantity.measure)
                yield pick((known.zh, known.en)) if known else quantity.measure, quantity.value, quantity.unit


@router.get("/records/print")
async def printed(request: Request, years: Annotated[int, Query(ge=1, le=YEARS)] = 1) -> Response:
    """The records of the last years on sheets for a printer, in the words of the pages."""
    person, resident = await resident_of(request, "download")
    require_recent(person)
    hub, zone, since, found = await _years(request, person, resident, years)
    older = years < YEARS and bool((await history.read(hub, history.own(resident, person), after=(since, UUID(int=0)), most=1)).seen)
    return pages_of(request).render(
        request, "printed.html", person=person, rows=[_line(one, zone) for one in found], years=years, since=since.date(),
        today=activity.today_in(zone).date(), older=older,
    )  # fmt: skip


async def _years(request: Request, person: Person, resident: UUID, years: int) -> tuple[Hub, ZoneInfo, datetime, list[Seen]]:
    """The records of the last years as they are copied, which is noted."""
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    since = datetime.now(zone) - timedelta(days=365 * years)
    found: list[Seen] = (await history.read(hub, history.own(resident, person), since=since)).seen
    await _note(hub, person, resident, lambda: looks.in_lines(one.record for one in found))
    return hub, zone, since, found


def _line(one: Seen, zone: ZoneInfo) -> tuple[str, str, str]:
    """When, what and from where."""
    at = history.local(one.record, zone)
    when = f"{dates.plain(at.date())} {dates.clock(at) if history.timed(one.record) else ''}".strip()
    own = say("（自己填报）") if one.record.modality == "self-reported" else ""
    return when, words.line(one.record) + own, one.source


@router.get("/records.pdf")
async def sheets(request: Request, years: Annotated[int, Query(ge=1, le=YEARS)] = 1) -> Response:
    """The same as a PDF."""
    person, resident = await resident_of(request, "download")
    require_recent(person)
    pages_of(request).speak(request)
    _, zone, since, found = await _years(request, person, resident, years)
    today = activity.today_in(zone).date()
    title = say("%(name)s的记录", name=person.acts_for or person.name)
    span = dates.full(since.date()), dates.full(today)
    told = say("%(since)s 到 %(until)s，共 %(n)d 条。%(day)s印出。", since=span[0], until=span[1], n=len(found), day=span[1])
    head = (say("日期"), say("内容"), say("来源"))
    pdf = await asyncio.to_thread(papers.table, title, told, head, [_line(one, zone) for one in found], (3, 6, 3))
    return download(pdf, f"kinehub-{today:%Y-%m-%d}.pdf", "application/pdf")
