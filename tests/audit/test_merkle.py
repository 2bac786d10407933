"""Merkle trees against RFC 9162 written down a second time, word for word: its recursive definitions of root and of what a path is."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.audit import merkle

LEAVES = [f"entry {number}".encode() for number in range(300)]


def root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


async def subtree(first: int, count: int) -> bytes:
    return root(LEAVES[first : first + count])


def grown(size: int) -> merkle.Grower:
    tree = merkle.Grower("sha256")
    for content in LEAVES[:size]:
        tree.add(content)
    return tree


@pytest.mark.parametrize("size", [*range(10), 255, 256, 257, 300])
def test_a_tree_that_grew_has_the_root_of_the_standard(size: int) -> None:
    assert grown(size).root() == root(LEAVES[:size])
    peaks = [root(LEAVES[index << level : (index + 1) << level]) for level, index in merkle.peaks_of(size)]
    assert merkle.root("sha256", peaks) == root(LEAVES[:size])


def test_only_every_eighth_level_is_kept() -> None:
    assert grown(300).kept == [(8, 0, root(LEAVES[:256]))]


@given(st.data())
def test_a_path_leads_its_own_leaf_to_the_root_and_no_other(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 130))
    index = data.draw(st.integers(0, size - 1))
    path, expected = asyncio.run(merkle.inclusion(index, size, subtree)), root(LEAVES[:size])
    assert merkle.is_included("sha256", LEAVES[index], index, size, path, expected)
    assert len(path) <= (size - 1).bit_length()
    assert not merkle.is_included("sha256", LEAVES[index + 1], index, size, path, expected)
    assert not merkle.is_included("sha256", LEAVES[index], index, size, [*path, expected], expected)
    assert not merkle.is_included("sha256", LEAVES[index], size, size, path, expected)
    for other in set(range(size)) - {index}:
        assert not merkle.is_included("sha256", LEAVES[index], other, size, path, expected)


@given(st.data())
def test_a_later_tree_begins_with_the_earlier_one_and_with_no_other(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 130))
    old = data.draw(st.integers(1, new))
    path, earlier, later = asyncio.run(merkle.consistency(old, new, subtree)), root(LEAVES[:old]), root(LEAVES[:new])
    assert merkle.is_consistent("sha256", old, new, path, earlier, later)
    assert not merkle.is_consistent("sha256", old, new, path, root([b"forged", *LEAVES[1:old]]), later)
    assert not merkle.is_consistent("sha256", old, new, path, earlier, root([b"forged", *LEAVES[1:new]]))
