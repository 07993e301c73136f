"""The pool follows the head across a reorganisation."""

from __future__ import annotations

import pytest

from node.chain.feed import NewHead
from node.pool_follows import follow, follow_head
from node.txpool.pool import PoolConfig, TxPool
from tests.builders import CHAIN_ID, advance, build, make_chain, transfer


async def test_what_a_lost_branch_held_waits_again_unless_the_new_one_has_it() -> None:
    chain = make_chain()
    pool = TxPool(PoolConfig(), CHAIN_ID)
    follow_head(pool, chain, NewHead(chain.head, (), ()))
    chain.feed.subscribe(lambda news: follow(pool, chain, news))
    base = await advance(chain)
    first, second, shared, other = transfer(0, 0), transfer(0, 1), transfer(1, 0), transfer(2, 0)
    for tx in (first, second, shared, other):
        pool.add(tx, local=True)
    left = await build(chain, base.header, first, shared)
    left_top = await build(chain, left.header, second)
    right = await build(chain, base.header, shared, extra_data=b"right")
    await chain.forkchoice_updated(left_top.hash, base.hash, base.hash, {})
    assert [tx.hash for tx in pool.candidates()] == [other.hash]
    await chain.forkchoice_updated(right.hash, base.hash, base.hash, {})
    assert {tx.hash for tx in pool.candidates()} == {first.hash, second.hash, other.hash}
    assert pool.status() == (3, 0)


async def test_it_hears_what_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_chain()
    pool = TxPool(PoolConfig(), CHAIN_ID)
    told: list[int] = []
    monkeypatch.setattr(pool, "on_finalized", told.append)
    chain.feed.subscribe(lambda news: follow(pool, chain, news))
    first = await build(chain, chain.head)
    second = await build(chain, first.header)
    await chain.forkchoice_updated(second.hash, first.hash, first.hash, {})
    assert told == [1]
    await chain.forkchoice_updated(second.hash, second.hash, second.hash, {})
    assert told == [1, 2]
