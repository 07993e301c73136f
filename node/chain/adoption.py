"""Make a fetched block the head of a database that holds only the genesis block, as if all before had been executed.

Bodies and receipts are written as they come: nothing points to them yet. The last write is one durable batch of
indexes and marks; before it the database is that of a node at genesis, after it that of a node at the pivot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.chain.store import ChainStore
from node.evm.spec import Spec
from node.execution.block import check_body, receipts_root
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.storage.database import Batch
from node.types.blocks import Block, Header, decode_body, decode_header
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.receipts import Receipt, decode_receipts

RECENT_BLOCKS: Final = 257
"""Fetched, the pivot included: a call in the pivot's place may ask BLOCKHASH of 256 blocks below it."""


class BadBlock(ValueError):
    """A peer's block is not the one that the chain names; the text says why."""


class Adoption:
    """From the pivot downwards, block by block, then ``finish``."""

    def __init__(self, store: ChainStore, pivot: Header, spec_of: Callable[[Header], Spec]) -> None:
        self._store = store
        self._pivot = pivot
        self._spec_of = spec_of
        self._wanted: Hash32 = pivot.hash
        self._blocks: list[Block] = []
        self.next_number = pivot.number
        """The height that ``take`` wants next."""

    @property
    def lowest(self) -> int:
        """The lowest height that is fetched."""
        return max(1, self._pivot.number - RECENT_BLOCKS + 1)

    @property
    def is_complete(self) -> bool:
        """Whether all recent blocks are here."""
        return self.next_number < self.lowest

    def take(self, header: bytes, body: bytes, receipts: bytes) -> Header:
        """Check one block's parts, as stored and sent, and write them. Raises BadBlock; then nothing is written."""
        try:
            block = decode_body(decode_header(header), body)
            told = decode_receipts(receipts)
            if block.hash != self._wanted or block.number != self.next_number:
                raise BadBlock(f"block {block.number} is not the one that follows downwards")
            check_body(block, self._spec_of(block.header))
        except (rlp.RLPError, InvalidBlock, InvalidTransaction) as error:
            raise BadBlock(str(error)) from error
        self._check_receipts(block, told)
        batch = Batch()
        self._store.stage_block(batch, block, told)
        self._store.database.write(batch, durable=False)
        self._wanted = block.header.parent_hash
        self.next_number -= 1
        self._blocks.append(block)
        return block.header

    def _check_receipts(self, block: Block, receipts: tuple[Receipt, ...]) -> None:
        if len(receipts) != len(block.transactions) or receipts_root(receipts) != block.header.receipts_root:
            raise BadBlock(f"receipts of block {block.number} are not those of its header")

    def finish(self, seals: dict[Hash32, bytes]) -> None:
        """Everything becomes the chain, in one durable write. The pivot is head, safe and finalized."""
        assert self.is_complete, "blocks are missing"
        batch = Batch()
        for block in self._blocks:
            self._store.stage_canonical(batch, block)
        for block_hash, seal in seals.items():
            self._store.stage_seal(batch, block_hash, seal)
        self._store.stage_state_from(batch, self._pivot.number)
        self._store.stage_blocks_from(batch, self.lowest)
        for name in ("head", "safe", "finalized"):
            self._store.stage_mark(batch, name, self._pivot.hash)
        self._store.database.write(batch, durable=True)
