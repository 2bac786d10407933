"""Grants: Consents given and withdrawn by residents, their explanation, and the list of who looked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from consent.decision import Policy, decide
from consent.effect import Kinds, effect
from consent.explain import explain
from consent.grant import Assisted, assisted, consent_for, refusal_for, renewed, withdrawn
from consent.request import Request
from hub.audit.trail import Entry
from hub.store.parties import DEFAULT_PURPOSES, Party, everyone
from hub.store.residents import Beside, save_consent, zone_of
from hub.store.vault import SystemPermit
from schemas.classes import DataClass
from schemas.errors import Conflict, NotFound

if TYPE_CHECKING:
    from hub.service import Hub


ORDINARY = ("activity", "health-check", "fitness-test", "prescription", "identity")
"""What most people share with a doctor; none is ticked beforehand. Every other kind is agreed to apart."""
SHOW, EXPLAIN, AGREED = SystemPermit("show-consents"), SystemPermit("explain-consents"), SystemPermit("agreed-with-party")


async def grant(
    hub: Hub,
    resident: UUID,
    to: Party,
    *,
    purpose: str,
    classes: DataClass,
    actor: str,
    sensitive: Sequence[str] = (),
    valid_from: date | None = None,
    valid_until: date | None = None,
    data_from: date | None = None,
    data_until: date | None = None,
    performer: str | None = None,
    by: Assisted | None = None,
) -> str:
    """Grant one receiver access; returns the Consent's id. `by`: staff who record it for the resident. Raises BadRequest with the place, NotFound."""
    now = datetime.now(UTC)
    async with hub.database.connection() as connection:
        begins = valid_from or now.astimezone(await zone_of(connection, resident))

    def made(consent_id: str) -> dict[str, Any]:
        made = consent_for(
            resident=f"Patient/{resident}", recipient=to.reference, purpose=purpose, classes=classes, sensitive=sensitive, valid_from=begins,
            valid_until=valid_until, data_from=data_from, data_until=data_until, recorded=now, consent_id=consent_id,
            performer=performer,
        )  # fmt: skip
        return assisted(made, by) if by else made

    return await save_consent(hub, resident, made, actor=actor, action="consent-grant")


async def refuse(
    hub: Hub, resident: UUID, *, actor: str, source: Party | None = None, instances: Sequence[str] = (), by: Assisted | None = None,
    beside: Beside | None = None,
) -> str:
    """Deny everybody everything, or all that came from one source, or these resources, until it is withdrawn; returns the Consent's id.

    beside: as `save_consent` has it
    """
    now, about = datetime.now(UTC), source.reference if source else None

    def made(consent_id: str) -> dict[str, Any]:
        made = refusal_for(resident=f"Patient/{resident}", recorded=now, consent_id=consent_id, source=about, instances=instances)
        return assisted(made, by) if by else made

    return await save_consent(hub, resident, made, actor=actor, action="consent-refuse", beside=beside)


async def withdraw(hub: Hub, resident: UUID, consent_id: UUID, *, actor: str, by: Assisted | None = None) -> None:
    """Withdraw a consent. Raises NotFound, Conflict when it was withdrawn before."""
    found = next((consent for consent in await listing(hub, resident) if consent["id"] == str(consent_id)), None)
    if found is None:
        raise NotFound("There is no such consent.")
    if found["status"] != "active":
        raise Conflict("This consent was withdrawn already.")
    stopped = withdrawn(found, datetime.now(UTC))
    if by:
        stopped = assisted(stopped, by)
    stopped["meta"] = {key: value for key, value in stopped.get("meta", {}).items() if key not in ("versionId", "lastUpdated")}
    action = "consent-withdraw" if effect(found, ZoneInfo("UTC")).permits != Kinds() else "consent-unrefuse"
    await save_consent(hub, resident, lambda _: stopped, actor=actor, consent_id=consent_id, action=action)


