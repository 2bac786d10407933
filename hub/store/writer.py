"""Writing records: many uploads, one transaction; natural keys decide new, duplicate or new version.

Order inside the transaction: receipts claimed, records (with history, series, originals), outbox, audit last. Two writers
that meet on one natural key or file are told apart by a unique index: the later one is rolled back and tried again, and
then finds the earlier one's rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from asyncpg import Record as Row

from hub.audit.trail import Entry, Trail
from hub.store import occupancy
from hub.store.body import Header, assemble
from hub.store.chunks import chunks
from hub.store.database import Connection, Database
from hub.store.ids import bucket_of, join, new_record_id
from hub.store.occupancy import Count
from hub.store.relabel import doubt
from hub.store.vault import CHANNELS, KIND_NUMBERS, Subject, Vault, superseded
from mappings.face import Resource
from schemas.classes import DataClass
from schemas.errors import Conflict, NotFound
from schemas.labels import Label, Rules
from schemas.records import STANDARD_VERSION, Envelope, Series
from schemas.standard import APPEND_ONLY

COPY_FROM = 64
"""Rows from which COPY beats an executed statement here (docs/decisions/0002-store.md)."""


MOST_DRAFTS = 400
"""Drafts of one transaction; a larger upload goes alone."""


class Original(msgspec.Struct):
    """The bytes that records of one person came from, kept once. `id` is set when they are written; without `body` they are kept already."""

    sha256: str | None = None
    body: bytes | None = None
    id: UUID | None = None


class Renewed(msgspec.Struct, frozen=True):
    """The version that an upgrade replaces, under the natural key it has: nothing is written when another one stands there by now."""

    natural_key: bytes
    version: int


class Draft(msgspec.Struct):
    """A record on its way in. `resources` makes its FHIR face once the record id is known; `shown` is what it is labelled by."""

    resident: UUID
    kind: str
    natural: tuple[str, ...]
    record: bytes
    resources: Callable[[str, str], Sequence[Resource]]
    starts: datetime
    ends: datetime
    party: int
    adapter: str
    adapter_version: str
    series: list[Series] = []
    original: Original | None = None
    renews: Renewed | None = None
    row: int | None = None
    record_id: UUID | None = None
    raises_epoch: bool = False
    told: tuple[int, ...] = ()
    change: str = ""
    shown: Envelope | None = None
    outcome: Outcome | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of a draft: `new`, `updated`, `duplicate` or `overtaken`, its record and version, and the resources it shows."""

    status: str
    record: UUID
    version: int
    resources: list[str]


class ReceiptRow(msgspec.Struct):
    """The receipt of one upload, as its table holds it. `file` is set only when every row was taken."""

    id: UUID
    party: int
    format: str
    status: str
    created: datetime
    fingerprint: bytes
    file: bytes | None = None
    idempotency: bytes | None = None
    subject: UUID | None = None
    detail: bytes | None = None
    refused: int = 0
    waiting: int = 0


class Settled(msgspec.Struct, frozen=True):
    """The waiting row that an upload settles, and the receipt that listed it."""

    pending: UUID
    receipt: UUID
    row: int


class Upload(msgspec.Struct):
    """What one request writes: drafts, counts of people at venues, its receipt, rows that wait for identity, audit entries; or the settling of one such row.

    beside: writes more in the same transaction, before the entries; what it raises undoes all
    """

    drafts: list[Draft]
    entries: Callable[[Upload], list[Entry]]
    receipt: ReceiptRow | None = None
    keys: list[tuple[object, ...]] = []
    pending: list[tuple[object, ...]] = []
    first: UUID | None = None
    settles: Settled | None = None
    counts: list[Count] = []
    beside: Callable[[Connection[Any]], Awaitable[None]] | None = None


def weight(upload: Upload) -> int:
    """What an upload adds to a transaction: its drafts, and its receipt and audit entry."""
    return 4 + len(upload.drafts) + len(upload.counts)


class _Batch(msgspec.Struct):
    rules: Rules
    records: list[tuple[object, ...]] = []
    series: list[tuple[object, ...]] = []
    originals: list[tuple[object, ...]] = []
    superseded: list[tuple[UUID, int]] = []
    epochs: set[UUID] = set()
    notices: list[tuple[object, ...]] = []
    people: set[UUID] = set()


