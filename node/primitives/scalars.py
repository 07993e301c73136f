"""Numbers and byte strings that every room speaks of.

Plain ``int`` and ``bytes`` at run time; the NewTypes document the unit.
"""

from __future__ import annotations

from typing import Final, NewType

Address = NewType("Address", bytes)
"""20 bytes: the last 20 of keccak256(public key)."""
Hash32 = NewType("Hash32", bytes)
"""32 bytes."""

U64_MAX: Final = 2**64 - 1
U256_MAX: Final = 2**256 - 1
U256_MOD: Final = 2**256

ZERO_ADDRESS: Final = Address(b"\x00" * 20)
ZERO_HASH: Final = Hash32(b"\x00" * 32)

WEI: Final = 1
GWEI: Final = 10**9
ETHER: Final = 10**18


def ceil32(length: int) -> int:
    """Smallest multiple of 32 that is at least ``length``."""
    return (length + 31) & ~31


def to_signed(word: int) -> int:
    """Two's complement reading of a 256-bit word."""
    return word - U256_MOD if word >> 255 else word


def to_unsigned(value: int) -> int:
    """A signed number as a 256-bit two's complement word."""
    return value & U256_MAX


def word_to_address(word: int) -> Address:
    """The low 160 bits of a stack word (Yellow Paper: addresses are 160-bit)."""
    return Address((word & ((1 << 160) - 1)).to_bytes(20, "big"))
