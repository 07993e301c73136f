"""What both engines' worlds share: links, faults, timers and the trace over one heap. One scenario, one run.

scenario ─▶ faults begin and end on the heap ─▶ machines, links, clocks
message ─▶ a liar's change ─▶ twins' sight ─▶ LinkPolicy ─▶ heap ─▶ triage, engine
"""

from __future__ import annotations

import hashlib
import random
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Generic, TypeVar

from network.faults.kinds import Group
from network.faults.link_faults import LinkFaults
from network.faults.link_policy import NS_PER_MS, LinkCondition, LinkPolicy, Loss
from network.faults.vocabulary import FaultAction
from network.simulator.level1.heap import Heap
from network.simulator.level1.judge import Verdict, Violation
from network.simulator.level1.machine import Machine
from network.simulator.scenario import Scenario
from node.consensus.engine import ConsensusMessage, Input, TimerKey
from node.primitives.scalars import Address

MESSAGE_BYTES: Final = 250
"""Taken for the size of every message where a link is slow."""
SECOND_COPY_MS: Final = 250
EXCEPTION: Final = "exception"
"""Kind of a violation that is no broken promise but an unhandled mistake in the code."""
CHECK_BOUNDS_MS: Final = 1000
BOOT_SPREAD_MS: Final = 50

M = TypeVar("M", bound=Machine)


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    violation: Violation | None
    heights: dict[bytes, int]
    decided: int
    """Blocks that are final somewhere honest."""
    events: int
    trace_hash: str
    max_gap_ms: int
    """Longest time after stabilisation that an honest node finalized nothing."""
    convicted: dict[Address, str]
    ended_ms: int
    """When it was over: the end asked for, or the violation."""
    judged_progress: bool = True
    """Whether the run was long enough, and its liars few enough, to ask for progress."""


