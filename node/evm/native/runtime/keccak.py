"""Keccak-256 as Ethereum uses it (the Keccak team's reference, version 3.0; padding 0x01, not SHA-3's 0x06)."""

from __future__ import annotations

from typing import Final

from node.evm.native.compiler.intrinsics import (
    apart,
    copy_bytes,
    load8,
    load64,
    rotate_left,
    scratch,
    store8,
    store64,
    zero_bytes,
)
from node.evm.native.compiler.types import Table, ptr, u64

RATE: Final = 136
"""Bytes absorbed between two permutations: 1,600 bits less twice 256."""
ROUNDS: Final = 24


def _round_constants() -> list[int]:
    """The 24 words of the step iota, from the shift register that defines them (reference, section 1.2)."""
    constants = []
    register = 1
    for _ in range(ROUNDS):
        word = 0
        for power in range(7):
            if register & 1:
                word |= 1 << ((1 << power) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171  # x**8 + x**6 + x**5 + x**4 + 1
        constants.append(word)
    return constants


def _lane_path() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the steps rho and pi carry lane 1, 24 times over, and by how many bits each move rotates."""
    places, rotations = [], []
    x, y = 1, 0
    for step in range(24):
        x, y = y, (2 * x + 3 * y) % 5
        places.append(8 * (x + 5 * y))
        rotations.append((step + 1) * (step + 2) // 2 % 64)
    return tuple(places), tuple(rotations)


ROUND_CONSTANTS: Final = Table(_round_constants())
PLACES, ROTATIONS = _lane_path()


@apart
def permute(state: ptr) -> None:
    """Keccak-f[1600] on 25 lanes of 8 bytes."""
    lanes: ptr = scratch(200)
    row: ptr = scratch(40)
    copy_bytes(lanes, state, 200)
    number: u64 = 0
    while number < ROUNDS:
        for x in range(5):  # theta
            column: u64 = load64(lanes, 8 * x) ^ load64(lanes, 8 * x + 40) ^ load64(lanes, 8 * x + 80)
            store64(row, 8 * x, column ^ load64(lanes, 8 * x + 120) ^ load64(lanes, 8 * x + 160))
        for x in range(5):
            mixed: u64 = load64(row, 8 * ((x + 4) % 5)) ^ rotate_left(load64(row, 8 * ((x + 1) % 5)), 1)
            for y in range(5):
                store64(lanes, 8 * (x + 5 * y), load64(lanes, 8 * (x + 5 * y)) ^ mixed)
        carried: u64 = load64(lanes, 8)
        for step in range(24):  # rho and pi
            kept: u64 = load64(lanes, PLACES[step])
            store64(lanes, PLACES[step], rotate_left(carried, ROTATIONS[step]))
            carried = kept
        for y in range(5):  # chi
            for x in range(5):
                store64(row, 8 * x, load64(lanes, 8 * (x + 5 * y)))
            for x in range(5):
                around: u64 = ~load64(row, 8 * ((x + 1) % 5)) & load64(row, 8 * ((x + 2) % 5))
                store64(lanes, 8 * (x + 5 * y), load64(row, 8 * x) ^ around)
        store64(lanes, 0, load64(lanes, 0) ^ load64(ptr(ROUND_CONSTANTS), number << 3))  # iota
        number = number + 1
    copy_bytes(state, lanes, 200)


def absorb(state: ptr, block: ptr) -> None:
    """One block of RATE bytes."""
    for lane in range(RATE // 8):
        store64(state, 8 * lane, load64(state, 8 * lane) ^ load64(block, 8 * lane))
    permute(state)


@apart
def keccak256(data: ptr, size: u64, digest: ptr) -> None:
    """The hash of ``size`` bytes, as 32 bytes at ``digest``."""
    state: ptr = scratch(200)
    last: ptr = scratch(136)
    zero_bytes(state, 200)
    while size >= RATE:
        absorb(state, data)
        data = data + RATE
        size = size - RATE
    zero_bytes(last, RATE)
    copy_bytes(last, data, size)
    store8(last, size, 1)
    store8(last, RATE - 1, load8(last, RATE - 1) | 0x80)
    absorb(state, last)
    copy_bytes(digest, state, 32)
