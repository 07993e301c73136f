"""Bugs in evidence, convictions, bodies and the checks against hostile messages, and what finds each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from network.simulator.level1.convictions import ConvictingWorld
from network.simulator.level1.world import drawn_plan
from node.consensus.bft import (
    body,
    candidates,
    claims,
    codec,
    core,
    evidence_pool,
    messages,
    round_machine,
    signatures,
    triage,
)
from node.consensus.bft.codec import BftCodec
from node.consensus.bft.core import BftEngine
from node.consensus.bft.evidence_pool import EvidencePool
from node.consensus.bft.messages import NONE, Certificate, ChainDomain, Evidence, Kind, Proposal, Statement
from node.consensus.bft.signatures import SignatureChecker
from node.consensus.bft.vote_keeper import VoteKeeper
from node.consensus.engine import InvalidSeal, MalformedMessage, Publish, Started
from node.consensus.refusals import Refusals
from node.consensus.signer import Secp256k1Key
from node.consensus.validators import Validator, ValidatorSet
from node.crypto import secp256k1
from node.primitives.scalars import Hash32
from tests.bft_bench import Bench
from tests.simulation.mutant import Mutant
from tests.unit.consensus import test_bft_evidence as evidence_tests
from tests.unit.consensus import test_hostile_peers, test_messages, test_signatures

_STARTED = BftEngine._on_started
_EMIT = BftEngine._emit
_PROBLEM = body.evidence_problem
_DIGEST = messages.statement_digest
_STATEMENT = triage._statement


def _nothing(*args: object) -> None:
    return None


def _none(*args: object) -> tuple[()]:
    return ()


def _emit_without_gossip(self: BftEngine, effect: Any) -> None:
    _EMIT(self, effect)
    self._out = [one for one in self._out if not (isinstance(one, Publish) and isinstance(one.message, Evidence))]


def _start_with_the_genesis_set(self: BftEngine, event: Started) -> None:
    _STARTED(self, replace(event, validators=self.validators))


def _learn_at_once(self: BftEngine, block_hash: Hash32, validators: ValidatorSet | None) -> None:
    if validators is not None:
        self._sets[block_hash] = validators
        self.validators = self.machine.validators = self.machine.votes.validators = validators


def _strangers_too(evidence: Any, height: int, validators: ValidatorSet) -> str:
    why = _PROBLEM(evidence, height, validators)
    return "" if "no weight" in why else why


def _any_order(evidence: Any, height: int, validators: ValidatorSet) -> str:
    why = _PROBLEM(evidence, height, validators)
    return "" if "ascending" in why else why


def _digest_of_any_chain(domain: Any, *fields: Any) -> Hash32:
    return _DIGEST(ChainDomain(1, Hash32(bytes(32))), *fields)


def _digest_without_valid_round(
    domain: Any, kind: int, height: int, round_number: int, value: bytes, vr: int
) -> Hash32:
    return _DIGEST(domain, kind, height, round_number, value, NONE)


def _blame_all(statement: Any, machine: Any, past: Any = None) -> Any:
    opinion = _STATEMENT(statement, machine, past)
    return replace(opinion, hostile=not opinion.wanted)


def _call(test: Callable[..., object], *args: object) -> Callable[[], None]:
    def run() -> None:
        test(*args)

    run.__name__ = test.__name__
    return run


def _real(bench: Bench) -> tuple[ChainDomain, list[Secp256k1Key], BftCodec]:
    domain = ChainDomain(1, bench.genesis.hash)
    keys = [Secp256k1Key(bytes((index + 1,)) * 32) for index in range(4)]
    validators = ValidatorSet(Validator(key.address) for key in keys)
    return domain, keys, BftCodec(domain, lambda: validators)


def _vote(domain: ChainDomain, key: Secp256k1Key, kind: Kind, value: Hash32) -> Statement:
    draft = Statement(kind, 1, 0, value, NONE, key.address)
    return draft.signed(key.sign(draft.signing_digest(domain)))


def bodies_are_bound_and_signed() -> None:
    """A proposal whose body was stripped, swapped or forged on the way is refused before the engine sees it."""
    bench = Bench(contract=True)
    domain, keys, wire = _real(bench)
    values = (Hash32(b"\x01" * 32), Hash32(b"\x02" * 32))
    good, other = (
        Evidence(*(_vote(domain, key, Kind.PRECOMMIT, value) for value in values)) for key in (keys[2], keys[3])
    )
    forged = Evidence(good.first, good.second.signed(other.second.signature))
    for evidence, fine in ((good, True), (forged, False)):
        block = bench.block(b"b", evidence=(evidence,))
        proposal = Proposal(_vote(domain, keys[0], Kind.PROPOSAL, block.hash), block, None, (evidence,))
        message = wire.decode(proposal.encode())
        if fine:
            wire.check(message)
            for carried in ((), (other,), (good, other)):
                with pytest.raises(MalformedMessage):
                    wire.decode(replace(proposal, evidence=carried).encode())
        else:
            with pytest.raises(MalformedMessage):
                wire.check(message)


def seals_need_a_quorum() -> None:
    """Two signatures of four decide nothing, three do."""
    bench = Bench(contract=True)
    domain, keys, wire = _real(bench)
    block = bench.block(b"b")
    for count in (2, 3):
        votes = [_vote(domain, key, Kind.PRECOMMIT, block.hash) for key in keys[:count]]
        pairs = tuple(sorted((vote.validator, vote.signature) for vote in votes))
        seal = Certificate(Kind.PRECOMMIT, 1, 0, block.hash, NONE, pairs).encode()
        if count == 3:
            assert wire.check_seal(block.header, seal).block.hash == block.hash
        else:
            with pytest.raises(InvalidSeal):
                wire.check_seal(block.header, seal)


def seed_with_changing_sets() -> None:
    """Seed 3: a liar, faults, weights that change: no violation."""
    outcome = ConvictingWorld(drawn_plan(3, byzantine=1, lie_rate=0.2, gst_ms=15_000)).run()
    assert outcome.violation is None, str(outcome.violation)


_TRAVELS = evidence_tests.test_a_conviction_travels_from_gossip_into_my_block_and_takes_the_weight
_MUST_NOT = evidence_tests.test_blocks_with_evidence_that_must_not_be_there_get_nil

EVIDENCE_MUTANTS = [
    Mutant("evidence stays out of blocks", ((round_machine, "choose_evidence", _none),), _TRAVELS),
    Mutant("evidence forgotten at a restart", ((BftEngine, "_restore_evidence", _nothing),), _TRAVELS),
    Mutant("evidence not gossiped", ((BftEngine, "_emit", _emit_without_gossip),), _TRAVELS),
    Mutant("the convicted keep their weight", ((BftEngine, "_learn_set", _nothing),), _TRAVELS),
    Mutant(
        "the set changes before the block is decided",
        ((BftEngine, "_learn_set", _learn_at_once),),
        seed_with_changing_sets,
    ),
    Mutant("seal without the body", ((core, "encode_seal", lambda decided: decided.certificate.encode()),), _TRAVELS),
    Mutant(
        "contradictions after the decision not seen",
        ((VoteKeeper, "contradicts", lambda self, vote: False),),
        evidence_tests.test_a_contradiction_that_comes_after_the_decision_convicts,
    ),
    Mutant(
        "liars are never muted",
        ((Refusals, "is_muted", lambda self, peer, now_ms: False),),
        test_hostile_peers.test_strikes_mute_and_fade,
    ),
    Mutant(
        "header behind a claim not hashed",
        ((claims, "_check_rest", _nothing),),
        test_messages.test_a_claim_does_not_decode_the_block,
    ),
    Mutant(
        "set of the genesis after a restart",
        ((BftEngine, "_on_started", _start_with_the_genesis_set),),
        evidence_tests.test_a_restart_begins_with_the_set_of_the_state,
    ),
    Mutant(
        "evidence that convicts nobody taken",
        ((body, "conviction", lambda first, second: "E1"),),
        _call(_MUST_NOT, "nobody", None, 1),
    ),
    Mutant(
        "evidence against strangers taken",
        ((candidates, "evidence_problem", _strangers_too),),
        evidence_tests.test_nobody_is_convicted_twice_and_never_again_by_old_evidence,
    ),
    Mutant(
        "one convicted twice in a block",
        ((candidates, "evidence_problem", _any_order),),
        _call(_MUST_NOT, "two of the same", 3, 1),
    ),
    Mutant(
        "evidence never grows old",
        ((body, "EVIDENCE_AGE_MAX", 10**9),),
        evidence_tests.test_evidence_is_judged_by_height_only,
    ),
    Mutant(
        "header does not commit to the body",
        ((body, "beacon_root", lambda parent_hash, evidence: parent_hash),),
        evidence_tests.test_a_header_that_commits_to_another_body_gets_nil,
    ),
    Mutant(
        "body without its state writes",
        ((candidates, "operations", _none),),
        evidence_tests.test_others_execute_the_same_writes_and_vote,
    ),
    Mutant(
        "one liar fills the evidence pool",
        ((evidence_pool, "PER_VALIDATOR_MAX", 10**9),),
        evidence_tests.test_the_pool_is_bounded_and_one_liar_does_not_crowd_out_the_others,
    ),
    Mutant(
        "old evidence never dropped",
        ((EvidencePool, "forget_below", _nothing),),
        evidence_tests.test_the_pool_is_bounded_and_one_liar_does_not_crowd_out_the_others,
    ),
    Mutant("body of a message not checked", ((codec, "check_commitment", _nothing),), bodies_are_bound_and_signed),
    Mutant("evidence in a body unsigned", ((SignatureChecker, "_check_body", _nothing),), bodies_are_bound_and_signed),
    Mutant(
        "signatures not checked",
        ((SignatureChecker, "_check_statement", _nothing),),
        test_signatures.test_bad_signatures_are_refused_before_and_after_a_good_one,
    ),
    Mutant(
        "malleated signatures taken",
        ((secp256k1, "HALF_ORDER", secp256k1.ORDER),),
        test_signatures.test_bad_signatures_are_refused_before_and_after_a_good_one,
    ),
    Mutant(
        "evidence not checked on the wire",
        ((signatures, "check_evidence", _nothing),),
        test_signatures.test_evidence_must_contradict_and_be_signed,
    ),
    Mutant(
        "signatures of any chain taken",
        ((messages, "statement_digest", _digest_of_any_chain),),
        test_messages.test_every_signed_field_changes_the_digest,
    ),
    Mutant(
        "valid round not signed",
        ((messages, "statement_digest", _digest_without_valid_round),),
        test_messages.test_every_signed_field_changes_the_digest,
    ),
    Mutant(
        "oversized messages decoded",
        ((messages, "MESSAGE_BYTES_MAX", 2**62),),
        test_messages.test_too_large_is_refused_before_decoding,
    ),
    Mutant(
        "bearers of the old set's messages blamed",
        ((triage, "_is_certain", lambda ahead, machine: ahead == 0 or not machine.candidates.sets_change),),
        evidence_tests.test_who_is_a_block_behind_is_not_blamed_for_a_change_of_the_set,
    ),
    Mutant(
        "bearers of later heights blamed",
        ((triage, "_statement", _blame_all),),
        evidence_tests.test_votes_of_a_later_height_are_not_blamed_on_their_bearer_where_sets_change,
    ),
    Mutant(
        "sync takes a seal without a quorum",
        ((codec, "certificate_has_quorum", lambda certificate, validators: True),),
        seals_need_a_quorum,
    ),
]
