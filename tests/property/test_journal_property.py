"""JournaledState against a model that copies everything at every checkpoint; its diff, committed, against a
state built from scratch out of the model."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.hashes import keccak256
from node.primitives.scalars import Address, Hash32
from node.state.commit import commit
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.types.receipts import Log

ADDRESSES = [Address(bytes((n,)) * 20) for n in range(1, 6)]
SLOTS = [0, 1, 2**256 - 1]


@dataclass
class ModelAccount:
    """An account as plain values."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    storage: dict[int, int] = field(default_factory=dict)
    is_stored_with_slots: bool = False
    """The view holds slots of it: EIP-7610 looks at the storage root, which changes with the block."""

    @property
    def is_empty(self) -> bool:
        return self.nonce == 0 and self.balance == 0 and not self.code


@dataclass
class Model:
    """The whole journal as plain values: one deepcopy is one checkpoint."""

    accounts: dict[Address, ModelAccount]
    original: dict[Address, ModelAccount] = field(default_factory=dict)
    warm: list[Any] = field(default_factory=list)
    transient: dict[Any, int] = field(default_factory=dict)
    created: list[Address] = field(default_factory=list)
    destroyed: list[Address] = field(default_factory=list)
    touched: list[Address] = field(default_factory=list)
    refund: int = 0
    logs: list[Log] = field(default_factory=list)

    def begin(self) -> None:
        self.original = deepcopy(self.accounts)
        self.warm, self.transient, self.created, self.destroyed, self.touched = [], {}, [], [], []
        self.refund, self.logs = 0, []

    def end(self) -> None:
        for address in self.destroyed:
            self.accounts.pop(address, None)
        for address in self.touched:
            if address in self.accounts and self.accounts[address].is_empty:
                del self.accounts[address]

    def touch(self, address: Address) -> ModelAccount:
        self.touched.append(address)
        return self.accounts.setdefault(address, ModelAccount())

    def move(self, sender: Address, recipient: Address, value: int) -> None:
        self.touch(sender).balance -= value
        self.touch(recipient).balance += value

    def storage(self, accounts: dict[Address, ModelAccount], address: Address, slot: int) -> int:
        return accounts[address].storage.get(slot, 0) if address in accounts else 0

    def original_storage(self, address: Address, slot: int) -> int:
        return 0 if address in self.created else self.storage(self.original, address, slot)

    def self_destruct(self, address: Address, beneficiary: Address, only_created: bool) -> None:
        account = self.accounts.get(address, ModelAccount())
        self.move(address, beneficiary, account.balance)
        if not only_created or address in self.created:
            self.accounts[address].balance = 0
            self.destroyed.append(address)


address = st.sampled_from(ADDRESSES)
slot = st.sampled_from(SLOTS)
step = st.one_of(
    st.tuples(st.just("transfer"), address, address, st.integers(0, 60)),
    st.tuples(st.just("add_balance"), address, st.integers(0, 3)),
    st.tuples(st.just("touch"), address),
    st.tuples(st.just("increment_nonce"), address),
    st.tuples(st.just("set_code"), address, st.sampled_from([b"", b"\x01", b"\x02\x02"])),
    st.tuples(st.just("create"), address),
    st.tuples(st.just("set_storage"), address, slot, st.integers(0, 2)),
    st.tuples(st.just("set_storage"), address, slot, st.integers(0, 2)),
    st.tuples(st.just("set_transient_storage"), address, slot, st.integers(0, 2)),
    st.tuples(st.just("self_destruct"), address, address, st.booleans()),
    st.tuples(st.just("access_address"), address),
    st.tuples(st.just("access_slot"), address, slot),
    st.tuples(st.just("add_refund"), st.integers(-5, 5)),
    st.tuples(st.just("emit_log"), address),
    st.just(("checkpoint",)),
    st.just(("checkpoint",)),
    st.just(("rollback",)),
    st.just(("next_transaction",)),
)


