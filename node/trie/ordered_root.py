"""Roots of a block's lists: transactions, receipts, withdrawals (Yellow Paper 4.3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.trie.sorted_build import build_sorted


def ordered_root(items: Sequence[bytes]) -> Hash32:
    """The root of the trie from rlp(index) to item. Items must not be empty: ValueError."""
    # In the order of their encodings: 1 to 127 stand for themselves, 0 is 0x80, longer numbers begin with their length.
    order = [*range(1, min(len(items), 128)), *range(min(len(items), 1)), *range(128, len(items))]
    return build_sorted([(rlp.encode_int(index), items[index]) for index in order])
