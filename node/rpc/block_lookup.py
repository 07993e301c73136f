"""From a block parameter to a header, a state or encoded receipts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from node.execution.fees import base_fee, block_blob_base_fee, excess_blob_gas
from node.primitives.scalars import ZERO_ADDRESS, ZERO_HASH, Hash32
from node.rpc import encoding
from node.rpc.backend import ChainReads, canonical
from node.rpc.errors import refused
from node.rpc.parameters import BlockHash, BlockId, BlockNumber, Tag
from node.rpc.pending import PendingBlocks
from node.rpc.work_lane import WorkLane
from node.runtime.clock import Clock
from node.state.view import StateView
from node.types.blocks import Block, Header
from node.types.receipts import EMPTY_BLOOM

INLINE_TRANSACTIONS_MAX: Final = 128
"""A block with more is encoded by a worker: senders may have to be recovered (50 µs each)."""
RECEIPT_BLOCKS_KEPT: Final = 16
RECEIPT_TRANSACTIONS_KEPT: Final = 8_000
"""Encoded receipts kept in memory, over all blocks (about 1.5 KB each)."""


@dataclass(frozen=True, slots=True)
class EncodedReceipts:
    """A block's receipts as JSON values, in order."""

    block: Block
    receipts: list[dict[str, Any]]


class BlockLookup:
    """Reads of the chain in the words of JSON-RPC."""

    def __init__(self, chain: ChainReads, clock: Clock, lane: WorkLane, pending: PendingBlocks) -> None:
        self._chain = chain
        self._pending = pending
        self._clock = clock
        self._lane = lane
        self._encoding = asyncio.Lock()
        self._receipts: OrderedDict[Hash32, EncodedReceipts] = OrderedDict()
        self._receipts_kept = 0

    def number(self, block: BlockNumber) -> int:
        """The height that a tag or number names. ``pending`` is one above the head."""
        if isinstance(block, int):
            return block
        return self.header_of_tag(block).number

    def header_of_tag(self, tag: Tag) -> Header:
        """The header that a tag names; ``pending`` gives a header that no one has sealed."""
        if tag is Tag.LATEST:
            return self._chain.head
        if tag is Tag.PENDING:
            return self.pending_header()
        if tag is Tag.SAFE:
            return self._chain.safe
        if tag is Tag.FINALIZED:
            return self._chain.finalized
        genesis = self._chain.header_by_number(0)
        if genesis is None:
            raise refused("header not found")
        return genesis

    def find(self, block: BlockId) -> Header | None:
        """The header, or None where there is no such block."""
        if isinstance(block, BlockHash):
            header = self._chain.header_by_hash(block.hash)
            if header is not None and block.require_canonical and not canonical(self._chain, header):
                raise refused("hash is not currently canonical")
            return header
        if isinstance(block, Tag):
            return self.header_of_tag(block)
        if block > self._chain.head.number:
            return None
        return self._chain.header_by_number(block)

    def header(self, block: BlockId) -> Header:
        """The header. Raises RpcError "header not found" (words that web3.py knows)."""
        header = self.find(block)
        if header is None:
            raise refused("header for hash not found" if isinstance(block, BlockHash) else "header not found")
        return header

    def block(self, block: BlockId) -> Block | None:
        """The block with its body, or None. The pending one has what the pool would put into it."""
        header = self.find(block)
        if header is None:
            return None
        if block is Tag.PENDING:
            made = self._pending.current()
            return made.block if made else Block(header, (), (), () if header.withdrawals_root is not None else None)
        return self._chain.block_by_hash(header.hash)

    def state(self, block: BlockId) -> tuple[Header, StateView]:
        """A header and the state after it."""
        if block is Tag.PENDING:
            made = self._pending.current()
            return (made.block.header, made.view) if made else (self.pending_header(), self._head_view())
        header = self.header(block)
        require_state(self._chain, header)
        return header, self._chain.view_at(header)

    def committed(self, block: BlockId) -> tuple[Header, StateView]:
        """As ``state``, but of what lies in tries: for ``pending`` the head's state under an empty block."""
        if block is Tag.PENDING:
            return self._empty_header(), self._head_view()
        return self.state(block)

    def _head_view(self) -> StateView:
        return self._chain.view_at(self._chain.head)

    def pending_header(self) -> Header:
        """The next block as far as it is known: parent, height, limits and fees by the rules, time by the clock."""
        made = self._pending.current()
        return made.block.header if made is not None else self._empty_header()

    def _empty_header(self) -> Header:
        head = self._chain.head
        timestamp = max(head.timestamp + 1, self._clock.now_ms() // 1000)
        spec = self._chain.next_spec(head, timestamp)
        with_blobs = spec.header_items > 17
        return Header(
            parent_hash=head.hash,
            coinbase=ZERO_ADDRESS,
            state_root=head.state_root,
            transactions_root=encoding.EMPTY_ROOT,
            receipts_root=encoding.EMPTY_ROOT,
            logs_bloom=EMPTY_BLOOM,
            number=head.number + 1,
            gas_limit=head.gas_limit,
            gas_used=0,
            timestamp=timestamp,
            prev_randao=head.prev_randao,
            base_fee_per_gas=base_fee(head) if spec.header_items > 15 else None,
            withdrawals_root=encoding.EMPTY_ROOT if spec.header_items > 16 else None,
            blob_gas_used=0 if with_blobs else None,
            excess_blob_gas=excess_blob_gas(head, spec) if with_blobs else None,
            parent_beacon_block_root=ZERO_HASH if with_blobs else None,
            requests_hash=encoding.EMPTY_REQUESTS_HASH if spec.header_items > 20 else None,
        )

    def blob_base_fee(self, header: Header) -> int | None:
        """Wei a blob gas inside this block; None where its fork has no blobs."""
        return None if header.excess_blob_gas is None else block_blob_base_fee(header, self._chain.spec_for(header))

    async def receipts(self, header: Header) -> EncodedReceipts | None:
        """The receipts of a stored block, encoded once while clients poll for them."""
        key = header.hash
        found = self._receipts.get(key)
        if found is not None:
            return found
        async with self._encoding:  # many clients ask for one new block at once: one of them encodes
            found = self._receipts.get(key)
            if found is not None:
                return found
            block = self._chain.block_by_hash(key)
            receipts = self._chain.receipts_of(key)
            if block is None or receipts is None:
                return None
            blob_base_fee = self.blob_base_fee(header)
            if len(block.transactions) <= INLINE_TRANSACTIONS_MAX:
                told = encoding.block_receipts(block, receipts, blob_base_fee)
            else:
                told = await self._lane.run(encoding.block_receipts, block, receipts, blob_base_fee)
            encoded = EncodedReceipts(block, told)
            self._keep(key, encoded)
            return encoded

    def _keep(self, key: Hash32, encoded: EncodedReceipts) -> None:
        self._receipts[key] = encoded
        self._receipts_kept += len(encoded.receipts)
        while len(self._receipts) > 1 and (
            len(self._receipts) > RECEIPT_BLOCKS_KEPT or self._receipts_kept > RECEIPT_TRANSACTIONS_KEPT
        ):
            _, oldest = self._receipts.popitem(last=False)
            self._receipts_kept -= len(oldest.receipts)


def require_state(chain: ChainReads, header: Header) -> None:
    """Raises RpcError where the state after a block has been pruned."""
    if header.number < chain.state_from:
        raise refused(
            f"historical state of block {header.number} is not available: this node keeps states from block "
            f"{chain.state_from} on"
        )
