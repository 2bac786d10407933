"""Petitions: what a resident asks of who holds or saw their data, with a deadline: correct this, delete this, explain this look,
have a person look at this computed result (PIPL 24, 46, 47, 50).

The source of a record answers for it and for its results, the party of a look for the look, the hub's administrator for all. A record of which
deletion is asked is shown to nobody else from then on, whatever is answered (docs/decisions/0022).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID, uuid4

import msgspec

from hub.audit.trail import Entry
from hub.store import grants, residents
from hub.store.database import Connection
from hub.store.ids import bucket_of
from hub.store.vault import OF_RESIDENTS, SystemPermit
from schemas.errors import BadRequest, Conflict, NotFound, Refused

if TYPE_CHECKING:
    from hub.service import Hub

Kind = Literal["correction", "deletion", "dispute", "review"]
OUTCOMES: dict[str, tuple[str, ...]] = {
    "correction": ("corrected", "not-wrong", "not-ours"),
    "deletion": ("deleted", "law-requires", "not-ours"),
    "dispute": ("explained", "misuse"),
    "review": ("changed", "upheld", "not-computed", "not-ours"),
}
"""What a petition of each kind may be answered with; all but the first are reasons where it is refused."""
DUE = timedelta(days=15)
MOST_OPEN, LONGEST = 20, 700
READ = SystemPermit("petitions")
HUB = 0


class Petition(msgspec.Struct, frozen=True):
    """One petition without its words. `entry`: chain and place of the look it disputes; `outcome` None: still open."""

    id: UUID
    resident: UUID
    kind: Kind
    party: int
    record: UUID | None
    version: int | None
    entry: tuple[int, int] | None
    made: datetime
    due: datetime
    outcome: str | None
    answered: datetime | None
    representative: UUID | None = None


def _petition(row: Any) -> Petition:
    fields = {name: row[name] for name in ("id", "resident", "kind", "party", "record", "version", "made", "due", "outcome", "answered", "representative")}
    return Petition(**fields, entry=(row["chain"], row["seq"]) if row["chain"] is not None else None)


async def about_record(
    hub: Hub, resident: UUID, record: UUID, kind: Kind, words: str, *, actor: str = "", representative: UUID | None = None, of_hub: bool = False
) -> Petition:
    """Ask the source of a record to correct or delete it, or to have a person look at its result. One of which deletion is asked is hidden from
    everybody else at once.

    representative: who asks in the resident's name, by the account `actor`; whether they may see the record is the caller's to know
    of_hub: it is the hub's own mark on the record that a person is to look at

    Raises BadRequest, Conflict while the same is asked already, NotFound for a record that is not one of theirs.
    """
    async with hub.database.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT version, party FROM records WHERE bucket = $1 AND id = $2 AND resident = $3 AND NOT deleted AND {OF_RESIDENTS}",  # noqa: S608 - constant
            bucket_of(record), record, resident,
        )  # fmt: skip
        if row is None or kind == "dispute":
            raise NotFound("There is no such record.")
    asked = _Asked(kind, HUB if of_hub else row["party"], _said(words), actor or f"Patient/{resident}", record, row["version"], representative=representative)
    return await (_hide(hub, resident, record, asked) if kind == "deletion" else _ask(hub, resident, asked))


async def _hide(hub: Hub, resident: UUID, record: UUID, asked: _Asked) -> Petition:
    """The petition, and with it a Consent that refuses every resource of the record to everybody."""
    async with hub.database.connection() as connection:
        names = await hub.vault.named(connection, resident, record, READ)
    if not names:
        raise NotFound("There is no such record.")
    made: list[Petition] = []

    async def beside(connection: Connection[Any]) -> list[Entry]:
        petition, entry = await _write(hub, connection, resident, asked)
        made[:] = [petition]
        return [entry]

    await grants.refuse(hub, resident, actor=asked.actor, instances=names, beside=beside)
    return made[0]


async def about_look(hub: Hub, resident: UUID, entry: tuple[int, int], words: str) -> Petition:
    """Ask the party of a look to explain it. Raises BadRequest, Conflict, NotFound for an entry that is not about them."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow("SELECT party FROM audit WHERE chain = $1 AND seq = $2 AND resident = $3", *entry, resident)
    if row is None:
        raise NotFound("There is no such entry.")
    return await _ask(hub, resident, _Asked("dispute", row["party"] or HUB, _said(words), f"Patient/{resident}", entry=entry))


