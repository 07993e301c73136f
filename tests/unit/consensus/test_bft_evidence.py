"""Convictions: from two signatures into a block, and from the block into the set of the next height."""

from dataclasses import replace

import pytest

from node.consensus.bft.body import EVIDENCE_AGE_MAX, beacon_root, check_commitment, choose_evidence, evidence_problem
from node.consensus.bft.evidence_pool import EVIDENCE_MAX, PER_VALIDATOR_MAX, EvidencePool
from node.consensus.bft.messages import EVIDENCE_PER_BLOCK_MAX, NIL, Evidence, Kind, Polka, Proposal, decode
from node.consensus.bft.seals import decode_seal, encode_seal
from node.consensus.engine import Decide, ExecutePayload, MalformedMessage, PeerUp
from node.consensus.validator_contract import CONVICTED, VALIDATOR_CONTRACT, weight_slot
from node.consensus.validators import Validator, ValidatorSet
from node.primitives.scalars import Address
from node.types.operations import SetStorage
from tests.bft_bench import Bench

OTHERS = (1, 2, 3)


def _bench(me: int = 0, **options: object) -> Bench:
    return Bench(me=me, contract=True, **options)


def _decide(bench: Bench, evidence: tuple[Evidence, ...] = (), who: tuple[int, ...] = OTHERS) -> None:
    block = bench.block(b"decided %d" % bench.engine.height, evidence=evidence)
    bench.hear(bench.decided(0, block, who, evidence))
    assert bench.chain[-1].hash == block.hash


def test_a_conviction_travels_from_gossip_into_my_block_and_takes_the_weight():
    bench = _bench(me=1, start=False)  # height 1, round 0 is the turn of validator 1
    evidence = bench.equivocation(3)
    bench.hold_builds = True
    bench.fire("start")
    first = bench.builds[-1]
    assert first.operations == ()
    assert first.parent_beacon_block_root == bench.genesis.hash
    bench.hear(evidence)
    assert [(one.validator, one.kind) for one in bench.evidence] == [(bench.addresses[3], "E1")]
    assert evidence in bench.published
    bench.boot()  # a restart forgets nobody
    build = bench.builds[-1]
    assert build.operations == (SetStorage(VALIDATOR_CONTRACT, weight_slot(bench.addresses[3]), CONVICTED),)
    assert build.parent_beacon_block_root == beacon_root(bench.genesis.hash, (evidence,))
    bench.hold_builds = False
    bench.handle(bench.built(build))
    (statement,) = bench.said(Kind.PROPOSAL, 0)
    proposal = next(m for m in bench.published if isinstance(m, Proposal))
    assert proposal.evidence == (evidence,)
    bench.hear(*bench.prevotes(0, proposal.block, (0, 2)), *bench.precommits(0, proposal.block, (0, 2)))
    assert bench.engine.height == 2
    assert bench.addresses[3] not in bench.engine.validators
    assert len(bench.engine.validators) == 3
    decide = next(effect for effect in bench.effects if isinstance(effect, Decide))
    assert decode_seal(decide.block, decide.seal).evidence == (evidence,)
    assert bench.told("validator removed by a block")
    assert statement.block_hash == decide.block.hash


def test_others_execute_the_same_writes_and_vote():
    bench = _bench()
    evidence = (bench.equivocation(3),)
    block = bench.block(b"b", evidence=evidence)
    bench.hear(bench.proposal(0, block, evidence=evidence))
    assert bench.value(Kind.PREVOTE, 0) == block.hash
    execution = next(effect for effect in bench.effects if isinstance(effect, ExecutePayload))
    assert execution.operations == (SetStorage(VALIDATOR_CONTRACT, weight_slot(bench.addresses[3]), CONVICTED),)
    bench.hear(*bench.prevotes(0, block, OTHERS[:2]), *bench.precommits(0, block, OTHERS[:2]))
    assert len(bench.engine.validators) == 3, "learnt from a block, never from gossip"
    assert bench.engine.evidence.known


