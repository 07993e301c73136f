"""SLOAD, SSTORE with the EIPs' own table, transient storage, logs."""

import pytest

from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Success
from node.types.receipts import Log
from tests.unit.evm.program import OTHER, TARGET, World, call_operation, operation, program, push, store_code

OUT_OF_GAS = HaltReason.OUT_OF_GAS


def test_sload_cold_and_warm(world: World) -> None:
    world.state.set_storage(TARGET, 7, 42)
    world.begin()
    assert world.gas_of(program(operation(Opcode.SLOAD, 7), operation(Opcode.SLOAD, 7))) == 2 * 3 + 2100 + 100
    assert world.word(operation(Opcode.SLOAD, 7)) == 42


# EIP-3529's table of net metering: code, gas with the slot warm, refund, value before
NET_METERING = [
    ("60006000556000600055", 212, 0, 0),
    ("60006000556001600055", 20112, 0, 0),
    ("60016000556000600055", 20112, 19900, 0),
    ("60016000556002600055", 20112, 0, 0),
    ("60016000556001600055", 20112, 0, 0),
    ("60006000556000600055", 3012, 4800, 1),
    ("60006000556001600055", 3012, 2800, 1),
    ("60006000556002600055", 3012, 0, 1),
    ("60026000556000600055", 3012, 4800, 1),
    ("60026000556003600055", 3012, 0, 1),
    ("60026000556001600055", 3012, 2800, 1),
    ("60026000556002600055", 3012, 0, 1),
    ("60016000556000600055", 3012, 4800, 1),
    ("60016000556002600055", 3012, 0, 1),
    ("60016000556001600055", 212, 0, 1),
    ("600160005560006000556001600055", 40118, 19900, 0),
    ("600060005560016000556000600055", 5918, 7600, 1),
]


@pytest.mark.parametrize(("code", "gas", "refund", "original"), NET_METERING)
def test_net_metering(world: World, code: str, gas: int, refund: int, original: int) -> None:
    world.deploy(TARGET, bytes.fromhex(code))
    world.state.set_storage(TARGET, 0, original)
    world.state.end_transaction()
    world.begin()
    world.state.access_slot(TARGET, 0)
    assert world.gas_of(bytes.fromhex(code)) == gas
    assert world.state.refund == refund


def test_a_cold_slot_costs_its_access_on_top(world: World) -> None:
    assert world.gas_of(operation(Opcode.SSTORE, 0, 0)) == 6 + 2100 + 100
    world.begin()
    assert world.gas_of(operation(Opcode.SSTORE, 0, 1)) == 6 + 2100 + 20_000


@pytest.mark.parametrize(("left", "works"), [(2300, False), (2301, True)])
def test_sstore_needs_more_than_a_stipend(world: World, left: int, works: bool) -> None:
    world.state.access_slot(TARGET, 0)
    outcome = world.run(operation(Opcode.SSTORE, 0, 0), gas=6 + left)
    if works:
        assert outcome == Success(left - 100, b"")
    else:
        assert isinstance(outcome, Halt)
        assert outcome.reason is OUT_OF_GAS


def test_refund_is_undone_with_its_frame(world: World) -> None:
    world.state.set_storage(TARGET, 0, 1)
    world.begin()
    world.run(program(operation(Opcode.SSTORE, 0, 0), push(0), push(0), Opcode.REVERT))
    assert world.state.refund == 0


class TestTransient:
    """EIP-1153."""

    def test_holds_and_costs(self, world: World) -> None:
        code = program(operation(Opcode.TSTORE, 1, 77), operation(Opcode.TLOAD, 1))
        assert world.word(code) == 77
        assert world.gas_of(code) == 9 + 100 + 100

    def test_is_its_account_s_own(self, world: World) -> None:
        world.deploy(
            OTHER, program(operation(Opcode.TLOAD, 1), operation(Opcode.MSTORE, 0), push(32), push(0), Opcode.RETURN)
        )
        # the callee's program leaves its own slot 1 in memory: the caller's must not show
        callee = program(operation(Opcode.TLOAD, 1), push(0), Opcode.MSTORE, push(32), push(0), Opcode.RETURN)
        world.deploy(OTHER, callee)
        code = program(
            operation(Opcode.TSTORE, 1, 77),
            call_operation(Opcode.CALL, OTHER, output=(0, 32)),
            push(0),
            Opcode.MLOAD,
        )
        assert world.word(code) == 0

    def test_is_undone_by_revert_and_forgotten_after_the_transaction(self, world: World) -> None:
        world.run(program(operation(Opcode.TSTORE, 1, 77), push(0), push(0), Opcode.REVERT))
        assert world.state.transient_storage(TARGET, 1) == 0
        world.run(operation(Opcode.TSTORE, 1, 77))
        assert world.state.transient_storage(TARGET, 1) == 77
        world.begin()
        assert world.state.transient_storage(TARGET, 1) == 0


@pytest.mark.parametrize("topics", range(5))
def test_logs(world: World, topics: int) -> None:
    values = [0x1111 * (index + 1) for index in range(topics)]
    code = program(store_code(b"hello"), operation(Opcode.LOG0 + topics, 0, 5, *values))
    before = world.gas_of(store_code(b"hello"))
    assert world.gas_of(code) == before + 3 * (2 + topics) + 375 + 375 * topics + 8 * 5
    assert world.state.logs == (Log(TARGET, tuple(value.to_bytes(32, "big") for value in values), b"hello"),)


def test_a_log_of_a_reverted_frame_is_gone(world: World) -> None:
    world.run(program(operation(Opcode.LOG0, 0, 0), push(0), push(0), Opcode.REVERT))
    assert world.state.logs == ()


@pytest.mark.parametrize(
    "code",
    [
        operation(Opcode.SSTORE, 0, 0),
        operation(Opcode.TSTORE, 0, 0),
        operation(Opcode.LOG0, 0, 0),
        operation(Opcode.LOG4, 0, 0, 1, 2, 3, 4),
        operation(Opcode.CREATE, 0, 0, 0),
        operation(Opcode.CREATE2, 0, 0, 0, 0),
        operation(Opcode.SELFDESTRUCT, 0),
        call_operation(Opcode.CALL, OTHER, value=1),
    ],
)
def test_nothing_changes_in_a_static_frame(world: World, code: bytes) -> None:
    assert world.run(code, static=True) == Halt(HaltReason.STATIC_WRITE)


def test_static_is_inherited(world: World) -> None:
    world.deploy(OTHER, operation(Opcode.SSTORE, 0, 1))
    inner = Opcode.STATICCALL
    assert world.word(call_operation(inner, OTHER)) == 0
    assert world.state.storage(OTHER, 0) == 0
    assert isinstance(world.run(call_operation(Opcode.CALL, OTHER), static=True), Success)
    assert world.state.storage(OTHER, 0) == 0
    assert isinstance(world.run(call_operation(Opcode.CALLCODE, OTHER, value=1), static=True), Success)
