"""The consensus state after a block, and how a block changes it. Pure: parent state and block in, state out.

The state is small, the same on every node, and can be kept beside its block (``encode``). What the header
commits to is the body; whoever replays the bodies from a known state gets the same state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from node.consensus.pos.checkpoints import GENESIS_EPOCH, Checkpoint, Finality
from node.consensus.pos.committees import Duties, DutyRoster
from node.consensus.pos.justification import Justification, weigh
from node.consensus.pos.messages import Attestation, Body, SignedBlock, Slashing, conviction
from node.consensus.pos.rules import PosRules
from node.consensus.proposal_fields import prev_randao
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.types.blocks import Block, Header

EXIT_DELAY_EPOCHS: Final = 2
"""A convicted validator keeps its duties that long: those of two epochs are fixed already."""
_IDLE_STEPS: Final = 5
"""After this many epochs without a vote nothing changes any more but the epoch."""


class InvalidTransition(ValueError):
    """The block breaks a consensus rule; the text says which."""


@dataclass(frozen=True, slots=True)
class ChainState:
    """After one block. Bit i of a mask stands for validator i."""

    slot: int
    justification: Justification
    previous_target: Hash32
    """The block that stands for the previous epoch's checkpoint."""
    current_target: Hash32
    """The same of the current epoch; empty when it is this very block."""
    previous_voters: int = 0
    """Who has a vote of the previous epoch in this chain."""
    current_voters: int = 0
    previous_hits: int = 0
    """Whose vote names this chain's checkpoint of the previous epoch."""
    current_hits: int = 0
    exits: tuple[tuple[int, int], ...] = ()
    """(validator, first epoch without duties), in order of validators: the convicted."""

    @property
    def finality(self) -> Finality:
        """Justified and finalized on this chain."""
        return Finality(self.justification.current, self.justification.finalized)

    @property
    def slashed(self) -> int:
        """Mask of the convicted."""
        return sum(1 << index for index, _ in self.exits)

    def encode(self) -> bytes:
        """RLP."""
        marks = self.justification
        numbers = [self.slot, marks.bits]
        checkpoints = [marks.previous, marks.current, marks.finalized]
        masks = [self.previous_voters, self.current_voters, self.previous_hits, self.current_hits]
        return rlp.encode(
            [
                *map(rlp.int_to_bytes, numbers),
                *([rlp.int_to_bytes(one.epoch), one.root] for one in checkpoints),
                self.previous_target,
                self.current_target,
                *map(rlp.int_to_bytes, masks),
                [[rlp.int_to_bytes(index), rlp.int_to_bytes(epoch)] for index, epoch in self.exits],
            ]
        )


def decode_state(data: bytes) -> ChainState:
    """The inverse of ``encode``. Raises RLPError."""
    items = rlp.as_list(rlp.decode(data), "state", 12)
    marks = []
    for item in items[2:5]:
        epoch, root = rlp.as_list(item, "checkpoint", 2)
        marks.append(Checkpoint(rlp.as_int(epoch, "epoch", 63), Hash32(rlp.as_bytes(root, "root", 32))))
    exits = []
    for item in rlp.as_list(items[11], "exits"):
        index, epoch = rlp.as_list(item, "exit", 2)
        exits.append((rlp.as_int(index, "validator", 16), rlp.as_int(epoch, "epoch", 63)))
    return ChainState(
        rlp.as_int(items[0], "slot", 63),
        Justification(rlp.as_int(items[1], "bits", 8), marks[0], marks[1], marks[2]),
        Hash32(rlp.as_bytes(items[5], "target")),
        Hash32(rlp.as_bytes(items[6], "target")),
        rlp.as_int(items[7], "mask"),
        rlp.as_int(items[8], "mask"),
        rlp.as_int(items[9], "mask"),
        rlp.as_int(items[10], "mask"),
        tuple(exits),
    )


def genesis_state(genesis: Hash32) -> ChainState:
    """Block 0 stands for every checkpoint before the first."""
    zero = Checkpoint(GENESIS_EPOCH, genesis)
    return ChainState(0, Justification(0, zero, zero, zero), genesis, genesis)


