"""The centre's pages: choose a file, see what would be taken, take it, keep the receipt; settle the rows that wait.

Between preview and taking, the file lies sealed for an hour under a key of its own (`hub/intake/preview.py`); its upload is
read into memory and never touches a disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, time
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request, Response

from adapters import marked
from adapters.base import Limits, adapter
from hub.access import requests, sessions
from hub.access.requests import file_too_large, hub_of
from hub.access.sessions import Person, require_person
from hub.care.activity import local, today_in
from hub.exchange.occupancy import FIGURES
from hub.intake import identity
from hub.intake.pending import settle_row
from hub.intake.preview import File, Preview, Row, discard, park, parked, preview, waiting
from hub.intake.receipts import RejectedRow, read_receipt
from hub.intake.upload import Delivery, take
from hub.quality import reports
from hub.service import Hub
from hub.store import grants, occupancy, parties
from hub.store.occupancy import Stored
from hub.store.parties import Party
from hub.web import faults, forms, tables, words
from hub.web.locales import say
from hub.web.pages import Page, download, pages_of, see
from schemas.errors import AdapterError, NotFound, Refused, Unauthenticated
from schemas.flags import ROUTINE
from schemas.records import Envelope, Who
from schemas.resident import ZONE

router = APIRouter(prefix="/center", route_class=Page)

SYSTEMS = {"member": "member_number", "id-number": "id_number", "health-card": "health_card"}
SHOWN = 200
COUNTED = 24
"""Counts of today on the first page."""


async def staff_of(request: Request, csrf: str | None = None) -> tuple[Person, Party]:
    """The member of staff who is signed in, and their party. Raises Unauthenticated or Refused."""
    person = await require_person(request, "staff", csrf=csrf)
    assert person.party is not None
    async with hub_of(request).database.connection() as connection:
        return person, await parties.by_number(connection, person.party)


@router.get("")
async def home(request: Request) -> Response:
    """Choose a file; what came in today; the last receipts."""
    person, party = await staff_of(request)
    return await _home(request, person, party)


async def _home(request: Request, person: Person, party: Party, error: str = "", status: int = 200) -> Response:
    zone = ZoneInfo(party.zone or ZONE)
    now = today_in(zone)
    async with hub_of(request).database.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, created, format, status, cardinality(records) AS taken, "
            "(SELECT count(*) FROM pending p WHERE p.receipt = r.id AND p.expires > now()) AS waiting "
            "FROM receipts r WHERE party = $1 ORDER BY created DESC LIMIT 8",
            party.number,
        )
        today = await connection.fetchval(
            "SELECT count(*) FROM receipts WHERE party = $1 AND created >= $2", party.number, datetime.combine(now.date(), time(), tzinfo=zone)
        )
        judged = await reports.latest(connection, party.number, 1)
        waiting = await connection.fetchval("SELECT count(*) FROM petitions WHERE party = $1 AND outcome IS NULL", party.number)
        await hub_of(request).directory.refresh(connection)
        counted = await occupancy.own(connection, party.number, datetime.combine(now.date(), time(), tzinfo=zone), COUNTED)
    receipts = [dict(row) | {"title": adapter(row["format"]).title, "created": row["created"].astimezone(zone).replace(tzinfo=None)} for row in rows]
    return pages_of(request).render(
        request, "center.html", status, person=person, party=party, now=now, today=today, receipts=receipts, error=error,
        quality=judged[0] if judged else None, waiting=waiting, counts=[_counted(hub_of(request), one, zone) for one in counted],
        figures=FIGURES,
    )  # fmt: skip


def _counted(hub: Hub, one: Stored, zone: ZoneInfo) -> dict[str, Any]:
    """A count of people at a venue as the centre's page shows it."""
    clock = f"{local(one.record.start, zone):%H:%M}" + (f"–{local(one.record.end, zone):%H:%M}" if one.record.end else "")
    full = any(flag.code == "over-capacity" for flag in one.record.flags)
    return {"venue": hub.directory.name_of("Location", one.venue), "clock": clock, "full": full, "record": one.record}


@router.post("/preview")
async def choose(request: Request) -> Response:
    """Take a file in for an hour and show what would become of it."""
    current = await sessions.session(request)
    if current is None or current.person is None:
        raise Unauthenticated("Nobody is signed in here.")
    fields, file = await forms.with_file(request, Limits().bytes, file_too_large())
    person, party = await staff_of(request, fields.get("csrf", ""))
    hub = hub_of(request)
    if file is None or not file.body:
        return await _home(request, person, party, say("请先选一个文件。"), 422)
    try:
        await preview(hub, _delivery(party, file))
    except (AdapterError, NotFound, Refused) as error:
        return await _home(request, person, party, faults.file(error.code, error.message, error.advice, error.field), error.status)
    return see(f"/center/preview/{await park(hub, party, person.account, file)}")


