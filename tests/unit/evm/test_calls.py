"""The CALL family: who runs as whom, who pays what, what comes back."""

import pytest

from node.evm.message import CallKind, Message
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Success
from node.forks import cancun
from node.primitives.scalars import Address
from tests.unit.evm.program import (
    OTHER,
    RETURN_TOP,
    SENDER,
    TARGET,
    World,
    call_operation,
    operation,
    program,
    push,
    returning,
    store_code,
)

FRESH = Address(b"\x99" * 20)
CALL, CALLCODE, DELEGATECALL, STATICCALL = Opcode.CALL, Opcode.CALLCODE, Opcode.DELEGATECALL, Opcode.STATICCALL


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def answer_of(opcode: int) -> bytes:
    return program(opcode, RETURN_TOP)


@pytest.mark.parametrize(
    ("kind", "address", "caller", "value"),
    [
        (CALL, OTHER, TARGET, 3),
        (CALLCODE, TARGET, TARGET, 3),
        (DELEGATECALL, TARGET, SENDER, 5),
        (STATICCALL, OTHER, TARGET, 0),
    ],
)
def test_who_runs_as_whom(world: World, kind: Opcode, address: bytes, caller: bytes, value: int) -> None:
    world.state.add_balance(TARGET, 100)
    for opcode, expected in (
        (Opcode.ADDRESS, number(address)),
        (Opcode.CALLER, number(caller)),
        (Opcode.CALLVALUE, value),
    ):
        world.deploy(OTHER, answer_of(opcode))
        code = program(call_operation(kind, OTHER, value=3, output=(0, 32)), Opcode.POP, push(0), Opcode.MLOAD)
        assert world.word(code, value=5) == expected


@pytest.mark.parametrize("kind", [CALL, CALLCODE, DELEGATECALL])
def test_whose_storage(world: World, kind: Opcode) -> None:
    world.deploy(OTHER, operation(Opcode.SSTORE, 1, 2))
    assert world.word(call_operation(kind, OTHER)) == 1
    assert world.state.storage(OTHER if kind is CALL else TARGET, 1) == 2


def test_output_is_cut_to_the_area_and_the_rest_stays(world: World) -> None:
    world.deploy(OTHER, returning(b"\x01\x02\x03\x04"))
    body = store_code(b"\xff" * 32)
    code = program(body, call_operation(CALL, OTHER, output=(1, 2)), push(32), push(0), Opcode.RETURN)
    assert world.run(code).output == b"\xff\x01\x02" + b"\xff" * 29
    code = program(body, call_operation(CALL, OTHER, output=(1, 10)), push(32), push(0), Opcode.RETURN)
    assert world.run(code).output == b"\xff\x01\x02\x03\x04" + b"\xff" * 27


def test_data_is_handed_over(world: World) -> None:
    world.deploy(OTHER, program(push(0), Opcode.CALLDATALOAD, RETURN_TOP))
    code = program(
        operation(Opcode.MSTORE, 0, 0xABC),
        call_operation(CALL, OTHER, data=(0, 32), output=(32, 32)),
        push(32),
        Opcode.MLOAD,
    )
    assert world.word(code) == 0xABC


def test_revert_gives_gas_and_data_back(world: World) -> None:
    world.deploy(OTHER, program(store_code(b"why"), push(3), push(0), Opcode.REVERT))
    code = program(call_operation(CALL, OTHER, gas=5000), Opcode.RETURNDATASIZE, Opcode.ADD)
    assert world.word(code) == 3  # 0 for the call and 3 bytes
    assert world.gas_of(call_operation(CALL, OTHER, gas=5000)) == 21 + 100 + 4 * 3 + 3 + 3


def test_halt_takes_the_child_s_gas_alone(world: World) -> None:
    world.deploy(OTHER, program(Opcode.INVALID))
    world.state.access_address(OTHER)
    assert world.gas_of(call_operation(CALL, OTHER, gas=5000)) == 21 + 100 + 5000


