"""EIP-3155: one JSON line a step, one at the end of each transaction, one with the state root where it is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TextIO

from node.evm.frame import Frame
from node.evm.message import Message
from node.evm.outcome import Halt, Outcome
from node.evm.tracers.struct_log import REFUNDING, step_price
from node.evm.tracers.words import failure, opcode_name


@dataclass(slots=True)
class _Step:
    """A step whose price is not known yet."""

    frame: Frame
    gas: int
    line: dict[str, Any]


class StructLines:
    """Writes as it goes; holds one unfinished step for each depth, so memory is bounded by the depth."""

    def __init__(self, out: TextIO, *, stack: bool = True, memory: bool = False, return_data: bool = False) -> None:
        self._out = out
        self._stack = stack
        self._memory = memory
        self._return_data = return_data
        self._last: _Step | None = None
        self._gas_limit = 0

    def enter(self, message: Message) -> None:
        """The frame above has paid for the call; what a creation is given is no price."""
        self.settle(message.gas if message.is_create else 0)
        if message.depth == 0:
            self._gas_limit = message.gas

    def step(self, frame: Frame, opcode: int) -> None:
        """Remember the step until its price is known."""
        self.settle()
        line: dict[str, Any] = {"pc": frame.pc, "op": opcode, "gas": hex(frame.gas), "gasCost": "0x0"}
        if self._memory and frame.memory:
            line["memory"] = "0x" + frame.memory.hex()
        line["memSize"] = len(frame.memory)
        if self._stack:
            line["stack"] = [hex(item) for item in frame.stack]
        if self._return_data:
            line["returnData"] = "0x" + frame.return_data.hex()
        line["depth"] = frame.message.depth + 1
        line["refund"] = getattr(frame.host, "refund", 0)
        line["opName"] = opcode_name(opcode)
        self._last = _Step(frame, frame.gas, line)

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        """The step of this frame failed."""
        if self._last is not None and self._last.frame is frame:
            self._last.line["error"] = failure(halt)
        self.settle()

    def exit(self, message: Message, outcome: Outcome) -> None:
        """The transaction's own message ends with a line of its own."""
        self.settle()
        if message.depth == 0:
            self.end(outcome, self._gas_limit - outcome.gas_left)

    def end(self, outcome: Outcome, gas_used: int) -> None:
        """The line at the end of a transaction."""
        line: dict[str, Any] = {"output": outcome.output.hex(), "gasUsed": hex(gas_used)}
        error = failure(outcome)
        if error:
            line["error"] = error
        self._write(line)

    def settle(self, given: int = 0) -> None:
        """Write the step that waits: its frame has paid, and beside it ``given`` gas to a creation."""
        last = self._last
        if last is not None:
            last.line["gasCost"] = hex(step_price(last.frame, last.line["op"], last.gas, given))
            if last.line["op"] in REFUNDING:
                last.line["refund"] = getattr(last.frame.host, "refund", 0)
            self._write(last.line)
            self._last = None

    def state_root(self, root: bytes | None) -> None:
        """The line that compares with other clients."""
        self.settle()
        if root is not None:
            self._write({"stateRoot": "0x" + root.hex()})

    def _write(self, line: dict[str, Any]) -> None:
        self._out.write(json.dumps(line, separators=(",", ":")) + "\n")
