"""Transactions in a row on native tables leave what they leave on the journal: same receipts, same state, same root."""

from __future__ import annotations

import dataclasses

import pytest

from node.evm.native.block_tables import NativeTables
from node.evm.native.machine import NativeMachine
from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.execution.block import transactions_root
from node.forks import cancun, osaka, petersburg
from node.primitives.scalars import GWEI, Address
from node.state.genesis_state import GenesisAccount
from node.state.view import TrieView
from node.trie.nodes import MissingNode
from node.types.invalid import InvalidBlock
from node.types.transactions import ACCESS_LIST, Transaction
from tests.unit.evm.program import call_operation, operation, program, push, returning, store_code
from tests.unit.execution.world import COINBASE, NOBODY, SENDERS, World, authorization, contract, set_code, transaction

COUNTER, TRANSIENT, CLEARING, PROBE, MAKER, BURNER, FAILING, DELEGATE = (contract(number) for number in range(1, 9))
GAS_SEEN = program(Opcode.GAS, push(9), Opcode.SSTORE)
"""Keeps what is left of the gas, so that every price shows in the state."""
CODES = {
    COUNTER: program(push(1), push(0), Opcode.SLOAD, Opcode.ADD, push(0), Opcode.SSTORE, GAS_SEEN),
    TRANSIENT: program(
        push(1), push(0), Opcode.TLOAD, Opcode.ADD, Opcode.DUP1, push(0), Opcode.TSTORE, push(3), Opcode.SSTORE
    ),
    CLEARING: program(
        *(operation(Opcode.SSTORE, slot, 0) for slot in (0, 1, 2, 3, 4)), operation(Opcode.SSTORE, 8, 7), GAS_SEEN
    ),
    PROBE: program(
        operation(Opcode.BALANCE, int.from_bytes(COINBASE, "big")),
        operation(Opcode.BALANCE, int.from_bytes(DELEGATE, "big")),
        operation(Opcode.EXTCODEHASH, int.from_bytes(NOBODY, "big")),
        push(5),
        Opcode.SSTORE,
        GAS_SEEN,
        operation(Opcode.LOG1, 0, 40, 77),
    ),
    MAKER: program(
        store_code(returning(CODE := bytes.fromhex("600160005500"))),
        operation(Opcode.CREATE, 1, 0, len(returning(CODE))),
        Opcode.DUP1,
        push(0),
        Opcode.SSTORE,
        *(push(0),) * 5,
        Opcode.DUP6,
        push(100_000),
        Opcode.CALL,
    ),
    BURNER: operation(Opcode.SELFDESTRUCT, int.from_bytes(NOBODY, "big")),
    FAILING: program(
        operation(Opcode.SSTORE, 1, 2), call_operation(Opcode.CALL, NOBODY, value=1), operation(Opcode.REVERT, 0, 32)
    ),
    DELEGATE: program(operation(Opcode.BALANCE, int.from_bytes(DELEGATE, "big")), push(1), Opcode.SSTORE, GAS_SEEN),
}
ALLOC = {
    address: GenesisAccount(balance=10**6, nonce=1, code=code, storage={0: 5, 1: 6, 2: 7, 3: 8, 4: 9})
    for address, code in CODES.items()
}


class Nonces:
    """Transactions of each sender in the order of their coming."""

    def __init__(self) -> None:
        self._next = dict.fromkeys(range(6), 0)

    def call(self, sender: int, to: Address | None, gas_limit: int = 300_000, **fields: object) -> Transaction:
        nonce, self._next[sender] = self._next[sender], self._next[sender] + 1
        return transaction(sender, nonce=nonce, to=to, gas_limit=gas_limit, **fields)


def same(machine: NativeMachine, txs: list[Transaction], spec: Spec = osaka.SPEC, **fields: object) -> World:
    """Build on plain, apply on native; the world after it."""
    world = World(ALLOC, spec)
    built = world.build(txs, **fields)
    assert built.skipped == []
    assert world.apply(built.block, machine) == built.result
    world.accept(built.block, built.result)
    return world


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each transaction ran on the tables."""
    seen: list[bool] = []
    run = NativeTables.run_transaction

    def watched(self, *args):
        ran = run(self, *args)
        seen.append(ran is not None)
        return ran

    monkeypatch.setattr(NativeTables, "run_transaction", watched)
    return seen


def test_what_one_leaves_the_next_finds(native_machine: NativeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values stay; warmth, originals and transient slots do not."""
    seen = counted(monkeypatch)
    a = Nonces()
    txs = [a.call(n % 3, to) for n, to in enumerate((COUNTER, TRANSIENT, CLEARING, PROBE, FAILING) * 3)]
    txs += [a.call(4, NOBODY, 21_000), a.call(4, SENDERS[0], 21_000, value=5), a.call(4, COINBASE, 21_000)]
    txs += [a.call(5, NOBODY, 200_000, data=b"\x01" * 3_000), a.call(5, CLEARING)]  # the floor; nothing left to refund
    world = same(native_machine, txs)
    assert seen == [True] * len(txs)
    assert world.view().slot(COUNTER, 0) == 8
    assert world.view().slot(TRANSIENT, 3) == 1


