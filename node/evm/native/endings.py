"""How a run ended, in the words of ``node.evm.outcome``: the same that the plain machine has."""

from __future__ import annotations

import ctypes
from typing import Final

from node.evm.interpreter import stack_fault
from node.evm.native.arena import get
from node.evm.native.bridge import Bridge
from node.evm.native.runtime import records
from node.evm.native.runtime.records import Frame as FrameRecord
from node.evm.outcome import Halt, HaltReason, Outcome, Revert, Success
from node.evm.spec import Spec

_REASONS: Final = {
    records.OUT_OF_GAS: HaltReason.OUT_OF_GAS,
    records.INVALID_OPCODE: HaltReason.INVALID_OPCODE,
    records.STACK_UNDERFLOW: HaltReason.STACK_UNDERFLOW,
    records.STACK_OVERFLOW: HaltReason.STACK_OVERFLOW,
    records.INVALID_JUMP: HaltReason.INVALID_JUMP,
    records.STATIC_WRITE: HaltReason.STATIC_WRITE,
    records.RETURN_DATA_OUT_OF_BOUNDS: HaltReason.RETURN_DATA_OUT_OF_BOUNDS,
    records.CODE_SIZE_EXCEEDED: HaltReason.CODE_SIZE_EXCEEDED,
    records.INITCODE_SIZE_EXCEEDED: HaltReason.INITCODE_SIZE_EXCEEDED,
    records.INVALID_CODE_PREFIX: HaltReason.INVALID_CODE_PREFIX,
    records.UNPAID_DEPOSIT: HaltReason.OUT_OF_GAS,
    records.UNPAID_STIPEND: HaltReason.OUT_OF_GAS,
}


def outcome_of(bridge: Bridge, status: int, gas: int, output: int, size: int, spec: Spec) -> Outcome:
    """The outermost frame's: ``output`` is an address, ``size`` its bytes."""
    if status == records.SUCCEEDED:
        return Success(gas, ctypes.string_at(output, size) if size else b"")
    if status == records.REVERTED:
        return Revert(gas, ctypes.string_at(output, size) if size else b"")
    return Halt(_REASONS[status], _detail(bridge, status, spec))


def _detail(bridge: Bridge, status: int, spec: Spec) -> str:
    """The words that the plain machine has for a halt of the outermost frame."""
    frames = bridge.arena.frames
    if status == records.UNPAID_DEPOSIT:
        return "code deposit"
    if status == records.UNPAID_STIPEND:
        return "SSTORE on no more than a call stipend"
    if status == records.CODE_SIZE_EXCEEDED:
        return f"{get(frames, FrameRecord, 'wanted_size')} bytes of {spec.code_size_max}"
    opcode = ctypes.string_at(get(frames, FrameRecord, "pc"), 1)[0]  # codes have zeros behind them
    if status == records.INVALID_OPCODE:
        return f"opcode {opcode:#04x}"
    top = get(frames, FrameRecord, "sp") - bridge.arena.stacks.address
    if status in (records.STACK_UNDERFLOW, records.STACK_OVERFLOW):
        return stack_fault(top // 32, spec.instructions.dispatch[opcode][2]).detail
    if status == records.INITCODE_SIZE_EXCEEDED:
        size = int.from_bytes(bridge.arena.stacks.view[top - 96 : top - 64], "little")
        return f"{size} bytes of {spec.initcode_size_max}"
    return ""
