"""Blob transactions in the pool: with their blobs, twice the fee to replace, back after a reorganisation."""

from __future__ import annotations

from typing import Any

import pytest

from network.load.constant_blobs import constant_sidecar, hashes_of
from node.primitives.scalars import ETHER, GWEI
from node.state.genesis_state import GenesisAccount
from node.txpool import limbo
from node.txpool.pool import TxPool
from node.txpool.rejection import PoolCode, PoolRejected
from node.types.blobs import Sidecar
from node.types.transactions import BLOB, Transaction
from tests.unit.execution.world import SENDERS, World, transaction
from tests.unit.txpool.pool_world import follow, pool_on

SIDECAR = constant_sidecar(3)


def blob_transaction(sidecar: Sidecar = SIDECAR, **fields: Any) -> Transaction:
    return transaction(
        **{"type": BLOB, "blob_versioned_hashes": hashes_of(sidecar), "max_fee_per_blob_gas": 10, **fields}
    )


def rejected(pool: TxPool, tx: Transaction, sidecar: Sidecar | None = SIDECAR) -> object:
    with pytest.raises(PoolRejected) as refusal:
        pool.add(tx, True, sidecar)
    return refusal.value.code


def test_it_waits_with_its_blobs_and_is_a_candidate_without_them() -> None:
    pool = pool_on(World())
    tx = blob_transaction()
    pool.add(tx, True, SIDECAR)
    assert pool.sidecar(tx.hash) == SIDECAR
    assert pool.sidecar(b"\x00" * 32) is None
    assert [one.encode() for one in pool.candidates(blob_base_fee=10)] == [tx.encode()]
    assert list(pool.candidates(blob_base_fee=11)) == []


def test_blobs_belong_to_blob_transactions_only() -> None:
    pool = pool_on(World())
    assert rejected(pool, blob_transaction(), None) is PoolCode.BLOBS_WITHOUT_SIDECAR
    assert rejected(pool, transaction()) is PoolCode.BLOBS_WITHOUT_SIDECAR


def test_blobs_count_as_bytes_of_the_pool() -> None:
    pool = pool_on(World(), bytes_max=SIDECAR.size)
    assert rejected(pool, blob_transaction()) is PoolCode.UNDERPRICED


def test_every_fee_must_be_twice_as_high_to_replace_it() -> None:
    pool = pool_on(World())
    old = blob_transaction()
    pool.add(old, True, SIDECAR)
    doubled = {"max_fee_per_gas": 2 * old.max_fee_per_gas, "max_priority_fee_per_gas": 4 * GWEI}
    assert rejected(pool, blob_transaction(**doubled, max_fee_per_blob_gas=19)) is PoolCode.REPLACEMENT_UNDERPRICED
    lower = {**doubled, "max_fee_per_gas": 2 * old.max_fee_per_gas - 1}
    assert rejected(pool, blob_transaction(**lower, max_fee_per_blob_gas=20)) is PoolCode.REPLACEMENT_UNDERPRICED
    assert rejected(pool, transaction(**doubled), None) is PoolCode.REPLACEMENT_UNDERPRICED
    new = blob_transaction(**doubled, max_fee_per_blob_gas=20)
    pool.add(new, True, SIDECAR)
    assert pool.sidecar(old.hash) is None
    assert pool.sidecar(new.hash) == SIDECAR


def after(nonce: int) -> World:
    """The sender has sent so many."""
    return World({SENDERS[0]: GenesisAccount(balance=10 * ETHER, nonce=nonce)})


def test_a_reorganisation_brings_it_back_with_its_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    pool = pool_on(world)
    first, second = blob_transaction(), blob_transaction(nonce=1)
    for tx in (first, second):
        pool.add(tx, True, SIDECAR)
    monkeypatch.setattr(limbo, "BYTES_MAX", SIDECAR.size)
    for nonce, tx in ((1, first), (2, second)):
        follow(pool, after(nonce), included=[tx])
    assert len(pool) == 0
    follow(pool, world, reverted=[first, second])
    assert pool.sidecar(second.hash) == SIDECAR
    assert first.hash not in pool, "the older blobs were let go"


def test_blobs_of_the_winning_branch_do_not_push_out_those_that_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by an hour of load: six blob transactions vanished in a reorganisation, and their senders hung."""
    world = World()
    pool = pool_on(world)
    lost, winning = blob_transaction(), blob_transaction(sender=1)
    for tx in (lost, winning):
        pool.add(tx, True, SIDECAR)
    monkeypatch.setattr(limbo, "BYTES_MAX", SIDECAR.size)
    follow(pool, after(1), included=[lost], number=5)
    follow(pool, world, included=[winning], reverted=[lost], number=6)
    assert pool.sidecar(lost.hash) == SIDECAR
    follow(pool, world, reverted=[winning], number=7)
    assert pool.sidecar(winning.hash) == SIDECAR


def test_blobs_are_kept_until_their_block_is_final_however_many_follow() -> None:
    world = World()
    pool = pool_on(world)
    txs = [blob_transaction(nonce=nonce) for nonce in range(100)]  # 13 MB
    for tx in txs:
        pool.add(tx, True, SIDECAR)
    for nonce, tx in enumerate(txs):
        follow(pool, after(nonce + 1), included=[tx], number=nonce + 1)
    pool.on_finalized(40)
    assert len(pool._limbo) == 60
    follow(pool, after(40), reverted=txs[40:], number=40)
    assert [pool.sidecar(tx.hash) for tx in txs[40:]] == [SIDECAR] * 60
    assert len(pool._limbo) == 0


def test_what_both_branches_hold_can_come_back_from_the_second() -> None:
    pool = pool_on(World())
    tx = blob_transaction()
    pool.add(tx, True, SIDECAR)
    follow(pool, after(1), included=[tx], number=1)
    follow(pool, after(1), included=[tx], reverted=[tx], number=2)
    pool.on_finalized(1)  # it stands higher now
    follow(pool, World(), reverted=[tx], number=1)
    assert pool.sidecar(tx.hash) == SIDECAR
