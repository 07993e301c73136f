"""4byteTracer: how often which function selector was called with how many bytes of arguments."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from node.evm.frame import Frame
from node.evm.host import Host
from node.evm.message import Message
from node.evm.outcome import Halt, Outcome
from node.evm.tracers.transaction_tracer import Budget, TransactionStart
from node.primitives.scalars import Address

SELECTOR_BYTES: Final = 4
_ENTRY_BYTES: Final = 24


class FourByteTracer:
    """Counts by ``selector-size``."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._counts: dict[str, int] = {}
        self._precompiles: Container[Address] = ()

    def begin(self, start: TransactionStart) -> None:
        """Forget the last transaction."""
        self._counts = {}
        self._precompiles = start.precompiles

    def enter(self, message: Message) -> None:
        """Count a call of a contract; a precompile has no functions."""
        data = message.data
        if len(data) < SELECTOR_BYTES or message.is_create:
            return
        if message.code_address in self._precompiles and not message.disable_precompiles:
            return
        key = f"0x{data[:SELECTOR_BYTES].hex()}-{len(data) - SELECTOR_BYTES}"
        if key not in self._counts:
            self._budget.hold(_ENTRY_BYTES)
        self._counts[key] = self._counts.get(key, 0) + 1

    def step(self, frame: Frame, opcode: int) -> None:
        """Only time passes."""
        self._budget.step()

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        """Nothing to see."""

    def exit(self, message: Message, outcome: Outcome) -> None:
        """Nothing to see."""

    def end(self, gas_used: int, outcome: Outcome, host: Host) -> None:
        """Nothing to add."""

    def result(self) -> dict[str, int]:
        """geth's object."""
        return self._counts
