"""A whole trie from its sorted pairs, in one pass: lists of a block, genesis, snapshots.

Each node is encoded once and none is ever changed, which costs half of putting the pairs one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.trie.nodes import (
    EMPTY_REFERENCE,
    common_prefix_length,
    encode_branch,
    encode_extension,
    encode_leaf,
    reference_of,
    to_nibbles,
)

Emit = Callable[[Hash32, bytes], None]
"""Takes each node that is named by hash, with its RLP; children come before their parents."""


def build_sorted(pairs: Sequence[tuple[bytes, bytes]], emit: Emit | None = None) -> Hash32:
    """The root of the trie that holds ``pairs``: distinct keys in ascending order, no empty values.

    Raises ValueError when keys are out of order or a value is empty.
    """
    if not pairs:
        return EMPTY_TRIE_ROOT
    paths = [to_nibbles(key) for key, _ in pairs]
    for index in range(1, len(paths)):
        if paths[index - 1] >= paths[index]:
            raise ValueError("keys of a sorted build must ascend")
    if not all(value for _, value in pairs):
        raise ValueError("a trie holds no empty values")
    values = [value for _, value in pairs]
    encoded = _encode_range(paths, values, 0, len(paths), 0, emit)
    root = keccak256(encoded)
    if emit is not None:
        emit(root, encoded)
    return root


def _encode_range(
    paths: list[bytes], values: list[bytes], first: int, end: int, depth: int, emit: Emit | None
) -> bytes:
    """RLP of the node over pairs ``first`` to ``end``, whose paths agree up to ``depth``."""
    path = paths[first]
    if end - first == 1:
        return encode_leaf(path[depth:], values[first])
    # Sorted, so what the outer two share is shared by all between them.
    shared = common_prefix_length(path[depth:], paths[end - 1][depth:])
    if shared:
        branch = _encode_range(paths, values, first, end, depth + shared, emit)
        return encode_extension(path[depth : depth + shared], _reference(branch, emit))
    references = [EMPTY_REFERENCE] * 17
    if len(path) == depth:
        references[16] = rlp.encode_bytes(values[first])
        first += 1
    while first < end:
        nibble = paths[first][depth]
        stop = first + 1
        while stop < end and paths[stop][depth] == nibble:
            stop += 1
        references[nibble] = _reference(_encode_range(paths, values, first, stop, depth + 1, emit), emit)
        first = stop
    return encode_branch(references)


def _reference(encoded: bytes, emit: Emit | None) -> bytes:
    reference, node_hash = reference_of(encoded)
    if node_hash is not None and emit is not None:
        emit(node_hash, encoded)
    return reference
