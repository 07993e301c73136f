"""Division and what needs it, on 256-bit words in memory (little-endian).

Long division in base 2**64 after Knuth (The Art of Computer Programming 2, 4.3.1, algorithm D), where each quotient
digit comes from a precomputed reciprocal instead of a hardware division (Moller and Granlund, "Improved division by
invariant integers", 2011). LLVM's own division of i256 takes one step for every bit.
"""

from __future__ import annotations

from typing import Final

from node.evm.native.compiler.intrinsics import (
    apart,
    copy_bytes,
    high_half,
    inline,
    leading_zeros,
    likely,
    load64,
    load256,
    scratch,
    store64,
    store256,
    store512,
    unlikely,
    zero_bytes,
)
from node.evm.native.compiler.types import i256, ptr, u64, u128, u256, u512

U64_LAST: Final = 2**64 - 1


def reciprocal(divisor: u64) -> u64:
    """floor((2**128 - 1) / divisor) - 2**64 for a divisor whose top bit is set.

    The two 64-bit divisions below give the quotient of (2**128 - 1 - divisor * 2**64) in two steps of 32 bits.
    """
    high: u64 = divisor >> 32
    low: u64 = divisor & 0xFFFFFFFF
    # first digit of (~divisor, 2**64 - 1) / divisor
    top: u64 = ~divisor
    digit: u64 = top // high
    rest: u64 = top - digit * high
    while digit > 0xFFFFFFFF or digit * low > ((rest << 32) | 0xFFFFFFFF):
        digit = digit - 1
        rest = rest + high
        if rest > 0xFFFFFFFF:
            break
    middle: u64 = ((top << 32) | 0xFFFFFFFF) - digit * divisor
    second: u64 = middle // high
    rest = middle - second * high
    while second > 0xFFFFFFFF or second * low > ((rest << 32) | 0xFFFFFFFF):
        second = second - 1
        rest = rest + high
        if rest > 0xFFFFFFFF:
            break
    return (digit << 32) + second


def divide_two_by_one(high: u64, low: u64, divisor: u64, inverse: u64) -> u128:
    """(high, low) / divisor for high < divisor: the quotient in the upper half, the remainder in the lower."""
    estimate: u128 = u128(inverse) * u128(high) + ((u128(high) << 64) | u128(low))
    quotient: u64 = high_half(estimate) + 1
    remainder: u64 = low - quotient * divisor
    if remainder > u64(estimate):
        quotient = quotient - 1
        remainder = remainder + divisor
    if unlikely(remainder >= divisor):
        quotient = quotient + 1
        remainder = remainder - divisor
    return (u128(quotient) << 64) | u128(remainder)


def significant(number: ptr, limbs: u64) -> u64:
    """How many of the limbs are needed."""
    while limbs != 0 and load64(number, (limbs - 1) << 3) == 0:
        limbs = limbs - 1
    return limbs


def shift_up(number: ptr, limbs: u64, bits: u64) -> u64:
    """Shift left in place by less than 64 bits; what leaves at the top is the result."""
    if bits == 0:
        return u64(0)
    carried: u64 = 0
    at: u64 = 0
    while at < limbs:
        limb: u64 = load64(number, at << 3)
        store64(number, at << 3, (limb << bits) | carried)
        carried = limb >> (64 - bits)
        at = at + 1
    return carried


def subtract_product(number: ptr, divisor: ptr, limbs: u64, digit: u64) -> u64:
    """number -= digit * divisor over ``limbs`` limbs; the result is what the next limb must still give."""
    owed: u64 = 0
    at: u64 = 0
    while at < limbs:
        product: u128 = u128(digit) * u128(load64(divisor, at << 3)) + u128(owed)
        limb: u64 = load64(number, at << 3)
        low: u64 = u64(product)
        store64(number, at << 3, limb - low)
        owed = high_half(product) + (u64(1) if limb < low else u64(0))
        at = at + 1
    return owed


def add_back(number: ptr, divisor: ptr, limbs: u64) -> u64:
    """number += divisor over ``limbs`` limbs; the result is the carry."""
    carried: u64 = 0
    at: u64 = 0
    while at < limbs:
        total: u128 = u128(load64(number, at << 3)) + u128(load64(divisor, at << 3)) + u128(carried)
        store64(number, at << 3, u64(total))
        carried = high_half(total)
        at = at + 1
    return carried