class Transition:
    """The state transition of one chain's rules."""

    def __init__(self, rules: PosRules) -> None:
        self.rules = rules
        self._roster = DutyRoster(rules)
        self._weights = [validator.weight for validator in rules.validators.validators]

    # --- questions ---------------------------------------------------------------------------------

    def duties(self, state: ChainState, epoch: int) -> Duties:
        """Who has duties in ``epoch`` on this state's chain; final for the state's epoch and the next one."""
        return self._roster.of(epoch, dict(state.exits))

    def weight(self, mask: int) -> int:
        """The summed weight of the validators in a mask."""
        return sum(weight for index, weight in enumerate(self._weights) if mask >> index & 1)

    def unslashed_balances(self, state: ChainState) -> dict[int, int]:
        """Weights that count in the fork choice when this state is the justified one."""
        slashed = state.slashed
        active = self.duties(state, self.rules.epoch(state.slot)).active
        return {index: self._weights[index] for index in active if not slashed >> index & 1}

    # --- time --------------------------------------------------------------------------------------

    def advance(self, state: ChainState, root: Hash32, slot: int) -> ChainState:
        """The state of block ``root`` carried on to ``slot``, without a block there."""
        if not state.current_target:
            state = replace(state, current_target=root)
        epoch, last = self.rules.epoch(state.slot), self.rules.epoch(slot)
        steps = 0
        while epoch < last and steps < _IDLE_STEPS:
            state = self._next_epoch(state, epoch, root)
            epoch += 1
            steps += 1
        return replace(state, slot=slot)

    def _next_epoch(self, state: ChainState, epoch: int, root: Hash32) -> ChainState:
        return replace(
            state,
            slot=(epoch + 1) * self.rules.slots_per_epoch,
            justification=self.justify(state, epoch),
            previous_target=state.current_target,
            current_target=root,
            previous_voters=state.current_voters,
            current_voters=0,
            previous_hits=state.current_hits,
            current_hits=0,
        )

    def justify(self, state: ChainState, epoch: int) -> Justification:
        """What the end of ``epoch`` makes of the votes counted so far.

        Unlike in phase0, a conviction takes no weight back that was counted before it. Else a block that convicts
        could undo a justification that its parent shows and the store has adopted; no branch would then agree with
        the store any more, and the chain would stand still for ever.
        """
        if epoch <= GENESIS_EPOCH + 1:
            return state.justification
        return weigh(
            state.justification,
            epoch,
            Checkpoint(epoch - 1, state.previous_target),
            Checkpoint(epoch, state.current_target),
            self.duties(state, epoch).total_weight,
            self.weight(state.previous_hits),
            self.weight(state.current_hits),
        )

    def unrealized(self, state: ChainState, root: Hash32) -> Finality:
        """What the state's chain would have justified if its epoch ended now ("pull up")."""
        if not state.current_target:
            state = replace(state, current_target=root)
        marks = self.justify(state, self.rules.epoch(state.slot))
        return Finality(marks.current, marks.finalized)

    # --- blocks ------------------------------------------------------------------------------------

    def apply(self, parent: ChainState, parent_header: Header, signed: SignedBlock) -> ChainState:
        """The state after a block. Its signatures are checked elsewhere. Raises InvalidTransition."""
        body = signed.body
        self.check_header(parent, parent_header, signed.block, body)
        state = self.advance(parent, parent_header.hash, body.at_slot)
        duties = self.duties(state, self.rules.epoch(body.at_slot))
        expected = self.rules.validators.addresses[duties.proposer(body.at_slot)]
        if body.proposer != expected:
            raise InvalidTransition(f"slot {body.at_slot} is the turn of 0x{expected.hex()}")
        if state.slashed >> duties.proposer(body.at_slot) & 1:
            raise InvalidTransition("its proposer is slashed")
        for slashing in body.slashings:
            state = self.with_slashing(state, slashing)
        for attestation in body.attestations:
            state = self.with_attestation(state, attestation)
        if body.at_slot % self.rules.slots_per_epoch == 0:
            state = replace(state, current_target=Hash32(b""))
        return state

    def check_header(self, parent: ChainState, parent_header: Header, block: Block, body: Body) -> None:
        """The fields that consensus prescribes. Raises InvalidTransition."""
        header, slot = block.header, body.at_slot
        if slot <= parent.slot:
            raise InvalidTransition(f"slot {slot} is not after its parent's, {parent.slot}")
        prescribed = [
            ("number", header.number, parent_header.number + 1),
            ("timestamp", header.timestamp, self.rules.timestamp(slot)),
            ("prevRandao", header.prev_randao, prev_randao(parent_header.hash)),
            ("parentBeaconBlockRoot", header.parent_beacon_block_root, body.root),
            ("withdrawals", len(block.withdrawals or ()), 0),
        ]
        for field, theirs, ours in prescribed:
            if theirs != ours:
                raise InvalidTransition(f"{field} is {_shown(theirs)}, must be {_shown(ours)}")

    def with_slashing(self, state: ChainState, slashing: Slashing) -> ChainState:
        """The state with one more conviction. Raises InvalidTransition."""
        index = self.rules.index_of(slashing.validator)
        if index is None or not conviction(slashing):
            raise InvalidTransition("evidence that convicts nobody")
        if state.slashed >> index & 1:
            raise InvalidTransition("evidence against one already convicted")
        exit_epoch = self.rules.epoch(state.slot) + EXIT_DELAY_EPOCHS
        return replace(state, exits=tuple(sorted([*state.exits, (index, exit_epoch)])))

    def with_attestation(self, state: ChainState, attestation: Attestation) -> ChainState:
        """The state with one more vote counted; ``state.slot`` is the block's. Raises InvalidTransition."""
        epoch, target = self.rules.epoch(state.slot), attestation.target
        age = state.slot - attestation.at_slot
        if not 1 <= age <= self.rules.slots_per_epoch:
            raise InvalidTransition(f"an attestation of slot {attestation.at_slot} in slot {state.slot}")
        if target.epoch != self.rules.epoch(attestation.at_slot) or not epoch - 1 <= target.epoch <= epoch:
            raise InvalidTransition("an attestation whose target epoch does not fit")
        is_current = target.epoch == epoch
        marks = state.justification
        if attestation.source != (marks.current if is_current else marks.previous):
            raise InvalidTransition("an attestation whose source is not this chain's justified checkpoint")
        index = self.rules.index_of(attestation.validator)
        if index is None or index not in self.duties(state, target.epoch).committee(attestation.at_slot):
            raise InvalidTransition("an attestation by one who is not in the slot's committee")
        if (state.current_voters if is_current else state.previous_voters) >> index & 1:
            raise InvalidTransition("a second attestation of a validator in one epoch")
        bit = 1 << index
        ours = state.current_target if is_current else state.previous_target
        hit = bit if target.root == ours and not state.slashed & bit else 0
        if is_current:
            return replace(state, current_voters=state.current_voters | bit, current_hits=state.current_hits | hit)
        return replace(state, previous_voters=state.previous_voters | bit, previous_hits=state.previous_hits | hit)

    def packed(
        self,
        state: ChainState,
        attestations: Iterable[Attestation],
        slashings: Iterable[Slashing],
        limits: tuple[int, int],
    ) -> tuple[tuple[Attestation, ...], tuple[Slashing, ...]]:
        """Those that fit into a block on ``state`` (advanced to the block's slot): at most ``limits`` of each."""
        votes: list[Attestation] = []
        evidence: list[Slashing] = []
        for slashing in slashings:
            if len(evidence) < limits[1]:
                try:
                    state = self.with_slashing(state, slashing)
                except InvalidTransition:
                    continue
                evidence.append(slashing)
        for attestation in attestations:
            if len(votes) < limits[0]:
                try:
                    state = self.with_attestation(state, attestation)
                except InvalidTransition:
                    continue
                votes.append(attestation)
        # grouped as the body will be, so that what is decoded equals what was built
        groups: dict[object, list[Attestation]] = {}
        for vote in votes:
            groups.setdefault(vote.data, []).append(vote)
        return tuple(vote for group in groups.values() for vote in group), tuple(evidence)


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
