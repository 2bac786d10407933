"""The resident's pages: what is stored, who may see it, who looked, how to stop; the full list, the full log, the download."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person
from hub.audit.trail import Entry
from hub.care import activity
from hub.exchange import reading
from hub.store import grants as store
from hub.web import history, looks, sharing
from hub.web.history import Place
from hub.web.locales import say
from hub.web.pages import Page, download, pages_of, see
from schemas.errors import BadRequest, Conflict, NotFound

router = APIRouter(prefix="/resident", route_class=Page)

HOME_WEEKS = 5
LATEST = 2
RECORDS, LOOKS = 20, 30


async def resident_of(request: Request) -> tuple[Person, UUID]:
    """The resident who is signed in. Raises Unauthenticated or Refused."""
    person = await require_person(request, "resident")
    assert person.resident is not None
    return person, person.resident


@router.get("")
async def home(request: Request) -> Response:
    """The four questions on one page."""
    person, resident = await resident_of(request)
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    now = activity.today_in(zone)
    asked = history.own(resident)
    window = await history.read(hub, asked, since=history.since_week(now.date(), HOME_WEEKS, zone))
    latest = window.seen[:LATEST] or (await history.read(hub, asked, most=LATEST)).seen
    seen_by, _ = await looks.read(hub, resident, zone, everything=False, most=3)
    grants = await sharing.grants_of(hub, resident)
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
        grants=[grant for grant in grants if grant.live],
        uploaders=await sharing.uploaders(hub, resident),
        looks=seen_by,
        notice=await _notice(request, grants),
    )


async def _notice(request: Request, grants: list[sharing.Grant]) -> str:
    """What the last step did, told once on the page it leads to."""
    done = {name: request.query_params.get(name, "") for name in ("stopped", "granted")}
    if done["stopped"] == "all":
        return say("全部停止了。从现在起，别人都看不到您的记录。")
    names = {str(grant.id): grant for grant in grants}
    if (grant := names.get(done["stopped"])) is not None:
        return say("已经停止。从现在起，%(who)s看不到您的记录。", who=grant.name)
    if (grant := names.get(done["granted"])) is not None:
        return say("已经同意。%(who)s现在可以看：%(kinds)s。", who=grant.name, kinds=grant.kinds_text)
    return ""


@router.get("/records")
async def records(request: Request, before: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Every record, newest first, a page at a time."""
    person, resident = await resident_of(request)
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    asked = history.own(resident)
    found = await history.read(hub, asked, after=_place(before), most=RECORDS)
    return pages_of(request).render(
        request,
        "records.html",
        person=person,
        today=activity.today_in(zone).date(),
        again=history.again(await history.around(hub, asked, found.seen), zone),
        older=_text(found.next),
        first=not before,
        rows=[(one, history.local(one.record, zone), history.timed(one.record)) for one in found.seen],
    )


def _place(text: str) -> Place | None:
    """A place in the list, out of the address. Raises BadRequest."""
    if not text:
        return None
    at, _, identity = text.partition("~")
    try:
        starts, record = datetime.fromisoformat(at), UUID(identity)
    except ValueError:
        raise BadRequest("This page of the list does not exist.", field="before") from None
    if starts.tzinfo is None:
        raise BadRequest("This page of the list does not exist.", field="before")
    return starts, record


def _text(place: Place | None) -> str:
    return f"{place[0].isoformat()}~{place[1]}".replace("+00:00", "Z") if place else ""


@router.get("/looks")
async def log(request: Request, before: Annotated[str, Query(max_length=40)] = "") -> Response:
    """The whole log, uploads and one's own acts too."""
    person, resident = await resident_of(request)
    hub = hub_of(request)
    zone = await history.zone_of(hub, resident)
    try:
        until = datetime.fromisoformat(before) if before else None
    except ValueError:
        raise BadRequest("This page of the list does not exist.", field="before") from None
    if until is not None and until.tzinfo is None:
        raise BadRequest("This page of the list does not exist.", field="before")
    found, older = await looks.read(hub, resident, zone, everything=True, most=LOOKS, before=until)
    return pages_of(request).render(
        request,
        "looks.html",
        person=person,
        looks=found,
        first=not before,
        today=activity.today_in(zone).date(),
        older=older.isoformat().replace("+00:00", "Z") if older else "",
    )


@router.post("/stop-all")
async def stop_all(request: Request) -> Response:
    """Withdraw every consent in force."""
    _, resident = await resident_of(request)
    hub = hub_of(request)
    for grant in await sharing.grants_of(hub, resident):
        if grant.live:
            await _stop(request, resident, grant.id)
    return see("/resident?stopped=all#who")


@router.post("/grants/{grant}/stop")
async def stop(request: Request, grant: UUID) -> Response:
    """Withdraw one consent; effective on the next request anyone makes."""
    _, resident = await resident_of(request)
    await _stop(request, resident, grant)
    return see(f"/resident?stopped={grant}#who")


async def _stop(request: Request, resident: UUID, grant: UUID) -> None:
    try:
        await store.withdraw(hub_of(request), resident, grant, actor=f"Patient/{resident}")
    except Conflict:  # tapped twice: it is stopped, which is what was wanted
        return


@router.get("/download")
async def everything(request: Request) -> Response:
    """All of one's records as one FHIR Bundle."""
    _, resident = await resident_of(request)
    hub = hub_of(request)
    asked = history.own(resident)
    async with hub.database.connection() as connection:
        found, _ = await reading.visible(hub, connection, asked, ["*"])
    if not found:
        raise NotFound("There is nothing to download.")
    await hub.trail.note(Entry(actor=asked.actor, action="download", outcome="success", resident=resident, purpose="PATRQT"))
    entries = b",".join(b'{"resource":%b}' % one.raw for one in found)
    bundle = b'{"resourceType":"Bundle","type":"collection","entry":[%b]}' % entries
    return download(bundle, f"kinehub-{datetime.now(await history.zone_of(hub, resident)):%Y-%m-%d}.json", "application/fhir+json")


@router.get("/grants/{grant}/preview")
async def preview(request: Request, grant: UUID) -> Response:
    """What this receiver would see right now, decided by the same engine on the same path as their own page."""
    from hub.web.hospital import view

    person, resident = await resident_of(request)
    hub = hub_of(request)
    found = next((one for one in await sharing.grants_of(hub, resident) if one.id == grant), None)
    if found is None or found.party is None:
        raise NotFound("There is no such consent.")
    shown, _ = await view(hub, resident, found.party, found.purpose, 12)
    return pages_of(request).render(request, "patient.html", person=person, preview=found, resident=resident, **shown)
