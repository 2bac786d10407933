"""Answering petitions: the party's page (staff or doctors), and the administrator's, who sees those of every party and how late they are.

A list holds no resident's data; what a resident wrote is opened on its own page, with an audit entry, for the party that was asked.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from hub.access import requests
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_person
from hub.store import parties
from hub.store import petitions as store
from hub.store.parties import Party
from hub.web import faults
from hub.web.pages import Page, pages_of, see
from hub.web.petitions import KINDS, OUTCOMES, clock, names_of
from schemas.errors import BadRequest, Conflict, NotFound, Refused
from schemas.resident import ZONE

router = APIRouter(route_class=Page)


class Desk(NamedTuple):
    """Who answers: staff and doctors for their party, the administrator (no party) for all."""

    person: Person
    party: Party | None
    place: str

    @property
    def number(self) -> int | None:
        return self.party.number if self.party else None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo((self.party.zone if self.party else None) or ZONE)


async def _desk(request: Request) -> Desk:
    place = request.url.path.split("/")[1]
    person = await require_person(request, {"center": "staff", "hospital": "doctor", "admin": "admin"}[place])
    if person.party is None:
        return Desk(person, None, place)
    async with hub_of(request).database.connection() as connection:
        return Desk(person, await parties.by_number(connection, person.party), place)


@router.get("/center/petitions")
@router.get("/hospital/petitions")
@router.get("/admin/petitions")
async def listing(request: Request) -> Response:
    """What waits for an answer, the most urgent first."""
    desk, hub = await _desk(request), hub_of(request)
    names = await names_of(hub)
    async with hub.database.connection() as connection:
        found = [clock(one, names, desk.zone) for one in await store.of_party(connection, desk.number)]
    return pages_of(request).render(
        request, "answers.html", person=desk.person, party=desk.party, place=desk.place, petitions=found, kinds=KINDS, outcomes=OUTCOMES
    )


@router.get("/center/petitions/{petition}")
@router.get("/hospital/petitions/{petition}")
@router.get("/admin/petitions/{petition}")
async def show(request: Request, petition: UUID) -> Response:
    """One petition in the resident's words, and the form to answer. Raises NotFound."""
    return await _show(request, await _desk(request), petition)


async def _show(request: Request, desk: Desk, petition: UUID, error: str = "", status: int = 200) -> Response:
    hub = hub_of(request)
    found, said, answer = await store.read(hub, petition, actor=f"Account/{desk.person.account}", party=desk.number)
    return pages_of(request).render(
        request, "answer.html", status, person=desk.person, party=desk.party, place=desk.place, one=clock(found, await names_of(hub), desk.zone), said=said,
        answer=answer, kinds=KINDS, outcomes=OUTCOMES, choices=store.OUTCOMES[found.kind], error=error,
    )  # fmt: skip


@router.post("/center/petitions/{petition}")
@router.post("/hospital/petitions/{petition}")
@router.post("/admin/petitions/{petition}")
async def answer(request: Request, petition: UUID) -> Response:
    """Answer it, once. Raises NotFound."""
    desk, hub, fields = await _desk(request), hub_of(request), await requests.fields(request)
    actor = f"Account/{desk.person.account}"
    found, _, _ = await store.read(hub, petition, actor=actor, party=desk.number)
    try:
        await store.answer(hub, found, actor=actor, party=desk.number, outcome=fields.get("outcome", ""), words=fields.get("words", ""))
    except (BadRequest, Conflict, NotFound, Refused) as wrong:
        return await _show(request, desk, petition, faults.file(wrong.code, wrong.message, wrong.advice), wrong.status)
    return see(f"/{desk.place}/petitions#main")
