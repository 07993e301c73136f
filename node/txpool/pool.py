"""TxPool: takes transactions, answers for them, hands them to the builder, follows the head.

Everything is bounded: transactions and bytes in all, transactions and gapped ones a sender, one transaction's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from node.crypto.hashes import EMPTY_KECCAK
from node.evm.host import delegation_target
from node.evm.spec import Spec
from node.execution.validity import check_funds, check_sender_code, check_static, nonce_mismatch
from node.primitives.scalars import Address, Hash32
from node.state.view import StateView
from node.txpool.account_queue import AccountQueue, PooledTransaction, SenderAccount, pooled
from node.txpool.limbo import Limbo
from node.txpool.ordering import best_first
from node.txpool.rejection import PoolCode, PoolRejected, rejected_by_rules
from node.txpool.replacement import EvictionKey, EvictionOrder, eviction_key, may_replace
from node.types.blobs import Sidecar
from node.types.invalid import InvalidTransaction
from node.types.transactions import BLOB, UNSIGNED, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """The pool's bounds. Sizes in bytes, the tip in wei a gas."""

    slots_max: int = 10_000
    """Transactions."""
    bytes_max: int = 64 * 2**20
    sender_slots_max: int = 1_024
    sender_gapped_max: int = 256
    """Of those, not executable."""
    delegated_slots_max: int = 16
    """Of a sender whose account delegates to code: one call can take its balance and spoil all of them (EIP-7702)."""
    transaction_bytes_max: int = 128 * 1024
    price_bump_percent: int = 10
    tip_min: int = 0
    """Of remote transactions."""
    queued_heads_max: int = 10_000
    """Heads after which a remote transaction that is still not executable leaves."""


@dataclass(frozen=True, slots=True)
class NextBlock:
    """What is known of the block after the head. Wei and gas."""

    base_fee: int
    gas_limit: int
    blob_base_fee: int = 0


@dataclass(frozen=True, slots=True)
class PoolContent:
    """All transactions by sender and nonce (txpool_content)."""

    pending: dict[Address, dict[int, Transaction]]
    queued: dict[Address, dict[int, Transaction]]


