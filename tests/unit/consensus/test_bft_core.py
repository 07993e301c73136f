"""Between heights: pace, anti-entropy, early messages, catch-up, boot, bounds."""

import orjson

from node.consensus.bft.core import ROUNDS_AHEAD_MAX
from node.consensus.bft.early import EARLY_PER_PEER_MAX, EARLY_PROPOSALS_PER_PEER_MAX
from node.consensus.bft.messages import NONE, Decided, Evidence, Kind, Polka, Proposal, Statement, Status, decode
from node.consensus.engine import LogRecord, PeerDown, PeerUp, Publish, SendDecided, TimerKey
from node.consensus.journal import Journal
from node.storage import schema
from node.storage.database import Batch
from tests.bft_bench import Bench


def _decide(bench: Bench, payload: bytes = b"b") -> None:
    block = bench.block(payload)
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)), *bench.precommits(0, block, (1, 2)))


def test_a_new_chain_waits_one_interval_and_a_restart_a_moment():
    bench = Bench(start=False)
    assert bench.timers[TimerKey("start", 1)] == 1000
    bench.boot(start=False)
    assert bench.timers[TimerKey("start", 1)] == 1000, "nothing was signed: the log is as new as before"
    bench.fire("start")
    bench.fire("propose", 0)
    bench.boot(start=False)
    assert bench.timers[TimerKey("start", 1)] == 200


def test_the_next_height_starts_one_interval_after_this_one():
    bench = Bench()
    bench.now_ms = 700
    _decide(bench)
    assert bench.timers[TimerKey("start", 2)] == 300
    bench.now_ms = 1000
    bench.fire("start")
    bench.now_ms = 5000
    block = bench.block(b"c")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)), *bench.precommits(0, block, (1, 2)))
    assert bench.timers[TimerKey("start", 3)] == 0


def test_a_proposal_starts_the_height_early():
    bench = Bench()
    _decide(bench)
    assert not bench.machine.started
    block = bench.block(b"c")
    bench.hear(bench.proposal(0, block))
    assert bench.machine.started
    assert bench.value(Kind.PREVOTE, 0, height=2) == block.hash


def test_status_goes_out_at_boot_on_timer_and_to_a_new_peer():
    bench = Bench(start=False)
    status = Status(1, 0, 0, NONE)
    assert bench.sent == [(None, status)]
    delay = bench.timers[TimerKey("status")]
    assert 430 <= delay <= 570
    bench.handle(PeerUp(bench.moment(), b"x"))
    assert bench.sent[-1] == (b"x", status)


def _answers(bench: Bench, status: Status, peer: bytes = b"peer") -> list[object]:
    bench.sent.clear()
    bench.effects.clear()
    bench.hear(status, peer=peer)
    return [message for to, message in bench.sent if to == peer]


def test_a_lower_peer_gets_decided_blocks_at_most_sixteen():
    bench = Bench()
    for height in range(1, 21):
        bench.hear(bench.decided(0, bench.block(b"%d" % height)))
    assert bench.engine.height == 21
    _answers(bench, Status(2, 0, 0, NONE))
    assert SendDecided(b"peer", 2, 17) in bench.effects


def test_a_peer_at_the_same_height_gets_my_votes_the_proposal_and_a_newer_polka():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)))
    answers = _answers(bench, Status(1, 0, 0, NONE))
    assert [type(answer) for answer in answers] == [Polka, Proposal, Statement, Statement]
    assert [answer.kind for answer in answers[2:]] == [Kind.PREVOTE, Kind.PRECOMMIT]
    bench.now_ms += 1000
    answers = _answers(bench, Status(1, 0, 2, 0))
    assert [type(answer) for answer in answers] == [Statement, Statement]


def test_a_higher_peer_is_told_where_i_am():
    bench = Bench()
    assert _answers(bench, Status(9, 0, 0, NONE)) == [bench.machine.status()]


def test_answers_are_rate_limited_by_peer():
    bench = Bench()
    bench.now_ms = 1000
    assert _answers(bench, Status(9, 0, 0, NONE))
    assert not _answers(bench, Status(9, 0, 0, NONE))
    assert _answers(bench, Status(9, 0, 0, NONE), peer=b"other")
    bench.now_ms += 200
    assert _answers(bench, Status(9, 0, 0, NONE))


