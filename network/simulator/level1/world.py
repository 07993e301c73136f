"""The heap, the links, the faults and the clock of a level-1 run. One seed, one run, byte for byte."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from network.simulator.level1.byzantine import Liar
from network.simulator.level1.judge import Judge, Violation
from network.simulator.level1.nodes import EngineFactory, SimNode, TagKey, execute, genesis_block, make_block
from node.consensus.bft.core import BftEngine, BftSettings
from node.consensus.bft.messages import Polka, Proposal, Statement
from node.consensus.bft.round_machine import Timeouts
from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    ExecutePayload,
    Input,
    PayloadBuilt,
    PayloadStatus,
    TimerFired,
    TimerKey,
)
from node.consensus.validators import Validator, ValidatorSet
from node.crypto.hashes import keccak256
from node.primitives.scalars import Address
from node.types.blocks import Block


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. Times in virtual milliseconds; shares are probabilities."""

    seed: int = 0
    nodes: int = 4
    weights: tuple[int, ...] = ()
    byzantine: int = 0
    until_ms: int = 60_000
    gst_ms: int = 30_000
    """Global stabilisation: afterwards no loss, no crash, no partition, delays below ``delay_ms``."""
    delay_ms: int = 80
    delay_min_ms: int = 5
    loss: float = 0.1
    duplication: float = 0.02
    crashes: bool = True
    partitions: bool = True
    twins: bool = True
    """Byzantine validators run twice with one key, each half seen by some."""
    lie_rate: float = 0.0
    wrong_roots: float = 0.0
    forgetful: float = 0.0
    """Share of Byzantine crashes that lose the consensus log."""
    polka_gossip: bool = True
    """Redundancy that hides bugs; off in part of the seeds."""
    settings: BftSettings = field(
        default_factory=lambda: BftSettings(
            block_time_ms=400, timeouts=Timeouts(1000, 600, 600, 400), gossip_ms=300, boot_wait_ms=50
        )
    )

    @property
    def settled_ms(self) -> int:
        """From here on liveness is demanded."""
        return self.gst_ms + 6000 + 12 * self.delay_ms

    @property
    def gap_bound_ms(self) -> int:
        """B: how long an honest node may go without a decision once settled."""
        bound_ms = 4000 + 14 * self.delay_ms + 4000 * self.byzantine
        # without polkas from others a hidden lock is found only when its holder's turn to propose comes
        return bound_ms if self.polka_gossip else 3 * bound_ms


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    violation: Violation | None
    heights: dict[bytes, int]
    decided: int
    events: int
    trace_hash: str
    max_gap_ms: int
    """Longest time after stabilisation that an honest node went without a decision."""
    convicted: dict[Address, str]


def drawn_plan(seed: int, **fixed: object) -> Plan:
    """A plan whose latencies, lies and redundancy are drawn from the seed (swarm testing)."""
    chance = random.Random(f"plan {seed}")
    plan = Plan(
        seed=seed,
        delay_ms=chance.choice((80, 80, 400, 1500)),
        lie_rate=chance.choice((0.0, 0.0, 0.1, 0.4)),
        polka_gossip=chance.random() < 0.75,
        loss=chance.choice((0.0, 0.1, 0.1, 0.3)),
    )
    plan = replace(plan, **fixed)  # type: ignore[arg-type]
    return replace(plan, until_ms=max(plan.until_ms, plan.settled_ms + plan.gap_bound_ms + 1000))


