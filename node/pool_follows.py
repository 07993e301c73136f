"""How the pool follows the head: told of each new one, with the rules and fees of the block after it."""

from __future__ import annotations

from node.chain.chain import Chain
from node.chain.feed import NewHead
from node.execution.fees import base_fee, blob_base_fee, excess_blob_gas
from node.txpool.pool import NextBlock, TxPool


def follow_head(pool: TxPool, chain: Chain, news: NewHead) -> None:
    """Drop what the new blocks include, take back what the removed ones held, and price the next block."""
    header = news.header
    spec = chain.next_spec(header, header.timestamp + 1)
    excess = excess_blob_gas(header, spec)
    pool.on_new_head(
        chain.view_at(header),
        spec,
        NextBlock(
            base_fee=base_fee(header) if spec.has_base_fee else 0,
            gas_limit=header.gas_limit,
            blob_base_fee=0 if excess is None or spec.blobs is None else blob_base_fee(excess, spec.blobs),
        ),
        included=(tx for block in news.added for tx in block.transactions),
        reverted=(tx for block in reversed(news.removed) for tx in block.transactions),
        changed=news.changed,
    )
