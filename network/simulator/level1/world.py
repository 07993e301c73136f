"""Level 1 of the bft engine: its world, and plans whose faults are drawn from a seed. One seed, one run."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from network.faults.vocabulary import FaultAction
from network.faults.vocabulary import Plan as Faults
from network.simulator.level1.byzantine import Liar
from network.simulator.level1.draws import draw_crashes, draw_partitions, weather
from network.simulator.level1.harness import Harness, Outcome
from network.simulator.level1.judge import Judge
from network.simulator.level1.nodes import EngineFactory, SimNode, TagKey
from network.simulator.level1.payloads import genesis_block, make_block, refusal
from network.simulator.scenario import Scenario
from node.consensus.bft.core import PAST_HEIGHTS_MAX, BftEngine, BftSettings
from node.consensus.bft.early import EARLY_PER_PEER_MAX, PEERS_MAX
from node.consensus.bft.evidence_pool import EVIDENCE_MAX
from node.consensus.bft.messages import Polka, Proposal, Statement
from node.consensus.bft.timeouts import Timeouts
from node.consensus.bft.triage import DECIDED_AHEAD_MAX
from node.consensus.engine import BuildPayload, ConsensusMessage, ExecutePayload, Input, PayloadBuilt, PayloadStatus
from node.consensus.validators import Validator, ValidatorSet
from node.crypto.hashes import keccak256
from node.primitives.scalars import Address
from node.types.blocks import Block


def bft_settings(block_time_ms: int = 400) -> BftSettings:
    """Pace and timeouts of simulated validators: blocks come often, so that a minute holds many."""
    return BftSettings(
        block_time_ms=block_time_ms, timeouts=Timeouts(1000, 600, 600, 400), gossip_ms=300, boot_wait_ms=50
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What to draw a bft scenario from. Times in virtual milliseconds; shares are probabilities."""

    seed: int = 0
    nodes: int = 4
    weights: tuple[int, ...] = ()
    byzantine: int = 0
    until_ms: int = 60_000
    gst_ms: int = 30_000
    """Global stabilisation: afterwards no loss, no crash, no partition."""
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
    settings: BftSettings = field(default_factory=bft_settings)

    def scenario(self) -> Scenario:
        """The faults drawn: everything that the run follows from."""
        chance = random.Random(f"faults {self.seed}")
        liars = [f"n{index}" for index in chance.sample(range(self.nodes), self.byzantine)]
        twins = [FaultAction(0, "twins", tuple(liars))] if self.twins and liars else []
        halves = [f"{name}+" for name in liars] if twins else []
        names = [f"n{index}" for index in range(self.nodes)] + halves
        actions = [*twins, *self._lies(liars)]
        if self.gst_ms:
            actions += weather(self.loss, self.gst_ms)
        if self.crashes:
            forgetful = [*liars, *halves] if self.forgetful else []
            actions += draw_crashes(chance, names, self.gst_ms, forgetful, self.forgetful)
        if self.partitions:
            actions += draw_partitions(chance, names, self.gst_ms)
        return Scenario(
            "bft",
            self.seed,
            self.nodes,
            self.weights,
            self.until_ms,
            self.gst_ms,
            self.delay_min_ms,
            self.delay_ms,
            self.duplication,
            () if self.polka_gossip else ("polka-gossip",),
            self.settings.block_time_ms,
            faults=Faults(tuple(actions)),
        )

    def _lies(self, liars: list[str]) -> list[FaultAction]:
        rates = {
            "equivocating-proposer": self.lie_rate,
            "withheld-block": self.lie_rate / 4,
            "double-vote": self.lie_rate,
            "silent-voter": self.lie_rate / 4,
            "stale-replay": self.lie_rate / 4,
            "wrong-state-root": self.wrong_roots,
        }
        targets = tuple(liars)
        return [FaultAction(0, kind, targets, {"share": rate}) for kind, rate in rates.items() if rate and targets]

    @property
    def settled_ms(self) -> int:
        """From here on liveness is demanded."""
        return settled_ms(self.gst_ms, self.delay_ms)

    @property
    def gap_bound_ms(self) -> int:
        """B: how long an honest node may go without a decision once settled."""
        return gap_bound_ms(self.delay_ms, self.byzantine, self.polka_gossip)


def settled_ms(calm_ms: int, delay_ms: int) -> int:
    """How long after the calm rounds may still be long."""
    return calm_ms + 6000 + 12 * delay_ms


def gap_bound_ms(delay_ms: int, liars: int, polka_gossip: bool) -> int:
    """c1 + c2 · delay + c3 · liars."""
    bound_ms = 2500 + 8 * delay_ms + 3000 * liars
    # without polkas from others a hidden lock is found only when its holder's turn to propose comes
    return bound_ms if polka_gossip else 3 * bound_ms


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


