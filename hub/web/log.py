"""The pages of who looked: the log in its four parts, one look with its proof, and the form by which a look is disputed."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from hub.access import requests
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.audit.trail import Entry
from hub.care import activity
from hub.exchange import audit_events
from hub.service import Hub
from hub.store import petitions as store
from hub.web import fields, history, looks, petitions, sharing, tables
from hub.web.locales import say
from hub.web.pages import Page, download, pages_of, see
from hub.web.resident import moment, resident_of
from schemas.errors import BadRequest, Conflict, NotFound

router = APIRouter(prefix="/resident/looks", route_class=Page)

SHOWN = 30


@router.get("")
async def log(request: Request, before: Annotated[str, Query(max_length=40)] = "", tab: Annotated[str, Query(max_length=10)] = "people") -> Response:
    """The whole log in four parts: people, systems, who was blocked, and one's own acts."""
    person, resident = await resident_of(request, "look")
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    part = tab if tab in looks.TABS else "people"
    sources = [party.number for party in await sharing.uploaders(hub, resident, person)] if person.acting else None
    found, older = await looks.read(hub, resident, zone, tab=part, most=SHOWN, before=moment(before) if before else None, sources=sources)
    newest = hub.trail.heads.newest()
    return pages_of(request).render(
        request,
        "looks.html",
        person=person,
        looks=found,
        signed=await looks.signed(hub, found),
        head=newest[0] if newest else None,
        sealed=newest[0].at.astimezone(zone) if newest else None,
        first=not before,
        today=activity.today_in(zone).date(),
        older=older.isoformat().replace("+00:00", "Z") if older else "",
        tabs=looks.TABS,
        tab=part,
    )


Chain = Annotated[int, Path(ge=1, lt=2**31)]
Seq = Annotated[int, Path(ge=1, lt=2**63)]


@router.get("/{chain}/{seq}")
async def look(request: Request, chain: Chain, seq: Seq) -> Response:
    """One look: who, for whom, what for, by which agreement, what was shown; with its proof, and a form to dispute it. Raises NotFound."""
    person, resident = await resident_of(request)
    return await _look(request, person, resident, (chain, seq))


async def _look(request: Request, person: Person, resident: UUID, entry: tuple[int, int], error: str = "", status: int = 200) -> Response:
    hub = hub_of(request)
    found, shown = await looks.one(hub, resident, await history.zone_of(hub, resident), entry)
    return pages_of(request).render(
        request, "look.html", status, person=person, look=found, shown=shown, listed=fields.listed, error=error,
        signed=entry in await looks.signed(hub, [found]),
        grants=[grant for grant in await sharing.grants_of(hub, resident) if str(grant.id) in found.rule], asked=await _disputed(hub, resident, entry),
    )  # fmt: skip


async def _disputed(hub: Hub, resident: UUID, entry: tuple[int, int]) -> UUID | None:
    """The newest petition about this look."""
    async with hub.database.connection() as connection:
        return next((one.id for one in await store.of_resident(connection, resident) if one.entry == entry), None)


@router.post("/{chain}/{seq}")
async def dispute(request: Request, chain: Chain, seq: Seq) -> Response:
    """Ask the party to explain a look. Raises NotFound."""
    person, resident = await resident_of(request)
    hub, form = hub_of(request), await requests.fields(request)
    found, _ = await looks.one(hub, resident, await history.zone_of(hub, resident), (chain, seq))
    if found.own:
        raise NotFound("One's own acts are not disputed.")
    try:
        said = petitions.told(f"{found.at:%Y-%m-%d %H:%M} {found.who} {found.what}", form.get("words", ""))
        made = await store.about_look(hub, resident, (chain, seq), said)
    except (BadRequest, Conflict) as wrong:
        return await _look(request, person, resident, (chain, seq), petitions.why(wrong), wrong.status)
    return see(f"/resident/petitions/{made.id}#main")


@router.get("/head")
async def head(request: Request) -> Response:
    """The newest signed head of the audit, to keep: it holds nothing of anybody."""
    await resident_of(request)
    newest = hub_of(request).trail.heads.newest()
    if newest is None:
        raise NotFound("There is no signed head yet.")
    return download(newest[1].encode() + b"\n", f"kinehub-audit-head-{newest[0].size}.jws", "application/jose")


COLUMNS = ("日期", "时间", "谁", "身份", "机构", "为了什么", "做了什么", "看到了什么", "其中哪几项", "没有给看的", "凭什么看", "被挡住", "编号", "盖住它的印")


def _row(one: looks.Look, shown: looks.Shown, sealed: int | None) -> tuple[object, ...]:
    """sealed: how many entries the signed head knows that has this one; it names the head"""
    return (
        f"{one.at:%Y-%m-%d}", f"{one.at:%H:%M:%S}", one.who, one.role, one.party, one.why, one.what, "; ".join(shown.what), "; ".join(shown.fields),
        shown.cut or "", one.rule, say("是") if one.refused else "", f"{one.entry[0]}-{one.entry[1]}",
        sealed or "",
    )  # fmt: skip


def _taken(person: Person, resident: UUID) -> Entry:
    return Entry(actor=history.actor_of(person, resident), action="download", outcome="success", resident=resident, purpose="PATRQT")


@router.get("/log.json")
async def events(request: Request) -> Response:
    """The whole log as AuditEvents, with the newest signed head as a Binary: `kinehub audit verify` goes by it."""
    person, resident = await resident_of(request)
    require_recent(person)
    hub = hub_of(request)
    zone, newest = await history.zone_of(hub, resident), hub.trail.heads.newest()
    async with hub.database.connection() as connection:
        found = [one.raw for one in await audit_events.every(hub, connection, history.own(resident))]
    await hub.trail.note(_taken(person, resident))
    if newest:
        jws = base64.b64encode(newest[1].encode()).decode()
        found.append(msgspec.json.encode({"resourceType": "Binary", "contentType": "application/jose", "data": jws}))
    bundle = b'{"resourceType":"Bundle","type":"collection","entry":[%b]}' % b",".join(b'{"resource":%b}' % raw for raw in found)
    return download(bundle, f"kinehub-log-{datetime.now(zone):%Y-%m-%d}.json", "application/fhir+json")


@router.get("/log.csv")
async def table(request: Request) -> Response:
    """The whole log as a table; `entry` is what `kinehub audit prove` and the proof of each entry go by."""
    person, resident = await resident_of(request)
    require_recent(person)
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    newest, found = hub.trail.heads.newest(), await looks.every(hub, resident, zone)
    signed = await looks.signed(hub, [one for one, _ in found]) if newest else set()
    await hub.trail.note(_taken(person, resident))
    rows = [[say(name) for name in COLUMNS], *(_row(*one, newest[0].size if newest and one[0].entry in signed else None) for one in found)]
    return download(tables.encoded(rows), f"kinehub-log-{datetime.now(zone):%Y-%m-%d}.csv", "text/csv; charset=utf-8")


@router.get("/{chain}/{seq}/proof")
async def proof(request: Request, chain: Chain, seq: Seq) -> Response:
    """The proof that one entry of one's own log is under the newest signed head."""
    _, resident = await resident_of(request)
    found = await looks.proof(hub_of(request), resident, chain, seq)
    return download(msgspec.json.encode(found), f"kinehub-audit-{chain}-{seq}.json", "application/json")
