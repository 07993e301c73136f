"""How the pool follows the chain: told of each head, with the rules and fees of the block after it, and of finality."""

from __future__ import annotations

from node.chain.chain import Chain
from node.chain.feed import Finalized, NewHead, News
from node.execution.fees import base_fee, blob_base_fee, excess_blob_gas
from node.txpool.pool import NextBlock, TxPool


def follow(pool: TxPool, chain: Chain, news: News) -> None:
    """Whatever happened to the chain."""
    if isinstance(news, NewHead):
        follow_head(pool, chain, news)
    elif isinstance(news, Finalized):
        pool.on_finalized(news.header.number)


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
        number=header.number,
    )
