"""Proofs: presence and absence, and everything that is not one."""

from __future__ import annotations

import pytest

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.trie.nodes import MissingNode, encode_branch, encode_extension, encode_leaf, reference_of
from node.trie.proofs import InvalidProof, proof, verify_proof
from node.trie.sorted_build import build_sorted

PAIRS = {
    **{keccak256(bytes((index,))): bytes((index,)) * (index % 50 + 1) for index in range(1, 120)},
    b"do": b"verb",
    b"dog": b"puppy",
    b"doge": b"coin",
    b"horse": b"stallion",
}
STORE: dict[Hash32, bytes] = {}
ROOT = build_sorted(sorted(PAIRS.items()), STORE.__setitem__)
ABSENT = [b"", b"d", b"dogs", b"doges", b"hors", b"zz", keccak256(b"absent"), keccak256(b"absent too")]


@pytest.mark.parametrize("key", [*PAIRS, *ABSENT])
def test_every_key_and_every_absence_can_be_proved(key: bytes) -> None:
    nodes = proof(ROOT, STORE.get, key)
    assert keccak256(nodes[0]) == ROOT
    assert verify_proof(ROOT, key, nodes) == PAIRS.get(key)


def test_an_empty_trie_has_an_empty_proof() -> None:
    assert proof(EMPTY_TRIE_ROOT, {}.get, b"a") == []
    assert verify_proof(EMPTY_TRIE_ROOT, b"a", []) is None
    with pytest.raises(InvalidProof):
        verify_proof(EMPTY_TRIE_ROOT, b"a", [b"\x80"])


def test_a_missing_node_cannot_be_proved_around() -> None:
    with pytest.raises(MissingNode):
        proof(Hash32(b"\x01" * 32), STORE.get, b"do")


@pytest.mark.parametrize("key", [*list(PAIRS)[:12], b"doge", *ABSENT])
def test_any_change_to_a_proof_is_noticed(key: bytes) -> None:
    nodes = proof(ROOT, STORE.get, key)
    for index, node in enumerate(nodes):
        for position in range(len(node)):
            changed = bytearray(node)
            changed[position] ^= 1
            with pytest.raises(InvalidProof):
                verify_proof(ROOT, key, [*nodes[:index], bytes(changed), *nodes[index + 1 :]])
    for wrong in (
        [],
        nodes[:-1],
        nodes[1:],
        [*nodes, nodes[-1]],
        [*nodes, b"\x80"],
        [nodes[0], *nodes],
        list(reversed(nodes)) if len(nodes) > 1 else [b""],
    ):
        with pytest.raises(InvalidProof):
            verify_proof(ROOT, key, wrong)
    with pytest.raises(InvalidProof):
        verify_proof(Hash32(b"\x02" * 32), key, nodes)


def test_a_proof_of_another_key_proves_nothing() -> None:
    refused = 0
    for key in list(PAIRS)[:20]:
        for other in list(PAIRS)[20:40]:
            try:
                assert verify_proof(ROOT, key, proof(ROOT, STORE.get, other)) == PAIRS[key]
            except InvalidProof:
                refused += 1
    assert refused > 300


def test_an_extension_above_a_leaf_is_refused_though_its_hashes_fit() -> None:
    leaf = encode_leaf(b"\x04", b"v" * 40)
    extension = encode_extension(b"\x06\x01\x06", reference_of(leaf)[0])
    with pytest.raises(InvalidProof, match="must end in a branch"):
        verify_proof(keccak256(extension), b"ad", [extension, leaf])


def test_a_branch_with_one_child_is_refused_though_its_hashes_fit() -> None:
    leaf = encode_leaf(b"\x01", b"v" * 40)
    branch = encode_branch([b"\x80"] * 6 + [reference_of(leaf)[0]] + [b"\x80"] * 10)
    with pytest.raises(InvalidProof):
        verify_proof(keccak256(branch), b"a", [branch, leaf])


def test_a_huge_node_is_refused_unread() -> None:
    huge = rlp.encode([b"\x20", b"x" * 100_000])
    with pytest.raises(InvalidProof, match="bytes"):
        verify_proof(keccak256(huge), b"", [huge])