@pytest.mark.parametrize(
    ("case", "who", "height"),
    [("a stranger", None, 1), ("a future height", 3, 2), ("two of the same", 3, 1), ("nobody", None, 1)],
)
def test_blocks_with_evidence_that_must_not_be_there_get_nil(case, who, height):
    bench = _bench()
    good = bench.equivocation(3)
    evidence: tuple[Evidence, ...]
    if case == "a stranger":
        other = Address(b"\x09" * 20)
        evidence = (Evidence(replace(good.first, validator=other), replace(good.second, validator=other)),)
    elif case == "a future height":
        evidence = (bench.equivocation(who, height),)
    elif case == "two of the same":
        evidence = (good, Evidence(good.second, good.first))
    else:
        evidence = (Evidence(good.first, good.first),)
    block = bench.block(b"b", evidence=evidence)
    bench.hear(bench.proposal(0, block, evidence=evidence))
    assert bench.value(Kind.PREVOTE, 0) == NIL
    assert bench.told("proposal refused")[0].facts["reason"] == "EVIDENCE"


def test_a_header_that_commits_to_another_body_gets_nil():
    bench = _bench()
    evidence = (bench.equivocation(3),)
    bare, full = bench.block(b"b"), bench.block(b"b", evidence=evidence)
    for block, carried in ((bare, evidence), (full, ())):
        with pytest.raises(MalformedMessage):
            check_commitment(bench.proposal(0, block, evidence=carried))
    check_commitment(bench.proposal(0, full, evidence=evidence))
    bench.hear(bench.proposal(0, bare, evidence=evidence))
    assert bench.value(Kind.PREVOTE, 0) == NIL


def test_nobody_is_convicted_twice_and_never_again_by_old_evidence():
    bench = _bench()
    evidence = (bench.equivocation(3),)
    _decide(bench, evidence)
    again = bench.block(b"again", evidence=evidence)
    proposal = bench.proposal(0, again, by=bench.addresses.index(bench.engine.validators.proposer(2, 0)))
    bench.fire("start")
    bench.hear(replace(proposal, evidence=evidence))
    assert bench.value(Kind.PREVOTE, 0, height=2) == NIL
    assert choose_evidence(bench.engine.evidence.known.values(), 2, bench.engine.validators) == ()


def test_a_chain_without_the_contract_carries_no_evidence():
    bench = Bench()
    bench.hear(bench.equivocation(3))
    evidence = (bench.equivocation(3),)
    assert bench.evidence
    bench.hear(bench.proposal(0, bench.block(b"b"), evidence=evidence))
    assert bench.value(Kind.PREVOTE, 0) == NIL


def test_evidence_is_judged_by_height_only():
    bench = _bench()
    validators = bench.validators
    for height, problem in ((1, False), (1 + EVIDENCE_AGE_MAX, False), (2 + EVIDENCE_AGE_MAX, True), (0, True)):
        assert bool(evidence_problem((bench.equivocation(3),), height, validators)) is problem
    one = ValidatorSet([Validator(bench.addresses[3])])
    assert evidence_problem((bench.equivocation(3),), 1, one) == "no validator would be left"
    assert choose_evidence([bench.equivocation(3)], 1, one) == ()


def test_a_block_holds_a_bounded_number_of_convictions_in_address_order():
    bench = Bench(nodes=12, contract=True)
    pending = [bench.equivocation(who) for who in (11, 3, 3, 7, 1, 2, 4, 5, 6, 8, 9, 10)]
    chosen = choose_evidence(pending, 1, bench.validators)
    assert len(chosen) == EVIDENCE_PER_BLOCK_MAX
    assert not evidence_problem(chosen, 1, bench.validators)
    more = sorted({one.first.validator: one for one in pending}.values(), key=lambda one: one.first.validator)
    assert evidence_problem(more, 1, bench.validators)


def test_the_removed_do_not_count_and_do_not_propose():
    bench = _bench()
    _decide(bench, (bench.equivocation(3),))
    bench.fire("start")
    assert bench.addresses[3] not in [bench.engine.validators.proposer(2, turn) for turn in range(9)]
    bench.hear(*bench.prevotes(0, None, (3,)))
    assert bench.machine.votes.any_weight(Kind.PREVOTE, 0) == 0
    bench.hear(*bench.precommits(0, None, (2, 3)))
    assert not bench.machine.validators.is_quorum(bench.machine.votes.any_weight(Kind.PRECOMMIT, 0))


def test_a_restart_begins_with_the_set_of_the_state():
    bench = _bench()
    _decide(bench, (bench.equivocation(3),))
    bench.boot()
    assert len(bench.engine.validators) == 3


