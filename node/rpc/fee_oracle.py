"""What to offer for gas: tips that recent blocks accepted, and the history of fees (EIP-1559, 4844)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.evm.spec import GAS_PER_BLOB
from node.execution.fees import base_fee, blob_base_fee, block_blob_base_fee, excess_blob_gas
from node.primitives.bounded_cache import BoundedCache
from node.primitives.scalars import Hash32
from node.rpc.backend import ChainReads
from node.types.blocks import Block, Header
from node.types.transactions import UNSIGNED

SAMPLED_BLOCKS: Final = 20
SAMPLED_TIPS_PER_BLOCK: Final = 3
SUGGESTED_PERCENTILE: Final = 60
DEFAULT_TIP: Final = 1_000_000_000
"""Wei a gas, where recent blocks hold no transaction to learn from."""
TIP_MAX: Final = 500 * 10**9
TIPS_KEPT: Final = 16_384
"""Different tips in memory, over all blocks (about 100 bytes each); a block counts for eight more."""


@dataclass(frozen=True, slots=True)
class BlockFees:
    """What one block's transactions paid above the base fee, in wei a gas.

    ``tips``: each tip that was paid with the gas of all that paid it, rising. ``lowest``: the lowest tips, one a
    transaction, at most SAMPLED_TIPS_PER_BLOCK.
    """

    tips: tuple[tuple[int, int], ...] = ()
    lowest: tuple[int, ...] = ()

    def percentiles(self, percentiles: Sequence[float], gas_used: int) -> list[int]:
        """The tip at each percentile of the block's gas; zeros for an empty block."""
        if not self.tips:
            return [0] * len(percentiles)
        rewards: list[int] = []
        position, reached = 0, self.tips[0][1]
        for percentile in percentiles:
            threshold = int(gas_used * percentile / 100)
            while reached < threshold and position < len(self.tips) - 1:
                position += 1
                reached += self.tips[position][1]
            rewards.append(self.tips[position][0])
        return rewards


def fees_paid(paid: list[tuple[int, int]]) -> BlockFees:
    """What transactions paid, told as (tip, gas used) of each."""
    paid = sorted(paid)
    gas_by_tip: dict[int, int] = {}
    for tip, gas in paid:
        gas_by_tip[tip] = gas_by_tip.get(tip, 0) + gas
    return BlockFees(tuple(gas_by_tip.items()), tuple(tip for tip, _ in paid[:SAMPLED_TIPS_PER_BLOCK]))


class FeeOracle:
    """Reads blocks once each and remembers what they paid."""

    def __init__(self, chain: ChainReads) -> None:
        self._chain = chain
        self._fees: BoundedCache[Hash32, BlockFees] = BoundedCache(TIPS_KEPT, lambda fees: len(fees.tips) + 8)
        self._suggested: tuple[Hash32, int] | None = None

    def tip(self) -> int:
        """A priority fee that recent blocks accepted, wei a gas."""
        head = self._chain.head
        block_hash = head.hash
        if self._suggested is None or self._suggested[0] != block_hash:
            self._suggested = (block_hash, self._suggest(head))
        return self._suggested[1]

    def _suggest(self, head: Header) -> int:
        tips: list[int] = []
        for number in range(head.number, max(-1, head.number - SAMPLED_BLOCKS), -1):
            header = self._chain.header_by_number(number)
            if header is None:
                break
            tips += self.paid_in(header).lowest
        if not tips:
            return DEFAULT_TIP
        tips.sort()
        return min(tips[(len(tips) - 1) * SUGGESTED_PERCENTILE // 100], TIP_MAX)

    def paid_in(self, header: Header) -> BlockFees:
        """The tips of a stored block."""
        key = header.hash
        fees = self._fees.get(key)
        if fees is None:
            block = self._chain.block_by_hash(key) if header.gas_used else None
            fees = BlockFees() if block is None else self._read(block)
            self._fees.put(key, fees)
        return fees

    def _read(self, block: Block) -> BlockFees:
        receipts = self._chain.receipts_of(block.hash)
        if receipts is None:
            return BlockFees()
        fee = block.header.base_fee_per_gas or 0
        paid: list[tuple[int, int]] = []
        before = 0
        for tx, receipt in zip(block.transactions, receipts, strict=True):
            if tx.type != UNSIGNED:  # pays nothing, so its price says nothing
                paid.append((tx.effective_gas_price(fee) - fee, receipt.cumulative_gas_used - before))
            before = receipt.cumulative_gas_used
        return fees_paid(paid)

    # --- per block ---

    def next_base_fee(self, header: Header) -> int:
        """The base fee of a child of ``header``; 0 while it has none."""
        spec = self._chain.next_spec(header, header.timestamp + 1)
        return base_fee(header) if spec.header_items > 15 else 0

    def blob_base_fee(self, header: Header) -> int:
        """Wei a blob gas inside this block; 0 where its fork has no blobs."""
        return block_blob_base_fee(header, self._chain.spec_for(header))

    def next_blob_base_fee(self, header: Header) -> int:
        """Wei a blob gas inside a child of ``header``."""
        spec = self._chain.next_spec(header, header.timestamp + 1)
        excess = excess_blob_gas(header, spec)
        return 0 if spec.blobs is None or excess is None else blob_base_fee(excess, spec.blobs)

    def blob_ratio(self, header: Header) -> float:
        """Used share of the block's blob room."""
        rules = self._chain.spec_for(header).blobs
        if rules is None or not header.blob_gas_used:
            return 0
        return header.blob_gas_used / (rules.max * GAS_PER_BLOB)
