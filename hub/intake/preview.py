"""What an upload would do, before anything is stored; and the file in between, sealed under a key that lives one hour.

A parked file belongs to the account that sent it: its id is random, its ciphertext is bound to the account, and no one else's
request finds it. `seen before` is judged within the uploader's own records only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from hub.intake.lookup import Question
from hub.intake.receipts import RejectedRow
from hub.intake.upload import Delivery, newcomers, question, rows_of, sort_rows, source_of
from hub.store import occupancy
from hub.store.ids import bucket_of, new_resident_id
from hub.store.occupancy import Count
from hub.store.parties import Party
from hub.store.vault import Subject, open_waiting
from hub.store.writer import Draft, standing
from schemas.errors import NotFound
from schemas.records import Decoded, Envelope, Rejected, Who

if TYPE_CHECKING:
    from hub.service import Hub

PARKED = timedelta(hours=1)
_REASON = "preview"


class Row(msgspec.Struct):
    """One row of a preview. `becomes` is `new`, `known` (stored already), `changed`, `newcomer` (new, of somebody who is registered with it),
    `pending` or `rejected`.

    `cell` is where a table says whose it is.
    """

    row: int
    becomes: str
    who: Who | None = None
    record: Envelope | None = None
    reason: str = ""
    rejected: RejectedRow | None = None
    original: bytes | None = None
    resident: UUID | None = None
    cell: str | None = None


class Preview(msgspec.Struct):
    """What would become of every row of a file."""

    format: str
    title: tuple[str, str]
    rows: list[Row]

    def members(self) -> dict[UUID, Who | None]:
        """Everyone whose rows can be taken, as the file names them."""
        return {row.resident: row.who for row in self.rows if row.resident is not None}

    def count(self, *becomes: str) -> int:
        return sum(row.becomes in becomes for row in self.rows)


class File(msgspec.Struct):
    """A parked file."""

    name: str
    body: bytes


class Waiting(msgspec.Struct, frozen=True):
    """A stored upload's row that waits for its resident, as its uploader wrote it."""

    row: int
    reason: str
    who: Who | None
    record: Envelope
    cell: str | None = None


async def preview(hub: Hub, delivery: Delivery) -> Preview:
    """Decode, check and identify as an upload would, and store nothing. Raises as `take` does for a file that cannot be used."""
    source = source_of(delivery)
    given = await rows_of(source, delivery)
    known = question(hub, delivery, given)
    await hub.looking.put(known)
    records = {id(row.record): row for row in given if isinstance(row, Decoded)}
    found = await sort_rows(hub, delivery, source, known, given)
    rows = [_draft_row(draft, became, records) for draft, became in zip(found.drafts, await _becomes(hub, found.drafts), strict=True)]
    rows += [Row(count.row or 1, became, record=count.shown) for count, became in zip(found.counts, await _standing(hub, found.counts), strict=True)]
    joining = _joining(delivery, known, given)
    rows += [_waiting_row(row, reason, id(row) in joining) for row, reason in found.pending]
    whose = {row.row: row for row in given}
    rows += [_rejected_row(row, whose.get(row.row)) for row in found.rejected]
    return Preview(source.id, source.title, sorted(rows, key=lambda row: row.row))


def _draft_row(draft: Draft, becomes: str, records: dict[int, Decoded]) -> Row:
    row = records.get(id(draft.shown))
    return Row(draft.row or 1, becomes, row.who if row else None, draft.shown, resident=draft.resident)


def _joining(delivery: Delivery, known: Question, given: Sequence[Decoded | Rejected]) -> set[int]:
    """The rows (by `id`) of whom the upload would register, by whatever another row of the file says of them."""
    people = newcomers(delivery, known, given)
    said = {hint.token for hints in known.hints if hints and hints[0].token in people for hint in hints}
    return {id(row) for row, hints in zip(given, known.hints, strict=True) if hints and all(hint.token in said for hint in hints)}


def _waiting_row(row: Decoded, reason: str, joins: bool) -> Row:
    if joins and reason == "unknown":
        return Row(row.row or 1, "newcomer", row.who, row.record, cell=row.cell)
    return Row(row.row or 1, "pending", row.who, row.record, reason, original=row.original, cell=row.cell)


