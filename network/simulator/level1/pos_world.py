"""Level 1 of the pos engine: its world. One scenario, one run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from network.simulator.level1.harness import Harness
from network.simulator.level1.machine import START_WALL_MS
from network.simulator.level1.payloads import genesis_block, make_pos_block, refusal
from network.simulator.level1.pos_byzantine import PosLiar
from network.simulator.level1.pos_judge import PosJudge
from network.simulator.level1.pos_node import EngineFactory, PosNode, Said
from network.simulator.scenario import Scenario
from node.consensus.engine import BuildPayload, ConsensusMessage, Note, PayloadBuilt, PayloadStatus
from node.consensus.pos.core import EXECUTING_MAX, INVALID_MAX, TREE_MAX, UNCOUNTED_MAX, PosEngine
from node.consensus.pos.exchange import WAITING_MAX
from node.consensus.pos.messages import Attestation, SignedBlock
from node.consensus.pos.rules import PosRules
from node.consensus.pos.statement_pool import EPOCHS_KEPT, HEADERS_MAX
from node.consensus.validators import Validator, ValidatorSet
from node.crypto.hashes import keccak256
from node.primitives.scalars import Address
from node.types.blocks import Block


class PosWorld(Harness[PosNode]):
    """A pos run in progress."""

    def __init__(
        self,
        scenario: Scenario,
        factory: EngineFactory = PosEngine,
        node_class: type[PosNode] = PosNode,
        trace_to: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(scenario, trace_to)
        keys = [
            [Address(keccak256(b"validator %d/%d" % (index, key))[:20]) for key in range(scenario.keys)]
            for index in range(scenario.nodes)
        ]
        validators = ValidatorSet(
            Validator(address, scenario.weight(index)) for index, mine in enumerate(keys) for address in mine
        )
        self.genesis = genesis_block()
        self.rules = PosRules(
            1, self.genesis.hash, validators, START_WALL_MS, scenario.slot_ms, scenario.slots_per_epoch
        )
        honest = frozenset(address for index, mine in enumerate(keys) for address in mine if index not in self.liars)
        self.judge = PosJudge(self.genesis, validators, honest)
        self.verdict = self.judge
        self._liar = PosLiar(random.Random(f"lies {scenario.seed}"), self)
        self._repairs = "vote-repair" not in scenario.without
        self._epoch_ms = scenario.slot_ms * scenario.slots_per_epoch
        self._settled_ms = scenario.calm_ms + 4 * self._epoch_ms + 4 * scenario.delay_ms
        for index, mine in enumerate(keys):
            for half in (0, 1) if f"n{index}" in scenario.twins else (0,):
                self._add(bytes((index, half)), mine, factory, node_class)
        self.begin()

    def _add(self, name: bytes, keys: Sequence[Address], factory: EngineFactory, node_class: type[PosNode]) -> None:
        skew_ms = (name[0] * 37 % 11 - 5) * self.scenario.slot_ms // 200
        self.nodes[name] = node_class(name, keys, self.rules, self.genesis, self, factory, skew_ms)

    # --- Harness ---------------------------------------------------------------------------------

    def settled_ms(self) -> int:
        """From here on progress is demanded: four epochs after the calm."""
        return self._settled_ms

    def gap_bound_ms(self) -> int:
        """How long an honest node may go without a new final block: four epochs, and five more a liar."""
        epochs = 4 + 5 * len(self.liars)
        return epochs * self._epoch_ms + 8 * self.scenario.delay_ms

    def progress_of(self, node: PosNode) -> int:
        """The newest final block."""
        return len(node.final) - 1

    def is_tolerable(self) -> bool:
        """Below a third."""
        scenario = self.scenario
        return 3 * scenario.faulty_weight < scenario.total_weight

    def final_blocks(self) -> int:
        """Final somewhere honest."""
        return len(self.judge.final) - 1

    def check_end(self) -> None:
        """Marks converge: what is final for one is in the chain of every other."""
        honest = [node for node in self.nodes.values() if self.is_honest(node) and node.alive]
        for node in honest:
            for other in honest:
                if node.finalized not in other.blocks:
                    behind = len(node.final) - len(other.final)
                    if behind > 2 * self.scenario.slots_per_epoch + 2:
                        self.verdict.report(
                            "convergence", f"{other.label} is {behind} final blocks behind {node.label}"
                        )
                    continue
                number = len(node.final) - 1
                at_number = next((one for one in other.chain(other.head) if one.number == number), None)
                if at_number is not None and at_number.hash != node.finalized:
                    self.verdict.report(
                        "convergence", f"{other.label} is on another chain than {node.label}'s final one"
                    )

    def check_bounds(self, node: PosNode) -> None:
        """Every collection of the engine's has a bound."""
        engine = node.engine
        bounds = {
            "waiting blocks": (len(engine.waiting), WAITING_MAX),
            "executing blocks": (len(engine._executing), EXECUTING_MAX),
            "invalid blocks": (len(engine._invalid), INVALID_MAX),
            "uncounted votes": (len(engine._uncounted), UNCOUNTED_MAX),
            "tree": (len(engine.tree.blocks), TREE_MAX + 1),
            "vote epochs": (len(engine.pool._votes), EPOCHS_KEPT + 4),
            "headers": (len(engine.pool._headers), HEADERS_MAX),
        }
        self.report_excess(node, bounds)

    def lie(self, node: PosNode, target: PosNode, message: ConsensusMessage) -> ConsensusMessage | None:
        """What a liar really sends."""
        return self._liar.rewrite(node, target, message)

    def on_liar_said(self, node: PosNode, message: ConsensusMessage) -> None:
        """Its statements are evidence."""
        if isinstance(message, SignedBlock | Attestation) and message.validator in node.keys:
            self.judge.on_said(message)

    def _deliver(self, node: PosNode, target: PosNode, message: ConsensusMessage) -> None:  # type: ignore[override]
        if not self._repairs and isinstance(message, Attestation) and message.validator not in node.keys:
            return
        super()._deliver(node, target, message)

    # --- PosOutside ------------------------------------------------------------------------------

    def build(self, node: PosNode, effect: BuildPayload) -> None:
        """A block with a payload that nobody else draws."""
        payload = bytes((*node.name, node.life % 256)) + self._chance.randbytes(5)
        parent = node.header_of(effect.parent_hash).header

        def make() -> PayloadBuilt:
            block = make_pos_block(
                parent, effect.timestamp, effect.prev_randao, effect.parent_beacon_block_root, payload
            )
            return PayloadBuilt(node.moment(), effect.request, block)

        self.answer(node, self._chance.randrange(1, 20), make)

    def execute(self, node: PosNode, block: Block) -> None:
        """Compare the root with our own. The parent was executed, so it is stored."""
        reason = refusal(node.header_of(block.header.parent_hash).header, block)
        self.answer(
            node,
            self._chance.randrange(1, 20),
            lambda: PayloadStatus(node.moment(), block.hash, not reason, reason),
        )

    def stored(self, node: PosNode, block: Block) -> None:
        """Judge what is kept."""
        if self.is_honest(node):
            self.judge.on_stored(node, block)

    def moved(self, node: PosNode, head: bytes, safe: bytes, finalized: bytes) -> None:
        """Judge where the marks go, and note how long finality took."""
        if head != node.head:
            self.record(node.label, "head", head.hex())
        if self.is_honest(node):
            self.judge.on_moved(node, head, safe, finalized)
        if finalized != node.finalized:
            self.record(node.label, "final", finalized.hex())
            if self.is_honest(node):
                self.finalized(node)

    def said(self, node: PosNode, message: Said) -> None:
        """Nothing leaves that is not durable."""
        if isinstance(message, Attestation):
            detail = f"vote {message.at_slot} {message.head.hex()[:16]} {message.source.epoch}>{message.target.epoch}"
        else:
            detail = f"block {message.at_slot} {message.block.hash.hex()[:16]}"
        self.record(node.label, "said", f"{message.validator.hex()[:8]} {detail}")
        if self.is_honest(node):
            self.judge.on_said(message)
            if message.encode() not in node.disk.messages:
                self.judge.report("durability", f"{node.label} sent {detail} before it was durable")

    def mistake(self, node: PosNode, note: Note) -> None:
        """An engine must never find itself in the wrong."""
        if self.is_honest(node):
            self.judge.report("mistake", f"{node.label}: {note.event} {dict(note.facts)}")
