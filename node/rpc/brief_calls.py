"""Calls that are over before a thread could be asked: most of what wallets and pages read takes 70 µs.

    eth_call ─▶ may it be brief? ─▶ run on the event loop, broken off at GAS_MAX ─▶ answer
                └─▶ no, or broken off: the lane, from its beginning

A run is broken off by the gas that it has used, which code cannot see, so an answer is the same either way. How much of
the event loop's time may go into it is bounded too: then everything goes to the lane, until some time has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from node.evm.frame import BrokenOff, ChildCall, Frame
from node.evm.machine import FrameResult, Tracer, VirtualMachine
from node.evm.message import BlockEnvironment
from node.evm.spec import Spec
from node.execution.calls import CallRequest
from node.primitives.scalars import Address
from node.runtime.clock import Clock
from node.state.view import StateView
from node.types.blocks import Header

GAS_MAX: Final = 40_000
"""Beyond what any transaction costs before its code begins; at most some 3 ms."""
DATA_BYTES_MAX: Final = 4_096
CREDIT_MS_MAX: Final = 40
SHARE: Final = 0.9
"""Of the time, once the credit is used up. What is left, and the turns between calls, are for everything else."""
LONG_KEPT: Final = 1_024
"""Calls by target and selector that were broken off: they go to the lane at once."""


class BriefMachine:
    """Runs frames until GAS_MAX is used, over all frames together. Raises BrokenOff then."""

    __slots__ = ("_left", "_machine")

    def __init__(self, machine: VirtualMachine) -> None:
        self._machine = machine
        self._left = GAS_MAX

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """As the machine inside. Raises BrokenOff."""
        before = frame.gas
        frame.floor = max(0, before - self._left)
        result = self._machine.run_frame(frame, tracer)
        used = before - frame.gas
        if isinstance(result, ChildCall):
            message = result.message
            used -= message.gas
            precompile = frame.spec.precompiles.get(message.code_address)
            if precompile is not None and not message.is_create:
                used += min(message.gas, precompile.gas(message.data))
        self._left -= max(0, used)
        if self._left < 0:
            raise BrokenOff
        return result


@dataclass(frozen=True, slots=True)
class Ground:
    """What calls in one block stand on; most calls are in the same one. ``free``: the block without a base fee."""

    header: Header
    view: StateView
    spec: Spec
    block: BlockEnvironment
    free: BlockEnvironment


class BriefCalls:
    """Decides which calls are tried on the event loop. One for a node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._credit_ms = float(CREDIT_MS_MAX)
        self._credited_ms = clock.monotonic_ms()
        self._long: dict[tuple[Address, bytes], None] = {}
        self._ground: Ground | None = None

    def ground(self, header: Header, view: StateView, make: Callable[[], tuple[Spec, BlockEnvironment]]) -> Ground:
        """That of the last call, or a new one; ``make`` gives rules and block."""
        last = self._ground
        if last is not None and last.header is header and last.view is view:
            return last
        spec, block = make()
        self._ground = made = Ground(header, view, spec, block, replace(block, base_fee_per_gas=0))
        return made

    def may_begin(self, request: CallRequest) -> bool:
        """Whether to try it here; each one that is tried must be ``ended``."""
        if request.to is None or len(request.data) > DATA_BYTES_MAX or request.authorization_list:
            return False
        if (request.to, request.data[:4]) in self._long:
            return False
        now_ms = self._clock.monotonic_ms()
        passed_ms = now_ms - self._credited_ms
        if passed_ms:
            self._credit_ms = min(CREDIT_MS_MAX, self._credit_ms + passed_ms * SHARE)
            self._credited_ms = now_ms
        return self._credit_ms > 0

    def ended(self) -> None:
        """The last one is over. Its time is known to a millisecond only; over many the error vanishes."""
        self._credit_ms -= self._clock.monotonic_ms() - self._credited_ms

    def was_long(self, request: CallRequest) -> None:
        """It was broken off: the next one like it goes to the lane at once."""
        assert request.to is not None, "only calls of a target are tried"
        self._long[(request.to, request.data[:4])] = None
        if len(self._long) > LONG_KEPT:
            del self._long[next(iter(self._long))]
