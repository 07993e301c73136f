"""The rules of one height, R0 to R8 of README.md: one method a rule, evaluated until none fires.

Pure: everything it asks for goes out through ``emit``; execution results, built blocks and its own signed
messages come back through the ``on_…`` methods. It survives any order, loss and repetition of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Final

from node.consensus.bft.body import beacon_root, choose_evidence, operations
from node.consensus.bft.candidates import Candidates
from node.consensus.bft.evidence import conviction
from node.consensus.bft.messages import (
    NIL,
    NONE,
    Certificate,
    Decided,
    Evidence,
    Kind,
    Polka,
    Proposal,
    Statement,
    Status,
)
from node.consensus.bft.timeouts import Timeouts
from node.consensus.bft.vote_keeper import VoteKeeper, certificate_has_quorum
from node.consensus.engine import (
    BuildPayload,
    CancelTimer,
    Effect,
    Moment,
    Note,
    Publish,
    RecordEvidence,
    SendTo,
    SetTimer,
    SignAndPublish,
    TimerKey,
)
from node.consensus.proposal_fields import next_timestamp, prev_randao
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block, Header

_KINDS: Final = tuple(Kind)


class Step(IntEnum):
    """How far a validator is in its round."""

    PROPOSE = 0
    PREVOTE = 1
    PRECOMMIT = 2


class RoundMachine:
    """All rounds of the height after ``parent``. ``me`` is None for one who only watches."""

    def __init__(
        self,
        parent: Header,
        validators: ValidatorSet,
        me: Address | None,
        timeouts: Timeouts,
        build_budget_ms: int,
        emit: Callable[[Effect], None],
        pending: Callable[[], Iterable[Evidence]] | None = None,
    ) -> None:
        """``pending()``: convictions that no block holds yet; None where the set never changes."""
        self.parent = parent
        self.height = parent.number + 1
        self.validators = validators
        self.me = me if me is not None and me in validators else None
        self.timeouts = timeouts
        self.build_budget_ms = build_budget_ms
        self.emit = emit
        self.at = Moment(0, 0)
        """Time of the input being handled."""
        self.started = False
        self.round = 0
        self.step = Step.PROPOSE
        self.locked_block: Block | None = None
        self.locked_round = NONE
        self.valid_block: Block | None = None
        self.valid_round = NONE
        self.valid_polka: Certificate | None = None
        self.votes = VoteKeeper(self.height, validators)
        self.candidates = Candidates(parent, validators, emit, pending is not None)
        self.set_is_new = False
        """The set differs from that of the height before: who is a block behind judges by the old one."""
        self._pending = pending
        self._body: tuple[Evidence, ...] = ()
        """Of the block that is being built."""
        self.signed: dict[tuple[int, int], Statement | Proposal] = {}
        """What I have signed at this height, by (round, kind)."""
        self.decision: Decided | None = None
        self._asked: dict[tuple[int, int], None] = {}
        self._offered_polka: Polka | None = None
        self._certified: Decided | None = None
        self._once: dict[tuple[object, ...], None] = {}
        self._timers: dict[TimerKey, None] = {}
        self._build_request = 0

    # --- what comes in ---------------------------------------------------------------------------

    def restore(self, signed: Iterable[tuple[Statement | Proposal, Polka | None]]) -> None:
        """Boot: what I signed at this height before the crash, with the polkas behind my precommits."""
        for message, polka in signed:
            _, round_number, kind = message.slot
            self.signed[round_number, kind] = message
            self.round = max(self.round, round_number)
            if isinstance(message, Proposal):
                self.candidates.hold(message.block, message.evidence)
            elif kind == Kind.PRECOMMIT and polka is not None and round_number > self.locked_round:
                self.candidates.hold(polka.block, polka.evidence)
                self.locked_block, self.locked_round = polka.block, round_number
                self._set_valid(polka.block, round_number, polka.certificate)

    def start(self) -> None:
        """Enter the height at round 0, or where the log left off."""
        self._start_round(self.round)
        self.evaluate()

    def on_proposal(self, proposal: Proposal) -> None:
        """A proposal of this height, its signatures verified."""
        new, evidence = self.candidates.add(proposal)
        if evidence is not None:
            self._convict(evidence)
        if new and proposal.polka is not None:
            self._count(proposal.polka.statements())
        self.evaluate()

    def on_vote(self, vote: Statement) -> None:
        """A prevote or precommit of this height, its signature verified."""
        self._count((vote,))
        self.evaluate()

    def on_own(self, message: Statement | Proposal) -> None:
        """My own message, signed and durable."""
        _, round_number, kind = message.slot
        self.signed[round_number, kind] = message
        if isinstance(message, Proposal):
            self.on_proposal(message)
        else:
            self.on_vote(message)

    def on_polka(self, polka: Polka) -> None:
        """R9: a polka that someone else saw. Adopted as valid value once its block is executed."""
        certificate = polka.certificate
        if certificate.kind is not Kind.PREVOTE or not certificate_has_quorum(certificate, self.validators):
            return
        self._count(certificate.statements())
        offered = self._offered_polka
        if certificate.round > self.valid_round and (offered is None or certificate.round > offered.certificate.round):
            self._offered_polka = polka
            self.candidates.hold(polka.block, polka.evidence)
        self.evaluate()

    def on_decided(self, decided: Decided) -> None:
        """R6 from a certificate: it decides by itself, whatever votes I have counted."""
        certificate = decided.certificate
        if certificate.kind is not Kind.PRECOMMIT or not certificate_has_quorum(certificate, self.validators):
            return
        self._count(certificate.statements())
        if self._certified is None:
            self._certified = decided
            self.candidates.hold(decided.block, decided.evidence)
        self.evaluate()

    def on_validity(self, block_hash: Hash32, valid: bool, reason: str, facts: Mapping[str, object]) -> None:
        """The result of executing a block of this height."""
        if self.candidates.on_validity(block_hash, valid, reason, facts):
            self.evaluate()

    def on_built(self, request: int, block: Block | None, problem: str) -> None:
        """The block I asked for; too late once I have left the step or the round."""
        if request != self._build_request or not request:
            return
        self._build_request = 0
        if block is None:
            self.emit(Note("building failed", {"height": self.height, "round": self.round, "why": problem}, "warning"))
            return
        if self.step is not Step.PROPOSE:
            self.emit(Note("built too late", {"height": self.height, "round": self.round}, "warning"))
            return
        self.candidates.hold(block, self._body, valid=True)
        self._propose(block)
        self.evaluate()

    def on_timer(self, kind: str, round_number: int) -> None:
        """R8. Timers of other rounds are stale."""
        self._timers.pop(TimerKey(kind, self.height, round_number), None)
        if not self.started or round_number != self.round or self.decision is not None:
            return
        if kind == "propose" and self.step is Step.PROPOSE:
            if self.timeouts.execute_ms and self._is_executing() and self._first(("patience", round_number)):
                self._set_timer("propose", self.timeouts.execute_ms)
            else:
                self._prevote(NIL, NONE)
        elif kind == "prevote" and self.step is Step.PREVOTE:
            self._precommit_nil()
        elif kind == "precommit":
            self._start_round(self.round + 1)
        self.evaluate()

    # --- rules -----------------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Apply the rules until none fires."""
        while self.decision is None and self._fire():
            pass

    def _fire(self) -> bool:
        if self._rule_decide():
            return True
        if not self.started:
            return False
        return (
            self._rule_skip()
            or self._rule_prevote()
            or self._rule_prevote_timer()
            or self._rule_polka()
            or self._rule_precommit_nil()
            or self._rule_precommit_timer()
            or self._rule_offered_polka()
        )

    def _start_round(self, round_number: int) -> None:
        """R0."""
        self.cancel_timers()
        self.started = True
        self.round = round_number
        self._build_request = 0
        self.step = Step.PROPOSE
        if (round_number, Kind.PRECOMMIT) in self.signed:
            self.step = Step.PRECOMMIT
        elif (round_number, Kind.PREVOTE) in self.signed:
            self.step = Step.PREVOTE
        if self.step is Step.PROPOSE:
            self._set_timer("propose")
        self._resend(round_number)
        mine = self.me is not None and self.validators.proposer(self.height, round_number) == self.me
        if mine and self.step is Step.PROPOSE and (round_number, Kind.PROPOSAL) not in self.signed:
            if self.valid_block is not None:
                self._propose(self.valid_block)
            else:
                self._build()

    def _resend(self, round_number: int) -> None:
        # after a restart my own votes must count too, or all who restart would wait for one another for ever
        for message in self.signed_in(round_number):
            self.emit(Publish(message))
            if isinstance(message, Proposal):
                self.candidates.add(message)
            else:
                self._count((message,))

    def _build(self) -> None:
        parent_hash = self.parent.hash
        self._build_request = self.height * 2**32 + self.round + 1
        self._body = ()
        if self._pending is not None and self.parent.parent_beacon_block_root is not None:
            self._body = choose_evidence(self._pending(), self.height, self.validators)
        self.emit(
            BuildPayload(
                self._build_request,
                parent_hash,
                self.height,
                next_timestamp(self.parent, self.at.wall_ms),
                prev_randao(parent_hash),
                beacon_root(parent_hash, self._body),
                self.build_budget_ms,
                operations(self._body),
            )
        )

    def _propose(self, fresh: Block) -> None:
        """Propose the valid value if there is one by now, else the fresh block."""
        if self.valid_block is not None:
            block, valid_round, polka = self.valid_block, self.valid_round, self.valid_polka
        else:
            block, valid_round, polka = fresh, NONE, None
        statement = self._draft(Kind.PROPOSAL, block.hash, valid_round)
        if statement is not None:
            self.emit(SignAndPublish(Proposal(statement, block, polka, self.candidates.evidence(block.hash))))

    def _rule_prevote(self) -> bool:
        """R1. A fresh proposal is also judged by the clock; a re-proposal never is."""
        proposals = self.candidates.proposals(self.round)
        if self.step is not Step.PROPOSE or not proposals:
            return False
        proposal = proposals[0]
        if not self._lock_allows(proposal) or not self.candidates.clock_allows(proposal, self.at.wall_ms):
            self._prevote(NIL, NONE)
            return True
        verdict = self.candidates.verdict(proposal.block)
        if verdict is None:
            return False
        if verdict:
            self._prevote(proposal.block.hash, proposal.valid_round)
        else:
            self._prevote(NIL, NONE)
        return True

    def _lock_allows(self, proposal: Proposal) -> bool:
        # stricter than the paper's "or lockedValue = v": with that, an honest validator can be framed for amnesia
        return proposal.valid_round >= self.locked_round

    def _rule_prevote_timer(self) -> bool:
        """R2."""
        key = ("prevote", self.round)
        if self.step is not Step.PREVOTE or key in self._once:
            return False
        if not self.validators.is_quorum(self.votes.any_weight(Kind.PREVOTE, self.round)):
            return False
        self._once[key] = None
        self._set_timer("prevote")
        return True

    def _rule_polka(self) -> bool:
        """R3: lock and precommit in step prevote; learn the valid value in any case."""
        key = ("polka", self.round)
        if self.step is Step.PROPOSE or key in self._once:
            return False
        for proposal in self.candidates.proposals(self.round):
            value = (proposal.block.hash, proposal.valid_round)
            if not self.validators.is_quorum(self.votes.weight(Kind.PREVOTE, self.round, value)):
                continue
            if not self.candidates.verdict(proposal.block):
                continue
            self._once[key] = None
            polka = self.votes.certificate(Kind.PREVOTE, self.round, value)
            self._set_valid(proposal.block, self.round, polka)
            if self.step is Step.PREVOTE:
                self.locked_block, self.locked_round = proposal.block, self.round
                self.step = Step.PRECOMMIT
                draft = self._draft(Kind.PRECOMMIT, proposal.block.hash, NONE)
                if draft is not None:
                    self.emit(SignAndPublish(draft, Polka(proposal.block, polka, proposal.evidence)))
            return True
        return False

    def _rule_precommit_nil(self) -> bool:
        """R4."""
        if self.step is not Step.PREVOTE:
            return False
        if not self.validators.is_quorum(self.votes.weight(Kind.PREVOTE, self.round, (NIL, NONE))):
            return False
        self._precommit_nil()
        return True

    def _rule_precommit_timer(self) -> bool:
        """R5, in any step. Also after a quorum of nil: waiting lets the next proposer learn the valid value."""
        key = ("precommit", self.round)
        if key in self._once or not self.validators.is_quorum(self.votes.any_weight(Kind.PRECOMMIT, self.round)):
            return False
        self._once[key] = None
        self._set_timer("precommit")
        return True

    def _rule_decide(self) -> bool:
        """R6, for any round of the height."""
        if self._certified is not None and self._verdict_to_decide(self._certified.block.hash):
            self.decision = self._certified
            return True
        for round_number, block_hash in self.votes.decisions:
            if self._verdict_to_decide(block_hash):
                certificate = self.votes.certificate(Kind.PRECOMMIT, round_number, (block_hash, NONE))
                block = self.candidates.block(block_hash)
                assert block is not None, "a verdict needs the block"
                self.decision = Decided(block, certificate, self.candidates.evidence(block_hash))
                return True
        return False

    def _verdict_to_decide(self, block_hash: Hash32) -> bool:
        block = self.candidates.block(block_hash)
        if block is None:
            if self._first(("missing", block_hash)):
                self.emit(SendTo(None, self.status()))
            return False
        verdict = self.candidates.verdict(block)
        if verdict is False and self._first(("disagree", block_hash)):
            facts = {"height": self.height, "block": block_hash}
            self.emit(Note("a quorum decided a block that this node finds invalid", facts, "error"))
        return verdict is True

    def _rule_skip(self) -> bool:
        """R7."""
        target = self.votes.round_to_skip_to(self.round)
        if target is None:
            return False
        self._start_round(target)
        return True

    def _rule_offered_polka(self) -> bool:
        """R9: adopt a later polka as valid value; never as a lock."""
        offered = self._offered_polka
        if offered is None:
            return False
        if offered.certificate.round <= self.valid_round:
            self._offered_polka = None
            return True
        verdict = self.candidates.verdict(offered.block)
        if verdict is None:
            return False
        self._offered_polka = None
        if verdict:
            self._set_valid(offered.block, offered.certificate.round, offered.certificate)
        return True

    # --- parts of rules --------------------------------------------------------------------------

    def _prevote(self, block_hash: Hash32, valid_round: int) -> None:
        self.step = Step.PREVOTE
        draft = self._draft(Kind.PREVOTE, block_hash, valid_round)
        if draft is not None:
            self.emit(SignAndPublish(draft))

    def _precommit_nil(self) -> None:
        self.step = Step.PRECOMMIT
        draft = self._draft(Kind.PRECOMMIT, NIL, NONE)
        if draft is not None:
            self.emit(SignAndPublish(draft))

    def _draft(self, kind: Kind, block_hash: Hash32, valid_round: int) -> Statement | None:
        """An unsigned statement for the current round, unless its slot is used or I only watch."""
        slot = (self.round, kind)
        if self.me is None or slot in self.signed or slot in self._asked:
            return None
        self._asked[slot] = None
        return Statement(kind, self.height, self.round, block_hash, valid_round, self.me)

    def _set_valid(self, block: Block, round_number: int, polka: Certificate) -> None:
        if round_number > self.valid_round:
            self.valid_block, self.valid_round, self.valid_polka = block, round_number, polka

    def _count(self, votes: Iterable[Statement]) -> None:
        for vote in votes:
            evidence = self.votes.add(vote)
            if evidence is not None:
                self._convict(evidence)

    def _convict(self, evidence: Evidence) -> None:
        validator = evidence.first.validator
        if self._first(("evidence", validator)):
            self.emit(RecordEvidence(validator, conviction(evidence.first, evidence.second), evidence))

    def _first(self, key: tuple[object, ...]) -> bool:
        if key in self._once:
            return False
        self._once[key] = None
        return True

    def _is_executing(self) -> bool:
        proposals = self.candidates.proposals(self.round)
        return bool(proposals) and self.candidates.verdict(proposals[0].block) is None

    def _set_timer(self, kind: str, after_ms: int = 0) -> None:
        key = TimerKey(kind, self.height, self.round)
        self._timers[key] = None
        self.emit(SetTimer(key, after_ms or self.timeouts.after_ms(kind, self.round)))

    def cancel_timers(self) -> None:
        """Forget every timer that is still out."""
        for key in self._timers:
            self.emit(CancelTimer(key))
        self._timers.clear()

    def signed_in(self, round_number: int) -> list[Statement | Proposal]:
        """What I have signed in a round, in the order in which a round goes."""
        return [self.signed[round_number, kind] for kind in _KINDS if (round_number, kind) in self.signed]

    def status(self) -> Status:
        """Where I stand."""
        return Status(self.height, self.round, self.step, self.valid_round)

    def knows(self, statement: Statement) -> bool:
        """Whether exactly this vote is counted, or a proposal of this value is held."""
        if statement.kind is Kind.PROPOSAL:
            held = self.candidates.proposals(statement.round)
            return any(proposal.statement.same_value(statement) for proposal in held)
        return self.votes.knows(statement)

    def wants_to_start(self) -> bool:
        """Others are at this height already: the proposal of round 0 is here, or enough of them have voted."""
        return bool(self.candidates.proposals(0)) or self.votes.round_to_skip_to(NONE) is not None
