"""What staff recorded for a resident, on the resident's pages: who, when, how, with which witness; the signed form; and "I did not say this"."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from fastapi import APIRouter, Request, Response

from hub.access import requests
from hub.access.requests import hub_of
from hub.service import Hub
from hub.store import assists as store
from hub.store import grants, parties
from hub.store import petitions as petition_store
from hub.store.assists import Case
from hub.web import dates, history, petitions, sharing
from hub.web.assists import CHANNELS, CHECKS, attachment, describe
from hub.web.locales import say
from hub.web.pages import Page, pages_of, see
from hub.web.resident import resident_of
from hub.web.sharing import Grant
from schemas.errors import Conflict, NotFound

router = APIRouter(prefix="/resident/assists", route_class=Page)


async def _one(hub: Hub, resident: UUID, case: UUID) -> Case:
    found = await store.read(hub, case, resident=resident)
    if found.state != "recorded" or found.decided is None:
        raise NotFound("There is no such case.")
    return found


async def _grant(hub: Hub, resident: UUID, case: Case) -> Grant | None:
    return next((grant for grant in await sharing.grants_of(hub, resident) if grant.id == case.consent), None)


@router.get("/{case}")
async def show(request: Request, case: UUID) -> Response:
    """One decision that staff recorded. Raises NotFound."""
    person, resident = await resident_of(request)
    hub = hub_of(request)
    found = await _one(hub, resident, case)
    zone = await history.zone_of(hub, resident)
    assert found.decided is not None
    async with hub.database.connection() as connection:
        party = await parties.by_number(connection, found.party)
        asked = await _petition(hub, resident, found)
    return pages_of(request).render(
        request, "assisted.html", person=person, case=found, party=party, decided=found.decided.astimezone(zone), grant=await _grant(hub, resident, found),
        asked=asked, checks=CHECKS, channels=CHANNELS, told=await describe(hub, found, zone),
    )  # fmt: skip


@router.get("/{case}/paper")
async def scan(request: Request, case: UUID) -> Response:
    """The form that was signed, as a file. Raises NotFound."""
    _, resident = await resident_of(request)
    hub = hub_of(request)
    found = await _one(hub, resident, case)
    return attachment(await store.paper(hub, found, f"Patient/{resident}"), found)


@router.post("/{case}/dispute")
async def dispute(request: Request, case: UUID) -> Response:
    """"I did not say this": what it let others see is stopped at once, and its organization has to explain. Raises NotFound."""
    _, resident = await resident_of(request)
    hub, fields = hub_of(request), await requests.fields(request)
    found = await _one(hub, resident, case)
    grant = await _grant(hub, resident, found)
    if grant is not None and grant.live and grant.permits:
        with suppress(Conflict):  # tapped twice: it is stopped, which is what was wanted
            await grants.withdraw(hub, resident, grant.id, actor=f"Patient/{resident}")
    asked = await _petition(hub, resident, found)
    if asked is None:
        zone = await history.zone_of(hub, resident)
        told = await describe(hub, found, zone)
        assert found.decided is not None
        about = f"{dates.full(found.decided.astimezone(zone).date())} {told['recorder']}：{told['sentence']}"
        words = fields.get("words", "").strip()[:200] or say("我没有这样说。")
        asked = (await petition_store.about_look(hub, resident, await _entry(hub, resident, found), petitions.told(about, words))).id
    return see(f"/resident/petitions/{asked}#main")


async def _entry(hub: Hub, resident: UUID, case: Case) -> tuple[int, int]:
    """Where the recording stands in the audit."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT chain, seq FROM audit WHERE resident = $1 AND action = 'assist-record' AND rule = $2 ORDER BY at DESC LIMIT 1", resident, case.rule
        )
    if row is None:
        raise NotFound("There is no such case.")
    return row["chain"], row["seq"]


async def _petition(hub: Hub, resident: UUID, case: Case) -> UUID | None:
    """The petition in which the resident disputes it, if there is one."""
    entry = await _entry(hub, resident, case)
    async with hub.database.connection() as connection:
        return next((one.id for one in await petition_store.of_resident(connection, resident) if one.entry == entry), None)
