"""Clocks that are wrong in the way asked for."""

from __future__ import annotations

from typing import Final

from network.simulator.event_loop import VirtualTimeLoop

START_WALL_MS: Final = 1_800_000_000_000
"""Wall time at virtual time zero, unless a scenario says otherwise: milliseconds since the Unix epoch."""

_NS_PER_MS: Final = 1_000_000


class SkewedClock:
    """A node's clock over the loop's virtual time: ``offset_ms`` off, and as fast as the loop's rate for the node.

    The drift belongs to the loop (``set_rate``), so that the node's timers keep its own time too.
    ``owner`` is the name under which the loop knows the node.
    """

    def __init__(
        self, loop: VirtualTimeLoop, owner: str, offset_ms: int = 0, start_wall_ms: int = START_WALL_MS
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._start_wall_ms = start_wall_ms
        self.offset_ms = offset_ms
        self._steer_ppm = 0
        self._steered_from_ms = 0

    def now_ms(self) -> int:
        """Wall time as this node believes it."""
        steered_ms = 0
        if self._steer_ppm:
            steered_ms = (self.monotonic_ms() - self._steered_from_ms) * self._steer_ppm // 1_000_000
        own_ms = self._loop.node_time_ns(self._owner) // _NS_PER_MS
        return self._start_wall_ms + self.offset_ms + steered_ms + own_ms

    def steer(self, ppm: int) -> None:
        """Let wall time alone run too fast from now on, or too slow; 0 sets it right again."""
        self._steer_ppm, self._steered_from_ms = ppm, self.monotonic_ms()

    def monotonic_ms(self) -> int:
        """Milliseconds since the start of the run; jumps of the wall clock do not touch it."""
        return self._loop.node_time_ns(self._owner) // _NS_PER_MS

    def jump(self, by_ms: int) -> None:
        """Set the wall clock forward, or back: a laptop's sleep, an operator, a bad time source."""
        self.offset_ms += by_ms
