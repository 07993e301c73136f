"""Nodes of the Merkle-Patricia trie and their RLP (Yellow Paper, appendix D).

A child is either a reference, kept exactly as it stands in the parent's RLP (``0xa0 ‖ hash``, or the whole
RLP of a node shorter than 32 bytes), or a node object that has been changed and not encoded yet. So a
branch is encoded by joining its children, and what did not change is never taken apart.

Decoded nodes are shared between tries and threads: whoever changes one copies it first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.primitives.scalars import Hash32

NodeSource: TypeAlias = Callable[[bytes], bytes | None]
"""Node hash to the node's RLP, None where it is not kept."""

EMPTY_REFERENCE: Final = rlp.EMPTY_STRING
"""No child."""
HASH_REFERENCE_BYTES: Final = 33
VALUE_INDEX: Final = 16
"""Where a branch keeps the value of the key that ends at it (RLP-encoded, as it stands in the node)."""


class MissingNode(LookupError):
    """The trie needs a node that its source does not hold: pruned, never synced, or a broken database."""

    def __init__(self, node_hash: bytes) -> None:
        super().__init__(f"trie node 0x{node_hash.hex()} is missing")
        self.node_hash = node_hash


class MalformedNode(ValueError):
    """The bytes are not one canonical trie node."""


class Leaf:
    """The end of a key: the nibbles that are left, and the value."""

    __slots__ = ("path", "value")

    def __init__(self, path: bytes, value: bytes) -> None:
        self.path = path
        self.value = value


class Extension:
    """Nibbles that all keys below share, and the branch where they part."""

    __slots__ = ("child", "path")

    def __init__(self, path: bytes, child: Child) -> None:
        self.path = path
        self.child = child


class Branch:
    """Sixteen children, one a nibble, and at index 16 the encoded value of the key that ends here."""

    __slots__ = ("children",)

    def __init__(self, children: list[Child]) -> None:
        self.children = children


Node: TypeAlias = Leaf | Extension | Branch
Child: TypeAlias = "bytes | Leaf | Extension | Branch"


def joined(path: bytes, node: Node) -> Node:
    """``path`` above ``node``: leaves and extensions take it in front of theirs, a branch gets an extension."""
    if isinstance(node, Leaf):
        return Leaf(path + node.path, node.value)
    if isinstance(node, Extension):
        return Extension(path + node.path, node.child)
    return Extension(path, node)


# --- nibbles ------------------------------------------------------------------------------------

_HEX_TO_NIBBLE: Final = bytes(int(chr(c), 16) if chr(c) in "0123456789abcdef" else 0 for c in range(256))
_NIBBLE_TO_HEX: Final = bytes(b"0123456789abcdef"[c] if c < 16 else 0 for c in range(256))


def to_nibbles(key: bytes) -> bytes:
    """The key's half-bytes, one a byte."""
    return key.hex().encode().translate(_HEX_TO_NIBBLE)


def from_nibbles(nibbles: bytes) -> bytes:
    """Inverse of ``to_nibbles``. Raises MalformedNode for an odd number."""
    if len(nibbles) % 2:
        raise MalformedNode("a key of the trie ends inside a byte")
    return bytes.fromhex(nibbles.translate(_NIBBLE_TO_HEX).decode())


def encode_path(nibbles: bytes, is_leaf: bool) -> bytes:
    """Hex-prefix encoding (Yellow Paper, appendix C): two flags and the nibbles, packed."""
    digits = nibbles.translate(_NIBBLE_TO_HEX).decode()
    if len(nibbles) % 2:
        return bytes.fromhex(("3" if is_leaf else "1") + digits)
    return bytes.fromhex(("20" if is_leaf else "00") + digits)


def decode_path(encoded: bytes) -> tuple[bytes, bool]:
    """Nibbles and whether they are a leaf's. Raises MalformedNode."""
    if not encoded:
        raise MalformedNode("empty path")
    flag = encoded[0] >> 4
    if flag > 3:
        raise MalformedNode(f"path flag {flag}")
    nibbles = to_nibbles(encoded)
    if flag & 1:
        return nibbles[1:], flag == 3
    if nibbles[1]:
        raise MalformedNode("padding of an even path is not zero")
    return nibbles[2:], flag == 2


def common_prefix_length(left: bytes, right: bytes) -> int:
    """How many leading nibbles are the same."""
    if left == right:
        return len(left)
    length = 0
    for mine, other in zip(left, right, strict=False):
        if mine != other:
            break
        length += 1
    return length


# --- RLP ----------------------------------------------------------------------------------------


_LIST_PREFIXES: Final = tuple(rlp.encode_length(size, 0xC0) for size in range(1_024))
"""Of lists by the length of what is in them: all branches without values, all leaves of a state."""


def list_of(payload: bytes) -> bytes:
    """RLP of a list from its encoded items."""
    size = len(payload)
    return (_LIST_PREFIXES[size] if size < 1_024 else rlp.encode_length(size, 0xC0)) + payload


def encode_leaf(path: bytes, value: bytes) -> bytes:
    """RLP of a leaf."""
    payload = rlp.encode_bytes(encode_path(path, True)) + rlp.encode_bytes(value)
    return list_of(payload)


def encode_extension(path: bytes, reference: bytes) -> bytes:
    """RLP of an extension over an encoded child reference."""
    payload = rlp.encode_bytes(encode_path(path, False)) + reference
    return rlp.encode_length(len(payload), 0xC0) + payload


