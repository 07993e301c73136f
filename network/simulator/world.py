"""Machines on a virtual network, before anything runs on them; and what can befall them.

    World ── VirtualTimeLoop
          ├─ SimulatedNetwork ── LinkPolicy
          ├─ Trace
          └─ Machine n0, n1, …: disk, clock, and one run of a program at a time

A program is a coroutine that lives as long as its process. Each run has a name of its own (``n0#2`` is the second run
on n0), under which the loop pauses and crashes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from network.faults.link_policy import NS_PER_MS, LinkPolicy
from network.invariants import InvariantViolated
from network.simulator.clocks import START_WALL_MS, SkewedClock
from network.simulator.disk import SimulatedDatabase, SimulatedDisk
from network.simulator.entropy import seeded_entropy, seeded_random
from network.simulator.event_loop import NODE, Stuck, VirtualTimeLoop
from network.simulator.links import SimulatedNetwork
from network.simulator.trace import Trace
from node.runtime.runtime import Runtime
from node.runtime.workers import InlineWorkers
from node.storage.database import DatabaseFull

T = TypeVar("T")

WORK_MS: Final = 2
"""Virtual cost of one piece of work off the loop, unless a machine is slower."""


class ProgramFailed(AssertionError):
    """A program ended by itself, or left an exception unhandled: a mistake of ours, never part of a scenario."""


@dataclass(slots=True)
class Machine:
    """A computer: what stays when its process dies."""

    name: str
    host: str
    offset_ms: int = 0
    drift_ppm: int = 0
    work_ms: int = WORK_MS
    disk: SimulatedDisk = field(default_factory=SimulatedDisk)
    runs: int = 0
    task: asyncio.Task[Any] | None = None
    clock: SkewedClock | None = None
    workers: InlineWorkers | None = None
    paused: bool = False

    @property
    def owner(self) -> str:
        """The loop's name for the present run."""
        return f"{self.name}#{self.runs}"

    @property
    def is_up(self) -> bool:
        """Whether a process runs, paused or not."""
        return self.task is not None


Program = Callable[[Machine, Runtime, SimulatedDatabase], Coroutine[Any, Any, None]]


