"""The chain that a blockchain test imports: blocks by hash over one store of trie nodes, heaviest or newest head."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from network.vectors.allocations import reader
from network.vectors.networks import SpecAt
from node.evm.machine import Tracer, VirtualMachine
from node.evm.spec import Spec
from node.execution.block import apply_block
from node.execution.block_run import BlockRun
from node.primitives.scalars import Hash32
from node.state.commit import CommitResult
from node.state.diff import StateDiff
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.types.blocks import Block, Header, decode_block
from node.types.invalid import BlockReason, InvalidBlock, InvalidTransaction


class ImportedChain:
    """Starts with a genesis block whose state is ``state``; ``add`` imports."""

    def __init__(
        self,
        genesis: Block,
        state: CommitResult,
        chain_id: int,
        spec_at: SpecAt,
        vm: VirtualMachine,
        tracer: Tracer | None = None,
    ) -> None:
        self.nodes: dict[Hash32, bytes] = dict(state.nodes)
        self.codes: dict[Hash32, bytes] = dict(state.codes)
        self.headers: dict[Hash32, Header] = {genesis.hash: genesis.header}
        self._blocks: dict[Hash32, Block] = {genesis.hash: genesis}
        self.head = genesis.header
        self._diffs: dict[Hash32, StateDiff] = {}
        self._total_difficulties: dict[Hash32, int] = {genesis.hash: genesis.header.difficulty}
        self._chain_id = chain_id
        self._spec_at = spec_at
        self._vm = vm
        self._tracer = tracer

    def add(self, raw: bytes) -> Block:
        """Decode and import. Raises InvalidBlock or InvalidTransaction; then nothing has changed."""
        block = decode_block(raw)
        parent = self._parent(block)
        result = apply_block(
            block,
            parent,
            self._view(parent),
            self._spec(block.header, parent),
            self._vm,
            self._chain_id,
            self._block_hashes(parent),
            reader(self.nodes),
            self,
            self._tracer,
        )
        self.nodes.update(result.commit.nodes)
        self.codes.update(result.commit.codes)
        self.headers[block.hash] = block.header
        self._blocks[block.hash] = block
        self._diffs[block.hash] = result.diff
        total = self._total_difficulties[parent.hash] + block.header.difficulty
        self._total_difficulties[block.hash] = total
        # After the Merge (difficulty 0) the last block imported is the head; before it the heaviest is.
        if block.header.difficulty == 0 or total > self._total_difficulties[self.head.hash]:
            self.head = block.header
        return block

    def try_out(self, raw: bytes) -> tuple[Header, StateDiff] | None:
        """What the transactions of a block do, whatever its header claims; None where they cannot be run."""
        try:
            block = decode_block(raw)
            parent = self._parent(block)
            journal = JournaledState(self._view(parent))
            run = BlockRun(
                block.header,
                journal,
                self._spec(block.header, parent),
                self._vm,
                self._chain_id,
                self._block_hashes(parent),
            )
            run.start()
            for tx in block.transactions:
                run.apply(tx)
            run.finish(block.withdrawals)
        except (InvalidBlock, InvalidTransaction):
            return None
        return block.header, journal.diff()

    def diffs_to(self, header: Header) -> Iterator[StateDiff]:
        """The changes of every block from the first to ``header``."""
        path: list[StateDiff] = []
        while header.hash in self._diffs:
            path.append(self._diffs[header.hash])
            header = self.headers[header.parent_hash]
        return reversed(path)

    def block(self, block_hash: Hash32) -> Block | None:
        """An imported block, for judging ommers."""
        return self._blocks.get(block_hash)

    def spec_of(self, header: Header) -> Spec:
        """The rules that a header is under, which follows a block of this chain."""
        return self._spec(header, self.headers[header.parent_hash])

    def _parent(self, block: Block) -> Header:
        parent = self.headers.get(block.header.parent_hash)
        if parent is None:
            raise InvalidBlock(BlockReason.UNKNOWN_PARENT, parent=block.header.parent_hash)
        return parent

    def _spec(self, header: Header, parent: Header) -> Spec:
        return self._spec_at(header.number, header.timestamp, self._total_difficulties[parent.hash])

    def _view(self, header: Header) -> TrieView:
        return TrieView(header.state_root, reader(self.nodes), reader(self.codes))

    def _block_hashes(self, parent: Header) -> Callable[[int], Hash32]:
        def block_hash(asked: int) -> Hash32:
            header = parent
            while header.number > asked:
                header = self.headers[header.parent_hash]
            return header.hash

        return block_hash
