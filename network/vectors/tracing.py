"""A machine that shows every frame it runs to a tracer, wherever execution itself hands none down."""

from __future__ import annotations

from network.vectors.struct_lines import StructLines
from node.evm.frame import Frame
from node.evm.interpreter import Interpreter
from node.evm.machine import FrameResult, Tracer


class TracedInterpreter:
    """The interpreter with a tracer of its own; ``tracer`` may be changed between transactions."""

    def __init__(self, tracer: StructLines | None = None) -> None:
        self.tracer = tracer
        self._machine = Interpreter()

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """Run the frame under the tracer that was handed in, or under its own."""
        if tracer is not None or self.tracer is None:
            return self._machine.run_frame(frame, tracer)
        result = self._machine.run_frame(frame, self.tracer)
        self.tracer.settle()
        return result
