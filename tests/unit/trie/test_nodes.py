"""Nodes: hex-prefix paths, encodings, and what a hostile node can look like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.crypto.hashes import EMPTY_TRIE_ROOT
from node.primitives import rlp
from node.trie.encoded import entry_span
from node.trie.nodes import (
    EMPTY_REFERENCE,
    FULL_BRANCH_BYTES,
    Branch,
    Extension,
    Leaf,
    MalformedNode,
    common_prefix_length,
    decode_node,
    decode_path,
    encode_branch,
    encode_extension,
    encode_leaf,
    encode_path,
    from_nibbles,
    reference_of,
    root_reference,
    to_nibbles,
)

HASH = b"\xa0" + b"\x11" * 32
nibbles = st.binary(max_size=70).map(lambda data: bytes(value & 15 for value in data))


@given(st.binary(max_size=70))
def test_nibbles_round_trip(key: bytes) -> None:
    assert from_nibbles(to_nibbles(key)) == key
    assert list(to_nibbles(key)) == [half for byte in key for half in (byte >> 4, byte & 15)]


def test_an_odd_number_of_nibbles_is_no_key() -> None:
    with pytest.raises(MalformedNode):
        from_nibbles(b"\x01\x02\x03")


@pytest.mark.parametrize(
    ("path", "is_leaf", "encoded"),
    [  # Yellow Paper, appendix C
        (b"", False, "00"),
        (b"", True, "20"),
        (b"\x01\x02\x03\x04\x05", False, "112345"),
        (b"\x00\x01\x02\x03\x04\x05", False, "00012345"),
        (b"\x00\x0f\x01\x0c\x0b\x08", True, "200f1cb8"),
        (b"\x0f\x01\x0c\x0b\x08", True, "3f1cb8"),
    ],
)
def test_hex_prefix(path: bytes, is_leaf: bool, encoded: str) -> None:
    assert encode_path(path, is_leaf).hex() == encoded
    assert decode_path(bytes.fromhex(encoded)) == (path, is_leaf)


@given(nibbles, st.booleans())
def test_hex_prefix_round_trip(path: bytes, is_leaf: bool) -> None:
    assert decode_path(encode_path(path, is_leaf)) == (path, is_leaf)


@given(nibbles, nibbles)
def test_common_prefix(left: bytes, right: bytes) -> None:
    length = common_prefix_length(left, right)
    assert left[:length] == right[:length]
    assert left[length : length + 1] != right[length : length + 1] or left == right


def test_node_round_trips() -> None:
    leaf = decode_node(encode_leaf(b"\x01\x02\x03", b"value"))
    assert isinstance(leaf, Leaf)
    assert (leaf.path, leaf.value) == (b"\x01\x02\x03", b"value")
    extension = decode_node(encode_extension(b"\x04", HASH))
    assert isinstance(extension, Extension)
    assert (extension.path, extension.child) == (b"\x04", HASH)
    inline = encode_leaf(b"\x01", b"x")
    references = [HASH, inline, *[EMPTY_REFERENCE] * 14, rlp.encode_bytes(b"here")]
    branch = decode_node(encode_branch(references))
    assert isinstance(branch, Branch)
    assert branch.children == references


def test_a_branch_as_long_as_a_full_one() -> None:
    """532 bytes: sixteen hashes; or a value in place of one, or a child that stands in its parent and a value."""
    hashes = [b"\xa0" + bytes((number,)) * 32 for number in range(16)]
    value = rlp.encode_bytes(b"v" * 32)
    inline = encode_leaf(b"\x01", b"x" * 28)
    branches = [[*hashes, EMPTY_REFERENCE]]
    for hole in range(16):
        branches.append([*hashes[:hole], EMPTY_REFERENCE, *hashes[hole + 1 :], value])
        branches.append([*hashes[:hole], inline, *hashes[hole + 1 :], rlp.encode_bytes(b"zz")])
    for references in branches:
        encoded = encode_branch(references)
        assert len(encoded) == FULL_BRANCH_BYTES
        branch = decode_node(encoded)
        assert isinstance(branch, Branch)
        assert branch.children == references
        for index, reference in enumerate(references):
            span = entry_span(encoded, index)
            assert span is not None
            assert encoded[span[0] : span[1]] == reference
    malformed = encode_branch([*hashes[:15], b"\xb8" + bytes(32), EMPTY_REFERENCE])
    assert len(malformed) == FULL_BRANCH_BYTES
    with pytest.raises(MalformedNode):
        decode_node(malformed)


def test_references() -> None:
    short = encode_leaf(b"\x01", b"x")
    assert reference_of(short) == (short, None)
    at_the_bound = encode_leaf(b"\x01", b"x" * 29)
    assert len(at_the_bound) == 32
    reference, node_hash = reference_of(at_the_bound)
    assert node_hash is not None
    assert reference == b"\xa0" + node_hash
    assert root_reference(EMPTY_TRIE_ROOT) == EMPTY_REFERENCE
    assert root_reference(b"\x01" * 32) == b"\xa0" + b"\x01" * 32
    with pytest.raises(ValueError, match="32 bytes"):
        root_reference(b"\x01")


def listed(*items: bytes) -> bytes:
    return rlp.encode_list(items)


E = EMPTY_REFERENCE
LEAF_PATH = rlp.encode_bytes(b"\x20")


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x80", id="a string"),
        pytest.param(b"\xc0", id="an empty list"),
        pytest.param(listed(LEAF_PATH), id="one item"),
        pytest.param(listed(LEAF_PATH, b"\x01", b"\x01"), id="three items"),
        pytest.param(listed(*[HASH] * 18), id="eighteen items"),
        pytest.param(listed(*[b"\x01"] * 5000), id="thousands of items"),
        pytest.param(listed(LEAF_PATH, b"\x01") + b"\x00", id="bytes behind"),
        pytest.param(listed(LEAF_PATH, E), id="leaf without value"),
        pytest.param(listed(LEAF_PATH, listed(b"\x01")), id="leaf with a list"),
        pytest.param(listed(E, b"\x01"), id="empty path"),
        pytest.param(listed(listed(), b"\x01"), id="path that is a list"),
        pytest.param(listed(b"\x40", b"\x01"), id="flag 4"),
        pytest.param(listed(rlp.encode_bytes(b"\x2f"), b"\x01"), id="padding not zero"),
        pytest.param(listed(b"\x00", HASH), id="extension with an empty path"),
        pytest.param(listed(b"\x11", E), id="extension without child"),
        pytest.param(listed(b"\x11", rlp.encode_bytes(b"x" * 31)), id="reference of 31 bytes"),
        pytest.param(listed(b"\x11", rlp.encode_bytes(b"x" * 33)), id="reference of 33 bytes"),
        pytest.param(listed(b"\x11", listed(LEAF_PATH, rlp.encode_bytes(b"x" * 40))), id="inline node of 32 or more"),
        pytest.param(listed(*[E] * 17), id="empty branch"),
        pytest.param(listed(HASH, *[E] * 16), id="branch with one child"),
        pytest.param(listed(*[E] * 16, b"\x01"), id="branch with a value only"),
        pytest.param(listed(HASH, b"\x05", *[E] * 15), id="branch with a short string as child"),
        pytest.param(listed(HASH, HASH, *[E] * 14, listed()), id="branch with a list as value"),
        pytest.param(listed(HASH, HASH, *[E] * 14, b"\x81\x05"), id="value not canonical"),
        pytest.param(b"\xf8\x05" + b"\x80" * 5, id="length not canonical"),
        pytest.param(b"\xc3\xa0\x01\x01", id="reference behind the end"),
    ],
)
def test_malformed_nodes_are_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedNode):
        decode_node(encoded)


@given(st.binary(max_size=600))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        node = decode_node(data)
    except MalformedNode:
        return
    if isinstance(node, Leaf):
        assert encode_leaf(node.path, node.value) == data
    elif isinstance(node, Extension):
        assert isinstance(node.child, bytes)
        assert encode_extension(node.path, node.child) == data
    else:
        assert encode_branch([child for child in node.children if isinstance(child, bytes)]) == data
