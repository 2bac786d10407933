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
_TAKEN = "LIMIT $2 FOR UPDATE SKIP LOCKED"


async def rotate(hub: Hub) -> dict[str, Any]:
    """A new key-encryption key, every data key wrapped under it, and the one before the last destroyed."""
    ring = hub.keyring
    if not await _count(hub, "kek <> $1", ring.newest_kek()):
        await ring.aside(ring.add_kek)
    newest = ring.newest_kek()
    wrapped = 0
    while done := await _batch(hub, f"{_ROWS} kek <> $1 {_TAKEN}", newest):
        wrapped += done
    dropped = [number for number in ring.keks() if int(number) < int(newest) - 1 and not await _count(hub, "kek = $1", number)]
    for number in dropped:
        await ring.aside(ring.drop_kek, number)
    await hub.trail.note(Entry(actor="operator", action="rotate-keys", outcome=f"{wrapped} keys under {newest}"))
    return {"kek": newest, "rewrapped": wrapped, "dropped": dropped}


async def rotate_erasure(hub: Hub) -> dict[str, Any]:
    """A new erasure key for every month, every data key wrapped under its month's, and those before the last destroyed."""
    ring = hub.keyring
    names = ring.erasure_keys()
    older = [name for name in names if name != ring.newest_of(name) and await _count(hub, "erasure = $1", name)]
    if not older:
        older = sorted({ring.newest_of(name) for name in names})
        for name in older:
            await ring.aside(ring.succeed_erasure_key, name)
    wrapped = sum([await _moved(hub, name) for name in older])
    dropped = [name for name in ring.erasure_keys() if _behind(ring, name) > 1 and not await _count(hub, "erasure = $1", name)]
    for name in dropped:
        await ring.aside(ring.destroy_erasure_key, name)
    await hub.trail.note(Entry(actor="operator", action="rotate-erasure-keys", outcome=f"{wrapped} keys of {len(older)} months"))
    return {"erasure_keys": sorted({ring.newest_of(name) for name in older}), "rewrapped": wrapped, "dropped": dropped}


async def end_flat(hub: Hub, name: str) -> None:
    """Wrap what is under a month's flat key under one that can forget one resident, and destroy the flat key at once."""
    ring = hub.keyring
    if ring.newest_of(name) == name:
        await ring.aside(ring.succeed_erasure_key, name)
    await _moved(hub, name)
    async with hub.database.connection() as connection, connection.transaction():
        # Who stored a wrap has committed it when the lock is ours; who stores one later is told that its key is no longer current.
        await connection.execute("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE")
        await _again(hub.keyring, connection, await connection.fetch(f"{_ROWS} erasure = $1", name))
    await ring.aside(ring.destroy_erasure_key, name)


async def _moved(hub: Hub, name: str) -> int:
    wrapped = 0
    while done := await _batch(hub, f"{_ROWS} erasure = $1 {_TAKEN}", name):
        wrapped += done
    return wrapped


async def _batch(hub: Hub, query: str, key: str) -> int:
    async with hub.database.connection() as connection, connection.transaction():
        rows = await connection.fetch(query, key, BATCH)
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


async def _count(hub: Hub, condition: str, key: str) -> int:
    async with hub.database.connection() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM data_keys WHERE {condition}", key))  # noqa: S608 - constants


def _behind(ring: Keyring, name: str) -> int:
    newest = ring.newest_of(name)
    return int(newest.partition(".")[2] or 0) - int(name.partition(".")[2] or 0)
