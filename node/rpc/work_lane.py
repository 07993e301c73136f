"""Long calls, one after another, off the event loop.

Workers are shared with block execution, so RPC takes at most ``width`` of them at a time; the rest wait in a bounded
line. The client hears of a timeout at once, while its place stays taken until the work has really ended (it is
bounded by gas), so that timed-out calls cannot pile up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from node.rpc.errors import LIMIT_EXCEEDED, RpcError, refused
from node.runtime.clock import Clock
from node.runtime.workers import Workers

P = ParamSpec("P")
T = TypeVar("T")

WIDTH: Final = 1


class Deadline:
    """A moment in monotonic time, to be asked from inside the work (also in another thread)."""

    __slots__ = ("_clock", "_ends_ms", "_time_ms")

    def __init__(self, clock: Clock, time_ms: int) -> None:
        self._clock = clock
        self._time_ms = time_ms
        self._ends_ms = clock.monotonic_ms() + time_ms

    @property
    def left_ms(self) -> int:
        """Milliseconds left; 0 when it is over."""
        return max(0, self._ends_ms - self._clock.monotonic_ms())

    def passed(self) -> bool:
        """Whether the time is up."""
        return self._clock.monotonic_ms() >= self._ends_ms

    def check(self) -> None:
        """Raises RpcError once the time is up."""
        if self.passed():
            raise self.error()

    def error(self) -> RpcError:
        """What the caller is told."""
        return refused(f"execution aborted (timeout = {self._time_ms / 1000:g}s)")


class WorkLane:
    """Runs functions by ``workers`` under a time limit each."""

    def __init__(self, workers: Workers, clock: Clock, time_ms: int, queued_max: int, width: int = WIDTH) -> None:
        self._workers = workers
        self._clock = clock
        self._time_ms = time_ms
        self._queued_max = queued_max
        self._free = asyncio.Semaphore(width)
        self._queued = 0
        self._running: dict[asyncio.Task[Any], None] = {}

    def deadline(self) -> Deadline:
        """The time limit of a call that starts now."""
        return Deadline(self._clock, self._time_ms)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result. Raises RpcError when the line is full or the time is up."""
        if self._queued >= self._queued_max:
            raise RpcError(LIMIT_EXCEEDED, "too many calls are waiting; try again later")
        deadline = self.deadline()
        self._queued += 1
        try:
            async with asyncio.timeout(deadline.left_ms / 1000):
                await self._free.acquire()
        except TimeoutError:
            raise deadline.error() from None
        finally:
            self._queued -= 1
        task = asyncio.create_task(self._work(function, args, kwargs), name="rpc/work")
        self._running[task] = None
        task.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(deadline.left_ms / 1000):
                return await asyncio.shield(task)
        except TimeoutError:
            raise deadline.error() from None

    async def _work(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        try:
            return await self._workers.run(function, *args, **kwargs)
        finally:
            self._free.release()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        if not task.cancelled():
            task.exception()  # heard here, so that work nobody waits for any more does not complain
