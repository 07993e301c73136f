"""A full pool: the cheapest gives way, from the end of its sender's nonces, remote before local."""

from __future__ import annotations

import pytest

from node.primitives.scalars import ETHER, GWEI
from node.txpool.pool import TxPool
from node.txpool.rejection import PoolRejected
from node.types.transactions import Transaction
from tests.unit.execution.world import World, transaction
from tests.unit.txpool.pool_world import follow, paying, pool_on

WORLD = World()


def filled(*txs: Transaction, local: bool = False, **config: int) -> TxPool:
    pool = pool_on(WORLD, slots_max=len(txs), **config)
    for tx in txs:
        pool.add(tx, local)
    return pool


def words(pool: TxPool, tx: Transaction, local: bool = False) -> str:
    before = pool.transactions()
    with pytest.raises(PoolRejected) as rejected:
        pool.add(tx, local)
    assert pool.transactions() == before
    return rejected.value.message


def test_cheapest_gives_way_to_a_better_one() -> None:
    cheap, good = paying(0, 0, 1), paying(1, 0, 5)
    pool = filled(cheap, good)
    better = paying(2, 0, 3)
    pool.add(better, local=False)
    assert pool.transactions() == [good, better]


def test_no_better_one_is_underpriced() -> None:
    pool = filled(paying(0, 0, 3), paying(1, 0, 5))
    assert words(pool, paying(2, 0, 3)) == "transaction underpriced"
    assert words(pool, paying(2, 0, 2)) == "transaction underpriced"


def test_tip_counts_as_far_as_the_cap_allows() -> None:
    bragging = paying(0, 0, 5, max_fee_per_gas=5 * GWEI)  # 4 gwei above the base fee of 1
    pool = filled(bragging, paying(1, 0, 9))
    assert words(pool, paying(2, 0, 4, max_fee_per_gas=5 * GWEI)) == "transaction underpriced"
    pool.add(paying(2, 0, 4), local=False)
    assert bragging.hash not in pool


def test_queued_ones_go_before_executable_ones() -> None:
    gapped, poor = paying(0, 7, 50), paying(1, 0, 0)
    pool = filled(gapped, poor)
    pool.add(paying(2, 0, 1), local=False)
    assert gapped.hash not in pool
    assert words(pool, paying(3, 4, 80)) == "txpool is full"


def test_last_nonce_of_the_cheapest_sender_leaves() -> None:
    first, second, third = paying(0, 0, 1), paying(0, 1, 50), paying(0, 2, 50)
    pool = filled(first, second, third)
    pool.add(paying(1, 0, 2), local=False)
    assert third.hash not in pool
    assert pool.status() == (3, 0)
    # ... and its own sender cannot push it out with a later nonce.
    assert words(pool, paying(0, 2, 90)) == "transaction underpriced"


def test_local_ones_stay_while_there_are_remote_ones() -> None:
    local, remote = paying(0, 0, 0), paying(1, 0, 50)
    pool = filled(remote)
    pool = pool_on(WORLD, slots_max=2)
    pool.add(local, local=True)
    pool.add(remote, local=False)
    pool.add(paying(2, 0, 60), local=False)
    assert local.hash in pool
    assert remote.hash not in pool
    cheap_local = paying(3, 0, 0)
    pool.add(cheap_local, local=True)
    assert pool.transactions() == [local, cheap_local]
    assert words(pool, paying(4, 0, 99)) == "transaction underpriced"


def test_pool_of_local_ones_is_bounded_too() -> None:
    low, high = paying(0, 0, 1), paying(1, 0, 5)
    pool = filled(low, high, local=True)
    assert words(pool, paying(2, 0, 1), local=True) == "transaction underpriced"
    third = paying(2, 0, 2)
    pool.add(third, local=True)
    assert pool.transactions() == [high, third]


def test_bytes_are_bounded() -> None:
    size = len(transaction(data=bytes(1_000), gas_limit=100_000).encode())
    pool = pool_on(WORLD, bytes_max=3 * size)
    small = [paying(sender, 0, sender + 1, data=bytes(1_000), gas_limit=100_000) for sender in range(3)]
    for tx in small:
        pool.add(tx, local=False)
    large = paying(4, 0, 9, data=bytes(1_900), gas_limit=100_000)
    pool.add(large, local=False)
    assert pool.transactions() == [small[2], large]
    # Too good for one victim, but not for all that would have to go: nothing changes.
    medium = paying(5, 0, 4, data=bytes(2_900), gas_limit=100_000)
    assert words(pool, medium) == "transaction underpriced"


def test_replacement_needs_no_place() -> None:
    pool = filled(paying(0, 0, 1), paying(1, 0, 5))
    new = paying(0, 0, 2, max_fee_per_gas=120 * GWEI)
    pool.add(new, local=False)
    assert new.hash in pool
    assert len(pool) == 2


def test_replaced_ones_give_their_bytes_back() -> None:
    size = len(paying(0, 0, 1).encode())
    pool = pool_on(WORLD, bytes_max=2 * size + 20)
    pool.add(paying(0, 0, 1), local=False)
    for round_number in range(1, 6):
        pool.add(paying(0, 0, 2**round_number, max_fee_per_gas=(100 + 20 * round_number) * GWEI), local=False)
    pool.add(paying(1, 0, 1), local=False)
    assert len(pool) == 2


def test_order_follows_the_base_fee() -> None:
    world = World()
    steep, flat = paying(0, 0, 8, max_fee_per_gas=9 * GWEI), paying(1, 0, 4)
    pool = pool_on(world, slots_max=2)
    pool.add(steep, local=False)
    pool.add(flat, local=False)
    assert words(pool, paying(2, 0, 4)) == "transaction underpriced"
    dear = World(base_fee=7 * GWEI)
    follow(pool, dear)
    pool.add(paying(2, 0, 3), local=False)
    assert steep.hash not in pool


def test_transaction_that_became_queued_is_found_again() -> None:
    pool = pool_on(WORLD, slots_max=3)
    first, second = (transaction(0, nonce=nonce, value=4 * ETHER) for nonce in range(2))
    other = paying(1, 0, 1)
    for tx in (first, second, other):
        pool.add(tx, local=False)
    assert words(pool, paying(2, 0, 1)) == "transaction underpriced"  # the order stands now
    dear = paying(0, 0, 9, value=8 * ETHER, max_fee_per_gas=120 * GWEI)
    pool.add(dear, local=False)
    newcomer = paying(2, 0, 1)
    pool.add(newcomer, local=False)
    assert second.hash not in pool
    assert other.hash in pool
