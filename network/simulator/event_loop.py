"""asyncio under virtual time: the loop that runs whole nodes in one process, the same way for the same seed.

Nothing waits here. When no callback is ready, the clock jumps to the next timer; when there is no timer either,
nothing can ever happen again, and ``Stuck`` says who was waiting. Time is an integer count of nanoseconds, so equal
instants are equal, and timers of one instant run in the order in which they were set.

Whose callback is it? A ContextVar names the node whose task is running; asyncio hands the context down to every task,
timer and callback that the task starts. So the loop can *pause* a node (its callbacks are held, as by SIGSTOP), and
*crash* it (they are dropped; no ``finally`` block runs, because the dead tasks stay referenced). A node's clock may
run fast or slow: inside its context ``loop.time()`` is its own time, and so are its timers.

Real sockets, threads and signals do not exist here: asyncio's base loop refuses them, which is how a node that goes
past its runtime's doors is found.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NODE: Final[ContextVar[str]] = ContextVar("node", default="")
"""Whose code is running: a node's name, empty for the simulation itself."""

CALLBACKS_PER_INSTANT_MAX: Final = 1_000_000
_MILLION: Final = 1_000_000
_NS: Final = 1_000_000_000
_AFTERLIFE_ROUNDS: Final = 10_000


class Stuck(RuntimeError):
    """No callback is ready and no timer is set: whatever is waited for will never happen."""


