"""How geth words the end of a run in its traces."""

from __future__ import annotations

import re
from typing import Final

from node.evm.instruction import STACK_LIMIT
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Outcome, Revert

REVERTED: Final = "execution reverted"
_NUMBERS: Final = re.compile(r"0x[0-9a-f]+|\d+")
_CODE_DEPOSIT: Final = "contract creation code storage out of gas"
_NAMES: Final = {
    **{int(opcode): opcode.name for opcode in Opcode},
    int(Opcode.PREVRANDAO): "DIFFICULTY",  # geth's traces kept the name from before the Merge
}


def opcode_name(opcode: int) -> str:
    """The name of a byte of code, in whatever fork it came."""
    return _NAMES.get(opcode) or f"opcode {opcode:#x} not defined"


def failure(outcome: Outcome) -> str:
    """Why a run failed; empty for a success."""
    if isinstance(outcome, Revert):
        return REVERTED
    if isinstance(outcome, Halt):
        return _halt(outcome)
    return ""


def _halt(halt: Halt) -> str:
    reason, detail = halt.reason, halt.detail
    numbers = _NUMBERS.findall(detail)
    if reason is HaltReason.STACK_UNDERFLOW and len(numbers) == 2:
        return f"{reason} ({numbers[0]} <=> {numbers[1]})"
    if reason is HaltReason.STACK_OVERFLOW and numbers:
        return f"stack limit reached {STACK_LIMIT} ({numbers[0]})"
    if reason is HaltReason.INVALID_OPCODE and numbers:
        return f"{reason}: {opcode_name(int(numbers[0], 16))}"
    if reason is HaltReason.OUT_OF_GAS and detail == "code deposit":
        return _CODE_DEPOSIT
    if reason is HaltReason.INITCODE_SIZE_EXCEEDED:
        return f"out of gas: {reason}"  # geth finds it while it reckons the price
    if reason is HaltReason.PRECOMPILE_FAILURE:
        return detail or str(reason)
    return str(reason)