def _place_of(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (in {place.name}, {PurePath(place.filename).name}:{place.lineno})"


class Harness(Heap, ABC, Generic[M]):
    """A run in progress. Subclasses make the machines, perform for them, and know what progress is."""

    verdict: Verdict

    def __init__(self, scenario: Scenario, trace_to: Callable[[str], object] | None = None) -> None:
        super().__init__()
        self.scenario = scenario
        self.nodes: dict[bytes, M] = {}
        self.liars = scenario.liars
        self._trace = hashlib.blake2b(digest_size=16)
        self._trace_to = trace_to
        self._chance = random.Random(f"world {scenario.seed}")
        self._twin_chance = random.Random(f"twins {scenario.seed}")
        self.policy = LinkPolicy(
            LinkCondition(
                delay_ms=scenario.delay_min_ms,
                jitter_ms=max(1, scenario.delay_ms - scenario.delay_min_ms),
                duplication=scenario.duplication,
                reorder_ms=SECOND_COPY_MS,
                on_loss=Loss.RAW,
            )
        )
        self._links = LinkFaults(self.policy, scenario.names)
        self._delay_min_ms = scenario.delay_min_ms
        self._delay_spread_ms = scenario.delay_ms - scenario.delay_min_ms
        self._clear = False
        """No fault is on any link: what the policy would say is known."""
        self._twins = scenario.twins
        self._sees: dict[int, int] = {}
        self._last_final: dict[bytes, int] = {}
        self._max_gap_ms = 0

    # --- for subclasses --------------------------------------------------------------------------

    @abstractmethod
    def settled_ms(self) -> int:
        """From here on progress is demanded."""

    @abstractmethod
    def gap_bound_ms(self) -> int:
        """How long an honest node may go without a new final block once settled."""

    @abstractmethod
    def progress_of(self, node: M) -> int:
        """The number of the newest final block."""

    @abstractmethod
    def is_tolerable(self) -> bool:
        """Whether the liars are few enough for progress."""

    @abstractmethod
    def final_blocks(self) -> int:
        """How many blocks are final somewhere honest."""

    def check_end(self) -> None:
        """What must hold when the run is over, and progress could be asked for."""

    def check_bounds(self, node: M) -> None:
        """That what a node keeps is bounded."""

    def lie(self, node: M, target: M, message: ConsensusMessage) -> ConsensusMessage | None:
        """What a liar really sends; None: nothing."""
        return message

    def on_liar_said(self, node: M, message: ConsensusMessage) -> None:
        """A liar's message has left."""

    # --- life of a run ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Once all machines are there: boots, faults, and the calm after them."""
        scenario = self.scenario
        self._look_at_links()
        for node in self.nodes.values():
            self.at(self._chance.randrange(0, BOOT_SPREAD_MS), self._booting(node))
        for action in scenario.faults.actions:
            self.at(action.at_ms, self._beginning(action))
            if action.until_ms is not None:
                self.at(action.until_ms, self._ending(action))
        self.at(scenario.calm_ms, self.heal)
        if self._twins:
            self._split_twins()
        self.at(CHECK_BOUNDS_MS, self._check_bounds)

    def run_until(self, until_ms: int) -> None:
        """Process events up to a time, or to the first violation."""
        verdict = self.verdict
        self.run_events(until_ms, lambda: verdict.violation is not None)

    def run(self) -> Outcome:
        """The whole run and its judgement. An engine must take every input: its exception is a violation."""
        judged = False
        try:
            judged = self._run_and_ask()
        except Exception as error:
            self.verdict.report(EXCEPTION, _place_of(error))
        ended_ms = self.now_ms
        self.verdict.judge_transcript()
        # one more draw, and the count: a run that took another way has another hash, whatever it came to
        self.record("", "end", f"{self.events} {self._chance.random()}")
        return Outcome(
            self.verdict.violation,
            {name: self.progress_of(node) for name, node in self.nodes.items()},
            self.final_blocks(),
            self.events,
            self._trace.hexdigest(),
            self._max_gap_ms,
            self.verdict.convicted(),
            ended_ms,
            judged,
        )

    def _run_and_ask(self) -> bool:
        """Let it run; whether progress was asked for."""
        until_ms, settled_ms, bound_ms = self.scenario.until_ms, self.settled_ms(), self.gap_bound_ms()
        self.run_until(min(settled_ms, until_ms))
        before = {name: self.progress_of(node) for name, node in self.nodes.items() if self.is_honest(node)}
        self.run_until(until_ms)
        if self.verdict.violation is not None or not self.is_tolerable() or until_ms <= settled_ms + bound_ms:
            return False
        for name, height in before.items():
            if self.progress_of(self.nodes[name]) <= height:
                self.verdict.report("liveness", f"{self.nodes[name].label} finalized nothing after {height}")
        gap_ms = max([self._max_gap_ms, *(until_ms - self._gap_from(name) for name in before)])
        if gap_ms > bound_ms:
            self.verdict.report("latency", f"{gap_ms} ms without a new final block; the bound is {bound_ms}")
        self.check_end()
        return True

    def record(self, who: str, event: str, detail: str) -> None:
        """One line of the trace."""
        line = f"{self.now_ms} {who} {event} {detail}"
        self._trace.update(line.encode())
        if self._trace_to is not None:
            self._trace_to(line)

    def is_honest(self, node: Machine) -> bool:
        """Whether no fault ever makes it lie."""
        return node.name[0] not in self.liars

    def finalized(self, node: M) -> None:
        """An honest node has a new final block: note how long it took."""
        if self.now_ms > self.settled_ms():
            self._max_gap_ms = max(self._max_gap_ms, self.now_ms - self._gap_from(node.name))
        self._last_final[node.name] = self.now_ms

    def _gap_from(self, name: bytes) -> int:
        return max(self._last_final.get(name, 0), self.settled_ms())

    def report_excess(self, node: M, bounds: Mapping[str, tuple[int, int]]) -> None:
        """``bounds``: what is held, and at most how much of it."""
        for name, (count, most) in bounds.items():
            if count > most:
                self.verdict.report("bounds", f"{node.label} holds {count} {name}; {most} is the bound")

    def _check_bounds(self) -> None:
        for node in self.nodes.values():
            if node.alive and self.is_honest(node):
                self.check_bounds(node)
        self.at(CHECK_BOUNDS_MS, self._check_bounds)

    # --- messages --------------------------------------------------------------------------------

    def broadcast(self, node: Machine, message: ConsensusMessage) -> None:
        """To every other instance that the links allow."""
        for name, target in self.nodes.items():
            if name[0] != node.name[0]:
                self._deliver(node, target, message)

    def send(self, node: Machine, peer: bytes, message: ConsensusMessage) -> None:
        """To one instance."""
        target = self.nodes.get(peer)
        if target is not None:
            self._deliver(node, target, message)

    def _deliver(self, node: Machine, target: M, message: ConsensusMessage) -> None:
        if node.name[0] in self.liars:
            said = self.lie(self.nodes[node.name], target, message) if node.lies else message
            if said is None:
                return
            message = said
            self.on_liar_said(self.nodes[node.name], message)
        if not self._in_sight(node, target):
            return
        self.carry(node, target, message)

    def carry(self, node: Machine, target: M, message: ConsensusMessage, later_ms: int = 0) -> None:
        """Hand a message to the link."""
        if self._clear:
            delay_ms = self._delay_min_ms + int(self._delay_spread_ms * self._chance.random())
            self.at((delay_ms or 1) + later_ms, target.receive, target.life, node.name, message)
            return
        fate = self.policy.deliveries(node.label, target.label, MESSAGE_BYTES, self.now_ms * NS_PER_MS, self._chance)
        for after_ns in fate.after_ns:
            delay_ms = max(1, after_ns // NS_PER_MS) + later_ms
            self.at(delay_ms, target.receive, target.life, node.name, message)

    def _in_sight(self, node: Machine, target: Machine) -> bool:
        """Honest nodes see one half of a pair of twins, the other, or both."""
        if not self._twins:
            return True
        one, other = f"n{node.name[0]}" in self._twins, f"n{target.name[0]}" in self._twins
        if one == other:
            return True
        twin, watcher = (node, target) if one else (target, node)
        return self._sees[watcher.name[0]] in (twin.name[1], 2)

    def _split_twins(self) -> None:
        for index in range(self.scenario.nodes):
            self._sees[index] = self._twin_chance.choice((0, 1, 2))
        if self.now_ms < self.scenario.calm_ms:
            self.at(self._twin_chance.randrange(300, 3000), self._split_twins)

    # --- time ------------------------------------------------------------------------------------

    def set_timer(self, node: Machine, key: TimerKey, after_ms: int) -> None:
        """Replaces a timer of the same key; timers of stale keys fire, and the engine must ignore them."""
        due = self._sequence = self._sequence + 1
        node.timers[key] = due
        self.at(node.clock.real_ms(after_ms), node.ring, node.life, key, due)

    def answer(self, node: Machine, delay_ms: int, make: Callable[[], Input]) -> None:
        """Hand the result of some work to the engine, unless the machine dies before."""
        self.at(delay_ms + node.work_ms, node.when_running, lambda: node.handle(make()), node.life)

    # --- faults ----------------------------------------------------------------------------------

    def crashed(self, node: Machine) -> None:
        """The machine has died by itself. The fault that made it die boots it again."""
        self.record(node.label, "crash", "")
        if self.now_ms >= self.scenario.calm_ms:
            self.at(self._chance.randrange(100, 1000), self._booting(node))

    def _booting(self, node: Machine) -> Callable[[], None]:
        def boot() -> None:
            if not node.alive:
                self.record(node.label, "boot", str(node.life))
                node.boot()

        return boot

    def _beginning(self, action: FaultAction) -> Callable[[], None]:
        return lambda: self._begin(action)

    def _ending(self, action: FaultAction) -> Callable[[], None]:
        return lambda: self._end(action)

    def _instances(self, action: FaultAction) -> list[M]:
        """A liar's lies are of both its halves; everything else befalls the one that is named."""
        targets = dict.fromkeys(action.targets)
        both = action.what.is_byzantine
        return [
            node
            for node in self.nodes.values()
            if node.label in targets or (both and node.label.removesuffix("+") in targets)
        ]

    def _look_at_links(self) -> None:
        self._clear = not self._links.on and not self.scenario.duplication

    def _begin(self, action: FaultAction) -> None:
        self.record("", "fault", str(action))
        if action.what.group is Group.LINK:
            self._links.begin(action)
            self._look_at_links()
            return
        for node in self._instances(action):
            self._befall(node, action)

    def _befall(self, node: M, action: FaultAction) -> None:
        match action.kind:
            case "crash":
                node.kill()
            case "kill-between-effects":
                if node.alive:
                    node.crash_after = action.number("effects")
            case "pause":
                node.paused = node.alive
            case "restart":
                node.kill()
                self._booting(node)()
            case "slow-node":
                node.work_ms += action.number("work_ms")
            case "lost-disk":
                node.kill()
                node.lose_disk()
            case "torn-log":
                node.disk.tears = node.alive
            case "full-disk":
                node.disk.is_full = True
            case "clock-offset":
                node.clock.offset_ms += action.number("offset_ms")
            case "clock-drift":
                node.clock.drift(self.now_ms, action.number("ppm"))
            case "clock-jump":
                node.clock.offset_ms += action.number("by_ms")
            case "amnesia":
                node.kill()
                node.disk.forget()
                self.at(1, self._booting(node))
            case "twins":
                pass
            case _:
                node.lies.append(action)

    def _end(self, action: FaultAction) -> None:
        if action.what.group is Group.LINK:
            self._links.end(action)
            self._look_at_links()
            return
        for node in self._instances(action):
            self._relieve(node, action)

    def _relieve(self, node: M, action: FaultAction) -> None:
        match action.kind:
            case "crash" | "lost-disk" | "torn-log" | "kill-between-effects":
                node.crash_after = None
                node.disk.tears = False
                self._booting(node)()
            case "pause":
                node.resume()
            case "slow-node":
                node.work_ms = max(0, node.work_ms - action.number("work_ms"))
            case "full-disk":
                node.disk.is_full = False
                self._booting(node)()
            case "clock-offset":
                node.clock.offset_ms -= action.number("offset_ms")
            case "clock-drift":
                node.clock.drift(self.now_ms, 0)
            case _:
                if action in node.lies:
                    node.lies.remove(action)

    def heal(self) -> None:
        """Every fault ends but the lies."""
        self.record("", "heal", "")
        self._links.heal()
        self._look_at_links()
        for node in self.nodes.values():
            node.disk.is_full = node.disk.tears = False
            node.crash_after, node.work_ms = None, 0
            node.clock.set_right(self.now_ms)
            if node.paused:
                node.resume()
            if not node.alive and node.life:
                self.at(self._chance.randrange(1, BOOT_SPREAD_MS), self._booting(node))
