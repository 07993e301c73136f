from dataclasses import replace

import pytest

from node.execution.fees import INITIAL_BASE_FEE, base_fee, blob_base_fee, excess_blob_gas, fake_exponential
from node.forks import cancun, osaka, paris, prague
from node.primitives.scalars import GWEI
from tests.unit.execution.world import World

BLOB = 2**17
PARENT = World(gas_limit=30_000_000).head


@pytest.mark.parametrize(
    ("fee", "used", "expected"),
    [
        (GWEI, 15_000_000, GWEI),
        (GWEI, 30_000_000, 1_125_000_000),  # a full block: one eighth more
        (GWEI, 0, 875_000_000),  # an empty one: one eighth less
        (GWEI, 22_500_000, 1_062_500_000),
        (7, 15_000_001, 8),  # grows by 1 wei at least
        (7, 0, 7),  # an eighth of 7 is nothing
        (1, 30_000_000, 2),
        (0, 0, 0),
    ],
)
def test_base_fee(fee: int, used: int, expected: int) -> None:
    assert base_fee(replace(PARENT, base_fee_per_gas=fee, gas_used=used)) == expected


def test_first_base_fee() -> None:
    assert base_fee(replace(PARENT, base_fee_per_gas=None)) == INITIAL_BASE_FEE


@pytest.mark.parametrize(
    ("factor", "numerator", "denominator", "expected"),
    [
        (1, 0, 1, 1),
        (38_493, 0, 1_000, 38_493),
        (0, 1_234, 2_345, 0),
        (1, 2, 1, 6),
        (1, 4, 2, 6),
        (1, 3, 1, 16),
        (1, 4, 1, 49),
        (10, 8, 2, 542),
        (1, 5, 2, 11),
        (2, 5, 2, 23),
        (1, 50_000_000, 2_225_652, 5_709_098_764),
    ],
)
def test_fake_exponential(factor: int, numerator: int, denominator: int, expected: int) -> None:
    assert fake_exponential(factor, numerator, denominator) == expected


def test_excess_blob_gas_follows_the_target() -> None:
    parent = replace(PARENT, blob_gas_used=6 * BLOB, excess_blob_gas=0)
    assert excess_blob_gas(parent, cancun.SPEC) == 3 * BLOB
    assert excess_blob_gas(replace(parent, blob_gas_used=3 * BLOB), cancun.SPEC) == 0
    assert excess_blob_gas(replace(parent, blob_gas_used=2 * BLOB, excess_blob_gas=BLOB // 2), cancun.SPEC) == 0
    assert excess_blob_gas(replace(parent, blob_gas_used=9 * BLOB), prague.SPEC) == 3 * BLOB


def test_first_block_with_blobs_has_no_excess() -> None:
    assert excess_blob_gas(replace(PARENT, blob_gas_used=None, excess_blob_gas=None), cancun.SPEC) == 0
    assert excess_blob_gas(PARENT, paris.SPEC) is None


def test_reserve_price_lets_the_excess_grow_with_use() -> None:
    # 8,192 * 1 gwei is far above 131,072 * 1 wei: blobs cost less than their reserve (EIP-7918).
    parent = replace(PARENT, blob_gas_used=6 * BLOB, excess_blob_gas=12 * BLOB, base_fee_per_gas=GWEI)
    assert excess_blob_gas(parent, osaka.SPEC) == 12 * BLOB + 6 * BLOB * 3 // 9
    assert excess_blob_gas(parent, prague.SPEC) == 12 * BLOB
    # At the border, 8,192 * 16 wei = 131,072 * 1 wei, the ordinary rule holds.
    assert excess_blob_gas(replace(parent, base_fee_per_gas=16), osaka.SPEC) == 12 * BLOB
    assert excess_blob_gas(replace(parent, base_fee_per_gas=17), osaka.SPEC) == 14 * BLOB
    # Below the target nothing is kept, whatever blobs cost.
    assert excess_blob_gas(replace(parent, blob_gas_used=3 * BLOB, excess_blob_gas=2 * BLOB), osaka.SPEC) == 0


def test_blob_base_fee() -> None:
    assert cancun.SPEC.blobs is not None
    assert blob_base_fee(0, cancun.SPEC.blobs) == 1
    assert blob_base_fee(2_314_057, cancun.SPEC.blobs) == 1
    assert blob_base_fee(2_314_058, cancun.SPEC.blobs) == 2
    assert blob_base_fee(10 * 2**20, cancun.SPEC.blobs) == 23