@apart
def divide_limbs(number: ptr, limbs: u64, divisor: ptr, divisor_limbs: u64, quotient: ptr) -> None:
    """quotient = number // divisor; number becomes the remainder.

    ``number`` has room for one limb more than ``limbs`` (at most 8); ``divisor`` is not 0 and is overwritten;
    ``quotient`` has as many limbs as ``number`` and holds zeros.
    """
    n: u64 = significant(number, limbs)
    d: u64 = significant(divisor, divisor_limbs)
    if n < d or d == 0:
        return
    if n == 1:
        a: u64 = load64(number)
        b: u64 = load64(divisor)
        store64(quotient, 0, a // b)
        store64(number, 0, a % b)
        return
    bits: u64 = leading_zeros(load64(divisor, (d - 1) << 3))
    shift_up(divisor, d, bits)
    store64(number, n << 3, shift_up(number, n, bits))
    top: u64 = load64(divisor, (d - 1) << 3)
    inverse: u64 = reciprocal(top)
    at: u64 = n - d + 1
    if d == 1:
        rest: u64 = load64(number, n << 3)
        store64(number, n << 3, 0)
        at = n
        while at != 0:
            at = at - 1
            pair: u128 = divide_two_by_one(rest, load64(number, at << 3), top, inverse)
            store64(quotient, at << 3, high_half(pair))
            store64(number, at << 3, 0)
            rest = u64(pair)
        store64(number, 0, rest)
    else:
        second: u64 = load64(divisor, (d - 2) << 3)
        while at != 0:
            at = at - 1
            window: ptr = number + (at << 3)
            high: u64 = load64(window, d << 3)
            middle: u64 = load64(window, (d - 1) << 3)
            digit: u64 = U64_LAST
            left: u64 = middle + top
            exact: bool = left >= top  # the remainder of the estimate still fits into one limb
            if likely(high < top):
                estimate: u128 = divide_two_by_one(high, middle, top, inverse)
                digit = high_half(estimate)
                left = u64(estimate)
                exact = True
            third: u64 = load64(window, (d - 2) << 3)
            while exact and u128(digit) * u128(second) > ((u128(left) << 64) | u128(third)):
                digit = digit - 1
                left = left + top
                exact = left >= top
            owed: u64 = subtract_product(window, divisor, d, digit)
            store64(window, d << 3, high - owed)
            if unlikely(high < owed):
                digit = digit - 1
                store64(window, d << 3, load64(window, d << 3) + add_back(window, divisor, d))
            store64(quotient, at << 3, digit)
    # undo the shift of the remainder
    if bits != 0:
        at = 0
        while at < d:
            above: u64 = load64(number, (at + 1) << 3) if at + 1 < d else u64(0)
            store64(number, at << 3, (load64(number, at << 3) >> bits) | (above << (64 - bits)))
            at = at + 1


def divide_words(a: u256, b: u256, quotient: ptr, remainder: ptr) -> None:
    """Both results of a / b for b other than 0. ``quotient`` and ``remainder`` are 32 bytes each."""
    number: ptr = scratch(40)
    divisor: ptr = scratch(32)
    store256(number, 0, a)
    store256(divisor, 0, b)
    store256(quotient, 0, 0)
    divide_limbs(number, 4, divisor, 4, quotient)
    copy_bytes(remainder, number, 32)


@inline
def divide_by_limb(a: u256, divisor: u64) -> u512:
    """a / divisor for a divisor other than 0: the quotient above 64 bits of remainder."""
    bits: u64 = leading_zeros(divisor)
    d: u64 = divisor << bits
    inverse: u64 = reciprocal(d)
    back: u64 = 63 - bits
    l0: u64 = u64(a)
    l1: u64 = u64(a >> 64)
    l2: u64 = u64(a >> 128)
    l3: u64 = u64(a >> 192)
    rest: u64 = (l2 << bits) | ((l1 >> 1) >> back)
    above: u256 = 0
    if (l2 | l3) != 0:
        first: u128 = divide_two_by_one((l3 >> 1) >> back, (l3 << bits) | ((l2 >> 1) >> back), d, inverse)
        second: u128 = divide_two_by_one(u64(first), rest, d, inverse)
        above = (u256(high_half(first)) << 64) | u256(high_half(second))
        rest = u64(second)
    third: u128 = divide_two_by_one(rest, (l1 << bits) | ((l0 >> 1) >> back), d, inverse)
    last: u128 = divide_two_by_one(u64(third), l0 << bits, d, inverse)
    below: u256 = (u256(high_half(third)) << 64) | u256(high_half(last))
    return (u512((above << 128) | below) << 64) | u512(u64(last) >> bits)


@apart
def quotient_of(a: u256, b: u256) -> u256:
    """a // b; 0 where b is 0."""
    if b == 0:
        return u256(0)
    if (b >> 64) == 0:
        if (a >> 64) == 0:
            return u256(u64(a) // u64(b))
        return u256(divide_by_limb(a, u64(b)) >> 64)
    quotient: ptr = scratch(40)
    remainder: ptr = scratch(32)
    divide_words(a, b, quotient, remainder)
    return load256(quotient)


@apart
def remainder_of(a: u256, b: u256) -> u256:
    """a % b; 0 where b is 0."""
    if b == 0:
        return u256(0)
    if (b >> 64) == 0:
        if (a >> 64) == 0:
            return u256(u64(a) % u64(b))
        return u256(u64(divide_by_limb(a, u64(b))))
    quotient: ptr = scratch(40)
    remainder: ptr = scratch(32)
    divide_words(a, b, quotient, remainder)
    return load256(remainder)


def magnitude(a: u256) -> u256:
    """|a| of a signed word; of the least one itself."""
    return (0 - a) if i256(a) < 0 else a


def signed_quotient(a: u256, b: u256) -> u256:
    """Signed a / b, rounded towards zero; 0 where b is 0."""
    quotient: u256 = quotient_of(magnitude(a), magnitude(b))
    return (0 - quotient) if i256(a ^ b) < 0 else quotient


def signed_remainder(a: u256, b: u256) -> u256:
    """Signed remainder with the sign of a; 0 where b is 0."""
    remainder: u256 = remainder_of(magnitude(a), magnitude(b))
    return (0 - remainder) if i256(a) < 0 else remainder


def reduce_wide(number: ptr, limbs: u64, modulus: u256) -> u256:
    """The remainder of a number of up to 8 limbs, with room for one more; it is overwritten."""
    divisor: ptr = scratch(32)
    quotient: ptr = scratch(72)
    zero_bytes(quotient, 72)
    store256(divisor, 0, modulus)
    divide_limbs(number, limbs, divisor, 4, quotient)
    return load256(number)


@apart
def sum_modulo(a: u256, b: u256, modulus: u256) -> u256:
    """(a + b) % modulus without a limit in between; 0 where the modulus is 0."""
    if modulus == 0:
        return u256(0)
    total: u256 = a + b
    if likely(a < modulus and b < modulus):
        if total < a or total >= modulus:
            total = total - modulus
        return total
    number: ptr = scratch(72)
    zero_bytes(number, 72)
    store256(number, 0, total)
    store64(number, 32, u64(1) if total < a else u64(0))
    return reduce_wide(number, 5, modulus)


@apart
def product_modulo(a: u256, b: u256, modulus: u256) -> u256:
    """(a * b) % modulus without a limit in between; 0 where the modulus is 0."""
    if modulus == 0:
        return u256(0)
    number: ptr = scratch(72)
    store512(number, 0, u512(a) * u512(b))
    store64(number, 64, 0)
    return reduce_wide(number, 8, modulus)


@inline
def product_modulo_known(a: u256, b: u256, modulus: u256, inverse: u256, bits: u256) -> u256:
    """(a * b) % (modulus >> bits) for a modulus that is shifted up until its top bit is set.

    ``inverse`` is (2**512 - 1) // modulus - 2**256, known beforehand: the division of ``divide_two_by_one`` on words.
    """
    if unlikely(a >= (modulus >> bits) or b >= (modulus >> bits)):
        return product_modulo(a, b, modulus >> bits)
    product: u512 = u512(a << bits) * u512(b)
    high: u256 = u256(product >> 256)
    low: u256 = u256(product)
    estimate: u512 = u512(inverse) * u512(high) + product
    remainder: u256 = low - (u256(estimate >> 256) + 1) * modulus
    if remainder > u256(estimate):
        remainder = remainder + modulus
    if unlikely(remainder >= modulus):
        remainder = remainder - modulus
    return remainder >> bits


@apart
def power(base: u256, exponent: u256) -> u256:
    """base ** exponent modulo 2**256, a multiplication or two for every bit of the exponent."""
    result: u256 = 1
    while exponent != 0:
        if (exponent & 1) != 0:
            result = result * base
        base = base * base
        exponent = exponent >> 1
    return result


def byte_length(value: u256) -> u64:
    """Bytes of the number without leading zeros."""
    return (263 - u64(leading_zeros(value))) >> 3
