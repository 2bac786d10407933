"""What a resident should hear of without looking for it.

Staff recorded a decision, a new organization looked, many looks at once, an agreement that ends soon, a year gone by.

Computed from the audit and the Consents; what was acknowledged and reviewed is in the audit too, as the resident's own acts, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Request, Response

from hub.access.requests import hub_of
from hub.audit.trail import ACCESSES, ANSWERED, Entry
from hub.store import parties
from hub.web import dates, history, looks, sharing
from hub.web.locales import say
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from hub.web.sharing import Grant

if TYPE_CHECKING:
    from hub.service import Hub

router = APIRouter(prefix="/resident", route_class=Page)

SHOWN = 5
BULK = 100
"""Accesses of one organization on one day that are many at once; an export is, whatever its size."""
BEFORE_END = (timedelta(days=30), timedelta(days=7))
REVIEW = timedelta(days=365)
LOOK_BACK = timedelta(days=90)
"""How long something is told that nobody acknowledges."""
SEEN, REVIEWED = "alerts-seen", "consents-reviewed"


class Alert(msgspec.Struct, frozen=True):
    """One thing to know, in words, and where to go on."""

    text: str
    link: str
    urgent: bool = False


async def unseen(hub: Hub, resident: UUID, zone: ZoneInfo, grants: Sequence[Grant]) -> list[Alert]:
    """What is new since the resident last said "I know", the most urgent first."""
    now = datetime.now(UTC)
    async with hub.database.connection() as connection:
        mine = await looks.own(connection, resident)
        done = {row["action"]: row["at"] for row in await connection.fetch(_DONE, resident, [SEEN, REVIEWED])}
        seen = done.get(SEEN, datetime.min.replace(tzinfo=UTC))
        since = max(seen, now - LOOK_BACK)
        new = await connection.fetch(_FIRST, resident, mine, since)
        many = await connection.fetch(_MANY, resident, mine, since, str(zone), BULK)
        helped = await connection.fetch(_HELPED, resident, since)
        names = {party.number: party.name for party in await parties.everyone(connection)}
    return [
        *(_helped(row, names, zone) for row in helped),
        *(_many(row, names) for row in many),
        *(_first(row, names, zone) for row in new),
        *(alert for grant in grants if (alert := _ending(grant, seen, now.astimezone(zone)))),
        *([_review()] if review_due(grants, done.get(REVIEWED), now) else []),
    ]


_DONE = "SELECT action, max(at) AS at FROM audit WHERE resident = $1 AND action = ANY($2::text[]) GROUP BY action"
_ACCESS = f"resident = $1 AND party IS NOT NULL AND NOT actor = ANY($2::text[]) AND {ANSWERED} AND {ACCESSES}"
_FIRST = f"""SELECT party, min(at) AS at, (array_agg(chain ORDER BY at))[1] AS chain, (array_agg(seq ORDER BY at))[1] AS seq FROM audit
WHERE {_ACCESS} GROUP BY party HAVING min(at) > $3 ORDER BY min(at) DESC"""  # noqa: S608 - constant
_MANY = f"""SELECT party, (at AT TIME ZONE $4)::date AS day, count(*) AS n, bool_or(action = 'export') AS export,
(array_agg(chain ORDER BY at DESC))[1] AS chain, (array_agg(seq ORDER BY at DESC))[1] AS seq FROM audit WHERE {_ACCESS} AND at > $3 GROUP BY party, day
HAVING count(*) >= $5 OR bool_or(action = 'export') ORDER BY day DESC"""  # noqa: S608 - constant


_HELPED = "SELECT party, at, rule FROM audit WHERE resident = $1 AND action = 'assist-record' AND at > $2 ORDER BY at DESC"


def _helped(row: Any, names: dict[int, str], zone: ZoneInfo) -> Alert:
    day = dates.full(row["at"].astimezone(zone).date())
    text = say("%(who)s的工作人员在%(day)s替您办了一件事，请核对", who=names.get(row["party"], "–"), day=day)
    return Alert(text, f"/resident/assists/{row['rule'].partition('/')[2]}", urgent=True)


def _many(row: Any, names: dict[int, str]) -> Alert:
    who, day, link = names.get(row["party"], "–"), dates.full(row["day"]), f"/resident/looks/{row['chain']}/{row['seq']}"
    if row["export"]:
        return Alert(say("%(who)s在%(day)s批量取走了您的记录", who=who, day=day), link, urgent=True)
    return Alert(say("%(who)s在%(day)s看了您的记录 %(n)d 次", who=who, day=day, n=row["n"]), link, urgent=True)


def _first(row: Any, names: dict[int, str], zone: ZoneInfo) -> Alert:
    day = dates.full(row["at"].astimezone(zone).date())
    return Alert(say("%(who)s第一次看了您的记录，%(day)s", who=names.get(row["party"], "–"), day=day), f"/resident/looks/{row['chain']}/{row['seq']}")


def _ending(grant: Grant, seen: datetime, now: datetime) -> Alert | None:
    """A month and a week before an agreement ends; one that was shorter than that from the start ends without a word."""
    if not (grant.live and grant.permits and grant.until):
        return None
    end = datetime(grant.until.year, grant.until.month, grant.until.day, tzinfo=now.tzinfo)
    marks = [end - before for before in BEFORE_END if grant.given is None or grant.given < end - before]
    if not any(seen < mark <= now for mark in marks):
        return None
    days = (grant.until - now.date()).days
    return Alert(say("您给%(who)s看的，还有 %(n)d 天到期", who=grant.name, n=days), f"/resident/grants/{grant.id}")


def review_due(grants: Sequence[Grant], reviewed: datetime | None, now: datetime) -> bool:
    """Whether nobody asked for a year if what was agreed to is still right."""
    given = [grant.given for grant in grants if grant.live and grant.permits and grant.given]
    return bool(given) and max(filter(None, (min(given), reviewed))) < now - REVIEW


def _review() -> Alert:
    return Alert(say("一年了：谁能看什么，还对吗？"), "/resident/review")


@router.get("/alerts")
async def alerts(request: Request) -> Response:
    """What is new, each with its way on, and one button for all of it."""
    person, resident = await resident_of(request)
    hub = hub_of(request)
    found = await unseen(hub, resident, await history.zone_of(hub, resident), await sharing.grants_of(hub, resident))
    return pages_of(request).render(request, "alerts.html", person=person, alerts=found[:SHOWN], more=len(found) - SHOWN)


@router.post("/alerts/seen")
async def acknowledge(request: Request) -> Response:
    """The resident knows. A review that is due stays until it is done."""
    return await _noted(request, SEEN)


@router.get("/review")
async def review(request: Request) -> Response:
    """Everything in force, read once more."""
    person, resident = await resident_of(request)
    grants = [grant for grant in await sharing.grants_of(hub_of(request), resident) if grant.live and grant.permits]
    return pages_of(request).render(request, "review.html", person=person, grants=grants)


@router.post("/review")
async def reviewed(request: Request) -> Response:
    """It is still right; asked again in a year."""
    return await _noted(request, REVIEWED)


async def _noted(request: Request, action: str) -> Response:
    _, resident = await resident_of(request)
    await hub_of(request).trail.note(Entry(actor=f"Patient/{resident}", action=action, outcome="success", resident=resident))
    return see("/resident#main")