def _delivery(party: Party, file: File) -> Delivery:
    return Delivery(party=party, body=file.body, filename=file.name)


@router.get("/preview/{file_id}")
async def look(request: Request, file_id: UUID) -> Response:
    """What would become of each row. Nothing is stored yet."""
    person, party = await staff_of(request)
    hub = hub_of(request)
    file = await parked(hub, party, person.account, file_id)
    found = await preview(hub, _delivery(party, file))
    zone = ZoneInfo(party.zone or ZONE)
    rows = sorted((row for row in found.rows if row.becomes in _ORDER or _notable(row)), key=lambda row: _ORDER.get(row.becomes, len(_ORDER)))
    plain = [row for row in found.rows if row.becomes not in _ORDER and not _notable(row)]
    members = found.members()
    agreed = await grants.agreed(hub, members, party)
    return pages_of(request).render(
        request, "preview.html", person=person, party=party, file=file, file_id=file_id, preview=found, zone=party.zone or ZONE, now=today_in(zone),
        rows=[_shown(row, zone) for row in rows[:SHOWN]], more=max(len(rows) - SHOWN, 0), accepted=[_shown(row, zone) for row in plain[:SHOWN]],
        taken=found.count("new", "changed", "newcomer"), pending=found.count("pending"), rejected=found.count("rejected"), known=found.count("known"),
        members=len(members), disagreed=[_member(who) for resident, who in members.items() if resident not in agreed][:SHOWN], agreed=len(agreed),
    )  # fmt: skip


def _shown(row: Row, zone: ZoneInfo) -> dict[str, Any]:
    """One row of the preview's table."""
    shown = {"cell": _place(row), "who": _member(row.who), "what": "", "line": "", "advice": "", "state": row.becomes}
    if said := _fault(row):
        return shown | {"what": said.wrong, "advice": said.advice, "line": _line(row, zone) if row.becomes == "pending" else ""}
    flags = _notable(row)
    if row.becomes == "newcomer":
        return shown | {"what": _line(row, zone), "advice": "；".join([say("还没有人认识：收下时登记为新会员"), *flags])}
    return shown | {"what": _line(row, zone), "advice": "；".join(flags), "state": "warned" if flags and row.becomes != "known" else row.becomes}


_ORDER = {"rejected": 0, "pending": 1, "newcomer": 2}


def _notable(row: Row) -> list[str]:
    """What staff should know of a row that is taken: its flags, but for those that every file of this kind has."""
    flags = row.record.flags if row.record else []
    return list(dict.fromkeys(words.flag(flag.code) for flag in flags if flag.code not in ROUTINE))


def _line(row: Row, zone: ZoneInfo) -> str:
    return _at(row.record, zone) if row.record else ""


def _at(record: Envelope, zone: ZoneInfo) -> str:
    return f"{local(record.start, zone):%m-%d %H:%M} {words.line(record)}"


def _member(who: Who | None) -> str:
    """Enough for the staff to find the row, and no more: the family name and the end of a number."""
    if who is None:
        return "–"
    number = who.member_number or who.id_number or who.health_card or who.source_id
    return " ".join(filter(None, (words.masked(who.name) if who.name else "", words.tail(number) if number else ""))) or "–"


@router.post("/preview/{file_id}/accept")
async def accept(request: Request, file_id: UUID) -> Response:
    """Store what can be stored."""
    person, party = await staff_of(request)
    hub = hub_of(request)
    file = await parked(hub, party, person.account, file_id)
    known = (await preview(hub, _delivery(party, file))).count("known")
    _, receipt = await take(hub, _delivery(party, file))
    told: dict[str, object] = {"again": known} if known else {}
    if receipt["rejected"] or receipt["pending"]:
        told |= {"file": file_id}
    else:
        await discard(hub, party, person.account)
    return see(f"/center/receipts/{receipt['receipt_id']}?{urlencode(told)}".rstrip("?"))


