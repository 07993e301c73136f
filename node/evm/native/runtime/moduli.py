"""MULMOD by a modulus that comes again, as curves' do: its inverse is computed once, and no division is left."""

from __future__ import annotations

from node.evm.native.compiler.intrinsics import apart, leading_zeros, likely, load256, scratch, store256, zero_bytes
from node.evm.native.compiler.types import ptr, u256
from node.evm.native.runtime.arithmetic import divide_limbs, product_modulo, product_modulo_known
from node.evm.native.runtime.records import Run


@apart
def learn_modulus(run: Run, modulus: u256) -> None:
    """Compute the inverse: (2**512 - 1) // shifted - 2**256, whose dividend less 2**256 * shifted is (~shifted, ~0)."""
    bits: u256 = leading_zeros(modulus)
    shifted: u256 = modulus << bits
    number: ptr = scratch(72)
    divisor: ptr = scratch(32)
    quotient: ptr = scratch(72)
    ones: u256 = 0
    zero_bytes(number, 72)
    zero_bytes(quotient, 72)
    store256(number, 0, ~ones)
    store256(number, 32, ~shifted)
    store256(divisor, 0, shifted)
    divide_limbs(number, 8, divisor, 4, quotient)
    run.modulus_shifted = shifted
    run.modulus_inverse = load256(quotient)
    run.modulus_bits = bits
    run.modulus_known = 1


@apart
def product_modulo_again(run: Run, a: u256, b: u256, modulus: u256) -> u256:
    """(a * b) % modulus without a limit in between; 0 where the modulus is 0.

    A modulus is learned when it comes the second time in a row: to learn takes as long as a division.
    """
    if (modulus >> 64) == 0:
        return product_modulo(a, b, modulus)
    if likely(run.modulus == modulus):
        if run.modulus_known == 0:
            learn_modulus(run, modulus)
        return product_modulo_known(a, b, run.modulus_shifted, run.modulus_inverse, run.modulus_bits)
    run.modulus = modulus
    run.modulus_known = 0
    return product_modulo(a, b, modulus)
