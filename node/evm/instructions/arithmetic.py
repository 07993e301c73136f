"""ADD .. SIGNEXTEND (Yellow Paper, appendix H.2, 0x00s): arithmetic modulo 2**256."""

from __future__ import annotations

from node.evm.frame import Frame
from node.evm.gas import byte_length
from node.primitives.scalars import U256_MAX, U256_MOD, to_signed, to_unsigned


def add(frame: Frame) -> None:
    """a + b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] = (a + stack[-1]) & U256_MAX


def mul(frame: Frame) -> None:
    """a * b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] = (a * stack[-1]) & U256_MAX


def sub(frame: Frame) -> None:
    """a - b."""
    stack = frame.stack
    a = stack.pop()
    stack[-1] = (a - stack[-1]) & U256_MAX


def div(frame: Frame) -> None:
    """a // b; 0 where b is 0."""
    stack = frame.stack
    a = stack.pop()
    b = stack[-1]
    stack[-1] = a // b if b else 0


def sdiv(frame: Frame) -> None:
    """Signed a / b, rounded towards zero; 0 where b is 0."""
    stack = frame.stack
    a = to_signed(stack.pop())
    b = to_signed(stack[-1])
    if b == 0:
        stack[-1] = 0
        return
    quotient = abs(a) // abs(b)
    stack[-1] = to_unsigned(quotient if (a < 0) == (b < 0) else -quotient)


def mod(frame: Frame) -> None:
    """a % b; 0 where b is 0."""
    stack = frame.stack
    a = stack.pop()
    b = stack[-1]
    stack[-1] = a % b if b else 0


def smod(frame: Frame) -> None:
    """Signed remainder with the sign of a; 0 where b is 0."""
    stack = frame.stack
    a = to_signed(stack.pop())
    b = to_signed(stack[-1])
    if b == 0:
        stack[-1] = 0
        return
    remainder = abs(a) % abs(b)
    stack[-1] = to_unsigned(-remainder if a < 0 else remainder)


def addmod(frame: Frame) -> None:
    """(a + b) % n without a limit in between; 0 where n is 0."""
    stack = frame.stack
    a = stack.pop()
    b = stack.pop()
    n = stack[-1]
    stack[-1] = (a + b) % n if n else 0


def mulmod(frame: Frame) -> None:
    """(a * b) % n without a limit in between; 0 where n is 0."""
    stack = frame.stack
    a = stack.pop()
    b = stack.pop()
    n = stack[-1]
    stack[-1] = (a * b) % n if n else 0


def exp(frame: Frame) -> None:
    """base ** exponent."""
    # stack
    stack = frame.stack
    base = stack.pop()
    exponent = stack[-1]
    # gas
    frame.charge(frame.prices.exp_byte * byte_length(exponent))
    # operation
    stack[-1] = pow(base, exponent, U256_MOD)


def signextend(frame: Frame) -> None:
    """Widen a signed number of ``size + 1`` bytes to 32."""
    stack = frame.stack
    size = stack.pop()
    if size >= 31:
        return
    value = stack[-1]
    sign_bit = 1 << (8 * size + 7)
    low = value & (2 * sign_bit - 1)
    stack[-1] = low | (U256_MAX ^ (2 * sign_bit - 1)) if low & sign_bit else low