@pytest.mark.parametrize("spec", [osaka.SPEC, cancun.SPEC, petersburg.SPEC], ids=lambda spec: spec.name)
def test_what_tables_do_not_do_comes_between(
    native_machine: NativeMachine, monkeypatch: pytest.MonkeyPatch, spec: Spec
) -> None:
    """Creations by transaction, deletions and authorizations run on the journal, the rest around them on tables."""
    seen = counted(monkeypatch)
    a = Nonces()
    fees = {} if spec.has_base_fee else {"gas_price": 100 * GWEI}
    txs = [a.call(0, COUNTER, **fields) for fields in ({}, {"value": 3}) for fields in [{**fields, **fees}]]
    txs += [a.call(1, MAKER, **fees), a.call(0, COUNTER, **fees), a.call(1, BURNER, **fees), a.call(0, BURNER, **fees)]
    txs += [a.call(2, None, data=returning(CODES[COUNTER]), value=0, **fees), a.call(0, COUNTER, **fees)]
    if spec.delegations:
        a._next[3] += 2
        txs += [set_code(3, authorization(3, DELEGATE, nonce=1), to=SENDERS[3]), a.call(0, SENDERS[3])]
    same(native_machine, txs, spec)
    assert not all(seen)
    assert any(seen)


def test_access_lists_and_delegations_are_warm(native_machine: NativeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    world = World(ALLOC | {SENDERS[5]: GenesisAccount(balance=10**20, nonce=1, code=b"\xef\x01\x00" + DELEGATE)})
    a = Nonces()
    listed = ((COUNTER, (0, 9)), (PROBE, (5,)), (SENDERS[5], ()))
    txs = [a.call(0, SENDERS[5]), a.call(0, COUNTER, type=ACCESS_LIST, gas_price=50 * GWEI, access_list=listed)]
    txs += [a.call(0, SENDERS[5], access_list=listed), a.call(0, COUNTER)]
    built = world.build(txs)
    assert world.apply(built.block, native_machine) == built.result
    assert seen == [True] * 4


def test_empty_accounts_go_and_come_back(native_machine: NativeMachine) -> None:
    """A coinbase without a tip, an account that is paid after it was removed, the precompile that stays touched."""
    empty = Address(b"\x66" * 20)
    a = Nonces()
    free = {"max_priority_fee_per_gas": 0, "value": 0}
    txs = [a.call(0, empty, **free), a.call(0, COUNTER, **free), a.call(1, empty, value=1), a.call(1, empty, **free)]
    world = World(ALLOC | {empty: GenesisAccount(), Address(b"\x67" * 20): GenesisAccount()})
    for count in (1, 2, 3, 4):
        built = world.build(txs[:count], coinbase=Address(b"\x67" * 20))
        result = world.apply(built.block, native_machine)
        assert (result.receipts, result.commit) == (built.result.receipts, built.result.commit)
        assert (result.diff.accounts[empty] is None) == (count < 3)


def test_every_gas_limit_of_a_row(native_machine: NativeMachine) -> None:
    """Halts with every reason, between transactions that succeed."""
    a = Nonces()
    txs = []
    for gas in range(21_000, 76_000, 1_111):
        txs += [a.call(gas % 3, (COUNTER, PROBE, FAILING, MAKER)[gas % 4], gas)]
    same(native_machine, txs)


def test_a_block_that_is_refused_gives_its_tables_back(native_machine: NativeMachine) -> None:
    world = World(ALLOC)
    good = world.build([transaction(0, to=COUNTER, gas_limit=100_000)])
    twice = good.block.transactions * 2
    root = dataclasses.replace(good.block, transactions=twice)
    idle = len(native_machine._idle)
    header = dataclasses.replace(good.block.header, transactions_root=transactions_root(root))
    with pytest.raises(InvalidBlock, match="INVALID_TRANSACTION"):
        world.apply(dataclasses.replace(root, header=header), native_machine)
    assert len(native_machine._idle) >= idle
    assert world.apply(good.block, native_machine) == good.result


def test_a_block_whose_state_is_not_there_gives_its_tables_back(
    native_machine: NativeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host fails while the second sender is looked at, again and again: no memory is left behind."""
    world = World(ALLOC)
    block = world.build(
        [transaction(0, to=COUNTER, gas_limit=100_000), transaction(1, to=PROBE, gas_limit=200_000)]
    ).block
    expected = world.apply(block, native_machine)
    idle = len(native_machine._idle)
    account = TrieView.account

    def missing(view: TrieView, address: Address) -> object:
        if address == SENDERS[1]:
            raise MissingNode(b"\0" * 32)
        return account(view, address)

    with monkeypatch.context() as patched:
        patched.setattr(TrieView, "account", missing)
        for _ in range(3):
            with pytest.raises(MissingNode):
                world.apply(block, native_machine)
    assert len(native_machine._idle) == idle
    assert world.apply(block, native_machine) == expected
