"""Merkle proofs: the nodes from the root to where a key is, or would be (eth_getProof, EIP-1186)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives.scalars import Hash32
from node.trie.nodes import (
    EMPTY_REFERENCE,
    VALUE_INDEX,
    Branch,
    Child,
    Extension,
    MalformedNode,
    MissingNode,
    Node,
    NodeSource,
    decode_node,
    decode_value,
    root_reference,
    to_nibbles,
)

NODE_BYTES_MAX: Final = 64 * 1024
"""A proof's node of more is refused unread: a branch is 532 bytes, a leaf holds a receipt at most."""


_Fetch = Callable[[bytes], bytes]


class InvalidProof(ValueError):
    """The nodes do not prove anything about the key under this root."""


def proof(root: Hash32, source: NodeSource, key: bytes) -> list[bytes]:
    """RLP of the nodes on the way to ``key``, root first; those inside their parent are not listed again.

    Also proves absence. Empty for an empty trie. Raises MissingNode.
    """
    nodes: list[bytes] = []

    def fetch(node_hash: bytes) -> bytes:
        encoded = source(node_hash)
        if encoded is None:
            raise MissingNode(node_hash)
        nodes.append(encoded)
        return encoded

    _walk(root, key, fetch)
    return nodes


def verify_proof(root: Hash32, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The value that the proof shows under ``key``, or None where it shows that there is none.

    Strict: every node is canonical and hashes to what its parent says, none is missing, none is left over.
    Raises InvalidProof.
    """
    if root == EMPTY_TRIE_ROOT:
        if proof:
            raise InvalidProof("an empty trie has no nodes to show")
        return None
    used = 0

    def fetch(node_hash: bytes) -> bytes:
        nonlocal used
        if used == len(proof):
            raise InvalidProof(f"ends before node 0x{node_hash.hex()}")
        encoded = proof[used]
        if len(encoded) > NODE_BYTES_MAX:
            raise InvalidProof(f"node {used} has {len(encoded)} bytes")
        if keccak256(encoded) != node_hash:
            raise InvalidProof(f"node {used} does not hash to 0x{node_hash.hex()}")
        used += 1
        return encoded

    try:
        value = _walk(root, key, fetch)
    except MalformedNode as error:
        raise InvalidProof(f"node {used - 1}: {error}") from error
    if used != len(proof):
        raise InvalidProof(f"{len(proof) - used} nodes after the end of the path")
    return value


def _walk(root: Hash32, key: bytes, fetch: _Fetch) -> bytes | None:
    """From the root to the key: its value or None. Every node that is named by hash is asked for."""
    path = to_nibbles(key)
    position = 0
    child: Child = root_reference(root)
    wants_branch = False
    while child != EMPTY_REFERENCE:
        node = _open(child, fetch)
        if wants_branch and not isinstance(node, Branch):
            raise MalformedNode("an extension must end in a branch")
        wants_branch = False
        if isinstance(node, Branch):
            if position == len(path):
                return decode_value(node.children[VALUE_INDEX])
            child = node.children[path[position]]
            position += 1
        elif isinstance(node, Extension):
            if not path.startswith(node.path, position):
                return None
            position += len(node.path)
            child = node.child
            wants_branch = True
        else:
            return node.value if path[position:] == node.path else None
    return None


def _open(child: Child, fetch: _Fetch) -> Node:
    assert isinstance(child, bytes)
    return decode_node(fetch(child[1:]) if child[0] == 0xA0 else child)
