"""A move of the keys from one back end to another, while the hub serves. No key is exported: every data key is wrapped again.

    1 begun     a new key-encryption key in the target wraps what is new; the old ones still open
    2 followed  every data key wrapped again under it, in batches
    3 settled   when every data key opened: the file's secrets and the erasure keys, as punctured as they are, under new keys of the target,
                in one writing of the file
    4 gone      every key of this keyring in the source destroyed

Killed anywhere, every data key opens in one of the two, and the next run goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.audit.trail import Entry
from hub.store import backend, rotation
from hub.store.keyring import Place, WrappedKey
from schemas.errors import Unavailable

if TYPE_CHECKING:
    from hub.service import Hub

_FRESH = "Set KINEHUB_KEYRING and start the hub again; copy keyring.json and write every FILE.keys afresh (backup --keys-only): those of before open nobody."
BY_HAND = {
    "file": _FRESH + " Destroy every copy and backup of keyring.json from before the move by hand: each holds the old keys.",
    "pkcs11": _FRESH + " Destroy the old keys in backups of the token by hand: kinehub-{id}-*.",
    "vault": _FRESH + " Destroy the old keys in backups and snapshots of the transit engine by hand: kinehub-{id}-*.",
}


async def move(hub: Hub, target: Place) -> dict[str, Any]:
    """Bring the keys to `target`, or go on with it. Raises Unavailable when either back end cannot be used."""
    ring = hub.keyring
    if ring.suite != "international" and target.store:
        raise Unavailable("KINEHUB_CRYPTO=guomi needs a keyring file: pkcs11:// and vault:// wrap with AES-256-GCM alone.")
    await ring.aside(ring.begin_move, target)
    under_way = ring.move
    if under_way is None:
        raise AssertionError
    wrapped = 0
    if not under_way.settled:
        wrapped = await rotation.leave_keks(hub, [kek for kek in ring.keks() if int(kek) < under_way.first])
        await _opened_all(hub)
        await ring.aside(ring.settle)
    await hub.trail.note(Entry(actor="operator", action="move-keys", outcome=f"to {ring.backend}"))
    await ring.aside(ring.empty_source)
    left = backend.kind(under_way.source.store)
    return {"back_end": ring.backend, "rewrapped": wrapped, "left": left, "by_hand": BY_HAND[left].format(id=ring.id)}


async def _opened_all(hub: Hub) -> None:
    """Raises SealError when a data key does not open with what it is wrapped under now."""
    async with hub.database.connection() as connection, connection.transaction():
        async for row in connection.cursor("SELECT subject, kek, erasure, wrapped FROM data_keys"):
            key = WrappedKey(row["kek"], row["erasure"], row["wrapped"])
            await hub.keyring.aside(hub.keyring.unwrap, str(row["subject"]), key)
