"""The resident's side of petitions: a record to correct or delete, a result for a person to look at, a look to explain; each with its clock and its answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request, Response

from hub.access import requests
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.service import Hub
from hub.store import parties
from hub.store import petitions as store
from hub.store.petitions import Kind, Petition
from hub.store.vault import Asked
from hub.web import computed, faults, history, looks, words
from hub.web.computed import Result
from hub.web.history import Seen
from hub.web.locales import say
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from schemas.errors import BadRequest, Conflict, NotFound

router = APIRouter(prefix="/resident/petitions", route_class=Page)

SHOWN = 5
KINDS: dict[str, tuple[str, str]] = {
    "correction": ("请更正", "correction"),
    "deletion": ("请删除", "deletion"),
    "dispute": ("请说明为什么看", "explanation of a look"),
    "review": ("请人看看结果", "a person to look at a result"),
}
OUTCOMES: dict[str, tuple[str, str]] = {
    "corrected": ("已经更正", "corrected"),
    "deleted": ("已经删除", "deleted"),
    "not-wrong": ("没有改：核对过，没有错", "not changed: checked, and it is right"),
    "not-ours": ("没有改：不是我们记下的", "not changed: not recorded by us"),
    "law-requires": ("没有删：法律要求保存", "not deleted: the law requires it to be kept"),
    "explained": ("工作需要，已经说明", "needed for the work; explained"),
    "misuse": ("不该看，已经处理", "should not have looked; dealt with"),
    "changed": ("人工看过，结果改了", "looked at by a person, and changed"),
    "upheld": ("人工看过，结果不变", "looked at by a person; the result stands"),
    "not-computed": ("这是人做的判断，不是电脑算的", "judged by a person, not computed"),
}


class Clock(msgspec.Struct, frozen=True):
    """A petition as its two sides see it: who answers, on the clock of its reader, and the days left (negative: overdue)."""

    petition: Petition
    party: str
    made: datetime
    due: datetime
    left: int

    @property
    def state(self) -> str:
        if self.petition.outcome:
            return say("已经答复")
        return say("还有 %(n)d 天答复", n=self.left) if self.left >= 0 else say("过期 %(n)d 天没有答复", n=-self.left)


def clock(petition: Petition, names: dict[int, str], zone: ZoneInfo) -> Clock:
    due = petition.due.astimezone(zone)
    return Clock(
        petition, names.get(petition.party) or say("运动健康通管理员"), petition.made.astimezone(zone), due, (due.date() - datetime.now(zone).date()).days
    )


async def names_of(hub: Hub) -> dict[int, str]:
    async with hub.database.connection() as connection:
        return {party.number: party.name for party in await parties.everyone(connection)}


@router.get("")
async def listing(request: Request, skip: Annotated[int, Query(ge=0, le=10_000)] = 0) -> Response:
    """What was asked, newest first."""
    person, resident = await resident_of(request, "ask")
    hub = hub_of(request)
    zone, names = await history.zone_of(hub, resident), await names_of(hub)
    async with hub.database.connection() as connection:
        known = await store.of_resident(connection, resident)
    found = [clock(one, names, zone) for one in known if await _may_read(hub, person, resident, one)]
    return pages_of(request).render(
        request, "petitions.html", person=person, petitions=found[skip : skip + SHOWN], first=not skip, kinds=KINDS, outcomes=OUTCOMES,
        older=skip + SHOWN if len(found) > skip + SHOWN else 0,
    )  # fmt: skip


@router.get("/new")
async def new(request: Request, record: Annotated[str, Query(max_length=40)] = "") -> Response:
    """Ask for one record. Raises NotFound for what is not theirs, or was recorded by nobody else."""
    person, resident = await resident_of(request, "ask")
    hub = hub_of(request)
    one = await _record(hub, history.own(resident, person), _uuid(record))
    looks.show(request, [one.record])
    zone = await history.zone_of(hub, resident)
    return pages_of(request).render(request, "petition_new.html", person=person, one=one, at=history.local(one.record, zone), error="")


@router.get("/result")
async def result(request: Request, record: Annotated[str, Query(max_length=40)] = "") -> Response:
    """What a computed result was made from, and the button that asks a person. Raises NotFound for a record without one."""
    person, resident = await resident_of(request, "ask")
    hub = hub_of(request)
    one = await _record(hub, history.own(resident, person), _uuid(record))
    return await _result(request, person, resident, one)


async def _result(request: Request, person: Person, resident: UUID, one: Seen, error: str = "", status: int = 200) -> Response:
    hub = hub_of(request)
    if not computed.is_computed(one.record):
        raise NotFound("There is no such result.")
    inputs = await _inputs(hub, history.own(resident, person), one)
    looks.show(request, [one.record, *(seen.record for seen in inputs)])
    found = computed.result_of(one.record, inputs)
    at = history.local(one.record, await history.zone_of(hub, resident))
    return pages_of(request).render(
        request, "petition_result.html", status, person=person, one=one, at=at, error=error, result=found, source=one.source, edition=computed.edition()
    )


async def _inputs(hub: Hub, asked: Asked, one: Seen) -> list[Seen]:
    """The records that a derived one names, by the ids that their source gave them, as far as its reader may see them."""
    named = set(getattr(one.record, "inputs", ()))
    if not named:
        return []
    return [seen for seen in (await history.read(hub, asked)).seen if seen.party == one.party and seen.record.source_record_id in named]


async def _may_read(hub: Hub, person: Person, resident: UUID, petition: Petition) -> bool:
    """A representative reads what they asked themselves, and what is about a record that they may see: words tell what the record says."""
    if not person.acting or petition.representative == person.acting:
        return True
    return petition.record is not None and await history.one(hub, history.own(resident, person), petition.record) is not None


async def _record(hub: Hub, asked: Asked, record: UUID) -> Seen:
    one = await history.one(hub, asked, record)
    if one is None:
        raise NotFound("There is no such record.")
    return one


@router.post("/new")
async def ask(request: Request) -> Response:
    """Send it. The same asked twice is one petition."""
    person, resident = await resident_of(request, "ask")
    hub, fields = hub_of(request), await requests.fields(request)
    kind, record = fields.get("kind", ""), _uuid(fields.get("record", ""))
    one = await _record(hub, history.own(resident, person), record)
    if kind not in ("correction", "deletion", "review"):
        raise BadRequest("A record is corrected or deleted, or its result looked at.", field="kind")
    if kind == "deletion":
        require_recent(person)
    at = history.local(one.record, await history.zone_of(hub, resident))
    of_hub = kind == "review" and fields.get("of") == "flags"
    try:
        said = _asking(one, of_hub, fields.get("words", "")) if kind == "review" else told(words.line(one.record), fields.get("words", ""))
        made = await store.about_record(
            hub, resident, record, cast(Kind, kind), f"{at:%Y-%m-%d %H:%M} {said}" if said else "", actor=history.actor_of(person, resident),
            representative=person.acting, of_hub=of_hub,
        )  # fmt: skip
    except (BadRequest, Conflict) as wrong:
        if kind == "review":
            return await _result(request, person, resident, one, why(wrong), wrong.status)
        return pages_of(request).render(request, "petition_new.html", wrong.status, person=person, one=one, at=at, error=why(wrong))
    return see(f"/resident/petitions/{made.id}#main")


def _asking(one: Seen, of_hub: bool, said: str) -> str:
    """What a person is asked to look at, in the resident's words or in ours. Raises NotFound where there is no such result."""
    found = computed.result_of(one.record)
    about = found.flags if of_hub else [f"{label} {text}" for label, text in found.said]
    if not about:
        raise NotFound("There is no such result.")
    return told(f"{words.line(one.record)}\n{'；'.join(about)}", said.strip() or say("请人看一看这个结果，讲一讲是怎么来的。"))


