"""Bugs put into the engine from outside, and what kills each: a directed scenario or a named seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from network.simulator.level1.nodes import SimNode
from network.simulator.level1.world import drawn_plan, run_plan
from node.consensus.bft import candidates, core, round_machine, vote_keeper
from node.consensus.bft.candidates import Candidates
from node.consensus.bft.core import BftEngine
from node.consensus.bft.messages import NONE, Kind, Polka, Statement
from node.consensus.bft.round_machine import RoundMachine, Step
from node.consensus.bft.timeouts import Timeouts
from node.consensus.bft.vote_keeper import VoteKeeper
from node.consensus.engine import Triage
from node.consensus.journal import Journal
from node.consensus.signer import Signer
from node.consensus.validators import ValidatorSet
from tests.simulation import bft_scenarios as scenarios
from tests.simulation.mutant import Mutant


def _seed(**plan: Any) -> Callable[[], None]:
    """A killer: the run of one named seed ends with a violation."""

    def run() -> None:
        outcome = run_plan(drawn_plan(**plan))
        assert outcome.violation is None, str(outcome.violation)

    run.__name__ = f"seed {plan.get('seed')}"
    return run


def _count_every_message(self: VoteKeeper, vote: Statement) -> None:
    ballot = self._ballots.setdefault((vote.round, vote.kind), vote_keeper._Ballot())
    ballot.by_validator[vote.validator] = vote
    weight = self.validators.weight_of(vote.validator)
    value = (vote.block_hash, vote.valid_round)
    ballot.weights[value] = ballot.weights.get(value, 0) + weight
    ballot.any_weight += weight
    self._count_voter(vote, weight)
    if vote.kind is Kind.PRECOMMIT and vote.block_hash and self.validators.is_quorum(ballot.weights[value]):
        self.decisions.append((vote.round, vote.block_hash))


def _count_equivocations(self: VoteKeeper, vote: Statement) -> object:
    ballot = self._ballots.get((vote.round, vote.kind))
    earlier = ballot.by_validator.get(vote.validator) if ballot else None
    if earlier is not None and not earlier.same_value(vote):
        del ballot.by_validator[vote.validator]
    return _ADD(self, vote)


def _without_execution(self: Candidates, block: object) -> bool:
    return True


def _start_forgetting_lock(self: RoundMachine, round_number: int) -> None:
    if self.started:
        self.locked_block, self.locked_round = None, NONE
    _START(self, round_number)


def _resend_without_counting(self: RoundMachine, round_number: int) -> None:
    for message in self.signed_in(round_number):
        self.emit(core.Publish(message))


def _decide_in_current_round_only(self: RoundMachine) -> bool:
    kept = self.votes.decisions
    self.votes.decisions = [decision for decision in kept if decision[0] == self.round]
    try:
        return _DECIDE(self)
    finally:
        self.votes.decisions = kept


def _polka_only_in_step_prevote(self: RoundMachine) -> bool:
    return _POLKA(self) if self.step is Step.PREVOTE else False


def _published_rule(self: RoundMachine, proposal: Any) -> bool:
    same = self.locked_block is not None and self.locked_block.hash == proposal.block.hash
    return proposal.valid_round >= self.locked_round or same


def _restore_without_lock(self: RoundMachine, signed: Any) -> None:
    _RESTORE(self, [(message, None) for message, _ in signed])


def _restore_round_zero(self: RoundMachine, signed: Any) -> None:
    _RESTORE(self, signed)
    self.round = 0


def _adopt_polka_as_lock(self: RoundMachine) -> bool:
    offered = self._offered_polka
    if offered is not None and offered.certificate.round > self.locked_round:
        self.locked_block, self.locked_round = offered.block, offered.certificate.round
    return _OFFERED(self)


def _answer_without_polka(self: BftEngine, peer: bytes, status: Any) -> None:
    before = len(self._out)
    _ANSWER(self, peer, status)
    self._out[before:] = [e for e in self._out[before:] if not isinstance(getattr(e, "message", None), Polka)]


def _journal_forgets(self: Journal, record: Any) -> None:
    return None


def _prevote_without_valid_round(self: RoundMachine, block_hash: Any, valid_round: int) -> None:
    _PREVOTE(self, block_hash, NONE)


def _sign_any_lower(self: Signer, slot: tuple[int, int, int]) -> None:
    return None


def _send_then_persist(self: SimNode, effect: Any) -> None:
    statement = getattr(effect.draft, "statement", effect.draft)
    if self._survives():
        message = effect.draft.signed(self.key.sign(b""))
        self._leave(message)
        self.outside.broadcast(self, message)
        if self._survives():
            self.signer.sign(effect.draft, effect.proof)
            self._own.append(message)
    assert statement


_ADD = VoteKeeper.add
_START = RoundMachine._start_round
_DECIDE = RoundMachine._rule_decide
_POLKA = RoundMachine._rule_polka
_RESTORE = RoundMachine.restore
_OFFERED = RoundMachine._rule_offered_polka
_ANSWER = BftEngine._answer_same_height
_PREVOTE = RoundMachine._prevote


def _always(value: object) -> Callable[..., object]:
    return lambda *args, **kwargs: value


def _two_f_plus_one(self: ValidatorSet, weight: int) -> bool:
    return weight >= 2 * ((self.total_weight - 1) // 3) + 1


def _sound_without_turn(self: Candidates, proposal: Any) -> bool:
    return proposal.valid_round == NONE or proposal.polka is not None


MUTANTS = [
    Mutant("quorum 2f+1 on counts", ((ValidatorSet, "is_quorum", _two_f_plus_one),), scenarios.quorum_is_by_weight),
    Mutant(
        "quorum at exactly two thirds",
        ((ValidatorSet, "is_quorum", lambda self, w: 3 * w >= 2 * self.total_weight),),
        scenarios.exactly_two_thirds_is_no_quorum,
    ),
    Mutant(
        "votes counted per message", ((VoteKeeper, "add", _count_every_message),), scenarios.repeated_votes_count_once
    ),
    Mutant(
        "equivocating votes counted",
        ((VoteKeeper, "add", _count_equivocations),),
        scenarios.equivocating_vote_counts_once,
    ),
    Mutant(
        "no execution before the vote", ((Candidates, "verdict", _without_execution),), scenarios.wrong_root_gets_nil
    ),
    Mutant(
        "forget the lock on a new round",
        ((RoundMachine, "_start_round", _start_forgetting_lock),),
        scenarios.lock_holds,
    ),
    Mutant(
        "any valid round unlocks",
        ((RoundMachine, "_lock_allows", lambda self, p: p.valid_round >= 0 or self.locked_round == NONE),),
        scenarios.old_polka_does_not_unlock,
    ),
    Mutant(
        "the published prevote rule",
        ((RoundMachine, "_lock_allows", _published_rule),),
        scenarios.framing_script,
    ),
    Mutant("votes not persisted", ((Journal, "append", _journal_forgets),), _seed(seed=1, byzantine=0)),
    Mutant("sent before persisted", ((SimNode, "sign_and_publish", _send_then_persist),), _seed(seed=1, byzantine=0)),
    Mutant(
        "own votes not counted after a restart",
        ((RoundMachine, "_resend", _resend_without_counting),),
        scenarios.own_votes_count_after_a_restart,
    ),
    Mutant(
        "lock not restored at boot",
        ((RoundMachine, "restore", _restore_without_lock),),
        scenarios.lock_survives_a_restart,
    ),
    Mutant(
        "round not restored at boot",
        ((RoundMachine, "restore", _restore_round_zero),),
        scenarios.restart_goes_on_in_its_round,
    ),
    Mutant(
        "no guard before the key", ((Signer, "may_sign", _sign_any_lower),), scenarios.guard_returns_the_stored_message
    ),
    Mutant(
        "proposer not checked",
        ((Candidates, "is_sound", _sound_without_turn), (BftEngine, "triage", _always(Triage(True)))),
        scenarios.out_of_turn_proposal_is_ignored,
    ),
    Mutant(
        "polka of a re-proposal not checked",
        ((candidates, "certificate_has_quorum", _always(True)),),
        scenarios.reproposal_without_a_polka_unlocks_nobody,
    ),
    Mutant(
        "decided certificate not checked",
        ((round_machine, "certificate_has_quorum", _always(True)), (core, "certificate_has_quorum", _always(True))),
        scenarios.decided_needs_a_quorum,
    ),
    Mutant("no round skip", ((RoundMachine, "_rule_skip", _always(False)),), scenarios.skip_after_isolation),
    Mutant(
        "one voter makes others skip",
        ((ValidatorSet, "is_skip", lambda self, w: w > 0),),
        scenarios.one_voter_moves_nobody,
    ),
    Mutant(
        "no back-off",
        ((Timeouts, "after_ms", lambda self, kind, r: {"propose": self.propose_ms}.get(kind, self.prevote_ms)),),
        scenarios.slow_network_still_decides,
    ),
    Mutant(
        "valid value not updated late",
        ((RoundMachine, "_rule_polka", _polka_only_in_step_prevote),),
        scenarios.late_polka,
    ),
    Mutant(
        "decide only in the current round",
        ((RoundMachine, "_rule_decide", _decide_in_current_round_only),),
        scenarios.commit_from_a_past_round,
    ),
    Mutant("no retransmission", ((BftEngine, "_on_status", _always(None)),), _seed(seed=2, byzantine=0, loss=0.3)),
    Mutant("no polka gossip", ((BftEngine, "_answer_same_height", _answer_without_polka),), scenarios.hidden_lock),
    Mutant(
        "polka of others taken as lock",
        ((RoundMachine, "_rule_offered_polka", _adopt_polka_as_lock),),
        scenarios.hidden_lock,
    ),
    Mutant("clock judges re-proposals", ((candidates, "NONE", None),), scenarios.reproposal_ignores_the_clock),
    Mutant(
        "prevote without valid round",
        ((RoundMachine, "_prevote", _prevote_without_valid_round),),
        scenarios.prevote_carries_the_valid_round,
    ),
    Mutant(
        "nil polka does not end the step",
        ((RoundMachine, "_rule_precommit_nil", _always(False)),),
        scenarios.nil_polka_then_next_round_in_time,
    ),
    Mutant("amnesia not seen", ((VoteKeeper, "_amnesia", _always(None)),), scenarios.amnesia_is_convicted),
    Mutant(
        "damaged log ignored", ((Journal, "_load", lambda self, entries: ""),), scenarios.damaged_log_is_not_voted_on
    ),
]