class World:
    """Machines, links and time of one run. A context manager; everything in it follows ``seed``."""

    def __init__(
        self,
        seed: int,
        policy: LinkPolicy | None = None,
        shuffle: bool = False,
        sink: Callable[[str], object] | None = None,
    ) -> None:
        self.seed = seed
        self.loop = VirtualTimeLoop(seeded_random(seed, "schedule") if shuffle else None)
        self.loop.set_exception_handler(self._on_loop_error)
        self.policy = policy if policy is not None else LinkPolicy()
        self.trace = Trace(self.loop, sink)
        self.network = SimulatedNetwork(self.loop, self.policy, seed, self.trace)
        self.machines: dict[str, Machine] = {}
        self._failures: list[BaseException] = []
        self._power_chance = seeded_random(seed, "power")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def now_ms(self) -> int:
        """Virtual milliseconds since the start."""
        return self.loop.now_ns // NS_PER_MS

    def add_machine(
        self,
        name: str,
        offset_ms: int = 0,
        drift_ppm: int = 0,
        work_ms: int = WORK_MS,
        disk: SimulatedDisk | None = None,
    ) -> Machine:
        """A machine that is off. Its host is ``10.0.0.1`` and on, in the order of adding."""
        number = len(self.machines) + 1
        machine = Machine(name, f"10.0.{number >> 8}.{number & 255}", offset_ms, drift_ppm, work_ms)
        if disk is not None:
            machine.disk = disk
        self.machines[name] = machine
        return machine

    # ---- processes

    def start(self, name: str, program: Program) -> None:
        """Start the program on a machine. Raises RuntimeError when one runs there."""
        machine = self.machines[name]
        if machine.is_up:
            raise RuntimeError(f"{name} is running")
        machine.runs += 1
        machine.paused = False
        owner = machine.owner
        if machine.drift_ppm:
            self.loop.set_rate(owner, machine.drift_ppm)
        machine.clock = SkewedClock(self.loop, owner, machine.offset_ms, START_WALL_MS)
        machine.workers = InlineWorkers(machine.work_ms)
        runtime = Runtime(
            clock=machine.clock,
            network=self.network.door(name, owner, machine.host),
            workers=machine.workers,
            entropy=seeded_entropy(self.seed, "node", owner),
        )
        self.trace.record(f"start {owner}")
        context = Context()
        context.run(NODE.set, owner)
        task = self.loop.create_task(program(machine, runtime, machine.disk.open()), name=owner, context=context)
        machine.task = task
        task.add_done_callback(lambda done: self._on_end(machine, done), context=Context())

    def _on_end(self, machine: Machine, task: asyncio.Task[Any]) -> None:
        if machine.task is not task:
            return
        machine.task = None
        self.trace.record(f"end {machine.owner}")
        self.network.kill(machine.owner)
        machine.disk.crash()
        if not task.cancelled() and (error := task.exception()) is not None and not self._is_full(machine, error):
            self._failures.append(error)

    @staticmethod
    def _is_full(machine: Machine, error: BaseException) -> bool:
        """A program may end when its disk is full."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return machine.disk.has_refused and isinstance(error, DatabaseFull)

    def stop(self, name: str, timeout_ms: int = 30_000) -> None:
        """Ask the program to end (SIGTERM: its task is cancelled) and wait until it has."""
        task = self.machines[name].task
        if task is not None:
            task.cancel()
            if not self.run_until(task.done, timeout_ms):
                raise ProgramFailed(f"{name} did not stop within {timeout_ms} ms")

    def crash(self, name: str) -> None:
        """SIGKILL: the process is gone between two callbacks; kernel and disk stay."""
        machine = self._take_down(name, "crash")
        self.network.kill(machine.owner)
        machine.disk.crash()

    def cut_power(self, name: str) -> int:
        """The machine goes dark, without a goodbye; some undurable writes are lost. Returns how many."""
        machine = self._take_down(name, "dark")
        self.network.lose_power(name, machine.owner)
        return machine.disk.cut_power(self._power_chance)

    def _take_down(self, name: str, how: str) -> Machine:
        machine = self.machines[name]
        if not machine.is_up:
            raise RuntimeError(f"{name} is not running")
        self.trace.record(f"{how} {machine.owner}")
        self.loop.crash(machine.owner)
        machine.task = None
        return machine

    def pause(self, name: str) -> None:
        """SIGSTOP: the process stands still, its connections stay and fill."""
        machine = self.machines[name]
        self.trace.record(f"pause {machine.owner}")
        machine.paused = True
        self.loop.pause(machine.owner)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        machine = self.machines[name]
        self.trace.record(f"resume {machine.owner}")
        machine.paused = False
        self.loop.resume(machine.owner)

    def jump_clock(self, name: str, by_ms: int) -> None:
        """Move a machine's wall clock; it stays moved after a restart."""
        machine = self.machines[name]
        self.trace.record(f"jump {name} {by_ms}")
        machine.offset_ms += by_ms
        if machine.clock is not None:
            machine.clock.jump(by_ms)

    def slow_down(self, name: str, work_ms: int) -> None:
        """What each piece of work costs from now on."""
        machine = self.machines[name]
        self.trace.record(f"work {name} {work_ms}")
        machine.work_ms = work_ms
        if machine.workers is not None:
            machine.workers.cost_ms = work_ms

    # ---- links

    def partition(self, *groups: list[str]) -> None:
        """Cut every link between the groups."""
        self.trace.record("partition " + " / ".join(",".join(group) for group in groups))
        self.policy.partition(*groups)

    def cut_one_way(self, source: str, target: str) -> None:
        """Let nothing pass from one to the other; the way back stays open."""
        self.trace.record(f"cut {source}>{target}")
        self.policy.cut_one_way(source, target)

    def heal(self) -> None:
        """Undo every cut."""
        self.trace.record("heal")
        self.policy.heal()

    # ---- time

    def run_until(self, condition: Callable[[], bool], timeout_ms: int) -> bool:
        """Let virtual time pass until the condition holds; False when the timeout comes first. Raises ProgramFailed."""

        def met() -> bool:
            return bool(self._failures) or condition()

        reached = self.loop.run_until(met, self.loop.now_ns + timeout_ms * NS_PER_MS)
        self._raise_failures()
        return reached

    def run_for(self, duration_ms: int) -> None:
        """Let a stretch of virtual time pass. Raises ProgramFailed."""
        self.run_until(lambda: False, duration_ms)

    def run(self, coroutine: Coroutine[Any, Any, T], on: str = "") -> T:
        """The coroutine's result, the world going on around it; with ``on``, as part of that machine's process."""
        context = Context()
        if on:
            context.run(NODE.set, self.machines[on].owner)
        task = self.loop.create_task(coroutine, name="scenario", context=context)
        self.loop.run_until(lambda: task.done() or bool(self._failures))
        self._raise_failures()
        return task.result()

    def fail(self, error: BaseException) -> None:
        """End the run with this error, at the next move of the clock."""
        self._failures.append(error)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(str(context.get("message")))
        self.fail(error)

    def _raise_failures(self) -> None:
        if self._failures:
            failures, self._failures = self._failures, []
            if isinstance(failures[0], InvariantViolated):
                raise failures[0]
            newest = "\n".join(list(self.trace.newest)[-20:])
            raise ProgramFailed(f"{failures[0]!r} (seed {self.seed}); trace ends with\n{newest}") from failures[0]

    def close(self) -> None:
        """End every program, then everything that crashed; nothing of it enters the trace."""
        self.network.mute()
        running = [machine for machine in self.machines.values() if machine.task is not None]
        for machine in running:
            task = machine.task
            machine.task = None
            if machine.paused:
                self.loop.resume(machine.owner)
            if task is not None:
                task.cancel()
                try:
                    self.loop.run_until(task.done, self.loop.now_ns + 60_000 * NS_PER_MS)
                except Stuck:
                    break
        left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
        self.loop.adopt(left)
        self.loop.bury()
        for machine in running:
            machine.disk.crash()
        self.loop.close()