class _Asked(NamedTuple):
    """What is asked of whom, and by whom; of a record in its version, or of a look."""

    kind: Kind
    party: int
    words: str
    actor: str
    record: UUID | None = None
    version: int | None = None
    entry: tuple[int, int] | None = None
    representative: UUID | None = None


async def _ask(hub: Hub, resident: UUID, asked: _Asked) -> Petition:
    await hub.vault.unlock([resident])
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        petition, entry = await _write(hub, connection, resident, asked)
        await hub.trail.append(connection, [entry])
    return petition


async def _write(hub: Hub, connection: Connection[Any], resident: UUID, asked: _Asked) -> tuple[Petition, Entry]:
    """Inside a transaction, one at a time for a resident. Raises Conflict while the same is asked already."""
    identity, now = uuid4(), datetime.now(UTC)
    await connection.fetchrow("SELECT FROM residents WHERE bucket = $1 AND id = $2 FOR UPDATE", bucket_of(resident), resident)
    _refuse_again(await of_resident(connection, resident), asked)
    subject = (await hub.vault.subjects(connection, [resident]))[resident]
    row = await connection.fetchrow(
        "INSERT INTO petitions (bucket, id, resident, kind, party, record, version, chain, seq, made, due, words, representative) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING *",
        bucket_of(resident), identity, resident, asked.kind, asked.party, asked.record, asked.version, *(asked.entry or (None, None)), now, now + DUE,
        subject.seal("petitions", asked.words.encode(), identity.bytes, b"words"), asked.representative,
    )  # fmt: skip
    return _petition(row), Entry(
        actor=asked.actor, action="petition", outcome=asked.kind, resident=resident, party=asked.party or None, rule=f"petition:{identity}"
    )


def _said(words: str) -> str:
    said = words.strip()
    if not said or len(said) > LONGEST:
        raise BadRequest(f"A petition says what is meant, in up to {LONGEST} letters.", field="words")
    return said


def _refuse_again(known: Sequence[Petition], asked: _Asked) -> None:
    waiting = [one for one in known if one.outcome is None]
    if any((one.kind, one.party, one.record, one.entry) == (asked.kind, asked.party, asked.record, asked.entry) for one in waiting):
        raise Conflict("This was asked already and waits for its answer.", code="asked-already")
    if len(waiting) >= MOST_OPEN:
        raise Conflict(f"{MOST_OPEN} petitions wait for their answer.", code="asked-often", advice="Wait for an answer, or call 12345.")


async def of_resident(connection: Connection[Any], resident: UUID) -> list[Petition]:
    """A resident's petitions, newest first."""
    rows = await connection.fetch("SELECT * FROM petitions WHERE bucket = $1 AND resident = $2 ORDER BY made DESC", bucket_of(resident), resident)
    return [_petition(row) for row in rows]


async def of_party(connection: Connection[Any], party: int | None, limit: int = 200) -> list[Petition]:
    """What a party has to answer, those still open first; of every party where it is None."""
    rows = await connection.fetch(
        "SELECT * FROM petitions WHERE $1::int IS NULL OR party = $1 "
        "ORDER BY (outcome IS NULL) DESC, CASE WHEN outcome IS NULL THEN due END, made DESC LIMIT $2",
        party, limit,
    )  # fmt: skip
    return [_petition(row) for row in rows]


