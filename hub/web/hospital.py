"""The doctor's pages: find a patient, and one patient's exercise on one screen, as far as consent reaches right now.

Where nothing is visible the page says the same for a resident who has not agreed and for an id that never was. Every look is
in the audit before the answer leaves, the empty ones too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Request, Response

from hub.access import emergency, representatives, requests
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person
from hub.audit import disclosed
from hub.audit.trail import Entry
from hub.care import activity
from hub.care.activity import Reading
from hub.intake import identity
from hub.service import Hub
from hub.store import parties, visit_codes
from hub.store.parties import Party
from hub.store.vault import Asked
from hub.web import faults, history
from hub.web.history import Seen
from hub.web.pages import Page, pages_of, see
from schemas.errors import BadRequest, NotFound, Refused
from schemas.records import DaySummary, Envelope, FitnessTest, Quantity, Session, Who

router = APIRouter(prefix="/hospital", route_class=Page)

WINDOWS = (4, 12, 52)
SHOWN = 7
OTHERS = 4
SYSTEMS = {"id-number": "id_number", "health-card": "health_card", "member": "member_number"}
PURPOSE = "TREAT"


async def doctor_of(request: Request) -> tuple[Person, Party]:
    """The doctor who is signed in, and their party. Raises Unauthenticated or Refused."""
    person = await require_person(request, "doctor")
    assert person.party is not None
    async with hub_of(request).database.connection() as connection:
        party = await parties.by_number(connection, person.party)
    if PURPOSE not in party.purposes:
        raise Refused("This organization is not registered for treatment.", advice="Ask the hub's administrator.")
    return person, party


@router.get("")
async def search(request: Request) -> Response:
    """Ask for a patient by an identifier."""
    person, party = await doctor_of(request)
    return pages_of(request).render(request, "find.html", person=person, emergencies=emergency.may_open(party))


@router.post("")
async def find(request: Request) -> Response:
    """To the patient's page when something of them is visible, else the sentence that says nothing more. The number stays out of every URL."""
    person, party = await doctor_of(request)
    hub, fields = hub_of(request), await requests.fields(request)
    resident = await identified(hub, party, fields.get("system", ""), fields.get("value", ""))
    if resident is not None and await _visible(hub, resident, party):
        return see(f"/hospital/patients/{resident}")
    await _note(hub, person, resident, party, 0, ())
    return _nothing(request, person)


@router.get("/code")
async def code(request: Request) -> Response:
    """Ask for the code that a patient made for this visit. One scanned stands after `#`, which no server sees; a script puts it into the form."""
    person, party = await doctor_of(request)
    return pages_of(request).render(request, "visit.html", person=person, party=party, error="")


@router.post("/code")
async def redeem(request: Request) -> Response:
    """To the patient's page, under the Consent that the code stood for; a wrong, used or old one is answered in the same words."""
    person, party = await doctor_of(request)
    hub, fields = hub_of(request), await requests.fields(request)
    try:
        resident = await visit_codes.use(hub, fields.get("code", ""), account=person.account, party=party, agreed=representatives.agreeing)
    except (NotFound, Refused) as wrong:
        await requests.even_out()
        said = faults.file(wrong.code, wrong.message, wrong.advice)
        return pages_of(request).render(request, "visit.html", wrong.status, person=person, party=party, error=said)
    return see(f"/hospital/patients/{resident}")


async def identified(hub: Hub, party: Party, system: str, value: str) -> UUID | None:
    """Whom a number names, as this party knows it. Raises BadRequest."""
    if system not in SYSTEMS or not value.strip() or len(value) > 60:
        raise BadRequest("Choose a kind of number and enter it.", field="value")
    who = msgspec.convert({SYSTEMS[system]: value.strip()}, Who)
    async with hub.database.connection() as connection:
        (found,) = await identity.match(connection, hub.keyring, [who], str(party.id))
    return found.resident


async def _visible(hub: Hub, resident: UUID, party: Party) -> bool:
    asked = asked_by(resident, party, PURPOSE)
    return bool((await history.read(hub, asked, most=1)).seen) or await history.person(hub, asked) is not None


@router.get("/patients/{resident}")
async def patient(request: Request, resident: str, weeks: int = 12) -> Response:
    """One patient on one screen."""
    person, party = await doctor_of(request)
    hub = hub_of(request)
    wanted = _uuid(resident)
    shown, rules = await view(hub, wanted, party, PURPOSE, weeks if weeks in WINDOWS else 12) if wanted else ({}, ())
    visible = bool(shown) and bool(shown["seen"] or shown["who"])
    await _note(hub, person, wanted, party, len(shown["seen"]) + 1 if visible else 0, rules, told(shown) if visible else None)
    if not visible:
        return _nothing(request, person)
    return pages_of(request).render(request, "patient.html", person=person, preview=None, paused=False, emergency=False, resident=wanted, **shown)


def _nothing(request: Request, person: Person) -> Response:
    return pages_of(request).render(request, "nothing.html", person=person)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def told(shown: dict[str, Any]) -> dict[str, Any]:
    """What a page was made of, for the resident's list of who looked: how many records of which kinds, which fields, and whether it named them."""
    return disclosed.person(disclosed.records(one.record for one in shown["seen"]) | _cut(shown["seen"]), shown["who"])


def _cut(seen: Sequence[Seen]) -> dict[str, int]:
    """How many records were shown in part."""
    cut = sum(not one.whole for one in seen)
    return {"cut": cut} if cut else {}