class Spinning(RuntimeError):
    """Callbacks beget callbacks and time stands still."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """An event loop whose time is a number. ``shuffle`` makes it draw the order of the tasks that are ready at once."""

    def __init__(self, shuffle: random.Random | None = None) -> None:
        super().__init__()
        self.now_ns = 0
        self._shuffle = shuffle
        self._ready: deque[asyncio.Handle] = deque()
        self._scheduled: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._sequence = 0
        self._cancelled_timers = 0
        self._this_instant = 0
        self._stopping = False  # asyncio's own flag, set by stop()
        self._halt: Callable[[], bool] | None = None
        self._halt_ns: int | None = None
        self._held: dict[str, deque[asyncio.Handle]] = {}
        self._dead: dict[str, None] = {}
        self._graveyard: list[asyncio.Task[Any]] = []
        self._dropped: list[asyncio.Handle] = []  # without its next step a task could never be ended, even in bury()
        self._owners: WeakKeyDictionary[asyncio.Task[Any], str] = WeakKeyDictionary()
        self._rates_ppm: dict[str, int] = {}

    # ---- time

    def time(self) -> float:
        """Seconds since the start, by the clock of whoever asks."""
        if self._rates_ppm:
            return self.node_time_ns(NODE.get()) / _NS
        return self.now_ns / _NS

    def node_time_ns(self, node: str) -> int:
        """Nanoseconds since the start by the clock of ``node``."""
        return self.now_ns + self.now_ns * self._rates_ppm.get(node, 0) // _MILLION

    def set_rate(self, node: str, drift_ppm: int) -> None:
        """Let the clock of ``node`` run fast (positive) or slow, in millionths. Before its first timer, not after."""
        if not -500_000 <= drift_ppm <= 500_000:
            raise ValueError(f"drift of {drift_ppm} ppm is not a clock")
        self._rates_ppm[node] = drift_ppm

    def _instant(self, when: float, context: Context) -> int:
        """The instant that the context's owner calls ``when``."""
        instant = round(when * _NS)
        if self._rates_ppm:
            rate = self._rates_ppm.get(context.get(NODE, ""), 0)
            if rate:
                instant = -(-instant * _MILLION // (_MILLION + rate))
        return instant

    # ---- what asyncio calls

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run the callback at this instant, after all that is ready already."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As ``call_soon``: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback ``delay`` seconds from now."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback at ``when`` by the caller's ``time()``."""
        owner = copy_context() if context is None else context
        return self._set_timer(self._instant(when, owner), when, callback, args, owner)

    def at_ns(self, instant_ns: int, callback: Callable[[*Ts], object], *args: *Ts, context: Context) -> None:
        """Run the callback at an instant of the simulation's own time."""
        self._set_timer(instant_ns, instant_ns / _NS, callback, args, context)

    def _set_timer(
        self, instant: int, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> asyncio.TimerHandle:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True  # type: ignore[attr-defined]
        self._sequence += 1
        heapq.heappush(self._scheduled, (instant, self._sequence, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._cancelled_timers += 1

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """A task that belongs to the node in whose context it starts."""
        task: asyncio.Task[T] = super().create_task(coro, name=name, context=context, **options)
        owner = NODE.get() if context is None else context.get(NODE, "")
        if owner:
            self._owners[task] = owner
        return task

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Refused: a thread would bring real time in."""
        raise RuntimeError(f"{func!r} asks for a thread; under virtual time work runs through Runtime.workers")

    def _run_once(self) -> None:
        """One round: advance the clock when nothing is ready, then run what was ready at the start of the round."""
        ready = self._ready
        if not ready and not self._stopping and not self._advance():
            self._stopping = True
            return
        if self._shuffle is not None and len(ready) > 1:
            self._shuffle_tasks(self._shuffle)
        watched = self._dead or self._held
        count = len(ready)
        self._this_instant += count
        if self._this_instant > CALLBACKS_PER_INSTANT_MAX:
            raise Spinning(f"{self._this_instant} callbacks at {self.now_ns} ns; next: {ready[0]!r}")
        for _ in range(count):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            if watched and not self._may_run(handle):
                continue
            handle._run()
            if not watched:
                watched = self._dead or self._held

    def _advance(self) -> bool:
        """Jump to the next timer. False when the run shall halt here instead. Raises Stuck."""
        if self._halt is not None and self._halt():
            return False
        timers = self._scheduled
        if self._cancelled_timers > 100 and self._cancelled_timers * 2 > len(timers):
            timers[:] = [entry for entry in timers if not entry[2]._cancelled]
            heapq.heapify(timers)
            self._cancelled_timers = 0
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
            self._cancelled_timers -= 1
        if self._halt_ns is not None and (not timers or timers[0][0] > self._halt_ns):
            self.now_ns = max(self.now_ns, self._halt_ns)
            self._this_instant = 0
            return False
        if not timers:
            raise Stuck(self._who_waits())
        if timers[0][0] > self.now_ns:
            self.now_ns = timers[0][0]
            self._this_instant = 0
        while timers and timers[0][0] <= self.now_ns:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False  # type: ignore[attr-defined]
            if timer._cancelled:
                self._cancelled_timers -= 1
            else:
                self._ready.append(timer)
        return True

    def _shuffle_tasks(self, chance: random.Random) -> None:
        """Permute the steps of the tasks that are ready. Plain callbacks keep their places: asyncio promises those."""
        handles = list(self._ready)
        places = [
            place
            for place, handle in enumerate(handles)
            if isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined]
        ]
        for last in range(len(places) - 1, 0, -1):
            other = int(chance.random() * (last + 1))
            mine, theirs = places[last], places[other]
            handles[mine], handles[theirs] = handles[theirs], handles[mine]
        self._ready.clear()
        self._ready.extend(handles)

    def _who_waits(self) -> str:
        names = sorted(task.get_name() for task in asyncio.all_tasks(self) if self._owners.get(task) not in self._dead)
        shown = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
        held = f"; paused: {', '.join(self._held)}" if self._held else ""
        return f"nothing left to run at {self.now_ns} ns; waiting: {shown}{held}"

    # ---- pause and crash

    def _may_run(self, handle: asyncio.Handle) -> bool:
        owner: str = handle._context.get(NODE, "")  # type: ignore[attr-defined]
        if owner in self._dead:
            self._dropped.append(handle)
            return False
        held = self._held.get(owner)
        if held is None:
            return True
        held.append(handle)
        return False

    def pause(self, node: str) -> None:
        """Hold every callback of the node, as SIGSTOP would."""
        self._held.setdefault(node, deque())

    def resume(self, node: str) -> None:
        """Let the node go on: what was held runs now, in its order."""
        self._ready.extend(self._held.pop(node, ()))

    def crash(self, node: str) -> None:
        """Drop the node between two callbacks, as SIGKILL would. Its name cannot be used again."""
        if not node:
            raise ValueError("the simulation itself cannot crash")
        self._dropped.extend(self._held.pop(node, ()))
        self._dead[node] = None
        self._graveyard.extend(task for task, owner in self._owners.items() if owner == node and not task.done())

    # ---- running from outside

    def run_until(self, condition: Callable[[], bool], until_ns: int | None = None) -> bool:
        """Run until the condition holds, asked before each move of the clock. False when ``until_ns`` comes first."""
        met = False

        def halt() -> bool:
            nonlocal met
            met = condition()
            return met

        self._halt, self._halt_ns = halt, until_ns
        try:
            self.run_forever()
        finally:
            self._halt = self._halt_ns = None
        return met

    def run_for(self, duration_ns: int) -> None:
        """Run for a stretch of virtual time."""
        self.run_until(lambda: False, self.now_ns + duration_ns)

    def adopt(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Let ``bury`` end these tasks too."""
        self._graveyard.extend(task for task in tasks if task not in self._graveyard)

    def bury(self) -> None:
        """End the tasks of crashed nodes before the loop closes; whatever their ``finally`` blocks try is ignored.

        To be called when nothing they could reach matters any more: databases closed, network down, trace read.
        """
        graves, self._graveyard = self._graveyard, []
        self._dead.clear()
        for node in list(self._held):
            self.resume(node)
        self._ready.extend(self._dropped)
        self._dropped.clear()
        self.set_exception_handler(lambda loop, context: None)
        for task in graves:
            task.cancel()
        rounds = 0

        def over() -> bool:
            nonlocal rounds
            rounds += 1
            return rounds > _AFTERLIFE_ROUNDS or all(task.done() for task in graves)

        with contextlib.suppress(Stuck, Spinning):
            self.run_until(over, self.now_ns + 3600 * _NS)
        for task in graves:
            if task.done():
                if not task.cancelled():
                    task.exception()
            else:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _UNDEAD.append(task)
        self.set_exception_handler(None)


_UNDEAD: list[asyncio.Task[Any]] = []
"""Tasks that survived even their burial: kept until the process ends, so that the collector does not run them."""
