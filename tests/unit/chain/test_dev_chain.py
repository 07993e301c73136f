"""Unsigned transactions: on a chain for development they act for anybody, order state writes, restore states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.chain.chain import Chain
from node.execution.intrinsic import intrinsic_gas
from node.primitives.scalars import Address
from node.storage.database import MemoryDatabase
from node.types.invalid import InvalidTransaction
from node.types.operations import (
    ORDERS,
    TIME_SLOT,
    Operation,
    RestoreState,
    SetBalance,
    SetStorage,
    encode_operations,
)
from node.types.transactions import UNSIGNED, Transaction, decode
from tests.builders import CHAIN_ID, address, build, finalize, genesis_json, make_chain, make_genesis, transfer

DEV = Address(b"\xde" * 20)


def dev_chain(database: MemoryDatabase | None = None) -> Chain:
    config: Any = {**genesis_json()["config"], "evmesh": {"engine": "instant", "dev": True}}  # type: ignore[dict-item]
    return make_chain(database, make_genesis(config=config))


def unsigned(nonce: int, to: Address = ORDERS, origin: Address = DEV, **fields: Any) -> Transaction:
    return Transaction(
        type=UNSIGNED,
        nonce=nonce,
        gas_limit=fields.pop("gas_limit", 100_000),
        to=to,
        value=fields.pop("value", 0),
        data=fields.pop("data", b""),
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        chain_id=CHAIN_ID,
        origin=origin,
    )


def order(nonce: int, *operations: Operation) -> Transaction:
    return unsigned(nonce, data=encode_operations(operations))


def test_the_encoding_comes_back_and_names_the_sender() -> None:
    tx = unsigned(3, address(1), data=b"\x01\x02", value=7)
    again = decode(tx.encode())
    assert again == tx
    assert again.sender == DEV
    assert again.hash == tx.hash
    assert replace(tx, origin=address(2)).hash != tx.hash
    for cut in (b"\x7e", tx.encode()[:-1], b"\x7e\xc0"):
        with pytest.raises(InvalidTransaction):
            decode(cut)


async def test_orders_are_carried_out_alike_on_every_node() -> None:
    database, other = MemoryDatabase(), dev_chain()
    chain = dev_chain(database)
    block = await build(chain, chain.head, order(0, SetBalance(address(9), 5), SetStorage(ORDERS, TIME_SLOT, 60)))
    assert len(block.transactions) == 1
    assert (await other.new_payload(block)).valid
    await finalize(chain, block)
    assert chain.seconds_ahead(chain.head) == 60, "the account that keeps it does not count as empty"
    again = dev_chain(database)
    assert again.seconds_ahead(again.head) == 60
    account = again.view_at(again.head).account(address(9))
    assert account is not None
    assert account.balance == 5


async def test_acting_for_somebody_costs_nothing_but_the_value() -> None:
    chain = dev_chain()
    before = chain.view_at(chain.head).account(address(0))
    block = await build(chain, chain.head, unsigned(0, address(9), address(0), value=11, gas_limit=21_000))
    after = chain.view_at(block.header).account(address(0))
    assert before is not None
    assert after is not None
    assert (before.balance - after.balance, after.nonce) == (11, 1)


async def test_a_state_is_restored_and_ends_its_block() -> None:
    chain, other = dev_chain(), dev_chain()
    first = await build(chain, chain.head, order(0, SetBalance(address(9), 5)))
    await finalize(chain, first)
    second = await build(chain, first.header, transfer(0, 0), order(1, SetBalance(address(9), 6)))
    await finalize(chain, second)
    third = await build(chain, second.header, order(2, RestoreState(1)), transfer(1, 0))
    assert [tx.type for tx in third.transactions] == [UNSIGNED], "nothing follows a restored state"
    assert third.header.state_root == first.header.state_root
    await finalize(chain, third)
    for block in (first, second, third):
        assert (await other.new_payload(block)).valid
        await other.forkchoice_updated(block.hash, block.hash, block.hash, {})
    # and the chain goes on from there
    fourth = await build(chain, third.header, transfer(0, 0), order(1, SetBalance(address(9), 8)))
    assert len(fourth.transactions) == 2
    assert (await other.new_payload(fourth)).valid


@pytest.mark.parametrize(
    "bad",
    [
        unsigned(0, data=b"junk"),
        order(0, RestoreState(0), SetBalance(DEV, 1)),
        order(0, RestoreState(1)),
        order(0, RestoreState(99)),
        order(1, SetBalance(DEV, 1)),
        replace(order(0), gas_limit=20_999),
        unsigned(0, address(1), DEV, value=1),
    ],
    ids=["junk", "not last", "itself", "future", "nonce", "gas", "funds"],
)
async def test_what_cannot_stand_is_left_out(bad: Transaction) -> None:
    chain = dev_chain()
    block = await build(chain, chain.head, bad)
    assert block.transactions == ()


async def test_ordinary_chains_know_no_unsigned_transactions() -> None:
    chain = make_chain()
    block = await build(chain, chain.head, order(0, SetBalance(DEV, 1)))
    assert block.transactions == ()
    assert max(intrinsic_gas(order(0), chain.spec_for(chain.head))) > 0
    # and a proposer that puts one in is refused
    liar = dev_chain()
    made = await build(liar, liar.head, order(0, SetBalance(DEV, 1)))
    forged = replace(made, header=replace(made.header, parent_hash=chain.head.hash))
    answer = await chain.new_payload(forged)
    assert not answer.valid
