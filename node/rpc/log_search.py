"""Searching the canonical chain for logs under the bounds of one answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from node.chain.logs import FoundLog, TooManyLogs
from node.rpc import encoding
from node.rpc.backend import ChainReads, RpcLimits
from node.rpc.block_lookup import BlockLookup
from node.rpc.errors import INVALID_PARAMS, LIMIT_EXCEEDED, RpcError, refused
from node.rpc.log_criteria import LogCriteria
from node.rpc.parameters import BlockNumber, Tag
from node.rpc.work_lane import Deadline, WorkLane

BLOCKS_PER_LOOK: Final = 64
"""Blocks between two looks at the clock and the size."""

Json = dict[str, Any]


def encoded_log(found: FoundLog, removed: bool = False) -> Json:
    """One found log as JSON."""
    return encoding.log(
        found.log,
        found.block,
        found.transaction_hash,
        found.transaction_index,
        found.log_index,
        removed or found.removed,
    )


class LogSearch:
    """Answers criteria from stored blocks."""

    def __init__(self, chain: ChainReads, blocks: BlockLookup, lane: WorkLane, limits: RpcLimits) -> None:
        self._chain = chain
        self._blocks = blocks
        self._lane = lane
        self._limits = limits

    async def find(self, criteria: LogCriteria) -> list[Json]:
        """Matching logs of one block or of a range (``latest`` where a border is left out). Raises RpcError."""
        if criteria.block_hash is not None:
            header = self._chain.header_by_hash(criteria.block_hash)
            if header is None or self._chain.receipts_of(criteria.block_hash) is None:
                raise refused("unknown block")
            found = await self._lane.run(self._chain.logs_of_block, header, criteria.wanted)
            return self._told(found)
        first, last = self.range_of(criteria)
        return await self._lane.run(self._search, first, last, criteria, self._lane.deadline())

    def range_of(self, criteria: LogCriteria) -> tuple[int, int]:
        """The heights that the criteria cover. Raises RpcError(-32602)."""
        head = self._chain.head.number
        first, last = self._height(criteria.first), self._height(criteria.last)
        if first > last:
            raise RpcError(INVALID_PARAMS, "invalid block range params")
        if last > head:
            raise RpcError(INVALID_PARAMS, "block range extends beyond current head block")
        lowest = self._chain.blocks_from
        if lowest and first < lowest and last > 0:
            # nothing found would be an answer, and a wrong one
            raise refused(f"blocks below {lowest} are not available: this node joined by a state")
        if last - first >= self._limits.log_blocks_max:
            raise RpcError(LIMIT_EXCEEDED, f"block range is larger than {self._limits.log_blocks_max} blocks")
        return first, last

    def _height(self, border: BlockNumber | None) -> int:
        """Pool transactions have no logs yet, so ``pending`` ends at the head."""
        return self._blocks.number(Tag.LATEST if border is None or border is Tag.PENDING else border)

    def _search(self, first: int, last: int, criteria: LogCriteria, deadline: Deadline) -> list[Json]:
        told: list[Json] = []
        size = 0
        for start in range(first, last + 1, BLOCKS_PER_LOOK):
            deadline.check()
            stop = min(start + BLOCKS_PER_LOOK - 1, last)
            try:
                found = self._chain.search_logs(start, stop, criteria.wanted, self._limits.logs_max - len(told))
            except TooManyLogs:
                raise self._too_many() from None
            size += sum(len(item.log.data) for item in found)
            self._check_size(size)
            told += [encoded_log(item) for item in found]
        return told

    def _told(self, found: Iterable[FoundLog]) -> list[Json]:
        logs = list(found)
        if len(logs) > self._limits.logs_max:
            raise self._too_many()
        self._check_size(sum(len(item.log.data) for item in logs))
        return [encoded_log(item) for item in logs]

    def _too_many(self) -> RpcError:
        return RpcError(LIMIT_EXCEEDED, f"query returned more than {self._limits.logs_max} results")

    def _check_size(self, size: int) -> None:
        if size > self._limits.log_bytes_max:
            raise RpcError(LIMIT_EXCEEDED, f"query returned more than {self._limits.log_bytes_max} bytes of log data")