_EXISTING = """SELECT r.bucket, r.natural_key, r.id, r.version, r.content, r.body, r.resident, r.deleted FROM records r
JOIN unnest($1::smallint[], $2::bytea[]) AS wanted(bucket, natural_key) ON r.bucket = wanted.bucket AND r.natural_key = wanted.natural_key"""


_STANDING = """SELECT r.natural_key, r.content, r.deleted FROM records r JOIN unnest($1::smallint[], $2::bytea[]) AS wanted(bucket, natural_key)
ON r.bucket = wanted.bucket AND r.natural_key = wanted.natural_key"""


COLUMNS = {
    "records": {
        "bucket": "smallint", "id": "uuid", "version": "int", "resident": "uuid", "kind": "smallint", "labels": "int", "restricted": "boolean",
        "label_rules": "smallint", "starts": "timestamptz", "ends": "timestamptz", "party": "int", "natural_key": "bytea", "content": "bytea",
        "original": "uuid", "deleted": "boolean", "recorded": "timestamptz", "body": "bytea",
    },
    "series": {
        "bucket": "smallint", "record": "uuid", "version": "int", "channel": "smallint", "chunk": "smallint", "resident": "uuid", "labels": "int",
        "body": "bytea",
    },
    "originals": {"bucket": "smallint", "id": "uuid", "resident": "uuid", "format": "text", "received": "timestamptz", "body": "bytea"},
    "receipts": {
        "id": "uuid", "party": "int", "format": "text", "status": "text", "file": "bytea", "idempotency": "bytea", "fingerprint": "bytea",
        "created": "timestamptz", "records": "uuid[]", "versions": "int[]", "rows": "int[]", "subject": "uuid", "detail": "bytea",
        "arrived": "int", "refused": "int", "waiting": "int",
    },
    "pending": {
        "id": "uuid", "party": "int", "receipt": "uuid", "row": "int", "reason": "text", "subject": "uuid", "expires": "timestamptz", "body": "bytea",
    },
    "data_keys": {"bucket": "smallint", "subject": "uuid", "kek": "text", "erasure": "text", "wrapped": "bytea", "expires": "timestamptz"},
    "audit": {
        "chain": "int", "seq": "bigint", "at": "timestamptz", "resident": "uuid", "party": "int", "actor": "text", "action": "text", "purpose": "text",
        "rule": "text", "outcome": "text", "detail": "bytea", "hash": "bytea",
    },
}  # fmt: skip
"""The columns that a row has here, in order. A test compares them with hub/store/tables.py, whose import takes a third of a second."""


def _insertion(table: str, first: int = 1) -> str:
    """INSERT of one array per column, from parameter `first` on. An array column comes as its text, as arrays of arrays do not unnest."""
    columns = COLUMNS[table]
    arrays = ", ".join(f"${number}::{'text' if type_.endswith('[]') else type_}[]" for number, type_ in enumerate(columns.values(), first))
    values = ", ".join(f"{name}::{type_}" for name, type_ in columns.items())
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM unnest({arrays}) AS w({names})"  # noqa: S608 - names of our own tables


_OWE = """INSERT INTO outbox (bucket, resident, receiver, record, version) SELECT o.bucket, o.resident, p.number, o.record, o.version
FROM unnest(${}::smallint[], ${}::uuid[], ${}::uuid[], ${}::int[]) AS o(bucket, resident, record, version)
CROSS JOIN (SELECT number FROM parties WHERE deliver_to IS NOT NULL) p ORDER BY o.record ON CONFLICT DO NOTHING"""


def _at_once_statement() -> str:
    """Everything that an ordinary upload writes, in one statement: no BEGIN, no COMMIT, one round trip."""
    first, parts = 1, []
    for table in _AT_ONCE_TABLES:
        parts.append(f"new_{table} AS ({_insertion(table, first)})")
        first += len(COLUMNS[table])
    place = {name: number for number, name in enumerate(COLUMNS["records"], 1)}
    parts.append(f"owed AS ({_OWE.format(place['bucket'], place['resident'], place['id'], place['version'])})")
    return f"WITH {', '.join(parts)} {_insertion('audit', first)}"