class TestGas:
    """EIP-150, EIP-2929 and the price of value."""

    def test_cold_and_warm(self, world: World) -> None:
        call = program(call_operation(CALL, OTHER, gas=0), Opcode.POP)
        assert world.gas_of(program(call, call)) == 2 * (21 + 2) + 2600 + 100

    @pytest.mark.parametrize("kind", [CALL, CALLCODE, DELEGATECALL, STATICCALL])
    def test_at_most_all_but_a_64th(self, world: World, kind: Opcode) -> None:
        world.deploy(OTHER, answer_of(Opcode.GAS))
        world.state.access_address(OTHER)
        operands = 7 if kind in (CALL, CALLCODE) else 6
        code = program(call_operation(kind, OTHER, output=(0, 32)), Opcode.POP, push(0), Opcode.MLOAD)
        left = 1_000_000 - 3 * operands - 3 - 100
        assert world.word(code) == left - left // 64 - 2

    def test_what_was_asked_for(self, world: World) -> None:
        world.deploy(OTHER, answer_of(Opcode.GAS))
        code = program(call_operation(CALL, OTHER, gas=5000, output=(0, 32)), Opcode.POP, push(0), Opcode.MLOAD)
        assert world.word(code) == 5000 - 2

    def test_value_brings_a_stipend(self, world: World) -> None:
        world.state.add_balance(TARGET, 10)
        world.deploy(OTHER, answer_of(Opcode.GAS))
        code = program(call_operation(CALL, OTHER, gas=0, value=1, output=(0, 32)), Opcode.POP, push(0), Opcode.MLOAD)
        assert world.word(code) == 2300 - 2

    def test_value_to_a_new_account(self, world: World) -> None:
        world.state.add_balance(TARGET, 10)
        # the stipend of 2,300 comes back from an account without code
        assert world.gas_of(call_operation(CALL, FRESH, gas=0, value=1)) == 21 + 2600 + 9000 + 25_000 - 2300
        assert world.state.balance(FRESH) == 1
        assert world.gas_of(call_operation(CALL, FRESH, gas=0, value=1)) == 21 + 100 + 9000 - 2300

    def test_no_value_makes_no_account(self, world: World) -> None:
        assert world.gas_of(call_operation(CALL, FRESH, gas=0)) == 21 + 2600
        world.state.end_transaction()
        assert not world.state.account_exists(FRESH)

    def test_callcode_with_value_creates_nothing(self, world: World) -> None:
        world.state.add_balance(TARGET, 10)
        assert world.gas_of(call_operation(CALLCODE, FRESH, gas=0, value=1)) == 21 + 2600 + 9000 - 2300
        assert world.state.balance(TARGET) == 10

    def test_both_memory_areas_are_paid(self, world: World) -> None:
        assert world.gas_of(call_operation(CALL, OTHER, gas=0, data=(0, 64), output=(64, 32))) == 21 + 2600 + 3 * 3


class TestRefused:
    """A child that must not run costs its parent nothing but the asking."""

    def test_balance(self, world: World) -> None:
        world.deploy(OTHER, program(Opcode.INVALID))
        world.state.access_address(OTHER)
        code = call_operation(CALL, OTHER, gas=5000, value=1)
        assert world.gas_of(code) == 21 + 100 + 9000 - 2300
        assert world.word(program(code, Opcode.RETURNDATASIZE, Opcode.ADD)) == 0

    def test_all_of_the_balance_may_go(self, world: World) -> None:
        world.state.add_balance(TARGET, 7)
        assert world.word(call_operation(CALL, OTHER, gas=0, value=8)) == 0
        assert world.word(call_operation(CALL, OTHER, gas=0, value=7)) == 1
        assert world.state.balance(OTHER) == 7

    @pytest.mark.parametrize(("depth", "succeeds"), [(1023, 1), (1024, 0)])
    def test_depth(self, world: World, depth: int, succeeds: int) -> None:
        code = program(call_operation(CALL, OTHER), push(0), Opcode.SSTORE)
        assert isinstance(world.run(code, depth=depth), Success)
        assert world.state.storage(TARGET, 0) == succeeds

    def test_refusal_clears_return_data(self, world: World) -> None:
        world.deploy(OTHER, returning(b"\x01" * 8))
        code = program(
            call_operation(CALL, OTHER),
            Opcode.POP,
            call_operation(CALL, OTHER, value=1),
            Opcode.POP,
            Opcode.RETURNDATASIZE,
        )
        assert world.word(code) == 0


