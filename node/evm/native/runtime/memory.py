"""A frame's memory: all frames share one area, each begins where its parent's memory ends now.

A parent's memory does not grow while a child runs, so nothing has to move. Less than 2**44 gas pays for less than 2**32
bytes, so larger numbers need no exact price; a frame with more gas than that gives the message up when it meets one.
"""

from __future__ import annotations

from typing import Final

from node.evm.native.compiler.intrinsics import apart, copy_bytes, inline, unlikely, zero_bytes
from node.evm.native.compiler.types import i64, ptr, u64, u256
from node.evm.native.runtime.records import Frame, Rules, Run
from node.evm.native.runtime.world import give_up

BYTES_MAX: Final = 2**32
ORDINARY_GAS: Final = 2**44
"""Gas below this pays for no more than BYTES_MAX: (2**27 words)**2 / 512 is 2**45, and what an area of 2**30 bytes can
hold already has cost no more than 2**42 of that."""
UNPAYABLE: Final = -1


@apart
def grow(frame: Frame, gas: i64, end: u64) -> i64:
    """Pay for and clear memory up to ``end`` (at most 2**33), beyond what there is; the gas left, negative for none."""
    run = Run(frame.run)
    rules = Rules(run.rules)
    words: u64 = (end + 31) >> 5
    held: u64 = frame.memory_size >> 5
    divisor: u64 = rules.memory_quadratic_divisor
    price: u64 = (words - held) * rules.memory_word + words * words // divisor - held * held // divisor
    gas = gas - i64(price)
    if gas < 0:
        return gas
    size: u64 = words << 5
    if unlikely(size > run.memory_end - frame.memory):
        give_up(run)
        return i64(UNPAYABLE)
    zero_bytes(frame.memory + frame.memory_size, size - frame.memory_size)
    frame.memory_size = size
    return gas


@apart
def too_large(run: Run, gas: i64) -> i64:
    """What a size or an offset beyond BYTES_MAX means: no gas is left, or the message is given up."""
    if gas >= ORDINARY_GAS:
        give_up(run)
    return i64(UNPAYABLE)


@inline
def expand(frame: Frame, gas: i64, offset: u256, size: u256) -> i64:
    """Have ``size`` bytes at ``offset``; nothing for size 0. The gas left, negative where it is not enough."""
    if size == 0:
        return gas
    if unlikely(offset > BYTES_MAX or size > BYTES_MAX):
        return too_large(Run(frame.run), gas)
    end: u64 = u64(offset) + u64(size)
    if unlikely(end > frame.memory_size):
        return grow(frame, gas, end)
    return gas


@inline
def pay_by_words(run: Run, gas: i64, price: u64, size: u256) -> i64:
    """Pay for every 32-byte word begun; the gas left, negative where it is not enough."""
    if unlikely(size > BYTES_MAX):
        return too_large(run, gas)
    return gas - i64(price * ((u64(size) + 31) >> 5))


@inline
def copy_padded(target: ptr, source: ptr, available: u64, offset: u256, size: u64) -> None:
    """Copy from ``source`` at ``offset``; zeros behind its ``available`` bytes."""
    if offset >= u256(available):
        zero_bytes(target, size)
        return
    begin: u64 = u64(offset)
    there: u64 = available - begin
    if there > size:
        there = size
    copy_bytes(target, source + begin, there)
    zero_bytes(target + there, size - there)