async def _note(
    hub: Hub, person: Person, resident: UUID | None, party: Party, count: int, rules: Sequence[str], detail: dict[str, Any] | None = None
) -> None:
    """One entry for one look, the same whether there is such a resident or not."""
    await hub.trail.note(
        Entry(
            actor=f"Account/{person.account}",
            action="read",
            outcome="success" if count else "refused",
            resident=resident,
            party=party.number,
            purpose=PURPOSE,
            rule=", ".join(rules) or None,
            detail=hub.vault.seal_detail(resident, detail) if resident and detail else None,
        )
    )
    if not count:
        await requests.even_out()


def asked_by(resident: UUID, party: Party, purpose: str, emergency_id: UUID | None = None) -> Asked:
    return Asked(
        resident=resident, actor=party.reference, acts_for=party.reference, purpose=purpose, party=party.number, emergency=emergency_id
    )


async def view(
    hub: Hub, resident: UUID, party: Party, purpose: str, weeks: int, *, emergency_id: UUID | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the page of one patient shows to `party`, and the rules that let it. `emergency_id`: by that emergency access, not by consent."""
    asked = asked_by(resident, party, purpose, emergency_id)
    zone = await history.zone_of(hub, resident)
    now = activity.today_in(zone)
    who = await history.person(hub, asked)
    found = await history.read(hub, asked, since=history.since_week(now.date(), max(weeks, 12), zone))
    if not found.seen:
        found = await history.read(hub, asked, most=SHOWN)
    window = timedelta(weeks=weeks)
    sessions = [one for one in found.seen if isinstance(one.record, Session)]
    return {
        "who": who,
        "seen": found.seen,
        "shown": OTHERS,
        "now": now,
        "zone": zone,
        "weeks": weeks,
        "windows": WINDOWS,
        "goal": activity.GOAL_MIN,
        "summary": history.summary(found.seen, zone, now.date(), weeks),
        "heart": activity.trend(_readings(activity.resting_heart_rate, found.seen, zone), now, window),
        "pressure": activity.trend(_readings(activity.blood_pressure, found.seen, zone), now, window),
        "sessions": _rows(sessions[:SHOWN], sessions, zone),
        "session_count": len(sessions),
        "tests": _tests(found.seen, zone),
        "others": _rows([one for one in found.seen if _is_apart(one.record)], (), zone),
        "last": _last(found.seen, zone, now),
        "party": party,
    }, found.rules


def _is_apart(record: Envelope) -> bool:
    """Whether nothing else on the page is made of it: not a session, a day, a test or a reading of the two trends."""
    return not isinstance(record, (Session, DaySummary, FitnessTest)) and getattr(record, "measure", "") not in ("blood-pressure", "resting-heart-rate")


def _readings(read: Callable[[Iterable[tuple[Envelope, str]], ZoneInfo], list[Reading]], seen: Sequence[Seen], zone: ZoneInfo) -> list[Reading]:
    """Readings in time order, each saying whether all of its record was seen."""
    found = [
        msgspec.structs.replace(reading, whole=whole)
        for whole in (True, False)
        for reading in read([(one.record, one.source) for one in seen if one.whole is whole], zone)
    ]
    return sorted(found, key=lambda reading: reading.at)


def _rows(shown: Sequence[Seen], sessions: Sequence[Seen], zone: ZoneInfo) -> list[dict[str, Any]]:
    again = history.again(sessions, zone)
    return [
        {
            "record": one.record,
            "source": one.source,
            "at": history.local(one.record, zone),
            "timed": history.timed(one.record),
            "whole": one.whole,
            "again": again.get(one.id),
        }
        for one in shown
    ]


def _tests(seen: Sequence[Seen], zone: ZoneInfo) -> dict[str, Any] | None:
    """The newest fitness test beside the one before it."""
    tests = [one for one in seen if isinstance(one.record, FitnessTest)][:2]
    if not tests:
        return None
    items = [{item.measure: item for item in one.record.items} for one in tests if isinstance(one.record, FitnessTest)]
    before: dict[str, Quantity] = items[1] if len(items) > 1 else {}
    days = [history.local(one.record, zone).date() for one in tests]
    return {"items": [(now, before.get(now.measure)) for now in items[0].values()][:4], "days": days, "source": tests[0].source}


def _last(seen: Sequence[Seen], zone: ZoneInfo, now: datetime) -> int | None:
    """Age of the newest record in days."""
    return max((now.date() - history.local(seen[0].record, zone).date()).days, 0) if seen else None


@router.get("/patients/{resident}/sessions.csv")
async def sessions(request: Request, resident: str) -> Response:
    """The sessions of the last 52 weeks as a table, under the same consent and with its own audit entry. Raises NotFound."""
    from hub.web.tables import COLUMNS, sessions_csv

    person, party = await doctor_of(request)
    hub = hub_of(request)
    wanted = _uuid(resident)
    shown, rules = await view(hub, wanted, party, PURPOSE, 52) if wanted else ({"seen": []}, ())
    seen = [one for one in shown["seen"] if isinstance(one.record, Session)]
    detail = disclosed.records((one.record for one in seen), only=COLUMNS) | _cut(seen)
    await _note(hub, person, wanted, party, len(seen), rules, detail if seen else None)
    if not seen:
        raise NotFound("There is nothing here that you may see.")
    return sessions_csv(seen, shown["zone"])