def test_early_messages_wait_for_their_height():
    bench, ahead = Bench(), Bench(me=3)
    _decide(ahead)
    block = ahead.block(b"c")
    bench.hear(ahead.proposal(0, block), *ahead.prevotes(0, block, (1, 2)), *ahead.precommits(0, block, (1, 2)))
    assert bench.engine.height == 1
    _decide(bench)
    assert bench.engine.height == 3


def test_early_messages_are_bounded_by_peer_and_distance():
    bench, ahead = Bench(), Bench(me=3)
    _decide(ahead)
    proposals = [ahead.proposal(r, ahead.block(b"%d" % r)) for r in range(8)]
    votes = [vote for r in range(60) for vote in ahead.prevotes(r, None, (1, 2, 3)) + ahead.precommits(r, None, (1, 2))]
    bench.hear(*proposals, *votes)
    assert EARLY_PROPOSALS_PER_PEER_MAX < bench.engine._early.sizes[0] <= EARLY_PER_PEER_MAX
    bench.handle(PeerDown(bench.moment(), b"peer"))
    assert not bench.engine._early.sizes
    bench.hear(*proposals, *votes)
    kept = bench.engine._early.take(2)
    assert sum(isinstance(message, Proposal) for message in kept) == EARLY_PROPOSALS_PER_PEER_MAX
    assert all(message.round <= ROUNDS_AHEAD_MAX for message in kept)


def test_triage_wants_what_is_useful_and_knows_lies():
    bench = Bench()
    triage = bench.engine.triage
    block = bench.block(b"b")
    vote = bench.prevotes(0, block, (1,))[0]
    assert triage(vote).wanted
    bench.hear(vote)
    assert not triage(vote).wanted
    assert triage(bench.prevotes(0, None, (1,))[0]).wanted  # contradicts: that is evidence
    assert not triage(bench.prevotes(ROUNDS_AHEAD_MAX + 1, None, (1,))[0]).wanted
    assert triage(bench.proposal(0, block, by=2)).hostile
    assert triage(bench.decided(0, block, (1, 2))).hostile
    assert triage(bench.decided(0, block)).wanted
    assert triage(bench.decided(0, block).certificate).wanted
    assert triage(bench.proposal(0, block).statement).wanted
    bench.hear(bench.proposal(0, block))
    assert not triage(bench.proposal(0, block)).wanted
    assert triage(bench.proposal(0, bench.block(b"other"))).wanted  # evidence again
    stranger = Statement(Kind.PREVOTE, 1, 0, block.hash, NONE, b"\x01" * 20, b"s")
    assert triage(stranger).hostile
    _decide(bench)
    assert not triage(vote).wanted
    assert not triage(vote).hostile


def test_rounds_too_far_ahead_are_not_counted():
    bench = Bench()
    bench.hear(*bench.prevotes(ROUNDS_AHEAD_MAX + 1, None, (1, 2, 3)))
    assert bench.machine.round == 0
    assert bench.machine.votes.votes_seen == 0


def test_decided_blocks_that_come_in_a_batch_are_taken_in_order():
    ahead = Bench(me=3)
    batch = []
    for height in range(1, 6):
        decided = ahead.decided(0, ahead.block(b"%d" % height))
        ahead.hear(decided)
        batch.append(decided)
    bench = Bench()
    bench.hear(*reversed(batch))
    assert bench.engine.height == 6
    assert bench.head.hash == ahead.head.hash


def test_a_decided_block_without_a_quorum_changes_nothing():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.decided(0, block, (1, 2)))
    twice = bench.decided(0, block, (1, 2)).certificate
    padded = type(twice)(twice.kind, 1, 0, block.hash, NONE, twice.signatures + twice.signatures)
    bench.hear(Decided(block, padded))
    strangers = tuple((bytes((index,)) * 20, b"s") for index in range(3))
    bench.hear(Decided(block, type(twice)(twice.kind, 1, 0, block.hash, NONE, strangers)))
    assert bench.engine.height == 1


def test_polka_of_others_is_adopted_as_valid_value_never_as_lock():
    bench = Bench()
    bench.nil_round(0)
    block = bench.block(b"b")
    bench.hear(bench.polka(0, block))
    assert (bench.machine.valid_round, bench.machine.locked_round) == (0, NONE)
    bench.hear(bench.polka(0, block, (1, 2)))


