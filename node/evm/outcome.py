"""How a run of code ended: a value, never an exception (Yellow Paper 9.4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class HaltReason(StrEnum):
    """Exceptional halts: all gas of the frame is gone. Values are geth's words."""

    OUT_OF_GAS = "out of gas"
    INVALID_OPCODE = "invalid opcode"
    STACK_UNDERFLOW = "stack underflow"
    STACK_OVERFLOW = "stack limit reached 1024"
    INVALID_JUMP = "invalid jump destination"
    STATIC_WRITE = "write protection"
    RETURN_DATA_OUT_OF_BOUNDS = "return data out of bounds"
    ADDRESS_COLLISION = "contract address collision"
    CODE_SIZE_EXCEEDED = "max code size exceeded"
    INITCODE_SIZE_EXCEEDED = "max initcode size exceeded"
    INVALID_CODE_PREFIX = "invalid code: must not begin with 0xef"
    NONCE_OVERFLOW = "nonce uint64 overflow"
    PRECOMPILE_FAILURE = "precompile failure"
    CALL_DEPTH = "max call depth exceeded"
    INSUFFICIENT_BALANCE = "insufficient balance for transfer"


@dataclass(frozen=True, slots=True)
class Success:
    """Ended by STOP, RETURN or SELFDESTRUCT. ``output`` is the deployed code for a creation."""

    gas_left: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Revert:
    """Ended by REVERT: changes undone, remaining gas returned (EIP-140)."""

    gas_left: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Halt:
    """Ended exceptionally: changes undone, no gas left, no output."""

    reason: HaltReason
    detail: str = ""

    @property
    def gas_left(self) -> int:
        """Always 0."""
        return 0

    @property
    def output(self) -> bytes:
        """Always empty."""
        return b""


Outcome: TypeAlias = Success | Revert | Halt


class FrameHalted(Exception):
    """How an instruction ends its frame exceptionally. It never leaves ``run_frame``, which returns a ``Halt``."""

    def __init__(self, reason: HaltReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
