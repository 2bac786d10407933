"""Residents: registration (the same ID number is the same resident), their own records and consents. Erasure is in hub/store/erasure.py."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from consent.effect import Kinds, effect
from hub.audit.trail import ACCESSES, ANSWERED, Entry
from hub.intake.identity import bucket_of_token, name_phone, token
from hub.store import relabel
from hub.store.database import Connection
from hub.store.ids import bucket_of, new_record_id, new_resident_id
from hub.store.parties import everyone
from hub.store.vault import SystemPermit
from hub.store.writer import Draft, Upload, write
from mappings.face import Resource
from mappings.resident import patient
from schemas.errors import BadRequest, Conflict
from schemas.resident import ZONE, Resident, check_forms, id_number_valid

if TYPE_CHECKING:
    from hub.service import Hub


async def zone_of(connection: Connection[Any], resident: UUID) -> ZoneInfo:
    """Where the resident's days begin; the hub's default for one who does not exist."""
    return ZoneInfo(await connection.fetchval("SELECT zone FROM residents WHERE bucket = $1 AND id = $2", bucket_of(resident), resident) or ZONE)


async def raise_epoch(connection: Connection[Any], resident: UUID) -> None:
    """Every decision made about the resident before this transaction is good no longer, in any process."""
    await connection.execute("UPDATE residents SET epoch = epoch + 1 WHERE bucket = $1 AND id = $2", bucket_of(resident), resident)


async def register(hub: Hub, resident: Resident, *, actor: str, party: int = 0) -> tuple[UUID, bool]:
    """The resident's id and whether they are new. The same ID number, card or member number is the same resident.

    Raises BadRequest when ID number, phone, area or zone do not have their form, or nothing identifies the person.
    """
    check_forms(resident)
    tokens = _tokens(hub, resident)
    if not tokens:
        raise BadRequest("A resident needs an ID number, a health card, a member number or a phone.", field="id_number")
    for _ in range(3):
        async with hub.database.connection() as connection:
            known = await _known(connection, tokens)
            if known is not None and resident.id_number:
                await _refuse_another(hub, connection, known, resident.id_number, party)
            try:
                identity = known or await _create(hub, connection, resident)
                await _link(connection, identity, tokens)
            except (asyncpg.UniqueViolationError, Conflict):
                continue
        if known is None or not party:
            await save_person(hub, identity, resident, actor=actor, party=party)
        return identity, known is None
    raise _several()


def _several() -> BadRequest:
    return BadRequest("These identifiers belong to different residents.", field="identifiers")


async def _refuse_another(hub: Hub, connection: Connection[Any], known: UUID, id_number: str, party: int) -> None:
    """Raises BadRequest for an ID number beside a member number or card of somebody who has another, or (said by a party) of somebody known without it."""
    value = token(hub.keyring, "id-number", id_number)
    query = "SELECT true FROM identifiers WHERE bucket = $1 AND token = $2 AND resident = $3"
    if await connection.fetchval(query, bucket_of_token(value), value, known):
        return
    if party or await hub.vault.has_id_number(connection, known, REGISTER):
        raise _several()


async def has_id_number(hub: Hub, resident: UUID) -> bool:
    """Whether a resident is known by an ID number at all."""
    async with hub.database.connection() as connection:
        return await hub.vault.has_id_number(connection, resident, REGISTER)


def _tokens(hub: Hub, resident: Resident) -> list[tuple[bytes, bool]]:
    made: list[tuple[bytes, bool]] = []
    if resident.id_number:
        if not id_number_valid(resident.id_number):
            raise BadRequest("The ID number fails its check digit (GB 11643).", field="id_number")
        made.append((token(hub.keyring, "id-number", resident.id_number), True))
    if resident.health_card:
        made.append((token(hub.keyring, "health-card", resident.health_card), True))
    made += [(token(hub.keyring, f"member:{member.party}", member.number), True) for member in resident.member_numbers]
    if resident.phone and resident.name:
        made.append((token(hub.keyring, "name-phone", name_phone(resident.name, resident.phone)), False))
    return made


async def _known(connection: Connection[Any], tokens: Sequence[tuple[bytes, bool]]) -> UUID | None:
    sole = [value for value, is_sole in tokens if is_sole] or [value for value, _ in tokens]
    rows = await connection.fetch(
        "SELECT DISTINCT i.resident FROM identifiers i JOIN unnest($1::smallint[], $2::bytea[]) AS w(bucket, token) "
        "ON i.bucket = w.bucket AND i.token = w.token",
        [bucket_of_token(value) for value in sole], sole,
    )  # fmt: skip
    if len(rows) > 1:
        raise _several()
    return rows[0]["resident"] if rows else None


async def _create(hub: Hub, connection: Connection[Any], resident: Resident) -> UUID:
    identity = new_resident_id()
    wrapped = await hub.keyring.aside(hub.keyring.wrap, str(identity), secrets.token_bytes(32))
    async with connection.transaction():
        await connection.execute("INSERT INTO residents (bucket, id, zone) VALUES ($1, $2, $3)", bucket_of(identity), identity, resident.zone)
        await connection.execute(
            "INSERT INTO data_keys (bucket, subject, kek, erasure, wrapped) VALUES ($1, $2, $3, $4, $5)",
            bucket_of(identity), identity, wrapped.kek, wrapped.erasure, wrapped.wrapped,
        )  # fmt: skip
        if not hub.keyring.is_current(wrapped.kek, wrapped.erasure):
            raise Conflict("The keys changed meanwhile.", advice="Send the same request again.")
    return identity


async def _link(connection: Connection[Any], identity: UUID, tokens: Sequence[tuple[bytes, bool]]) -> None:
    async with connection.transaction():
        for value, sole in tokens:
            await connection.execute(
                "INSERT INTO identifiers (bucket, token, resident, sole) VALUES ($1, $2, $3, $4) ON CONFLICT (bucket, token, resident) DO NOTHING",
                bucket_of_token(value), value, identity, sole,
            )  # fmt: skip


def entry(identity: UUID, resident: Resident, party: int) -> Draft:
    """The resident's own record, which shows their Patient."""
    now = datetime.now(UTC)
    return Draft(
        resident=identity, kind="resident", natural=("resident",), record=msgspec.json.encode(resident),
        resources=lambda _record_id, _updated: [patient(resident, str(identity))], starts=now, ends=now,
        party=party, adapter="registration", adapter_version="1", record_id=identity, raises_epoch=True,
    )  # fmt: skip


