"""SHA256, RIPEMD160, IDENTITY, BLAKE2F."""

from __future__ import annotations

import hashlib
from typing import Final

from node.crypto.blake2f import compress
from node.crypto.hashes import ripemd160
from node.evm.gas import words

BLAKE2F_INPUT_SIZE: Final = 213


def sha256_gas(data: bytes) -> int:
    """60 and 12 a word."""
    return 60 + 12 * words(len(data))


def sha256(data: bytes) -> bytes:
    """32 bytes."""
    return hashlib.sha256(data).digest()


def ripemd160_gas(data: bytes) -> int:
    """600 and 120 a word."""
    return 600 + 120 * words(len(data))


def ripemd160_word(data: bytes) -> bytes:
    """The 20-byte digest, left-padded to 32 bytes."""
    return ripemd160(data).rjust(32, b"\x00")


def identity_gas(data: bytes) -> int:
    """15 and 3 a word."""
    return 15 + 3 * words(len(data))


def identity(data: bytes) -> bytes:
    """The data itself."""
    return data


def blake2f_gas(data: bytes) -> int:
    """1 a round; 0 for input of a wrong size, which fails anyhow (EIP-152)."""
    return int.from_bytes(data[:4], "big") if len(data) == BLAKE2F_INPUT_SIZE else 0


def blake2f(data: bytes) -> bytes | None:
    """The compression F of BLAKE2b: rounds(4) h(64) m(128) t(16) final(1) -> h(64) (EIP-152)."""
    if len(data) != BLAKE2F_INPUT_SIZE or data[212] > 1:
        return None
    rounds = int.from_bytes(data[:4], "big")
    return compress(rounds, data[4:68], data[68:196], data[196:212], final=data[212] == 1)
