"""The object that says which logs: of eth_getLogs, eth_newFilter and eth_subscribe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.chain.logs import LogFilter
from node.primitives.scalars import Address, Hash32
from node.rpc.parameters import BlockNumber, ParameterError, address, block_number, fields, hash32, items

ADDRESSES_MAX: Final = 1_000
TOPIC_POSITIONS_MAX: Final = 4
TOPIC_ALTERNATIVES_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class LogCriteria:
    """One block by hash, or a range; None for a border that the caller left out."""

    wanted: LogFilter
    block_hash: Hash32 | None = None
    first: BlockNumber | None = None
    last: BlockNumber | None = None


def log_criteria(value: object) -> LogCriteria:
    """Read the object; unknown keys are passed over, as geth does. Raises ParameterError."""
    given = fields(value, "filter")
    first, last, block_hash = given.get("fromBlock"), given.get("toBlock"), given.get("blockHash")
    if block_hash is not None and (first is not None or last is not None):
        raise ParameterError("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")
    return LogCriteria(
        wanted=LogFilter(_addresses(given.get("address")), _topics(given.get("topics"))),
        block_hash=None if block_hash is None else hash32(block_hash),
        first=None if first is None else block_number(first),
        last=None if last is None else block_number(last),
    )


def _addresses(value: object) -> tuple[Address, ...]:
    """One address, a list of alternatives, or nothing."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (address(value),)
    if isinstance(value, list) and len(value) > ADDRESSES_MAX:
        raise ParameterError("exceed max addresses")
    return tuple(address(item) for item in items(value, "address"))


def _topics(value: object) -> tuple[tuple[bytes, ...], ...]:
    """By position: null for any, a topic, or a list of alternatives (a null among them makes it any)."""
    if value is None:
        return ()
    positions = items(value, "topics")
    if len(positions) > TOPIC_POSITIONS_MAX:
        raise ParameterError("exceed max topics")
    return tuple(_alternatives(position) for position in positions)


def _alternatives(position: object) -> tuple[bytes, ...]:
    if position is None:
        return ()
    if isinstance(position, str):
        return (hash32(position),)
    if isinstance(position, list) and len(position) > TOPIC_ALTERNATIVES_MAX:
        raise ParameterError("exceed max topics")
    alternatives = items(position, "topic")
    return () if None in alternatives else tuple(hash32(item) for item in alternatives)
