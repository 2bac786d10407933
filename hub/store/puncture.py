"""A key that can forget: one seed gives every subject a leaf key, and a punctured subject's can never be made again.

The tree of Goldreich, Goldwasser and Micali (J. ACM 33, 1986): a node's children are hashes of its seed. Puncturing a subject replaces
the seeds above its leaf by those beside the way to it (Boneh and Waters, ASIACRYPT 2013). Everybody else's leaf stays what it was.
Nodes are numbered from 1 for the root, four children each; a leaf's number is the subject's UUID below a leading 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from hub.store.seal import digest_name
from schemas.errors import SealError

Nodes = dict[int, bytes]
_BITS, _STEP = 128, 2
_CHILDREN = [bytes((child,)) for child in range(4)]
_STEPS = [tuple(_CHILDREN[byte >> shift & 3] for shift in (6, 4, 2, 0)) for byte in range(256)]


def planted(seed: bytes) -> Nodes:
    """The whole tree of a seed."""
    return {1: seed}


def leaf(suite: str, nodes: Nodes, subject: UUID) -> bytes:
    """The key of a subject. Raises SealError when it was punctured."""
    above = _above(nodes, subject)
    if above is None:
        raise SealError("The key that would open this was destroyed.")
    hashed, seed = _hash(suite), nodes[_leaf(subject) >> above]
    for child in _way(subject)[(_BITS - above) // _STEP :]:
        seed = hashed(seed + child).digest()
    return seed


def reaches(nodes: Nodes, subject: UUID) -> bool:
    """Whether the subject's key can still be made."""
    return _above(nodes, subject) is not None


def punctured(suite: str, nodes: Nodes, subject: UUID) -> Nodes:
    """The tree without a subject's leaf; the same tree when it has none any more."""
    above = _above(nodes, subject)
    if above is None:
        return nodes
    hashed, left, parent = _hash(suite), dict(nodes), _leaf(subject) >> above
    seed = left.pop(parent)
    for taken in _way(subject)[(_BITS - above) // _STEP :]:
        children = [hashed(seed + child).digest() for child in _CHILDREN]
        left |= {parent << _STEP | child: children[child] for child in range(4) if child != taken[0]}
        parent, seed = parent << _STEP | taken[0], children[taken[0]]
    return left


def packed(nodes: Nodes) -> bytes:
    return msgspec.msgpack.encode({number.to_bytes(17, "big").lstrip(b"\0"): seed for number, seed in nodes.items()})


def unpacked(value: bytes) -> Nodes:
    return {int.from_bytes(number, "big"): seed for number, seed in msgspec.msgpack.decode(value, type=dict[bytes, bytes]).items()}


def _hash(suite: str) -> Callable[[bytes], Any]:
    return hashlib.sha256 if suite == "international" else partial(hashlib.new, digest_name(suite))


def _way(subject: UUID) -> list[bytes]:
    """Which child to take at each step from the root: this is on the way of every data key that is opened, so it is looked up byte by byte."""
    return [child for byte in subject.bytes for child in _STEPS[byte]]


def _leaf(subject: UUID) -> int:
    return 1 << _BITS | subject.int


def _above(nodes: Nodes, subject: UUID) -> int | None:
    """How many bits below the node that is held on the subject's way its leaf lies."""
    number = _leaf(subject)
    return next((shift for shift in range(_BITS, -1, -_STEP) if number >> shift in nodes), None)
