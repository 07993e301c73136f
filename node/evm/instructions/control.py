"""STOP, JUMP, JUMPI, PC, GAS, JUMPDEST, RETURN, REVERT: where the run goes, and where it ends."""

from __future__ import annotations

from node.evm.frame import Frame
from node.evm.outcome import FrameHalted, HaltReason, Revert, Success


def stop(frame: Frame) -> Success:
    """End without output."""
    return Success(frame.gas, b"")


def jump(frame: Frame) -> None:
    """Go on at a JUMPDEST."""
    target = frame.stack.pop()
    code = frame.code
    if target >= code.size or not code.jump_map[target]:
        raise FrameHalted(HaltReason.INVALID_JUMP)
    frame.pc = target


def jumpi(frame: Frame) -> None:
    """Go on at a JUMPDEST if the condition is not 0."""
    stack = frame.stack
    target = stack.pop()
    if stack.pop():
        code = frame.code
        if target >= code.size or not code.jump_map[target]:
            raise FrameHalted(HaltReason.INVALID_JUMP)
        frame.pc = target


def jumpdest(frame: Frame) -> None:
    """Nothing: a place to land."""


def pc(frame: Frame) -> None:
    """Where this instruction stands."""
    frame.stack.append(frame.pc - 1)


def gas(frame: Frame) -> None:
    """What is left after paying for this instruction."""
    frame.stack.append(frame.gas)


def return_(frame: Frame) -> Success:
    """End with a piece of memory as output."""
    offset = frame.stack.pop()
    size = frame.stack.pop()
    frame.expand(offset, size)
    return Success(frame.gas, frame.read(offset, size))


def revert(frame: Frame) -> Revert:
    """End with a piece of memory as output; every change is undone (EIP-140)."""
    offset = frame.stack.pop()
    size = frame.stack.pop()
    frame.expand(offset, size)
    return Revert(frame.gas, frame.read(offset, size))
