"""MODEXP (EIP-198) with its own prices, those of EIP-2565 and EIP-7883 and the size limit of EIP-7823."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, cast

HEADER_SIZE: Final = 96
OPERAND_SIZE_MAX: Final = 1024
"""Bytes (EIP-7823)."""


@cache
def _powmod() -> Callable[[int, int, int], int]:
    """GMP's power: eight times faster than Python's on long operands."""
    from gmpy2 import powmod  # 40 ms to import, most of it a look-up of its own version: not at start-up

    return cast("Callable[[int, int, int], int]", powmod)


def _sizes(data: bytes) -> tuple[int, int, int]:
    """Bytes of base, exponent and modulus as the header says; missing bytes are 0."""
    header = data[:HEADER_SIZE].ljust(HEADER_SIZE, b"\x00")
    return (
        int.from_bytes(header[:32], "big"),
        int.from_bytes(header[32:64], "big"),
        int.from_bytes(header[64:], "big"),
    )


def _piece(data: bytes, offset: int, size: int) -> int:
    """The number in ``size`` bytes at ``offset``; bytes behind the end are 0."""
    piece = data[offset : offset + size]
    return int.from_bytes(piece, "big") << (8 * (size - len(piece)))


def _iterations(data: bytes, base_size: int, exponent_size: int, bits_per_byte: int) -> int:
    """How long the exponent is, at least 1: the place of its highest bit, bytes behind the first 32 in full."""
    head_size = min(32, exponent_size)
    head = _piece(data, HEADER_SIZE + base_size, head_size)
    count = max(head.bit_length() - 1, 0)
    if exponent_size > 32:
        count += bits_per_byte * (exponent_size - 32)
    return max(count, 1)


def gas_198(data: bytes) -> int:
    """EIP-198: long multiplication, with a bend at 64 and one at 1,024 bytes."""
    base_size, exponent_size, modulus_size = _sizes(data)
    longest = max(base_size, modulus_size)
    if longest <= 64:
        complexity = longest**2
    elif longest <= 1024:
        complexity = longest**2 // 4 + 96 * longest - 3_072
    else:
        complexity = longest**2 // 16 + 480 * longest - 199_680
    return complexity * _iterations(data, base_size, exponent_size, 8) // 20


def gas_2565(data: bytes) -> int:
    """EIP-2565: at least 200."""
    base_size, exponent_size, modulus_size = _sizes(data)
    longest_words = (max(base_size, modulus_size) + 7) // 8
    return max(200, longest_words**2 * _iterations(data, base_size, exponent_size, 8) // 3)


def gas_7883(data: bytes) -> int:
    """EIP-7883: at least 500, no third off, long operands and exponents dearer."""
    base_size, exponent_size, modulus_size = _sizes(data)
    longest = max(base_size, modulus_size)
    complexity = 16 if longest <= 32 else 2 * ((longest + 7) // 8) ** 2
    return max(500, complexity * _iterations(data, base_size, exponent_size, 16))


def modexp(data: bytes) -> bytes:
    """base ** exponent % modulus in as many bytes as the modulus has; 0 for a modulus of 0."""
    base_size, exponent_size, modulus_size = _sizes(data)
    if modulus_size == 0:
        return b""
    base = _piece(data, HEADER_SIZE, base_size)
    exponent = _piece(data, HEADER_SIZE + base_size, exponent_size)
    modulus = _piece(data, HEADER_SIZE + base_size + exponent_size, modulus_size)
    if modulus == 0:
        return bytes(modulus_size)
    return int(_powmod()(base, exponent, modulus)).to_bytes(modulus_size, "big")


def modexp_bounded(data: bytes) -> bytes | None:
    """MODEXP that fails for operands of more than 1,024 bytes (EIP-7823)."""
    return None if max(_sizes(data)) > OPERAND_SIZE_MAX else modexp(data)
