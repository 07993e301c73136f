"""Roots of lists: the shortcut equals a trie of rlp(index) to item, across the bounds of the index encoding."""

from __future__ import annotations

import pytest

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.trie.ordered_root import ordered_root
from node.trie.trie import Trie


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 126, 127, 128, 129, 130, 255, 256, 257, 300])
def test_equals_a_trie_of_encoded_indices(count: int) -> None:
    items = [bytes((1 + index % 255,)) * (1 + index % 70) for index in range(count)]
    trie = Trie(EMPTY_TRIE_ROOT, {}.get)
    for index, item in enumerate(items):
        trie.put(rlp.encode_int(index), item)
    assert ordered_root(items) == trie.commit()[0]


def test_empty_list() -> None:
    assert ordered_root([]) == EMPTY_TRIE_ROOT


def test_one_item_is_one_leaf() -> None:
    """One item is one leaf: the path of rlp(0) = 0x80, the item as value."""
    item = bytes.fromhex("d8808094" + "00" * 20 + "80")
    leaf = rlp.encode([b"\x20" + b"\x80", item])
    assert ordered_root([item]) == keccak256(leaf)


def test_empty_items_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        ordered_root([b"a", b""])