def test_a_polka_for_an_invalid_block_is_not_adopted():
    bench = Bench()
    bench.nil_round(0)
    bench.hear(bench.polka(0, bench.block(b"b", wrong_root=True)))
    assert bench.machine.valid_round == NONE


def test_evidence_is_kept_once_and_published():
    bench = Bench()
    first, second = bench.precommits(0, None, (2,))[0], bench.precommits(0, bench.block(b"b"), (2,))[0]
    bench.hear(first, second, second)
    assert [(record.validator, record.kind) for record in bench.evidence] == [(bench.addresses[2], "E1")]
    assert [e for e in bench.effects if isinstance(e, Publish)] == [Publish(Evidence(first, second))]
    bench.hear(Evidence(first, second))
    assert len(bench.evidence) == 1
    other = Bench(me=3)
    other.hear(Evidence(first, second))
    assert len(other.evidence) == 1


def test_boot_restores_the_lock_and_never_signs_twice():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)))
    bench.boot()
    bench.hear(bench.proposal(0, bench.block(b"other")))
    bench.nil_round(0)
    bench.hear(bench.proposal(1, bench.block(b"third")))
    assert bench.value(Kind.PREVOTE, 0) == block.hash
    assert bench.value(Kind.PREVOTE, 1) == b""
    assert bench.machine.locked_round == 0


def test_boot_goes_on_in_the_round_it_was_in():
    bench = Bench()
    bench.nil_round(0)
    bench.nil_round(1)
    bench.fire("propose", 2)
    bench.boot()
    assert bench.machine.round == 2
    assert bench.machine.step == 1


def test_a_proposer_that_crashed_after_signing_sends_the_same_block():
    bench = Bench(me=1)
    before = bench.value(Kind.PROPOSAL, 0)
    bench.published.clear()
    bench.boot()
    assert bench.value(Kind.PROPOSAL, 0) == before
    assert len(bench.builds) == 1


def test_a_damaged_log_means_watching_only():
    bench = Bench()
    bench.nil_round(0)
    batch = Batch()
    batch.put(schema.consensus_log(1), b"rubbish")
    bench.disk._values.update(batch.entries)
    bench.published.clear()
    bench.boot()
    assert bench.engine.inspect()["watchOnly"]
    _decide(bench)
    block = bench.chain[-1]
    assert not bench.published
    bench.hear(bench.decided(0, bench.block(b"c")))
    assert bench.head.parent_hash == block.hash or bench.engine.height >= 2


def test_a_log_record_that_is_no_message_means_watching_only():
    bench = Bench(start=False)
    journal = Journal(bench.disk, bench.genesis.hash, bench.addresses[0], 0)
    bench.disk.slots = {}
    journal.append(LogRecord(1, 0, 2, b"\xc0", b""))
    bench.boot()
    assert "consensus log" in str(bench.engine.inspect()["watchOnly"])


def test_slow_execution_lengthens_the_next_propose_timer_and_fades():
    bench = Bench()
    bench.hold_executions = True
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block))
    bench.now_ms += 800
    bench.handle(bench.executed(block))
    bench.hold_executions = False
    bench.hear(*bench.prevotes(0, block, (1, 2)), *bench.precommits(0, block, (1, 2)))
    bench.fire("start")
    assert bench.timers[TimerKey("propose", 2, 0)] == 1000 + 2 * 700
    for height in range(3, 60):
        bench.hear(bench.decided(0, bench.block(b"%d" % height)))
        bench.fire("start")
    assert bench.timers[TimerKey("propose", bench.engine.height, 0)] < 1020
    bench.engine._execution_ms = 10**9
    bench.hear(bench.decided(0, bench.block(b"x")))
    bench.fire("start")
    assert bench.timers[TimerKey("propose", bench.engine.height, 0)] == 5000


def test_every_message_of_the_engine_reads_back():
    bench = Bench(me=1)
    bench.hear(*bench.prevotes(0, None, (0, 2)))
    for message in bench.published + [message for _, message in bench.sent]:
        assert decode(message.encode()) == message


def test_inspect_is_json():
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)))
    state = orjson.loads(orjson.dumps(bench.engine.inspect()))
    assert (state["height"], state["round"], state["step"], state["lockedRound"]) == (1, 0, "precommit", 0)
    assert len(state["prevotes"]) == 3
    assert len(state["validators"]) == 4