async def save_person(hub: Hub, identity: UUID, resident: Resident, *, actor: str, party: int) -> None:
    """The resident's own record: a new version when something in it changed."""
    draft = entry(identity, resident, party)
    await _save(hub, identity, draft, actor, "register")
    if draft.outcome is not None and draft.outcome.status == "updated":
        await relabel.relabel(hub, resident=identity)


async def save_consent(
    hub: Hub, resident: UUID, consent: Callable[[str], dict[str, Any]], *, actor: str, party: int = 0, consent_id: UUID | None = None, action: str,
    beside: Beside | None = None,
) -> str:
    """Write a Consent (new, or a new version of `consent_id`) and raise the resident's epoch in the same transaction, with what is written `beside` it.

    What `beside` gives back is audited as well; what it raises undoes the Consent.
    """
    identity = consent_id or new_record_id(bucket_of(resident))
    body = consent(str(identity))
    told = await _named(hub, resident, body, consent_id)
    now = datetime.now(UTC)
    stored = {"resourceType": "Consent", "id": str(identity), "meta": {"profile": [CONSENT_PROFILE]}}
    stored |= {key: value for key, value in body.items() if key not in stored}
    encoded = msgspec.json.encode(stored)

    def resources(record_id: str, updated: str) -> Sequence[Resource]:
        return [Resource(-1, "Consent", 0, encoded)]

    await _save(hub, resident, Draft(
        resident=resident, kind="consent", natural=("consent", str(identity)), record=encoded, resources=resources, starts=now, ends=now, party=party,
        adapter="consent", adapter_version="1", record_id=identity, raises_epoch=True, told=told, change=_change(body, consent_id),
    ), actor, action, beside)  # fmt: skip
    hub.vault.forget(resident)
    async with hub.database.connection() as connection:
        await connection.execute(
            "UPDATE outbox SET status = 'owed', attempts = 0, next_at = now(), reason = NULL WHERE bucket = $1 AND resident = $2 AND status = 'suppressed'",
            bucket_of(resident), resident,
        )  # fmt: skip
    return str(identity)


