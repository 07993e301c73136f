"""Which fork's rules a block of this chain is under; for a chain that was mined once, by its total difficulty."""

from __future__ import annotations

from typing import Final

from node.chain.store import CorruptDatabase
from node.chain.views import Views
from node.evm.spec import Spec
from node.forks.schedule import ForkSchedule
from node.primitives.bounded_cache import BoundedCache
from node.primitives.scalars import Hash32
from node.types.blocks import Block, Header

TOTALS_KEPT: Final = 1024


class ChainRules:
    """Asked with a header: the schedule's answer. Also where ommers are looked up (execution/ommers.py)."""

    def __init__(self, schedule: ForkSchedule, views: Views) -> None:
        self._schedule = schedule
        self._views = views
        self._totals: BoundedCache[bytes, int] = BoundedCache(TOTALS_KEPT)

    def spec_of(self, header: Header) -> Spec:
        """The rules of a block that is known to be valid: its own difficulty tells whether it was mined."""
        total = None
        if self._schedule.asks_total_difficulty:
            total = 0 if header.difficulty else self._schedule.terminal_total_difficulty
        return self._schedule.spec_at(header.number, header.timestamp, total)

    def next_spec(self, parent: Header, timestamp: int) -> Spec:
        """The rules for a child of ``parent`` at ``timestamp``."""
        total = self._total_difficulty(parent) if self._schedule.asks_total_difficulty else None
        return self._schedule.spec_at(parent.number + 1, timestamp, total)

    def block(self, block_hash: Hash32) -> Block | None:
        """A known block."""
        return self._views.block(block_hash)

    def _total_difficulty(self, header: Header) -> int:
        """Of the chain up to this block; behind the Merge, what ended the mining."""
        terminal = self._schedule.terminal_total_difficulty
        assert terminal is not None, "asked only of chains that are going to merge"
        path: list[Header] = []
        cursor = header
        while True:
            if cursor.number > 0 and cursor.difficulty == 0:
                total = terminal
                break
            known = self._totals.get(cursor.hash)
            if known is not None:
                total = known
                break
            if cursor.number == 0:
                total = cursor.difficulty
                break
            path.append(cursor)
            parent = self._views.header(cursor.parent_hash)
            if parent is None:
                raise CorruptDatabase(f"parent 0x{cursor.parent_hash.hex()} of a known block is missing")
            cursor = parent
        for passed in reversed(path):
            total += passed.difficulty
            self._totals.put(passed.hash, total)
        return total
