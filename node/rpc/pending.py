"""The pending block: what this node would build now, on its head and out of its pool. Made when asked for, as in geth.

    a method gets "pending" ─▶ dispatcher asks ``prepare`` ─▶ nothing waits, or head and pool are as before: no work
                                                           └─▶ build in the lane, keep until head or pool change

Building is bounded in time, and when much time goes into it the last one is served a little longer.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final

from node.evm.machine import VirtualMachine
from node.execution.builder import PayloadAttributes, build_block
from node.primitives.scalars import ZERO_ADDRESS, Hash32
from node.rpc.backend import ChainReads, Pool
from node.rpc.parameters import Tag
from node.rpc.work_lane import WorkLane
from node.runtime.clock import Clock
from node.state.overrides import OverlayView
from node.state.view import StateView
from node.types.blocks import Block, Header
from node.types.invalid import InvalidBlock
from node.types.transactions import Transaction

BUILD_MS_MAX: Final = 250
"""Transactions that do not fit into this time are not in the pending block."""
CREDIT_MS_MAX: Final = 500
SHARE: Final = 5
"""One fifth of the time may go into building pending blocks, and what was not used is saved up to CREDIT_MS_MAX."""


@dataclass(frozen=True, slots=True)
class PendingBlock:
    """A block that no one has sealed, and the state after it."""

    parent_hash: Hash32
    revision: int
    """Of the pool."""
    block: Block
    view: StateView


class PendingBlocks:
    """Makes the pending block and keeps the last one."""

    def __init__(self, chain: ChainReads, pool: Pool, vm: VirtualMachine, clock: Clock, lane: WorkLane) -> None:
        self._chain = chain
        self._pool = pool
        self._vm = vm
        self._clock = clock
        self._lane = lane
        self._last: PendingBlock | None = None
        self._credit_ms = float(CREDIT_MS_MAX)
        self._credited_ms = clock.monotonic_ms()

    def current(self) -> PendingBlock | None:
        """The last one, while its parent is the head; None where nothing waits or none was made."""
        last = self._last
        return last if last is not None and last.parent_hash == self._chain.head.hash else None

    def prepare(self, arguments: list[Any]) -> Awaitable[None] | None:
        """Something to wait for where a method is about to ask for the pending block."""
        for argument in arguments:
            if argument is Tag.PENDING:
                return self.refresh() if self._is_outdated() else None
        return None

    def _is_outdated(self) -> bool:
        if self._pool.status()[0] == 0:
            self._last = None
            return False
        last = self.current()
        if last is None:
            return True
        return last.revision != self._pool.revision and self._credit() > 0

    def _credit(self) -> float:
        now_ms = self._clock.monotonic_ms()
        self._credit_ms = min(CREDIT_MS_MAX, self._credit_ms + (now_ms - self._credited_ms) / SHARE)
        self._credited_ms = now_ms
        return self._credit_ms

    async def refresh(self) -> None:
        """Make it anew. Raises RpcError when the lane is full."""
        head, revision = self._chain.head, self._pool.revision
        candidates = list(self._pool.candidates())
        began_ms = self._clock.monotonic_ms()
        try:
            self._last = await self._lane.run(self._build, head, revision, candidates)
        finally:
            self._credit_ms -= self._clock.monotonic_ms() - began_ms

    def _build(self, head: Header, revision: int, candidates: list[Transaction]) -> PendingBlock | None:
        chain, clock = self._chain, self._clock
        view = chain.view_at(head)
        timestamp = max(head.timestamp + 1, clock.now_ms() // 1000)
        deadline_ms = clock.monotonic_ms() + BUILD_MS_MAX
        attributes = PayloadAttributes(
            timestamp=timestamp,
            prev_randao=head.prev_randao,
            coinbase=ZERO_ADDRESS,
            parent_beacon_block_root=head.hash,
            gas_limit_target=head.gas_limit,
        )
        try:
            built = build_block(
                head,
                view,
                attributes,
                candidates,
                chain.next_spec(head, timestamp),
                self._vm,
                chain.chain_id,
                chain.block_hashes(head),
                chain.nodes_at(head),
                lambda: clock.monotonic_ms() < deadline_ms,
            )
        except InvalidBlock:
            return None  # no block can follow here at all: the head's state is all there is
        if built.result.restored:
            return None
        return PendingBlock(head.hash, revision, built.block, OverlayView(view, built.result.diff))
