"""The pool as a state machine over a real chain: whatever is added, included or reverted, its promises hold."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node.execution.validity import maximum_cost
from node.primitives.scalars import ETHER, GWEI, Address
from node.txpool.rejection import PoolRejected
from node.types.blocks import Header
from node.types.transactions import Transaction
from tests.unit.execution.world import SENDERS, World, transaction
from tests.unit.txpool.pool_world import follow, pool_on

SLOTS = 7
GAPPED = 3


class PoolMachine(RuleBasedStateMachine):
    """Three senders, a small pool, blocks out of its candidates, and one block taken back now and then."""

    @initialize(bytes_max=st.sampled_from([700, 10**6]))
    def begin(self, bytes_max: int) -> None:
        self.world = World()
        self.bytes_max = bytes_max
        self.pool = pool_on(self.world, slots_max=SLOTS, bytes_max=bytes_max, sender_gapped_max=GAPPED)
        self.told: list[Transaction] = []
        self.pool.on_added.append(lambda tx, local: self.told.append(tx))
        self.blocks: list[tuple[Header, tuple[Transaction, ...]]] = []

    @rule(
        sender=st.integers(0, 2),
        ahead=st.integers(-1, 4),
        tip=st.integers(0, 8),
        cap=st.sampled_from([0, 2, 9, 50]),
        value=st.sampled_from([0, 1, 3 * ETHER, 9 * ETHER, 11 * ETHER]),
        data=st.sampled_from([0, 0, 100]),
        local=st.booleans(),
    )
    def add(self, sender: int, ahead: int, tip: int, cap: int, value: int, data: int, local: bool) -> None:
        nonce = max(0, self.world.nonce(SENDERS[sender]) + ahead)
        tx = transaction(
            sender,
            nonce=nonce,
            value=value,
            gas_limit=30_000,
            data=bytes(data),
            max_priority_fee_per_gas=tip * GWEI // 4,
            max_fee_per_gas=max(cap * GWEI, tip * GWEI // 4),
        )
        before = self.pool.transactions()
        local_before = [known for known in before if self.pool.is_local(known.sender)]
        remote_before = [known for known in before if not self.pool.is_local(known.sender)]
        told = len(self.told)
        try:
            self.pool.add(tx, local)
        except PoolRejected:
            assert self.pool.transactions() == before
            assert len(self.told) == told
            return
        assert self.told[told:] == [tx]
        assert tx.hash in self.pool
        gone = [known for known in local_before if known.hash not in self.pool and known.nonce != tx.nonce]
        if gone:
            # Local ones left, so no remote one was there to go instead (but for the newcomer's own sender).
            assert all(known.hash not in self.pool or known.sender == tx.sender for known in remote_before)

    @rule(count=st.integers(0, 4), rival=st.booleans())
    def include(self, count: int, rival: bool) -> None:
        chosen = [tx for _, tx in zip(range(count), self.pool.candidates(), strict=False)]
        if rival:
            mine = [tx for tx in chosen if tx.sender == SENDERS[0]]
            nonce = self.world.nonce(SENDERS[0]) + len(mine)
            chosen.append(transaction(0, nonce=nonce, value=2 * ETHER))
        parent = self.world.head
        built = self.world.extend(*chosen)
        if not rival:
            assert built.skipped == []
            assert list(built.block.transactions) == chosen
        self.blocks.append((parent, built.block.transactions))
        follow(self.pool, self.world, included=built.block.transactions)

    @rule()
    def take_back(self) -> None:
        if not self.blocks:
            return
        parent, transactions = self.blocks.pop()
        self.world.head = parent
        follow(self.pool, self.world, reverted=transactions)

    @invariant()
    def bounded(self) -> None:
        transactions = self.pool.transactions()
        assert len(transactions) == len(self.pool) <= SLOTS
        assert sum(len(tx.encode()) for tx in transactions) <= self.bytes_max

    @invariant()
    def executable_part_is_what_its_definition_says(self) -> None:
        by_sender: dict[Address, dict[int, Transaction]] = {}
        for tx in self.pool.transactions():
            assert tx.nonce not in by_sender.setdefault(tx.sender, {})
            by_sender[tx.sender][tx.nonce] = tx
        expected: dict[str, Any] = {"pending": {}, "queued": {}}
        for sender, by_nonce in by_sender.items():
            nonce, money = self.world.nonce(sender), self.world.balance(sender)
            executable: dict[int, Transaction] = {}
            while nonce in by_nonce and maximum_cost(by_nonce[nonce]) <= money:
                money -= maximum_cost(by_nonce[nonce])
                executable[nonce] = by_nonce[nonce]
                nonce += 1
            assert self.pool.pending_nonce(sender) == nonce
            assert all(known >= self.world.nonce(sender) for known in by_nonce)
            if executable:
                expected["pending"][sender] = executable
            if len(executable) < len(by_nonce):
                expected["queued"][sender] = {n: tx for n, tx in by_nonce.items() if n not in executable}
        content = self.pool.content()
        assert content.pending == expected["pending"]
        assert content.queued == expected["queued"]
        executable_count = sum(map(len, expected["pending"].values()))
        assert self.pool.status() == (executable_count, len(self.pool) - executable_count)

    @invariant()
    def candidates_are_best_first_and_in_nonce_order(self) -> None:
        base_fee = 3 * GWEI
        following = {sender: self.world.nonce(sender) for sender in SENDERS}
        waiting = {sender: dict(by_nonce) for sender, by_nonce in self.pool.content().pending.items()}
        for tx in self.pool.candidates(base_fee):
            assert tx.nonce == following[tx.sender]
            assert tx.max_fee_per_gas >= base_fee
            ready = [waiting[sender].get(following[sender]) for sender in waiting]
            rivals = [other for other in ready if other is not None and other.max_fee_per_gas >= base_fee]
            assert tx.effective_gas_price(base_fee) == max(other.effective_gas_price(base_fee) for other in rivals)
            following[tx.sender] += 1


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None, derandomize=True)