def test_recursion_to_the_limit_without_python_s_stack(world: World) -> None:
    """A contract that calls itself until it is refused runs in 1,025 frames."""
    count = program(push(1), operation(Opcode.SLOAD, 0), Opcode.ADD, push(0), Opcode.SSTORE)
    again = program(push(0) * 5, Opcode.ADDRESS, Opcode.GAS, Opcode.CALL)
    outcome = world.run(program(count, again), gas=10**14)
    assert isinstance(outcome, Success)
    assert world.state.storage(TARGET, 0) == 1025


def test_a_static_frame_may_call_without_value(world: World) -> None:
    world.deploy(OTHER, returning(b"\x05"))
    assert isinstance(world.run(call_operation(CALL, OTHER), static=True), Success)


def test_a_failed_transfer_s_frame_is_undone(world: World) -> None:
    world.state.add_balance(TARGET, 10)
    world.deploy(OTHER, program(Opcode.INVALID))
    assert world.word(call_operation(CALL, OTHER, gas=1000, value=4)) == 0
    assert world.state.balance(TARGET) == 10


class TestDelegation:
    """EIP-7702: calls run the delegate's code, touched and paid for."""

    DELEGATED = Address(b"\x03" * 20)

    @pytest.fixture
    def world(self) -> World:
        world = World()
        world.deploy(self.DELEGATED, b"\xef\x01\x00" + OTHER)
        world.deploy(OTHER, answer_of(Opcode.ADDRESS))
        return world

    @pytest.mark.parametrize("kind", [CALL, STATICCALL])
    def test_runs_as_the_delegating_account(self, world: World, kind: Opcode) -> None:
        code = program(call_operation(kind, self.DELEGATED, output=(0, 32)), Opcode.POP, push(0), Opcode.MLOAD)
        assert world.word(code) == number(self.DELEGATED)

    @pytest.mark.parametrize("kind", [CALLCODE, DELEGATECALL])
    def test_runs_as_the_caller(self, world: World, kind: Opcode) -> None:
        code = program(call_operation(kind, self.DELEGATED, output=(0, 32)), Opcode.POP, push(0), Opcode.MLOAD)
        assert world.word(code) == number(TARGET)

    def test_delegate_is_paid_cold_then_warm(self, world: World) -> None:
        world.deploy(OTHER, b"")
        call = program(call_operation(CALL, self.DELEGATED, gas=0), Opcode.POP)
        assert world.gas_of(call) == 23 + 2600 + 2600
        assert world.gas_of(call) == 23 + 100 + 100
        assert world.state.is_warm_address(OTHER)

    def test_a_chain_is_followed_once(self, world: World) -> None:
        world.deploy(OTHER, b"\xef\x01\x00" + FRESH)
        assert world.word(call_operation(CALL, self.DELEGATED, gas=1000)) == 0

    def test_a_precompile_as_delegate_is_an_empty_account(self, world: World) -> None:
        world.deploy(self.DELEGATED, b"\xef\x01\x00" + (4).to_bytes(20, "big"))
        call = call_operation(CALL, self.DELEGATED, data=(0, 32))
        assert world.word(program(call, Opcode.RETURNDATASIZE, Opcode.ADD)) == 1

    def test_older_rules_run_the_designator_as_code(self, world: World) -> None:
        world.spec = cancun.SPEC
        assert world.word(call_operation(CALL, self.DELEGATED, gas=1000)) == 0


def test_a_message_to_a_precompile(world: World) -> None:
    identity = Address((4).to_bytes(20, "big"))
    message = Message(CallKind.CALL, SENDER, identity, identity, b"", b"abc", 7, 1000)
    assert world.execute(message) == Success(1000 - 18, b"abc")
    assert world.state.balance(identity) == 7
    failing = Address((9).to_bytes(20, "big"))
    message = Message(CallKind.CALL, SENDER, failing, failing, b"", b"abc", 7, 1000)
    assert world.execute(message) == Halt(HaltReason.PRECOMPILE_FAILURE, "BLAKE2F")
    assert world.state.balance(failing) == 0
    message = Message(CallKind.CALL, SENDER, identity, identity, b"", b"abc", 7, 17)
    assert world.execute(message) == Halt(HaltReason.OUT_OF_GAS)
