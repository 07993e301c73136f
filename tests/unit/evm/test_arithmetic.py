"""Arithmetic and bits against Python's integers, on the edges and at random."""

from fractions import Fraction
from math import trunc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.evm.opcodes import Opcode
from tests.unit.evm.program import World, operation

MOD = 2**256
EDGES = (0, 1, 2, 30, 31, 32, 255, 256, 2**128, 2**247, 2**255 - 1, 2**255, 2**255 + 1, MOD - 2, MOD - 1)
WORD = st.one_of(st.sampled_from(EDGES), st.integers(0, MOD - 1), st.integers(0, 300))
WORLD = World()


def signed(word: int) -> int:
    return int.from_bytes(word.to_bytes(32, "big"), "big", signed=True)


def unsigned(value: int) -> int:
    return value % MOD


def quotient(a: int, b: int) -> int:
    """Rounded towards zero, by way of exact fractions."""
    return trunc(Fraction(signed(a), signed(b))) if b else 0


def remainder(a: int, b: int) -> int:
    return signed(a) - quotient(a, b) * signed(b) if b else 0


def extended(size: int, value: int) -> int:
    if size >= 31:
        return value
    low = value.to_bytes(32, "big")[31 - size :]
    return unsigned(int.from_bytes(low, "big", signed=True))


BINARY = {
    Opcode.ADD: lambda a, b: a + b,
    Opcode.MUL: lambda a, b: a * b,
    Opcode.SUB: lambda a, b: a - b,
    Opcode.DIV: lambda a, b: a // b if b else 0,
    Opcode.SDIV: quotient,
    Opcode.MOD: lambda a, b: a % b if b else 0,
    Opcode.SMOD: remainder,
    Opcode.EXP: lambda a, b: pow(a, b, MOD),
    Opcode.SIGNEXTEND: extended,
    Opcode.LT: lambda a, b: a < b,
    Opcode.GT: lambda a, b: a > b,
    Opcode.SLT: lambda a, b: signed(a) < signed(b),
    Opcode.SGT: lambda a, b: signed(a) > signed(b),
    Opcode.EQ: lambda a, b: a == b,
    Opcode.AND: lambda a, b: a & b,
    Opcode.OR: lambda a, b: a | b,
    Opcode.XOR: lambda a, b: (a | b) - (a & b),
    Opcode.BYTE: lambda a, b: b.to_bytes(32, "big")[a] if a < 32 else 0,
    Opcode.SHL: lambda a, b: b * 2**a if a < 256 else 0,
    Opcode.SHR: lambda a, b: b // 2**a if a < 256 else 0,
    Opcode.SAR: lambda a, b: signed(b) // 2 ** min(a, 256),
}
TERNARY = {
    Opcode.ADDMOD: lambda a, b, n: (a + b) % n if n else 0,
    Opcode.MULMOD: lambda a, b, n: (a * b) % n if n else 0,
}
UNARY = {
    Opcode.ISZERO: lambda a: a == 0,
    Opcode.NOT: lambda a: MOD - 1 - a,
    Opcode.CLZ: lambda a: 256 - len(bin(a)[2:].lstrip("0")),
}


@pytest.mark.parametrize("opcode", BINARY, ids=lambda opcode: opcode.name)
@settings(max_examples=40, deadline=None)
@given(a=WORD, b=WORD)
def test_binary(opcode: Opcode, a: int, b: int) -> None:
    assert WORLD.word(operation(opcode, a, b)) == unsigned(int(BINARY[opcode](a, b)))


@pytest.mark.parametrize("opcode", BINARY, ids=lambda opcode: opcode.name)
def test_binary_edges(opcode: Opcode) -> None:
    for a in EDGES:
        for b in EDGES:
            assert WORLD.word(operation(opcode, a, b)) == unsigned(int(BINARY[opcode](a, b))), (a, b)


@pytest.mark.parametrize("opcode", TERNARY, ids=lambda opcode: opcode.name)
@settings(max_examples=60, deadline=None)
@given(a=WORD, b=WORD, n=WORD)
def test_ternary(opcode: Opcode, a: int, b: int, n: int) -> None:
    assert WORLD.word(operation(opcode, a, b, n)) == TERNARY[opcode](a, b, n)


@pytest.mark.parametrize("opcode", UNARY, ids=lambda opcode: opcode.name)
@settings(max_examples=60, deadline=None)
@given(a=WORD)
def test_unary(opcode: Opcode, a: int) -> None:
    assert WORLD.word(operation(opcode, a)) == int(UNARY[opcode](a))


@pytest.mark.parametrize(
    ("opcode", "operands", "result"),
    [
        (Opcode.SDIV, (2**255, MOD - 1), 2**255),  # the least number divided by -1 overflows into itself
        (Opcode.SDIV, (MOD - 7, 2), MOD - 3),
        (Opcode.SMOD, (MOD - 8, 3), MOD - 2),
        (Opcode.SIGNEXTEND, (0, 0x122FF), MOD - 1),
        (Opcode.SIGNEXTEND, (0, 0x12F7F), 0x7F),
        (Opcode.ADDMOD, (MOD - 1, 2, 2), 1),
        (Opcode.BYTE, (31, 0xABCD), 0xCD),
        (Opcode.SAR, (255, 2**255), MOD - 1),
        (Opcode.CLZ, (0,), 256),
        (Opcode.CLZ, (2**255,), 0),
        (Opcode.EXP, (0, 0), 1),
    ],
)
def test_by_hand(opcode: Opcode, operands: tuple[int, ...], result: int) -> None:
    assert WORLD.word(operation(opcode, *operands)) == result


@pytest.mark.parametrize(("exponent", "gas"), [(0, 10), (1, 60), (255, 60), (256, 110), (MOD - 1, 10 + 32 * 50)])
def test_exp_gas_counts_bytes_of_the_exponent(exponent: int, gas: int) -> None:
    assert WORLD.gas_of(operation(Opcode.EXP, 2, exponent)) == 6 + gas
