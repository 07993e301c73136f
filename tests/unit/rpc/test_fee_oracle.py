"""What blocks paid, remembered in little room."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.primitives.scalars import GWEI
from node.rpc.fee_oracle import BlockFees, FeeOracle, fees_paid

PAID = st.lists(st.tuples(st.integers(0, 5), st.integers(21_000, 90_000)), max_size=30)
PERCENTILES = st.lists(st.floats(0, 100), max_size=8).map(sorted)


def one_by_one(paid: list[tuple[int, int]], percentile: float) -> int:
    """The tip of the transaction in which this share of the block's gas is reached, lowest tips first."""
    threshold = int(sum(gas for _, gas in paid) * percentile / 100)
    reached = 0
    for tip, gas in sorted(paid):
        reached += gas
        if reached >= threshold:
            return tip
    return 0


@given(PAID, PERCENTILES)
def test_equal_tips_are_one_entry_and_answers_stay(paid: list[tuple[int, int]], percentiles: list[float]) -> None:
    fees = fees_paid(paid)
    assert len(fees.tips) == len({tip for tip, _ in paid})
    assert list(fees.lowest) == sorted(tip for tip, _ in paid)[:3]
    assert fees.percentiles(percentiles, sum(gas for _, gas in paid)) == [one_by_one(paid, p) for p in percentiles]


async def test_memory_is_bounded_by_tips_not_by_blocks(devnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from node.rpc import fee_oracle

    monkeypatch.setattr(fee_oracle, "TIPS_KEPT", 60)
    oracle = FeeOracle(devnet.chain)
    for _ in range(6):
        for number in range(8):  # each its own tip: 8 and a block's own 8
            await devnet.send(devnet.signed(max_priority_fee_per_gas=GWEI + number))
        await devnet.mine()
        fees = oracle.paid_in(devnet.chain.head)
        assert [tip for tip, _ in fees.tips] == [GWEI + number for number in range(8)]
        assert oracle.paid_in(devnet.chain.head) is fees
    assert len(oracle._fees) < 6
    first = devnet.chain.header_by_number(1)
    assert oracle.paid_in(first) == oracle.paid_in(devnet.chain.head)  # forgotten ones are read again
    assert oracle.paid_in(devnet.chain.header_by_number(0)) == BlockFees()
