"""One upload, from bytes to receipt: decode, settle times, check, identify, draft, write.

Bad rows are listed and their neighbours stored; rows without a certain resident wait, sealed under a key of their own with an
expiry. A repeat within party and resident answers with the first receipt; no answer depends on what others stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Protocol, TypeGuard, cast, get_args
from uuid import UUID, uuid4

import msgspec

from adapters.base import Adapter, Context, adapter, detect
from hub.audit.trail import Entry
from hub.intake import identity
from hub.intake.facts import entry
from hub.intake.lookup import Question
from hub.intake.receipts import Detail, PendingRow, RejectedRow, read_receipt, receipt_of, seal_detail
from hub.service import Hub
from hub.store import residents
from hub.store.directory import Named
from hub.store.ids import bucket_of, new_resident_id
from hub.store.occupancy import Count, reference
from hub.store.parties import Party
from hub.store.vault import Subject
from hub.store.writer import Draft, Original, ReceiptRow, Upload, changed_entry, standing
from mappings.face import Resource, face
from mappings.face import Subject as FaceSubject
from schemas.editions import check_age
from schemas.errors import AdapterError, BadRequest, Conflict, InvalidRecord, NotFound, Refused, TooLarge
from schemas.moments import natural_key, settle, time_range
from schemas.records import Decoded, Envelope, Rejected, VenueOccupancy, Who, encode
from schemas.resident import Gender, MemberNumber, Resident, check_forms, id_number, id_number_valid
from schemas.rules import check
from schemas.standard import APPEND_ONLY

EXPIRES = timedelta(days=30)
"""How long rows wait for their resident, and rejected rows stay readable; then their key is deleted."""

INLINE_BYTES = 64 * 1024
"""Files up to this size are decoded on the event loop; larger ones in a thread, so that others are not kept waiting."""


class Delivery(msgspec.Struct):
    """What came over the wire: who sent it, the bytes, and how the request named its resident."""

    party: Party
    body: bytes
    format: str = "auto"
    filename: str | None = None
    resident: UUID | None = None
    identifier: tuple[str, str] | None = None
    idempotency: str | None = None


class Source(Protocol):
    """What a draft says of the adapter that read it: an adapter, or the one that once did."""

    @property
    def id(self) -> str: ...

    @property
    def version(self) -> str: ...


class Sorted(msgspec.Struct):
    """An upload's rows, sorted by what becomes of them."""

    drafts: list[Draft]
    rejected: list[RejectedRow]
    pending: list[tuple[Decoded, str]]
    counts: list[Count] = []


async def take(hub: Hub, delivery: Delivery) -> tuple[int, dict[str, Any]]:
    """Store an upload. Returns the HTTP status (201, 200 for a repeat, 207 when some rows were not taken) and the receipt.

    Raises AdapterError (nothing stored), Refused, NotFound, Conflict, BadRequest.
    """
    source = source_of(delivery)
    rows = await rows_of(source, delivery)
    known = question(hub, delivery, rows)
    await hub.looking.put(known)
    if known.first is not None:
        return 200, await _repeated(hub, delivery.party, known)
    if await _registered(hub, delivery, known, rows):
        known = question(hub, delivery, rows)
        await hub.looking.put(known)
    found = await sort_rows(hub, delivery, source, known, rows)
    _refuse_if_nothing(found)
    _number_apart([row for row, _ in found.pending])
    upload = await _upload(hub, delivery, source, found, known)
    await hub.writing.put(upload)
    if upload.first is not None:
        return 200, await _first_receipt(hub, delivery.party, upload.first)
    assert upload.receipt is not None
    receipt = _fresh(upload.receipt, found)
    if receipt["status"] == "duplicate":
        return 200, receipt
    return (207 if receipt["rejected"] or receipt["pending"] else 201), receipt


async def _registered(hub: Hub, delivery: Delivery, known: Question, rows: Sequence[Decoded | Rejected]) -> bool:
    """Register the newcomers of an upload. Whether there was anybody. Whose number is another's waits like everybody else."""
    found = False
    for person in newcomers(delivery, known, rows).values():
        with suppress(BadRequest):
            await residents.register(hub, person, actor=delivery.party.reference, party=delivery.party.number)
            found = True
    return found