async def _named(hub: Hub, resident: UUID, consent: dict[str, Any], consent_id: UUID | None) -> tuple[int, ...]:
    """Numbers of the parties that a Consent names, or named before it was changed, and that asked to be told.

    One that permits something to nobody by name is about all. One that only refuses is told to those who may have seen anything: to others it would tell
    that there is such a resident, and what they refuse.
    """
    async with hub.database.connection() as connection:
        asked = {party.reference: party.number for party in await everyone(connection) if party.notify_to}
        if not asked:
            return ()
        zone = await zone_of(connection, resident)
        opens = consent_id is not None or effect(consent, zone).everybody
        known = (await hub.vault.policy(connection, resident, NOTIFY))[1] if opens else []
        met = {row["party"] for row in await connection.fetch(_MET, bucket_of(resident), resident)} if opens else set()
    if opens:
        await hub.trail.note(Entry(actor="system", action="policy", outcome="opened", resident=resident, rule=f"system:{NOTIFY.job}"))
    done = [effect(one, zone) for one in (consent, *(one for one in known if one.get("id") == str(consent_id)))]
    named = frozenset().union(*(one.named for one in done))
    if not any(one.everybody for one in done):
        return tuple(number for reference, number in asked.items() if reference in named)
    permitting = [one for one in (*done, *(effect(one, zone) for one in known if one.get("status") == "active")) if one.permits != Kinds()]
    if any(one.everybody for one in permitting):
        return tuple(asked.values())
    named = named.union(*(one.named for one in permitting))
    return tuple(number for reference, number in asked.items() if reference in named or number in met)


_MET = f"""SELECT party FROM audit WHERE resident = $2 AND {ACCESSES} AND {ANSWERED}
UNION SELECT party FROM records WHERE bucket = $1 AND resident = $2"""  # noqa: S608 - constants
"""Who was shown something of a resident, or sent it."""


def _change(consent: dict[str, Any], consent_id: UUID | None) -> str:
    """What a notice calls the change. A refusal is told apart from what permits something: to take it back is no reason to delete anything."""
    done = effect(consent, ZoneInfo("UTC"))
    refuses = done.permits == Kinds() != done.denies
    if consent.get("status") != "active":
        return "refusal-withdrawn" if refuses else "withdrawn"
    return "changed" if consent_id else "refused" if refuses else "granted"


NOTIFY, REGISTER = SystemPermit("notify-receivers"), SystemPermit("register")
CONSENT_PROFILE = "https://kinehub.org/fhir/StructureDefinition/kinehub-consent"


Beside = Callable[[Any], Awaitable[list[Entry]]]
"""Writes on the connection of a transaction that is under way, and gives back what is to be audited of it."""


async def _save(hub: Hub, resident: UUID, draft: Draft, actor: str, action: str, beside: Beside | None = None) -> None:
    more: list[Entry] = []

    def entries(upload: Upload) -> list[Entry]:
        return [Entry(actor=actor, action=action, outcome="stored", resident=resident, party=draft.party or None), *more]

    async def also(connection: Connection[Any]) -> None:
        more[:] = await beside(connection) if beside else []

    await write(hub.database, hub.vault, hub.trail, [Upload([draft], entries, beside=also if beside else None)])
