"""The tree over all entries of all chains: how it grows, and proofs out of it.

Its order is the order in which heads took the entries in: segments of chains, one after the other. The table `audit_segments` holds that order,
`audit_nodes` every eighth level of full nodes; both can be made again from `audit-heads/heads.ndjson` and are in no backup. Leaves are the
entries' own hashes. The file is written before the table, so after a crash the file is ahead, never the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hub.audit import merkle
from hub.audit.heads import Head, Heads, Segment, tampered
from hub.store.database import Connection, Database
from schemas.errors import NotFound

MOST = 5000
"""Entries a head takes in at once: about 15 ms of hashing. A busy minute has several heads."""

_LOCK = 0x6B696E65

_SIZE = "SELECT coalesce(max(position + last - first + 1), 0) FROM audit_segments"

_GROWN = """SELECT c.chain, coalesce(s.last, 0) AS taken, a.seq FROM audit_chains c
CROSS JOIN LATERAL (SELECT seq FROM audit WHERE chain = c.chain ORDER BY seq DESC LIMIT 1) a
LEFT JOIN LATERAL (SELECT last FROM audit_segments WHERE chain = c.chain ORDER BY last DESC LIMIT 1) s ON true
WHERE a.seq > coalesce(s.last, 0) ORDER BY c.chain"""

_LEAVES = """SELECT a.hash FROM audit_segments s CROSS JOIN LATERAL (SELECT seq, hash FROM audit WHERE chain = s.chain
  AND seq BETWEEN greatest(s.first, s.first + $1 - s.position) AND least(s.last, s.first + $2 - 1 - s.position)) a
