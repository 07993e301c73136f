"""Blocks before the Merge: difficulty, ommers, rewards, receipts with roots, signatures of their time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.crypto.secp256k1 import ORDER
from node.evm.spec import DifficultyRule, Spec
from node.execution.block import block_size, receipts_root
from node.execution.difficulty import next_difficulty
from node.execution.header import check_header, next_header_fields
from node.execution.ommers import ommers_hash
from node.execution.validity import check_static
from node.forks import (
    berlin,
    byzantium,
    constantinople,
    frontier,
    gray_glacier,
    homestead,
    london,
    spurious_dragon,
    tangerine_whistle,
)
from node.primitives.scalars import ETHER, GWEI, Address, Hash32
from node.types.blocks import Block, Header, decode_block
from node.types.invalid import BlockReason, InvalidBlock, InvalidTransaction
from node.types.transactions import Transaction
from tests.unit.execution.world import COINBASE, NOBODY, SENDERS, World, transaction

MINED = [frontier, homestead, spurious_dragon, byzantium, constantinople, berlin, london, gray_glacier]
OMMER_COINBASE = Address(b"\x0e" * 20)


def mined(spec: Spec = byzantium.SPEC) -> World:
    return World(spec=spec, system_contracts=False)


def legacy(nonce: int = 0, sender: int = 0, **fields: Any) -> Transaction:
    return transaction(sender, nonce=nonce, gas_price=20 * GWEI, chain_id=None, **fields)


@pytest.mark.parametrize("module", MINED)
def test_a_built_block_stands_and_pays_its_coinbase(module: Any) -> None:
    world = mined(module.SPEC)
    built = world.extend(legacy(), legacy(1))
    header = built.block.header
    assert header.difficulty > 0
    paid = world.balance(COINBASE)
    tip = 20 * GWEI - (header.base_fee_per_gas or 0)
    assert paid == module.SPEC.block_reward + 42_000 * tip
    assert decode_block(built.block.encode()) == built.block
    assert block_size(built.block) == len(built.block.encode())


@pytest.mark.parametrize(
    ("spec", "ether"),
    [(frontier.SPEC, 5), (tangerine_whistle.SPEC, 5), (byzantium.SPEC, 3), (constantinople.SPEC, 2), (london.SPEC, 2)],
)
def test_rewards_of_the_forks(spec: Spec, ether: int) -> None:
    world = mined(spec)
    world.extend()
    assert world.balance(COINBASE) == ether * ETHER


# --- difficulty: worked by hand from the Yellow Paper and the EIPs ---

PARENT = replace(mined().head, difficulty=2_048_000, timestamp=1_000)
WITH_OMMERS = replace(PARENT, ommers_hash=Hash32(bytes(32)))


@pytest.mark.parametrize(
    ("parent", "late", "rule", "expected"),
    [
        (PARENT, 12, frontier.SPEC.difficulty, 2_049_000),
        (PARENT, 13, frontier.SPEC.difficulty, 2_047_000),
        (PARENT, 9, homestead.SPEC.difficulty, 2_049_000),
        (PARENT, 19, homestead.SPEC.difficulty, 2_048_000),
        (PARENT, 20, homestead.SPEC.difficulty, 2_047_000),
        (PARENT, 100_000, homestead.SPEC.difficulty, 2_048_000 - 99_000),
        (PARENT, 100_000, byzantium.SPEC.difficulty, 2_048_000 - 99_000),
        (PARENT, 8, byzantium.SPEC.difficulty, 2_049_000),
        (PARENT, 9, byzantium.SPEC.difficulty, 2_048_000),
        (WITH_OMMERS, 8, byzantium.SPEC.difficulty, 2_050_000),
        (WITH_OMMERS, 18, byzantium.SPEC.difficulty, 2_048_000),
        (replace(PARENT, difficulty=131_072), 1_000, homestead.SPEC.difficulty, 131_072),
        (replace(PARENT, number=199_998), 10, homestead.SPEC.difficulty, 2_048_000),
        (replace(PARENT, number=199_999), 10, homestead.SPEC.difficulty, 2_048_001),
        (replace(PARENT, number=499_999), 10, homestead.SPEC.difficulty, 2_048_008),
        (replace(PARENT, number=3_499_998), 9, byzantium.SPEC.difficulty, 2_048_000 + 2**2),
        (replace(PARENT, number=3_499_999), 9, byzantium.SPEC.difficulty, 2_048_000 + 2**3),
        (replace(PARENT, number=11_699_999), 9, gray_glacier.SPEC.difficulty, 2_048_000 + 2**1),
    ],
)
def test_difficulty(parent: Header, late: int, rule: DifficultyRule, expected: int) -> None:
    assert next_difficulty(parent, parent.timestamp + late, rule) == expected


def refused(world: World, block: Block) -> InvalidBlock:
    with pytest.raises(InvalidBlock) as caught:
        world.apply(block)
    return caught.value


def test_another_difficulty_is_refused() -> None:
    world = mined()
    block = world.build().block
    lying = replace(block, header=replace(block.header, difficulty=block.header.difficulty + 1))
    refusal = refused(world, lying)
    assert refusal.reason is BlockReason.INVALID_DIFFICULTY
    assert refusal.facts["ours"] == block.header.difficulty


def test_the_seal_is_not_looked_at() -> None:
    world = mined()
    block = world.build().block
    world.apply(replace(block, header=replace(block.header, nonce=b"\x07" * 8)))


# --- London ---


def test_the_gas_limit_doubles_where_the_base_fee_begins() -> None:
    world = mined(berlin.SPEC)
    world.extend()
    world.spec = london.SPEC
    built = world.extend(gas_limit_target=60_000_000)
    assert built.block.header.gas_limit == 60_000_000
    assert built.block.header.base_fee_per_gas == 1_000_000_000
    assert next_header_fields(world.head, london.SPEC, 60_000_000).gas_limit == 60_000_000
    check_header(world.build().block.header, world.head, london.SPEC)


@pytest.mark.parametrize(("gas_limit", "stands"), [(60_058_592, True), (60_058_593, False), (30_000_000, False)])
def test_the_first_gas_limit_is_judged_by_the_doubled_one(gas_limit: int, stands: bool) -> None:
    world = mined(berlin.SPEC)
    world.spec = london.SPEC
    header = replace(world.build(gas_limit_target=60_000_000).block.header, gas_limit=gas_limit)
    if stands:
        check_header(header, world.head, london.SPEC)
    else:
        with pytest.raises(InvalidBlock, match="INVALID_GASLIMIT"):
            check_header(header, world.head, london.SPEC)


# --- receipts ---


def test_receipts_hold_the_root_behind_their_transaction_until_a_status_comes() -> None:
    world = mined(spurious_dragon.SPEC)
    one, two = (receipt.status_or_root for receipt in world.build([legacy(), legacy(1)]).result.receipts)
    assert isinstance(one, bytes)
    assert isinstance(two, bytes)
    assert one != two
    alone = world.build([legacy()])
    assert alone.result.receipts[0].status_or_root == one
    assert alone.block.header.state_root != one, "the reward comes after"
    assert alone.block.header.receipts_root == receipts_root(alone.result.receipts)
    later = mined(byzantium.SPEC)
    assert [receipt.status_or_root for receipt in later.build([legacy(), legacy(1)]).result.receipts] == [1, 1]


# --- signatures of their time ---


def high(tx: Transaction) -> Transaction:
    return replace(tx, s=ORDER - tx.s, y_parity=1 - tx.y_parity)


def test_a_high_s_stands_in_the_first_fork_only() -> None:
    """EIP-2: the other half of a signature recovers the same key, so it would be a second hash of one payment."""
    tx = high(legacy())
    assert check_static(tx, frontier.SPEC, 1337, 30_000_000).sender == SENDERS[0]
    for spec in (homestead.SPEC, london.SPEC):
        with pytest.raises(InvalidTransaction, match="INVALID_SIGNATURE_VRS"):
            check_static(tx, spec, 1337, 30_000_000)


def test_a_signature_binds_no_chain_before_its_fork() -> None:
    """EIP-155."""
    tx = transaction(gas_price=GWEI)
    assert check_static(tx, spurious_dragon.SPEC, 1337, 30_000_000).sender == SENDERS[0]
    with pytest.raises(InvalidTransaction, match="INVALID_SIGNATURE_VRS"):
        check_static(tx, tangerine_whistle.SPEC, 1337, 30_000_000)


# --- ommers ---


def naming(world: World, *ommers: Header) -> Block:
    """The next block of ``world`` with these ommers, its state root not adapted."""
    block = replace(world.build().block, ommers=ommers)
    return replace(block, header=replace(block.header, ommers_hash=ommers_hash(block)))


def side_block(world: World, **fields: Any) -> Header:
    """A brother of the next block of ``world``."""
    header = world.build().block.header
    return replace(header, coinbase=OMMER_COINBASE, **fields)


def with_root(world: World, block: Block) -> Block:
    """The block with the state root that executing it gives."""
    root = refused(world, block).facts["ours"]
    assert isinstance(root, bytes)
    return replace(block, header=replace(block.header, state_root=Hash32(root)))


@pytest.mark.parametrize(("generations", "eighths"), [(1, 7), (2, 6), (6, 2)])
def test_an_ommer_and_its_nephew_are_paid(generations: int, eighths: int) -> None:
    world = mined()
    ommer = side_block(world)
    for _ in range(generations):
        world.extend(coinbase=NOBODY)
    block = with_root(world, naming(world, ommer))
    world.accept(block, world.apply(block))
    assert world.balance(OMMER_COINBASE) == 3 * ETHER * eighths // 8
    assert world.balance(COINBASE) == 3 * ETHER + 3 * ETHER // 32
    # a second time it may not stand: in the next block, nor twice in one
    assert refused(world, naming(world, ommer)).reason in (
        BlockReason.UNCLE_IN_CHAIN,
        BlockReason.UNCLE_UNKNOWN_PARENT,
    )


def test_ommers_that_may_not_stand() -> None:
    world = mined()
    root = world.head
    ommer = side_block(world)
    other = side_block(world, extra_data=b"2")
    third = side_block(world, extra_data=b"3")
    world.extend()
    parent = world.head

    def reason(*ommers: Header) -> BlockReason:
        return refused(world, naming(world, *ommers)).reason

    assert reason(ommer, other) is BlockReason.INVALID_STATE_ROOT, "two may stand"
    assert reason(ommer, other, third) is BlockReason.TOO_MANY_UNCLES
    assert reason(ommer, ommer) is BlockReason.UNCLE_IN_CHAIN
    assert reason(parent) is BlockReason.UNCLE_IS_ANCESTOR
    assert reason(side_block(world)) is BlockReason.UNCLE_IS_BROTHER
    assert reason(replace(ommer, parent_hash=Hash32(b"\x01" * 32))) is BlockReason.UNCLE_UNKNOWN_PARENT
    for field, value in (("difficulty", 5), ("number", 7), ("timestamp", root.timestamp), ("gas_limit", 5)):
        broken: Any = {field: value}
        assert reason(replace(ommer, **broken)) is BlockReason.UNCLE_INVALID
    for _ in range(5):
        world.extend()
    assert reason(ommer) is BlockReason.INVALID_STATE_ROOT, "six generations"
    world.extend()
    assert reason(ommer) is BlockReason.UNCLE_UNKNOWN_PARENT


def test_the_header_names_the_ommers_of_its_body() -> None:
    world = mined()
    ommer = side_block(world)
    world.extend()
    block = naming(world, ommer)
    assert refused(world, replace(block, ommers=())).reason is BlockReason.INVALID_UNCLES_HASH
    assert refused(world, replace(world.build().block, ommers=(ommer,))).reason is BlockReason.INVALID_UNCLES_HASH
