from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.execution.header import check_header, next_header_fields
from node.forks import cancun, osaka, shanghai
from node.primitives.scalars import GWEI, ZERO_HASH
from node.types.blocks import Header
from node.types.invalid import BlockReason, InvalidBlock
from tests.unit.execution.world import World

WORLD = World(gas_limit=30_000_000)
PARENT = WORLD.head
CHILD = WORLD.build().block.header
BLOB = 2**17


def changed(header: Header, **fields: Any) -> Header:
    return replace(header, **fields)


def test_built_header_stands() -> None:
    check_header(CHILD, PARENT, osaka.SPEC)


R = BlockReason


@pytest.mark.parametrize(
    ("fields", "reason", "facts"),
    [
        ({"parent_hash": ZERO_HASH}, R.UNKNOWN_PARENT, {"ours": PARENT.hash}),
        ({"number": 2}, R.INVALID_BLOCK_NUMBER, {"header": 2, "ours": 1}),
        ({"timestamp": 1_000}, R.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT, {"header": 1_000, "parent": 1_000}),
        ({"gas_limit": 30_000_000 + 29_296}, R.INVALID_GASLIMIT, {"parent": 30_000_000, "difference_below": 29_296}),
        ({"gas_limit": 30_000_000 - 29_296}, R.INVALID_GASLIMIT, {"header": 29_970_704}),
        ({"gas_used": 30_000_001}, R.GAS_USED_OVERFLOW, {"header": 30_000_001, "gas_limit": 30_000_000}),
        ({"base_fee_per_gas": GWEI + 1}, R.INVALID_BASEFEE_PER_GAS, {"header": GWEI + 1, "ours": GWEI}),
        ({"base_fee_per_gas": None}, R.INCORRECT_BLOCK_FORMAT, {"field": "base_fee_per_gas"}),
        ({"extra_data": bytes(33)}, R.EXTRA_DATA_TOO_BIG, {"header": 33, "maximum": 32}),
        ({"ommers_hash": ZERO_HASH}, R.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS, {}),
        ({"difficulty": 1}, R.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS, {"header": 1, "ours": 0}),
        ({"nonce": b"\x00" * 7 + b"\x01"}, R.INCORRECT_BLOCK_FORMAT, {"field": "nonce"}),
        ({"blob_gas_used": 10 * BLOB}, R.BLOB_GAS_USED_ABOVE_LIMIT, {"maximum": 9 * BLOB}),
        ({"blob_gas_used": 1}, R.INCORRECT_BLOB_GAS_USED, {"header": 1}),
        ({"excess_blob_gas": BLOB}, R.INCORRECT_EXCESS_BLOB_GAS, {"header": BLOB, "ours": 0}),
        ({"requests_hash": None}, R.INCORRECT_BLOCK_FORMAT, {"field": "requests_hash", "header": "absent"}),
        ({"withdrawals_root": None}, R.INCORRECT_BLOCK_FORMAT, {"field": "withdrawals_root"}),
        ({"parent_beacon_block_root": None}, R.INCORRECT_BLOCK_FORMAT, {"field": "parent_beacon_block_root"}),
    ],
)
def test_refusals(fields: dict[str, Any], reason: BlockReason, facts: dict[str, Any]) -> None:
    with pytest.raises(InvalidBlock) as refused:
        check_header(changed(CHILD, **fields), PARENT, osaka.SPEC)
    assert refused.value.reason is reason
    assert facts.items() <= refused.value.facts.items()


@pytest.mark.parametrize("gas_limit", [30_000_000 + 29_295, 30_000_000 - 29_295])
def test_gas_limit_may_move_by_less_than_its_1024th(gas_limit: int) -> None:
    check_header(changed(CHILD, gas_limit=gas_limit), PARENT, osaka.SPEC)


def test_gas_limit_has_a_least_value() -> None:
    parent = changed(PARENT, gas_limit=5_001, gas_used=2_500)
    child = changed(CHILD, parent_hash=parent.hash, gas_limit=4_999, gas_used=0)
    with pytest.raises(InvalidBlock, match="INVALID_GASLIMIT"):
        check_header(child, parent, osaka.SPEC)


def test_fields_of_a_later_fork_are_refused() -> None:
    for spec in (shanghai.SPEC, cancun.SPEC):
        with pytest.raises(InvalidBlock, match="header=present, ours=absent"):
            check_header(CHILD, PARENT, spec)


def test_next_gas_limit_moves_towards_its_target() -> None:
    assert next_header_fields(PARENT, osaka.SPEC, 60_000_000).gas_limit == 30_029_295
    assert next_header_fields(PARENT, osaka.SPEC, 1).gas_limit == 29_970_705
    assert next_header_fields(PARENT, osaka.SPEC, 30_000_100).gas_limit == 30_000_100
    small = changed(PARENT, gas_limit=5_000)
    assert next_header_fields(small, osaka.SPEC, 1).gas_limit == 5_000
    following = next_header_fields(PARENT, osaka.SPEC, 30_000_000)
    assert (following.number, following.base_fee_per_gas, following.excess_blob_gas) == (1, GWEI, 0)
