"""Receipts: what became of an upload. Facts are not kept a second time: they are read from the records, as the uploader may."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from hub.intake.facts import entry
from hub.quality import reports
from hub.store import occupancy
from hub.store.ids import bucket_of, join
from hub.store.occupancy import Stored
from hub.store.parties import Party
from hub.store.vault import Asked, Subject, open_waiting
from schemas.errors import NotFound
from schemas.quality import flags_of
from schemas.records import decode

if TYPE_CHECKING:
    from hub.service import Hub


class RejectedRow(msgspec.Struct, omit_defaults=True):
    """A row that was not taken."""

    row: int
    field: str
    code: str
    message: str
    advice: str = ""
    cell: str | None = None


class PendingRow(msgspec.Struct, omit_defaults=True):
    """A row that waits until it is certain whose it is; `row` is its alone in this receipt, `cell` where the file says whose it is."""

    row: int
    reason: str
    cell: str | None = None


class Detail(msgspec.Struct):
    """The sealed part of a receipt."""

    rejected: list[RejectedRow]
    pending: list[PendingRow]


def seal_detail(subject: Subject, receipt: UUID, detail: Detail) -> bytes:
    return subject.seal("receipts", msgspec.msgpack.encode(detail), receipt.bytes)


def open_detail(subject: Subject, receipt: UUID, sealed: bytes) -> Detail:
    return msgspec.msgpack.decode(open_waiting(subject, "receipts", sealed, receipt.bytes), type=Detail)


async def read_receipt(hub: Hub, party: Party, receipt_id: UUID) -> dict[str, Any]:
    """A receipt as its uploader may see it now. Raises NotFound for anyone else's, as for one that never was."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM receipts WHERE id = $1 AND party = $2", receipt_id, party.number)
        if row is None:
            raise NotFound("There is no such receipt.")
        records = await _records(hub, connection, party, list(zip(row["records"], row["versions"], strict=True)))
        detail = await _detail(hub, connection, row)
        judged = await reports.of_receipt(connection, party.number, receipt_id)
    found = receipt_of(receipt_id, row["status"], row["format"], row["created"], records, detail)
    return found if judged is None else found | {"quality": {"run": str(judged.id), "score": judged.score, "report": f"/center/quality/{judged.id}"}}


def receipt_of(receipt_id: UUID, status: str, format_: str, created: datetime, records: list[dict[str, Any]], detail: Detail) -> dict[str, Any]:
    """The shape of a receipt; see docs/reference/facts.md."""
    return {
        "receipt_id": str(receipt_id), "status": status, "format": format_, "created": created.isoformat(), "records": records,
        "rejected": msgspec.to_builtins(detail.rejected), "pending": msgspec.to_builtins(detail.pending),
    }  # fmt: skip


async def _detail(hub: Hub, connection: Any, row: Any) -> Detail:
    if row["subject"] is None:
        return Detail([], [])
    subjects = await hub.vault.subjects(connection, [row["subject"]])
    if row["subject"] not in subjects:
        return Detail([], [])
    detail = open_detail(subjects[row["subject"]], row["id"], row["detail"])
    waiting = {waits["row"] for waits in await connection.fetch("SELECT row FROM pending WHERE receipt = $1", row["id"])}
    return Detail(detail.rejected, [pending for pending in detail.pending if pending.row in waiting])


async def _records(hub: Hub, connection: Any, party: Party, wanted: list[tuple[UUID, int]]) -> list[dict[str, Any]]:
    """Entries of the uploader's own records, newest version, in the receipt's order."""
    ids = [record for record, _ in wanted]
    residents = dict(await connection.fetch(
        "SELECT r.id, r.resident FROM records r JOIN unnest($1::smallint[], $2::uuid[]) AS w(bucket, id) ON r.bucket = w.bucket AND r.id = w.id",
        [bucket_of(record) for record in ids], ids,
    ))  # fmt: skip
    counts = await occupancy.of_receipt(connection, party.number, [record for record in ids if record not in residents])
    if counts:
        await hub.directory.refresh(connection)
    shown: list[dict[str, Any] | None] = []
    for record in ids:
        if record in counts:
            shown.append(_count(hub, counts[record]))
        elif record in residents:
            shown.append(await _one(hub, connection, party, residents[record], record))
    return [element for element in shown if element is not None]


def _count(hub: Hub, one: Stored) -> dict[str, Any]:
    return entry(msgspec.structs.replace(one.record, venue=hub.directory.name_of("Location", one.venue)), str(one.id), None, [occupancy.reference(one)])


async def _one(hub: Hub, connection: Any, party: Party, resident: UUID, record: UUID) -> dict[str, Any] | None:
    asked = Asked(resident=resident, actor=party.reference, acts_for=party.reference, party=party.number, action="access")
    found = await hub.vault.one(connection, asked, record)
    if found is None:
        return None
    for disclosed in hub.vault.disclose(found[0], [found[1]]):
        if disclosed.record is not None:
            resources = [f"{slot.type}/{join(str(record), slot.slot)}" for slot, _ in disclosed.resources]
            whole = decode(disclosed.record)
            whole.flags = [*whole.flags, *flags_of(disclosed.kind, disclosed.quality)]
            return entry(whole, str(record), str(resident), resources)
    return None