def newcomers(delivery: Delivery, known: Question, rows: Sequence[Decoded | Rejected]) -> dict[bytes, Resident]:
    """Whom nobody knows yet and the party may register, by the token that their rows are first known by: by name, and a valid ID number or a health card.

    Whose phone or area is none waits like everybody else.
    """
    if not delivery.party.may_register or delivery.resident is not None or delivery.identifier is not None:
        return {}
    people: dict[bytes, dict[str, Any]] = {}
    for row, hints in zip(rows, known.hints, strict=True):
        if isinstance(row, Decoded) and row.who and hints and identity.judged(hints, known.holders).reason == "unknown":
            said = {name: value for name, value in msgspec.structs.asdict(row.who).items() if value is not None}
            people[hints[0].token] = said | people.get(hints[0].token, {})
    found = {token: _resident(Who(**said), delivery.party) for token, said in people.items()}
    return {token: person for token, person in found.items() if _is_registrable(person)}


def _is_registrable(person: Resident) -> bool:
    if not person.name or not (person.id_number or person.health_card):
        return False
    try:
        check_forms(person)
    except BadRequest:
        return False
    return True


def _resident(who: Who, party: Party) -> Resident:
    """The person of a row, as far as it says."""
    numbers = [MemberNumber(party=str(party.id), number=number) for number in (who.member_number, who.source_id) if number]
    return Resident(
        name=who.name, id_number=id_number(identity.plain(who.id_number or "")), health_card=who.health_card, phone=who.phone, birth_date=who.birth_date,
        gender=cast(Gender, who.gender) if who.gender in get_args(Gender) else None, member_numbers=numbers,
    )  # fmt: skip


def _number_apart(rows: Sequence[Decoded]) -> None:
    """Give each waiting row a number of its own, by which it is settled: every sheet of a workbook counts from 1."""
    free = count(max((row.row or 1 for row in rows), default=0) + 1)
    taken: set[int] = set()
    for row in rows:
        number = row.row or 1
        row.row = next(free) if number in taken else number
        taken.add(row.row)


def _waiting(found: Sorted) -> list[PendingRow]:
    return [PendingRow(row.row or 1, reason, row.cell) for row, reason in found.pending]


def _fresh(receipt: ReceiptRow, found: Sorted) -> dict[str, Any]:
    """The receipt of what was just written, from memory."""
    taken = [(draft.shown, draft.outcome, draft.resident) for draft in found.drafts]
    records = [entry(record, str(outcome.record), str(resident), outcome.resources) for record, outcome, resident in taken if record and outcome]
    records += [entry(count.shown, str(count.stored.id), None, [reference(count.stored)]) for count in found.counts if count.stored]
    return receipt_of(
        receipt.id, receipt.status, receipt.format, receipt.created, records,
        Detail(found.rejected, _waiting(found)),
    )  # fmt: skip


async def _repeated(hub: Hub, party: Party, known: Question) -> dict[str, Any]:
    if known.other:
        raise Conflict("This Idempotency-Key was used for another upload.", code="idempotency", advice="Use a new key for new content.")
    assert known.first is not None
    return await _first_receipt(hub, party, known.first)


async def _first_receipt(hub: Hub, party: Party, first: UUID) -> dict[str, Any]:
    return await read_receipt(hub, party, first) | {"status": "duplicate"}


def question(hub: Hub, delivery: Delivery, rows: Sequence[Decoded | Rejected]) -> Question:
    """What must be looked up for an upload. Tokens of the request are made in the party's own space."""
    party = delivery.party
    body = hashlib.sha256(delivery.body).digest()
    named = _named(delivery)
    whose = f"{delivery.resident or ''}" if delivery.resident else "|".join(delivery.identifier or ())
    file = hub.keyring.party_token(party.number, b"file", body, whose.encode(), delivery.format.encode())
    key = hub.keyring.party_token(party.number, b"key", delivery.idempotency.encode()) if delivery.idempotency else None
    hints = [list(identity.hints(hub.keyring, row.who, str(party.id))) if isinstance(row, Decoded) and row.who else [] for row in rows]
    return Question(party.number, file, key, delivery.resident, list(identity.hints(hub.keyring, named, str(party.id))) if named else [], hints)


