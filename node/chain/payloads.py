"""new_payload and build_payload: execute off the event loop, keep the result as a candidate.

new_payload:   parent known? -> apply_block in a worker -> every header field equal? -> candidate
build_payload: build_block in a worker -> candidate (never executed twice)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from node.chain.candidates import Candidate, Candidates
from node.chain.feed import Executed
from node.chain.rules import ChainRules
from node.chain.store import ChainStore
from node.chain.views import Views
from node.evm.machine import VirtualMachine
from node.execution.block import BlockResult, apply_block
from node.execution.block_run import RootAfter
from node.execution.builder import BuiltBlock, PayloadAttributes, build_block
from node.primitives.scalars import Address, Hash32
from node.runtime.runtime import Runtime
from node.types.blocks import Block, Header
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.operations import Operation
from node.types.transactions import Transaction

KnownTransaction = Callable[[bytes], Transaction | None]
"""Looks a transaction up by hash where its sender may be recovered already (the pool)."""


class UnknownParent(LookupError):
    """A block was asked for on a parent that this node does not have."""


@dataclass(frozen=True, slots=True)
class PayloadStatus:
    """What executing a block showed. ``facts`` hold the header's value and ours where they differ."""

    valid: bool
    reason: str = ""
    missing_parent: bool = False
    facts: dict[str, object] = field(default_factory=dict)


class Payloads:
    """Executes and builds candidates. The chain lets one call in at a time."""

    def __init__(
        self,
        chain_id: int,
        rules: ChainRules,
        vm: VirtualMachine,
        store: ChainStore,
        candidates: Candidates,
        views: Views,
        runtime: Runtime,
        known_transaction: KnownTransaction,
        tell: Callable[[Executed], None],
    ) -> None:
        self._chain_id = chain_id
        self._rules = rules
        self._vm = vm
        self._store = store
        self._candidates = candidates
        self._views = views
        self._runtime = runtime
        self._known_transaction = known_transaction
        self._tell = tell

    async def execute(self, block: Block, operations: tuple[Operation, ...] = ()) -> PayloadStatus:
        """Execute ``block`` on its parent's state, behind what consensus orders, and compare every header field."""
        block_hash = block.hash
        if self._candidates.get(block_hash) is not None or self._store.header(block_hash) is not None:
            return PayloadStatus(valid=True)
        parent = self._views.header(block.header.parent_hash)
        if parent is None:
            return PayloadStatus(valid=False, reason="UNKNOWN_PARENT", missing_parent=True)
        began_ms = self._runtime.clock.monotonic_ms()
        try:
            candidate = await self._runtime.workers.run(self._execute, block, parent, operations)
        except (InvalidBlock, InvalidTransaction) as refusal:
            return PayloadStatus(valid=False, reason=str(refusal.reason), facts=dict(refusal.facts))
        self._candidates.add(candidate)
        self._told(block, began_ms, built=False)
        return PayloadStatus(valid=True)

    def _told(self, block: Block, began_ms: int, built: bool) -> None:
        elapsed_ms = self._runtime.clock.monotonic_ms() - began_ms
        self._tell(Executed(block.header, len(block.transactions), elapsed_ms, built))

    def _execute(self, block: Block, parent: Header, operations: tuple[Operation, ...]) -> Candidate:
        for tx in block.transactions:
            known = self._known_transaction(tx.hash)
            if known is not None:
                tx.adopt_sender(known)
        result = apply_block(
            block,
            parent,
            self._views.view(parent),
            self._rules.next_spec(parent, block.header.timestamp),
            self._vm,
            self._chain_id,
            self._views.block_hashes(parent),
            self._views.nodes,
            self._rules,
            operations=operations,
            root_after=self._root_after(parent),
        )
        return Candidate(block, result.receipts, result.commit, _changed(result), operations)

    def _root_after(self, parent: Header) -> RootAfter:
        block_hash = self._views.block_hashes(parent)

        def root_after(number: int) -> Hash32 | None:
            header = self._views.header(block_hash(number)) if 0 <= number <= parent.number else None
            return None if header is None else header.state_root

        return root_after

    async def build(
        self, parent_hash: Hash32, attributes: PayloadAttributes, candidates: Sequence[Transaction], deadline_ms: int
    ) -> BuiltBlock:
        """A block on ``parent_hash`` out of ``candidates``; takes no more after ``deadline_ms`` (monotonic)."""
        parent = self._views.header(parent_hash)
        if parent is None:
            raise UnknownParent(f"0x{parent_hash.hex()}")
        began_ms = self._runtime.clock.monotonic_ms()
        built = await self._runtime.workers.run(self._build, parent, attributes, candidates, deadline_ms)
        result = built.result
        changed = _changed(result)
        self._candidates.add(Candidate(built.block, result.receipts, result.commit, changed, attributes.operations))
        self._told(built.block, began_ms, built=True)
        return built

    def _build(
        self, parent: Header, attributes: PayloadAttributes, candidates: Sequence[Transaction], deadline_ms: int
    ) -> BuiltBlock:
        clock = self._runtime.clock
        return build_block(
            parent,
            self._views.view(parent),
            attributes,
            candidates,
            self._rules.next_spec(parent, attributes.timestamp),
            self._vm,
            self._chain_id,
            self._views.block_hashes(parent),
            self._views.nodes,
            lambda: clock.monotonic_ms() < deadline_ms,
            self._root_after(parent),
        )


def _changed(result: BlockResult) -> tuple[Address, ...] | None:
    return None if result.restored else tuple(result.diff.accounts)
