"""A pool over a world's head, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from node.execution.fees import base_fee
from node.primitives.scalars import GWEI
from node.txpool.pool import NextBlock, PoolConfig, TxPool
from node.types.transactions import Transaction
from tests.unit.execution.world import CHAIN_ID, World, transaction


def pool_on(world: World, **config: Any) -> TxPool:
    """A pool that knows the world's head."""
    pool = TxPool(PoolConfig(**config), CHAIN_ID)
    follow(pool, world)
    return pool


def follow(
    pool: TxPool, world: World, included: Iterable[Transaction] = (), reverted: Iterable[Transaction] = (), **more: Any
) -> None:
    """Tell the pool about the world's head."""
    following = NextBlock(base_fee=base_fee(world.head), gas_limit=world.head.gas_limit)
    pool.on_new_head(world.view(), world.spec, following, included, reverted, **more)


def paying(sender: int, nonce: int, tip: int, **fields: Any) -> Transaction:
    """A transfer with this tip in gwei."""
    return transaction(sender, nonce=nonce, max_priority_fee_per_gas=tip * GWEI, **fields)