def source_of(delivery: Delivery) -> Adapter:
    if not delivery.body:
        raise AdapterError("The file is empty.", code="empty", advice="Send the file's bytes as the request body.")
    return detect(delivery.body, delivery.filename) if delivery.format == "auto" else adapter(delivery.format)


async def rows_of(source: Adapter, delivery: Delivery) -> list[Decoded | Rejected]:
    context = Context(received_at=datetime.now(UTC), filename=delivery.filename, zone=delivery.party.zone)
    if len(delivery.body) > context.limits.bytes:
        raise TooLarge(f"The file is larger than {context.limits.bytes // 2**20} MiB.", advice="Split it.")
    run = partial(_decode, source, delivery.body, context)
    return run() if len(delivery.body) <= INLINE_BYTES else await asyncio.to_thread(run)


def _decode(source: Adapter, body: bytes, context: Context) -> list[Decoded | Rejected]:
    rows: list[Decoded | Rejected] = []
    for row in source.decode(io.BytesIO(body), context):
        rows.append(row)
        if len(rows) > context.limits.rows:
            raise TooLarge(f"The file holds more than {context.limits.rows} rows.", advice="Split it.")
    return rows


def _named(delivery: Delivery) -> Who | None:
    if delivery.identifier is None:
        return None
    system, value = delivery.identifier
    fields = {"member": "member_number", "id-number": "id_number", "health-card": "health_card", "source": "source_id"}
    if system not in fields:
        raise BadRequest(f"The identifier system must be one of {', '.join(fields)}.", field="identifier")
    return msgspec.convert({fields[system]: value}, Who)


def _named_resident(delivery: Delivery, known: Question) -> UUID | None:
    """The resident that the request names. Raises NotFound when there is none such."""
    if delivery.resident is not None:
        if delivery.resident not in known.zones:
            raise NotFound("There is no such resident.", field="resident")
        return delivery.resident
    if delivery.identifier is None:
        return None
    found = identity.judged(known.named, known.holders).resident
    if found is None:
        raise NotFound("No resident of yours has this identifier.", field="identifier")
    return found


async def sort_rows(hub: Hub, delivery: Delivery, source: Adapter, known: Question, rows: Sequence[Decoded | Rejected]) -> Sorted:
    """Rows by what becomes of them. Raises NotFound and Refused as `take`."""
    found = Sorted([], [], [])
    resident = _named_resident(delivery, known)
    good = [(row, identity.judged(hints, known.holders)) for row, hints in zip(rows, known.hints, strict=True) if _usable(row, delivery, found)]
    good = await _known_without_number(hub, good)
    if resident is not None:
        await refuse_another_person(hub, resident, good)
    named = await hub.directory.named(delivery.party.number, [row.record for row, _ in good])
    found.counts = list(_counts(good, delivery.party, named, found.rejected))
    good = [(row, match) for row, match in good if not isinstance(row.record, VenueOccupancy)]
    whole = _whole_file(delivery, good)
    kept: dict[tuple[UUID, bytes], Original] = {}
    for row, match in good:
        whose = resident or match.resident
        if whose is None:
            found.pending.append((row, match.reason))
            continue
        original = None
        if (content := row.original if row.original is not None else whole) is not None:
            original = kept.get((whose, content)) or kept.setdefault((whose, content), original_of(content))
        found.drafts.append(draft(row, whose, delivery.party, source, known.zones.get(whose), original=original, named=named))
    if any(draft.kind in APPEND_ONLY for draft in found.drafts):
        await _refuse_changed_entries(hub, found)
    found.rejected.sort(key=lambda row: row.row)
    return found


async def _known_without_number(hub: Hub, rows: Sequence[tuple[Decoded, identity.Match]]) -> list[tuple[Decoded, identity.Match]]:
    """Rows with an ID number that nobody has are whose their other numbers say, where that one is known without an ID number.

    Not where they state several: those are people who share a number.
    """
    stated: dict[UUID, set[str]] = {}
    for row, match in rows:
        if match.likely and row.who:
            stated.setdefault(match.likely, set()).add(identity.plain(row.who.id_number or ""))
    alone = [who for who, numbers in stated.items() if len(numbers) == 1]
    bare = {who: identity.Match(who) for who in alone if not await residents.has_id_number(hub, who)}
    return [(row, bare.get(match.likely, match) if match.likely else match) for row, match in rows]


