"""Stopping without ending what was agreed: everything paused in one tap, and what came from one source shown to nobody.

Both are Consents that refuse (docs/decisions/0019), so that every way out holds to them as to any other Consent, from the next request on.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.service import Hub
from hub.store import grants as store
from hub.web import history, sharing
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from hub.web.sharing import Grant
from schemas.errors import Conflict, NotFound

router = APIRouter(prefix="/resident", route_class=Page)

SHOWN = 5
"""Sources on a page: each has its switch."""


@router.get("/more")
async def more(request: Request) -> Response:
    """What is done more rarely than what the first page has."""
    person, resident = await resident_of(request, "look")
    grants = await sharing.grants_of(hub_of(request), resident)
    return pages_of(request).render(request, "more.html", person=person, live=any(grant.live and grant.permits for grant in grants))


@router.post("/pause")
async def pause(request: Request) -> Response:
    """Nobody sees anything from the next request on; what was agreed stays, and counts again after `resume`."""
    person, resident = await resident_of(request, "stop")
    hub = hub_of(request)
    if not sharing.paused(await sharing.grants_of(hub, resident)):
        await store.refuse(hub, resident, actor=history.actor_of(person, resident))
    return see("/resident#main")


@router.post("/resume")
async def resume(request: Request) -> Response:
    """End every pause: what was agreed to counts again."""
    person, resident = await resident_of(request, "grant")
    require_recent(person)
    hub = hub_of(request)
    await _take_back(hub, resident, [grant for grant in await sharing.grants_of(hub, resident) if grant.pauses], person)
    return see("/resident?stopped=pause#main")


async def _take_back(hub: Hub, resident: UUID, refusals: list[Grant], person: Person) -> None:
    for refusal in refusals:
        if refusal.live:
            try:
                await store.withdraw(hub, resident, refusal.id, actor=history.actor_of(person, resident))
            except Conflict:  # tapped twice: it is taken back, which is what was wanted
                continue


@router.get("/sources")
async def sources(request: Request, skip: Annotated[int, Query(ge=0, le=10_000)] = 0) -> Response:
    """Where the records come from, each with its switch."""
    person, resident = await resident_of(request, "look")
    hub = hub_of(request)
    found = await sharing.uploaders(hub, resident, person)
    return pages_of(request).render(
        request, "sources.html", person=person, sources=found[skip : skip + SHOWN], first=not skip,
        shut=sharing.shut(await sharing.grants_of(hub, resident)), older=skip + SHOWN if len(found) > skip + SHOWN else 0,
    )  # fmt: skip


@router.post("/sources/{party}/shut")
async def shut(request: Request, party: UUID) -> Response:
    """Nobody sees what came from this source. Raises NotFound for one that nothing came from."""
    person, resident = await resident_of(request, "stop")
    hub = hub_of(request)
    source = next((one for one in await sharing.uploaders(hub, resident, person) if one.id == party), None)
    if source is None:
        raise NotFound("Nothing came from such a source.")
    if party not in sharing.shut(await sharing.grants_of(hub, resident)):
        await store.refuse(hub, resident, actor=history.actor_of(person, resident), source=source)
    return see("/resident/sources#main")


@router.post("/sources/{party}/open")
async def reopen(request: Request, party: UUID) -> Response:
    """What came from this source is shown again to whom it was agreed with."""
    person, resident = await resident_of(request, "grant")
    require_recent(person)
    hub = hub_of(request)
    shut = [grant for grant in await sharing.grants_for(hub, resident, person) if grant.source and grant.source.id == party]
    await _take_back(hub, resident, shut, person)
    return see("/resident/sources#main")
