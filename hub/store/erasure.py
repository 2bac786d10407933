"""Erasure of a resident: their leaf of the erasure key destroyed for every copy of the database, their rows deleted, a signed certificate.

The order is the tombstone, the rows, the key. A process killed in between has decided already: whoever opens the hub next finishes it.
So does a copy of the database from before an erasure, when it is opened with the keyring of after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from hub.audit.trail import Entry
from hub.store import rotation, tombstones
from hub.store.database import Connection
from hub.store.ids import bucket_of
from hub.store.tombstones import Tombstone
from schemas.errors import BadRequest, Conflict, NotFound
from schemas.resident import ZONE

if TYPE_CHECKING:
    from hub.service import Hub

_TABLES = (
    "data_keys", "residents", "records", "record_history", "series", "originals", "outbox", "consent_notices", "quality_flags", "identifiers", "accounts",
    "visit_codes", "petitions", "representatives", "assists", "wishes", "deaths",
)  # fmt: skip
_TODAY = f"(now() AT TIME ZONE coalesce((SELECT zone FROM residents r WHERE r.bucket = h.bucket AND r.id = h.resident), '{ZONE}'))::date"  # noqa: S608
_STANDS = f"(h.until IS NULL OR h.until >= {_TODAY})"


async def erase(hub: Hub, resident: UUID, *, actor: str) -> dict[str, Any]:
    """Destroy a resident's key everywhere and delete their rows; the certificate. Raises NotFound, and Conflict while a legal hold stands.

    Afterwards nothing of the resident opens: not here, not in any copy of the database. Everybody else's data opens in all of them as before.
    """
    async with hub.database.connection() as connection:
        name = await connection.fetchval(
            "SELECT k.erasure FROM data_keys k JOIN residents r ON r.bucket = k.bucket AND r.id = k.subject WHERE k.bucket = $1 AND k.subject = $2",
            bucket_of(resident), resident,
        )  # fmt: skip
        await _refuse_held(hub, connection, resident)
    if name is None:
        raise NotFound("There is no such resident.")
    await _end_flat(hub, name)
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        await connection.fetchrow("SELECT FROM residents WHERE bucket = $1 AND id = $2 FOR UPDATE", bucket_of(resident), resident)
        await _refuse_held(hub, connection, resident)
        stone = tombstones.add(hub.keyring, resident, name)
        rows = await forget_everything(connection, resident)
        await hub.trail.append(connection, [Entry(actor=actor, action="erase", outcome="erased", resident=resident)])
    return await _sealed_off(hub, stone, rows)


async def finish(hub: Hub) -> int:
    """Finish what the ledger says was erased and still is there. Returns how many there were."""
    undone = await _undone(hub, tombstones.listed(hub.keyring))
    for stone in undone:
        if stone.erasure:
            await _end_flat(hub, stone.erasure)
        async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
            rows = await forget_everything(connection, stone.resident)
            await hub.trail.append(connection, [Entry(actor="system", action="erase", outcome="erased again", resident=stone.resident)])
        await _sealed_off(hub, stone, rows)
    return len(undone)


async def _undone(hub: Hub, stones: Sequence[Tombstone]) -> list[Tombstone]:
    last = {stone.resident: stone for stone in stones}
    async with hub.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT id FROM residents WHERE (bucket, id) IN (SELECT * FROM unnest($1::smallint[], $2::uuid[]))", list(map(bucket_of, last)), list(last)
        )
    there = {row["id"] for row in rows}
    return [stone for stone in last.values() if stone.resident in there or hub.keyring.reaches(stone.erasure, str(stone.resident))]


async def _end_flat(hub: Hub, name: str) -> None:
    for flat in hub.keyring.flat_of(name):
        await rotation.end_flat(hub, flat)


async def _sealed_off(hub: Hub, stone: Tombstone, rows: Mapping[str, int]) -> dict[str, Any]:
    destroyed = await hub.keyring.aside(hub.keyring.puncture, stone.erasure, str(stone.resident))
    hub.vault.forget(stone.resident)
    return certified(hub, stone, destroyed, rows)


async def forget_everything(connection: Connection[Any], resident: UUID) -> dict[str, int]:
    """Delete every row of a resident, and say how many of each table; the audit keeps its pseudonymous entries.

    Receivers that were told of a Consent still in force are owed the notice that it is gone with its resident.
    """
    bucket = bucket_of(resident)
    told = await connection.fetch(_TOLD, bucket, resident)
    await connection.execute("DELETE FROM holds WHERE bucket = $1 AND resident = $2", bucket, resident)
    await connection.execute("DELETE FROM sessions WHERE account IN (SELECT id FROM accounts WHERE resident = $1)", resident)
    await connection.execute("DELETE FROM passkeys WHERE account IN (SELECT id FROM accounts WHERE resident = $1)", resident)
    await connection.execute("DELETE FROM representatives WHERE account IN (SELECT id FROM accounts WHERE resident = $1)", resident)
    # That there was an emergency access, whose and when, stays readable, as in the audit; why is gone with the key.
    await connection.execute("UPDATE emergencies SET body = NULL, ended = coalesce(ended, clock_timestamp()) WHERE resident = $1", resident)
    rows = {table: await _deleted(connection, table, resident) for table in _TABLES}
    await connection.executemany(_OWE, [(bucket, resident, one["receiver"], one["consent"], one["version"] + 1) for one in told if one["change"] not in _ENDED])
    return rows


_ENDED = ("withdrawn", "refusal-withdrawn")
_TOLD = """SELECT DISTINCT ON (consent, receiver) consent, receiver, version, change FROM consent_notices WHERE bucket = $1 AND resident = $2 AND attempts > 0
ORDER BY consent, receiver, version DESC"""
_OWE = "INSERT INTO consent_notices (bucket, resident, receiver, consent, version, change) VALUES ($1, $2, $3, $4, $5, 'erased')"


async def _deleted(connection: Connection[Any], table: str, resident: UUID) -> int:
    if table in ("identifiers", "accounts", "visit_codes"):
        done = await connection.execute(f"DELETE FROM {table} WHERE resident = $1", resident)  # noqa: S608 - constant names
    else:
        column = {"data_keys": "subject", "residents": "id"}.get(table, "resident")
        done = await connection.execute(f"DELETE FROM {table} WHERE bucket = $1 AND {column} = $2", bucket_of(resident), resident)  # noqa: S608
    return int(done.rpartition(" ")[2])


# certificates


def certified(hub: Hub, stone: Tombstone, destroyed: Sequence[str], rows: Mapping[str, int]) -> dict[str, Any]:
    """What was destroyed, signed by the hub, and kept in `certificates` of the data directory."""
    key = hub.keyring.signing_key()
    claims = {
        "erased": "resident", "resident_id": str(stone.resident), "erased_at": stone.at.isoformat(), "completed_at": datetime.now(UTC).isoformat(),
        "erasure_key": stone.erasure, "destroyed_keys": list(destroyed), "back_end": hub.keyring.backend, "rows_deleted": dict(rows),
        "unreadable": ["records", "versions", "series", "originals", "consents", "every earlier copy or backup of the database"],
        "tombstone": stone.mac.hex(), "keyring": hub.keyring.id, "hub": hub.settings.base_url,
    }  # fmt: skip
    signed = jws.serialize_compact({"alg": "ES256", "kid": key.thumbprint(), "typ": "erasure+json"}, msgspec.json.encode(claims), key)
    file = hub.settings.data_dir / "certificates" / f"{stone.resident}.json"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode({"certificate": claims, "jws": signed})) + b"\n")
    return claims | {"certificate": str(file)}


def verified(file: Path, key: ECKey) -> dict[str, Any]:
    """The claims of a certificate, when the hub of `key` signed exactly them. Raises BadRequest otherwise."""
    try:
        held = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        claims = msgspec.json.decode(jws.deserialize_compact(str(held["jws"]).encode(), key, algorithms=["ES256"]).payload)
    except (msgspec.MsgspecError, JoseError, ValueError, KeyError):
        raise BadRequest(f"{file} is no certificate signed with this key.") from None
    if claims != held.get("certificate"):
        raise BadRequest(f"{file} says something else than what was signed.")
    return dict(claims)


def public_key(jwks: Path) -> ECKey:
    """The hub's public key out of a copy of its `/oauth/jwks`. Raises BadRequest when there is none in it."""
    try:
        return ECKey.import_key(msgspec.json.decode(jwks.read_bytes())["keys"][0])
    except (msgspec.MsgspecError, JoseError, ValueError, KeyError, IndexError, TypeError):
        raise BadRequest(f"{jwks} holds no key set; save the hub's /oauth/jwks in it.") from None


