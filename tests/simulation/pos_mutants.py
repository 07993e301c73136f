"""Bugs put into the pos engine from outside, and the directed scenario that kills each.

The fourteen of the fork choice store alone are in tests/unit/consensus/pos/test_fork_choice.py; these are the
engine's: duties, states, evidence, protection, sync, marks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from node.consensus.engine import Forkchoice
from node.consensus.pos import block_tree, caution, core, justification, messages, state, statement_pool
from node.consensus.pos.block_tree import BlockTree
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.codec import PosCodec
from node.consensus.pos.committees import Duties
from node.consensus.pos.core import PosEngine
from node.consensus.pos.exchange import Exchange
from node.consensus.pos.fork_choice import ForkChoice, Refused
from node.consensus.pos.justification import Justification, weigh
from node.consensus.pos.messages import Attestation, SignedBlock
from node.consensus.pos.protection import SlashingProtection
from node.consensus.pos.state import ChainState, InvalidTransition, Transition
from node.consensus.pos.statement_pool import StatementPool
from tests.simulation import pos_scenarios as scenarios
from tests.simulation.mutant import Mutant
from tests.unit.consensus.pos import test_codec, test_engine, test_fork_choice, test_state, test_statements

_APPLY = Transition.apply
_ATTEST = Transition.with_attestation
_PACKED = Transition.packed
_EXECUTED = PosEngine._on_executed
_CHECK = ForkChoice.check_attestation
_REFUSAL = SlashingProtection.refusal
_HEAR = PosEngine._hear
_STATE_AT = BlockTree.state_at
_DUTIES = Transition.duties


def _nothing(*args: object) -> None:
    return None


def _empty(*args: object, **named: object) -> list[Any]:
    return []


def _at_once(self: ForkChoice, slot: int, head: bytes, target: Checkpoint, in_block: bool = False) -> None:
    try:
        _CHECK(self, slot, head, target, in_block)
    except Refused as refusal:
        if "counts from slot" not in str(refusal):
            raise


def _clock_without_votes(self: PosEngine, slot: int) -> None:
    waiting, self._uncounted = self._uncounted, []
    _CATCH_UP(self, slot)
    self._uncounted = waiting + self._uncounted


_CATCH_UP = PosEngine._catch_up_clock


def _out_of_turn(self: Transition, parent: ChainState, header: Any, signed: SignedBlock) -> ChainState:
    try:
        return _APPLY(self, parent, header, signed)
    except InvalidTransition as problem:
        if "is the turn of" not in str(problem):
            raise
        return self.advance(parent, header.hash, signed.body.at_slot)


def _slashed_proposer(self: Transition, parent: ChainState, header: Any, signed: SignedBlock) -> ChainState:
    try:
        return _APPLY(self, parent, header, signed)
    except InvalidTransition as problem:
        if "slashed" not in str(problem):
            raise
        return self.advance(parent, header.hash, signed.body.at_slot)


def _valid_whatever(self: PosEngine, event: Any) -> None:
    _EXECUTED(self, replace(event, valid=True))


def _pack_no_evidence(self: Transition, before: ChainState, votes: Any, slashings: Any, limits: Any) -> Any:
    return _PACKED(self, before, votes, (), limits)


def _convicted_votes_hit(self: Transition, before: ChainState, vote: Attestation) -> ChainState:
    return replace(_ATTEST(self, replace(before, exits=()), vote), exits=before.exits)


def _count_twice(self: Transition, before: ChainState, vote: Attestation) -> ChainState:
    return _ATTEST(self, replace(before, current_voters=0, previous_voters=0), vote)


def _any_source(self: Transition, before: ChainState, vote: Attestation) -> ChainState:
    marks = before.justification
    is_current = vote.target.epoch == self.rules.epoch(before.slot)
    return _ATTEST(self, before, replace(vote, source=marks.current if is_current else marks.previous))


def _any_age(self: Transition, before: ChainState, vote: Attestation) -> ChainState:
    return _ATTEST(self, before, replace(vote, at_slot=min(vote.at_slot, before.slot - 1)))


def _unslashed_only(self: Transition, before: ChainState, epoch: int) -> Justification:
    if epoch <= 1:
        return before.justification
    kept = ~before.slashed
    return weigh(
        before.justification,
        epoch,
        Checkpoint(epoch - 1, before.previous_target),
        Checkpoint(epoch, before.current_target),
        self.duties(before, epoch).total_weight,
        self.weight(before.previous_hits & kept),
        self.weight(before.current_hits & kept),
    )


def _no_surround_guard(self: SlashingProtection, draft: object) -> str:
    why = _REFUSAL(self, draft)
    return "" if "is below" in why else why


def _no_double_guard(self: SlashingProtection, draft: object) -> str:
    why = _REFUSAL(self, draft)
    return "" if "was signed already" in why and "is below" not in why else why


def _forgetful(self: SlashingProtection, signed: object = ()) -> None:
    self._marks = {}


def _no_exits(self: Transition, before: ChainState, epoch: int) -> Duties:
    return _DUTIES(self, replace(before, exits=()), epoch)


def _silent_hear(self: PosEngine, slashing: Any, publish: bool = True) -> None:
    _HEAR(self, slashing, publish=False)


def _everybody(self: Duties, slot: int) -> tuple[int, ...]:
    return tuple(range(len(self.active)))


def _keep_vote(self: StatementPool, vote: Attestation) -> None:
    self._votes.setdefault(vote.target.epoch, {}).setdefault(vote.validator, vote)


def _safe_is_head(head: Any, safe: Any, finalized: Any) -> Forkchoice:
    return Forkchoice(head, head, finalized)


def _finalized_is_safe(head: Any, safe: Any, finalized: Any) -> Forkchoice:
    return Forkchoice(head, safe, safe)


def _call(test: Callable[..., object], *args: object) -> Callable[[], None]:
    def run() -> None:
        test(*args)

    run.__name__ = test.__name__
    return run


MUTANTS = [
    Mutant(
        "votes counted before their slot",
        ((ForkChoice, "check_attestation", _at_once),),
        test_fork_choice.test_attestations_wait_and_are_judged,
    ),
    Mutant(
        "head taken before the votes are counted",
        ((PosEngine, "_catch_up_clock", _clock_without_votes),),
        test_state.test_votes_that_waited_count_before_the_proposer_takes_its_head,
    ),
    Mutant(
        "votes of double voters kept",
        ((BlockTree, "discard", _nothing),),
        test_engine.test_double_voter_is_convicted_and_its_votes_weigh_nothing,
    ),
    Mutant(
        "half of the weight justifies",
        ((justification, "is_supermajority", lambda weight, total: 2 * weight >= total),),
        test_engine.test_a_third_down_finality_stands_and_comes_back,
    ),
    Mutant(
        "more than two thirds needed",
        ((justification, "is_supermajority", lambda weight, total: 3 * weight > 2 * total),),
        scenarios.exactly_two_thirds_justify,
    ),
    Mutant(
        "protection ignores surround votes",
        ((SlashingProtection, "refusal", _no_surround_guard),),
        scenarios.surround_is_refused,
    ),
    Mutant(
        "protection ignores double votes",
        ((SlashingProtection, "refusal", _no_double_guard),),
        scenarios.double_is_refused,
    ),
    Mutant(
        "protection not durable",
        ((SlashingProtection, "__init__", _forgetful),),
        scenarios.protection_survives_a_restart,
    ),
    Mutant(
        "a lost log signs at once",
        ((caution, "YOUNG_EPOCHS", 10**9),),
        test_engine.test_a_node_that_lost_its_disk_signs_nothing_that_convicts_it,
    ),
    Mutant("safe is the head", ((core, "Forkchoice", _safe_is_head),), scenarios.marks_are_the_checkpoints),
    Mutant(
        "finalized is the justified block",
        ((core, "Forkchoice", _finalized_is_safe),),
        scenarios.marks_are_the_checkpoints,
    ),
    Mutant(
        "no execution before a block enters",
        ((PosEngine, "_on_executed", _valid_whatever),),
        test_engine.test_an_invalid_block_is_refused_and_the_chain_goes_on,
    ),
    Mutant(
        "proposer not checked",
        ((Transition, "apply", _out_of_turn),),
        test_engine.test_blocks_out_of_turn_or_of_the_future_are_refused,
    ),
    Mutant(
        "the convicted may propose",
        ((Transition, "apply", _slashed_proposer),),
        test_state.test_the_convicted_cannot_propose,
    ),
    Mutant(
        "evidence stays out of blocks",
        ((Transition, "packed", _pack_no_evidence),),
        test_engine.test_double_proposer_is_convicted_slashed_and_leaves,
    ),
    Mutant("evidence not gossiped", ((PosEngine, "_hear", _silent_hear),), scenarios.evidence_reaches_who_saw_one_half),
    Mutant(
        "evidence forgotten at a restart",
        ((StatementPool, "restored", _empty),),
        scenarios.evidence_survives_a_restart,
    ),
    Mutant(
        "the convicted keep their duties",
        ((Transition, "duties", _no_exits),),
        test_engine.test_double_proposer_is_convicted_slashed_and_leaves,
    ),
    Mutant(
        "votes of the convicted justify",
        ((Transition, "with_attestation", _convicted_votes_hit),),
        test_state.test_votes_of_the_convicted_count_no_more,
    ),
    Mutant(
        "a conviction takes counted votes back",
        ((Transition, "justify", _unslashed_only),),
        test_state.test_a_block_that_convicts_in_the_same_epoch_keeps_the_justification,
    ),
    Mutant(
        "a vote counted twice in an epoch",
        ((Transition, "with_attestation", _count_twice),),
        test_state.test_a_vote_counts_once_and_only_for_this_chains_checkpoint,
    ),
    Mutant(
        "source of a vote not checked",
        ((Transition, "with_attestation", _any_source),),
        scenarios.wrong_source_is_refused,
    ),
    Mutant(
        "age of a vote not checked",
        ((Transition, "with_attestation", _any_age),),
        scenarios.vote_of_the_same_slot_is_refused,
    ),
    Mutant(
        "prescribed fields not checked",
        ((Transition, "check_header", _nothing),),
        test_state.test_prescribed_header_fields,
    ),
    Mutant(
        "everybody attests in every slot",
        ((Duties, "committee", _everybody),),
        _call(test_statements.test_each_validator_attests_once_an_epoch, 16, 4),
    ),
    Mutant(
        "no boost",
        ((block_tree, "BOOST_PERCENT", 0),),
        test_state.test_the_boost_is_forty_percent_of_a_slot_for_any_weights,
    ),
    Mutant(
        "every block is timely",
        ((PosEngine, "_past_attesting", lambda self, slot: False),),
        scenarios.late_block_gets_no_boost,
    ),
    Mutant(
        "double proposals not seen",
        ((StatementPool, "add_header", _nothing),),
        test_engine.test_double_proposer_is_convicted_slashed_and_leaves,
    ),
    Mutant(
        "double votes not seen",
        ((StatementPool, "add_vote", _keep_vote),),
        test_engine.test_double_voter_is_convicted_and_its_votes_weigh_nothing,
    ),
    Mutant(
        "surround votes convict nobody",
        ((messages, "surrounds", lambda one, other: False),),
        test_statements.test_what_convicts,
    ),
    Mutant(
        "any two votes convict",
        ((statement_pool, "conviction", lambda slashing: "double vote"),),
        scenarios.nobody_honest_is_convicted,
    ),
    Mutant(
        "evidence not checked in blocks",
        ((state, "conviction", lambda slashing: "double vote"),),
        scenarios.a_block_whose_evidence_convicts_nobody_is_refused,
    ),
    Mutant("no sync by range", ((Exchange, "_ask_range", _empty),), test_engine.test_late_follower_catches_up),
    Mutant("no sync by root", ((Exchange, "ask_for", _empty),), scenarios.missing_parent_is_asked_for),
    Mutant(
        "no votes pulled",
        ((Exchange, "_votes_for", _empty),),
        test_state.test_a_status_is_answered_with_the_votes_it_lacks,
    ),
    Mutant(
        "blocks forgotten at boot",
        ((PosEngine, "_replay", _nothing),),
        test_engine.test_restart_of_all_goes_on_from_the_disk,
    ),
    Mutant(
        "signatures not checked",
        ((PosCodec, "_check_statement", _nothing),),
        test_codec.test_every_signature_inside_is_checked,
    ),
]
