"""The struct logger, geth's default tracer: every step with its stack, and memory, storage, return data as asked.

A step is written as JSON as soon as its price is known: at the next event. So a trace is bounded in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from node.evm.frame import Frame
from node.evm.host import Host
from node.evm.message import Message
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, Outcome, Success
from node.evm.tracers.transaction_tracer import Budget, TransactionStart
from node.evm.tracers.words import failure, opcode_name
from node.primitives.scalars import U64_MAX, Address

_SLOAD: Final = int(Opcode.SLOAD)
_SSTORE: Final = int(Opcode.SSTORE)
REFUNDING: Final = (int(Opcode.SSTORE), int(Opcode.SELFDESTRUCT))
"""Their refund counts with their price: geth shows it at the step itself."""


def step_price(frame: Frame, opcode: int, gas_before: int, given: int) -> int:
    """What a step has cost its frame, but for gas ``given`` to a creation.

    Of one that no 64-bit gas could pay only the fixed part is told, as in geth, which stops reckoning there.
    """
    price = gas_before - frame.gas - given
    if price > U64_MAX:
        return frame.spec.instructions.dispatch[opcode][1]
    return price


@dataclass(frozen=True, slots=True)
class StructLogConfig:
    """geth's options. ``limit``: bytes of steps after which no more are logged; 0 for none."""

    enable_memory: bool = False
    disable_stack: bool = False
    disable_storage: bool = False
    enable_return_data: bool = False
    limit: int = 0


class StructLog:
    """Collects the steps of one transaction."""

    def __init__(self, config: StructLogConfig, budget: Budget) -> None:
        self._config = config
        self._budget = budget
        self._restart()

    def _restart(self) -> None:
        self._lines: list[orjson.Fragment] = []
        self._size = 0
        self._storage: dict[Address, dict[str, str]] = {}
        self._line: dict[str, Any] | None = None
        self._frame: Frame | None = None
        self._refund = 0
        self._opcode = 0
        self._gas_used = 0
        self._outcome: Outcome = Success(0, b"")

    def begin(self, start: TransactionStart) -> None:
        """Forget the last transaction."""
        self._restart()

    def enter(self, message: Message) -> None:
        """The frame above has paid, and given a creation what it gets: that is no price."""
        self._settle(message.gas if message.is_create else 0)

    def step(self, frame: Frame, opcode: int) -> None:
        """Write down what the instruction finds; its price comes later."""
        self._budget.step()
        self._settle()
        config = self._config
        if config.limit and self._size > config.limit:
            return
        line: dict[str, Any] = {
            "pc": frame.pc,
            "op": opcode_name(opcode),
            "gas": frame.gas,
            "gasCost": 0,
            "depth": frame.message.depth + 1,
        }
        if not config.disable_stack:
            line["stack"] = [hex(item) for item in frame.stack]
        if config.enable_return_data and frame.return_data:
            line["returnData"] = "0x" + frame.return_data.hex()
        if config.enable_memory and frame.memory:
            memory = frame.memory.hex()
            line["memory"] = ["0x" + memory[start : start + 64] for start in range(0, len(memory), 64)]
        if not config.disable_storage and opcode in (_SLOAD, _SSTORE):
            self._show_storage(line, frame, opcode)
        self._refund = getattr(frame.host, "refund", 0)
        self._opcode = opcode
        self._line, self._frame = line, frame

    def _show_storage(self, line: dict[str, Any], frame: Frame, opcode: int) -> None:
        """All slots of the account that were read or written so far, with what this instruction adds."""
        stack = frame.stack
        if len(stack) < (1 if opcode == _SLOAD else 2):
            return
        slot = stack[-1]
        value = frame.host.storage(frame.address, slot) if opcode == _SLOAD else stack[-2]
        seen = self._storage.setdefault(frame.address, {})
        seen[f"0x{slot:064x}"] = f"0x{value:064x}"
        line["storage"] = dict(seen)

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        """The step failed."""
        if self._line is not None:
            self._line["error"] = failure(halt)
        self._settle()

    def exit(self, message: Message, outcome: Outcome) -> None:
        """The frame's last step is paid."""
        self._settle()

    def _settle(self, given: int = 0) -> None:
        line, frame = self._line, self._frame
        if line is None or frame is None:
            return
        line["gasCost"] = step_price(frame, self._opcode, line["gas"], given)
        refund: int = getattr(frame.host, "refund", 0) if self._opcode in REFUNDING else self._refund
        if refund:
            line["refund"] = refund
        encoded = orjson.dumps(line)
        self._budget.hold(len(encoded))
        self._size += len(encoded)
        self._lines.append(orjson.Fragment(encoded))
        self._line = None
        self._frame = None

    def end(self, gas_used: int, outcome: Outcome, host: Host) -> None:
        """The receipt's gas, and how it ended."""
        self._settle()
        self._gas_used = gas_used
        self._outcome = outcome

    def result(self) -> dict[str, Any]:
        """geth's object; the steps are JSON already (``orjson.Fragment``)."""
        return {
            "gas": self._gas_used,
            "failed": not isinstance(self._outcome, Success),
            "returnValue": "0x" + self._outcome.output.hex(),
            "structLogs": self._lines,
        }
