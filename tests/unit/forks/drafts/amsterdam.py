"""Amsterdam as drafted: DUPN and SWAPN (EIP-8024), one more header item (EIP-7928). Not a fork of evmesh."""

from __future__ import annotations

from typing import Final

from node.evm.frame import Frame
from node.evm.instruction import Instruction
from node.evm.outcome import FrameHalted, HaltReason
from node.evm.spec import Spec
from node.forks import bpo2
from node.forks.frontier import VERY_LOW


def _immediate(frame: Frame, largest: int) -> int:
    """The byte behind the opcode; the values that would hide a JUMPDEST or a PUSH are not allowed."""
    value = frame.code.padded[frame.pc]
    if largest < value < 128:
        raise FrameHalted(HaltReason.INVALID_OPCODE, f"immediate {value:#04x}")
    frame.pc += 1
    return value


def _depth(frame: Frame) -> int:
    value = _immediate(frame, 90)
    return value + 17 if value <= 90 else value - 20


def _require(frame: Frame, words: int) -> None:
    if len(frame.stack) < words:
        raise FrameHalted(HaltReason.STACK_UNDERFLOW, f"{len(frame.stack)} of {words} words")


def dupn(frame: Frame) -> None:
    """Copy the n-th word, n from 17 to 235."""
    depth = _depth(frame)
    _require(frame, depth)
    frame.stack.append(frame.stack[-depth])


def swapn(frame: Frame) -> None:
    """Swap the top with the word n below it."""
    below = _depth(frame) + 1
    _require(frame, below)
    frame.stack[-1], frame.stack[-below] = frame.stack[-below], frame.stack[-1]


SPEC: Final[Spec] = bpo2.SPEC.evolve(
    name="Amsterdam",
    instructions=bpo2.SPEC.instructions.with_(
        Instruction(0xE6, "DUPN", VERY_LOW, 0, 1, dupn),
        Instruction(0xE7, "SWAPN", VERY_LOW, 0, 0, swapn),
    ),
    header_items=22,
)