# legal holds


async def hold(hub: Hub, resident: UUID, *, reason: str, until: date | None, actor: str) -> UUID:
    """Keep a resident from being erased: to the end of a day of theirs, or until released. Raises NotFound."""
    identity = uuid4()
    body = hub.keyring.hub_sealer("holds").seal(reason.encode(), identity.bytes, resident.bytes)
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        if not await connection.fetchval("SELECT true FROM residents WHERE bucket = $1 AND id = $2 FOR UPDATE", bucket_of(resident), resident):
            raise NotFound("There is no such resident.")
        await connection.execute(
            "INSERT INTO holds (bucket, id, resident, until, body) VALUES ($1, $2, $3, $4, $5)", bucket_of(resident), identity, resident, until, body
        )
        await hub.trail.append(connection, [Entry(actor=actor, action="hold", outcome=f"hold {identity}", resident=resident)])
    return identity


async def release(hub: Hub, resident: UUID, hold_id: UUID, *, actor: str) -> None:
    """End a hold. Raises NotFound."""
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        gone = await connection.execute("DELETE FROM holds WHERE bucket = $1 AND resident = $2 AND id = $3", bucket_of(resident), resident, hold_id)
        if gone == "DELETE 0":
            raise NotFound("There is no such hold.")
        await hub.trail.append(connection, [Entry(actor=actor, action="release-hold", outcome=f"hold {hold_id}", resident=resident)])


