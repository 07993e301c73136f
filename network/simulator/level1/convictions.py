"""Level 1 of the bft engine on a chain whose state holds the validator set: it changes on the way.

The stub EVM knows one contract. A conviction's state write takes a validator out of the set, and is part of the root.
A payload may give a steady validator another weight, as a transaction does: at least its first, so that the faulty
stay below a third, and at most CHANGED_MAX of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from network.simulator.level1.judge import Judge
from network.simulator.level1.nodes import SimNode
from network.simulator.level1.payloads import INVALID_PAYLOAD, execute, make_block, with_consensus_body
from network.simulator.level1.world import World
from node.consensus.bft.body import operations
from node.consensus.bft.messages import Evidence
from node.consensus.bft.seals import decode_seal
from node.consensus.engine import (
    BuildPayload,
    Effect,
    ExecutePayload,
    Input,
    PayloadBuilt,
    PayloadStatus,
    RecordEvidence,
    Started,
)
from node.consensus.validator_contract import weight_slot
from node.consensus.validators import Validator, ValidatorSet
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block, Header
from node.types.operations import Operation, SetStorage, encode_operations

CHANGES: Final = 0.15
"""Share of blocks that change a weight."""
CHANGED_MAX: Final = 3
_CHANGE: Final = b"w"
CHANGE_BYTES: Final = 22


def root_after(parent: Header, block: Block, ordered: Sequence[Operation]) -> Hash32:
    """The state root after the ordered writes and the payload."""
    written = encode_operations(ordered) if ordered else b""
    return execute(parent.state_root, written + block.header.extra_data)


def set_after(validators: ValidatorSet, ordered: Sequence[Operation], payload: bytes) -> ValidatorSet:
    """The set without those whose weight was written, one of the others perhaps with another weight."""
    slots = [operation.slot for operation in ordered if isinstance(operation, SetStorage)]
    left = {one.address: one.weight for one in validators.validators if weight_slot(one.address) not in slots}
    mark = payload[-CHANGE_BYTES:]
    address = Address(mark[1:-1])
    if len(mark) == CHANGE_BYTES and mark[:1] == _CHANGE and address in left:
        left[address] = mark[-1]
    return ValidatorSet(Validator(address, weight) for address, weight in left.items())


class SetsJudge(Judge):
    """Judges each height by its own set."""

    def __init__(self, genesis: Block, validators: ValidatorSet, honest: frozenset[Address]) -> None:
        super().__init__(genesis, validators, honest)
        self.sets: dict[int, ValidatorSet] = {1: validators}

    def set_at(self, height: int) -> ValidatorSet:
        """What the block before left; of a height not reached, the last one known."""
        return self.sets[min(height, max(self.sets))]


class ConvictingNode(SimNode):
    """Keeps recorded evidence and the set on its disk."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.recorded: dict[bytes, None] = {}

    def lose_disk(self) -> None:
        """Evidence too."""
        super().lose_disk()
        self.recorded.clear()

    def set_now(self) -> ValidatorSet:
        """What the state of the head holds."""
        validators = self.validators
        for block, seal in self.chain[1:]:
            ordered = operations(decode_seal(block, seal).evidence)
            validators = set_after(validators, ordered, block.header.extra_data)
        return validators

    def start_engine(self) -> Input:
        """As without convictions, and what the state and the evidence table hold."""
        started = super().start_engine()
        assert isinstance(started, Started)
        return replace(started, validators=self.set_now(), evidence=tuple(self.recorded))

    def perform_own(self, effect: Effect) -> None:
        """Evidence is recorded, too."""
        if isinstance(effect, RecordEvidence):
            self.recorded[effect.evidence.encode()] = None
        else:
            super().perform_own(effect)


class ConvictingWorld(World):
    """A bft run in which blocks carry evidence. ``convicted_in_blocks``: who, and at which height."""

    def __init__(self, plan: Any, trace_to: Callable[[str], object] | None = None) -> None:
        super().__init__(plan, node_class=ConvictingNode, trace_to=trace_to)
        self.genesis = Block(with_consensus_body(self.genesis.header, Hash32(bytes(32))), (), (), ())
        self.judge = self.verdict = SetsJudge(self.genesis, self.validators, self.judge.honest)
        self.sets = self.judge.sets
        self.changes = 0
        self.convicted_in_blocks: dict[Address, int] = {}
        for node in self.nodes.values():
            node.chain[0] = (self.genesis, b"")

    def build(self, node: SimNode, effect: BuildPayload) -> None:
        """A block that commits to the body and has the ordered writes in its root."""
        payload = bytes((*node.name, node.life % 256)) + self._chance.randbytes(5)
        if self._chance.random() < CHANGES:
            address = self._chance.choice(self.steady)
            first = self.validators.weight_of(address)
            payload += _CHANGE + address + bytes((self._chance.randrange(first, CHANGED_MAX * first + 1),))
        parent, validators = node.chain[-1][0].header, node.engine.validators

        def make() -> Input:
            raw = make_block(parent, effect, payload, node.key.address)
            header = with_consensus_body(raw.header, effect.parent_beacon_block_root)
            block = Block(replace(header, state_root=root_after(parent, raw, effect.operations)), (), (), ())
            self._liar.saw(block)
            after = set_after(validators, effect.operations, payload)
            return PayloadBuilt(node.moment(), effect.request, block, validators=after)

        self.answer(node, self._chance.randrange(1, 20), make)

    def execute(self, node: SimNode, effect: ExecutePayload) -> None:
        """Compare the root with our own, and tell the set after."""
        block, ordered = effect.block, effect.operations
        reason = self._refusal(node.chain[-1][0].header, block, ordered)
        after = None if reason else set_after(node.engine.validators, ordered, block.header.extra_data)
        self.answer(
            node,
            self._chance.randrange(1, 20),
            lambda: PayloadStatus(node.moment(), block.hash, not reason, reason, validators=after),
        )

    @staticmethod
    def _refusal(parent: Header, block: Block, ordered: Sequence[Operation]) -> str:
        if block.header.extra_data.startswith(INVALID_PAYLOAD):
            return "INVALID_TRANSACTION"
        return "" if block.header.state_root == root_after(parent, block, ordered) else "INVALID_STATE_ROOT"

    def decided(self, node: SimNode, block: Block) -> None:
        """Judge a decision; nobody honest may be convicted by it."""
        self.record(node.label, "decided", f"{block.number} {block.hash.hex()}")
        if not self.is_honest(node):
            return
        evidence = node.decided(*node.chain[-1]).evidence
        parent = node.chain[-2][0].header
        ordered = operations(evidence)
        self.judge.on_decided(node.label, block, not self._refusal(parent, block, ordered))
        if block.number + 1 not in self.sets:
            self.sets[block.number + 1] = set_after(self.sets[block.number], ordered, block.header.extra_data)
            self.changes += self.sets[block.number + 1].validators != self.sets[block.number].validators
        for one in evidence:
            self._convicted(one, block.number)
        self.finalized(node)

    def _convicted(self, evidence: Evidence, height: int) -> None:
        validator = evidence.first.validator
        self.convicted_in_blocks.setdefault(validator, height)
        if validator in self.judge.honest:
            self.judge.report("framing", f"block {height} convicts honest 0x{validator.hex()}")
