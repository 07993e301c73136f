"""What each fork brings, as a difference to the one before."""

from itertools import pairwise

import pytest

from node.evm.gas_schedule import GasSchedule
from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.forks.schedule import SPECS_BY_NAME

OLD = (
    "Frontier",
    "Homestead",
    "Tangerine Whistle",
    "Spurious Dragon",
    "Byzantium",
    "Constantinople",
    "Petersburg",
    "Istanbul",
    "Muir Glacier",
    "Berlin",
    "London",
    "Arrow Glacier",
    "Gray Glacier",
)
NAMES = (*OLD, "Paris", "Shanghai", "Cancun", "Prague", "Osaka", "BPO1", "BPO2")


def opcodes(spec: Spec) -> set[int]:
    return {row.opcode for row in spec.instructions.table if row is not None}


def test_names_and_order() -> None:
    assert tuple(SPECS_BY_NAME) == NAMES
    assert all(spec.name == name for name, spec in SPECS_BY_NAME.items())


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("Homestead", {Opcode.DELEGATECALL}),
        ("Tangerine Whistle", set()),
        ("Spurious Dragon", set()),
        ("Byzantium", {Opcode.RETURNDATASIZE, Opcode.RETURNDATACOPY, Opcode.STATICCALL, Opcode.REVERT}),
        ("Constantinople", {Opcode.SHL, Opcode.SHR, Opcode.SAR, Opcode.EXTCODEHASH, Opcode.CREATE2}),
        ("Petersburg", set()),
        ("Istanbul", {Opcode.CHAINID, Opcode.SELFBALANCE}),
        ("Muir Glacier", set()),
        ("Berlin", set()),
        ("London", {Opcode.BASEFEE}),
        ("Paris", set()),
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


def test_rows_have_not_changed_since_the_merge() -> None:
    for before, after in pairwise(SPECS_BY_NAME[name] for name in NAMES[len(OLD) :]):
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
    assert [spec.header_items for spec in SPECS_BY_NAME.values()] == [15] * 10 + [16] * 4 + [17, 20, 21, 21, 21, 21]
    assert [spec.transaction_types[-1] for spec in SPECS_BY_NAME.values()] == [0] * 9 + [1] + [2] * 5 + [3, 4, 4, 4, 4]


def test_switches() -> None:
    paris, shanghai, cancun, prague, osaka = (SPECS_BY_NAME[name] for name in NAMES[len(OLD) : len(OLD) + 5])
    assert (paris.warm_coinbase, shanghai.warm_coinbase) == (False, True)
    assert (paris.initcode_size_max, shanghai.initcode_size_max) == (None, 49_152)
    assert (shanghai.self_destruct_only_created, cancun.self_destruct_only_created) == (False, True)
    assert (cancun.delegations, prague.delegations) == (False, True)
    assert (cancun.gas.tx_floor_per_token, prague.gas.tx_floor_per_token) == (0, 10)
    assert [len(spec.system_calls) for spec in (shanghai, cancun, prague, osaka)] == [0, 1, 2, 2]
    assert [source.request_type for source in prague.requests] == [0, 1, 2]
    assert (prague.transaction_gas_limit_max, osaka.transaction_gas_limit_max) == (None, 2**24)
    assert osaka.block_rlp_size_max == 8 * 2**20
    assert [spec.code_size_max for spec in SPECS_BY_NAME.values()] == [None] * 3 + [24_576] * 17


def test_paris_is_what_spec_says_by_default() -> None:
    paris = SPECS_BY_NAME["Paris"]
    assert paris.gas == GasSchedule()
    assert paris == Spec(
        name="Paris",
        gas=GasSchedule(),
        instructions=paris.instructions,
        precompiles=paris.precompiles,
        transaction_types=(0, 1, 2),
        header_items=16,
    )


def test_changed_prices() -> None:
    def base_gas(opcode: Opcode) -> list[int]:
        rows = [SPECS_BY_NAME[name].instructions[opcode] for name in OLD]
        return [row.base_gas for row in rows if row is not None]

    assert base_gas(Opcode.BALANCE) == [20] * 2 + [400] * 5 + [700] * 2 + [0] * 4
    assert base_gas(Opcode.SLOAD) == [50] * 2 + [200] * 5 + [800] * 2 + [0] * 4
    assert base_gas(Opcode.EXTCODESIZE) == base_gas(Opcode.EXTCODECOPY) == [20] * 2 + [700] * 7 + [0] * 4
    assert base_gas(Opcode.CALL) == base_gas(Opcode.CALLCODE) == [40] * 2 + [700] * 7 + [0] * 4
    assert base_gas(Opcode.SELFDESTRUCT) == [0] * 2 + [5_000] * 11
    assert base_gas(Opcode.EXTCODEHASH) == [400] * 2 + [700] * 2 + [0] * 4


def test_difficulty_and_reward() -> None:
    rules = [SPECS_BY_NAME[name].difficulty for name in OLD]
    delays = [rule.bomb_delay // 100_000 for rule in rules if rule is not None]
    assert delays == [0, 0, 0, 0, 30, 50, 50, 50, 90, 90, 97, 107, 114]
    assert [rule is not None and rule.gradual for rule in rules] == [False] + [True] * 12
    assert [rule is not None and rule.counts_ommers for rule in rules] == [False] * 4 + [True] * 9
    assert [SPECS_BY_NAME[name].block_reward // 10**18 for name in OLD] == [5] * 4 + [3] + [2] * 8
    assert SPECS_BY_NAME["Paris"].difficulty is None


def test_precompiles() -> None:
    assert [len(SPECS_BY_NAME[name].precompiles) for name in OLD] == [4] * 4 + [8] * 3 + [9] * 6
