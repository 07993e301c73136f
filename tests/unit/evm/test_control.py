"""Jumps, ends, and the counters of the machine; code analysis and disassembly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.evm.code import Code, CodeCache
from node.evm.opcodes import Opcode, disassemble, immediate_size, name_of
from node.evm.outcome import Halt, HaltReason, Revert, Success
from tests.unit.evm.program import GAS, RETURN_TOP, World, operation, program, push

CODES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from((0x00, 0x5B, 0x60, 0x61, 0x7F)), max_size=80).map(bytes),
)
BAD_JUMP = Halt(HaltReason.INVALID_JUMP)


def test_jump(world: World) -> None:
    code = program(push(4), Opcode.JUMP, Opcode.INVALID, Opcode.JUMPDEST, push(9), RETURN_TOP)
    outcome = world.run(code)
    assert int.from_bytes(outcome.output, "big") == 9
    assert GAS - outcome.gas_left == 3 + 8 + 1 + 3 + 3 + 3 + 3 + 3 + 3


@pytest.mark.parametrize("target", [0, 3, 4, 5, 6, 2**64, 2**256 - 1])
def test_jump_to_anything_else_halts(world: World, target: int) -> None:
    # 5b as PUSH data is no landing place, nor is the end of the code
    code = program(push(target), Opcode.JUMP, Opcode.PUSH1, 0x5B)
    assert world.run(code) == BAD_JUMP


def test_jumpi(world: World) -> None:
    def code(condition: int, target: int) -> bytes:
        return program(
            push(condition, 32), push(target), Opcode.JUMPI, push(1), Opcode.STOP, Opcode.JUMPDEST, Opcode.GAS
        )

    landing = 33 + 2 + 1 + 2 + 1
    assert isinstance(world.run(code(0, landing)), Success)
    assert world.run(code(0, 1)) == Success(GAS - 3 - 3 - 10 - 3, b"")  # not looked at unless taken
    assert world.run(code(1, 1)) == BAD_JUMP
    assert world.run(code(2**255, landing)) == Success(GAS - 3 - 3 - 10 - 1 - 2, b"")


def test_pc_and_gas(world: World) -> None:
    assert world.word(program(push(0), Opcode.POP, Opcode.PC)) == 3
    assert world.word(program(push(0), Opcode.GAS)) == GAS - 3 - 2


def test_running_off_the_end_stops(world: World) -> None:
    assert world.run(program(push(1))) == Success(GAS - 3, b"")
    assert world.run(b"") == Success(GAS, b"")


def test_return_and_revert(world: World) -> None:
    body = program(operation(Opcode.MSTORE, 0, 0xBEEF), push(2), push(30))
    # 4 pushes, MSTORE, a word of memory
    assert world.run(program(body, Opcode.RETURN)) == Success(GAS - 18, b"\xbe\xef")
    assert world.run(program(body, Opcode.REVERT)) == Revert(GAS - 18, b"\xbe\xef")


def test_revert_undoes_and_halt_burns(world: World) -> None:
    write = operation(Opcode.SSTORE, 1, 2)
    world.run(program(write, push(0), push(0), Opcode.REVERT))
    assert world.state.storage(b"\xbb" * 20, 1) == 0
    outcome = world.run(program(write, Opcode.INVALID))
    assert outcome == Halt(HaltReason.INVALID_OPCODE, "opcode 0xfe")
    assert (outcome.gas_left, outcome.output) == (0, b"")
    assert world.state.storage(b"\xbb" * 20, 1) == 0


@settings(deadline=None)
@given(CODES)
def test_jump_map_marks_exactly_the_jumpdest_instructions(code: bytes) -> None:
    expected = bytearray(len(code))
    for instruction in disassemble(code):
        if instruction.opcode == Opcode.JUMPDEST:
            expected[instruction.pc] = 1
    analysed = Code(code)
    assert analysed.jump_map == bytes(expected)
    assert analysed.is_jump_destination(len(code)) is False


@settings(deadline=None)
@given(CODES)
def test_disassembly_covers_the_code(code: bytes) -> None:
    assert b"".join(bytes((found.opcode,)) + found.immediate for found in disassemble(code)) == code


def test_names() -> None:
    assert name_of(0x5F) == "PUSH0"
    assert name_of(0x0C) == "opcode 0x0c not defined"
    assert [immediate_size(opcode) for opcode in (0x5F, 0x60, 0x7F, 0x80)] == [0, 1, 32, 0]


def test_cache_returns_the_same_analysis_and_forgets_what_is_not_used() -> None:
    cache = CodeCache(bytes_max=20_000)
    used = cache.get(b"\x5b" * 1000)
    idle = cache.get(b"\x5c" * 1000)
    for number in range(20):
        cache.get(number.to_bytes(1, "big") * 1000)
        assert cache.get(b"\x5b" * 1000) is used
    assert len(cache) * 3300 < 20_000 + 2 * 3300
    assert cache.get(b"\x5c" * 1000) is not idle


def test_cache_keeps_a_code_larger_than_itself() -> None:
    cache = CodeCache(bytes_max=100)
    code = cache.get(b"\x5b" * 1000)
    assert cache.get(b"\x5b" * 1000) is code
