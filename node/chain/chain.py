"""Chain: the one door to execution.

Verbs for consensus (the Engine API, in process): ``new_payload``, ``build_payload``, ``forkchoice_updated``, and
``store_block`` for engines with branches; they run one at a time. Reads are plain functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.candidates import Candidates
from node.chain.feed import Feed
from node.chain.genesis import Genesis
from node.chain.head import Head
from node.chain.logs import FoundLog, LogFilter, logs_of_block, search_logs
from node.chain.payloads import KnownTransaction, Payloads, PayloadStatus
from node.chain.pruning import StatePruner
from node.chain.rules import ChainRules
from node.chain.store import ChainStore, CorruptDatabase
from node.chain.views import Views
from node.evm.machine import VirtualMachine
from node.evm.spec import Spec
from node.execution.builder import BuiltBlock, PayloadAttributes
from node.primitives.scalars import Hash32
from node.runtime.runtime import Runtime
from node.state.view import StateView
from node.storage.database import Batch, Database
from node.telemetry.logs import Log
from node.trie.nodes import NodeSource
from node.types.blocks import Block, Header
from node.types.operations import ORDERS, TIME_SLOT, Operation
from node.types.receipts import Receipt
from node.types.transactions import Transaction


class WrongGenesis(RuntimeError):
    """The database belongs to another network."""


PRUNING_PAUSE_SECONDS: Final = 0.01
"""Between two portions: blocks and votes go first."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning came to."""

    state_from: int
    """The lowest height whose state is kept."""
    kept_nodes: int
    deleted_nodes: int