_AT_ONCE_TABLES = ("records", "series", "originals", "receipts")
_AT_ONCE = _at_once_statement()


async def write(database: Database, vault: Vault, trail: Trail, uploads: Sequence[Upload]) -> None:
    """Write uploads durably, setting each draft's outcome (or `Upload.first` when the same file is stored already).

    Raises NotFound when a resident has no key (erased meanwhile), Conflict when others kept changing the same records.
    """
    await vault.unlock({draft.resident for upload in uploads for draft in upload.drafts})
    for attempt in range(6):
        try:
            await _written(database, vault, trail, uploads, again=attempt > 0)
        except asyncpg.UniqueViolationError:
            if len(uploads) > 1:
                for upload in uploads:
                    await write(database, vault, trail, [upload])
                return
            await asyncio.sleep(0.005 * attempt)
        else:
            return
    raise Conflict("Other writers kept changing the same records.", advice="Send the same request again.")


async def _written(database: Database, vault: Vault, trail: Trail, uploads: Sequence[Upload], *, again: bool) -> None:
    now = datetime.now(UTC)
    async with trail.held(), database.connection() as connection:
        live = await _claim_files(connection, uploads, again=again)
        drafts = [draft for upload in live for draft in upload.drafts]
        _keep_anew(drafts)
        subjects = await vault.subjects(connection, list({draft.resident for draft in drafts}))
        *earlier, last = _waves(subjects, drafts) or [[]]
        if earlier or any(upload.keys or upload.settles or upload.counts for upload in live):
            async with connection.transaction():
                await _claim_waiting(connection, live)
                await _insert(connection, "data_keys", [key for upload in live for key in upload.keys])
                vault.refuse_outdated((str(key[2]), str(key[3])) for upload in live for key in upload.keys)
                await occupancy.store(connection, [count for upload in live for count in upload.counts], now)
                for wave in earlier:
                    await _store(connection, await _prepared(connection, subjects, wave, vault.rules, now))
                await _in_parts(connection, trail, live, await _prepared(connection, subjects, last, vault.rules, now))
                await _list_settled(connection, live)
            return
        batch = await _prepared(connection, subjects, last, vault.rules, now)
        if len(batch.records) < COPY_FROM and not batch.superseded and not batch.epochs and not any(upload.beside for upload in live):
            await _at_once(connection, trail, live, batch)
        else:
            async with connection.transaction():
                await _in_parts(connection, trail, live, batch)


def _keep_anew(drafts: Sequence[Draft]) -> None:
    """Originals that an attempt before this one wrote were rolled back with it."""
    for draft in drafts:
        if draft.original is not None and draft.original.body is not None:
            draft.original.id = None


async def _claim_files(connection: Connection[Any], uploads: Sequence[Upload], *, again: bool) -> list[Upload]:
    """The uploads whose file is not stored yet; the others learn the first receipt.

    The look-up has just said that none is. Asked `again` only after a unique index said otherwise.
    """
    wanted = [(upload.receipt.party, upload.receipt.file) for upload in uploads if upload.receipt and upload.receipt.file]
    rows = (
        await connection.fetch(
            "SELECT party, file, id FROM receipts WHERE (party + 0, file) IN (SELECT * FROM unnest($1::int[], $2::bytea[]))",
            [party for party, _ in wanted],
            [file for _, file in wanted],
        )
        if wanted and again
        else []
    )
    known: dict[tuple[int, bytes], UUID] = {(row["party"], row["file"]): row["id"] for row in rows}
    live = []
    for upload in uploads:
        receipt = upload.receipt
        if receipt is None or receipt.file is None:
            live.append(upload)
        elif (first := known.get((receipt.party, receipt.file))) is not None:
            upload.first = first
        else:
            known[receipt.party, receipt.file] = receipt.id
            live.append(upload)
    return live


