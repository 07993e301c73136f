"""What a state is made of, piece by piece: the hashes that one trie node of it names."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from node.crypto.hashes import EMPTY_KECCAK, EMPTY_TRIE_ROOT
from node.state.account import decode_account
from node.trie.nodes import HASH_REFERENCE_BYTES, VALUE_INDEX, Branch, Child, Leaf, decode_node


class Link(IntEnum):
    """What a hash inside a state stands for."""

    ACCOUNTS = 0
    """A node of the account trie."""
    STORAGE = 1
    """A node of some account's storage trie."""
    CODE = 2


def links_of(encoded: bytes, of: Link) -> Iterator[tuple[Link, bytes]]:
    """Everything that a trie node of this kind names, storage tries and codes of accounts included.

    Nodes shorter than a hash stand inside their parent and cannot hold the hash of another one. Raises MalformedNode,
    or RLPError for a leaf that is no account.
    """
    node = decode_node(encoded)
    if isinstance(node, Leaf):
        if of is Link.ACCOUNTS:
            account = decode_account(node.value)
            if account.storage_root != EMPTY_TRIE_ROOT:
                yield Link.STORAGE, account.storage_root
            if account.code_hash != EMPTY_KECCAK:
                yield Link.CODE, account.code_hash
        return
    children: list[Child] = node.children[:VALUE_INDEX] if isinstance(node, Branch) else [node.child]
    for child in children:
        if isinstance(child, bytes) and len(child) == HASH_REFERENCE_BYTES and child[0] == 0xA0:
            yield of, child[1:]