async def renew(hub: Hub, resident: UUID, consent_id: UUID, *, actor: str, performer: str | None = None) -> str:
    """Give back a withdrawn consent: a new one that says the same until the same end; returns its id. Raises NotFound, Conflict.

    `performer`: who agrees now in the resident's name, whoever did before
    """
    found = next((consent for consent in await listing(hub, resident) if consent["id"] == str(consent_id)), None)
    if found is None:
        raise NotFound("There is no such consent.")
    if found["status"] != "inactive":
        raise Conflict("This consent was not withdrawn.")
    now = datetime.now(UTC)
    agreed = {"performer": [{"reference": performer or f"Patient/{resident}"}]}
    return await save_consent(hub, resident, lambda identity: renewed(found, now, identity) | agreed, actor=actor, action="consent-grant")


async def listing(hub: Hub, resident: UUID) -> list[dict[str, Any]]:
    """Every Consent of a resident in its newest version, oldest first."""
    _, consents = await _policy(hub, resident, SHOW)
    return consents


async def explained(hub: Hub, resident: UUID, to: Party, purpose: str, language: str = "en") -> dict[str, Any]:
    """The decision for one receiver, class by class, with the provision that decided it."""
    policy, _ = await _policy(hub, resident, EXPLAIN)
    request = Request(actor=to.reference, acts_for=to.reference, purpose=purpose, action="access", at=datetime.now(UTC))
    return explain(policy, request, language)


async def _policy(hub: Hub, resident: UUID, permit: SystemPermit) -> tuple[Policy, list[dict[str, Any]]]:
    """The resident's policy and Consents, with its audit entry written before anything of them is shown."""
    async with hub.database.connection() as connection:
        found = await hub.vault.policy(connection, resident, permit)
    await hub.trail.note(_opening(resident, permit))
    return found


def _opening(resident: UUID, permit: SystemPermit, party: Party | None = None) -> Entry:
    """The entry of consents opened. `party`: for whom."""
    return Entry(actor="system", action="policy", outcome="opened", resident=resident, party=party.number if party else None, rule=f"system:{permit.job}")


async def agreed(hub: Hub, residents: Iterable[UUID], to: Party) -> set[UUID]:
    """Of these residents, those who have a consent in force under which `to` may collect or see anything.

    Decided as for `to` itself, so that nothing is told of what anyone agreed to with others. See docs/decisions/0010.
    """
    asked = [(purpose, action) for purpose in dict.fromkeys((None, *_PURPOSES, *to.purposes)) for action in ("collect", "access")]
    async with hub.database.connection() as connection:
        policies = await hub.vault.policies(connection, list(residents), AGREED)
    await asyncio.gather(*(hub.trail.note(_opening(resident, AGREED, to)) for resident in policies))
    now = datetime.now(UTC)
    requests = [Request(to.reference, now, to.reference, purpose=purpose, action=action) for purpose, action in asked]
    return {resident for resident, policy in policies.items() if any(decide(policy, request).classes for request in requests)}


_PURPOSES = sorted({purpose for purposes in DEFAULT_PURPOSES.values() for purpose in purposes})


async def looks(hub: Hub, resident: UUID, limit: int = 500) -> list[dict[str, Any]]:
    """Who did what with a resident's data, newest first: party, time, purpose, consent, outcome."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT chain || '-' || seq AS entry, at, party, actor, action, purpose, rule, outcome, detail FROM audit "
            "WHERE resident = $1 ORDER BY at DESC LIMIT $2",
            resident,
            limit,
        )
        details = await hub.vault.open_details(connection, resident, [row["detail"] for row in rows])
        names = {party.number: party.name for party in await everyone(connection)}
    shown = [dict(row) | {"at": row["at"].isoformat(), "party": names.get(row["party"])} for row in rows]
    return [entry | {"detail": detail} for entry, detail in zip(shown, details, strict=True)]
