"""The audit trail of one writer process: a hash chain, group-committed before the answer leaves.

Each entry's hash is H(previous hash, canonical entry, salt), so an edit, a gap or a swap shows. Outside the database each writer notes its head every
second while there are entries, and once a minute what is new is taken into the tree of all chains and a head signed (`hub/audit/tree.py`): a tail cut
off the database shows, up to the last second before the cut. Entries hold party, time, purpose, rule and a pseudonym in the clear; the detail is
sealed under the resident's key. The salt keeps a neighbour's entry from being guessed from the hashes in a proof.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from hub.audit import tree
from hub.audit.heads import Heads
from hub.defects import places
from hub.store.database import Connection, Database
from hub.store.keyring import Keyring
from hub.store.seal import bound, digest_name
from schemas.errors import KineHubError

GENESIS = bytes(32)
FOLDER = "audit-heads"
HEAD_EVERY_S = 60
log = logging.getLogger(__name__)

REFUSED = ("refused", "denied", "empty", "nothing", "suppressed")
"""Outcomes by which nothing was shown."""
ANSWERED = f"NOT outcome = ANY('{{{','.join(REFUSED)}}}')"
ACCESSES = "(action IN ('read', 'everything', 'deliver', 'export') OR action LIKE 'read %' OR action LIKE 'search %' OR action LIKE 'history %')"
"""SQL: entries by which records left the hub, or were shown."""


class Entry(msgspec.Struct, frozen=True):
    """One thing done about one resident (or none). `detail` is already sealed."""

    actor: str
    action: str
    outcome: str
    resident: UUID | None = None
    party: int | None = None
    purpose: str | None = None
    rule: str | None = None
    detail: bytes | None = None
    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class Affected(msgspec.Struct, frozen=True):
    """A resident of whom something went to a party: how often, the first and the last time, for what and under which rules."""

    resident: UUID
    times: int
    first: datetime
    last: datetime
    purposes: list[str]
    rules: list[str]


async def affected(connection: Connection[Any], party: int, since: datetime, until: datetime, actor: str | None = None) -> list[Affected]:
    """Every resident of whom this party (or one actor in it) was shown or sent something within a time; for a breach on their side (PIPL, article 57)."""
    rows = await connection.fetch(
        f"""SELECT resident, count(*) AS times, min(at) AS first, max(at) AS last, array_remove(array_agg(DISTINCT purpose), NULL) AS purposes,
        array_remove(array_agg(DISTINCT rule), NULL) AS rules FROM audit
        WHERE party = $1 AND at >= $2 AND at < $3 AND ($4::text IS NULL OR actor = $4) AND resident IS NOT NULL AND {ANSWERED} AND {ACCESSES}
        GROUP BY resident ORDER BY first""",  # noqa: S608 - constants
        party, since, until, actor,
    )  # fmt: skip
    return [Affected(**row) for row in rows]


def texts(entry: Entry) -> list[str | None]:
    """What is hashed of an entry beside its detail, in this order; a proof shows the same."""
    fields = (entry.at.astimezone(UTC).isoformat(), entry.resident, entry.party, entry.actor, entry.action, entry.purpose, entry.rule, entry.outcome)
    return [None if value is None else str(value) for value in fields]


def entry_hash(algorithm: str, previous: bytes, chain: int, seq: int, entry: Entry, salt: bytes | None = None) -> bytes:
    return text_hash(algorithm, previous, chain, seq, texts(entry), entry.detail, salt)


def text_hash(
    algorithm: str, previous: bytes, chain: int, seq: int, fields: Sequence[str | None], detail: bytes | None, salt: bytes | None
) -> bytes:
    """H(previous | chain | seq | every field | salt), fields length-prefixed and absent ones told apart from empty ones."""
    values = [b"\0" if value is None else b"\1" + value.encode() for value in fields]
    sealed = b"\0" if detail is None else b"\1" + detail
    return hashlib.new(algorithm, bound(previous, str(chain).encode(), str(seq).encode(), *values, sealed, *((salt,) if salt else ()))).digest()


def salt_of(algorithm: str, secret: bytes | None, seq: int) -> bytes | None:
    """The salt of an entry, from its chain's secret; a chain begun before there were salts has none."""
    return hashlib.new(algorithm, secret + seq.to_bytes(8, "big")).digest()[:16] if secret else None


_INSERT = """INSERT INTO audit (chain, seq, at, resident, party, actor, action, purpose, rule, outcome, detail, hash)
SELECT * FROM unnest($1::int[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
  $11::bytea[], $12::bytea[])"""


