"""What a tracer of whole transactions is told beside the run itself, and what it may cost.

    begin(start) --enter/step/fault/exit...--> end(gas used, outcome, host) --> result()

``begin`` comes before gas is bought, so that the host still shows the state before the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Final, Protocol

from node.evm.host import Host
from node.evm.machine import Tracer
from node.evm.outcome import Outcome
from node.primitives.scalars import Address

STEPS_MAX: Final = 50_000_000
BYTES_MAX: Final = 48 * 2**20
"""What one trace may hold, as it is written; below what one answer may be."""
STEPS_A_LOOK: Final = 1_024
"""Steps between two looks at the clock."""


class TraceAborted(Exception):
    """The trace costs too much: too many steps, too many bytes or too much time. The run ends with it."""


class Budget:
    """What one trace may cost. ``expired`` tells whether its time is up."""

    __slots__ = ("_bytes_left", "_bytes_max", "_expired", "_steps", "_steps_max")

    def __init__(
        self,
        expired: Callable[[], bool] = lambda: False,
        steps_max: int = STEPS_MAX,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        self._expired = expired
        self._steps = 0
        self._steps_max = steps_max
        self._bytes_max = bytes_max
        self._bytes_left = bytes_max

    def step(self) -> None:
        """One step more. Raises TraceAborted."""
        self._steps += 1
        if self._steps % STEPS_A_LOOK == 0 and self._expired():
            raise TraceAborted("execution timeout")
        if self._steps > self._steps_max:
            raise TraceAborted(f"trace stopped: more than {self._steps_max} steps")

    def hold(self, size: int) -> None:
        """``size`` bytes more to keep. Raises TraceAborted."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise TraceAborted(f"trace stopped: it is larger than {self._bytes_max} bytes; ask for less detail")


@dataclass(frozen=True, slots=True)
class TransactionStart:
    """A transaction before anything of it has happened. ``target``: whom it calls, or the contract it creates."""

    host: Host
    sender: Address
    target: Address
    is_create: bool
    gas_limit: int
    coinbase: Address
    authorities: tuple[Address, ...]
    """Who signed its EIP-7702 authorizations."""
    precompiles: Container[Address]
    first_log_index: int = 0
    """How many logs the transactions before it have left in the block."""


class TransactionTracer(Tracer, Protocol):
    """A tracer of one transaction at a time; ``begin`` starts it afresh."""

    def begin(self, start: TransactionStart) -> None:
        """A transaction is going to run."""
        ...

    def end(self, gas_used: int, outcome: Outcome, host: Host) -> None:
        """It has: ``gas_used`` is the receipt's, ``host`` shows the state after it."""
        ...

    def result(self) -> Any:
        """The transaction's trace as JSON values."""
        ...
