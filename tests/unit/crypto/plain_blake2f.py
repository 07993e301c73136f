"""The compression function F of BLAKE2b in plain Python: the oracle for the package that the node uses (RFC 7693 3.2).

The four columns of the working vector do not touch one another, nor do the four diagonals. So four 64-bit words
ride side by side in one int, 128 bits apart, and every operation serves all four: a quarter of the bytecode of
the plain form. The upper half of each 128-bit lane takes carries and shifted-out bits until a mask drops them.
"""

from __future__ import annotations

import struct
from typing import Final

_WORD: Final = 2**64 - 1
_LANE: Final = 128
_WORDS: Final = sum(_WORD << (_LANE * index) for index in range(4))
"""The low 64 bits of each lane."""
_LANES: Final = 2 ** (4 * _LANE) - 1

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


def compress(rounds: int, state: bytes, block: bytes, offset: bytes, final: bool) -> bytes:
    """F: ``state`` (64 bytes), ``block`` (128), ``offset`` counter (16), all little-endian -> new state (64 bytes)."""
    h = struct.unpack("<8Q", state)
    m = struct.unpack("<16Q", block)
    t_low, t_high = struct.unpack("<2Q", offset)
    last = _WORD if final else 0
    schedule = [
        tuple(_pack(m[row[start]], m[row[start + 2]], m[row[start + 4]], m[row[start + 6]]) for start in (0, 1, 8, 9))
        for row in _SIGMA
    ]
    # the rows of the 4 x 4 working vector
    a = _pack(*h[:4])
    b = _pack(*h[4:])
    c = _pack(*_IV[:4])
    d = _pack(_IV[4] ^ t_low, _IV[5] ^ t_high, _IV[6] ^ last, _IV[7])
    mask = _WORDS
    for number in range(rounds):
        column_x, column_y, diagonal_x, diagonal_y = schedule[number % 10]
        for x, y, turn in ((column_x, column_y, _LANE), (diagonal_x, diagonal_y, 3 * _LANE)):
            # G of RFC 7693, section 3.1: rotations by 32, 24, 16, 63
            a = (a + b + x) & mask
            d ^= a
            d = (d >> 32 | d << 32) & mask
            c = (c + d) & mask
            b ^= c
            b = (b >> 24 | b << 40) & mask
            a = (a + b + y) & mask
            d ^= a
            d = (d >> 16 | d << 48) & mask
            c = (c + d) & mask
            b ^= c
            b = (b >> 63 | b << 1) & mask
            # turn the rows so that the diagonals stand in columns, and back the second time
            b = _turned(b, turn)
            c = _turned(c, 2 * _LANE)
            d = _turned(d, 4 * _LANE - turn)
    words = zip(h, (*_unpack(a), *_unpack(b)), (*_unpack(c), *_unpack(d)), strict=True)
    return struct.pack("<8Q", *(old ^ low ^ high for old, low, high in words))


def _pack(w0: int, w1: int, w2: int, w3: int) -> int:
    return w0 | w1 << _LANE | w2 << 2 * _LANE | w3 << 3 * _LANE


def _unpack(row: int) -> list[int]:
    return [(row >> (_LANE * index)) & _WORD for index in range(4)]


def _turned(row: int, bits: int) -> int:
    """The lanes moved down by ``bits``, those below the first coming in at the top."""
    return row >> bits | (row << (4 * _LANE - bits)) & _LANES