def _rejected_row(rejected: RejectedRow, row: Decoded | Rejected | None) -> Row:
    record = row.record if isinstance(row, Decoded) else None
    return Row(rejected.row, "rejected", row.who if row else None, record, rejected.code, rejected, row.original if row else None)


async def _becomes(hub: Hub, drafts: Sequence[Draft]) -> list[str]:
    async with hub.database.connection() as connection:
        subjects = await hub.vault.subjects(connection, list({draft.resident for draft in drafts}))
        return await standing(connection, subjects, [draft for draft in drafts if draft.resident in subjects])


async def _standing(hub: Hub, counts: Sequence[Count]) -> list[str]:
    async with hub.database.connection() as connection:
        return await occupancy.standing(connection, counts) if counts else []


async def park(hub: Hub, party: Party, account: UUID, file: File) -> UUID:
    """Keep a file for an hour, in place of the account's earlier one; the id under which only this account finds it."""
    data_key, identity = os.urandom(32), uuid4()
    subject = Subject(new_resident_id(), hub.keyring.suite, data_key, {})
    wrapped = await hub.keyring.aside(hub.keyring.wrap, str(subject.id), data_key)
    expires = datetime.now(UTC) + PARKED
    body = subject.seal("pending", msgspec.msgpack.encode(file), identity.bytes, account.bytes)
    async with hub.database.connection() as connection, connection.transaction():
        await _discard(connection, party, account)
        await connection.execute(
            "INSERT INTO data_keys (bucket, subject, kek, erasure, wrapped, expires) VALUES ($1, $2, $3, $4, $5, $6)",
            bucket_of(subject.id),
            subject.id,
            wrapped.kek,
            wrapped.erasure,
            wrapped.wrapped,
            expires,
        )
        await connection.execute(
            "INSERT INTO pending (id, party, receipt, row, reason, subject, expires, body) VALUES ($1, $2, $3, 0, $4, $5, $6, $7)",
            identity,
            party.number,
            account,
            _REASON,
            subject.id,
            expires,
            body,
        )
    return identity


async def parked(hub: Hub, party: Party, account: UUID, identity: UUID) -> File:
    """The parked file. Raises NotFound when it is another account's, or too old."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT subject, body FROM pending WHERE id = $1 AND party = $2 AND receipt = $3 AND reason = $4 AND expires > now()",
            identity,
            party.number,
            account,
            _REASON,
        )
        subjects = await hub.vault.subjects(connection, [row["subject"]]) if row else {}
    if row is None or row["subject"] not in subjects:
        raise NotFound("The file is not here any more.", code="preview-gone", advice="Choose it again.")
    return msgspec.msgpack.decode(open_waiting(subjects[row["subject"]], "pending", row["body"], identity.bytes, account.bytes), type=File)


async def discard(hub: Hub, party: Party, account: UUID) -> None:
    """Forget the account's parked file and its key."""
    async with hub.database.connection() as connection, connection.transaction():
        await _discard(connection, party, account)


async def _discard(connection: Any, party: Party, account: UUID) -> None:
    gone = await connection.fetch("DELETE FROM pending WHERE party = $1 AND receipt = $2 AND reason = $3 RETURNING subject", party.number, account, _REASON)
    subjects = [row["subject"] for row in gone]
    await connection.execute(
        "DELETE FROM data_keys WHERE (bucket, subject) IN (SELECT * FROM unnest($1::smallint[], $2::uuid[]))",
        [bucket_of(subject) for subject in subjects],
        subjects,
    )


async def waiting(hub: Hub, party: Party, receipt: UUID) -> list[Waiting]:
    """The rows of a receipt that still wait, for their uploader."""
    async with hub.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, row, reason, subject, body FROM pending WHERE receipt = $1 AND party = $2 AND reason <> $3 AND expires > now() ORDER BY row",
            receipt,
            party.number,
            _REASON,
        )
        subjects = await hub.vault.subjects(connection, list({row["subject"] for row in rows}))
    found = []
    for row in rows:
        if row["subject"] in subjects:
            decoded = msgspec.msgpack.decode(open_waiting(subjects[row["subject"]], "pending", row["body"], row["id"].bytes), type=Decoded)
            found.append(Waiting(row["row"], row["reason"], decoded.who, decoded.record, decoded.cell))
    return found
