"""The plain machine: one loop over a dispatch table. Readable first; the oracle for faster machines."""

from __future__ import annotations

from typing import cast

from node.evm.frame import Frame, exhausted
from node.evm.instruction import STACK_LIMIT
from node.evm.machine import FrameResult, Tracer
from node.evm.outcome import FrameHalted, Halt, HaltReason


class Interpreter:
    """Executes one instruction at a time. Holds no state: one instance serves every transaction."""

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """Run ``frame`` until it ends or wants a child. Without a tracer, tracing costs nothing."""
        if tracer is not None:
            return self._run_traced(frame, tracer)
        rows = frame.spec.instructions.dispatch
        code = frame.code.padded
        stack = frame.stack
        floor = frame.floor
        try:
            while True:
                execute, base_gas, least, most = rows[code[frame.pc]]
                if not least <= len(stack) <= most:
                    raise stack_fault(len(stack), least)
                frame.gas -= base_gas
                if frame.gas < floor:
                    raise exhausted(frame.gas)
                frame.pc += 1
                ended = execute(frame)
                if ended is not None:
                    return cast("FrameResult", ended)
        except FrameHalted as halted:
            return Halt(halted.reason, halted.detail)

    def _run_traced(self, frame: Frame, tracer: Tracer) -> FrameResult:
        """The same loop, telling ``tracer`` before every instruction."""
        rows = frame.spec.instructions.dispatch
        code = frame.code.padded
        stack = frame.stack
        while True:
            opcode = code[frame.pc]
            tracer.step(frame, opcode)
            try:
                execute, base_gas, least, most = rows[opcode]
                if not least <= len(stack) <= most:
                    raise stack_fault(len(stack), least)
                frame.charge(base_gas)
                frame.pc += 1
                ended = execute(frame)
            except FrameHalted as halted:
                halt = Halt(halted.reason, halted.detail)
                tracer.fault(frame, opcode, halt)
                return halt
            if ended is not None:
                return cast("FrameResult", ended)


def stack_fault(size: int, least: int) -> FrameHalted:
    """Why a stack of ``size`` words does not suit an instruction that needs ``least``."""
    if size < least:
        return FrameHalted(HaltReason.STACK_UNDERFLOW, f"{size} words where {least} are needed")
    return FrameHalted(HaltReason.STACK_OVERFLOW, f"{size} words of {STACK_LIMIT}")
