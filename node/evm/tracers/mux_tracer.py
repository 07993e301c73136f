"""Several tracers over one run, and the one that sees nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.evm.frame import Frame
from node.evm.host import Host
from node.evm.message import Message
from node.evm.outcome import Halt, Outcome
from node.evm.tracers.transaction_tracer import Budget, TransactionStart, TransactionTracer


class MuxTracer:
    """muxTracer: each named tracer's result under its name. Without any, noopTracer: ``{}``."""

    def __init__(self, tracers: Mapping[str, TransactionTracer], budget: Budget) -> None:
        self._tracers = dict(tracers)
        self._budget = budget

    def begin(self, start: TransactionStart) -> None:
        """Tell all."""
        for tracer in self._tracers.values():
            tracer.begin(start)

    def enter(self, message: Message) -> None:
        """Tell all."""
        for tracer in self._tracers.values():
            tracer.enter(message)

    def step(self, frame: Frame, opcode: int) -> None:
        """Tell all."""
        self._budget.step()
        for tracer in self._tracers.values():
            tracer.step(frame, opcode)

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        """Tell all."""
        for tracer in self._tracers.values():
            tracer.fault(frame, opcode, halt)

    def exit(self, message: Message, outcome: Outcome) -> None:
        """Tell all."""
        for tracer in self._tracers.values():
            tracer.exit(message, outcome)

    def end(self, gas_used: int, outcome: Outcome, host: Host) -> None:
        """Tell all."""
        for tracer in self._tracers.values():
            tracer.end(gas_used, outcome, host)

    def result(self) -> dict[str, Any]:
        """Results by tracer."""
        return {name: tracer.result() for name, tracer in self._tracers.items()}
