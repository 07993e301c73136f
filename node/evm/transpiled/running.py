"""What the written functions call, and how they tell the machine to go on."""

from __future__ import annotations

from typing import Final

from node.evm.frame import MEMORY_BYTES_MAX, Frame
from node.primitives.scalars import U256_MAX, to_signed, to_unsigned


class Signal:
    """Told apart from a frame's result by identity."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


LEFT: Final = Signal("LEFT")
"""The plain loop must go on at ``frame.pc``."""
LANDED: Final = Signal("LANDED")
"""A jump of the plain loop was taken; ``frame.pc`` is where it landed."""


def leave(frame: Frame, gas: int, pc: int, words: tuple[int, ...]) -> Signal:
    """Put ``words`` back on the stack: everything stands as before the instruction at ``pc``."""
    frame.stack.extend(words)
    frame.gas = gas
    frame.pc = pc
    return LEFT


def grow(frame: Frame, offset: int, size: int, gas: int) -> int:
    """Make memory up to ``offset + size`` and give what ``gas`` leaves; below the frame's floor nothing has happened.

    The price is ``Frame.expand``'s (Yellow Paper, appendix H.1).
    """
    memory = frame.memory
    held = len(memory)
    end = offset + size
    if size == 0 or end <= held:
        return gas
    if end > MEMORY_BYTES_MAX:
        return -1
    words, words_held = (end + 31) >> 5, held >> 5
    prices = frame.prices
    divisor = prices.memory_quadratic_divisor
    gas -= (words - words_held) * prices.memory_word + words * words // divisor - words_held * words_held // divisor
    if gas >= frame.floor:
        memory.extend(bytes((words << 5) - held))
    return gas


def sdiv(a: int, b: int) -> int:
    """SDIV: signed, rounded towards zero; 0 where b is 0."""
    if b == 0:
        return 0
    a, b = to_signed(a), to_signed(b)
    quotient = abs(a) // abs(b)
    return to_unsigned(quotient if (a < 0) == (b < 0) else -quotient)


def smod(a: int, b: int) -> int:
    """SMOD: signed remainder with the sign of a; 0 where b is 0."""
    if b == 0:
        return 0
    a = to_signed(a)
    remainder = abs(a) % abs(to_signed(b))
    return to_unsigned(-remainder if a < 0 else remainder)


def signextend(size: int, value: int) -> int:
    """SIGNEXTEND: a signed number of ``size + 1`` bytes widened to 32."""
    if size >= 31:
        return value
    sign_bit = 1 << (8 * size + 7)
    low = value & (2 * sign_bit - 1)
    return low | (U256_MAX ^ (2 * sign_bit - 1)) if low & sign_bit else low
