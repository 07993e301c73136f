"""Frames on compiled regions where there are some, in the plain loop everywhere else.

run_frame ─▶ a region begins at frame.pc ─▶ its function ─▶ ended, or at another place of the code
             └─▶ none: one instruction after another, until a jump lands, a child is wanted or the frame ends
"""

from __future__ import annotations

from typing import Any, Final, cast

from node.evm.frame import Frame, exhausted
from node.evm.gas_schedule import GasSchedule
from node.evm.instruction import InstructionSet
from node.evm.interpreter import Interpreter, stack_fault
from node.evm.machine import FrameResult, Tracer
from node.evm.outcome import FrameHalted, Halt
from node.evm.spec import Spec
from node.evm.transpiled.program import Program, Thrift, compiled
from node.evm.transpiled.rules import Rules
from node.evm.transpiled.running import LANDED, LEFT

BYTES_MAX: Final = 32 * 2**20
"""Default bound of what compiled regions take in memory, about."""
RULES_MAX: Final = 16
"""Forks' tables that are kept; simulations make new ones."""

DEFAULT_THRIFT: Final = Thrift()


class TranspiledMachine:
    """Runs what is hot as Python functions. One for a process; threads may share it."""

    def __init__(self, bytes_max: int = BYTES_MAX, thrift: Thrift = DEFAULT_THRIFT) -> None:
        self._plain = Interpreter()
        self._thrift = thrift
        self._half = bytes_max // 2
        self._rules: list[Rules] = []
        self._young: dict[bytes, Program] = {}
        self._old: dict[bytes, Program] = {}
        self._young_bytes = 0

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """Run ``frame`` until it ends or wants a child. Init code runs once, so it is not worth a look."""
        if tracer is not None or frame.message.is_create:
            return self._plain.run_frame(frame, tracer)
        program = self._program(frame)
        regions = program.regions
        try:
            while True:
                region = regions.get(frame.pc)
                if region is None:
                    region = program.landed(frame.pc)
                    if region is not None:
                        self._weigh()
                if region is not None:
                    ended = region(frame)
                    if ended is None:
                        continue
                    if ended is not LEFT:
                        return cast("FrameResult", ended)
                ended = _walk(frame, program)
                if ended is not LANDED:
                    return cast("FrameResult", ended)
        except FrameHalted as halted:
            return Halt(halted.reason, halted.detail)

    # --- programs ---

    def _program(self, frame: Frame) -> Program:
        key = frame.code.padded
        found = self._young.get(key)
        spec = frame.spec
        if found is not None and found.rules.instructions is spec.instructions and found.rules.gas is spec.gas:
            return found
        rules = self._rules_of(spec)
        found = self._old.get(key)
        if found is None or found.rules is not rules:
            found = Program(frame.code, rules, self._thrift)
        if self._young_bytes > self._half:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = found
        self._young_bytes += found.bytes
        return found

    def _weigh(self) -> None:
        """Something was compiled: how much the young programs hold now."""
        self._young_bytes = sum(program.bytes for program in list(self._young.values()))

    def _rules_of(self, spec: Spec) -> Rules:
        for rules in self._rules:
            if rules.instructions is spec.instructions and rules.gas is spec.gas:
                return rules
        rules = Rules(spec.instructions, spec.gas)
        self._rules = [*self._rules[1 - RULES_MAX :], rules]
        return rules


def _walk(frame: Frame, program: Program) -> Any:
    """The plain loop (``Interpreter.run_frame``), which counts where jumps land; LANDED if one is to be looked at."""
    rows = program.rules.walk
    heat = program.heat
    mask = program.look_mask
    code = frame.code.padded
    stack = frame.stack
    floor = frame.floor
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
            if ended is LANDED:
                warmer = heat[frame.pc] + 1
                if warmer & mask:
                    heat[frame.pc] = warmer
                    continue
            return ended


def probe() -> str:
    """Empty where source may be compiled here; else why not (a hardened interpreter, an audit hook)."""
    try:
        compiled("def region(frame):\n return LEFT\n", Rules(InstructionSet((None,) * 256), GasSchedule()))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
