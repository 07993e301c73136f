"""Who gives way: the price bump rule for one nonce, and the eviction order of a full pool.

Eviction order, cheapest first: remote before local, queued before executable, lower effective tip, lower fee cap,
later arrival. What leaves is the *last* nonce of the cheapest one's sender: the pool never tears a gap of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

from node.primitives.scalars import Address
from node.txpool.account_queue import AccountQueue, PooledTransaction
from node.types.transactions import BLOB, Transaction

EvictionKey: TypeAlias = tuple[bool, bool, int, int, int]
"""(local, executable, effective tip, fee cap, -arrival): the smallest leaves first."""

BLOB_BUMP_PERCENT: Final = 100

_Item: TypeAlias = tuple[EvictionKey, int, PooledTransaction]


def may_replace(old: Transaction, new: Transaction, bump_percent: int) -> bool:
    """Both fees of ``new`` are above those of ``old`` by ``bump_percent`` (rounded down), and above them at all.

    Where ``old`` carries blobs, ``new`` must carry some too, and every fee must be twice as high: much is thrown away.
    """
    if old.type == BLOB:
        bump_percent = BLOB_BUMP_PERCENT
        if new.type != BLOB or new.max_fee_per_blob_gas < 2 * old.max_fee_per_blob_gas:
            return False
    return (
        new.max_fee_per_gas > old.max_fee_per_gas
        and new.max_priority_fee_per_gas > old.max_priority_fee_per_gas
        and new.max_fee_per_gas >= old.max_fee_per_gas * (100 + bump_percent) // 100
        and new.max_priority_fee_per_gas >= old.max_priority_fee_per_gas * (100 + bump_percent) // 100
    )


def eviction_key(entry: PooledTransaction, base_fee: int, local: bool, executable: bool) -> EvictionKey:
    """Where a transaction stands in the eviction order at this base fee (wei a gas)."""
    tx = entry.tx
    tip = min(tx.max_priority_fee_per_gas, tx.max_fee_per_gas - base_fee)
    return local, executable, tip, tx.max_fee_per_gas, -entry.arrival


class EvictionOrder:
    """All transactions of a full pool, cheapest first: a heap whose outdated items are passed over."""

    def __init__(
        self, entries: Iterable[PooledTransaction], current_key: Callable[[PooledTransaction], EvictionKey | None]
    ) -> None:
        """``current_key`` answers None for a transaction that has left the pool."""
        self._current_key = current_key
        # The number keeps two items of one transaction apart: transactions themselves have no order.
        self._heap: list[_Item] = []
        self._pushed = 0
        for entry in entries:
            key = current_key(entry)
            if key is not None:
                self._heap.append((key, self._pushed, entry))
                self._pushed += 1
        heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    def note(self, entry: PooledTransaction) -> None:
        """The transaction came in, or fell in the order."""
        key = self._current_key(entry)
        if key is not None:
            self._push(key, entry)

    def _push(self, key: EvictionKey, entry: PooledTransaction) -> None:
        heappush(self._heap, (key, self._pushed, entry))
        self._pushed += 1

    def victims(
        self,
        newcomer: PooledTransaction,
        newcomer_key: EvictionKey,
        queues: dict[Address, AccountQueue],
        count: int,
        size: int,
    ) -> list[PooledTransaction] | None:
        """Whom to drop so that ``count`` places and ``size`` bytes come free; None where ``newcomer`` is the cheapest.

        A newcomer whose own sender holds the cheapest one is refused too: it could not run before that.
        """
        chosen: dict[bytes, PooledTransaction] = {}
        tails: dict[Address, list[PooledTransaction]] = {}
        looked_at: list[_Item] = []
        freed = 0
        enough = True
        while len(chosen) < count or freed < size:
            item = self._pop_current(chosen)
            if item is None:
                enough = False
                break
            key, _, entry = item
            looked_at.append(item)
            if key >= newcomer_key or entry.sender == newcomer.sender:
                enough = False
                break
            tail = tails.get(entry.sender)
            if tail is None:
                tail = tails[entry.sender] = queues[entry.sender].in_nonce_order()
            while entry.tx.hash not in chosen and (len(chosen) < count or freed < size):
                victim = tail.pop()
                chosen[victim.tx.hash] = victim
                freed += victim.size
        for item in looked_at:
            if not enough or item[2].tx.hash not in chosen:
                heappush(self._heap, item)
        return list(chosen.values()) if enough else None

    def _pop_current(self, chosen: dict[bytes, PooledTransaction]) -> _Item | None:
        while self._heap:
            item = heappop(self._heap)
            key, _, entry = item
            current = self._current_key(entry)
            if current is None or entry.tx.hash in chosen:
                continue
            if current != key:
                self._push(current, entry)
                continue
            return item
        return None
