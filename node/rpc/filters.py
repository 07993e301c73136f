"""Filters that clients poll. All of them read one bounded record of news; a filter is only a place in it.

So a thousand idle filters cost a thousand small records, and a client that never polls costs nothing: when its place
has left the record, or it has not asked for five minutes, its filter is gone. What every filter has read leaves the
record, and a transaction is kept there as bytes, whole only while somebody asks for whole ones: objects would hold tens
of megabytes that nothing else needs any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from node.chain.feed import NewHead, News
from node.primitives.hexadecimal import to_data, to_quantity
from node.primitives.scalars import Address, Hash32
from node.rpc import encoding
from node.rpc.backend import ChainReads, Pool, RpcLimits
from node.rpc.errors import INVALID_PARAMS, LIMIT_EXCEEDED, RpcError, refused
from node.rpc.log_criteria import LogCriteria
from node.rpc.log_search import encoded_log
from node.rpc.work_lane import WorkLane
from node.runtime.runtime import Runtime
from node.types.blocks import Header
from node.types.transactions import Transaction, decode

BLOCKS_KEPT: Final = 4_096
TRANSACTIONS_KEPT: Final = 16_384
INLINE_BLOCKS_MAX: Final = 16
"""A log filter that missed more blocks is answered by a worker."""
INLINE_TRANSACTIONS_MAX: Final = 128
"""So is one for whole transactions that missed more of them."""
TRIM_BLOCKS: Final = 16
TRIM_TRANSACTIONS: Final = 1_024
"""News between two looks at what all filters have read."""

T = TypeVar("T")


class Record(Generic[T]):
    """The latest items, numbered from the beginning."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque(maxlen=capacity)
        self._end = 0

    @property
    def end(self) -> int:
        """The number that the next item gets."""
        return self._end

    def add(self, item: T) -> None:
        """Append; the oldest leaves when there are too many."""
        self._items.append(item)
        self._end += 1

    def forget_before(self, place: int) -> None:
        """Let go of the items before ``place``."""
        while self._items and self._end - len(self._items) < place:
            self._items.popleft()

    def __len__(self) -> int:
        return len(self._items)

    def since(self, place: int) -> list[T] | None:
        """The items from ``place`` on, or None where the first of them has left."""
        missed = self._end - place
        if missed > len(self._items):
            return None
        return list(self._items)[len(self._items) - missed :]


@dataclass(frozen=True, slots=True)
class BlockNews:
    """A block that joined the canonical chain, or left it."""

    header: Header
    removed: bool


@dataclass(frozen=True, slots=True)
class PendingNews:
    """A transaction that entered the pool; ``raw`` and ``sender`` where a filter asked for whole ones."""

    hash: Hash32
    raw: bytes | None
    sender: Address | None

    def transaction(self) -> Transaction | None:
        """The transaction itself."""
        return None if self.raw is None or self.sender is None else decode(self.raw).sent_by(self.sender, self.raw)


@dataclass(slots=True)
class Filter:
    """A place in a record. ``criteria`` for logs; ``pending`` for transactions (``full`` or hashes); else blocks."""

    place: int
    asked_ms: int
    criteria: LogCriteria | None = None
    pending: bool = False
    full: bool = False


