"""JournaledState: what each EIP says about one transaction, several of them, and undoing."""

from __future__ import annotations

import pytest

from node.crypto.hashes import EMPTY_KECCAK, keccak256
from node.primitives.scalars import Address, Hash32
from node.state.account import Account
from node.state.diff import AccountChange
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.journal import JournaledState
from node.state.view import EmptyView, TrieView
from node.types.receipts import Log

A, B, C, D, NOBODY = (Address(bytes((n,)) * 20) for n in (1, 2, 3, 4, 9))
CODE = b"\x60\x00"
SLOTS = {1: 10, 2: 20}
ALLOC = {
    A: GenesisAccount(balance=100, nonce=5),
    B: GenesisAccount(),  # an empty account that lies in the trie
    C: GenesisAccount(balance=7, nonce=1, code=CODE, storage=SLOTS),
    D: GenesisAccount(balance=1, storage={9: 9}),  # storage without code or nonce
}


class CountingView(TrieView):
    """A TrieView that knows how often it was asked."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.reads: list[object] = []

    def account(self, address: Address) -> Account | None:
        self.reads.append(address)
        return super().account(address)

    def slot(self, address: Address, slot: int) -> int:
        self.reads.append((address, slot))
        return super().slot(address, slot)


@pytest.fixture
def view() -> CountingView:
    state = state_from_alloc(ALLOC)
    return CountingView(state.root, state.nodes.get, state.codes.get)


@pytest.fixture
def journal(view: CountingView) -> JournaledState:
    opened = JournaledState(view)
    opened.begin_transaction()
    return opened


# --- reading ---


def test_reads_of_the_view(journal: JournaledState) -> None:
    assert journal.balance(A) == 100
    assert journal.nonce(A) == 5
    assert journal.code(A) == b""
    assert journal.code_hash(A) == EMPTY_KECCAK
    assert journal.code(C) == CODE
    assert journal.code_hash(C) == keccak256(CODE)
    assert journal.storage(C, 1) == 10
    assert journal.storage(C, 3) == 0
    assert journal.balance(NOBODY) == 0
    assert journal.code_hash(NOBODY) == EMPTY_KECCAK
    assert journal.storage(NOBODY, 1) == 0
    assert [journal.account_exists(who) for who in (A, B, C, NOBODY)] == [True, True, True, False]
    assert [journal.is_alive(who) for who in (A, B, C, NOBODY)] == [True, False, True, False]
    assert journal.diff().accounts == {}


def test_the_view_is_asked_once(journal: JournaledState, view: CountingView) -> None:
    for _ in range(3):
        journal.balance(A), journal.nonce(A), journal.is_alive(A), journal.storage(C, 1), journal.storage(NOBODY, 1)
        journal.set_storage(C, 2, journal.storage(C, 2) + 1)
        journal.original_storage(C, 2)
    assert view.reads.count(A) == 1
    assert view.reads.count((C, 1)) == 1
    assert view.reads.count((C, 2)) == 1
    assert (NOBODY, 1) not in view.reads


def test_the_empty_view() -> None:
    journal = JournaledState(EmptyView())
    assert journal.balance(A) == 0
    assert journal.storage(A, 1) == 0
    with pytest.raises(KeyError):
        EmptyView().code(Hash32(b"\x01" * 32))
    assert EmptyView().code(EMPTY_KECCAK) == b""


# --- balances, nonces, code ---


def test_transfer(journal: JournaledState) -> None:
    journal.transfer(A, NOBODY, 30)
    journal.transfer(A, A, 5)
    assert (journal.balance(A), journal.balance(NOBODY)) == (70, 30)
    journal.end_transaction()
    assert journal.diff().accounts == {
        A: AccountChange(5, 70, EMPTY_KECCAK),
        NOBODY: AccountChange(0, 30, EMPTY_KECCAK, storage_cleared=True),
    }


def test_set_balance(journal: JournaledState, view: CountingView) -> None:
    before = journal.checkpoint()
    journal.set_balance(NOBODY, 2**256 - 1)
    assert journal.balance(NOBODY) == 2**256 - 1
    for impossible in (-1, 2**256):
        with pytest.raises(AssertionError):
            journal.set_balance(NOBODY, impossible)
    journal.rollback(before)
    assert not journal.account_exists(NOBODY)
    assert journal.view is view


def test_more_than_there_is_cannot_be_taken(journal: JournaledState) -> None:
    with pytest.raises(AssertionError):
        journal.sub_balance(A, 101)


def test_a_change_and_its_reverse_leave_no_difference(journal: JournaledState) -> None:
    journal.transfer(A, C, 30)
    journal.transfer(C, A, 30)
    journal.set_storage(C, 1, 0)
    journal.set_storage(C, 1, 10)
    journal.set_nonce(A, 9)
    journal.set_nonce(A, 5)
    journal.end_transaction()
    assert journal.diff().accounts == {}


def test_code_and_delegation(journal: JournaledState) -> None:
    journal.set_code(A, b"\xef\x01\x00" + B)
    assert journal.code(A) == b"\xef\x01\x00" + B
    cleared = journal.checkpoint()
    journal.set_code(A, b"")
    assert (journal.code(A), journal.code_hash(A)) == (b"", EMPTY_KECCAK)
    journal.rollback(cleared)
    assert journal.code(A) == b"\xef\x01\x00" + B
    journal.end_transaction()
    diff = journal.diff()
    assert diff.codes == {keccak256(b"\xef\x01\x00" + B): b"\xef\x01\x00" + B}
    assert not diff.accounts[A].storage_cleared  # type: ignore[union-attr]


# --- EIP-161 ---


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda j: j.touch(B), id="touch"),
        pytest.param(lambda j: j.transfer(A, B, 0), id="transfer of nothing to it"),
        pytest.param(lambda j: j.transfer(B, A, 0), id="transfer of nothing from it"),
        pytest.param(lambda j: j.add_balance(B, 0), id="credit of nothing"),
        pytest.param(lambda j: j.self_destruct(C, B, True) or j.transfer(B, A, 7), id="beneficiary that pays on"),
    ],
)
def test_a_touched_empty_account_goes(journal: JournaledState, act: object) -> None:
    act(journal)  # type: ignore[operator]
    assert journal.account_exists(B)
    journal.end_transaction()
    assert not journal.account_exists(B)
    assert journal.diff().accounts[B] is None


def test_an_untouched_empty_account_stays(journal: JournaledState) -> None:
    assert journal.balance(B) == 0
    assert not journal.is_alive(B)
    journal.access_address(B)
    journal.end_transaction()
    assert journal.account_exists(B)
    assert B not in journal.diff().accounts


def test_a_touch_that_is_undone_does_not_count(journal: JournaledState) -> None:
    before = journal.checkpoint()
    journal.transfer(A, B, 0)
    journal.transfer(A, NOBODY, 0)
    journal.rollback(before)
    journal.end_transaction()
    assert journal.account_exists(B)
    assert not journal.account_exists(NOBODY)
    assert journal.diff().accounts == {}


def test_a_touch_before_the_checkpoint_outlives_a_rollback(journal: JournaledState) -> None:
    journal.touch(B)
    before = journal.checkpoint()
    journal.touch(B)
    journal.rollback(before)
    journal.end_transaction()
    assert journal.diff().accounts == {B: None}


def test_empty_accounts_stay_where_the_rules_keep_them(journal: JournaledState) -> None:
    journal.touch(NOBODY)
    journal.end_transaction(remove_empty=False)
    assert journal.diff().accounts == {NOBODY: AccountChange(0, 0, EMPTY_KECCAK, storage_cleared=True)}


def test_touches_end_with_their_transaction(journal: JournaledState) -> None:
    journal.touch(B)
    journal.add_balance(B, 1)
    journal.end_transaction()
    journal.begin_transaction()
    journal.end_transaction()
    assert journal.account_exists(B)


# --- storage, EIP-2200 ---


def test_original_storage_is_per_transaction(journal: JournaledState) -> None:
    journal.set_storage(C, 1, 11)
    journal.set_storage(C, 1, 12)
    assert (journal.original_storage(C, 1), journal.storage(C, 1)) == (10, 12)
    journal.end_transaction()
    journal.begin_transaction()
    assert journal.original_storage(C, 1) == 12
    before = journal.checkpoint()
    journal.set_storage(C, 1, 0)
    journal.set_storage(C, 2, 0)
    journal.rollback(before)
    assert (journal.original_storage(C, 1), journal.storage(C, 1)) == (12, 12)
    journal.set_storage(C, 1, 13)
    assert journal.original_storage(C, 1) == 12
    assert journal.original_storage(C, 2) == 20
    journal.end_transaction()
    assert journal.diff().accounts == {C: AccountChange(1, 7, keccak256(CODE), {1: 13})}


def test_transient_storage_is_undone_and_ends(journal: JournaledState) -> None:
    journal.set_transient_storage(A, 1, 5)
    before = journal.checkpoint()
    journal.set_transient_storage(A, 1, 6)
    journal.set_transient_storage(B, 1, 7)
    journal.rollback(before)
    assert (journal.transient_storage(A, 1), journal.transient_storage(B, 1)) == (5, 0)
    journal.end_transaction()
    journal.begin_transaction()
    assert journal.transient_storage(A, 1) == 0


# --- EIP-2929 ---


def test_warm_sets_are_undone_and_end(journal: JournaledState) -> None:
    assert journal.access_address(A)
    assert not journal.access_address(A)
    assert journal.access_slot(C, 1)
    before = journal.checkpoint()
    assert journal.access_address(B)
    assert journal.access_slot(C, 2)
    assert not journal.access_slot(C, 1)
    assert not journal.is_warm_address(C), "a warm slot does not warm its address"
    journal.rollback(before)
    assert journal.is_warm_address(A)
    assert not journal.is_warm_address(B)
    assert journal.is_warm_slot(C, 1)
    assert not journal.is_warm_slot(C, 2)
    assert not journal.is_warm_slot(A, 2)
    journal.begin_transaction()
    assert not journal.is_warm_address(A)
    assert not journal.is_warm_slot(C, 1)


def test_what_is_warm_from_the_start_stays_warm(journal: JournaledState) -> None:
    journal.begin_transaction(warm=(A, B))
    before = journal.checkpoint()
    assert not journal.access_address(A)
    assert journal.access_address(C)
    journal.rollback(before)
    assert [journal.is_warm_address(who) for who in (A, B, C)] == [True, True, False]
    journal.begin_transaction()
    assert not journal.is_warm_address(A)


# --- creation ---


def test_can_create_at(journal: JournaledState) -> None:
    assert [journal.can_create_at(who) for who in (A, B, C, D, NOBODY)] == [False, True, False, False, True]
    journal.add_balance(NOBODY, 5)
    assert journal.can_create_at(NOBODY)
    before = journal.checkpoint()
    journal.set_storage(NOBODY, 1, 1)
    assert not journal.can_create_at(NOBODY)
    journal.rollback(before)
    assert journal.can_create_at(NOBODY)
    journal.increment_nonce(NOBODY)
    assert not journal.can_create_at(NOBODY)


def test_creation_keeps_the_balance_and_clears_the_storage(journal: JournaledState) -> None:
    assert journal.storage(D, 9) == 9
    before = journal.checkpoint()
    journal.mark_created(D)
    journal.set_nonce(D, 1)
    assert journal.is_created(D)
    assert journal.balance(D) == 1
    assert (journal.storage(D, 9), journal.original_storage(D, 9)) == (0, 0)
    journal.set_storage(D, 2, 2)
    assert journal.original_storage(D, 2) == 0
    journal.rollback(before)
    assert not journal.is_created(D)
    assert (journal.storage(D, 9), journal.storage(D, 2), journal.nonce(D)) == (9, 0, 0)
    journal.mark_created(D)
    journal.set_nonce(D, 1)
    journal.set_storage(D, 2, 2)
    journal.set_storage(D, 3, 3)
    journal.set_storage(D, 3, 0)
    journal.end_transaction()
    assert journal.diff().accounts == {D: AccountChange(1, 1, EMPTY_KECCAK, {2: 2}, storage_cleared=True)}


def test_creation_counts_for_one_transaction(journal: JournaledState) -> None:
    journal.mark_created(NOBODY)
    journal.set_nonce(NOBODY, 1)
    journal.end_transaction()
    journal.begin_transaction()
    assert not journal.is_created(NOBODY)
    journal.self_destruct(NOBODY, A, only_created=True)
    journal.end_transaction()
    assert journal.nonce(NOBODY) == 1


# --- SELFDESTRUCT ---


def test_destroying_an_older_contract_only_moves_its_balance(journal: JournaledState) -> None:
    journal.self_destruct(C, NOBODY, only_created=True)
    assert (journal.balance(C), journal.balance(NOBODY)) == (0, 7)
    journal.end_transaction()
    assert journal.code(C) == CODE
    assert journal.storage(C, 1) == 10


def test_an_older_contract_that_names_itself_keeps_its_balance(journal: JournaledState) -> None:
    journal.self_destruct(C, C, only_created=True)
    journal.end_transaction()
    assert journal.balance(C) == 7
    assert journal.diff().accounts == {}


@pytest.mark.parametrize("only_created", [True, False])
def test_a_contract_of_this_transaction_is_deleted_at_its_end(journal: JournaledState, only_created: bool) -> None:
    journal.add_balance(NOBODY, 3)
    journal.mark_created(NOBODY)
    journal.set_nonce(NOBODY, 1)
    journal.set_code(NOBODY, b"\x01")
    journal.set_storage(NOBODY, 1, 1)
    journal.self_destruct(NOBODY, A, only_created)
    assert (journal.balance(NOBODY), journal.balance(A)) == (0, 103)
    assert (journal.code(NOBODY), journal.storage(NOBODY, 1)) == (b"\x01", 1), "it works on until the end"
    journal.transfer(A, NOBODY, 2)  # what arrives after is burned
    journal.end_transaction()
    assert not journal.account_exists(NOBODY)
    assert journal.balance(NOBODY) == journal.storage(NOBODY, 1) == 0
    assert journal.code(NOBODY) == b""
    diff = journal.diff()
    assert diff.accounts == {A: AccountChange(5, 101, EMPTY_KECCAK)}
    assert diff.codes == {}


def test_a_contract_of_this_transaction_that_names_itself_burns_its_balance(journal: JournaledState) -> None:
    journal.transfer(A, NOBODY, 30)
    journal.mark_created(NOBODY)
    journal.self_destruct(NOBODY, NOBODY, only_created=True)
    assert journal.balance(NOBODY) == 0
    journal.end_transaction()
    assert journal.diff().accounts == {A: AccountChange(5, 70, EMPTY_KECCAK)}


def test_destruction_is_undone_by_a_rollback(journal: JournaledState) -> None:
    before = journal.checkpoint()
    journal.self_destruct(C, A, only_created=False)
    journal.rollback(before)
    journal.end_transaction()
    assert journal.balance(C) == 7
    assert journal.diff().accounts == {}


def test_destroyed_and_rebuilt_in_a_later_transaction(journal: JournaledState) -> None:
    assert journal.storage(C, 2) == 20
    journal.set_storage(C, 1, 99)
    journal.self_destruct(C, A, only_created=False)
    journal.end_transaction()
    assert journal.diff().accounts[C] is None
    journal.begin_transaction()
    assert journal.can_create_at(C)
    journal.mark_created(C)
    journal.set_nonce(C, 1)
    assert (journal.storage(C, 1), journal.storage(C, 2), journal.original_storage(C, 1)) == (0, 0, 0)
    journal.set_storage(C, 3, 30)
    journal.end_transaction()
    assert journal.diff().accounts[C] == AccountChange(1, 0, EMPTY_KECCAK, {3: 30}, storage_cleared=True)


def test_destroyed_and_paid_in_a_later_transaction(journal: JournaledState) -> None:
    journal.self_destruct(C, A, only_created=False)
    journal.end_transaction()
    journal.begin_transaction()
    journal.transfer(A, C, 1)
    journal.end_transaction()
    assert journal.diff().accounts[C] == AccountChange(0, 1, EMPTY_KECCAK, {}, storage_cleared=True)


# --- refund, logs, undo ---


def test_refund_and_logs_are_undone_and_end(journal: JournaledState) -> None:
    first, second = Log(A, (), b"1"), Log(A, (b"\x00" * 32,), b"2")
    journal.add_refund(4_800)
    journal.emit_log(first)
    before = journal.checkpoint()
    journal.add_refund(-2_000)
    journal.emit_log(second)
    journal.emit_log(second)
    assert (journal.refund, journal.logs) == (2_800, (first, second, second))
    journal.rollback(before)
    assert (journal.refund, journal.logs) == (4_800, (first,))
    journal.end_transaction()
    assert (journal.refund, journal.logs) == (4_800, (first,)), "read after the end, for the receipt"
    journal.begin_transaction()
    assert (journal.refund, journal.logs) == (0, ())


def test_checkpoints_nest(journal: JournaledState) -> None:
    outer = journal.checkpoint()
    journal.set_storage(C, 1, 1)
    inner = journal.checkpoint()
    journal.set_storage(C, 1, 2)
    journal.rollback(inner)
    journal.set_storage(C, 1, 3)
    journal.checkpoint()
    journal.set_storage(C, 1, 4)
    journal.rollback(outer)
    assert journal.storage(C, 1) == 10


def test_the_end_of_a_transaction_can_be_undone(journal: JournaledState) -> None:
    start = journal.checkpoint()
    journal.touch(B)
    journal.set_storage(C, 1, 5)
    journal.self_destruct(C, A, only_created=False)
    journal.end_transaction()
    journal.rollback(start)
    assert journal.diff().accounts == {}
    assert (journal.code(C), journal.storage(C, 1), journal.balance(A)) == (CODE, 10, 100)


def test_original_storage_survives_an_undone_clearing(journal: JournaledState) -> None:
    journal.set_storage(C, 1, 5)
    middle = journal.checkpoint()
    journal.self_destruct(C, A, only_created=False)
    journal.end_transaction()
    assert (journal.storage(C, 1), journal.original_storage(C, 1)) == (0, 0)
    journal.rollback(middle)
    assert (journal.storage(C, 1), journal.original_storage(C, 1)) == (5, 10)
    journal.end_transaction()
    journal.begin_transaction()
    assert journal.original_storage(C, 1) == 5


def test_a_checkpoint_of_an_earlier_transaction_is_our_mistake(journal: JournaledState) -> None:
    journal.touch(A)
    old = journal.checkpoint()
    journal.begin_transaction()
    with pytest.raises(AssertionError):
        journal.rollback(old)