class Trail:
    """This process's chain. `note` for reads, `held` for writes: the entry is the last statement of its transaction."""

    def __init__(self, database: Database, keyring: Keyring, folder: Path, chain: int, secret: bytes) -> None:
        self._database, self._folder = database, folder
        self.algorithm = digest_name(keyring.suite)
        self.heads = Heads(folder, keyring.signing_key())
        self.chain, self._secret = chain, secret
        self._seq, self._hash = 0, GENESIS
        self._lock = asyncio.Lock()
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._noted = 0

    @classmethod
    async def start(cls, database: Database, keyring: Keyring, data_dir: Path) -> Trail:
        """Open a chain of one's own and begin flushing."""
        folder, secret = data_dir / FOLDER, os.urandom(32)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with database.connection() as connection:
            chain = await connection.fetchval("INSERT INTO audit_chains (secret) VALUES ($1) RETURNING chain", secret)
        trail = cls(database, keyring, folder, chain, secret)
        trail._tasks = [asyncio.create_task(trail._flush_forever()), asyncio.create_task(trail._note_heads_forever())]
        return trail

    async def stop(self) -> None:
        """Flush what waits and have it signed; then the note of this chain's end has nothing left to say."""
        while self._waiting:
            await self._flush()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._note_head()
        if await self.sign() and await self._is_signed():
            (self._folder / f"{self.chain}.head").unlink(missing_ok=True)

    async def note(self, entry: Entry) -> None:
        """Durable when this returns: waiting entries of concurrent requests share one commit."""
        durable = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, durable))
        self._wake.set()
        await durable

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Trail]:
        """Hold the chain around a writing transaction, commit included; after a failure the head is read again."""
        async with self._lock:
            before = self._seq, self._hash
            try:
                yield self
            except BaseException:
                self._seq, self._hash = before
                await asyncio.shield(self._read_head())
                raise

    async def append(self, connection: Connection[Any], entries: Sequence[Entry]) -> None:
        """Insert entries on `connection`, inside `held` and inside the caller's transaction."""
        await connection.execute(_INSERT, *map(list, zip(*self.linked(entries), strict=True)))

    def linked(self, entries: Sequence[Entry]) -> list[tuple[object, ...]]:
        """The entries as rows of the table, put at the end of the chain; inside `held`, for a statement that inserts them."""
        rows: list[tuple[object, ...]] = []
        for e in entries:
            self._seq += 1
            salt = salt_of(self.algorithm, self._secret, self._seq)
            self._hash = entry_hash(self.algorithm, self._hash, self.chain, self._seq, e, salt)
            rows.append((self.chain, self._seq, e.at, e.resident, e.party, e.actor, e.action, e.purpose, e.rule, e.outcome, e.detail, self._hash))
        return rows

    async def _flush_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._flush()

    async def _flush(self) -> None:
        """One commit. Its entries are taken once the chain is held: all that came while uploads held it. `Grouped` would take them before."""
        batch: list[tuple[Entry, asyncio.Future[None]]] = []
        try:
            async with self.held(), self._database.connection() as connection:
                batch, self._waiting = self._waiting[:500], self._waiting[500:]
                if batch:
                    await self.append(connection, [entry for entry, _ in batch])
        except Exception as error:
            _settle(batch, error)
        else:
            _settle(batch, None)

    async def _read_head(self) -> None:
        with contextlib.suppress(Exception):
            async with self._database.connection() as connection:
                row = await connection.fetchrow("SELECT seq, hash FROM audit WHERE chain = $1 ORDER BY seq DESC LIMIT 1", self.chain)
            self._seq, self._hash = (row["seq"], row["hash"]) if row else (0, GENESIS)

    async def _note_heads_forever(self) -> None:
        elapsed = 0
        while True:
            await asyncio.sleep(1)
            elapsed += 1
            self._note_head()
            if elapsed % HEAD_EVERY_S == 0:
                await self.sign()

    def _note_head(self) -> None:
        if self._seq == self._noted or self._lock.locked():
            return
        draft = self._folder / f"{self.chain}.new"
        with draft.open("wb") as file:
            file.write(msgspec.json.encode({"chain": self.chain, "seq": self._seq, "hash": self._hash.hex(), "at": datetime.now(UTC)}))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / f"{self.chain}.head")
        self._noted = self._seq

    async def sign(self) -> bool:
        """A signed head over all that is new in any chain; whether that went well. What stands in the way is logged and seen by `audit verify`."""
        try:
            taken = tree.MOST
            while taken == tree.MOST:
                taken = await tree.grow(self._database, self.heads, self.algorithm)
        except KineHubError as error:
            log.warning("no head was signed: %s", error.message)
            return False
        except Exception as error:
            log.warning("no head was signed: %s", places(error))
            return False
        return True

    async def _is_signed(self) -> bool:
        with contextlib.suppress(Exception):
            async with self._database.connection() as connection:
                return bool(self._seq == await connection.fetchval("SELECT max(last) FROM audit_segments WHERE chain = $1", self.chain))
        return False


def _settle(batch: Sequence[tuple[Entry, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, future in batch:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
