"""Whether the trail is whole: every chain and the tree over them recomputed, and compared with heads that are kept outside the database.

Works on a database or on a file that `exported` wrote. It writes nothing and needs no key but the public one. Memory does not grow with the entries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from hub.audit import merkle, tree
from hub.audit.heads import Head, Heads, Segment, tampered
from hub.audit.trail import GENESIS, Entry, entry_hash, salt_of
from hub.store.database import Connection
from hub.store.seal import digest_name
from schemas.errors import BadRequest, KineHubError


class Verdict(msgspec.Struct, omit_defaults=False):
    """How many entries were read, and the first thing wrong, if any."""

    entries: int
    intact: bool
    problem: str | None = None


class Broken(Exception):
    """The first thing wrong."""


class Row(msgspec.Struct, frozen=True):
    """An entry as it is stored. `index`: its place in the tree by the tables; None where they know none."""

    chain: int
    seq: int
    hash: bytes
    entry: Entry
    index: int | None = None


class Walk:
    """The chains and the tree so far. `take` raises Broken at the first entry that does not fit."""

    def __init__(self, algorithm: str, secrets: dict[int, bytes | None], signed: Iterable[tuple[str, Head]], notes: dict[tuple[int, int], str]) -> None:
        self.tree, self.entries = merkle.Grower(algorithm), 0
        self.chains: dict[int, tuple[int, bytes]] = {}
        self._secrets, self._signed, self._notes, self._last = secrets, iter(signed), notes, 0
        self._next = next(self._signed, None)

    def take(self, row: Row, *, in_tree: bool) -> None:
        seq, previous = self.chains.get(row.chain, (0, GENESIS))
        if row.seq <= seq:
            raise Broken(f"chain {row.chain}: entry {row.seq} stands beside the chain")
        if row.seq != seq + 1:
            raise Broken(f"chain {row.chain}: entry {seq + 1} is missing")
        if row.index is not None and row.index != self.tree.size:
            raise Broken(self.gap())
        salt = salt_of(self.tree.algorithm, self._secrets.get(row.chain), row.seq)
        if entry_hash(self.tree.algorithm, previous, row.chain, row.seq, row.entry, salt) != row.hash:
            raise Broken(f"chain {row.chain}: entry {row.seq} was changed")
        if self._notes.pop((row.chain, row.seq), row.hash.hex()) != row.hash.hex():
            raise Broken(f"chain {row.chain}: entry {row.seq}, noted outside the database, was changed")
        self.chains[row.chain], self._last, self.entries = (row.seq, row.hash), row.chain, self.entries + 1
        if in_tree:
            self.tree.add(row.hash)
            self.tree.kept.clear()
            self._compare()

    def gap(self) -> str:
        chain = self._last
        return f"chain {chain}: entry {self.chains.get(chain, (0, b''))[0] + 1} is missing"

    def _compare(self) -> None:
        while self._next and self._next[1].size <= self.tree.size:
            label, head = self._next
            if (head.size, head.root, head.hash) != (self.tree.size, self.tree.root().hex(), self.tree.algorithm):
                raise Broken(f"{label} does not hold: some of the first {head.size} entries were changed, dropped or put in another order")
            self._next = next(self._signed, None)

    def end(self) -> None:
        """Raises Broken when something that is known outside has not been met."""
        if self._next:
            label, head = self._next
            raise Broken(f"{label} knows {head.size} entries, and there are {self.tree.size}: entries are missing")
        for chain, seq in self._notes:
            raise Broken(f"chain {chain}: entry {seq}, noted outside the database, is missing")


async def verify(connection: Connection[Any], heads: Heads | None = None, held: Head | None = None) -> Verdict:
    """Recompute a database. heads: what is kept beside it; held: a head kept somewhere else altogether."""
    try:
        notes = dict(tree.notes(heads)) if heads else {}
        newest = heads.newest() if heads else None
        algorithm = digest_name(str(await connection.fetchval("SELECT value FROM meta WHERE key = 'suite'")))
        secrets = {row["chain"]: row["secret"] for row in await connection.fetch("SELECT chain, secret FROM audit_chains")}
        walk = Walk(algorithm, secrets, _in_order(_signed(heads, newest[0].size if newest else 0), held), notes)
    except KineHubError as error:
        return Verdict(0, False, error.message)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await _walk(connection, walk, heads)
        if heads and walk.tree.size > (found[0].size if (found := heads.newest()) else 0):
            raise tampered(f"{heads.path.name} does not know the newest entries")
    except Broken as broken:
        return Verdict(walk.entries, False, str(broken))
    except KineHubError as error:
        return Verdict(walk.entries, False, error.message)
    return Verdict(walk.entries, True)


def _signed(heads: Heads | None, most: int) -> Iterator[tuple[str, Head]]:
    for number, _, head in heads.lines() if heads else ():
        if head.size <= most:
            yield f"signed head {number}", head


def _in_order(signed: Iterator[tuple[str, Head]], held: Head | None) -> Iterator[tuple[str, Head]]:
    elsewhere = ("the head held elsewhere", held) if held else None
    for one in signed:
        if elsewhere and elsewhere[1].size <= one[1].size:
            yield elsewhere
            elsewhere = None
        yield one
    if elsewhere:
        yield elsewhere


async def _walk(connection: Connection[Any], walk: Walk, heads: Heads | None) -> None:
    async for row in _taken_in(connection):
        walk.take(row, in_tree=True)
    if walk.tree.size < await tree.size(connection):
        raise Broken(walk.gap())
    for number, line, head in heads.lines() if heads else ():
        if head.size > walk.tree.size:
            await _ahead(connection, walk, number, line.segments)
    async for row in _rest(connection, walk):
        walk.take(row, in_tree=False)
    walk.end()


async def _ahead(connection: Connection[Any], walk: Walk, number: int, segments: Iterable[Segment]) -> None:
    """What the file took in and the tables do not know: a crash, or somebody's deletion."""
    for chain, first, last in segments:
        async for row in _of_chain(connection, chain, first - 1, last):
            walk.take(row, in_tree=True)
        if (seq := walk.chains.get(chain, (0, b""))[0]) < last:
            raise Broken(f"chain {chain}: entry {seq + 1}, signed in head {number}, is missing")


