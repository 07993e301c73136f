from __future__ import annotations

from node.execution.header import check_header
from node.primitives.scalars import GWEI
from node.types.invalid import TransactionReason
from node.types.transactions import BLOB, Transaction
from tests.unit.execution.world import World, transaction


def blob(sender: int, count: int) -> Transaction:
    hashes = (b"\x01" + bytes(31),) * count
    return transaction(sender, type=BLOB, blob_versioned_hashes=hashes, max_fee_per_blob_gas=5)


def test_empty_block_stands() -> None:
    world = World()
    built = world.build()
    check_header(built.block.header, world.head, world.spec)
    assert built.block.transactions == ()
    assert world.apply(built.block) == built.result


def test_candidates_that_cannot_stand_are_skipped_with_their_reason() -> None:
    world = World()
    poor = transaction(1, value=10**30)
    gap = transaction(2, nonce=5)
    cheap = transaction(3, max_fee_per_gas=GWEI // 2, max_priority_fee_per_gas=0)
    good = transaction(4)
    built = world.extend(poor, gap, cheap, good)
    assert built.block.transactions == (good,)
    assert [(tx, refusal.reason) for tx, refusal in built.skipped] == [
        (poor, TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS),
        (gap, TransactionReason.NONCE_MISMATCH_TOO_HIGH),
        (cheap, TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS),
    ]


def test_gas_limit_bounds_the_block() -> None:
    world = World(gas_limit=100_000)
    built = world.extend(*(transaction(0, nonce=nonce, gas_limit=40_000) for nonce in range(5)), transaction(1))
    # 21,000 each are used, so that 40,000 still fit three times; then the smaller one.
    assert [tx.nonce for tx in built.block.transactions] == [0, 1, 2, 0]
    assert built.block.header.gas_used == 84_000
    assert built.skipped[0][1].reason is TransactionReason.GAS_ALLOWANCE_EXCEEDED


def test_filling_stops_when_nothing_fits_any_more() -> None:
    world = World(gas_limit=50_000)
    asked: list[int] = []

    def candidates():
        for sender in range(5):
            asked.append(sender)
            yield transaction(sender)

    built = world.build(candidates())
    assert len(built.block.transactions) == 2
    assert asked == [0, 1, 2]


def test_filling_stops_when_time_is_up() -> None:
    world = World()
    answers = iter([True, True, False])
    built = world.build([transaction(sender) for sender in range(5)], time_check=lambda: next(answers))
    assert len(built.block.transactions) == 2
    assert world.apply(built.block) == built.result


def test_blobs_of_a_block_are_bounded() -> None:
    world = World()
    built = world.extend(blob(0, 6), blob(1, 4), blob(2, 3))
    assert [len(tx.blob_versioned_hashes) for tx in built.block.transactions] == [6, 3]
    assert built.block.header.blob_gas_used == 9 * 2**17
    assert built.skipped[0][1].reason is TransactionReason.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED
    assert world.extend().block.header.excess_blob_gas == 3 * 2**17


def test_block_size_bounds_the_block() -> None:
    world = World()
    world.spec = world.spec.evolve(block_rlp_size_max=2_000)
    large = [transaction(sender, data=bytes(700), gas_limit=100_000) for sender in range(3)]
    small = transaction(3)
    built = world.extend(*large, small)
    assert built.block.transactions == (large[0], small)
    assert len(built.block.encode()) <= 2_000


def test_attributes_reach_the_header() -> None:
    world = World()
    built = world.build(extra_data=b"made by a test", gas_limit_target=31_000_000)
    assert built.block.header.extra_data == b"made by a test"
    assert built.block.header.gas_limit == 30_029_295
