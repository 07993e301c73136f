"""Instructions on words, in restricted Python, compiled into the units that need them.

Where numbers are small, as they mostly are, division is one machine instruction; the machine's own functions do the
rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from node.evm.native.compiler.intrinsics import inline, leading_zeros, likely
from node.evm.native.compiler.types import i256, u64, u256
from node.evm.native.interpreter import words
from node.evm.native.runtime.arithmetic import (
    byte_length,
    magnitude,
    power,
    product_modulo,
    quotient_of,
    remainder_of,
    sum_modulo,
)

HALF: Final = 2**127


@inline
def quotient(a: u256, b: u256) -> u256:
    """a // b; 0 where b is 0."""
    if likely(((a | b) >> 64) == 0):
        return u256(u64(a) // u64(b))
    return quotient_of(a, b)


@inline
def remainder(a: u256, b: u256) -> u256:
    """a % b; 0 where b is 0."""
    if likely(((a | b) >> 64) == 0):
        return u256(u64(a) % u64(b))
    return remainder_of(a, b)


@inline
def signed_quotient(a: u256, b: u256) -> u256:
    """Signed a / b, rounded towards zero; 0 where b is 0."""
    result: u256 = quotient(magnitude(a), magnitude(b))
    return (0 - result) if i256(a ^ b) < 0 else result


@inline
def signed_remainder(a: u256, b: u256) -> u256:
    """Signed remainder with the sign of a; 0 where b is 0."""
    result: u256 = remainder(magnitude(a), magnitude(b))
    return (0 - result) if i256(a) < 0 else result


@inline
def product_quotient(product: u256, divisor: u256, factor: u256) -> u256:
    """product // divisor where product is divisor * factor modulo 2**256: compilers' check for an overflow."""
    if likely(((divisor | factor) >> 128) == 0):
        return u256(0) if divisor == 0 else factor
    return quotient_of(product, divisor)


@inline
def signed_product_quotient(product: u256, divisor: u256, factor: u256) -> u256:
    """The signed one: factors of 127 bits and a sign have a product that fits."""
    if likely((((divisor + HALF) | (factor + HALF)) >> 128) == 0):
        return u256(0) if divisor == 0 else factor
    return signed_quotient(product, divisor)


@inline
def sum_modulo_fast(a: u256, b: u256, modulus: u256) -> u256:
    """(a + b) % modulus; 0 where the modulus is 0."""
    total: u256 = a + b
    if likely(a < modulus and b < modulus):
        if total < a or total >= modulus:
            total = total - modulus
        return total
    return sum_modulo(a, b, modulus)


@inline
def count_leading_zeros(value: u256) -> u256:
    """CLZ."""
    return leading_zeros(value)


@inline
def exponent_bytes(exponent: u256) -> u64:
    """What EXP is paid by."""
    return byte_length(exponent)


FORMULAS: Final[dict[str, Callable[..., Any]]] = {
    "arithmetic.div": quotient,
    "arithmetic.sdiv": signed_quotient,
    "arithmetic.mod": remainder,
    "arithmetic.smod": signed_remainder,
    "arithmetic.addmod": sum_modulo_fast,
    "arithmetic.mulmod": product_modulo,
    "arithmetic.exp": power,
    "arithmetic.signextend": words.signextended,
    "bitwise.byte": words.byte_of,
    "bitwise.shl": words.shifted_left,
    "bitwise.shr": words.shifted_right,
    "bitwise.sar": words.shifted_signed,
    "bitwise.clz": count_leading_zeros,
}
"""By the plain instruction."""