async def _taken_in(connection: Connection[Any]) -> AsyncIterator[Row]:
    wanted = "SELECT s.position + a.seq - s.first AS index, a.* FROM audit_segments s JOIN audit a ON a.chain = s.chain AND a.seq BETWEEN s.first AND s.last"
    async for row in connection.cursor(f"{wanted} ORDER BY s.position, a.seq", prefetch=2000):
        yield _row(row, row["index"])


async def _rest(connection: Connection[Any], walk: Walk) -> AsyncIterator[Row]:
    async for row in connection.cursor("SELECT * FROM audit WHERE seq < 1"):  # no writer makes such
        yield _row(row)
    for found in await connection.fetch("SELECT DISTINCT chain FROM audit ORDER BY chain"):
        async for row in _of_chain(connection, found["chain"], walk.chains.get(found["chain"], (0, b""))[0], 1 << 62):
            yield row


async def _of_chain(connection: Connection[Any], chain: int, after: int, last: int) -> AsyncIterator[Row]:
    wanted = "SELECT * FROM audit WHERE chain = $1 AND seq > $2 AND seq <= $3 ORDER BY seq"
    async for row in connection.cursor(wanted, chain, after, last, prefetch=2000):
        yield _row(row)


def _row(row: Any, index: int | None = None) -> Row:
    return Row(row["chain"], row["seq"], row["hash"], Entry(**{name: row[name] for name in Entry.__struct_fields__}), index)


# An exported file


class _Opening(msgspec.Struct):
    """The first line of an exported file."""

    audit: str
    hash: str
    tree: int
    secrets: dict[str, bytes | None]


async def exported(connection: Connection[Any], file: BinaryIO) -> int:
    """Write every entry, in the tree's order, then those that no head has yet; one JSON array a line. Returns how many."""
    count = 0
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        algorithm = digest_name(str(await connection.fetchval("SELECT value FROM meta WHERE key = 'suite'")))
        secrets = {str(row["chain"]): row["secret"] for row in await connection.fetch("SELECT chain, secret FROM audit_chains ORDER BY chain")}
        file.write(msgspec.json.encode(_Opening("kinehub 1", algorithm, await tree.size(connection), secrets)) + b"\n")
        walk = Walk(algorithm, {}, (), {})
        async for row in _taken_in(connection):
            walk.chains[row.chain] = row.seq, row.hash
            count += _write(file, row)
        async for row in _rest(connection, walk):
            count += _write(file, row)
    return count


def _write(file: BinaryIO, row: Row) -> int:
    file.write(msgspec.json.encode((row.chain, row.seq, row.hash, row.entry)) + b"\n")
    return 1


def verify_file(path: Path, held: Head | None = None) -> Verdict:
    """Recompute an exported file. Raises BadRequest when it is none."""
    with path.open("rb") as file:
        try:
            opening = msgspec.json.decode(file.readline(), type=_Opening)
        except msgspec.MsgspecError:
            raise BadRequest("This is no exported audit.", advice="kinehub audit export FILE writes one.") from None
        secrets = {int(chain): secret for chain, secret in opening.secrets.items()}
        walk = Walk(opening.hash, secrets, _in_order(iter(()), held), {})
        try:
            _walk_lines(file, walk, opening.tree)
        except Broken as broken:
            return Verdict(walk.entries, False, str(broken))
    return Verdict(walk.entries, True)


def _walk_lines(lines: Iterable[bytes], walk: Walk, size: int) -> None:
    for number, line in enumerate(lines):
        walk.take(_read(line, number), in_tree=number < size)
    if walk.entries < size:
        raise Broken(f"the file ends after {walk.entries} of {size} entries")
    walk.end()


def _read(line: bytes, number: int) -> Row:
    try:
        return Row(*msgspec.json.decode(line, type=tuple[int, int, bytes, Entry]))
    except msgspec.MsgspecError:
        raise Broken(f"line {number + 2} of the file cannot be read") from None

