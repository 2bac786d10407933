"""Rotation of the key-encryption key: every data key wrapped again, in batches, while the hub serves. No data is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.audit.trail import Entry
from hub.store.keyring import WrappedKey

if TYPE_CHECKING:
    from hub.service import Hub

BATCH = 500


async def rotate(hub: Hub) -> dict[str, Any]:
    """Add a key-encryption key and wrap every data key under it. Killed half-way, the next run goes on: old wraps still open.

    The key before it is kept until the next rotation: a writer elsewhere may be committing a wrap made with it right now.
    """
    newest = hub.keyring.add_kek()
    wrapped = 0
    while done := await _batch(hub, newest):
        wrapped += done
    dropped = [number for number in hub.keyring.keks() if int(number) < int(newest) - 1]
    for number in dropped:
        hub.keyring.drop_kek(number)
    await hub.trail.note(Entry(actor="operator", action="rotate-keys", outcome=f"{wrapped} keys under {newest}"))
    return {"kek": newest, "rewrapped": wrapped, "dropped": dropped}


async def _batch(hub: Hub, newest: str) -> int:
    async with hub.database.connection() as connection, connection.transaction():
        rows = await connection.fetch(
            "SELECT bucket, subject, kek, erasure, wrapped FROM data_keys WHERE kek <> $1 LIMIT $2 FOR UPDATE SKIP LOCKED", newest, BATCH
        )
        for row in rows:
            opened = hub.keyring.unwrap(str(row["subject"]), WrappedKey(row["kek"], row["erasure"], row["wrapped"]))
            again = hub.keyring.wrap_under(str(row["subject"]), opened, row["erasure"])
            await connection.execute(
                "UPDATE data_keys SET kek = $3, wrapped = $4 WHERE bucket = $1 AND subject = $2",
                row["bucket"],
                row["subject"],
                again.kek,
                again.wrapped,
            )
    return len(rows)
