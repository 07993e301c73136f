"""Answer requests for decided blocks with their seals: the other half of sync.py.

Request ``decided/1``: rlp([first, count]). Answer: rlp([[block, seal], …]), consecutive from ``first``, as
many as fit and are there; an empty list says "none". Blocks and seals are strings of their own encodings.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from node.p2p.identity import NodeId
from node.p2p.requests import RequestRefused
from node.p2p.scoring import REJECTED
from node.primitives import rlp
from node.types.blocks import Block

DECIDED: Final = "decided/1"
BLOCKS_MAX: Final = 64
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""An answer ends before the block that would pass this, but always holds one block."""
REQUEST_BYTES_MAX: Final = 32


class DecidedBlocks(Protocol):
    """Where decided blocks lie (node/chain/chain.py)."""

    def block_by_number(self, number: int) -> Block | None:
        """The canonical block at a height."""
        ...

    def seal_of(self, block_hash: bytes) -> bytes | None:
        """What consensus decided it by."""
        ...


def encode_request(first: int, count: int) -> bytes:
    """The request's payload."""
    return rlp.encode_list([rlp.encode_int(first), rlp.encode_int(count)])


def decode_request(payload: bytes) -> tuple[int, int]:
    """(first, count). Raises RLPError."""
    if len(payload) > REQUEST_BYTES_MAX:
        raise rlp.RLPError(f"request of {len(payload)} bytes")
    first, count = rlp.as_list(rlp.decode(payload), "request", 2)
    numbers = rlp.as_int(first, "first", 63), rlp.as_int(count, "count", 16)
    if numbers[0] < 1 or not 1 <= numbers[1] <= BLOCKS_MAX:
        raise rlp.RLPError("range out of bounds")
    return numbers


def decode_answer(payload: bytes, count: int) -> list[tuple[bytes, bytes]]:
    """(block, seal) as they were sent, at most ``count``. Raises RLPError."""
    pairs = []
    for entry in rlp.split_list(payload, count):  # a liar's nested lists stay unread
        parts = rlp.split_list(entry, 2)
        if len(parts) != 2:
            raise rlp.RLPError(f"entry: {len(parts)} items where block and seal were expected")
        pairs.append((rlp.decode_string(parts[0]), rlp.decode_string(parts[1])))
    return pairs


class Serving:
    """Serves ``decided/1`` from the chain's store."""

    def __init__(self, chain: DecidedBlocks) -> None:
        self._chain = chain

    async def serve(self, peer: NodeId, payload: bytes) -> bytes:
        """The answer. Raises RequestRefused for a request that no honest node sends."""
        try:
            first, count = decode_request(payload)
        except rlp.RLPError as error:
            raise RequestRefused(f"{DECIDED}: {error}", REJECTED) from error
        entries: list[bytes] = []
        room = ANSWER_BYTES_MAX
        for number in range(first, first + count):
            block = self._chain.block_by_number(number)
            seal = self._chain.seal_of(block.hash) if block else None
            if block is None or seal is None:
                break
            entry = rlp.encode_list([rlp.encode_bytes(block.encode()), rlp.encode_bytes(seal)])
            room -= len(entry)
            if room < 0 and entries:
                break
            entries.append(entry)
            await asyncio.sleep(0)  # reading a long range must not hold up a vote
        return rlp.encode_list(entries)