async def _claim_waiting(connection: Connection[Any], uploads: Sequence[Upload]) -> None:
    """Take the rows that are settled out of those that wait, each once. Raises NotFound when another request was first."""
    wanted = [upload.settles.pending for upload in uploads if upload.settles]
    if wanted:
        taken = await connection.fetch("DELETE FROM pending WHERE id = ANY($1::uuid[]) AND expires > now() RETURNING id", wanted)
        if len(taken) < len(wanted):
            raise NotFound("There is no such row waiting, or no such resident.")


async def _list_settled(connection: Connection[Any], uploads: Sequence[Upload]) -> None:
    for upload in uploads:
        if upload.settles is None:
            continue
        for outcome in (draft.outcome for draft in upload.drafts if draft.outcome):
            await connection.execute(
                "UPDATE receipts SET quality = NULL, records = records || $2::uuid, versions = versions || $3::int, rows = rows || $4::int, "
                "status = CASE WHEN EXISTS (SELECT FROM pending WHERE receipt = $1) THEN status ELSE 'stored' END WHERE id = $1",
                upload.settles.receipt, outcome.record, outcome.version, upload.settles.row,
            )  # fmt: skip


def changed_entry(field: str = "") -> Conflict:
    """What is said to who sends an entry of a ledger again with another content."""
    return Conflict(
        "This entry of the ledger is stored already with another content.", code="append-only", field=field,
        advice="Entries are not changed: send the correction as an entry with an id of its own.",
    )  # fmt: skip


_Packed = list[tuple[int, int, bytes, int]]


def _packed(draft: Draft) -> _Packed:
    return [
        (CHANNELS[series.channel], number, body, _channel_class(series.channel))
        for series in draft.series
        if series.channel in CHANNELS
        for number, body in chunks(series)
    ]


def _content(subject: Subject, draft: Draft, packed: _Packed) -> bytes:
    return subject.token(b"content", draft.record, *(body for _, _, body, _ in packed))


def _natural(subject: Subject, draft: Draft) -> bytes:
    return draft.renews.natural_key if draft.renews else subject.token(b"natural_key", *(part.encode() for part in draft.natural))


async def standing(connection: Connection[Any], subjects: dict[UUID, Subject], drafts: Sequence[Draft]) -> list[str]:
    """What each draft would be to what its own uploader stored and to those before it: `new`, `known`, `changed`, or `fixed` (a changed entry of a ledger).

    Natural keys carry the party, so nobody else's records are met.
    """
    tokens = [(_natural(subjects[draft.resident], draft), _content(subjects[draft.resident], draft, _packed(draft))) for draft in drafts]
    rows = await connection.fetch(_STANDING, [bucket_of(draft.resident) for draft in drafts], [natural for natural, _ in tokens])
    known: dict[bytes, bytes | None] = {row["natural_key"]: None if row["deleted"] else row["content"] for row in rows}
    return [_stands(draft.kind, natural, content, known) for draft, (natural, content) in zip(drafts, tokens, strict=True)]


def _stands(kind: str, natural: bytes, content: bytes, known: dict[bytes, bytes | None]) -> str:
    """`known`: key to content, None where the record was withdrawn."""
    if kind in APPEND_ONLY and natural in known and known[natural] != content:
        return "fixed"
    before = known.get(natural)
    known[natural] = content
    return "new" if before is None else "known" if before == content else "changed"


def _waves(subjects: dict[UUID, Subject], drafts: Iterable[Draft]) -> list[list[tuple[Draft, bytes]]]:
    """Drafts with their natural tokens; a repeat of a key waits for the next wave, so that it meets the first one stored."""
    waves: list[list[tuple[Draft, bytes]]] = []
    counts: dict[bytes, int] = {}
    for draft in drafts:
        subject = subjects.get(draft.resident)
        if subject is None:
            raise NotFound("There is no such resident.")
        token = _natural(subject, draft)
        number = counts.get(token, 0)
        counts[token] = number + 1
        if number == len(waves):
            waves.append([])
        waves[number].append((draft, token))
    return waves


