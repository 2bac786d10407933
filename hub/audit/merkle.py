"""Merkle trees as RFC 9162 (section 2.1) defines them: a leaf is H(0 | content), a node H(1 | left | right), and proofs are lists of siblings.

Pure: nothing here knows where leaves come from. H is SHA-256, or SM3 in the suite `guomi`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence

Subtree = Callable[[int, int], Awaitable[bytes]]
"""The root over the leaves from `first` on, `count` of them."""

KEPT = 8
"""Of the nodes, those on every eighth level are worth keeping: 1/255 of all, and any other is at most 255 hashes away."""


class Grower:
    """A tree to which leaves are added at the end: the roots of its full subtrees, highest first, and nodes that became full on the way.

    kept: (level, index, hash) of new full nodes on every eighth level
    """

    def __init__(self, algorithm: str, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.algorithm, self.size, self._peaks = algorithm, size, list(peaks)
        self.kept: list[tuple[int, int, bytes]] = []

    def add(self, content: bytes) -> None:
        level, index, node = 0, self.size, leaf(self.algorithm, content)
        self.size += 1
        while index & 1:
            level, index, node = level + 1, index >> 1, parent(self.algorithm, self._peaks.pop(), node)
            if level % KEPT == 0:
                self.kept.append((level, index, node))
        self._peaks.append(node)

    def root(self) -> bytes:
        return root(self.algorithm, self._peaks)


def leaf(algorithm: str, content: bytes) -> bytes:
    return hashlib.new(algorithm, b"\0" + content).digest()


def parent(algorithm: str, left: bytes, right: bytes) -> bytes:
    return hashlib.new(algorithm, b"\1" + left + right).digest()


def root(algorithm: str, peaks: Sequence[bytes]) -> bytes:
    """The root over full subtrees, highest first; of an empty tree the hash of nothing."""
    if not peaks:
        return hashlib.new(algorithm).digest()
    *higher, found = peaks
    for peak in reversed(higher):
        found = parent(algorithm, peak, found)
    return found


def full(algorithm: str, nodes: Sequence[bytes]) -> bytes:
    """The root over a power of two of neighbouring nodes."""
    level = list(nodes)
    while len(level) > 1:
        level = [parent(algorithm, level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def peaks_of(size: int) -> list[tuple[int, int]]:
    """(level, index) of the full subtrees of a tree, highest first."""
    return [(level, (size >> (level + 1)) * 2) for level in reversed(range(size.bit_length())) if size >> level & 1]


async def inclusion(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The path of one leaf, from the bottom up (PATH of RFC 9162, 2.1.3.1)."""
    first, count, path = 0, size, []
    while count > 1:
        left = _left(count)
        if index < first + left:
            path.append(await subtree(first + left, count - left))
            count = left
        else:
            path.append(await subtree(first, left))
            first, count = first + left, count - left
    return path[::-1]


async def consistency(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """That a tree of `new` leaves begins with the tree of `old` ones (PROOF of RFC 9162, 2.1.4.1); 0 < old <= new."""
    first, count, whole, path = 0, new, True, []
    while old < count:
        left = _left(count)
        if old <= left:
            path.append(await subtree(first + left, count - left))
            count = left
        else:
            path.append(await subtree(first, left))
            first, old, count, whole = first + left, old - left, count - left, False
    return ([] if whole else [await subtree(first, count)]) + path[::-1]


def _left(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def is_included(algorithm: str, content: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes) -> bool:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf(algorithm, content)
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = parent(algorithm, sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = parent(algorithm, found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == expected


def is_consistent(algorithm: str, old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """RFC 9162, 2.1.4.2."""
    if old == new:
        return not path and old_root == new_root
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not 0 < old < new or not nodes:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    one = other = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            one, other = parent(algorithm, node, one), parent(algorithm, node, other)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            other = parent(algorithm, other, node)
        at, last = at >> 1, last >> 1
    return last == 0 and one == old_root and other == new_root
