"""Memory: words, bytes, copies, hashes, and what they cost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.hashes import keccak256
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Success
from tests.unit.evm.program import World, operation, program, push, store_code

WORLD = World()


def memory_price(size: int) -> int:
    """Yellow Paper, appendix H.1, for ``size`` bytes."""
    words = (size + 31) // 32
    return 3 * words + words * words // 512


def returned(*parts: int | bytes, size: int, offset: int = 0) -> bytes:
    outcome = WORLD.run(program(*parts, push(size), push(offset), Opcode.RETURN))
    assert isinstance(outcome, Success)
    return outcome.output


def test_mstore_and_mload_anywhere() -> None:
    for offset in (0, 1, 31, 32, 33, 500):
        code = program(push(0xDEAD), push(offset), Opcode.MSTORE, push(offset), Opcode.MLOAD)
        assert WORLD.word(code) == 0xDEAD


def test_mload_across_a_border() -> None:
    assert WORLD.word(program(push(1), push(0), Opcode.MSTORE, push(1), Opcode.MLOAD)) == 1 << 8


def test_mstore8_writes_the_low_byte() -> None:
    assert returned(push(0x1234), push(5), Opcode.MSTORE8, size=7) == bytes((0, 0, 0, 0, 0, 0x34, 0))


def test_msize_counts_words_touched_by_reads_too() -> None:
    assert WORLD.word(program(Opcode.MSIZE)) == 0
    assert WORLD.word(program(push(33), Opcode.MLOAD, Opcode.MSIZE)) == 96
    assert WORLD.word(program(operation(Opcode.MSTORE8, 32, 1), Opcode.MSIZE)) == 64


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(min_size=1, max_size=96),
    target=st.integers(0, 128),
    source=st.integers(0, 128),
    size=st.integers(0, 96),
)
def test_mcopy_is_a_move(data: bytes, target: int, source: int, size: int) -> None:
    memory = bytearray(data.ljust(256, b"\x00"))
    memory[target : target + size] = memory[source : source + size]
    assert returned(store_code(data), operation(Opcode.MCOPY, target, source, size), size=256) == bytes(memory)


def test_mcopy_gas() -> None:
    # EIP-5656: 3, 3 a word copied, and memory for the farther end
    base = 3 * 3
    assert WORLD.gas_of(operation(Opcode.MCOPY, 0, 0, 0)) == base + 3
    assert WORLD.gas_of(operation(Opcode.MCOPY, 0, 320, 33)) == base + 3 + 2 * 3 + memory_price(353)
    assert WORLD.gas_of(operation(Opcode.MCOPY, 320, 0, 33)) == base + 3 + 2 * 3 + memory_price(353)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_keccak(data: bytes) -> None:
    code = program(store_code(data), operation(Opcode.KECCAK256, 0, len(data)))
    assert WORLD.word(code) == int.from_bytes(keccak256(data), "big")


def test_keccak_gas() -> None:
    assert WORLD.gas_of(operation(Opcode.KECCAK256, 0, 0)) == 6 + 30
    assert WORLD.gas_of(operation(Opcode.KECCAK256, 0, 33)) == 6 + 30 + 2 * 6 + memory_price(64)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=5))
def test_memory_is_paid_once_and_by_its_end(offsets: list[int]) -> None:
    code = program(*(program(push(offset, 3), Opcode.MLOAD, Opcode.POP) for offset in offsets))
    assert WORLD.gas_of(code) == len(offsets) * (3 + 3 + 2) + memory_price(max(offsets) + 32)


@pytest.mark.parametrize("offset", [2**32, 2**63, 2**64, 2**256 - 1])
@pytest.mark.parametrize("opcode", [Opcode.MLOAD, Opcode.MSTORE, Opcode.MSTORE8])
def test_memory_out_of_reach_halts(opcode: Opcode, offset: int) -> None:
    assert WORLD.run(operation(opcode, offset, 0)) == Halt(HaltReason.OUT_OF_GAS)


def test_no_gas_pays_for_memory_beyond_64_bits() -> None:
    assert WORLD.run(operation(Opcode.MLOAD, 2**60), gas=2**200) == Halt(HaltReason.OUT_OF_GAS)


def test_size_zero_never_expands() -> None:
    outcome = WORLD.run(program(push(0), push(2**256 - 1), Opcode.RETURN))
    assert outcome == Success(1_000_000 - 6, b"")
