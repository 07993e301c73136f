"""The compression function F of BLAKE2b with a free number of rounds (RFC 7693 section 3.2, EIP-152).

Through blake2b-py: in Python a round takes 4 µs, and one transaction may buy 16 million of them.
"""

from __future__ import annotations

import struct

import blake2b


def compress(rounds: int, state: bytes, block: bytes, offset: bytes, final: bool) -> bytes:
    """F: ``state`` (64 bytes), ``block`` (128), ``offset`` counter (16), all little-endian -> new state (64 bytes)."""
    result: bytes = blake2b.compress(
        rounds,
        list(struct.unpack("<8Q", state)),
        list(struct.unpack("<16Q", block)),
        list(struct.unpack("<2Q", offset)),
        final,
    )
    return result
