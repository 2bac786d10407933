"""The audit trail of one writer process: a hash chain, group-committed before the answer leaves.

Each entry's hash is H(previous hash, canonical entry), so an edit, a gap or a swap shows. Outside the database each writer
notes its head every second while there are entries, and once a minute a signed root over all heads is appended to
`audit-heads/roots.ndjson`: a tail cut off the database shows, up to the last second before the cut.
Entries hold party, time, purpose, rule and a pseudonym in the clear; the detail is sealed under the resident's key.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from joserfc import jws

from hub.store.database import Connection, Database
from hub.store.keyring import Keyring
from hub.store.seal import bound, digest_name

GENESIS = bytes(32)
ROOTS = "roots.ndjson"


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


def entry_hash(algorithm: str, previous: bytes, chain: int, seq: int, entry: Entry) -> bytes:
    """H(previous | chain | seq | every field), fields length-prefixed and absent ones told apart from empty ones."""
    fields = (entry.at.astimezone(UTC).isoformat(), entry.resident, entry.party, entry.actor, entry.action, entry.purpose, entry.rule, entry.outcome)
    texts = [b"\0" if value is None else b"\1" + str(value).encode() for value in fields]
    detail = b"\0" if entry.detail is None else b"\1" + entry.detail
    return hashlib.new(algorithm, bound(previous, str(chain).encode(), str(seq).encode(), *texts, detail)).digest()


_INSERT = """INSERT INTO audit (chain, seq, at, resident, party, actor, action, purpose, rule, outcome, detail, hash)
SELECT * FROM unnest($1::int[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
  $11::bytea[], $12::bytea[])"""


class Trail:
    """This process's chain. `note` for reads, `held` for writes: the entry is the last statement of its transaction."""

    def __init__(self, database: Database, keyring: Keyring, folder: Path, chain: int) -> None:
        self._database, self._keyring, self._folder = database, keyring, folder
        self._algorithm = digest_name(keyring.suite)
        self.chain = chain
        self._seq, self._hash = 0, GENESIS
        self._lock = asyncio.Lock()
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._noted = 0

    @classmethod
    async def start(cls, database: Database, keyring: Keyring, data_dir: Path) -> Trail:
        """Open a chain of one's own and begin flushing."""
        folder = data_dir / "audit-heads"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with database.connection() as connection:
            chain = await connection.fetchval("INSERT INTO audit_chains DEFAULT VALUES RETURNING chain")
        trail = cls(database, keyring, folder, chain)
        trail._tasks = [asyncio.create_task(trail._flush_forever()), asyncio.create_task(trail._note_heads_forever())]
        return trail

    async def stop(self) -> None:
        """Flush what waits and note the last head."""
        while self._waiting:
            await self._flush()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._note_head()
        await self._note_root()

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
            self._hash = entry_hash(self._algorithm, self._hash, self.chain, self._seq, e)
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
            if elapsed % 60 == 0:
                await self._note_root()

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

    async def _note_root(self) -> None:
        with (self._folder / "roots.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            with contextlib.suppress(Exception):
                async with self._database.connection() as connection:
                    heads = await connection.fetch(
                        "SELECT c.chain, a.seq, a.hash FROM audit_chains c CROSS JOIN LATERAL "
                        "(SELECT seq, hash FROM audit WHERE chain = c.chain ORDER BY seq DESC LIMIT 1) a ORDER BY c.chain"
                    )
                if heads:
                    self._sign_root([(row["chain"], row["seq"], row["hash"].hex()) for row in heads])

    def _sign_root(self, heads: list[tuple[int, int, str]]) -> None:
        payload = msgspec.json.encode({"at": datetime.now(UTC), "heads": heads})
        signed = jws.serialize_compact({"alg": "ES256"}, payload, self._keyring.signing_key())
        with (self._folder / ROOTS).open("ab") as file:
            file.write(signed.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _settle(batch: Sequence[tuple[Entry, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, future in batch:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
