"""What consensus asks of the rooms around it, as Protocols: chain, pool and the engine's codec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from node.consensus.engine import ConsensusMessage
from node.evm.spec import Spec
from node.execution.builder import BuiltBlock, PayloadAttributes
from node.primitives.scalars import Hash32
from node.state.view import StateView
from node.types.blocks import Block, Header
from node.types.operations import Operation
from node.types.transactions import Transaction


class PayloadAnswer(Protocol):
    """What executing a block showed."""

    @property
    def valid(self) -> bool:
        """Whether every header field agrees."""
        ...

    @property
    def reason(self) -> str:
        """Which rule it breaks."""
        ...

    @property
    def facts(self) -> Mapping[str, object]:
        """What the header says and what was computed."""
        ...


class ChainDoor(Protocol):
    """The chain (node/chain/chain.py)."""

    @property
    def head(self) -> Header:
        """The block that the next one builds on."""
        ...

    @property
    def finalized(self) -> Header:
        """The block that nothing undoes."""
        ...

    async def new_payload(self, block: Block, operations: tuple[Operation, ...] = ()) -> PayloadAnswer:
        """Execute a block on its parent's state, behind ``operations``, and keep the result."""
        ...

    async def build_payload(
        self, parent_hash: Hash32, attributes: PayloadAttributes, candidates: Sequence[Transaction], deadline_ms: int
    ) -> BuiltBlock:
        """Build a block and keep the result. ``deadline_ms`` is monotonic."""
        ...

    async def forkchoice_updated(
        self, head: Hash32, safe: Hash32, finalized: Hash32, seals: Mapping[Hash32, bytes]
    ) -> None:
        """Make the marks durable in one write."""
        ...

    async def store_block(self, block_hash: Hash32, seal: bytes) -> None:
        """Keep an executed block durably beside the canonical chain."""
        ...

    def above_finalized(self) -> list[tuple[Block, bytes]]:
        """The finalized block and the stored blocks above it, on all branches, parents first, with their seals."""
        ...

    def header_by_hash(self, block_hash: bytes) -> Header | None:
        """A stored or executed header."""
        ...

    def view_at(self, header: Header) -> StateView:
        """The state after an executed or stored block."""
        ...

    def seconds_ahead(self, header: Header) -> int:
        """How far the chain's clock was set ahead of the nodes' in the state after a block (development only)."""
        ...

    def next_spec(self, parent: Header, timestamp: int) -> Spec:
        """The rules of a child of ``parent``."""
        ...

    def block_by_number(self, number: int) -> Block | None:
        """The canonical block at a height."""
        ...

    def seal_of(self, block_hash: bytes) -> bytes | None:
        """What the block was decided by."""
        ...


class PoolDoor(Protocol):
    """The pool (node/txpool/pool.py)."""

    def candidates(self, base_fee: int | None = None, blob_base_fee: int = 0) -> Iterator[Transaction]:
        """Executable transactions that pay these fees (wei a gas), best first."""
        ...


class Codec(Protocol):
    """An engine's messages as bytes."""

    def decode(self, data: bytes) -> ConsensusMessage:
        """Raises MalformedMessage."""
        ...

    def claim(self, data: bytes) -> ConsensusMessage:
        """What a message says, its block undecoded. Raises MalformedMessage."""
        ...

    def is_large(self, message: ConsensusMessage) -> bool:
        """Whether it carries a block."""
        ...

    def check(self, message: ConsensusMessage) -> None:
        """Signatures. Raises MalformedMessage."""
        ...

    def decided(self, block: Block, seal: bytes) -> ConsensusMessage:
        """A decided block as a message. Raises MalformedMessage."""
        ...

    def height_of(self, message: ConsensusMessage) -> int | None:
        """The height that the sender of a status works on; None for other messages."""
        ...
