"""Reading and patching nodes where they lie, in their RLP: most ways through a trie change one child of each node.

Only what is asked for is looked at; ``nodes.decode_node`` judges a whole node. The nodes here come out of the own
database by their hash, which those who wrote them made or checked.
"""

from __future__ import annotations

from node.primitives import rlp
from node.trie.nodes import (
    FULL_BRANCH_BYTES,
    FULL_BRANCH_PREFIX,
    HASH_REFERENCE_BYTES,
    SIXTEEN_HASHES,
    MalformedNode,
    list_of,
)


def _behind(data: bytes, position: int) -> int:
    """Where the item ends that begins at ``position``."""
    prefix = data[position]
    if prefix == 0xA0:
        return position + HASH_REFERENCE_BYTES
    if prefix <= 0x80:
        return position + 1
    return rlp.payload_span(data, position, len(data))[1]


def payload_start(data: bytes) -> int:
    """Where the first item of a node begins. Raises MalformedNode where ``data`` is no list."""
    prefix = data[0] if data else 0
    if prefix < 0xC0:
        raise MalformedNode("a node is one list")
    return 1 if prefix < 0xF8 else prefix - 0xF6


def entry_span(data: bytes, index: int) -> tuple[int, int] | None:
    """Where entry ``index`` of a branch begins and ends; None where the node is none. Raises MalformedNode."""
    if (
        len(data) == FULL_BRANCH_BYTES
        and index < 16
        and data[3:531:HASH_REFERENCE_BYTES] == SIXTEEN_HASHES
        and data[:3] == FULL_BRANCH_PREFIX
    ):
        start = 3 + HASH_REFERENCE_BYTES * index
        return start, start + HASH_REFERENCE_BYTES
    try:
        position = payload_start(data)
        prefix = data[position]
        if prefix == 0xA0:  # a hash, or a path of 32 bytes: then the second item is the last
            if _behind(data, position + HASH_REFERENCE_BYTES) == len(data):
                return None
        elif prefix != 0x80 and prefix < 0xC0:  # no entry of a branch: a path
            return None
        while index:
            prefix = data[position]
            if prefix == 0x80:
                position += 1
            elif prefix == 0xA0:
                position += HASH_REFERENCE_BYTES
            else:
                position = _behind(data, position)
            index -= 1
        end = _behind(data, position)
    except (IndexError, rlp.RLPError) as error:
        raise MalformedNode("a branch ends before the entry that is asked for") from error
    if end > len(data):
        raise MalformedNode("a branch ends inside the entry that is asked for")
    return position, end


def with_entry(data: bytes, start: int, end: int, reference: bytes) -> bytes:
    """The branch with another entry in place of the one from ``start`` to ``end``."""
    if end - start == len(reference):
        return data[:start] + reference + data[end:]
    return list_of(data[payload_start(data) : start] + reference + data[end:])


def leaf_path(key: bytes, depth: int) -> bytes:
    """The first item of a leaf that holds ``key`` ``depth`` nibbles below the root (Yellow Paper, appendix C)."""
    if depth % 2:
        return rlp.encode_bytes(bytes((0x30 | key[depth // 2] & 0x0F,)) + key[depth // 2 + 1 :])
    return rlp.encode_bytes(b"\x20" + key[depth // 2 :])


def leaf_value(data: bytes, path: bytes) -> bytes | None:
    """The encoded value of a leaf whose first item is ``path``; None where it is another one. ``data`` is no branch."""
    start = payload_start(data)
    return data[start + len(path) :] if data.startswith(path, start) else None
