"""Proofs out of the audit's tree: that an entry is under a signed head, and that a later head's log begins with an earlier one's.

A proof is JSON that needs no more to be checked than a hash and the hub's public key (docs/howto/prove-the-audit.md has the whole of it in 40 lines).
It shows one entry, and of all others nothing but salted hashes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from joserfc.jwk import ECKey, KeySet

from hub.audit import merkle, tree
from hub.audit.heads import Head, Heads, opened
from hub.audit.trail import GENESIS, Entry, salt_of, text_hash, texts
from hub.store.database import Connection
from schemas.errors import BadRequest, NotFound


class Inclusion(msgspec.Struct, tag_field="proof", tag="inclusion"):
    """An entry under a head. entry: as `texts` has it; detail: what is sealed under the resident's key, base64."""

    chain: int
    seq: int
    entry: list[str | None]
    detail: bytes | None
    previous: str
    salt: str
    index: int
    path: list[str]
    head: str


class Consistency(msgspec.Struct, tag_field="proof", tag="consistency"):
    """An earlier head under a later one."""

    earlier: str
    path: list[str]
    head: str


class Checked(msgspec.Struct, frozen=True):
    """What a proof that holds says: the head it leads to, and the entry or the earlier head that is under it."""

    head: Head
    entry: list[str | None] | None = None
    earlier: Head | None = None


async def included(connection: Connection[Any], heads: Heads, algorithm: str, chain: int, seq: int) -> Inclusion:
    """Raises NotFound when there is no such entry, or no head has it yet."""
    rows = await connection.fetch("SELECT * FROM audit WHERE chain = $1 AND seq IN ($2 - 1, $2) ORDER BY seq", chain, seq)
    if not rows or rows[-1]["seq"] != seq:
        raise NotFound("There is no such entry.")
    entry = Entry(**{name: rows[-1][name] for name in Entry.__struct_fields__})
    previous = rows[0]["hash"] if len(rows) > 1 else GENESIS
    salt = salt_of(algorithm, await connection.fetchval("SELECT secret FROM audit_chains WHERE chain = $1", chain), seq) or b""
    place = await tree.place(connection, heads, algorithm, chain, seq)
    path = [node.hex() for node in place.path]
    return Inclusion(chain, seq, texts(entry), entry.detail, previous.hex(), salt.hex(), place.leaf, path, place.jws)


async def consistent(connection: Connection[Any], heads: Heads, algorithm: str, earlier: str, key: ECKey) -> Consistency:
    """Raises BadRequest for a head that is not this log's, or is later than all there are."""
    newest, old = heads.newest(), opened(earlier, key)
    if not newest or old.log != newest[0].log or not 0 < old.size <= newest[0].size:
        raise BadRequest("This head is not an earlier one of this log.", code="audit")
    path = await merkle.consistency(old.size, newest[0].size, tree.subtrees(connection, algorithm))
    return Consistency(earlier.strip(), [node.hex() for node in path], newest[1])


def check(content: bytes, key: ECKey | KeySet) -> Checked:
    """What a proof proves. Raises BadRequest when it does not hold."""
    try:
        proof = msgspec.json.decode(content, type=Inclusion | Consistency)
        head = opened(proof.head, key)
        path = [bytes.fromhex(node) for node in proof.path]
        if isinstance(proof, Inclusion) and _is_included(proof, head, path):
            return Checked(head, entry=proof.entry)
        if isinstance(proof, Consistency) and _is_consistent(earlier := opened(proof.earlier, key), head, path):
            return Checked(head, earlier=earlier)
    except ValueError:
        raise BadRequest("This is no proof.", code="audit") from None
    raise BadRequest("The proof does not hold.", code="audit")


def _is_included(proof: Inclusion, head: Head, path: list[bytes]) -> bool:
    previous, salt = bytes.fromhex(proof.previous), bytes.fromhex(proof.salt)
    content = text_hash(head.hash, previous, proof.chain, proof.seq, proof.entry, proof.detail, salt or None)
    return merkle.is_included(head.hash, content, proof.index, head.size, path, bytes.fromhex(head.root))


def _is_consistent(earlier: Head, head: Head, path: list[bytes]) -> bool:
    same = (earlier.log, earlier.hash) == (head.log, head.hash)
    return same and merkle.is_consistent(head.hash, earlier.size, head.size, path, bytes.fromhex(earlier.root), bytes.fromhex(head.root))