def encode_branch(references: list[bytes]) -> bytes:
    """RLP of a branch from its 17 encoded items."""
    return list_of(b"".join(references))


def encode_node(node: Node) -> bytes:
    """RLP of a node whose children are all references."""
    if type(node) is Branch:
        return encode_branch(node.children)  # type: ignore[arg-type]
    if type(node) is Leaf:
        return encode_leaf(node.path, node.value)
    return encode_extension(node.path, node.child)  # type: ignore[union-attr, arg-type]


def reference_of(encoded: bytes) -> tuple[bytes, Hash32 | None]:
    """How a parent names a node with this RLP, and the node's hash where it is named by hash (32 bytes or more)."""
    if len(encoded) < 32:
        return encoded, None
    node_hash = keccak256(encoded)
    return b"\xa0" + node_hash, node_hash


def root_reference(root: bytes) -> bytes:
    """The reference of the node with this hash; no child for the root of an empty trie."""
    if len(root) != 32:
        raise ValueError(f"a root has 32 bytes, not {len(root)}")
    return EMPTY_REFERENCE if root == EMPTY_TRIE_ROOT else b"\xa0" + root


FULL_BRANCH_BYTES: Final = 532
_FULL_BRANCH: Final = struct.Struct("33s" * 16)
FULL_BRANCH_PREFIX: Final = b"\xf9\x02\x11"
SIXTEEN_HASHES: Final = b"\xa0" * 16
"""What a branch of sixteen children that are named by hash looks like: the upper levels of every large trie."""
_REFERENCES: Final = re.compile(rb"\xa0.{32}|\x80", re.DOTALL)


def decode_node(data: bytes) -> Node:
    """The node with this RLP, every child as a reference. Strict. Raises MalformedNode."""
    if len(data) == FULL_BRANCH_BYTES and data[:3] == FULL_BRANCH_PREFIX and data[-1] == 0x80:
        children = _FULL_BRANCH.unpack_from(data, 3)
        if data[3:-1:HASH_REFERENCE_BYTES] == SIXTEEN_HASHES:
            return Branch([*children, EMPTY_REFERENCE])
    try:
        start, stop, is_list = rlp.payload_span(data, 0, len(data))
        if not is_list or stop != len(data):
            raise MalformedNode("a node is one list")
        items: list[Child] = _REFERENCES.findall(data, start, stop)
        if len(items) == 17 and len(b"".join(items)) == stop - start:  # type: ignore[arg-type]
            # nothing between them, and nothing else: each is a hash or empty
            return _with_two_entries(items, 17 - items.count(EMPTY_REFERENCE))
        items = _split(data, start, stop)
    except rlp.RLPError as error:
        raise MalformedNode(str(error)) from error
    if len(items) == 17:
        return _branch(items)
    if len(items) != 2:
        raise MalformedNode(f"a node has 2 or 17 items, not {len(items)}")
    path, is_leaf = decode_path(_string(items[0], "path"))
    if is_leaf:
        value = _string(items[1], "value")
        if not value:
            raise MalformedNode("leaf with an empty value")
        return Leaf(path, value)
    if not path:
        raise MalformedNode("extension with an empty path")
    reference = items[1]
    if reference == EMPTY_REFERENCE:
        raise MalformedNode("extension without a child")
    _check_reference(reference)
    return Extension(path, reference)


def _branch(items: list[Child]) -> Branch:
    used = 0
    for reference in items[:VALUE_INDEX]:
        if reference != EMPTY_REFERENCE:
            _check_reference(reference)
            used += 1
    value = items[VALUE_INDEX]
    if value != EMPTY_REFERENCE:
        _string(value, "value")
        used += 1
    return _with_two_entries(items, used)


def _with_two_entries(items: list[Child], used: int) -> Branch:
    if used < 2:
        raise MalformedNode(f"branch with {used} entries")
    return Branch(items)


def _split(data: bytes, start: int, stop: int) -> list[Child]:
    """The encoded items between two offsets, as slices."""
    items: list[Child] = []
    position = start
    while position < stop:
        prefix = data[position]
        if prefix == 0xA0:
            end = position + HASH_REFERENCE_BYTES
        elif prefix == 0x80:
            end = position + 1
        else:
            end = rlp.payload_span(data, position, stop)[1]
        if end > stop:
            raise rlp.RLPError("item runs past the end of its node")
        items.append(data[position:end])
        if len(items) > 17:
            raise MalformedNode("more than 17 items")
        position = end
    return items


def _string(item: Child, field: str) -> bytes:
    assert isinstance(item, bytes)
    start, stop, is_list = rlp.payload_span(item, 0, len(item))
    if is_list:
        raise MalformedNode(f"{field} is a list")
    return item[start:stop]


def decode_value(encoded: Child) -> bytes | None:
    """The value that a branch keeps at ``VALUE_INDEX``, None where it keeps none."""
    return None if encoded == EMPTY_REFERENCE else _string(encoded, "value")


def _check_reference(reference: Child) -> None:
    assert isinstance(reference, bytes)
    if len(reference) == HASH_REFERENCE_BYTES and reference[0] == 0xA0:
        return
    if reference[0] < 0xC0 or len(reference) > 31:
        raise MalformedNode("a child is named by its hash, or stands in the node when its RLP is below 32 bytes")
