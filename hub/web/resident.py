"""The resident's first pages: what is stored, who may see it, who looked, how to stop; and the full list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response

from hub.access import representatives
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person
from hub.audit import disclosed
from hub.audit.trail import Entry
from hub.care import activity
from hub.service import Hub
from hub.web import computed, history, looks, sharing
from hub.web.history import Place
from hub.web.locales import say
from hub.web.pages import Page, pages_of
from schemas.errors import BadRequest, Refused
from schemas.records import DaySummary, Session

router = APIRouter(prefix="/resident", route_class=Page)

HOME_WEEKS = 5
LATEST, GRANTS = 2, 2
RECORDS = 20


async def resident_of(request: Request, right: str = "self") -> tuple[Person, UUID]:
    """Who is signed in, and the resident they act for: themselves, or another where they chose so and have the `right` now.

    A page that names no right is for nobody but the resident; `records` is part of `look`, and the right of a relative of the deceased.
    Raises Unauthenticated or Refused.
    """
    person = await require_person(request, "resident")
    assert person.resident is not None
    if person.acting is None:
        return person, person.resident
    return await _acting(request, person, right)


async def _acting(request: Request, person: Person, right: str) -> tuple[Person, UUID]:
    hub = hub_of(request)
    assert person.acting is not None
    one = await representatives.standing(hub, person.acting, person.account)
    if one is None:
        await _noted(hub, person, await representatives.once_for(hub, person.acting, person.account), "refused")
        await representatives.act(hub, person, None)
        raise Refused("You do not act for this person any more.", code="not-representative", advice="You are back at your own records.")
    if right not in one.rights and not (right == "records" and "look" in one.rights):
        await _noted(hub, person, one.resident, "refused")
        raise Refused("This is not among what you may do for this person.", code="not-your-right", advice="Ask them to do it, or to let you.")
    known = await history.person(hub, history.own(one.resident, person))
    if request.method in ("GET", "HEAD"):
        looks.begin(request, _entry(person, one.resident, "success"), disclosed.named(known.name if known else None))
    name = (known.name if known else None) or say("家人")
    return msgspec.structs.replace(person, acts_for=name, rights=one.rights, after_death=one.relation == "relative"), one.resident


async def _noted(hub: Hub, person: Person, resident: UUID | None, outcome: str) -> None:
    await hub.trail.note(_entry(person, resident, outcome))


def _entry(person: Person, resident: UUID | None, outcome: str) -> Entry:
    actor, rule = f"Account/{person.account}", history.rule_of(person)
    return Entry(actor=actor, action="read", outcome=outcome, resident=resident, purpose=representatives.PURPOSE, rule=rule)


@router.get("")
async def home(request: Request, stopped: Annotated[str, Query(max_length=40)] = "", granted: Annotated[str, Query(max_length=40)] = "") -> Response:
    """The four questions on one page, and what the last step did; for a relative of the deceased, what they may do."""
    person, resident = await resident_of(request, "records")
    if person.after_death:
        return pages_of(request).render(request, "relative.html", person=person)
    from hub.web import alerts, emergencies

    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    now = activity.today_in(zone)
    asked = history.own(resident, person)
    window = await history.read(hub, asked, since=history.since_week(now.date(), HOME_WEEKS, zone))
    latest = window.seen[:LATEST] or (await history.read(hub, asked, most=LATEST)).seen
    seen_by, _ = await looks.read(hub, resident, zone, most=3)
    grants = await sharing.grants_for(hub, resident, person)
    looks.show(request, (one.record for one in window.seen or latest if one in latest or isinstance(one.record, Session | DaySummary)))
    notice = sharing.notice(stopped, granted, grants, datetime.now(zone))
    urgent = await emergencies.recent(hub, resident, zone)
    told = [] if notice or urgent else await alerts.unseen(hub, resident, zone, grants)
    return pages_of(request).render(
        request,
        "resident.html",
        person=person,
        now=now,
        zone=zone,
        summary=history.summary(window.seen, zone, now.date(), HOME_WEEKS),
        goal=activity.GOAL_MIN,
        latest=[(one, history.local(one.record, zone)) for one in latest],
        again=history.again(window.seen, zone),
        grants=[grant for grant in grants if grant.live and grant.permits],
        refused=[grant for grant in grants if grant.live and grant.refuses and not (grant.pauses or grant.source or grant.effect.hides)],
        paused=sharing.paused(grants),
        shut=sharing.shut(grants),
        uploaders=await sharing.uploaders(hub, resident, person),
        looks=seen_by,
        shown=1 if notice or urgent or told else GRANTS,  # seven choices a page
        alerts=told,
        emergencies=urgent,
        notice=notice,
    )


@router.get("/records")
async def records(request: Request, before: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Every record, newest first, a page at a time."""
    person, resident = await resident_of(request, "records")
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    asked = history.own(resident, person)
    found = await history.read(hub, asked, after=_place(before), most=RECORDS)
    looks.show(request, [one.record for one in found.seen])
    return pages_of(request).render(
        request,
        "records.html",
        person=person,
        today=activity.today_in(zone).date(),
        again=history.again(await history.around(hub, asked, found.seen), zone),
        older=_text(found.next),
        first=not before,
        is_computed=computed.is_computed,
        rows=[(one, history.local(one.record, zone), history.timed(one.record)) for one in found.seen],
    )


def _place(text: str) -> Place | None:
    """A place in the list, out of the address. Raises BadRequest."""
    if not text:
        return None
    at, _, identity = text.partition("~")
    try:
        return moment(at), UUID(identity)
    except ValueError:
        raise BadRequest("This page of the list does not exist.", field="before") from None


def moment(text: str) -> datetime:
    """A moment in UTC, out of the address. Raises BadRequest."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRequest("This page of the list does not exist.", field="before")


def _text(place: Place | None) -> str:
    return f"{place[0].isoformat()}~{place[1]}".replace("+00:00", "Z") if place else ""