def test_a_contradiction_that_comes_after_the_decision_convicts():
    bench = _bench()
    block, other = bench.block(b"b"), bench.block(b"other")
    late = [*bench.precommits(0, other, (3,)), *bench.prevotes(2, other, (2,)), *bench.precommits(0, block, (1,))]
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)), *bench.precommits(0, block, OTHERS))
    assert bench.engine.height == 2
    assert [bench.engine.triage(vote).wanted for vote in late] == [True, True, False]
    bench.hear(*late)
    assert [(one.validator, one.kind) for one in bench.evidence] == [
        (bench.addresses[3], "E1"),
        (bench.addresses[2], "E2"),
    ]
    for _ in range(8):
        _decide(bench)
    assert not bench.engine.triage(late[0]).wanted, "not kept for ever"


def test_messages_carry_the_body():
    bench = _bench()
    evidence = (bench.equivocation(1), bench.equivocation(3))
    block = bench.block(b"b", evidence=evidence)
    certificate = bench.certificate(Kind.PREVOTE, 0, block, OTHERS)
    decided = bench.decided(0, block, OTHERS, evidence)
    for message in (
        bench.proposal(0, block, evidence=evidence),
        bench.proposal(1, block, 0, certificate, evidence=evidence),
        Polka(block, certificate, evidence),
        decided,
    ):
        assert decode(message.encode()) == message
        check_commitment(message)
    assert decode_seal(block, encode_seal(decided)) == decided
    plain = bench.decided(0, bench.block(b"b"))
    assert encode_seal(plain) == plain.certificate.encode()
    assert decode_seal(plain.block, encode_seal(plain)) == plain


def test_a_new_peer_hears_what_is_pending():
    bench = _bench()
    evidence = bench.equivocation(3)
    bench.hear(evidence)
    bench.sent.clear()
    bench.handle(PeerUp(bench.moment(), b"new"))
    assert (b"new", evidence) in bench.sent
    _decide(bench, (evidence,))
    bench.sent.clear()
    bench.handle(PeerUp(bench.moment(), b"newer"))
    assert (b"newer", evidence) not in bench.sent


def test_the_pool_is_bounded_and_one_liar_does_not_crowd_out_the_others():
    bench = Bench(nodes=80)
    pool = EvidencePool()
    for height in range(1, 20):
        pool.add(bench.equivocation(3, height))
    assert len(pool.known) == PER_VALIDATOR_MAX
    for who in range(80):
        for height in range(1, 6):
            pool.add(bench.equivocation(who, height))
    assert len(pool.known) == EVIDENCE_MAX
    pool.forget_below(EVIDENCE_AGE_MAX + 4)
    assert all(height >= 4 for _, height in pool.known)


def test_votes_of_a_later_height_are_not_blamed_on_their_bearer_where_sets_change():
    bench, fixed = _bench(), Bench()
    vote = replace(bench.prevotes(0, None, (1,))[0], height=2, validator=Address(b"\x07" * 20))
    assert not bench.engine.triage(vote).hostile
    assert fixed.engine.triage(vote).hostile
    assert bench.engine.triage(replace(vote, height=1)).hostile


def test_who_is_a_block_behind_is_not_blamed_for_a_change_of_the_set():
    bench = _bench()
    _decide(bench, (bench.equivocation(3),))
    removed = replace(bench.prevotes(0, None, (3,))[0], height=2)
    opinion = bench.engine.triage(removed)
    assert (opinion.wanted, opinion.hostile) == (False, False)
    _decide(bench, who=(0, 1, 2))
    assert bench.engine.triage(replace(removed, height=3)).hostile, "a height later everybody knows"


def test_a_reproposal_after_a_restart_keeps_its_body():
    bench = _bench()
    evidence = (bench.equivocation(3),)
    block = bench.block(b"b", evidence=evidence)
    bench.hear(bench.proposal(0, block, evidence=evidence), *bench.prevotes(0, block, (1, 2)))
    assert bench.value(Kind.PRECOMMIT, 0) == block.hash
    bench.boot()
    while bench.proposer(bench.machine.round) != 0:
        bench.nil_round(bench.machine.round)
    mine = [m for m in bench.published if isinstance(m, Proposal) and m.block.hash == block.hash]
    assert mine
    assert mine[-1].evidence == evidence
    assert mine[-1].polka is not None