async def holds(hub: Hub, resident: UUID | None = None) -> list[dict[str, Any]]:
    """The holds of one resident, or of all, oldest first; a past one does not stand any more."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch(
            f"SELECT h.*, {_STANDS} AS stands FROM holds h WHERE $1::uuid IS NULL OR h.resident = $1 ORDER BY h.placed, h.id", resident  # noqa: S608
        )
    return [_shown(hub, row) for row in rows]


def _shown(hub: Hub, row: asyncpg.Record) -> dict[str, Any]:
    reason = hub.keyring.hub_sealer("holds").open(row["body"], row["id"].bytes, row["resident"].bytes).decode()
    until = row["until"].isoformat() if row["until"] else None
    return {"hold_id": str(row["id"]), "resident_id": str(row["resident"]), "reason": reason, "until": until, "placed": row["placed"].isoformat(),
            "stands": row["stands"]}  # fmt: skip


async def _refuse_held(hub: Hub, connection: Connection[Any], resident: UUID) -> None:
    rows = await connection.fetch(
        f"SELECT h.*, true AS stands FROM holds h WHERE h.bucket = $1 AND h.resident = $2 AND {_STANDS} ORDER BY h.placed",  # noqa: S608 - constant
        bucket_of(resident), resident,
    )  # fmt: skip
    if rows:
        said = "; ".join(f"hold {one['hold_id']} until {one['until'] or 'it is released'}: {one['reason']}" for one in (_shown(hub, row) for row in rows))
        raise Conflict(f"This resident must not be erased: {said}.", code="held", advice="Release it with kinehub resident release when it has ended.")