def _counts(rows: Sequence[tuple[Decoded, identity.Match]], party: Party, named: Named, rejected: list[RejectedRow]) -> Iterator[Count]:
    """Counts of people at the party's own venues; a row of a venue that it does not have is rejected."""
    for row, _ in rows:
        if not isinstance(row.record, VenueOccupancy):
            continue
        known = named.get(("Location", row.record.venue))
        if known is None:
            rejected.append(RejectedRow(row.row or 1, "venue", "venue-unknown", NO_VENUE, VENUE_ADVICE))
            continue
        place, name = known
        yield Count(msgspec.structs.replace(row.record, venue=name), place.partition("/")[2], party.number, row.row)


NO_VENUE = "The directory has no such venue of yours, or several."
VENUE_ADVICE = "Add it as a Location, and write its name or number as it stands there."


async def _refuse_changed_entries(hub: Hub, found: Sorted) -> None:
    """Rows that would change an entry of a ledger are rejected, each with its place; the writer refuses those that come at the same moment."""
    async with hub.database.connection() as connection:
        subjects = await hub.vault.subjects(connection, list({draft.resident for draft in found.drafts}))
        drafts = [draft for draft in found.drafts if draft.resident in subjects]
        fixed = {id(draft) for draft, became in zip(drafts, await standing(connection, subjects, drafts), strict=True) if became == "fixed"}
    found.rejected += [_changed_entry(draft) for draft in found.drafts if id(draft) in fixed]
    found.drafts = [draft for draft in found.drafts if id(draft) not in fixed]


def _changed_entry(draft: Draft) -> RejectedRow:
    field = "source_record_id" if draft.shown and draft.shown.source_record_id else "start"
    wrong = changed_entry(field)
    return RejectedRow(draft.row or 1, field, wrong.code, wrong.message, wrong.advice)


def _whole_file(delivery: Delivery, rows: Sequence[tuple[Decoded, identity.Match]]) -> bytes | None:
    """The whole file as the original of its rows: only where it is one person's, so that nobody's bytes are kept under another's key."""
    one = {match.resident for _, match in rows} if delivery.resident is None and delivery.identifier is None else set()
    return delivery.body if len(one) < 2 and all(row.original is None for row, _ in rows) else None


def _usable(row: Decoded | Rejected, delivery: Delivery, found: Sorted) -> TypeGuard[Decoded]:
    if isinstance(row, Rejected):
        found.rejected.append(RejectedRow(row.row, row.field, row.code, row.message, row.advice, row.cell))
        return False
    try:
        settle(row.record, delivery.party.zone)
        check(row.record, datetime.now(UTC))
        check_age(row.record, row.who)
    except InvalidRecord as error:
        found.rejected.append(RejectedRow(row.row or 1, error.field, error.code, error.message, error.advice, None))
        return False
    return True


async def refuse_another_person(hub: Hub, resident: UUID, rows: Sequence[tuple[Decoded, identity.Match]]) -> None:
    """Raises Refused where a row states an identifier of somebody else than `resident`."""
    if any(match.resident not in (None, resident) or match.reason == "identifiers-disagree" for _, match in rows):
        raise Refused("The file names another person than the request.", code="other-person", advice="Check whose file it is.")
    cards = [row.who.id_number for row, _ in rows if row.who and row.who.id_number and id_number_valid(identity.plain(row.who.id_number))]
    if not cards:
        return
    tokens = {identity.token(hub.keyring, "id-number", card) for card in cards}
    async with hub.database.connection() as connection:
        held = {row["token"] for row in await connection.fetch("SELECT token FROM identifiers WHERE resident = $1 AND sole", resident)}
        others = await identity.holders(connection, tokens - held)
    if others or (tokens - held and await residents.has_id_number(hub, resident)):
        raise Refused("The file names another person than the request.", code="other-person", advice="Check whose file it is.")