class World:
    """A run in progress."""

    def __init__(self, plan: Plan, factory: EngineFactory = BftEngine, node_class: type[SimNode] = SimNode) -> None:
        self.plan = plan
        self.now_ms = 0
        self.events = 0
        self._chance = random.Random(f"world {plan.seed}")
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._trace = hashlib.blake2b(digest_size=16)
        weights = plan.weights or (1,) * plan.nodes
        addresses = [Address(keccak256(b"validator %d" % index)[:20]) for index in range(plan.nodes)]
        self.validators = ValidatorSet(
            Validator(address, weight) for address, weight in zip(addresses, weights, strict=True)
        )
        liars = self._chance.sample(addresses, plan.byzantine)
        self.byzantine = dict.fromkeys(liars)
        self.genesis = genesis_block()
        self.judge = Judge(self.genesis, self.validators, frozenset(a for a in addresses if a not in self.byzantine))
        self._liar = Liar(random.Random(f"lies {plan.seed}"), plan.lie_rate, plan.wrong_roots)
        self.nodes: dict[bytes, SimNode] = {}
        for index, address in enumerate(addresses):
            for half in (0, 1) if address in self.byzantine and plan.twins else (0,):
                name = bytes((index, half))
                self.nodes[name] = node_class(
                    name, TagKey(address), self.validators, plan.settings, self.genesis, self, factory
                )
        self._partition: dict[bytes, int] | None = None
        self._sees: dict[Address, int] = {}
        self._crashing: dict[bytes, None] = {}
        self._last_decided: dict[bytes, int] = {}
        self._max_gap_ms = 0
        self._split_twins()
        for node in self.nodes.values():
            self.at(self._chance.randrange(0, 50), node.boot)
        if plan.crashes:
            self.at(self._chance.randrange(1000, 8000), self._crash_somebody)
        if plan.partitions:
            self.at(self._chance.randrange(500, 6000), self._change_partition)

    # --- the heap --------------------------------------------------------------------------------

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something after a delay."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._sequence, action))

    def run_until(self, until_ms: int) -> None:
        """Process events up to a time, or to the first violation."""
        heap, judge = self._heap, self.judge
        while heap and heap[0][0] <= until_ms and judge.violation is None:
            self.now_ms, _, action = heapq.heappop(heap)
            self.events += 1
            action()
        self.now_ms = max(self.now_ms, until_ms)

    def run(self) -> Outcome:
        """The whole run and its judgement."""
        plan = self.plan
        self.run_until(self.plan.settled_ms)
        before = {name: node.engine.height for name, node in self.nodes.items() if self._is_honest(node)}
        self.run_until(plan.until_ms)
        faulty = self.validators.weight_of_all(self.byzantine)
        if 3 * faulty < self.validators.total_weight and plan.until_ms > self.plan.settled_ms + self.plan.gap_bound_ms:
            for name, height in before.items():
                if self.nodes[name].engine.height <= height + 1:
                    self.judge.report("liveness", f"node {name.hex()} stays at height {height}")
            gap_ms = max(
                [self._max_gap_ms, *(plan.until_ms - self._gap_from(name) for name in before)],
            )
            if gap_ms > self.plan.gap_bound_ms:
                self.judge.report("latency", f"{gap_ms} ms without a decision after stabilisation")
        self.judge.judge_transcript()
        return Outcome(
            self.judge.violation,
            {name: node.engine.height for name, node in self.nodes.items()},
            len(self.judge.decided) - 1,
            self.events,
            self._trace.hexdigest(),
            self._max_gap_ms,
            self.judge.convicted(),
        )

    def _gap_from(self, name: bytes) -> int:
        return max(self._last_decided.get(name, 0), self.plan.settled_ms)

    def _is_honest(self, node: SimNode) -> bool:
        return node.key.address not in self.byzantine

    # --- Outside ---------------------------------------------------------------------------------

    def wall_ms(self, node: SimNode) -> int:
        """Skewed by up to half a second, for ever."""
        return 1_700_000_000_000 + self.now_ms + (node.name[0] * 37 % 11 - 5) * 100

    def broadcast(self, node: SimNode, message: ConsensusMessage) -> None:
        """To every other instance that the links allow."""
        for peer in self.nodes:
            if peer[0] != node.name[0]:
                self._deliver(node, peer, message)

    def send(self, node: SimNode, peer: bytes, message: ConsensusMessage) -> None:
        """To one instance."""
        if peer in self.nodes:
            self._deliver(node, peer, message)

    def _deliver(self, node: SimNode, peer: bytes, message: ConsensusMessage) -> None:
        plan, chance = self.plan, self._chance
        if not plan.polka_gossip and isinstance(message, Polka):
            return
        if not self._is_honest(node):
            rewritten = self._liar.rewrite(node, message) if plan.lie_rate or plan.wrong_roots else message
            if rewritten is None:
                return
            message = rewritten
            statement = message.statement if isinstance(message, Proposal) else message
            if isinstance(statement, Statement) and statement.validator == node.key.address:
                self.judge.on_said(statement)
        target = self.nodes[peer]
        if not self._linked(node, target):
            return
        if self.now_ms < plan.gst_ms:
            if chance.random() < plan.loss:
                return
            delay_ms = chance.randrange(5, 80) if chance.random() < 0.9 else chance.randrange(80, 2500)
        else:
            delay_ms = chance.randrange(plan.delay_min_ms, max(plan.delay_min_ms + 1, plan.delay_ms))
        self._arrive(delay_ms, node.name, target, message)
        if plan.duplication and chance.random() < plan.duplication:
            self._arrive(delay_ms + chance.randrange(1, 500), node.name, target, message)

    def _arrive(self, delay_ms: int, sender: bytes, target: SimNode, message: ConsensusMessage) -> None:
        life = target.life

        def arrive() -> None:
            if target.alive and target.life == life:
                target.hear(sender, message)

        self.at(delay_ms, arrive)

    def _linked(self, node: SimNode, target: SimNode) -> bool:
        partition = self._partition if self.now_ms < self.plan.gst_ms else None
        if partition is not None and partition[node.name] != partition[target.name]:
            return False
        if not self.plan.twins or self._is_honest(node) == self._is_honest(target):
            return True
        liar, honest = (target, node) if self._is_honest(node) else (node, target)
        return self._sees[honest.key.address] in (liar.name[1], 2)

    def set_timer(self, node: SimNode, key: TimerKey, after_ms: int) -> None:
        """Timers of stale heights and rounds fire too: the engine must ignore them."""
        life = node.life
        skewed_ms = after_ms * (100 + node.name[0] * 37 % 11 - 5) // 100

        def fire() -> None:
            if node.alive and node.life == life:
                node.handle(TimerFired(node.moment(), key))

        self.at(skewed_ms, fire)

    def _answer(self, node: SimNode, delay_ms: int, make: Callable[[], Input]) -> None:
        life = node.life

        def answer() -> None:
            if node.alive and node.life == life:
                node.handle(make())

        self.at(delay_ms, answer)

    def build(self, node: SimNode, effect: BuildPayload) -> None:
        """A block with a payload that nobody else draws."""
        payload = bytes((*node.name, node.life % 256)) + self._chance.randbytes(5)
        parent = node.chain[-1][0].header

        def make() -> Input:
            block = make_block(parent, effect, payload, node.key.address)
            self._liar.saw(block)
            return PayloadBuilt(node.moment(), effect.request, block)

        self._answer(node, self._chance.randrange(1, 20), make)

    def execute(self, node: SimNode, effect: ExecutePayload) -> None:
        """Compare the root with our own."""
        block = effect.block
        valid = self._is_valid(node.chain[-1][0], block)
        reason = "" if valid else "INVALID_STATE_ROOT"
        self._answer(
            node,
            self._chance.randrange(1, 20),
            lambda: PayloadStatus(node.moment(), block.hash, valid, reason),
        )

    @staticmethod
    def _is_valid(parent: Block, block: Block) -> bool:
        return block.header.state_root == execute(parent.header.state_root, block.header.extra_data)

    def decided(self, node: SimNode, block: Block) -> None:
        """Judge a decision, and note how long it took."""
        self._trace.update(b"%d %b %b" % (self.now_ms, node.name, block.hash))
        if not self._is_honest(node):
            return
        self.judge.on_decided(node.name.hex(), block, self._is_valid(node.chain[-2][0], block))
        if self.now_ms > self.plan.settled_ms:
            self._max_gap_ms = max(self._max_gap_ms, self.now_ms - self._gap_from(node.name))
        self._last_decided[node.name] = self.now_ms

    def said(self, node: SimNode, statement: Statement) -> None:
        """Nothing leaves that is not durable."""
        self._trace.update(b"%d %b %b" % (self.now_ms, node.name, statement.item()))
        if self._is_honest(node):
            self.judge.on_said(statement)
            if statement.slot not in node.disk.slots:
                self.judge.report("durability", f"node {node.name.hex()} sent {statement.slot} before it was durable")

    def crashed(self, node: SimNode) -> None:
        """Boot again later; a forgetful liar without its log."""
        self._crashing.pop(node.name, None)
        if not self._is_honest(node) and self._chance.random() < self.plan.forgetful:
            node.disk = type(node.disk)()
        self.at(self._chance.randrange(100, 5000), node.boot)

    # --- faults ----------------------------------------------------------------------------------

    def _crash_somebody(self) -> None:
        if self.now_ms >= self.plan.gst_ms:
            return
        ready = [node for node in self.nodes.values() if node.alive and node.crash_after is None]
        if ready:
            self._chance.choice(ready).crash_after = self._chance.randrange(1, 30)
        self.at(self._chance.randrange(500, 6000), self._crash_somebody)

    def _change_partition(self) -> None:
        if self.now_ms >= self.plan.gst_ms:
            return
        if self._partition is None:
            self._partition = {name: self._chance.randrange(2) for name in self.nodes}
        else:
            self._partition = None
        self.at(self._chance.randrange(500, 6000), self._change_partition)

    def _split_twins(self) -> None:
        """Which half of a liar each honest validator talks to: one, the other, or both."""
        for validator in self.validators.addresses:
            self._sees[validator] = self._chance.choice((0, 1, 2))
        if self.now_ms < self.plan.gst_ms:
            self.at(self._chance.randrange(300, 3000), self._split_twins)


def run_plan(plan: Plan, factory: EngineFactory = BftEngine, node_class: type[SimNode] = SimNode) -> Outcome:
    """One run from start to judgement."""
    return World(plan, factory, node_class).run()
