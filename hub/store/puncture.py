"""A key that can forget: one seed gives every subject a leaf key, and a punctured subject's can never be made again.

The tree of Goldreich, Goldwasser and Micali (J. ACM 33, 1986): a node's children are hashes of its seed. Puncturing a subject replaces
the seeds above its leaf by those beside the way to it (Boneh and Waters, ASIACRYPT 2013). Everybody else's leaf stays what it was.
Nodes are numbered from 1 for the root, four children each; a leaf's number is the subject's UUID below a leading 1.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec

from hub.store.seal import digest_name
from schemas.errors import SealError

Nodes = dict[int, bytes]
_BITS, _STEP = 128, 2


def planted(seed: bytes) -> Nodes:
    """The whole tree of a seed."""
    return {1: seed}


def leaf(suite: str, nodes: Nodes, subject: UUID) -> bytes:
    """The key of a subject. Raises SealError when it was punctured."""
    above = _above(nodes, subject)
    if above is None:
        raise SealError("The key that would open this was destroyed.")
    algorithm, seed, number = digest_name(suite), nodes[_leaf(subject) >> above], _leaf(subject)
    for shift in range(above - _STEP, -1, -_STEP):
        seed = hashlib.new(algorithm, seed + bytes((number >> shift & 3,))).digest()
    return seed


def reaches(nodes: Nodes, subject: UUID) -> bool:
    """Whether the subject's key can still be made."""
    return _above(nodes, subject) is not None


def punctured(suite: str, nodes: Nodes, subject: UUID) -> Nodes:
    """The tree without a subject's leaf; the same tree when it has none any more."""
    above = _above(nodes, subject)
    if above is None:
        return nodes
    algorithm, number = digest_name(suite), _leaf(subject)
    left = dict(nodes)
    seed = left.pop(number >> above)
    for shift in range(above - _STEP, -1, -_STEP):
        parent, taken = number >> (shift + _STEP), number >> shift & 3
        children = [hashlib.new(algorithm, seed + bytes((child,))).digest() for child in range(4)]
        left |= {parent << _STEP | child: children[child] for child in range(4) if child != taken}
        seed = children[taken]
    return left


def packed(nodes: Nodes) -> bytes:
    return msgspec.msgpack.encode({number.to_bytes(17, "big").lstrip(b"\0"): seed for number, seed in nodes.items()})


def unpacked(value: bytes) -> Nodes:
    return {int.from_bytes(number, "big"): seed for number, seed in msgspec.msgpack.decode(value, type=dict[bytes, bytes]).items()}


def _leaf(subject: UUID) -> int:
    return 1 << _BITS | subject.int


def _above(nodes: Nodes, subject: UUID) -> int | None:
    """How many bits below the node that is held on the subject's way its leaf lies."""
    number = _leaf(subject)
    return next((shift for shift in range(_BITS, -1, -_STEP) if number >> shift in nodes), None)