WHERE s.position >= (SELECT max(position) FROM audit_segments WHERE position <= $1) AND s.position < $2 ORDER BY s.position, a.seq"""

_NODES = "SELECT hash FROM audit_nodes WHERE level = $1 AND place >= $2 AND place < $3 ORDER BY place"


class Lost(Exception):
    """Entries that a head took in are not in the database."""


class Place(NamedTuple):
    """Where an entry is in the tree, the newest head, and the path between."""

    leaf: int
    head: Head
    jws: str
    path: list[bytes]


async def size(connection: Connection[Any]) -> int:
    """How many entries the tables know to be in the tree."""
    return int(await connection.fetchval(_SIZE))


def subtrees(connection: Connection[Any], algorithm: str) -> merkle.Subtree:
    """Roots over leaves that are in the tables. Raises Lost."""

    async def subtree(first: int, count: int) -> bytes:
        if count & (count - 1) == 0 and first % count == 0:
            return await node(count.bit_length() - 1, first // count)
        left = 1 << (count - 1).bit_length() - 1
        return merkle.parent(algorithm, await subtree(first, left), await subtree(first + left, count - left))

    async def node(level: int, index: int) -> bytes:
        base = level - level % merkle.KEPT
        first, count = index << (level - base), 1 << (level - base)
        if base:
            nodes = [row["hash"] for row in await connection.fetch(_NODES, base, first, first + count)]
        else:
            nodes = [merkle.leaf(algorithm, row["hash"]) for row in await connection.fetch(_LEAVES, first, first + count)]
        if len(nodes) != count:
            raise Lost
        return merkle.full(algorithm, nodes)

    return subtree


async def grower(connection: Connection[Any], algorithm: str, leaves: int) -> merkle.Grower:
    """The tree over the first `leaves` entries, ready to grow. Raises Lost."""
    subtree = subtrees(connection, algorithm)
    return merkle.Grower(algorithm, leaves, [await subtree(index << level, 1 << level) for level, index in merkle.peaks_of(leaves)])


async def grow(database: Database, heads: Heads, algorithm: str) -> int:
    """Take in entries that no head has and sign one, unless another process is at it. Returns how many.

    Raises Unavailable when what is kept outside does not agree with the database: then nothing is ever signed over it.
    """
    with heads.alone() as mine:
        if not mine:
            return 0
        async with database.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            tree = await _agreed(connection, heads, algorithm)
            segments = _segments(await connection.fetch(_GROWN))
            if not segments:
                return 0
            before = tree.size
            await _extend(connection, tree, segments)
            heads.append(segments, tree.size, tree.root(), algorithm)
            return tree.size - before


def _segments(grown: Sequence[Any]) -> list[Segment]:
    found: list[Segment] = []
    left = MOST
    for row in grown:
        count = min(left, row["seq"] - row["taken"])
        if count:
            found.append((row["chain"], row["taken"] + 1, row["taken"] + count))
            left -= count
    return found


async def _agreed(connection: Connection[Any], heads: Heads, algorithm: str) -> merkle.Grower:
    """The tree of the newest head, after what a crash kept out of the tables was put in. Raises Unavailable."""
    try:
        tree, newest = await grower(connection, algorithm, await size(connection)), heads.newest()
        signed = newest[0] if newest else None
        if tree.size < (signed.size if signed else 0):
            for _, line, head in heads.lines():
                if head.size > tree.size:
                    await _extend(connection, tree, line.segments)
    except Lost:
        raise tampered("entries that it signed are not in the database") from None
    if (tree.size, tree.root().hex()) != ((signed.size, signed.root) if signed else (0, tree.root().hex())):
        raise tampered("the database has another tree than the newest signed head")
    return tree


async def _extend(connection: Connection[Any], tree: merkle.Grower, segments: Sequence[Segment]) -> None:
    """Add the entries of segments to the tree and the tables. Raises Lost."""
    rows = []
    for chain, first, last in segments:
        rows.append((tree.size, chain, first, last))
        found = await connection.fetch("SELECT hash FROM audit WHERE chain = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq", chain, first, last)
        if len(found) != last - first + 1:
            raise Lost
        for row in found:
            tree.add(row["hash"])
    await connection.executemany("INSERT INTO audit_segments (position, chain, first, last) VALUES ($1, $2, $3, $4)", rows)
    await connection.executemany("INSERT INTO audit_nodes (level, place, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", tree.kept)
    tree.kept.clear()


async def check(connection: Connection[Any], heads: Heads, algorithm: str) -> None:
    """What a start asks: do the files outside hold together, and does the database know all they signed? Raises Unavailable."""
    newest, known = heads.newest(), await size(connection)
    if known > (newest[0].size if newest else 0):
        raise tampered(f"{heads.path.name} knows {newest[0].size if newest else 0} entries, the database {known}")
    if newest and known == newest[0].size:
        try:
            same = (await grower(connection, algorithm, known)).root().hex() == newest[0].root
        except Lost:
            raise tampered("entries that it signed are not in the database") from None
        if not same:
            raise tampered("the database has another tree than the newest signed head")
    await _check_notes(connection, heads)


async def _check_notes(connection: Connection[Any], heads: Heads) -> None:
    noted = dict(notes(heads))
    rows = await connection.fetch(
        "SELECT n.chain, n.seq, a.hash FROM unnest($1::int[], $2::bigint[]) AS n(chain, seq) LEFT JOIN audit a USING (chain, seq)",
        [chain for chain, _ in noted], [seq for _, seq in noted],
    )  # fmt: skip
    for row in rows:
        if (row["hash"] or b"").hex() != noted[row["chain"], row["seq"]]:
            raise tampered(f"chain {row['chain']}: entry {row['seq']}, noted in {row['chain']}.head, is missing or changed")


def notes(heads: Heads) -> list[tuple[tuple[int, int], str]]:
    """((chain, seq), hash) that each writer noted last. Raises Unavailable for a note that cannot be read."""
    found = []
    for file in sorted(heads.path.parent.glob("*.head")):
        try:
            note = msgspec.json.decode(file.read_bytes(), type=Note)
        except FileNotFoundError:
            continue  # its writer has just ended
        except msgspec.MsgspecError:
            raise tampered(f"{file.name} was changed") from None
        if file.name != f"{note.chain}.head":
            raise tampered(f"{file.name} was changed")
        found.append(((note.chain, note.seq), note.hash))
    return found


class Note(msgspec.Struct):
    """What a writer notes of its own chain every second."""

    chain: int
    seq: int
    hash: str
    at: str


async def place(connection: Connection[Any], heads: Heads, algorithm: str, chain: int, seq: int) -> Place:
    """Where an entry is in the newest tree. Raises NotFound while no head has it."""
    found = await connection.fetchrow("SELECT position, first FROM audit_segments WHERE chain = $1 AND last >= $2 ORDER BY last LIMIT 1", chain, seq)
    newest = heads.newest()
    if not found or found["first"] > seq or not newest:
        raise NotFound("The entry is not yet under a signed head.", advice="Ask again in a minute.", code="not-yet")
    index, (head, text) = found["position"] + seq - found["first"], newest
    return Place(index, head, text, await merkle.inclusion(index, head.size, subtrees(connection, algorithm)))


async def restart(connection: Connection[Any], heads: Heads) -> Path | None:
    """Put what is kept outside into a folder of its own and forget the tree. Returns the folder, when there was anything."""
    folder = heads.path.parent
    old = [heads.path, *folder.glob("*.head")]
    aside = folder / f"until-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    await connection.execute("TRUNCATE audit_segments, audit_nodes")
    for file in old:
        if file.exists():
            aside.mkdir(mode=0o700, exist_ok=True)
            file.rename(aside / file.name)
    return aside if aside.exists() else None
