"""Rules R0..R8 of node/consensus/bft/README.md, one by one, on a single engine."""

import itertools

from node.consensus.bft.core import BftSettings
from node.consensus.bft.messages import NIL, NONE, Kind, Proposal
from node.consensus.bft.round_machine import Step
from node.consensus.bft.timeouts import Timeouts
from node.consensus.engine import CancelTimer, ExecutePayload, Publish, SetTimer, TimerFired, TimerKey
from node.consensus.proposal_fields import CLOCK_DRIFT_MS_MAX, prev_randao
from tests.bft_bench import Bench


def test_r0_proposer_builds_and_proposes_its_own_block():
    bench = Bench(me=1)  # proposer of height 1, round 0
    assert bench.builds[0].number == 1
    assert bench.builds[0].prev_randao == prev_randao(bench.genesis.hash)
    proposal = next(message for message in bench.published if isinstance(message, Proposal))
    assert proposal.valid_round == NONE
    assert bench.value(Kind.PREVOTE, 0) == proposal.block.hash


def test_r0_non_proposer_waits_with_a_timer():
    bench = Bench(me=0)
    assert not bench.published
    assert bench.timers[TimerKey("propose", 1, 0)] == 1000


def test_r0_reproposes_the_valid_block_with_its_polka():
    bench = Bench(me=2)  # proposer of round 1
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (0, 1)))
    assert bench.machine.valid_round == 0
    bench.hear(*bench.precommits(0, None, (0, 1, 3)))
    bench.fire("precommit", 0)
    (statement,) = bench.said(Kind.PROPOSAL, 1)
    assert (statement.block_hash, statement.valid_round) == (block.hash, 0)
    proposal = next(m for m in bench.published if isinstance(m, Proposal))
    assert proposal.polka is not None
    assert len(proposal.polka.signers) == 3
    assert not bench.builds


def test_r0_a_block_that_is_built_too_late_is_not_proposed():
    bench = Bench(me=1, start=False)
    bench.hold_builds = True
    bench.fire("start")
    bench.fire("propose", 0)
    bench.handle(bench.built(bench.builds[0]))
    assert bench.said(Kind.PROPOSAL, 0) == []
    assert bench.told("built too late")


def test_r1_prevotes_a_valid_block_after_executing_it():
    bench = Bench()
    bench.hold_executions = True
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block))
    assert bench.value(Kind.PREVOTE, 0) is None
    bench.handle(bench.executed(block))
    assert bench.value(Kind.PREVOTE, 0) == block.hash


def test_r1_prevotes_nil_for_a_wrong_root_and_says_whose():
    bench = Bench()
    block = bench.block(b"b", wrong_root=True)
    bench.hear(bench.proposal(0, block))
    assert bench.value(Kind.PREVOTE, 0) == NIL
    (note,) = bench.told("proposal refused")
    assert note.facts["proposer"] == bench.addresses[1]
    assert note.facts["reason"] == "INVALID_STATE_ROOT"


def test_r1_refuses_wrong_prescribed_fields_without_executing():
    bench = Bench()
    block = bench.block(b"b", timestamp=bench.head.timestamp)
    bench.hear(bench.proposal(0, block))
    assert bench.value(Kind.PREVOTE, 0) == NIL
    assert not bench.executions
    assert bench.told("proposal refused")[0].facts["field"] == "timestamp"


def test_r1_ignores_a_proposal_out_of_turn():
    bench = Bench()
    bench.hear(bench.proposal(0, bench.block(b"b"), by=2))
    assert bench.value(Kind.PREVOTE, 0) is None


def test_r1_clock_rule_holds_for_fresh_proposals_only():
    bench = Bench()
    ahead = bench.head.timestamp + CLOCK_DRIFT_MS_MAX // 1000 + 5
    block = bench.block(b"b", timestamp=ahead)
    bench.hear(bench.proposal(0, block))
    assert bench.value(Kind.PREVOTE, 0) == NIL
    bench.hear(*bench.prevotes(0, block, (1, 2, 3)), *bench.precommits(0, None, (1, 2, 3)))
    bench.fire("precommit", 0)
    bench.hear(bench.proposal(1, block, 0, bench.polka(0, block).certificate))
    assert bench.value(Kind.PREVOTE, 1) == block.hash


def test_r1_a_timestamp_one_above_the_parent_is_accepted_whatever_the_clock_says():
    bench = Bench()
    bench.now_ms = -3_600_000
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block))
    assert bench.value(Kind.PREVOTE, 0) == block.hash


