"""Records brought to the standard as it is now: `kinehub records upgrade`.

A record whose adapter has a newer version is read again from its kept original; one whose mapping, compiler or standard is newer
gets its face anew from the stored record, and a resident whose Patient would be another by now gets that. Either way the result is
a new version and history stays. A record that a correction replaced meanwhile is left alone, and so is what the original does not say
any more: it is counted, never guessed.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Record as Row

from adapters.base import Adapter, Context, adapters
from hub.audit.trail import Entry
from hub.intake.upload import draft
from hub.store import parties, residents
from hub.store.parties import Party
from hub.store.vault import STORED, SystemPermit
from hub.store.writer import Draft, Original, Renewed, Upload
from mappings.face import is_current, source_hash
from mappings.resident import patient
from schemas.errors import AdapterError, InvalidRecord
from schemas.moments import natural_key, settle
from schemas.records import Decoded, decode
from schemas.resident import Resident
from schemas.rules import check

if TYPE_CHECKING:
    from hub.service import Hub

PERMIT = SystemPermit("upgrade-records")
BATCH = 200


class _Source(NamedTuple):
    """The adapter that read a record, as its Provenance will name it."""

    id: str
    version: str


class _Run:
    """One run: what became of every record, and the originals read again for the batch at hand."""

    def __init__(self, hub: Hub, everyone: dict[int, Party]) -> None:
        self.hub, self.parties = hub, everyone
        self.adapters: dict[str, Adapter] = {one.id: one for one in adapters()}
        self.counts: Counter[str] = Counter()
        self.read: dict[UUID, list[Decoded]] = {}


async def upgrade(hub: Hub, *, dry_run: bool = False, step: Callable[[int], None] = lambda _: None) -> dict[str, int]:
    """Bring every record to the standard as it is now. Stopped half-way, the next run goes on; run again, it changes nothing.

    Returns how many records were `checked`, `current`, `upgraded`, `overtaken` (corrected meanwhile), and of those that a newer adapter
    should have read again: `without-original`, `unmatched` (the original does not hold them any more), `refused` (by today's rules).
    """
    async with hub.database.connection() as connection:
        run = _Run(hub, {party.number: party for party in await parties.everyone(connection)})
    place = -1, UUID(int=0)
    while rows := await _batch(hub, place):
        run.read.clear()
        drafts = [made for row in rows if (made := await _renewed(run, row)) is not None]
        if dry_run:
            run.counts["upgraded"] += len(drafts)
        elif drafts:
            await hub.writing.put(Upload(drafts, _entries))
            run.counts.update("upgraded" if made.outcome and made.outcome.status == "updated" else "overtaken" for made in drafts)
        run.counts["checked"] += len(rows)
        step(len(rows))
        place = rows[-1]["bucket"], rows[-1]["id"]
    return {"checked": 0, "current": 0, "upgraded": 0} | dict(run.counts)


async def _batch(hub: Hub, place: tuple[int, UUID]) -> list[Row]:
    async with hub.database.connection() as connection:
        found: list[Row] = await connection.fetch(STORED, *place, BATCH)
        await hub.vault.unlocked(found)
        return found


def _entries(upload: Upload) -> list[Entry]:
    count = sum(made.outcome is not None and made.outcome.status == "updated" for made in upload.drafts)
    return [Entry(actor="operator", action="upgrade-records", outcome=f"{count} records")]


async def _renewed(run: _Run, row: Row) -> Draft | None:
    """The next version of a record, or None when there is nothing to renew."""
    body, samples = run.hub.vault.reopened(row, PERMIT)
    if body.header.kind == "resident":
        shown = body.slot(-1)
        return _entry(run, row, body.record, body.stored(shown) if shown else b"")
    header, party, written = body.header, run.parties.get(row["party"]), body.slot(0)
    if party is None or written is None:
        run.counts["without-source"] += 1
        return None
    provenance = body.stored(written)
    newest = run.adapters[header.adapter].version if header.adapter in run.adapters else header.adapter_version
    if is_current(provenance, header.kind, header.adapter, newest):
        run.counts["current"] += 1
        return None
    try:
        decoded, source = Decoded(decode(body.record), row=header.row, series=samples), _Source(header.adapter, header.adapter_version)
        if newest != header.adapter_version:
            again = await _read_again(run, row, party, header.adapter, decoded)
            if again is None and is_current(provenance, header.kind, header.adapter, header.adapter_version):
                return None
            decoded, source = (again, _Source(header.adapter, newest)) if again is not None else (decoded, source)
        made = draft(
            decoded, row["resident"], party, source, row["zone"], original=Original(source_hash(provenance), None, row["original"]),
            named=await run.hub.directory.named(party.number, [decoded.record]),
        )  # fmt: skip
        made.record_id, made.renews = row["id"], Renewed(row["natural_key"], row["version"])
        made.resources(str(row["id"]), "2000-01-01T00:00:00Z")
    except (InvalidRecord, msgspec.ValidationError):
        run.counts["refused"] += 1
        return None
    return made


def _entry(run: _Run, row: Row, record: bytes, shown: bytes) -> Draft | None:
    """A resident's own entry with their Patient as it is mapped now, where another was `shown`: nothing else says what that was made by."""
    resident = msgspec.json.decode(record, type=Resident)
    if shown == patient(resident, str(row["resident"])).json:
        run.counts["current"] += 1
        return None
    made = residents.entry(row["resident"], resident, row["party"])
    made.renews = Renewed(row["natural_key"], row["version"])
    return made


async def _read_again(run: _Run, row: Row, party: Party, adapter: str, old: Decoded) -> Decoded | None:
    """What the original says of this record today; None (counted) when it is not kept or does not say it any more."""
    rows = run.read.get(row["original"]) if row["original"] else []
    if rows is None:
        rows = run.read[row["original"]] = await _decoded(run, row, party, adapter)
    if not rows:
        run.counts["without-original"] += 1
        return None
    same = [one for one in rows if natural_key(one.record) == natural_key(old.record)] or _beside(rows, old)
    if not same:
        run.counts["unmatched"] += 1
        return None
    again = same[-1]
    check(again.record, datetime.now(UTC))
    again.row = old.row
    return again


def _beside(rows: list[Decoded], old: Decoded) -> list[Decoded]:
    """The one record of the same kind, or of the same row, where a newer adapter reads its key otherwise."""
    alike = [one for one in rows if type(one.record) is type(old.record)]
    found = alike if len(alike) == 1 else [one for one in alike if one.row == old.row]
    return found if len(found) == 1 else []


async def _decoded(run: _Run, row: Row, party: Party, adapter: str) -> list[Decoded]:
    async with run.hub.database.connection() as connection:
        kept = await run.hub.vault.original(connection, row, PERMIT)
    if kept is None:
        return []
    content, received = kept
    try:
        found = run.adapters[adapter].decode(io.BytesIO(content), Context(received_at=received, zone=party.zone))
        rows = [one for one in found if isinstance(one, Decoded)]
    except AdapterError:
        return []
    for one in rows:
        settle(one.record, party.zone)
    return rows