@router.get("/preview/{file_id}/marked")
async def marked_file(request: Request, file_id: UUID) -> Response:
    """The file as it came, with what is wrong beside each row that was not taken; for other formats than tables, the list of those rows."""
    person, party = await staff_of(request)
    hub = hub_of(request)
    file = await parked(hub, party, person.account, file_id)
    found = await preview(hub, _delivery(party, file))
    name = f"{file.name.rpartition('.')[0] or file.name}-{say('带错误列')}"
    if found.format != "table":
        return download(tables.encoded(_errors(found)), f"{name}.csv", "text/csv; charset=utf-8")
    sheets = await asyncio.to_thread(marked.sheets, file.body, (say("错误"), say("怎么办")), _notes(found))
    if sheets[0][0]:
        return download(await asyncio.to_thread(tables.workbook, sheets), f"{name}.xlsx", _XLSX)
    return download(tables.encoded(sheets[0][1]), f"{name}.csv", "text/csv; charset=utf-8")


_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _notes(found: Preview) -> marked.Note:
    """What to write beside a row: every fault of it, with its cell."""
    notes: dict[tuple[int, bytes | None], list[tuple[str, faults.Words]]] = {}
    for row in found.rows:
        if words_ := _fault(row):
            notes.setdefault((row.row, row.original), []).append((_place(row), words_))

    def note(number: int, original: bytes) -> Sequence[str]:
        said = notes.get((number, original), [])
        return ("；".join(f"{place} {words_.wrong}" for place, words_ in said), " ".join(words_.advice for _, words_ in said)) if said else ()

    return note


def _fault(row: Row) -> faults.Words | None:
    """Why a row is not taken as it is; None for one that is."""
    if row.rejected:
        return faults.row(row.rejected, row.original, row.record)
    return faults.waiting(row.reason) if row.becomes == "pending" else None


def _place(row: Row) -> str:
    """The cell to look at, else the row."""
    return (row.rejected.cell if row.rejected else row.cell) or say("第 %(n)d 行", n=row.row)


def _errors(found: Preview) -> Sequence[Sequence[object]]:
    said = [(row, words_) for row in found.rows if (words_ := _fault(row))]
    return [[say("行"), say("错误"), say("怎么办")], *([_place(row), words_.wrong, words_.advice] for row, words_ in said)]


@router.get("/receipts/{receipt}")
async def receipt_page(
    request: Request, receipt: UUID, file: UUID | None = None, error: str = "", again: Annotated[int, Query(ge=0, le=50_000)] = 0
) -> Response:
    """A receipt, with the rows that still wait. `again` rows had been taken before, and are not doubled."""
    person, party = await staff_of(request)
    hub = hub_of(request)
    found = await read_receipt(hub, party, receipt)
    zone = ZoneInfo(party.zone or ZONE)
    waits = await waiting(hub, party, receipt)
    said = [(row, faults.row(row)) for row in msgspec.convert(found["rejected"], list[RejectedRow])]
    return pages_of(request).render(
        request,
        "receipt.html",
        person=person,
        party=party,
        receipt=found,
        created=datetime.fromisoformat(found["created"]).astimezone(zone),
        file=file,
        again=again,
        title=adapter(found["format"]).title,
        rejected=said,
        waits=[(wait, _member(wait.who), _at(wait.record, zone), faults.waiting(wait.reason)) for wait in waits],
        error=faults.FILES["no-such-member"] if error == "member" else "",
        now=today_in(zone),
    )


@router.post("/receipts/{receipt}/pending/{row}")
async def settle(request: Request, receipt: UUID, row: int) -> Response:
    """Say whose a waiting row is, by a number of the resident; a resident's own id is taken too."""
    _, party = await staff_of(request)
    hub, fields = hub_of(request), await requests.fields(request)
    resident = await _resident(hub, party, fields.get("system", ""), fields.get("value", "").strip())
    if resident is None:
        return see(f"/center/receipts/{receipt}?error=member#waiting")
    await settle_row(hub, party, receipt, row, resident)
    return see(f"/center/receipts/{receipt}#waiting")


async def _resident(hub: Hub, party: Party, system: str, value: str) -> UUID | None:
    if system == "resident":
        return await _known(hub, value)
    if system not in SYSTEMS or not value or len(value) > 60:
        return None
    async with hub.database.connection() as connection:
        (found,) = await identity.match(connection, hub.keyring, [msgspec.convert({SYSTEMS[system]: value}, Who)], str(party.id))
    return found.resident


async def _known(hub: Hub, text: str) -> UUID | None:
    try:
        wanted = UUID(text)
    except ValueError:
        return None
    async with hub.database.connection() as connection:
        return wanted if await hub.vault.subjects(connection, [wanted]) else None
