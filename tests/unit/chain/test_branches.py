"""Blocks beside the canonical chain, and state writes that consensus orders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.chain.chain import Chain
from node.chain.head import SIDE_KEPT, ForkchoiceError
from node.primitives.scalars import Address, Hash32
from node.storage.database import MemoryDatabase
from node.types.blocks import Block
from node.types.operations import SetBalance, SetCode, SetNonce, SetStorage
from tests.builders import address, advance, build, make_chain, transfer

VAULT = Address(b"\x55" * 20)


async def _stored(chain: Chain, parent: Block, *senders: int, extra: bytes = b"", seconds: int = 1) -> Block:
    """A block on ``parent``, stored beside the canonical chain."""
    txs = [transfer(sender, 0) for sender in senders]
    block = await build(chain, parent.header, *txs, extra_data=extra, timestamp=parent.header.timestamp + seconds)
    await chain.store_block(block.hash, b"seal of " + block.hash)
    return block


def _above(chain: Chain) -> list[bytes]:
    return [block.hash for block, _ in chain.above_finalized()]


async def test_stored_branches_survive_a_restart_with_their_states_and_seals() -> None:
    database = MemoryDatabase()
    chain = make_chain(database)
    base = await advance(chain, transfer(3, 0))
    left = await _stored(chain, base, 0)
    right = await _stored(chain, base, 1)
    top = await _stored(chain, right, 2)
    assert chain.head == base.header
    again = make_chain(database)
    found = again.above_finalized()
    assert found[0][0].hash == base.hash
    assert {block.hash for block, _ in found} == {base.hash, left.hash, right.hash, top.hash}
    assert [block.number for block, _ in found] == [1, 2, 2, 3]
    assert {block.hash: seal for block, seal in found}[top.hash] == b"seal of " + top.hash
    # each branch can be built on and become the head, though this process has executed nothing
    account = again.view_at(left.header).account(address(9))
    assert account is not None
    assert account.balance == 2
    await build(again, top.header, transfer(0, 0))
    await again.forkchoice_updated(top.hash, base.hash, base.hash, {})
    assert again.head == top.header
    assert again.transaction_location(right.transactions[0].hash) == (right.hash, 0)
    assert again.receipts_of(top.hash) is not None


async def test_finality_cuts_branches_off_and_forgets_them_later() -> None:
    chain = make_chain()
    base = chain.block_by_number(0)
    assert base is not None
    left, right = await _stored(chain, base, 0), await _stored(chain, base, 1)
    await chain.forkchoice_updated(left.hash, base.hash, base.hash, {})
    await chain.forkchoice_updated(right.hash, right.hash, right.hash, {})
    assert _above(chain) == [right.hash]
    # the blocks that went stay readable for a while: their logs are told as removed
    assert chain.receipts_of(left.hash) is not None
    tip = right
    for _ in range(SIDE_KEPT):
        tip = await _stored(chain, tip)
        await chain.forkchoice_updated(tip.hash, tip.hash, tip.hash, {})
    assert chain.block_by_hash(left.hash) is None
    assert chain.seal_of(left.hash) is None
    assert chain.receipts_of(left.hash) is None
    assert chain.block_by_hash(right.hash) is not None
    assert chain.store.unfinalized() == []


async def test_a_reorganisation_that_finalizes_at_once_leaves_no_trace_of_the_loser() -> None:
    database = MemoryDatabase()
    chain = make_chain(database)
    base = await advance(chain)
    left = await _stored(chain, base, 0)
    await chain.forkchoice_updated(left.hash, base.hash, base.hash, {})
    right = await _stored(chain, base, 1)
    top = await _stored(chain, right, 2)
    await chain.forkchoice_updated(top.hash, top.hash, top.hash, {})
    assert _above(make_chain(database)) == [top.hash]
    # the loser waits to be forgotten, the winners are settled
    assert [block_hash for _, block_hash in chain.store.unfinalized()] == [left.hash]


async def test_storing_needs_an_executed_block() -> None:
    chain = make_chain()
    with pytest.raises(ForkchoiceError, match="not known"):
        await chain.store_block(Hash32(b"\x01" * 32), b"seal")


async def test_storing_twice_replaces_the_seal_only() -> None:
    database = MemoryDatabase()
    chain = make_chain(database)
    block = await _stored(chain, await advance(chain), 1)
    await chain.store_block(block.hash, b"other")
    assert chain.seal_of(block.hash) == b"other"
    assert len(chain.store.unfinalized()) == 1


OPERATIONS = (
    SetCode(VAULT, bytes.fromhex("5f5460005260206000f3")),
    SetStorage(VAULT, 0, 77),
    SetBalance(VAULT, 5),
    SetNonce(address(8), 3),
)


async def test_ordered_writes_go_ahead_of_the_transactions_on_every_node() -> None:
    database, other = MemoryDatabase(), make_chain()
    chain = make_chain(database)
    block = await build(chain, chain.head, transfer(0, 0, to=VAULT, gas_limit=60_000), operations=OPERATIONS)
    answer = await other.new_payload(block, OPERATIONS)
    assert answer.valid, answer.reason
    await chain.forkchoice_updated(block.hash, block.hash, block.hash, {})
    view = make_chain(database).view_at(block.header)
    vault, counted = view.account(VAULT), view.account(address(8))
    assert vault is not None
    assert counted is not None
    assert (vault.balance, counted.nonce) == (6, 3)
    assert view.slot(VAULT, 0) == 77
    assert make_chain(database).operations_of(block.hash) == OPERATIONS


async def test_other_writes_give_another_state_root() -> None:
    chain, other = make_chain(), make_chain()
    block = await build(chain, chain.head, transfer(0, 0), operations=OPERATIONS)
    for wrong in ((), (*OPERATIONS[:3], replace(OPERATIONS[3], nonce=4))):
        answer = await other.new_payload(block, wrong)
        assert not answer.valid
        assert answer.reason == "INVALID_STATE_ROOT"


async def test_an_account_that_is_emptied_is_removed() -> None:
    chain = make_chain()
    gone = address(1)
    block = await build(chain, chain.head, operations=(SetBalance(gone, 0),))
    assert chain.view_at(block.header).account(gone) is None
