"""What each fork brings, as a difference to the one before."""

from itertools import pairwise

import pytest

from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.forks.schedule import SPECS_BY_NAME

NAMES = ("Paris", "Shanghai", "Cancun", "Prague", "Osaka", "BPO1", "BPO2")


def opcodes(spec: Spec) -> set[int]:
    return {row.opcode for row in spec.instructions.table if row is not None}


def test_names_and_order() -> None:
    assert tuple(SPECS_BY_NAME) == NAMES
    assert all(spec.name == name for name, spec in SPECS_BY_NAME.items())


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("Shanghai", {Opcode.PUSH0}),
        ("Cancun", {Opcode.TLOAD, Opcode.TSTORE, Opcode.MCOPY, Opcode.BLOBHASH, Opcode.BLOBBASEFEE}),
        ("Prague", set()),
        ("Osaka", {Opcode.CLZ}),
        ("BPO1", set()),
        ("BPO2", set()),
    ],
)
def test_new_opcodes(name: str, added: set[Opcode]) -> None:
    before = SPECS_BY_NAME[NAMES[NAMES.index(name) - 1]]
    assert opcodes(SPECS_BY_NAME[name]) - opcodes(before) == added
    assert opcodes(before) <= opcodes(SPECS_BY_NAME[name])


def test_rows_of_an_older_fork_are_never_changed_by_a_newer_one() -> None:
    for before, after in pairwise(SPECS_BY_NAME.values()):
        for row in before.instructions.table:
            if row is not None:
                assert after.instructions[row.opcode] == row


@pytest.mark.parametrize(
    ("name", "target", "most", "fraction", "per_transaction"),
    [
        ("Cancun", 3, 6, 3_338_477, None),
        ("Prague", 6, 9, 5_007_716, None),
        ("Osaka", 6, 9, 5_007_716, 6),
        ("BPO1", 10, 15, 8_346_193, 6),
        ("BPO2", 14, 21, 11_684_671, 6),
    ],
)
def test_blobs(name: str, target: int, most: int, fraction: int, per_transaction: int | None) -> None:
    blobs = SPECS_BY_NAME[name].blobs
    assert blobs is not None
    assert (blobs.target, blobs.max, blobs.base_fee_update_fraction) == (target, most, fraction)
    assert blobs.max_per_transaction == per_transaction
    assert (blobs.reserve_base_cost is not None) == (per_transaction is not None)


def test_headers_and_transactions() -> None:
    assert [spec.header_items for spec in SPECS_BY_NAME.values()] == [16, 17, 20, 21, 21, 21, 21]
    assert [spec.transaction_types[-1] for spec in SPECS_BY_NAME.values()] == [2, 2, 3, 4, 4, 4, 4]


def test_switches() -> None:
    paris, shanghai, cancun, prague, osaka = (SPECS_BY_NAME[name] for name in NAMES[:5])
    assert (paris.warm_coinbase, shanghai.warm_coinbase) == (False, True)
    assert (paris.initcode_size_max, shanghai.initcode_size_max) == (None, 49_152)
    assert (shanghai.self_destruct_only_created, cancun.self_destruct_only_created) == (False, True)
    assert (cancun.delegations, prague.delegations) == (False, True)
    assert (cancun.gas.tx_floor_per_token, prague.gas.tx_floor_per_token) == (0, 10)
    assert [len(spec.system_calls) for spec in (shanghai, cancun, prague, osaka)] == [0, 1, 2, 2]
    assert [source.request_type for source in prague.requests] == [0, 1, 2]
    assert (prague.transaction_gas_limit_max, osaka.transaction_gas_limit_max) == (None, 2**24)
    assert osaka.block_rlp_size_max == 8 * 2**20
    assert all(spec.code_size_max == 24_576 for spec in SPECS_BY_NAME.values())
