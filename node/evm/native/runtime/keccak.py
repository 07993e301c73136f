"""Keccak-256 as Ethereum uses it (the Keccak team's reference, version 3.0; padding 0x01, not SHA-3's 0x06)."""

from __future__ import annotations

from typing import Final

from node.evm.native.compiler.intrinsics import (
    apart,
    copy_bytes,
    inline,
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


def _rotations() -> tuple[int, ...]:
    """By how many bits the step rho rotates lane x + 5 y."""
    rotations = [0] * 25
    x, y = 1, 0
    for step in range(24):
        rotations[x + 5 * y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(rotations)


ROUND_CONSTANTS: Final = Table(_round_constants())
ROTATIONS: Final = _rotations()
SOURCES: Final = tuple((x + 3 * y) % 5 + 5 * x for y in range(5) for x in range(5))
"""Which lane the step pi moves to lane x + 5 y."""


@inline
def one_round(source: ptr, target: ptr, constant: u64) -> None:
    """All five steps from one state to another, a row of the new one at a time: it needs few registers."""
    columns: ptr = scratch(40)
    mixed: ptr = scratch(40)
    row: ptr = scratch(40)
    for x in range(5):  # theta
        column: u64 = load64(source, 8 * x) ^ load64(source, 8 * x + 40) ^ load64(source, 8 * x + 80)
        store64(columns, 8 * x, column ^ load64(source, 8 * x + 120) ^ load64(source, 8 * x + 160))
    for x in range(5):
        above: u64 = rotate_left(load64(columns, 8 * ((x + 1) % 5)), 1)
        store64(mixed, 8 * x, load64(columns, 8 * ((x + 4) % 5)) ^ above)
    for y in range(5):
        for x in range(5):  # rho and pi
            lane: u64 = load64(source, 8 * SOURCES[x + 5 * y]) ^ load64(mixed, 8 * (SOURCES[x + 5 * y] % 5))
            store64(row, 8 * x, rotate_left(lane, ROTATIONS[SOURCES[x + 5 * y]]))
        for x in range(5):  # chi
            around: u64 = ~load64(row, 8 * ((x + 1) % 5)) & load64(row, 8 * ((x + 2) % 5))
            store64(target, 8 * (x + 5 * y), load64(row, 8 * x) ^ around)
    store64(target, 0, load64(target, 0) ^ constant)  # iota


@apart
def permute(state: ptr) -> None:
    """Keccak-f[1600] on 25 lanes of 8 bytes."""
    one: ptr = scratch(200)
    other: ptr = scratch(200)
    copy_bytes(one, state, 200)
    number: u64 = 0
    while number < ROUNDS:
        one_round(one, other, load64(ptr(ROUND_CONSTANTS), number << 3))
        one_round(other, one, load64(ptr(ROUND_CONSTANTS), (number << 3) + 8))
        number = number + 2
    copy_bytes(state, one, 200)


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
