"""Follows one node's chain during a load: when did it show each transaction in a block, and when as final.

Asks for the head's number often and for a block only when there is a new one. A block that is undone takes its
transactions with it; what counts is the block in which a transaction became final.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from network.load.generator import Door, Refused, Unreachable

POLL_SECONDS: Final = 0.03
REORGANISATION_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """A block, as its node told it."""

    number: int
    hash: str
    parent: str
    gas_used: int
    transactions: tuple[str, ...]
    seen: float


class ChainWatch:
    """One node's chain. ``included``, ``final``: transaction hash to the monotonic second at which it was seen."""

    def __init__(self, door: Door) -> None:
        self.name = door.name
        self._door = door
        self._head = -1
        self._first = -1
        self.finalized = -1
        self.blocks: dict[int, SeenBlock] = {}
        self.included: dict[str, float] = {}
        self.final: dict[str, float] = {}
        self.undone = 0
        """Blocks that were replaced."""
        self.failures = 0
        """Questions that were not answered."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except (Unreachable, Refused, KeyError, TypeError, ValueError):
                self.failures += 1
                await asyncio.sleep(10 * POLL_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        head = int(await self._door.call("eth_blockNumber"), 16)
        if head == self._head:
            return
        if self._first < 0:
            self._first = head
        number = head
        fresh: list[SeenBlock] = []
        while number >= self._first and len(fresh) < REORGANISATION_MAX:
            block = await self._block(number)
            if block is None:
                return  # the node has another head by now: the next look will tell
            known = self.blocks.get(number)
            if known is not None and known.hash == block.hash:
                break
            if fresh and fresh[-1].parent != block.hash:
                return
            fresh.append(block)
            parent = self.blocks.get(number - 1)
            if parent is not None and parent.hash == block.parent:
                break
            number -= 1
        # first what is undone, all of it: a transaction may stand lower on the new branch than it did on the old one
        lowest = fresh[-1].number if fresh else head + 1
        for number in [number for number in self.blocks if number >= lowest]:
            self._undo(self.blocks.pop(number))
        for block in reversed(fresh):
            self._take(block)
        self._head = head
        await self._look_final()

    async def _block(self, number: int) -> SeenBlock | None:
        told = await self._door.call("eth_getBlockByNumber", hex(number), False)
        return _read(told) if isinstance(told, dict) else None

    def _take(self, block: SeenBlock) -> None:
        self.blocks[block.number] = block
        for one in block.transactions:
            self.included.setdefault(one, block.seen)

    def _undo(self, block: SeenBlock) -> None:
        self.undone += 1
        for one in block.transactions:
            self.included.pop(one, None)

    async def _look_final(self) -> None:
        told = await self._door.call("eth_getBlockByNumber", "finalized", False)
        number = int(told["number"], 16) if isinstance(told, dict) else -1
        now = time.monotonic()
        for height in range(max(self._first, self.finalized + 1), number + 1):
            block = self.blocks.get(height)
            for one in block.transactions if block is not None else ():
                self.final.setdefault(one, now)
        self.finalized = max(self.finalized, number)


def _read(told: dict[str, Any]) -> SeenBlock:
    return SeenBlock(
        int(told["number"], 16),
        told["hash"],
        told["parentHash"],
        int(told["gasUsed"], 16),
        tuple(told["transactions"]),
        time.monotonic(),
    )
