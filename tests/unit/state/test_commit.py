"""Accounts, views, commits and the first state."""

from __future__ import annotations

import pytest

from node.crypto.hashes import EMPTY_KECCAK, EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.state.account import EMPTY_ACCOUNT, Account, decode_account
from node.state.commit import CommitResult, commit
from node.state.diff import AccountChange, StateDiff
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.view import TrieView
from node.trie.nodes import MissingNode

A, B, C = (Address(bytes((n,)) * 20) for n in (1, 2, 3))
CODE = b"\x60\x00"
ALLOC = {
    A: GenesisAccount(balance=100),
    B: GenesisAccount(balance=1, nonce=1, code=CODE, storage={1: 1, 2: 2**256 - 1, 3: 0}),
}


def stored() -> tuple[CommitResult, dict[Hash32, bytes]]:
    state = state_from_alloc(ALLOC)
    return state, dict(state.nodes)


def test_account_round_trip() -> None:
    account = Account(7, 10**30, Hash32(b"\x01" * 32), Hash32(b"\x02" * 32))
    assert decode_account(account.encode()) == account
    assert decode_account(EMPTY_ACCOUNT.encode()) == EMPTY_ACCOUNT
    assert EMPTY_ACCOUNT.is_empty
    assert not account.is_empty
    assert not Account(storage_root=Hash32(b"\x01" * 32), nonce=1).is_empty
    assert Account(storage_root=Hash32(b"\x01" * 32)).is_empty, "storage does not count (EIP-161)"


@pytest.mark.parametrize(
    "item",
    [
        [b"", b"", b"\x01" * 32],
        [b"", b"", b"\x01" * 31, b"\x01" * 32],
        [b"\x00", b"", b"\x01" * 32, b"\x01" * 32],
        [b"\x01" * 9, b"", b"\x01" * 32, b"\x01" * 32],
        [b"", b"\x01" * 33, b"\x01" * 32, b"\x01" * 32],
        [b"", [], b"\x01" * 32, b"\x01" * 32],
    ],
)
def test_what_is_no_account(item: rlp.Encodable) -> None:
    with pytest.raises(rlp.RLPError):
        decode_account(rlp.encode(item))


def test_an_empty_allocation() -> None:
    assert state_from_alloc({}) == CommitResult(EMPTY_TRIE_ROOT, {}, {})


def test_known_genesis_root_of_one_account() -> None:
    """Computed from the definitions: one leaf, keccak256(address) as its path."""
    account = rlp.encode([b"", rlp.int_to_bytes(100), EMPTY_TRIE_ROOT, EMPTY_KECCAK])
    leaf = rlp.encode([b"\x20" + keccak256(A), account])
    assert state_from_alloc({A: GenesisAccount(balance=100)}).root == keccak256(leaf)


def test_a_view_of_the_first_state() -> None:
    state, nodes = stored()
    view = TrieView(state.root, nodes.get, state.codes.get)
    assert view.root == state.root
    for _ in range(2):
        assert view.account(A) == Account(balance=100)
        assert view.account(C) is None
        account = view.account(B)
        assert account is not None
        assert view.code(account.code_hash) == CODE
        assert [view.slot(B, slot) for slot in (1, 2, 3, 2**256 - 1)] == [1, 2**256 - 1, 0, 0]
        assert view.slot(A, 1) == view.slot(C, 1) == 0
    assert view.code(EMPTY_KECCAK) == b""
    with pytest.raises(KeyError, match="no code with hash"):
        view.code(Hash32(b"\x01" * 32))


def test_a_pruned_root() -> None:
    with pytest.raises(MissingNode):
        TrieView(Hash32(b"\x01" * 32), {}.get, {}.get).account(A)


def test_commit_equals_the_allocation_of_the_outcome() -> None:
    state, nodes = stored()
    code_hash = keccak256(CODE)
    new_code = b"\x00" * 3
    diff = StateDiff(
        accounts={
            A: None,
            B: AccountChange(2, 5, code_hash, {1: 0, 2: 9, 4: 4}),
            C: AccountChange(1, 0, keccak256(new_code), {7: 7}, storage_cleared=True),
        },
        codes={keccak256(new_code): new_code},
    )
    result = commit(state.root, diff, nodes.get)
    assert result.codes == {keccak256(new_code): new_code}
    assert result.root == (
        state_from_alloc(
            {
                B: GenesisAccount(balance=5, nonce=2, code=CODE, storage={2: 9, 4: 4}),
                C: GenesisAccount(nonce=1, code=new_code, storage={7: 7}),
            }
        ).root
    )
    nodes.update(result.nodes)
    view = TrieView(result.root, nodes.get, {**state.codes, **result.codes}.get)
    assert view.account(A) is None
    assert [view.slot(B, slot) for slot in (1, 2, 3, 4)] == [0, 9, 0, 4]
    assert view.slot(C, 7) == 7
    # The old state is still there.
    assert TrieView(state.root, nodes.get, {}.get).account(A) == Account(balance=100)


def test_cleared_storage_forgets_the_old_slots() -> None:
    state, nodes = stored()
    diff = StateDiff(accounts={B: AccountChange(1, 1, EMPTY_KECCAK, {5: 5}, storage_cleared=True)})
    expected = state_from_alloc({A: ALLOC[A], B: GenesisAccount(balance=1, nonce=1, storage={5: 5})})
    assert commit(state.root, diff, nodes.get).root == expected.root


def test_storage_emptied_slot_by_slot_has_the_empty_root() -> None:
    state, nodes = stored()
    diff = StateDiff(accounts={B: AccountChange(1, 1, keccak256(CODE), {1: 0, 2: 0})})
    result = commit(state.root, diff, nodes.get)
    account = TrieView(result.root, {**nodes, **result.nodes}.get, state.codes.get).account(B)
    assert account is not None
    assert account.storage_root == EMPTY_TRIE_ROOT


def test_nothing_changed_nothing_written() -> None:
    state, nodes = stored()
    assert commit(state.root, StateDiff(), nodes.get) == CommitResult(state.root, {}, {})
    same = StateDiff(accounts={A: AccountChange(0, 100, EMPTY_KECCAK), C: None})
    assert commit(state.root, same, nodes.get) == CommitResult(state.root, {}, {})


def test_removing_everything() -> None:
    state, nodes = stored()
    assert commit(state.root, StateDiff(accounts={A: None, B: None}), nodes.get).root == EMPTY_TRIE_ROOT


def test_a_missing_node_stops_the_commit() -> None:
    state, nodes = stored()
    with pytest.raises(MissingNode):
        commit(state.root, StateDiff(accounts={A: None}), {}.get)
    account = TrieView(state.root, nodes.get, {}.get).account(B)
    assert account is not None
    del nodes[account.storage_root]
    with pytest.raises(MissingNode):
        commit(state.root, StateDiff(accounts={B: AccountChange(1, 1, keccak256(CODE), {1: 5})}), nodes.get)
