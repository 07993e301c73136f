"""The blocks of one height: who proposed which, and what is known about their validity.

Validity is a function of parent and block alone and is cached by block hash: the prescribed fields are
compared here, everything else is full execution, asked for once a block and answered later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from node.consensus.bft.body import beacon_root, evidence_problem, operations
from node.consensus.bft.messages import NONE, Evidence, Kind, Proposal
from node.consensus.bft.vote_keeper import certificate_has_quorum
from node.consensus.engine import Effect, ExecutePayload, Note
from node.consensus.proposal_fields import latest_timestamp, prescribed_problem
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Hash32
from node.types.blocks import Block, Header

PROPOSALS_PER_ROUND_MAX: Final = 2
"""The proposal to vote on and one that contradicts it."""


class Candidates:
    """Proposals and blocks of the height after ``parent``."""

    def __init__(
        self, parent: Header, validators: ValidatorSet, emit: Callable[[Effect], None], sets_change: bool = False
    ) -> None:
        self.sets_change = sets_change
        """The state holds the validator set, so blocks may carry convictions."""
        self.parent = parent
        self.height = parent.number + 1
        self.validators = validators
        self.emit = emit
        self._proposals: dict[int, list[Proposal]] = {}
        self._blocks: dict[Hash32, Block] = {}
        self._evidence: dict[Hash32, tuple[Evidence, ...]] = {}
        self._validity: dict[Hash32, bool | None] = {}
        self._told: dict[tuple[int, Hash32], None] = {}

    def proposals(self, round_number: int) -> list[Proposal]:
        """The proposals of a round, the one to vote on first."""
        return self._proposals.get(round_number, [])

    def block(self, block_hash: Hash32) -> Block | None:
        """A block of this height, if it has been seen."""
        return self._blocks.get(block_hash)

    def evidence(self, block_hash: Hash32) -> tuple[Evidence, ...]:
        """The consensus body of a held block."""
        return self._evidence.get(block_hash, ())

    def hold(self, block: Block, evidence: tuple[Evidence, ...], valid: bool | None = None) -> None:
        """Keep a block with the body it commits to; ``valid`` where it is known already (one's own build)."""
        if self._blocks.setdefault(block.hash, block) is block and evidence:
            self._evidence[block.hash] = evidence
        if valid is not None:
            self._validity[block.hash] = valid

    def add(self, proposal: Proposal) -> tuple[bool, Evidence | None]:
        """Keep a proposal. Returns whether it is new, and evidence when it contradicts an earlier one."""
        if not self.is_sound(proposal):
            return False, None
        held = self._proposals.setdefault(proposal.round, [])
        if any(other.statement.same_value(proposal.statement) for other in held):
            return False, None
        evidence = Evidence(held[0].statement, proposal.statement) if held else None
        if len(held) >= PROPOSALS_PER_ROUND_MAX:
            return False, evidence
        held.append(proposal)
        self.hold(proposal.block, proposal.evidence)
        return True, evidence

    def is_sound(self, proposal: Proposal) -> bool:
        """Right proposer, and a polka exactly where a valid round is claimed."""
        round_number, valid_round, polka = proposal.round, proposal.valid_round, proposal.polka
        if proposal.statement.validator != self.validators.proposer(self.height, round_number):
            return False
        if valid_round == NONE:
            return polka is None
        if polka is None or not NONE < valid_round < round_number:
            return False
        claimed = (Kind.PREVOTE, self.height, valid_round, proposal.block.hash)
        carried = (polka.kind, polka.height, polka.round, polka.block_hash)
        return claimed == carried and certificate_has_quorum(polka, self.validators)

    def clock_allows(self, proposal: Proposal, wall_ms: int) -> bool:
        """Whether a fresh proposal's timestamp is not too far ahead; a re-proposal is never judged by the clock."""
        if proposal.valid_round != NONE:
            return True
        latest = latest_timestamp(self.parent, wall_ms)
        timestamp = proposal.block.header.timestamp
        if timestamp <= latest:
            return True
        self._tell_refusal(proposal.block.hash, "TIMESTAMP_AHEAD", {"header": timestamp, "ours": f"<= {latest}"})
        return False

    def verdict(self, block: Block) -> bool | None:
        """Whether the block is valid; None while it is not known, after asking for its execution once."""
        block_hash = block.hash
        if block_hash in self._validity:
            return self._validity[block_hash]
        evidence = self.evidence(block_hash)
        root = beacon_root(self.parent.hash, evidence) if evidence else None
        problem = prescribed_problem(block, self.parent, root)
        if problem is not None:
            name, header, ours = problem
            return self._refuse(block_hash, "PRESCRIBED_FIELD", {"field": name, "header": header, "ours": ours})
        wrong = self._evidence_problem(evidence)
        if wrong:
            return self._refuse(block_hash, "EVIDENCE", {"why": wrong})
        self._validity[block_hash] = None
        self.emit(ExecutePayload(block, operations(evidence)))
        return None

    def _evidence_problem(self, evidence: tuple[Evidence, ...]) -> str:
        if evidence and not self.sets_change:
            return "this chain has no validator contract that a conviction could change"
        return evidence_problem(evidence, self.height, self.validators)

    def _refuse(self, block_hash: Hash32, reason: str, facts: Mapping[str, object]) -> bool:
        self._validity[block_hash] = False
        self._tell_refusal(block_hash, reason, facts)
        return False

    def on_validity(self, block_hash: Hash32, valid: bool, reason: str, facts: Mapping[str, object]) -> bool:
        """Take the result of an execution that was asked for. Returns whether it was news."""
        if block_hash not in self._blocks or self._validity.get(block_hash) is not None:
            return False
        self._validity[block_hash] = valid
        if not valid:
            self._tell_refusal(block_hash, reason, facts)
        return True

    def _tell_refusal(self, block_hash: Hash32, reason: str, facts: Mapping[str, object]) -> None:
        for round_number, held in self._proposals.items():
            for proposal in held:
                key = (round_number, block_hash)
                if proposal.block.hash != block_hash or key in self._told:
                    continue
                self._told[key] = None
                told: dict[str, object] = {
                    "proposer": proposal.statement.validator,
                    "height": self.height,
                    "round": round_number,
                    "block": block_hash,
                    "reason": reason,
                    **facts,
                }
                self.emit(Note("proposal refused", told, "warning"))