class Chain:
    """What this node knows and holds as head."""

    def __init__(
        self,
        database: Database,
        genesis: Genesis,
        vm: VirtualMachine,
        runtime: Runtime,
        log: Log,
        known_transaction: KnownTransaction = lambda transaction_hash: None,
    ) -> None:
        """Raises WrongGenesis or CorruptDatabase. ``known_transaction``: where senders may be recovered already."""
        self.genesis = genesis
        self.chain_id = genesis.chain_id
        self.schedule = genesis.schedule
        self.vm = vm
        self.store = ChainStore(database)
        self.feed = Feed()
        marks = _open(self.store, genesis, log)
        self.genesis_hash = genesis.block().hash
        self._candidates = Candidates()
        self._views = Views(self.store, self._candidates)
        self._rules = ChainRules(self.schedule, self._views)
        self._head = Head(self.store, self._candidates, self.feed, runtime, marks)
        self._payloads = Payloads(
            self.chain_id,
            self._rules,
            vm,
            self.store,
            self._candidates,
            self._views,
            runtime,
            known_transaction,
            self.feed.publish,
        )
        self._runtime = runtime
        self._state_from = self.store.state_from()
        self._blocks_from = self.store.blocks_from()
        self._turn = asyncio.Lock()  # the verbs share candidates: one at a time

    # --- the verbs ---

    async def new_payload(self, block: Block, operations: tuple[Operation, ...] = ()) -> PayloadStatus:
        """Execute a block on its parent's state; keep it as a candidate when every field agrees.

        ``operations``: what consensus orders into it ahead of its transactions.
        """
        async with self._turn:
            return await self._payloads.execute(block, operations)

    async def build_payload(
        self, parent_hash: Hash32, attributes: PayloadAttributes, candidates: Sequence[Transaction], deadline_ms: int
    ) -> BuiltBlock:
        """Build a block on ``parent_hash``; its result is kept. Raises UnknownParent."""
        async with self._turn:
            return await self._payloads.build(parent_hash, attributes, candidates, deadline_ms)

    async def forkchoice_updated(
        self, head: Hash32, safe: Hash32, finalized: Hash32, seals: Mapping[Hash32, bytes]
    ) -> None:
        """Make the marks durable, then tell the feed. Raises ForkchoiceError; then nothing changed."""
        async with self._turn:
            await self._head.update(head, safe, finalized, seals)

    async def store_block(self, block_hash: Hash32, seal: bytes) -> None:
        """Keep an executed block durably beside the canonical chain. Raises ForkchoiceError for an unknown one."""
        async with self._turn:
            await self._head.store_block(block_hash, seal)

    async def prune(self, history: int) -> Pruned:
        """Delete states older than the last ``history`` final blocks, in portions between the other verbs.

        May be cancelled, or die, at any point. Raises CorruptDatabase where a state that is kept is not whole.
        """
        async with self._turn:
            first = max(self.store.state_from(), self.finalized.number - history)
            headers = (self.header_by_number(number) for number in range(first, self.head.number + 1))
            roots = [(header.number, header.state_root) for header in headers if header is not None]
            branches = [self.store.header(one) for one in self._head.unfinalized_above(self.finalized.number)]
            above = [header.state_root for header in branches if header is not None]
            pruner = StatePruner(
                self.store,
                kept=[root for number, root in roots if number >= self.finalized.number] + above,
                optional=[root for number, root in roots if number < self.finalized.number],
            )
            self.store.on_nodes = pruner.note_written
        try:
            done = False
            while not done:
                done = await self._runtime.workers.run(pruner.mark)
                await asyncio.sleep(PRUNING_PAUSE_SECONDS)
            async with self._turn:
                batch = Batch()
                self.store.stage_state_from(batch, first)
                # before the first node goes: whoever asks for such a state later must be told so
                await self._runtime.workers.run(self.store.database.write, batch, durable=True)
                self._state_from = first
            done = False
            while not done:
                async with self._turn:
                    done = await self._runtime.workers.run(pruner.sweep)
                await asyncio.sleep(PRUNING_PAUSE_SECONDS)
        finally:
            self.store.on_nodes = None
        return Pruned(first, pruner.kept_nodes, pruner.deleted_nodes)

    # --- marks ---

    @property
    def head(self) -> Header:
        """The block that the next one builds on."""
        return self._head.head

    @property
    def safe(self) -> Header:
        """The block that a reorganisation is not expected to undo."""
        return self._head.safe

    @property
    def finalized(self) -> Header:
        """The block that nothing undoes."""
        return self._head.finalized

    @property
    def state_from(self) -> int:
        """The lowest height whose state is kept; 0 where all are."""
        return self._state_from

    @property
    def blocks_from(self) -> int:
        """The lowest height above 0 whose block is here; 0 where all are."""
        return self._blocks_from

    # --- reads ---

    def header_by_hash(self, block_hash: bytes) -> Header | None:
        """A stored header, or that of a candidate."""
        return self._views.header(block_hash)

    def header_by_number(self, number: int) -> Header | None:
        """The canonical header at a height."""
        block_hash = self.store.canonical_hash(number)
        return None if block_hash is None else self.store.header(block_hash)

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        """A stored block, or a candidate."""
        return self._views.block(block_hash)

    def block_by_number(self, number: int) -> Block | None:
        """The canonical block at a height."""
        block_hash = self.store.canonical_hash(number)
        return None if block_hash is None else self.store.block(block_hash)

    def canonical_hash(self, number: int) -> Hash32 | None:
        """The canonical block hash at a height."""
        return self.store.canonical_hash(number)

    def receipts_of(self, block_hash: bytes) -> tuple[Receipt, ...] | None:
        """The receipts of a stored block."""
        return self.store.receipts(block_hash)

    def transaction_location(self, transaction_hash: bytes) -> tuple[Hash32, int] | None:
        """(block hash, index) of a canonical transaction."""
        location = self.store.transaction_location(transaction_hash)
        if location is not None:
            header = self._views.header(location[0])
            if header is not None and header.number > self.head.number:
                return None  # written, not yet head: who got its receipt now would ask for a block that is not there
        return location

    def seal_of(self, block_hash: bytes) -> bytes | None:
        """What consensus decided the block by."""
        return self.store.seal(block_hash)

    def operations_of(self, block_hash: bytes) -> tuple[Operation, ...]:
        """What consensus ordered into a stored block ahead of its transactions."""
        return self.store.operations(block_hash)

    def above_finalized(self) -> list[tuple[Block, bytes]]:
        """The finalized block and the stored blocks above it, on all branches, parents first, with their seals."""
        return self._head.above_finalized()

    def view_at(self, header: Header) -> StateView:
        """The state after a block."""
        return self._views.view(header)

    def seconds_ahead(self, header: Header) -> int:
        """How far the chain's clock is ahead of the nodes' in the state after a block; 0 but on dev chains."""
        return self.view_at(header).slot(ORDERS, TIME_SLOT) if self.genesis.consensus.dev else 0

    def nodes_at(self, header: Header) -> NodeSource:
        """Trie nodes as seen from a block, for proofs. One source serves all roots."""
        return self._views.nodes

    def block_hashes(self, parent: Header) -> Callable[[int], Hash32]:
        """BLOCKHASH for a child of ``parent``."""
        return self._views.block_hashes(parent)

    def spec_for(self, header: Header) -> Spec:
        """The rules that this block ran under."""
        return self._rules.spec_of(header)

    def next_spec(self, parent: Header, timestamp: int) -> Spec:
        """The rules for a child of ``parent`` at ``timestamp``."""
        return self._rules.next_spec(parent, timestamp)

    def search_logs(self, first: int, last: int, wanted: LogFilter, logs_max: int) -> list[FoundLog]:
        """Matching logs of canonical blocks. Raises TooManyLogs."""
        return search_logs(self.store, first, last, wanted, logs_max)

    def logs_of_block(self, header: Header, wanted: LogFilter) -> list[FoundLog]:
        """Matching logs of one stored block."""
        return list(logs_of_block(self.store, header, wanted))


def _open(store: ChainStore, genesis: Genesis, log: Log) -> tuple[Header, Header, Header]:
    """The marks of the database, which is filled with the genesis block when it is fresh."""
    block = genesis.block()
    if not store.check_schema():
        batch = Batch()
        store.stage_schema(batch)
        store.stage_state(batch, genesis.state.nodes, genesis.state.codes)
        store.stage_block(batch, block, ())
        store.stage_canonical(batch, block)
        for name in ("genesis", "head", "safe", "finalized"):
            store.stage_mark(batch, name, block.hash)
        store.database.write(batch, durable=True)
        log.info("new database", genesis=block.hash, state_root=block.header.state_root)
    stored = store.mark("genesis")
    if stored != block.hash:
        raise WrongGenesis(
            f"the database belongs to genesis 0x{(stored or b'').hex()}, the genesis file gives 0x{block.hash.hex()}; "
            "use the file that the database was made with, or a new data directory"
        )
    head, safe, finalized = (_marked(store, name) for name in ("head", "safe", "finalized"))
    if head.state_root != block.header.state_root and store.node(head.state_root) is None:
        raise CorruptDatabase(f"the state of head {head.number} is missing from the database")
    return head, safe, finalized


def _marked(store: ChainStore, name: str) -> Header:
    block_hash = store.mark(name)
    header = None if block_hash is None else store.header(block_hash)
    if header is None:
        raise CorruptDatabase(f"the {name} mark points to no stored block")
    return header
