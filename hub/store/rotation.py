"""Rotation of keys: every data key wrapped again, in batches, while the hub serves. No data is touched.

A rotation that was killed is gone on with: the next run makes no further key while data keys are still wrapped under an older one.
The key before is kept until the next rotation: a writer elsewhere may be committing a wrap made with it right now, and yesterday's
FILE.keys opens with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from asyncpg import Record as Row

from hub.audit.trail import Entry
from hub.store.database import Connection
from hub.store.keyring import Keyring, WrappedKey

if TYPE_CHECKING:
    from hub.service import Hub

BATCH = 500
_ROWS = "SELECT bucket, subject, kek, erasure, wrapped FROM data_keys WHERE"


async def rotate(hub: Hub, *, erasure: bool = False) -> dict[str, Any]:
    """A new key-encryption key, and new erasure keys when asked; every data key wrapped under them; those before the last destroyed."""
    ring = hub.keyring
    unfinished = await _count(hub, "erasure = ANY($1)", _older(ring))
    if not unfinished and not await _count(hub, "kek <> $1", ring.newest_kek()):
        await ring.aside(ring.add_kek)
    if erasure and not unfinished:
        for month in {ring.newest_of(name) for name in ring.erasure_keys()}:
            await ring.aside(ring.succeed_erasure_key, month)
    newest, wrapped = ring.newest_kek(), 0
    while done := await _batch(hub, f"{_ROWS} (kek <> $1 OR erasure = ANY($2)) LIMIT {BATCH} FOR UPDATE SKIP LOCKED", newest, _older(ring)):
        wrapped += done
    dropped = await _dropped(hub)
    await hub.trail.note(Entry(actor="operator", action="rotate-keys", outcome=f"{wrapped} keys under {newest}"))
    return {"kek": newest, "erasure_keys": sorted({ring.newest_of(name) for name in ring.erasure_keys()}), "rewrapped": wrapped, "dropped": dropped}


async def _dropped(hub: Hub) -> list[str]:
    """Destroy what the rotation before this one replaced and nothing is wrapped under: the names."""
    ring, dropped = hub.keyring, []
    for number in ring.keks():
        if int(number) < int(ring.newest_kek()) - 1 and not await _count(hub, "kek = $1", number):
            await ring.aside(ring.drop_kek, number)
            dropped.append(number)
    for name in _older(ring):
        if _behind(ring, name) > 1 and not await _count(hub, "erasure = $1", name):
            await ring.aside(ring.destroy_erasure_key, name)
            dropped.append(name)
    return dropped


def _older(ring: Keyring) -> list[str]:
    return [name for name in ring.erasure_keys() if name != ring.newest_of(name)]


async def end_flat(hub: Hub, name: str) -> None:
    """Wrap what is under a month's flat key under one that can forget one resident, and destroy the flat key at once."""
    ring = hub.keyring
    if ring.newest_of(name) == name:
        await ring.aside(ring.succeed_erasure_key, name)
    while await _batch(hub, f"{_ROWS} erasure = $1 LIMIT {BATCH} FOR UPDATE SKIP LOCKED", name):
        pass
    async with hub.database.connection() as connection, connection.transaction():
        # Who stored a wrap has committed it when the lock is ours; who stores one later is told that its key is no longer current.
        await connection.execute("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE")
        await _again(hub.keyring, connection, await connection.fetch(f"{_ROWS} erasure = $1", name))
    await ring.aside(ring.destroy_erasure_key, name)


async def leave_keks(hub: Hub, old: list[str]) -> int:
    """Wrap whatever is under key-encryption keys that go under the newest: how many data keys."""
    wrapped = 0
    while done := await _batch(hub, f"{_ROWS} kek = ANY($1) LIMIT {BATCH} FOR UPDATE SKIP LOCKED", old):
        wrapped += done
    async with hub.database.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE")
        late = await connection.fetch(f"{_ROWS} kek = ANY($1)", old)
        await _again(hub.keyring, connection, late)
    return wrapped + len(late)


async def _batch(hub: Hub, query: str, *keys: object) -> int:
    async with hub.database.connection() as connection, connection.transaction():
        rows = await connection.fetch(query, *keys)
        await _again(hub.keyring, connection, rows)
    return len(rows)


async def _again(ring: Keyring, connection: Connection[Any], rows: list[Row]) -> None:
    """Store the data keys of rows under the newest keys of all. A back end elsewhere is asked for several at once."""
    made = await asyncio.gather(*(ring.aside(_rewrapped, ring, row) for row in rows))
    await connection.executemany(
        "UPDATE data_keys SET kek = $3, erasure = $4, wrapped = $5 WHERE bucket = $1 AND subject = $2",
        [(row["bucket"], row["subject"], new.kek, new.erasure, new.wrapped) for row, new in zip(rows, made, strict=True)],
    )


def _rewrapped(ring: Keyring, row: Row) -> WrappedKey:
    subject = str(row["subject"])
    data_key = ring.unwrap(subject, WrappedKey(row["kek"], row["erasure"], row["wrapped"]))
    return ring.wrap_under(subject, data_key, ring.newest_of(row["erasure"]))


async def _count(hub: Hub, condition: str, key: object) -> int:
    async with hub.database.connection() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM data_keys WHERE {condition}", key))  # noqa: S608 - constants


def _behind(ring: Keyring, name: str) -> int:
    newest = ring.newest_of(name)
    return int(newest.partition(".")[2] or 0) - int(name.partition(".")[2] or 0)