class World(Harness[SimNode]):
    """A bft run in progress."""

    def __init__(
        self,
        plan: Plan | Scenario,
        factory: EngineFactory = BftEngine,
        node_class: type[SimNode] = SimNode,
        trace_to: Callable[[str], object] | None = None,
    ) -> None:
        scenario = plan.scenario() if isinstance(plan, Plan) else plan
        super().__init__(scenario, trace_to)
        settings = plan.settings if isinstance(plan, Plan) else bft_settings(scenario.block_time_ms)
        addresses = [Address(keccak256(b"validator %d" % index)[:20]) for index in range(scenario.nodes)]
        self.validators = ValidatorSet(
            Validator(address, scenario.weight(index)) for index, address in enumerate(addresses)
        )
        honest = frozenset(address for index, address in enumerate(addresses) if index not in self.liars)
        self.steady = [address for index, address in enumerate(addresses) if index not in scenario.faulty]
        """Who never lies and never forgets."""
        self.genesis = genesis_block()
        self.judge = Judge(self.genesis, self.validators, honest)
        self.verdict = self.judge
        self._liar = Liar(random.Random(f"lies {scenario.seed}"))
        self._polkas = "polka-gossip" not in scenario.without
        self._settled_ms = settled_ms(scenario.calm_ms, scenario.delay_ms)
        for index, address in enumerate(addresses):
            for half in (0, 1) if f"n{index}" in scenario.twins else (0,):
                name = bytes((index, half))
                skew_ms = (index * 37 % 11 - 5) * 100
                self.nodes[name] = node_class(
                    name, TagKey(address), self.validators, settings, self.genesis, self, factory, skew_ms
                )
        self.begin()

    # --- Harness ---------------------------------------------------------------------------------

    def settled_ms(self) -> int:
        """From here on progress is demanded."""
        return self._settled_ms

    def gap_bound_ms(self) -> int:
        """How long an honest node may go without a decision once settled."""
        return gap_bound_ms(self.scenario.delay_ms, len(self.scenario.faulty), self._polkas)

    def progress_of(self, node: SimNode) -> int:
        """The newest decided block."""
        return node.chain[-1][0].number

    def is_tolerable(self) -> bool:
        """Below a third."""
        scenario = self.scenario
        return 3 * scenario.faulty_weight < scenario.total_weight

    def final_blocks(self) -> int:
        """Decided somewhere honest."""
        return len(self.judge.decided) - 1

    def check_bounds(self, node: SimNode) -> None:
        """Every collection of the engine's has a bound."""
        engine = node.engine
        early = engine._early.sizes
        bounds = {
            "peers with early messages": (len(early), PEERS_MAX),
            "early messages of one peer": (max(early, default=0), EARLY_PER_PEER_MAX),
            "blocks decided ahead": (len(engine._decided_ahead), DECIDED_AHEAD_MAX),
            "heights of peers": (len(engine._peer_heights), PEERS_MAX),
            "past heights": (len(engine._past), PAST_HEIGHTS_MAX),
            "pieces of evidence": (len(list(engine.evidence.known)), EVIDENCE_MAX),
        }
        self.report_excess(node, bounds)

    def lie(self, node: SimNode, target: SimNode, message: ConsensusMessage) -> ConsensusMessage | None:
        """What a liar really sends."""
        return self._liar.rewrite(node, message)

    def on_liar_said(self, node: SimNode, message: ConsensusMessage) -> None:
        """Its statements are evidence."""
        statement = message.statement if isinstance(message, Proposal) else message
        if isinstance(statement, Statement) and statement.validator == node.key.address:
            self.judge.on_said(statement)

    def _deliver(self, node: SimNode, target: SimNode, message: ConsensusMessage) -> None:  # type: ignore[override]
        if self._polkas or not isinstance(message, Polka):
            super()._deliver(node, target, message)

    # --- BftOutside ------------------------------------------------------------------------------

    def build(self, node: SimNode, effect: BuildPayload) -> None:
        """A block with a payload that nobody else draws."""
        payload = bytes((*node.name, node.life % 256)) + self._chance.randbytes(5)
        parent = node.chain[-1][0].header

        def make() -> Input:
            block = make_block(parent, effect, payload, node.key.address)
            self._liar.saw(block)
            return PayloadBuilt(node.moment(), effect.request, block)

        self.answer(node, self._chance.randrange(1, 20), make)

    def execute(self, node: SimNode, effect: ExecutePayload) -> None:
        """Compare the root with our own."""
        block = effect.block
        reason = refusal(node.chain[-1][0].header, block)
        self.answer(
            node,
            self._chance.randrange(1, 20),
            lambda: PayloadStatus(node.moment(), block.hash, not reason, reason),
        )

    def decided(self, node: SimNode, block: Block) -> None:
        """Judge a decision, and note how long it took."""
        self.record(node.label, "decided", f"{block.number} {block.hash.hex()}")
        if not self.is_honest(node):
            return
        self.judge.on_decided(node.label, block, not refusal(node.chain[-2][0].header, block))
        self.finalized(node)

    def said(self, node: SimNode, statement: Statement) -> None:
        """Nothing leaves that is not durable."""
        self.record(
            node.label,
            "said",
            f"{statement.kind.name} {statement.height}/{statement.round} "
            f"{statement.block_hash.hex()[:16]} {statement.valid_round}",
        )
        if self.is_honest(node):
            self.judge.on_said(statement)
            if statement.slot not in node.disk.slots:
                self.judge.report("durability", f"{node.label} sent {statement.slot} before it was durable")


def run_plan(plan: Plan | Scenario, factory: EngineFactory = BftEngine, node_class: type[SimNode] = SimNode) -> Outcome:
    """One run from start to judgement."""
    return World(plan, factory, node_class).run()
