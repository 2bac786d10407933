"""What a resident has agreed to or refused: the list, each grant's receipt, stopping, giving back what was stopped, and what a receiver sees now."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
import orjson
from fastapi import APIRouter, Query, Request, Response
from joserfc import jws

from hub.access import representatives
from hub.access.requests import hub_of
from hub.access.sessions import Person, require_recent
from hub.service import Hub
from hub.store import assists, parties
from hub.store import grants as store
from hub.web import history, sharing
from hub.web.assists import CHANNELS, describe
from hub.web.pages import Page, download, pages_of, see
from hub.web.resident import resident_of
from hub.web.sharing import Grant
from schemas.errors import Conflict, NotFound, Refused
from schemas.labels import MINOR, SENSITIVITIES

router = APIRouter(prefix="/resident", route_class=Page)

SHOWN = 2
"""Grants on a page: each has two things to press, and a page asks for seven choices at most."""


@router.get("/grants")
async def given(request: Request, skip: Annotated[int, Query(ge=0, le=10_000)] = 0) -> Response:
    """Every grant, those in force first."""
    person, resident = await resident_of(request, "look")
    grants = await sharing.grants_for(hub_of(request), resident, person)
    older = skip + SHOWN if len(grants) > skip + SHOWN else 0
    return pages_of(request).render(request, "given.html", person=person, grants=grants[skip : skip + SHOWN], first=not skip, older=older)


async def _one(hub: Hub, resident: UUID, grant: UUID) -> Grant:
    found = next((one for one in await sharing.grants_of(hub, resident) if one.id == grant), None)
    if found is None:
        raise NotFound("There is no such consent.")
    return found


@router.get("/grants/{grant}")
async def receipt(request: Request, grant: UUID) -> Response:
    """One grant to keep on paper: what was agreed, when, and how to stop it. Raises NotFound."""
    person, resident = await resident_of(request, "look")
    found = next((one for one in await sharing.grants_for(hub_of(request), resident, person) if one.id == grant), None)
    if found is None:
        raise NotFound("There is no such consent.")
    written = await sharing.versions(hub_of(request), resident, grant)
    versions = [msgspec.structs.replace(version, grant=sharing.read_by(person, version.grant)) for version in written]
    told = sharing.terms(found.party, found.purpose, found.kinds_text, found.last) if found.permits and found.party else []
    sentence, helped = sharing.sentence_of(found), await _helped(hub_of(request), resident, grant)
    return pages_of(request).render(
        request, "grant.html", person=person, grant=found, sentence=sentence, told=told, versions=versions, helped=helped, channels=CHANNELS,
        agreed=await _agreed(hub_of(request), resident, found, person),
    )  # fmt: skip


async def _agreed(hub: Hub, resident: UUID, grant: Grant, person: Person) -> str:
    """The name of who agreed: the resident, or who acted for them."""
    if grant.performer.startswith("RelatedPerson/"):
        return await representatives.name_of(hub, resident, grant.performer)
    return person.acts_for if person.acting else person.name


async def _helped(hub: Hub, resident: UUID, grant: UUID) -> dict[str, Any] | None:
    """Who recorded it for the resident; None where nobody did."""
    case = await assists.of_consent(hub, resident, grant)
    if case is None or case.decided is None:
        return None
    zone = await history.zone_of(hub, resident)
    async with hub.database.connection() as connection:
        party = await parties.by_number(connection, case.party)
    return await describe(hub, case, zone) | {"case": case, "party": party.name, "at": case.decided.astimezone(zone)}


@router.get("/grants/{grant}/receipt.json")
async def signed_receipt(request: Request, grant: UUID) -> Response:
    """The same receipt to keep as a file, signed by the hub: whoever has its keys (`/oauth/jwks`) can check it anywhere. Raises NotFound."""
    _, resident = await resident_of(request)
    hub = hub_of(request)
    found = await _one(hub, resident, grant)
    consent = next(one for one in await store.listing(hub, resident) if one["id"] == str(grant))
    receipt = orjson.dumps(sharing.receipt(found, consent, resident, hub.settings.base_url))
    key = hub.keyring.signing_key()
    signature = jws.serialize_compact({"alg": "ES256", "kid": key.thumbprint()}, receipt, key).encode()
    return download(b'{"receipt":%b,"jws":"%b"}' % (receipt, signature), f"kinehub-consent-{grant}.json", "application/json")


@router.post("/stop-all")
async def stop_all(request: Request) -> Response:
    """Withdraw every consent in force that lets anyone see. A refusal stays: without it more could be seen, not less."""
    person, resident = await resident_of(request, "stop")
    for grant in await sharing.grants_of(hub_of(request), resident):
        if grant.live and grant.permits:
            await _stop(request, person, resident, grant.id)
    return see("/resident?stopped=all#main")


@router.post("/grants/{grant}/stop")
async def stop(request: Request, grant: UUID) -> Response:
    """Withdraw one consent; effective on the next request anyone makes."""
    person, resident = await resident_of(request, "stop")
    if not (await _one(hub_of(request), resident, grant)).permits:  # without it more could be seen, not less
        if person.acting:
            raise Refused("What the resident refused, only they take back.", code="not-your-right")
        require_recent(person)
    await _stop(request, person, resident, grant)
    return see(f"/resident?stopped={grant}#main")


async def _stop(request: Request, person: Person, resident: UUID, grant: UUID) -> None:
    try:
        await store.withdraw(hub_of(request), resident, grant, actor=history.actor_of(person, resident))
    except Conflict:  # tapped twice: it is stopped, which is what was wanted
        return


@router.post("/grants/{grant}/again")
async def again(request: Request, grant: UUID) -> Response:
    """Give back what was stopped: a new Consent that says the same until the same day. Raises NotFound, Conflict."""
    person, resident = await resident_of(request, "grant")
    require_recent(person)
    hub = hub_of(request)
    found = await _one(hub, resident, grant)
    if found.live:  # tapped twice, or never stopped
        return see(f"/resident?granted={grant}#main")
    if person.acting and set(found.effect.sensitive) - {SENSITIVITIES[MINOR].name}:
        raise Refused("What is most private only the resident shares.", code="not-your-right")
    if not found.again:
        raise Conflict("This consent has ended, or its receiver is gone.", advice="Make a new one.")
    made = await store.renew(hub, resident, grant, actor=history.actor_of(person, resident), performer=history.performer_of(person))
    return see(f"/resident?granted={made}#main")


@router.get("/grants/{grant}/preview")
async def preview(request: Request, grant: UUID) -> Response:
    """What this receiver would see right now, decided by the same engine on the same path as their own page."""
    from hub.web.hospital import view

    person, resident = await resident_of(request, "self")
    hub = hub_of(request)
    grants = await sharing.grants_of(hub, resident)
    found = next((one for one in grants if one.id == grant), None)
    if found is None or found.party is None:
        raise NotFound("There is no such consent.")
    shown, _ = await view(hub, resident, found.party, found.purpose, 12)
    return pages_of(request).render(
        request, "patient.html", person=person, preview=found, paused=sharing.paused(grants), emergency=False, resident=resident, **shown
    )
