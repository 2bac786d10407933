"""Rows that waited for their resident: settled by their uploader, or gone when their key expires."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from adapters.base import Limits, adapter
from hub.audit.trail import Entry
from hub.intake.identity import Match
from hub.intake.receipts import read_receipt
from hub.store.ids import bucket_of
from hub.store.parties import Party
from hub.store.vault import open_waiting
from hub.store.writer import Settled, Upload
from schemas.errors import NotFound
from schemas.records import Decoded

if TYPE_CHECKING:
    from hub.service import Hub


async def settle_row(hub: Hub, party: Party, receipt: UUID, row: int, resident: UUID) -> dict[str, Any]:
    """Store a waiting row for `resident` and answer with the receipt as it stands now. Raises NotFound, and Refused as an upload."""
    from hub.intake.upload import draft, original_of, refuse_another_person

    if not 0 < row <= 2 * Limits().rows:  # sheets whose numbers meet are counted on from the last row
        raise NotFound("There is no such row waiting, or no such resident.")
    async with hub.database.connection() as connection:
        zone = await connection.fetchrow("SELECT zone FROM residents WHERE bucket = $1 AND id = $2", bucket_of(resident), resident)
        found = await connection.fetchrow(
            "SELECT p.id, p.subject, p.body, r.format FROM pending p JOIN receipts r ON r.id = p.receipt "
            "WHERE p.receipt = $1 AND p.row = $2 AND p.party = $3 AND p.expires > now()", receipt, row, party.number,
        )  # fmt: skip
        if zone is None or found is None:
            raise NotFound("There is no such row waiting, or no such resident.")
        subjects = await hub.vault.subjects(connection, [found["subject"]])
    if found["subject"] not in subjects:
        raise NotFound("There is no such row waiting, or no such resident.")
    decoded = msgspec.msgpack.decode(open_waiting(subjects[found["subject"]], "pending", found["body"], found["id"].bytes), type=Decoded)
    await refuse_another_person(hub, resident, [(decoded, Match(None))])
    named = await hub.directory.named(party.number, [decoded.record])
    original = original_of(decoded.original) if decoded.original is not None else None
    made = draft(decoded, resident, party, adapter(found["format"]), zone["zone"], original=original, named=named)
    await hub.writing.put(Upload([made], partial(_entries, party, receipt, resident), settles=Settled(found["id"], receipt, row)))
    return await read_receipt(hub, party, receipt)


async def expire(hub: Hub) -> int:
    """Delete what waited too long, and the keys that open it; one audit entry a run that found any. Returns how many keys went."""
    async with hub.database.connection() as connection, connection.transaction():
        await connection.execute("DELETE FROM pending WHERE expires <= now()")
        gone = await connection.fetch("DELETE FROM data_keys WHERE expires <= now() RETURNING subject")
        await connection.execute(
            "UPDATE receipts SET subject = NULL, detail = NULL WHERE subject = ANY($1::uuid[])", [row["subject"] for row in gone]
        )
    if gone:
        await hub.trail.note(Entry(actor="system", action="expire-waiting", outcome=f"{len(gone)} keys"))
    return len(gone)


def _entries(party: Party, receipt: UUID, resident: UUID, upload: Upload) -> list[Entry]:
    return [Entry(actor=party.reference, action="upload", outcome="stored", resident=resident, party=party.number, rule=f"receipt:{receipt}")]