class Filters:
    """Filters by id."""

    def __init__(self, chain: ChainReads, pool: Pool, runtime: Runtime, lane: WorkLane, limits: RpcLimits) -> None:
        self._chain = chain
        self._pool = pool
        self._clock = runtime.clock
        self._entropy = runtime.entropy
        self._lane = lane
        self._limits = limits
        self._blocks: Record[BlockNews] = Record(BLOCKS_KEPT)
        self._transactions: Record[PendingNews] = Record(TRANSACTIONS_KEPT)
        self._filters: dict[str, Filter] = {}
        self._pending_filters = 0
        self._full_filters = 0
        self._unsubscribe: Callable[[], None] = chain.feed.subscribe(self._on_news)
        pool.on_added.append(self._on_added)

    def close(self) -> None:
        """Stop listening; forget everything."""
        self._unsubscribe()
        if self._on_added in self._pool.on_added:
            self._pool.on_added.remove(self._on_added)
        self._filters.clear()

    # --- news ---

    def _on_news(self, news: News) -> None:
        if isinstance(news, NewHead):
            for block in news.removed:
                self._blocks.add(BlockNews(block.header, True))
            for block in news.added:
                self._blocks.add(BlockNews(block.header, False))
            if self._blocks.end % TRIM_BLOCKS == 0:
                self._trim()

    def _on_added(self, tx: Transaction, local: bool) -> None:
        if not self._pending_filters:
            return
        full = self._full_filters > 0
        self._transactions.add(PendingNews(tx.hash, tx.encode() if full else None, tx.sender if full else None))
        if self._transactions.end % TRIM_TRANSACTIONS == 0:
            self._trim()

    def _trim(self) -> None:
        """Forget filters that nobody asks, and what all others have read."""
        self._forget_idle()
        blocks, transactions = self._blocks.end, self._transactions.end
        for each in self._filters.values():
            if each.pending:
                transactions = min(transactions, each.place)
            else:
                blocks = min(blocks, each.place)
        self._blocks.forget_before(blocks)
        self._transactions.forget_before(transactions)

    # --- making and forgetting ---

    def new_log_filter(self, criteria: LogCriteria) -> str:
        """New logs that match. Raises RpcError for a range that no block can be in."""
        first, last = criteria.first, criteria.last
        if isinstance(first, int) and isinstance(last, int) and first > last:
            raise RpcError(INVALID_PARAMS, "invalid block range params")
        return self._add(Filter(self._blocks.end, 0, criteria=criteria))

    def new_block_filter(self) -> str:
        """Hashes of new blocks."""
        return self._add(Filter(self._blocks.end, 0))

    def new_pending_filter(self, full: bool) -> str:
        """Transactions that enter the pool."""
        return self._add(Filter(self._transactions.end, 0, pending=True, full=full))

    def _add(self, made: Filter) -> str:
        self._forget_idle()
        if len(self._filters) >= self._limits.filters_max:
            raise RpcError(LIMIT_EXCEEDED, f"too many filters (at most {self._limits.filters_max}); uninstall some")
        made.asked_ms = self._clock.monotonic_ms()
        key = to_quantity(int.from_bytes(b"\x01" + self._entropy(15), "big"))
        self._filters[key] = made
        self._pending_filters += made.pending
        self._full_filters += made.full
        return key

    def _forget_idle(self) -> None:
        now_ms = self._clock.monotonic_ms()
        for key, each in list(self._filters.items()):
            if now_ms - each.asked_ms > self._limits.filter_idle_ms:
                self._forget(key)

    def _forget(self, key: str) -> bool:
        gone = self._filters.pop(key, None)
        if gone is not None:
            self._pending_filters -= gone.pending
            self._full_filters -= gone.full
        return gone is not None

    def remove(self, key: str) -> bool:
        """Whether there was such a filter."""
        return self._forget(key)

    def __len__(self) -> int:
        return len(self._filters)

    def _find(self, key: str) -> Filter:
        found = self._filters.get(key)
        now_ms = self._clock.monotonic_ms()
        if found is None or now_ms - found.asked_ms > self._limits.filter_idle_ms:
            self._forget(key)
            raise refused("filter not found")
        found.asked_ms = now_ms
        return found

    def criteria(self, key: str) -> LogCriteria:
        """What a log filter asks for. Raises RpcError for any other filter."""
        found = self._find(key)
        if found.criteria is None:
            raise refused("filter not found")
        return found.criteria

    # --- polling ---

    async def changes(self, key: str) -> list[Any]:
        """What came since the last poll. Raises RpcError "filter not found"."""
        found = self._find(key)
        if found.pending:
            entered = self._transactions.since(found.place)
            found.place = self._transactions.end
            if entered is None:
                self._forget(key)
                raise refused("filter not found")
            if not found.full:
                return [to_data(item.hash) for item in entered]
            if len(entered) <= INLINE_TRANSACTIONS_MAX:
                return self._whole(entered)
            return await self._lane.run(self._whole, entered)
        news = self._blocks.since(found.place)
        found.place = self._blocks.end
        if news is None:
            self._forget(key)
            raise refused("filter not found")
        if found.criteria is None:
            return [to_data(item.header.hash) for item in news if not item.removed]
        if len(news) <= INLINE_BLOCKS_MAX:
            return self._logs(news, found.criteria)
        return await self._lane.run(self._logs, news, found.criteria)

    @staticmethod
    def _whole(entered: list[PendingNews]) -> list[Any]:
        found = (item.transaction() for item in entered)
        return [encoding.pending_transaction(tx) for tx in found if tx is not None]

    def _logs(self, news: list[BlockNews], criteria: LogCriteria) -> list[Any]:
        """Matching logs of blocks that came, and once more, as removed, of those that went."""
        told: list[Any] = []
        for item in news:
            number = item.header.number
            if isinstance(criteria.first, int) and number < criteria.first:
                continue
            if isinstance(criteria.last, int) and number > criteria.last:
                continue
            told += [encoded_log(log, item.removed) for log in self._chain.logs_of_block(item.header, criteria.wanted)]
        return told
