"""The compression function F of BLAKE2b with a free number of rounds (RFC 7693 section 3.2, EIP-152)."""

from __future__ import annotations

import struct
from typing import Final

_MASK: Final = 2**64 - 1

_IV: Final = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)

_SIGMA: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)

_QUARTERS: Final = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)
"""Which words of the working vector each G mixes: four columns, then four diagonals."""


def compress(rounds: int, state: bytes, block: bytes, offset: bytes, final: bool) -> bytes:
    """F: ``state`` (64 bytes), ``block`` (128), ``offset`` counter (16), all little-endian -> new state (64 bytes)."""
    h = struct.unpack("<8Q", state)
    m = struct.unpack("<16Q", block)
    t_low, t_high = struct.unpack("<2Q", offset)
    v = [*h, *_IV]
    v[12] ^= t_low
    v[13] ^= t_high
    if final:
        v[14] ^= _MASK
    for number in range(rounds):
        schedule = _SIGMA[number % 10]
        for index, (a, b, c, d) in enumerate(_QUARTERS):
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = (va + vb + m[schedule[2 * index]]) & _MASK
            vd ^= va
            vd = (vd >> 32) | (vd << 32) & _MASK
            vc = (vc + vd) & _MASK
            vb ^= vc
            vb = (vb >> 24) | (vb << 40) & _MASK
            va = (va + vb + m[schedule[2 * index + 1]]) & _MASK
            vd ^= va
            vd = (vd >> 16) | (vd << 48) & _MASK
            vc = (vc + vd) & _MASK
            vb ^= vc
            vb = (vb >> 63) | (vb << 1) & _MASK
            v[a], v[b], v[c], v[d] = va, vb, vc, vd
    return struct.pack("<8Q", *(h[i] ^ v[i] ^ v[i + 8] for i in range(8)))
