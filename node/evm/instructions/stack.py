"""POP, PUSHn, DUPn, SWAPn: words on the stack and out of the code."""

from __future__ import annotations

from collections.abc import Callable

from node.evm.frame import Frame


def pop(frame: Frame) -> None:
    """Drop the top."""
    frame.stack.pop()


def push0(frame: Frame) -> None:
    """0 (EIP-3855)."""
    frame.stack.append(0)


def push1(frame: Frame) -> None:
    """The byte behind the opcode."""
    pc = frame.pc
    frame.stack.append(frame.code.padded[pc])
    frame.pc = pc + 1


def push2(frame: Frame) -> None:
    """The two bytes behind the opcode."""
    pc = frame.pc
    code = frame.code.padded
    frame.stack.append(code[pc] << 8 | code[pc + 1])
    frame.pc = pc + 2


def push(size: int) -> Callable[[Frame], None]:
    """PUSHn: the ``size`` bytes behind the opcode; bytes behind the end of the code are 0."""
    if size == 1:
        return push1
    if size == 2:
        return push2

    def push_n(frame: Frame) -> None:
        pc = frame.pc
        end = pc + size
        frame.stack.append(int.from_bytes(frame.code.padded[pc:end], "big"))
        frame.pc = end

    return push_n


def dup(position: int) -> Callable[[Frame], None]:
    """DUPn: copy the word at ``position``, 1 being the top."""

    def dup_n(frame: Frame) -> None:
        stack = frame.stack
        stack.append(stack[-position])

    return dup_n


def swap(position: int) -> Callable[[Frame], None]:
    """SWAPn: exchange the top with the word ``position`` below it."""
    below = position + 1

    def swap_n(frame: Frame) -> None:
        stack = frame.stack
        stack[-1], stack[-below] = stack[-below], stack[-1]

    return swap_n
