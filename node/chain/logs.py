"""Search for logs: blooms first, receipts of the blocks that may match (eth_getLogs)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node.chain.store import ChainStore
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Header
from node.types.receipts import Log, bloom_may_hold


class TooManyLogs(ValueError):
    """The answer would be larger than the caller allows; narrow the range."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs. An empty tuple matches everything; topics are by position, each a set of alternatives."""

    addresses: tuple[Address, ...] = ()
    topics: tuple[tuple[bytes, ...], ...] = ()

    def may_match(self, bloom: bytes) -> bool:
        """False: surely nothing in a block with this bloom."""
        if self.addresses and not any(bloom_may_hold(bloom, address) for address in self.addresses):
            return False
        return all(not wanted or any(bloom_may_hold(bloom, topic) for topic in wanted) for wanted in self.topics)

    def matches(self, log: Log) -> bool:
        """Whether this log is asked for."""
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(not wanted or topic in wanted for wanted, topic in zip(self.topics, log.topics, strict=False))


@dataclass(frozen=True, slots=True)
class FoundLog:
    """A log and where it stands. ``log_index`` counts over the block."""

    log: Log
    log_index: int
    transaction_index: int
    transaction_hash: Hash32
    block: Header
    removed: bool = False


def logs_of_block(store: ChainStore, header: Header, wanted: LogFilter) -> Iterator[FoundLog]:
    """Matching logs of one stored block, in order."""
    if not wanted.may_match(header.logs_bloom):
        return
    receipts = store.receipts(header.hash)
    block = store.block(header.hash)
    if receipts is None or block is None:
        return
    log_index = 0
    for index, (tx, receipt) in enumerate(zip(block.transactions, receipts, strict=True)):
        for log in receipt.logs:
            if wanted.matches(log):
                yield FoundLog(log, log_index, index, tx.hash, header)
            log_index += 1


def search_logs(store: ChainStore, first: int, last: int, wanted: LogFilter, logs_max: int) -> list[FoundLog]:
    """Matching logs of canonical blocks ``first..last``. Raises TooManyLogs beyond ``logs_max``."""
    found: list[FoundLog] = []
    for number in range(first, last + 1):
        block_hash = store.canonical_hash(number)
        header = None if block_hash is None else store.header(block_hash)
        if header is None:
            break
        for log in logs_of_block(store, header, wanted):
            if len(found) >= logs_max:
                raise TooManyLogs(f"query returned more than {logs_max} results")
            found.append(log)
    return found