def apply(action: tuple[Any, ...], journal: JournaledState, model: Model) -> None:
    name, *arguments = action
    match name:
        case "transfer":
            sender, recipient, value = arguments
            value = min(value, journal.balance(sender))
            journal.transfer(sender, recipient, value)
            model.move(sender, recipient, value)
        case "add_balance":
            journal.add_balance(*arguments)
            model.touch(arguments[0]).balance += arguments[1]
        case "touch":
            journal.touch(*arguments)
            model.touch(*arguments)
        case "increment_nonce":
            journal.increment_nonce(*arguments)
            model.touch(arguments[0]).nonce += 1
        case "set_code":
            journal.set_code(*arguments)
            model.touch(arguments[0]).code = arguments[1]
        case "create":
            where = arguments[0]
            account = model.accounts.get(where, ModelAccount())
            fits = (
                account.nonce == 0
                and not account.code
                and not any(account.storage.values())
                and not account.is_stored_with_slots
            )
            assert journal.can_create_at(where) == fits
            if fits:
                journal.mark_created(where)
                model.touch(where).storage = {}
                model.accounts[where].is_stored_with_slots = False
                model.created.append(where)
        case "set_storage":
            where, key, value = arguments
            if journal.is_alive(where):  # only an account with code runs it
                journal.set_storage(where, key, value)
                model.accounts[where].storage[key] = value
        case "set_transient_storage":
            where, key, value = arguments
            journal.set_transient_storage(where, key, value)
            model.transient[where, key] = value
        case "self_destruct":
            journal.self_destruct(*arguments)
            model.self_destruct(*arguments)
        case "access_address":
            assert journal.access_address(arguments[0]) == (arguments[0] not in model.warm)
            model.warm.append(arguments[0])
        case "access_slot":
            assert journal.access_slot(*arguments) == (tuple(arguments) not in model.warm)
            model.warm.append(tuple(arguments))
        case "add_refund":
            journal.add_refund(arguments[0])
            model.refund += arguments[0]
        case "emit_log":
            log = Log(arguments[0], (), b"")
            journal.emit_log(log)
            model.logs.append(log)


def compare(journal: JournaledState, model: Model) -> None:
    assert journal.refund == model.refund
    assert list(journal.logs) == model.logs
    for who in ADDRESSES:
        account = model.accounts.get(who, ModelAccount())
        assert journal.account_exists(who) == (who in model.accounts)
        assert journal.is_alive(who) == (not account.is_empty)
        assert (journal.balance(who), journal.nonce(who)) == (account.balance, account.nonce)
        assert journal.code(who) == account.code
        assert journal.code_hash(who) == keccak256(account.code)
        assert journal.is_warm_address(who) == (who in model.warm)
        assert journal.is_created(who) == (who in model.created)
        for key in SLOTS:
            assert journal.storage(who, key) == account.storage.get(key, 0)
            assert journal.original_storage(who, key) == model.original_storage(who, key)
            assert journal.transient_storage(who, key) == model.transient.get((who, key), 0)
            assert journal.is_warm_slot(who, key) == ((who, key) in model.warm)


def built(accounts: dict[Address, ModelAccount]) -> dict[Address, GenesisAccount]:
    return {who: GenesisAccount(a.balance, a.nonce, a.code, a.storage) for who, a in accounts.items()}


starting_account = st.builds(
    ModelAccount,
    st.integers(0, 2),
    st.integers(0, 100),
    st.sampled_from([b"", b"\x01"]),
    st.dictionaries(slot, st.integers(1, 2)),
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(address, starting_account),
    st.lists(step, max_size=50),
    st.sampled_from(["every step", "at the end"]),
)
def test_the_journal_is_a_pile_of_copies(
    start: dict[Address, ModelAccount], steps: list[tuple[Any, ...]], compared: str
) -> None:
    before = state_from_alloc(built(start))
    codes: dict[Hash32, bytes] = dict(before.codes)
    nodes: dict[Hash32, bytes] = dict(before.nodes)
    journal = JournaledState(TrieView(before.root, nodes.get, codes.get))
    journal.begin_transaction()
    model = Model(deepcopy(start))
    for account in model.accounts.values():
        account.is_stored_with_slots = bool(account.storage)
    model.begin()
    pile: list[tuple[int, Model]] = []
    for action in steps:
        if action[0] == "checkpoint":
            pile.append((journal.checkpoint(), deepcopy(model)))
        elif action[0] == "rollback":
            if pile:
                checkpoint, model = pile.pop()
                journal.rollback(checkpoint)
        elif action[0] == "next_transaction":
            journal.end_transaction()
            model.end()
            pile.clear()
            journal.begin_transaction()
            model.begin()
        else:
            apply(action, journal, model)
        if compared == "every step":  # reading fills caches, so not reading is another road
            compare(journal, model)
    journal.end_transaction()
    model.end()
    diff = journal.diff()
    after = commit(before.root, diff, nodes.get)
    expected = state_from_alloc(built(model.accounts))
    assert after.root == expected.root
    # Everything that the new root needs is there: read it back whole.
    nodes.update(after.nodes)
    codes.update(after.codes)
    view = TrieView(after.root, nodes.get, codes.get)
    for who in ADDRESSES:
        account = view.account(who)
        wanted = model.accounts.get(who)
        assert (account is None) == (wanted is None)
        if account is not None and wanted is not None:
            assert view.code(account.code_hash) == wanted.code
            assert [view.slot(who, key) for key in SLOTS] == [wanted.storage.get(key, 0) for key in SLOTS]
    # The journal can go on, and a second journal over the new root starts where this one stands.
    second = JournaledState(view)
    assert second.diff().accounts == {}
