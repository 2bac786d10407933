"""Emergency access on pages: a doctor opens one and sees one patient; a colleague judges it; the resident reads who, why and how often."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Request, Response

from hub.access import accounts, emergency, requests
from hub.access.emergency import Emergency
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.audit.trail import Entry
from hub.service import Hub
from hub.store import parties, visit_codes
from hub.store.parties import Party
from hub.web import faults, history, hospital
from hub.web.locales import pick, say
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from schemas.errors import KineHubError, NotFound, Refused
from schemas.resident import ZONE

router = APIRouter(route_class=Page)


class Shown(msgspec.Struct, frozen=True):
    """One emergency access in words, its times on the reader's clock. `own`: the reader's."""

    id: UUID
    who: str
    party: str
    opened: datetime
    until: datetime
    due: Any
    reason: str
    text: str
    outcome: str
    live: bool
    own: bool


async def shown(hub: Hub, found: Sequence[Emergency], zone: ZoneInfo, reader: UUID | None = None) -> list[Shown]:
    """Emergency accesses with the names of who opened them."""
    async with hub.database.connection() as connection:
        of = {party.number: party.name for party in await parties.everyone(connection)}
        people = await accounts.several(connection, hub.keyring, {one.account for one in found})
    names = {id_: account.name for id_, account in people.items()}
    return [_shown(one, names, of, zone, reader) for one in found]


def _shown(one: Emergency, names: dict[UUID, str], of: dict[int, str], zone: ZoneInfo, reader: UUID | None) -> Shown:
    return Shown(
        id=one.id, who=names.get(one.account, ""), party=of.get(one.party, ""), opened=one.opened.astimezone(zone), until=one.until.astimezone(zone),
        due=one.due, reason=pick(emergency.REASONS[one.reason]) if one.reason in emergency.REASONS else say("已随本人的记录删除"), text=one.text,
        outcome=pick(emergency.OUTCOMES[one.outcome]) if one.outcome else "", live=one.live, own=one.account == reader,
    )  # fmt: skip


async def _doctor(request: Request) -> tuple[Person, Party]:
    person, party = await hospital.doctor_of(request)
    if not emergency.may_open(party):
        raise Refused("This organization may not open emergency accesses.", advice="Ask the hub's administrator.")
    return person, party


@router.get("/hospital/emergency")
async def ask(request: Request) -> Response:
    """Who, why, how long. Asks for a recent sign-in."""
    person, party = await _doctor(request)
    require_recent(person)
    return _form(request, person, party)


def _form(request: Request, person: Person, party: Party, error: str = "", status: int = 200) -> Response:
    return pages_of(request).render(
        request, "emergency.html", status, person=person, party=party, error=error, reasons=emergency.REASONS, hours=emergency.HOURS
    )


@router.post("/hospital/emergency")
async def open_(request: Request) -> Response:
    """Open it, and show the patient."""
    person, party = await _doctor(request)
    require_recent(person)
    hub, fields = hub_of(request), await requests.fields(request)
    resident, hours = None, fields.get("hours", "")
    said: dict[str, Any] = {"reason": fields.get("reason", ""), "text": fields.get("text", ""), "hours": int(hours) if hours in _HOURS else 0}
    try:
        await emergency.refuse(hub, person, party, **said)
        resident = await _whom(hub, person, party, fields)
        await emergency.open_(hub, person, party, resident, **said)
    except KineHubError as wrong:
        if wrong.status >= 500:
            raise
        await emergency.note_refusal(hub, person, resident)
        await requests.even_out()
        return _form(request, person, party, faults.file(wrong.code, wrong.message, wrong.advice), wrong.status)
    return see("/hospital/emergency/patient")


_HOURS = {str(hours) for hours in emergency.HOURS}


async def _whom(hub: Hub, person: Person, party: Party, fields: dict[str, str]) -> UUID:
    """Whom the number names; wrong numbers are counted."""
    async with hub.database.connection() as connection:
        await visit_codes.count_guess(connection, person.account, party.number)
    resident = await hospital.identified(hub, party, fields.get("system", ""), fields.get("value", ""))
    if resident is None:
        raise NotFound("Nobody is known by this number.", code="no-such-person", advice="Look at the number once more.")
    async with hub.database.connection() as connection:
        await visit_codes.forgive_guess(connection, person.account)
    return resident


@router.get("/hospital/emergency/patient")
async def patient(request: Request, weeks: int = 12) -> Response:
    """The one patient of the emergency access that is open, as far as it reaches. Without one: refused, whoever was seen before."""
    person, party = await _doctor(request)
    hub = hub_of(request)
    found = await emergency.of_account(hub, person.account)
    if found is None or found.party != party.number:
        await hub.trail.note(_look(person, None, None, "refused"))
        raise Refused("No emergency access of yours is open.", code="no-emergency", advice="Open one, with its reason.")
    shown, rules = await hospital.view(
        hub, found.resident, party, emergency.PURPOSE, weeks if weeks in hospital.WINDOWS else 12, emergency_id=found.id
    )
    visible = bool(shown["seen"] or shown["who"])
    detail = hub.vault.seal_detail(found.resident, hospital.told(shown)) if visible else None
    await hub.trail.note(_look(person, found.resident, rules[0] if rules else emergency.rule(found.id), "success" if visible else "empty", detail))
    if not visible:
        return pages_of(request).render(request, "nothing.html", person=person)
    return pages_of(request).render(
        request, "patient.html", person=person, preview=None, paused=False, emergency=True, resident=found.resident, **shown
    )


def _look(person: Person, resident: UUID | None, rule: str | None, outcome: str, detail: bytes | None = None) -> Entry:
    return Entry(
        actor=f"Account/{person.account}", action="read", outcome=outcome, resident=resident, party=person.party, purpose=emergency.PURPOSE, rule=rule,
        detail=detail,
    )


@router.post("/hospital/emergency/end")
async def end(request: Request) -> Response:
    """The doctor needs it no longer."""
    person, _ = await hospital.doctor_of(request)
    hub = hub_of(request)
    if (found := await emergency.of_account(hub, person.account)) is not None:
        await emergency.end(hub, found, f"Account/{person.account}")
    return see("/hospital")


@router.get("/hospital/reviews")
async def reviews(request: Request) -> Response:
    """What is still to be judged in one's own organization."""
    person, party = await _doctor(request)
    hub = hub_of(request)
    found = await shown(hub, await emergency.to_judge(hub, party.number), ZoneInfo(party.zone or ZONE), person.account)
    return pages_of(request).render(
        request, "reviews.html", person=person, party=party, found=found, outcomes=emergency.OUTCOMES, counts=await emergency.counts(hub)
    )