def original_of(content: bytes) -> Original:
    """Bytes as they came in, with their SHA-256."""
    return Original(hashlib.sha256(content).hexdigest(), content)


def draft(row: Decoded, resident: UUID, party: Party, source: Source, zone: str | None, *, original: Original | None, named: Named) -> Draft:
    """A decoded row as a draft of the store."""
    record = row.record
    starts, ends = time_range(record, zone or party.zone)
    digest = original.sha256 if original is not None else None
    return Draft(
        resident=resident, kind=str(record.__struct_config__.tag), natural=(str(party.number), *natural_key(record)), record=encode(record),
        resources=partial(_face, record, resident, party, source, digest, zone, named), starts=starts, ends=ends, party=party.number, adapter=source.id,
        adapter_version=source.version, series=row.series, original=original, row=row.row, shown=record,
    )  # fmt: skip


def _face(
    record: Envelope, resident: UUID, party: Party, source: Source, digest: str | None, zone: str | None, named: Named, record_id: str, updated: str
) -> Sequence[Resource]:
    return face(record, FaceSubject(  # type: ignore[arg-type]  # adapters yield members of the Record union
        record_id=record_id, patient=f"Patient/{resident}", party=party.reference, party_name=party.name, adapter=source.id,
        adapter_version=source.version, original_hash=digest, recorded=updated, zone=zone, named=named,
    ))  # fmt: skip


def _refuse_if_nothing(found: Sorted) -> None:
    if found.drafts or found.pending or found.counts:
        return
    if len(found.rejected) == 1:
        only = found.rejected[0]
        raise AdapterError(only.message, code=only.code, field=only.field, row=only.row, advice=only.advice)
    if found.rejected:
        first = found.rejected[0]
        raise AdapterError(
            f"None of the {len(found.rejected)} rows can be used; row {first.row}: {first.message}", code=first.code, field=first.field, row=first.row
        )
    raise AdapterError("The file holds nothing to store.", code="empty")


async def _upload(hub: Hub, delivery: Delivery, source: Adapter, found: Sorted, known: Question) -> Upload:
    status = "partial" if (found.drafts or found.counts) and (found.rejected or found.pending) else "pending" if found.pending else "stored"
    now = datetime.now(UTC)
    receipt = ReceiptRow(
        id=uuid4(), party=delivery.party.number, format=source.id, status=status, created=now, fingerprint=known.file,
        file=known.file if status == "stored" else None, idempotency=known.key, refused=len(found.rejected), waiting=len(found.pending),
    )  # fmt: skip
    upload = Upload(found.drafts, partial(_entries, delivery.party), receipt, counts=found.counts)
    if found.rejected or found.pending:
        await _seal_rest(hub, delivery, receipt, upload, found, now)
    return upload


async def _seal_rest(hub: Hub, delivery: Delivery, receipt: ReceiptRow, upload: Upload, found: Sorted, now: datetime) -> None:
    """Rejected and pending rows under a key of their own, which expires."""
    data_key = os.urandom(32)
    subject = Subject(new_resident_id(), hub.keyring.suite, data_key, {})
    wrapped = await hub.keyring.aside(hub.keyring.wrap, str(subject.id), data_key)
    upload.keys = [(bucket_of(subject.id), subject.id, wrapped.kek, wrapped.erasure, wrapped.wrapped, now + EXPIRES)]
    receipt.subject = subject.id
    receipt.detail = seal_detail(subject, receipt.id, Detail(found.rejected, _waiting(found)))
    for row, reason in found.pending:
        identity_ = uuid4()
        row.original = row.original if row.original is not None else delivery.body
        body = subject.seal("pending", msgspec.msgpack.encode(row), identity_.bytes)
        upload.pending.append((identity_, delivery.party.number, receipt.id, row.row or 1, reason, subject.id, now + EXPIRES, body))


def _entries(party: Party, upload: Upload) -> list[Entry]:
    receipt = f"receipt:{upload.receipt.id}" if upload.receipt else None
    residents = {draft.resident for draft in upload.drafts} | ({None} if upload.counts else set())
    return [Entry(actor=party.reference, action="upload", outcome="stored", resident=resident, party=party.number, rule=receipt) for resident in residents]