def test_r1_reproposal_needs_a_quorum_polka():
    bench = Bench()
    bench.nil_round(0)
    block = bench.block(b"b")
    weak = bench.certificate(Kind.PREVOTE, 0, block, (1, 2))
    bench.hear(bench.proposal(1, block, 0, weak))
    assert bench.value(Kind.PREVOTE, 1) is None
    bench.hear(bench.proposal(1, block, 0, None))
    assert bench.value(Kind.PREVOTE, 1) is None
    bench.hear(bench.proposal(1, block, 0, bench.polka(0, block).certificate))
    assert bench.said(Kind.PREVOTE, 1)[0].valid_round == 0


def _locked_bench() -> tuple[Bench, object]:
    bench = Bench()
    block = bench.block(b"locked")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)))
    assert bench.machine.locked_round == 0
    bench.hear(*bench.precommits(0, None, (1, 2, 3)))
    bench.fire("precommit", 0)
    return bench, block


def test_r1_a_lock_refuses_another_fresh_block_and_even_the_same_one():
    bench, block = _locked_bench()
    bench.hear(bench.proposal(1, bench.block(b"other")))
    assert bench.value(Kind.PREVOTE, 1) == NIL
    bench.nil_round(1)
    bench.hear(bench.proposal(2, block))
    assert bench.value(Kind.PREVOTE, 2) == NIL


def test_r1_a_polka_as_new_as_the_lock_unlocks():
    bench, _ = _locked_bench()
    bench.nil_round(1)
    other = bench.block(b"other")
    bench.hear(bench.proposal(2, other, 1, bench.polka(1, other).certificate))
    assert bench.value(Kind.PREVOTE, 2) == other.hash


def test_r2_any_quorum_of_prevotes_starts_the_timer_once():
    bench = Bench()
    bench.fire("propose", 0)
    block = bench.block(b"b")
    bench.hear(*bench.prevotes(0, block, (1,)))
    assert TimerKey("prevote", 1, 0) not in bench.timers
    bench.hear(*bench.prevotes(0, None, (2,)))
    assert bench.timers[TimerKey("prevote", 1, 0)] == 250
    bench.effects.clear()
    bench.hear(*bench.prevotes(0, None, (3,)))
    assert not [e for e in bench.effects if isinstance(e, SetTimer) and e.key.kind == "prevote"]


def test_r3_polka_locks_and_precommits_with_block_and_polka_on_disk():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)))
    assert bench.value(Kind.PRECOMMIT, 0) == block.hash
    assert (bench.machine.locked_round, bench.machine.valid_round) == (0, 0)
    assert bench.machine.step is Step.PRECOMMIT


def test_r3_prevotes_of_different_valid_rounds_do_not_add_up():
    bench = Bench()
    bench.nil_round(0)
    bench.nil_round(1)
    block = bench.block(b"b")
    bench.hear(bench.proposal(2, block, 1, bench.polka(1, block).certificate))
    bench.hear(*bench.prevotes(2, block, (1,), valid_round=1), *bench.prevotes(2, block, (2,), valid_round=0))
    assert bench.value(Kind.PRECOMMIT, 2) is None
    bench.hear(*bench.prevotes(2, block, (3,), valid_round=1))
    assert bench.value(Kind.PRECOMMIT, 2) == block.hash


def test_r3_late_polka_updates_the_valid_value_but_not_the_lock():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1,)), *bench.prevotes(0, None, (2,)))
    bench.fire("prevote", 0)
    assert bench.value(Kind.PRECOMMIT, 0) == NIL
    bench.hear(*bench.prevotes(0, block, (3,)))
    assert (bench.machine.locked_round, bench.machine.valid_round) == (NONE, 0)


def test_r4_quorum_of_nil_prevotes_precommits_nil_at_once():
    bench = Bench()
    bench.fire("propose", 0)
    bench.hear(*bench.prevotes(0, None, (1, 2)))
    assert bench.value(Kind.PRECOMMIT, 0) == NIL


def test_r5_waits_for_the_precommit_timer_even_after_nil_quorum():
    bench = Bench()
    bench.fire("propose", 0)
    bench.hear(*bench.prevotes(0, None, (1, 2)), *bench.precommits(0, None, (1, 2)))
    assert bench.machine.round == 0
    assert bench.timers[TimerKey("precommit", 1, 0)] == 250
    bench.fire("precommit", 0)
    assert bench.machine.round == 1
    assert bench.timers[TimerKey("propose", 1, 1)] == 1250


def test_r6_decides_and_waits_the_block_interval():
    bench = Bench()
    block = bench.block(b"b")
    bench.now_ms = 300
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)), *bench.precommits(0, block, (1, 2)))
    assert bench.chain[1].hash == block.hash
    assert bench.engine.height == 2
    assert bench.timers[TimerKey("start", 2)] == 700
    assert CancelTimer(TimerKey("prevote", 1, 0)) in bench.effects