@router.post("/hospital/reviews/{identity}")
async def judge(request: Request, identity: UUID) -> Response:
    """Judge one of a colleague."""
    person, _ = await _doctor(request)
    await emergency.judge(hub_of(request), person, identity, (await requests.fields(request)).get("outcome", ""))
    return see("/hospital/reviews")


@router.get("/resident/emergencies")
async def own(request: Request) -> Response:
    """All emergency accesses to one's own records, and how often each organization opens any."""
    person, resident = await resident_of(request, "look")
    hub = hub_of(request)
    found = await shown(hub, await emergency.of_resident(hub, resident), await history.zone_of(hub, resident))
    return pages_of(request).render(request, "emergencies.html", person=person, found=found, counts=await emergency.counts(hub))


@router.post("/resident/emergencies/{identity}/end")
async def stop(request: Request, identity: UUID) -> Response:
    """The resident is well enough to say no."""
    person, resident = await resident_of(request, "stop")
    hub = hub_of(request)
    found = next((one for one in await emergency.of_resident(hub, resident) if one.id == identity), None)
    if found is None:
        raise NotFound("There is no such emergency access.")
    await emergency.end(hub, found, history.actor_of(person, resident))
    return see("/resident/emergencies")


async def recent(hub: Hub, resident: UUID, zone: ZoneInfo) -> list[Shown]:
    """What the resident is told of on the first page."""
    return await shown(hub, emergency.recent(await emergency.of_resident(hub, resident), datetime.now(UTC)), zone)
