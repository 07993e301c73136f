"""Every row of every fork's table: underflow, overflow, base gas; and what PUSH, DUP, SWAP move."""

import pytest

from node.evm.frame import Frame
from node.evm.instruction import STACK_LIMIT, Instruction
from node.evm.message import Message
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Outcome, Success
from node.evm.spec import Spec
from node.forks.schedule import SPECS_BY_NAME
from tests.unit.evm.program import RETURN_TOP, World, program, push

ROWS = [(spec, row) for spec in SPECS_BY_NAME.values() for row in spec.instructions.table if row is not None]
NEWEST = [row for spec, row in ROWS if spec.name == "BPO2"]
one = push(1)


class Watch:
    """Keeps the stack before the last step, and which opcodes failed."""

    def __init__(self) -> None:
        self.stack: list[int] = []
        self.faults: list[int] = []

    def enter(self, message: Message) -> None: ...

    def step(self, frame: Frame, opcode: int) -> None:
        self.stack = list(frame.stack)

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        self.faults.append(opcode)

    def exit(self, message: Message, outcome: Outcome) -> None: ...


@pytest.mark.parametrize("row", [row for row in NEWEST if row.pops], ids=lambda row: row.name)
def test_underflow(world: World, row: Instruction) -> None:
    outcome = world.run(program(one * (row.pops - 1), row.opcode))
    assert isinstance(outcome, Halt)
    assert outcome.reason is HaltReason.STACK_UNDERFLOW


@pytest.mark.parametrize("row", [row for row in NEWEST if row.pushes > row.pops], ids=lambda row: row.name)
def test_overflow(world: World, row: Instruction) -> None:
    watch = Watch()
    outcome = world.run(program(one * STACK_LIMIT, row.opcode), tracer=watch)
    assert isinstance(outcome, Halt)
    assert outcome.reason is HaltReason.STACK_OVERFLOW
    assert watch.faults == [row.opcode]  # the one that pushes too much, not the next one


def test_a_full_stack_is_fine(world: World) -> None:
    assert isinstance(world.run(program(one * STACK_LIMIT, Opcode.SWAP16)), Success)


@pytest.mark.parametrize("row", [row for row in NEWEST if row.base_gas], ids=lambda row: row.name)
def test_one_gas_short_of_the_base_price(world: World, row: Instruction) -> None:
    outcome = world.run(program(one * row.pops, row.opcode), gas=3 * row.pops + row.base_gas - 1)
    assert outcome == Halt(HaltReason.OUT_OF_GAS)


@pytest.mark.parametrize("spec", SPECS_BY_NAME.values(), ids=lambda spec: spec.name)
def test_bytes_without_a_row_halt(spec: Spec) -> None:
    world = World(spec)
    for opcode in range(256):
        if spec.instructions[opcode] is None:
            outcome = world.run(bytes((opcode,)))
            assert isinstance(outcome, Halt)
            assert outcome.reason is HaltReason.INVALID_OPCODE


def test_a_row_says_what_its_number_is_called() -> None:
    assert {row.name for _, row in ROWS if Opcode(row.opcode).name != row.name} == {"DIFFICULTY"}


@pytest.mark.parametrize("size", range(1, 33))
def test_push(world: World, size: int) -> None:
    immediate = bytes(range(1, size + 1))
    assert world.word(program(0x5F + size, immediate)) == int.from_bytes(immediate, "big")


@pytest.mark.parametrize("size", range(1, 33))
def test_push_behind_the_end_reads_zeros_and_stops(world: World, size: int) -> None:
    for given in range(size):
        outcome = world.run(program(0x5F + size, b"\xff" * given))
        assert outcome == Success(1_000_000 - 3, b"")


@pytest.mark.parametrize(("cut", "value"), [(b"", 0), (b"\x12", 0x120000)])
def test_a_cut_push_is_filled_from_the_right(world: World, cut: bytes, value: int) -> None:
    watch = Watch()
    world.run(program(Opcode.PUSH3, cut), tracer=watch)
    assert watch.stack == [value]


def test_push0(world: World) -> None:
    assert world.word(program(one, Opcode.PUSH0)) == 0
    assert world.gas_of(program(Opcode.PUSH0)) == 2


@pytest.mark.parametrize("position", range(1, 17))
def test_dup(world: World, position: int) -> None:
    values = program(*(push(value) for value in range(100, 117)))
    assert world.word(program(values, 0x7F + position)) == 117 - position


@pytest.mark.parametrize("position", range(1, 17))
def test_swap(world: World, position: int) -> None:
    values = program(*(push(value) for value in range(100, 117)))
    swapped = program(values, 0x8F + position)
    assert world.word(swapped) == 116 - position
    assert world.word(program(swapped, bytes((Opcode.POP,)) * position)) == 116


def test_pop(world: World) -> None:
    assert world.word(program(push(5), push(6), Opcode.POP)) == 5


def test_return_top_is_what_the_tests_think(world: World) -> None:
    assert world.run(program(push(7), RETURN_TOP)).output == (7).to_bytes(32, "big")
