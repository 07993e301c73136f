"""Division, modular arithmetic and keccak of the native runtime against Python's integers and hashes."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.crypto.hashes import keccak256 as reference_keccak
from node.evm.native.compiler.intrinsics import load256, store64, store256
from node.evm.native.compiler.module import compile_module
from node.evm.native.compiler.types import ptr, u64, u256
from node.evm.native.runtime.arithmetic import (
    byte_length,
    power,
    product_modulo,
    quotient_of,
    reciprocal,
    remainder_of,
    signed_quotient,
    signed_remainder,
    sum_modulo,
)
from node.evm.native.runtime.keccak import keccak256
from node.primitives.scalars import to_signed, to_unsigned
from tests.unit.evm.native.compiling import WORD, load, needs_llvm, on_words

pytestmark = needs_llvm

limbs = st.one_of(st.sampled_from((0, 1, 2, 2**32 - 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1)), st.integers(0, 2**64 - 1))
words = st.one_of(
    st.integers(0, WORD - 1),
    st.lists(limbs, max_size=4).map(lambda parts: sum(limb << (64 * at) for at, limb in enumerate(parts))),
    st.tuples(st.integers(0, 255), st.integers(-2, 2)).map(lambda pair: ((1 << pair[0]) + pair[1]) % WORD),
)


def div(p: ptr) -> None:
    store256(p, 0, quotient_of(load256(p), load256(p, 32)))


def mod(p: ptr) -> None:
    store256(p, 0, remainder_of(load256(p), load256(p, 32)))


def sdiv(p: ptr) -> None:
    store256(p, 0, signed_quotient(load256(p), load256(p, 32)))


def smod(p: ptr) -> None:
    store256(p, 0, signed_remainder(load256(p), load256(p, 32)))


def addmod(p: ptr) -> None:
    store256(p, 0, sum_modulo(load256(p), load256(p, 32), load256(p, 64)))


def mulmod(p: ptr) -> None:
    store256(p, 0, product_modulo(load256(p), load256(p, 32), load256(p, 64)))


def exp(p: ptr) -> None:
    store256(p, 0, power(load256(p), load256(p, 32)))


def length(p: ptr) -> None:
    store256(p, 0, u256(byte_length(load256(p))))


def inverse(p: ptr) -> None:
    value: u64 = reciprocal(u64(load256(p)))
    store256(p, 0, 0)
    store64(p, 0, value)


@pytest.fixture(scope="module", params=[0, 2], ids=["unoptimised", "optimised"])
def compiled(request):
    functions = (div, mod, sdiv, smod, addmod, mulmod, exp, length, inverse)
    return {name: on_words(address) for name, address in load(*functions, level=request.param).items()}


def signed_division(a: int, b: int) -> tuple[int, int]:
    """(quotient, remainder) rounded towards zero."""
    a, b = to_signed(a), to_signed(b)
    if b == 0:
        return 0, 0
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return to_unsigned(quotient), to_unsigned(a - b * quotient)


@given(a=words, b=words, modulus=words)
@settings(max_examples=1500, deadline=None)
@example(a=WORD // 2, b=WORD - 1, modulus=0)
@example(a=WORD - 1, b=2**64, modulus=2**64 + 1)
@example(a=(2**63) << 128, b=(2**63 << 64) + 2**64 - 1, modulus=WORD - 1)
def test_division_agrees_with_python(compiled, a: int, b: int, modulus: int) -> None:
    assert compiled["div"](a, b) == (a // b if b else 0)
    assert compiled["mod"](a, b) == (a % b if b else 0)
    assert (compiled["sdiv"](a, b), compiled["smod"](a, b)) == signed_division(a, b)
    assert compiled["addmod"](a, b, modulus) == ((a + b) % modulus if modulus else 0)
    assert compiled["mulmod"](a, b, modulus) == (a * b % modulus if modulus else 0)


@given(divisor=words, quotient=words, below=st.integers(0, 3))
@settings(max_examples=800, deadline=None)
def test_division_next_to_multiples(compiled, divisor: int, quotient: int, below: int) -> None:
    """Dividends just below a multiple make Knuth's digit too large, which random ones hardly ever do."""
    a = (divisor * quotient - below) % WORD
    assert compiled["div"](a, divisor) == (a // divisor if divisor else 0)
    assert compiled["mod"](a, divisor) == (a % divisor if divisor else 0)


def test_digit_estimates_that_are_too_large(compiled) -> None:
    """Divisors with many ones in all but the top limb, where the step `add back` of algorithm D runs."""
    for top in (2**63, 2**63 + 1, 1, 3, 2**64 - 1):
        for low in (2**64 - 1, 2**64 - 2, 0, 1):
            divisor = (top << 128) | (low << 64) | low
            for a in (
                (divisor << 64) - 1,
                (divisor << 63) - 1,
                divisor * (2**64 - 1) - 1,
                (top << 192) - 1,
                top << 191,
            ):
                a %= WORD
                assert compiled["div"](a, divisor) == a // divisor
                assert compiled["mod"](a, divisor) == a % divisor


@given(base=words, exponent=words)
@settings(max_examples=200, deadline=None)
def test_power_agrees_with_python(compiled, base: int, exponent: int) -> None:
    assert compiled["exp"](base, exponent) == pow(base, exponent, WORD)
    assert compiled["length"](exponent) == (exponent.bit_length() + 7) // 8


@given(divisor=st.one_of(st.integers(2**63, 2**64 - 1), st.sampled_from((2**63, 2**63 + 1, 2**64 - 1))))
@settings(max_examples=800, deadline=None)
def test_reciprocal_is_exact(compiled, divisor: int) -> None:
    assert compiled["inverse"](divisor) == (2**128 - 1) // divisor - 2**64


def test_no_division_wider_than_64_bits_reaches_llvm() -> None:
    text = compile_module({"div": div, "mulmod": mulmod, "smod": smod, "addmod": addmod})
    assert "udiv i64" in text
    assert not any(f"{sign} i{bits}" in text for sign in ("udiv", "urem", "sdiv", "srem") for bits in (128, 256, 512))


def test_byte_length_of_the_edges(compiled) -> None:
    assert [compiled["length"](value) for value in (0, 1, 255, 256, WORD - 1)] == [0, 1, 1, 2, 32]


def test_keccak_of_every_length_around_the_blocks() -> None:
    function = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_void_p)(load(keccak256)["keccak256"])
    digest = ctypes.create_string_buffer(32)
    for size in (*range(300), 1000, 4096):
        data = bytes((7 * at + size) % 256 for at in range(size))
        function(data, size, digest)
        assert digest.raw == reference_keccak(data), size