async def _prepared(connection: Connection[Any], subjects: dict[UUID, Subject], wave: list[tuple[Draft, bytes]], rules: Rules, now: datetime) -> _Batch:
    """A wave's rows, against what is stored under the same natural keys."""
    batch = _Batch(rules, [], [], [], [], set(), [], set())
    if not wave:
        return batch
    rows = await connection.fetch(_EXISTING, [bucket_of(draft.resident) for draft, _ in wave], [token for _, token in wave])
    existing = {row["natural_key"]: row for row in rows}
    for draft, token in wave:
        _prepare(subjects[draft.resident], draft, token, existing.get(token), batch, now)
    return batch


def _prepare(subject: Subject, draft: Draft, natural: bytes, old: Row | None, batch: _Batch, now: datetime) -> None:
    packed = _packed(draft)
    content = _content(subject, draft, packed)
    previous = superseded(subject, old) if old is not None else None
    if draft.renews is not None and (old is None or old["version"] != draft.renews.version or old["deleted"]):
        draft.outcome = Outcome("overtaken", draft.record_id or draft.resident, draft.renews.version, [])
        return
    if draft.renews is None and old is not None and previous is not None and old["content"] == content and not old["deleted"]:
        shown = [f"{slot.type}/{join(str(old['id']), slot.slot)}" for slot in previous.header.slots]
        draft.outcome = Outcome("duplicate", old["id"], old["version"], shown)
        return
    if draft.renews is None and old is not None and draft.kind in APPEND_ONLY:
        raise changed_entry()
    bucket = bucket_of(draft.resident)
    identity: UUID = old["id"] if old is not None else draft.record_id or new_record_id(bucket)
    version = old["version"] + 1 if old is not None else 1
    updated = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    resources = draft.resources(str(identity), updated)
    label = _labelled(batch.rules, draft, subject)
    data_classes = 0
    for resource in resources:
        data_classes |= resource.classes
    for _, _, _, classes in packed:
        data_classes |= classes
    header = Header(
        draft.kind,
        STANDARD_VERSION,
        draft.adapter,
        draft.adapter_version,
        [],
        0,
        list(label.sensitivity),
        label.confidentiality,
        draft.row,
    )
    plain = assemble(header, draft.record, resources, version=version, updated=updated, previous=previous)
    original = _kept(subject, draft, batch, now)
    batch.records.append((
        bucket, identity, version, draft.resident, KIND_NUMBERS[draft.kind], data_classes, bool(label.sensitivity), batch.rules.version, draft.starts,
        draft.ends, draft.party, natural, content, original, False, now, subject.seal_body(plain, identity, version),
    ))  # fmt: skip
    for channel, number, body, classes in packed:
        sealed = subject.seal("series", body, identity.bytes, bytes((channel,)), str((version, number)).encode())
        batch.series.append((bucket, identity, version, channel, number, draft.resident, classes, sealed))
    if old is not None:
        batch.superseded.append((identity, bucket))
        if draft.kind == "resident":
            batch.people.add(identity)
    if draft.raises_epoch:
        batch.epochs.add(draft.resident)
    batch.notices += [(bucket, draft.resident, receiver, identity, version, draft.change) for receiver in draft.told]
    draft.outcome = Outcome("updated" if old is not None else "new", identity, version, [f"{r.type}/{join(str(identity), r.slot)}" for r in resources])


def _labelled(rules: Rules, draft: Draft, subject: Subject) -> Label:
    """What the hub's own rules say of a draft; nothing that a source says of it counts."""
    return rules.label(draft.shown, draft.starts, subject.adult_at)


def _kept(subject: Subject, draft: Draft, batch: _Batch, now: datetime) -> UUID | None:
    """Where the draft's original is kept. Its bytes go in with the first record that is written of it."""
    original = draft.original
    if original is None:
        return None
    if original.id is None and original.body is not None:
        bucket = bucket_of(draft.resident)
        original.id = new_record_id(bucket)
        batch.originals.append((bucket, original.id, draft.resident, draft.adapter, now, subject.seal("originals", original.body, original.id.bytes)))
    return original.id


def _channel_class(channel: str) -> int:
    return int(DataClass.LOCATION if channel in ("latitude", "longitude") else DataClass.ACTIVITY)