def test_r6_decides_from_a_past_round():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, None, (1, 2)))
    bench.fire("prevote", 0)
    assert bench.value(Kind.PRECOMMIT, 0) == NIL
    bench.hear(*bench.precommits(0, block, (1, 2)))
    bench.fire("precommit", 0)
    assert bench.machine.round == 1
    bench.hear(*bench.precommits(0, block, (3,)))
    assert bench.engine.height == 2


def test_a_certificate_decides_by_itself_whatever_votes_were_counted_before():
    bench = Bench()
    block, other = bench.block(b"b"), bench.block(b"other")
    bench.hear(*bench.precommits(0, other, (1,)))  # the equivocator's first vote is the one that counts
    bench.hear(bench.decided(0, block, (1, 2, 3)))
    assert bench.chain[1].hash == block.hash
    assert bench.evidence[0].kind == "E1"


def test_r6_needs_more_than_two_thirds():
    bench = Bench(nodes=6)
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2, 3)))
    assert bench.value(Kind.PRECOMMIT, 0) is None  # 4 of 6 is not more than two thirds
    bench.hear(*bench.prevotes(0, block, (4,)))
    assert bench.value(Kind.PRECOMMIT, 0) == block.hash


def test_r6_never_decides_a_block_it_finds_invalid():
    bench = Bench()
    block = bench.block(b"b", wrong_root=True)
    bench.hear(bench.proposal(0, block), bench.decided(0, block))
    assert bench.engine.height == 1
    assert bench.told("a quorum decided a block that this node finds invalid")


def test_r6_asks_for_a_block_it_does_not_have():
    bench = Bench()
    block = bench.block(b"b")
    bench.sent.clear()
    bench.hear(*bench.precommits(0, block, (1, 2, 3)))
    assert bench.engine.height == 1
    assert bench.sent[-1] == (None, bench.machine.status())


def test_r7_skips_to_a_round_in_which_a_third_votes():
    bench = Bench()
    bench.hear(*bench.prevotes(4, None, (1,)))
    assert bench.machine.round == 0
    bench.hear(*bench.precommits(4, None, (1,)))  # the same validator again
    assert bench.machine.round == 0
    bench.hear(*bench.prevotes(4, None, (2,)))
    assert bench.machine.round == 4


def test_r8_stale_timers_do_nothing():
    bench = Bench()
    bench.nil_round(0)
    before = len(bench.published)
    for kind in ("propose", "prevote", "precommit"):
        bench.fire(kind, 0)
        bench.handle(TimerFired(bench.moment(), TimerKey(kind, 7, 1)))
    assert bench.machine.round == 1
    assert len(bench.published) == before


def test_timeouts_grow_linearly_without_cap():
    timeouts = Timeouts()
    assert [timeouts.after_ms("prevote", r) for r in (0, 1, 2, 1000)] == [250, 500, 750, 250_250]


def test_execution_that_ends_after_the_propose_timer_still_counts_for_the_polka():
    bench = Bench()
    bench.hold_executions = True
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block))
    bench.fire("propose", 0)
    assert bench.value(Kind.PREVOTE, 0) == NIL
    bench.hear(*bench.prevotes(0, block, (1, 2, 3)))
    assert bench.value(Kind.PRECOMMIT, 0) is None
    bench.handle(bench.executed(block))
    assert bench.value(Kind.PRECOMMIT, 0) == block.hash


def test_a_block_is_executed_once():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)), *bench.precommits(0, block, (1, 2)))
    assert len([e for e in bench.effects if isinstance(e, ExecutePayload)]) == 1


def test_a_follower_decides_without_signing():
    bench = Bench(me=None)
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (0, 1, 2)), *bench.precommits(0, block, (0, 1, 2)))
    assert bench.engine.height == 2
    assert not bench.published


def test_single_validator_decides_alone():
    bench = Bench(nodes=1, settings=BftSettings(block_time_ms=200))
    for _ in range(5):
        bench.now_ms += 200
        bench.fire("start")
    stamps = [block.header.timestamp for block in bench.chain]
    assert bench.engine.height >= 6
    assert all(later == earlier + 1 for earlier, later in itertools.pairwise(stamps))


def test_resends_what_it_signed_after_a_restart_and_counts_it():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)))
    assert bench.machine.locked_round == 0
    bench.published.clear()
    bench.effects.clear()
    bench.boot()
    machine = bench.machine
    assert (machine.locked_round, machine.valid_round, machine.step) == (0, 0, Step.PRECOMMIT)
    assert machine.locked_block is not None
    assert machine.locked_block.hash == block.hash
    assert len([e for e in bench.effects if isinstance(e, Publish)]) == 2
    bench.hear(*bench.precommits(0, block, (1, 2)))  # with my own: a quorum
    assert bench.engine.height == 2