def told(about: str, said: str) -> str:
    """What a party reads: what it is about, as the resident sees it, and what the resident says of it."""
    return f"{about}\n{said.strip()}" if said.strip() else ""


def why(wrong: BadRequest | Conflict) -> str:
    return say("请写几个字，说说是怎么回事。") if isinstance(wrong, BadRequest) else faults.file(wrong.code, wrong.message, wrong.advice)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such record.") from None


@router.get("/{petition}")
async def show(request: Request, petition: UUID) -> Response:
    """One petition with its answer. Raises NotFound."""
    person, resident = await resident_of(request, "ask")
    hub = hub_of(request)
    async with hub.database.connection() as connection:
        known = next((one for one in await store.of_resident(connection, resident) if one.id == petition), None)
    if known is None or not await _may_read(hub, person, resident, known):
        raise NotFound("There is no such petition.")
    found, said, answer = await store.read(hub, petition, actor=history.actor_of(person, resident), resident=resident)
    zone = await history.zone_of(hub, resident)
    asked = history.own(resident, person)
    one = await history.one(hub, asked, found.record) if found.record else None
    made_from = computed.result_of(one.record, await _inputs(hub, asked, one)) if one and found.kind == "review" else None
    return pages_of(request).render(
        request, "petition.html", person=person, one=clock(found, await names_of(hub), zone), said=said, answer=answer, kinds=KINDS, outcomes=OUTCOMES,
        line=words.line(one.record) if one else "", at=history.local(one.record, zone) if one else None, source=one.source if one else "",
        result=made_from and _asked_about(found, made_from), edition=computed.edition(),
    )  # fmt: skip


def _asked_about(petition: Petition, found: Result) -> Result:
    """The hub answers for its marks, the source for the result."""
    return found._replace(said=[]) if petition.party == store.HUB else found._replace(flags=[])