class TxPool:
    """Transactions that wait for a block. Used from one thread; ``candidates`` may be read on another."""

    def __init__(self, config: PoolConfig, chain_id: int) -> None:
        self._config = config
        self._chain_id = chain_id
        self._by_hash: dict[Hash32, PooledTransaction] = {}
        self._queues: dict[Address, AccountQueue] = {}
        self._bytes = 0
        self._arrivals = 0
        self._heads = 0
        self._view: StateView | None = None
        self._spec: Spec | None = None
        self._next = NextBlock(base_fee=0, gas_limit=0)
        self._eviction: EvictionOrder | None = None
        self._limbo = Limbo()
        self.on_added: list[Callable[[Transaction, bool], None]] = []
        """Called with each transaction that was taken, and whether it was handed in here."""

    # --- reads ---

    def __contains__(self, transaction_hash: bytes) -> bool:
        return transaction_hash in self._by_hash

    def __len__(self) -> int:
        return len(self._by_hash)

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """The transaction, if it waits here."""
        entry = self._by_hash.get(Hash32(transaction_hash))
        return None if entry is None else entry.tx

    def sidecar(self, transaction_hash: bytes) -> Sidecar | None:
        """The blobs of a waiting blob transaction."""
        entry = self._by_hash.get(Hash32(transaction_hash))
        return None if entry is None else entry.sidecar

    def pending_nonce(self, address: Address) -> int:
        """The next nonce after the account's and those of its executable transactions."""
        queue = self._queues.get(address)
        if queue is not None:
            return queue.next_nonce
        account = None if self._view is None else self._view.account(address)
        return 0 if account is None else account.nonce

    def transactions(self) -> list[Transaction]:
        """All of them, in order of arrival."""
        return [entry.tx for entry in self._by_hash.values()]

    def candidates(self, base_fee: int | None = None, blob_base_fee: int = 0) -> Iterator[Transaction]:
        """For the builder: who pays the base fee (wei; by default the next block's), best effective tip first.

        Reads a snapshot taken at the call: the pool may change while the builder works through it.
        """
        snapshot = [queue.executable() for queue in self._queues.values()]
        return best_first(snapshot, self._next.base_fee if base_fee is None else base_fee, blob_base_fee)

    @property
    def revision(self) -> int:
        """Grows whenever the pool or the head may have changed what waits."""
        return self._arrivals + self._heads

    def status(self) -> tuple[int, int]:
        """(executable, queued)."""
        executable = sum(queue.executable_count for queue in self._queues.values())
        return executable, len(self._by_hash) - executable

    def content(self) -> PoolContent:
        """Everything, split as txpool_content has it."""
        content = PoolContent(pending={}, queued={})
        for address, queue in self._queues.items():
            if queue.executable_count:
                content.pending[address] = {entry.tx.nonce: entry.tx for entry in queue.executable()}
            if queue.queued_count:
                content.queued[address] = {entry.tx.nonce: entry.tx for entry in queue.queued()}
        return content

    def is_local(self, address: Address) -> bool:
        """A waiting transaction of this sender was handed in at this node."""
        queue = self._queues.get(address)
        return queue is not None and queue.local

    # --- taking one ---

    def add(self, tx: Transaction, local: bool, sidecar: Sidecar | None = None) -> None:
        """Take ``tx``; ``local`` where it was handed in at this node. Raises PoolRejected; then nothing has changed.

        ``sidecar``: the blobs of a blob transaction, their proofs checked.
        """
        if tx.hash in self._by_hash:
            raise PoolRejected(PoolCode.ALREADY_KNOWN, "already known")
        if (tx.type == BLOB) != (sidecar is not None):
            raise PoolRejected(PoolCode.BLOBS_WITHOUT_SIDECAR, "missing sidecar in blob transaction")
        sender = self._check(tx, local)
        queue = self._queues.get(sender)
        account = self._account(sender) if queue is None else queue.account
        entry = pooled(tx, sender, self._arrivals, self._heads, sidecar)
        try:
            if tx.nonce < account.nonce:
                raise nonce_mismatch(sender, tx.nonce, account.nonce)
            check_funds(sender, account.balance, entry.cost)
        except InvalidTransaction as refusal:
            raise rejected_by_rules(refusal) from refusal
        if queue is None:
            queue = AccountQueue(account)
        self._admit(entry, queue, local)
        self._arrivals += 1
        for told in self.on_added:
            told(tx, local)

    def _check(self, tx: Transaction, local: bool) -> Address:
        """What does not depend on the sender's account. Returns the sender."""
        config = self._config
        spec = self._spec
        if spec is None:
            raise PoolRejected(PoolCode.NO_HEAD, "transaction pool has no head yet")
        size = len(tx.encode())
        if size > config.transaction_bytes_max:
            raise PoolRejected(
                PoolCode.OVERSIZED,
                f"oversized data: transaction size {size}, limit {config.transaction_bytes_max}",
            )
        try:
            sender = check_static(tx, spec, self._chain_id, self._next.gas_limit).sender
        except InvalidTransaction as refusal:
            raise rejected_by_rules(refusal) from refusal
        if not local and tx.max_priority_fee_per_gas < config.tip_min:
            raise PoolRejected(
                PoolCode.UNDERPRICED,
                f"transaction underpriced: gas tip cap {tx.max_priority_fee_per_gas}, minimum needed {config.tip_min}",
            )
        return sender

    def _account(self, address: Address) -> SenderAccount:
        """The sender's account at the head. Raises PoolRejected for a contract."""
        assert self._view is not None, "checked: there is a head"
        assert self._spec is not None, "checked: there is a head"
        account = self._view.account(address)
        if account is None:
            return SenderAccount(nonce=0, balance=0, delegated=False)
        delegated = False
        if account.code_hash != EMPTY_KECCAK:
            code = self._view.code(account.code_hash)
            try:
                if UNSIGNED not in self._spec.transaction_types:  # else anybody may be acted for
                    check_sender_code(address, code, self._spec)
            except InvalidTransaction as refusal:
                raise rejected_by_rules(refusal) from refusal
            delegated = delegation_target(code) is not None
        return SenderAccount(nonce=account.nonce, balance=account.balance, delegated=delegated)

    def _admit(self, entry: PooledTransaction, queue: AccountQueue, local: bool) -> None:
        """Put ``entry`` in its queue, within all bounds. Raises PoolRejected before anything has changed."""
        old = queue.get(entry.tx.nonce)
        local = local or queue.local
        if old is not None:
            if not may_replace(old.tx, entry.tx, self._config.price_bump_percent):
                raise PoolRejected(PoolCode.REPLACEMENT_UNDERPRICED, "replacement transaction underpriced")
            self._make_room(entry, queue, local, places=0, size=entry.size - old.size)
        else:
            self._check_sender_bounds(entry, queue)
            self._make_room(entry, queue, local, places=1, size=entry.size)
        before = queue.executable_count
        became_local = local and not queue.local
        self._queues[entry.sender] = queue
        queue.local = local
        queue.put(entry)
        if old is not None:
            del self._by_hash[old.tx.hash]
            self._bytes -= old.size
        self._by_hash[entry.tx.hash] = entry
        self._bytes += entry.size
        if self._eviction is not None:
            # What rose in the order is noticed when it comes up; what fell must be told.
            fell = queue.queued() if queue.executable_count < before and not became_local else ()
            for other in (entry, *fell):
                self._eviction.note(other)

    def _check_sender_bounds(self, entry: PooledTransaction, queue: AccountQueue) -> None:
        config = self._config
        if len(queue) >= config.sender_slots_max:
            raise PoolRejected(PoolCode.ACCOUNT_LIMIT, f"account limit exceeded: {config.sender_slots_max}")
        if not queue.would_execute(entry) and queue.queued_count >= config.sender_gapped_max:
            raise PoolRejected(
                PoolCode.ACCOUNT_LIMIT, f"account limit exceeded: {config.sender_gapped_max} not executable"
            )
        if queue.account.delegated and len(queue) >= config.delegated_slots_max:
            raise PoolRejected(
                PoolCode.DELEGATED_ACCOUNT_LIMIT, "in-flight transaction limit reached for delegated accounts"
            )

    # --- making room ---

    def _make_room(self, entry: PooledTransaction, queue: AccountQueue, local: bool, *, places: int, size: int) -> None:
        """Drop cheaper transactions until ``entry`` fits. Raises PoolRejected where it is the cheapest itself."""
        count = len(self._by_hash) + places - self._config.slots_max
        excess = self._bytes + size - self._config.bytes_max
        if count <= 0 and excess <= 0:
            return
        order = self._eviction
        if order is None or len(order) > 2 * len(self._by_hash) + 1_024:
            order = self._eviction = EvictionOrder(self._by_hash.values(), self._current_key)
        executable = queue.would_execute(entry) or queue.is_executable(entry.tx.nonce)
        key = eviction_key(entry, self._next.base_fee, local, executable)
        victims = order.victims(entry, key, self._queues, max(count, 0), max(excess, 0))
        if victims is None:
            if executable:
                raise PoolRejected(PoolCode.UNDERPRICED, "transaction underpriced")
            raise PoolRejected(PoolCode.POOL_FULL, "txpool is full")
        for victim in victims:
            self._drop(victim)

    def _current_key(self, entry: PooledTransaction) -> EvictionKey | None:
        if entry.tx.hash not in self._by_hash:
            return None
        queue = self._queues[entry.sender]
        return eviction_key(entry, self._next.base_fee, queue.local, queue.is_executable(entry.tx.nonce))

    def _drop(self, entry: PooledTransaction) -> None:
        queue = self._queues[entry.sender]
        queue.remove(entry.tx.nonce)
        self._forget(entry)
        if not len(queue):
            del self._queues[entry.sender]

    def _forget(self, entry: PooledTransaction) -> None:
        del self._by_hash[entry.tx.hash]
        self._bytes -= entry.size

    # --- following the head ---

    def on_new_head(
        self,
        view: StateView,
        spec: Spec,
        next_block: NextBlock,
        included: Iterable[Transaction] = (),
        reverted: Iterable[Transaction] = (),
        changed: Iterable[Address] | None = None,
        number: int = 0,
    ) -> None:
        """The head moved to height ``number``: ``view`` is its state, ``spec`` the next block's rules.

        ``included`` and ``reverted`` are the transactions of the blocks that were added and taken back. ``changed``
        names the accounts that may differ from the last head's; by default every sender's account is read again.
        """
        included_senders: dict[Address, None] = {}
        included_hashes: dict[Hash32, None] = {}
        included = list(included)
        for tx in included:
            included_senders[tx.sender] = None
            included_hashes[tx.hash] = None
        # blobs are taken out before those that come now push the oldest out
        undone = [(tx, self._limbo.take(tx.hash)) for tx in reverted if tx.hash not in included_hashes]
        for tx in included:
            if tx.type == BLOB:
                self._limbo.keep(tx.hash, self.sidecar(tx.hash), number)
        other_rules = self._spec is not spec
        lower_limit = next_block.gas_limit < self._next.gas_limit
        self._view = view
        self._spec = spec
        self._next = next_block
        self._heads += 1
        self._eviction = None
        for address in list(self._queues) if changed is None else [*included_senders, *dict.fromkeys(changed)]:
            if address in self._queues:
                self._follow(address)
        for tx_hash in included_hashes:
            # nonces have let go of it, unless the block restored an earlier state
            entry = self._by_hash.get(tx_hash)
            if entry is not None:
                self._drop(entry)
        if other_rules or lower_limit:
            self._recheck(spec, all_rules=other_rules)
        self._expire()
        for tx, sidecar in undone:
            if tx.hash not in self._by_hash:
                try:
                    self.add(tx, local=False, sidecar=sidecar)
                except PoolRejected:
                    continue  # included again, or no longer valid on the new branch

    def on_finalized(self, number: int) -> None:
        """No block up to height ``number`` will be undone."""
        self._limbo.forget_final(number)

    def _follow(self, address: Address) -> None:
        queue = self._queues[address]
        try:
            account = self._account(address)
        except PoolRejected:  # it became a contract
            dropped: Sequence[PooledTransaction] = queue.in_nonce_order()
            del self._queues[address]
        else:
            dropped = queue.move_to(account)
            if not len(queue):
                del self._queues[address]
        for entry in dropped:
            self._forget(entry)

    def _recheck(self, spec: Spec, all_rules: bool) -> None:
        """Other rules or a lower gas limit: what no longer stands leaves."""
        for entry in list(self._by_hash.values()):
            if entry.tx.gas_limit > self._next.gas_limit:
                self._drop(entry)
            elif all_rules:
                try:
                    check_static(entry.tx, spec, self._chain_id, self._next.gas_limit)
                except InvalidTransaction:
                    self._drop(entry)

    def _expire(self) -> None:
        oldest = self._heads - self._config.queued_heads_max
        if oldest <= 0:
            return
        for entry in list(self._by_hash.values()):
            if entry.head > oldest:
                break  # in order of arrival
            queue = self._queues[entry.sender]
            if not queue.local and not queue.is_executable(entry.tx.nonce):
                self._drop(entry)
