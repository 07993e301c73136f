"""LT .. SAR and CLZ (Yellow Paper, appendix H.2, 0x10s): comparison and bits."""

from __future__ import annotations

from node.evm.frame import Frame
from node.primitives.scalars import U256_MAX, to_signed, to_unsigned


def lt(frame: Frame) -> None:
    """a < b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] = 1 if a < stack[-1] else 0


def gt(frame: Frame) -> None:
    """a > b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] = 1 if a > stack[-1] else 0


def slt(frame: Frame) -> None:
    """a < b, signed."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] = 1 if to_signed(a) < to_signed(stack[-1]) else 0


def sgt(frame: Frame) -> None:
    """a > b, signed."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] = 1 if to_signed(a) > to_signed(stack[-1]) else 0


def eq(frame: Frame) -> None:
    """a == b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] = 1 if a == stack[-1] else 0


def iszero(frame: Frame) -> None:
    """a == 0."""
    stack = frame.stack
    stack[-1] = 0 if stack[-1] else 1


def and_(frame: Frame) -> None:
    """a & b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] &= a


def or_(frame: Frame) -> None:
    """a | b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] |= a


def xor(frame: Frame) -> None:
    """a ^ b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] ^= a


def not_(frame: Frame) -> None:
    """All bits turned over."""
    frame.stack[-1] ^= U256_MAX


def byte(frame: Frame) -> None:
    """The byte of a word, counted from its most significant one; 0 behind its end."""
    stack = frame.stack
    position = stack.pop()
    stack[-1] = (stack[-1] >> (8 * (31 - position))) & 0xFF if position < 32 else 0


def shl(frame: Frame) -> None:
    """Left shift (EIP-145)."""
    stack = frame.stack
    shift = stack.pop()
    stack[-1] = (stack[-1] << shift) & U256_MAX if shift < 256 else 0


def shr(frame: Frame) -> None:
    """Logical right shift (EIP-145)."""
    stack = frame.stack
    shift = stack.pop()
    stack[-1] = stack[-1] >> shift if shift < 256 else 0


def sar(frame: Frame) -> None:
    """Right shift that keeps the sign (EIP-145)."""
    stack = frame.stack
    shift = min(stack.pop(), 256)
    stack[-1] = to_unsigned(to_signed(stack[-1]) >> shift)


def clz(frame: Frame) -> None:
    """Zero bits before the first one; 256 for 0 (EIP-7939)."""
    stack = frame.stack
    stack[-1] = 256 - stack[-1].bit_length()