async def _at_once(connection: Connection[Any], trail: Trail, uploads: Sequence[Upload], batch: _Batch) -> None:
    receipts = [_receipt_row(upload) for upload in uploads if upload.receipt is not None]
    rows = {
        "records": batch.records, "series": batch.series, "originals": batch.originals, "receipts": receipts,
        "audit": trail.linked([entry for upload in uploads for entry in upload.entries(upload)]),
    }  # fmt: skip
    await connection.execute(_AT_ONCE, *(column for table in (*_AT_ONCE_TABLES, "audit") for column in _transposed(table, rows[table])))


def _transposed(table: str, rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in COLUMNS[table]]


async def _in_parts(connection: Connection[Any], trail: Trail, uploads: Sequence[Upload], batch: _Batch) -> None:
    """Inside a transaction; the audit entries last."""
    await _store(connection, batch)
    await _insert(connection, "receipts", [_receipt_row(upload) for upload in uploads if upload.receipt is not None])
    await _insert(connection, "pending", [row for upload in uploads for row in upload.pending])
    for upload in uploads:
        if upload.beside:
            await upload.beside(connection)
    entries = [entry for upload in uploads for entry in upload.entries(upload)]
    if entries:
        await trail.append(connection, entries)


async def _store(connection: Connection[Any], batch: _Batch) -> None:
    if batch.superseded:
        names = ", ".join(COLUMNS["records"])
        await connection.execute(
            f"WITH old AS (DELETE FROM records WHERE (bucket, id) IN (SELECT * FROM unnest($1::smallint[], $2::uuid[])) "  # noqa: S608 - constant columns
            f"RETURNING {names}) INSERT INTO record_history ({names}) SELECT * FROM old",
            [bucket for _, bucket in batch.superseded], [identity for identity, _ in batch.superseded],
        )  # fmt: skip
    await _insert(connection, "records", batch.records)
    await _insert(connection, "series", batch.series)
    await _insert(connection, "originals", batch.originals)
    if batch.epochs:
        await connection.executemany(
            "UPDATE residents SET epoch = epoch + 1 WHERE bucket = $1 AND id = $2", [(bucket_of(identity), identity) for identity in batch.epochs]
        )
    for identity in batch.people:
        await doubt(connection, identity)
    if batch.notices:
        await connection.executemany(
            "INSERT INTO consent_notices (bucket, resident, receiver, consent, version, change) VALUES ($1, $2, $3, $4, $5, $6)", batch.notices
        )
    if batch.records:
        columns = dict(zip(COLUMNS["records"], _transposed("records", batch.records), strict=True))
        await connection.execute(_OWE.format(1, 2, 3, 4), columns["bucket"], columns["resident"], columns["id"], columns["version"])


async def _insert(connection: Connection[Any], table: str, rows: list[tuple[object, ...]]) -> None:
    if len(rows) >= COPY_FROM and table != "receipts":
        await connection.copy_records_to_table(table, records=rows, columns=tuple(COLUMNS[table]))
    elif rows:
        await connection.execute(_insertion(table), *_transposed(table, rows))


def _receipt_row(upload: Upload) -> tuple[object, ...]:
    receipt = upload.receipt
    assert receipt is not None
    outcomes = [(draft.outcome, draft.row) for draft in upload.drafts if draft.outcome]
    outcomes += [(Outcome(count.status, count.stored.id, count.stored.version, []), count.row) for count in upload.counts if count.stored]
    if receipt.status == "stored" and any(outcome.status == "updated" for outcome, _ in outcomes):
        receipt.status = "updated"
    elif receipt.status == "stored" and outcomes and all(outcome.status == "duplicate" for outcome, _ in outcomes):
        receipt.status = "duplicate"
    return (
        receipt.id, receipt.party, receipt.format, receipt.status, receipt.file, receipt.idempotency, receipt.fingerprint, receipt.created,
        _listed(outcome.record for outcome, _ in outcomes), _listed(outcome.version for outcome, _ in outcomes), _listed(row or 0 for _, row in outcomes),
        receipt.subject, receipt.detail, len(outcomes) + receipt.refused + receipt.waiting, receipt.refused, receipt.waiting,
    )  # fmt: skip


def _listed(values: Iterable[object]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