async def late(connection: Connection[Any]) -> set[int]:
    """The parties that owe an answer which is overdue."""
    return {row["party"] for row in await connection.fetch("SELECT DISTINCT party FROM petitions WHERE outcome IS NULL AND due < now()")}


async def read(hub: Hub, identity: UUID, *, actor: str, party: int | None = None, resident: UUID | None = None) -> tuple[Petition, str, str]:
    """A petition with its words and its answer, for its resident, its party, or (neither named) the hub's administrator. Raises NotFound."""
    async with hub.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT * FROM petitions WHERE id = $1 AND ($2::int IS NULL OR party = $2) AND ($3::uuid IS NULL OR resident = $3)", identity, party, resident
        )
        if row is None:
            raise NotFound("There is no such petition.")
        words, answer = await hub.vault.petitioned(connection, row, READ)
    await hub.trail.note(Entry(actor=actor, action="petition-read", outcome="opened", resident=row["resident"], party=party, rule=f"petition:{identity}"))
    return _petition(row), words, answer


async def answer(hub: Hub, petition: Petition, *, actor: str, party: int | None, outcome: str, words: str) -> None:
    """Answer a petition, once; for `party`, or for the hub where it is None, which answers disputes and what it was asked itself.

    Deleted: the record is marked so, and shown to nobody any more, its resident included.

    Raises BadRequest for an outcome of another kind, Refused for the very person whose look it disputes, Conflict where it is answered already,
    or said to be corrected or changed while the record is as it was.
    """
    if outcome not in OUTCOMES[petition.kind]:
        raise BadRequest("This is no answer to such a petition.", field="outcome")
    if party is None and petition.kind != "dispute" and petition.party != HUB:
        raise Refused("The source of a record answers for it.", code="not-the-source")
    said = _said(words)
    await hub.vault.unlock([petition.resident])
    async with hub.database.connection() as connection, hub.trail.held(), connection.transaction():
        await _refuse_untrue(connection, petition, actor, outcome)
        subject = (await hub.vault.subjects(connection, [petition.resident]))[petition.resident]
        done = await connection.fetchval(
            "UPDATE petitions SET outcome = $3, answered = now(), answer = $4 WHERE bucket = $1 AND id = $2 AND outcome IS NULL RETURNING id",
            bucket_of(petition.resident), petition.id, outcome, subject.seal("petitions", said.encode(), petition.id.bytes, b"answer"),
        )  # fmt: skip
        if done is None:
            raise Conflict("This petition was answered already.", code="answered-already")
        if outcome == "deleted":
            await _delete(connection, petition)
        await hub.trail.append(connection, [Entry(
            actor=actor, action="petition-answer", outcome=outcome, resident=petition.resident, party=party, rule=f"petition:{petition.id}",
        )])  # fmt: skip
    hub.vault.forget(petition.resident)


async def _refuse_untrue(connection: Connection[Any], petition: Petition, actor: str, outcome: str) -> None:
    if petition.entry and await connection.fetchval("SELECT actor = $3 FROM audit WHERE chain = $1 AND seq = $2", *petition.entry, actor):
        raise Refused("Nobody answers for their own look.", code="own-look", advice="Somebody else of the organization answers.")
    if outcome in ("corrected", "changed"):
        version = await connection.fetchval("SELECT version FROM records WHERE bucket = $1 AND id = $2", bucket_of(petition.resident), petition.record)
        if version is None or version <= (petition.version or 0):
            raise Conflict("The record is as it was.", code="not-corrected", advice="Upload the corrected record first.")


async def _delete(connection: Connection[Any], petition: Petition) -> None:
    """The tombstone: the rows stay sealed until the resident is erased, and no way out shows them. A cached permit is no longer good."""
    await connection.execute(
        "UPDATE records SET deleted = true WHERE bucket = $1 AND id = $2 AND resident = $3", bucket_of(petition.resident), petition.record, petition.resident
    )
    await residents.raise_epoch(connection, petition.resident)
