"""Directed scenarios: the cases that random seeds rarely reach. Each raises AssertionError when the engine is wrong."""

from network.simulator.level1.judge import Judge
from network.simulator.level1.world import Plan, World
from node.consensus.bft.core import BftSettings
from node.consensus.bft.evidence import conviction
from node.consensus.bft.messages import NIL, NONE, Kind, Polka, Proposal, Statement
from node.consensus.bft.timeouts import Timeouts
from node.consensus.bft.vote_keeper import VoteKeeper
from node.consensus.engine import LogRecord
from node.consensus.journal import encode_record
from node.consensus.signer import Signer
from node.storage import schema
from node.storage.database import Batch
from tests.bft_bench import Bench

OTHERS = (1, 2, 3)


def framing_script() -> None:
    """Byzantine validators try to make an honest one sign an amnesia pattern against itself."""
    bench = Bench()
    v, w = bench.block(b"v"), bench.block(b"w")
    bench.nil_round(0)
    polka_1 = bench.certificate(Kind.PREVOTE, 1, w, OTHERS)  # exists, but we do not see it in round 1
    bench.nil_round(1)
    bench.hear(bench.proposal(2, v), *bench.prevotes(2, v, (1, 3)))
    assert bench.machine.locked_round == 2
    polka_2 = bench.certificate(Kind.PREVOTE, 2, w, OTHERS, valid_round=1)  # 1 and 3 prevote twice
    bench.hear(*bench.precommits(2, None, OTHERS))
    bench.fire("precommit", 2)
    bench.nil_round(3)
    bench.hear(bench.proposal(4, w, 2, polka_2), *bench.prevotes(4, w, OTHERS, valid_round=2))
    assert bench.machine.locked_round == 4, "a polka as new as the lock unlocks"
    bench.hear(*bench.precommits(4, None, OTHERS))
    bench.fire("precommit", 4)
    bench.nil_round(5)
    bench.hear(bench.proposal(6, w, 1, polka_1))  # the locked value, with an older valid round
    assert bench.value(Kind.PRECOMMIT, 2) == v.hash
    assert bench.value(Kind.PREVOTE, 6) == NIL, "precommit(v, 2) and prevote(w, 6, vr=1) would convict us"


def lock_holds() -> None:
    """After a lock, another fresh block gets nil in every later round."""
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)), *bench.precommits(0, None, OTHERS))
    bench.fire("precommit", 0)
    for round_number in (1, 2, 4):
        if bench.machine.round < round_number:
            bench.nil_round(bench.machine.round)
        while bench.machine.round < round_number:
            bench.nil_round(bench.machine.round)
        if bench.proposer(round_number) != 0:
            bench.hear(bench.proposal(round_number, bench.block(b"other %d" % round_number)))
            assert bench.value(Kind.PREVOTE, round_number) == NIL


def old_polka_does_not_unlock() -> None:
    """A re-proposal whose polka is older than the lock gets nil."""
    bench = Bench()
    old = bench.block(b"old")
    bench.nil_round(0)
    block = bench.block(b"b")
    bench.hear(bench.proposal(1, block), *bench.prevotes(1, block, (1, 2)), *bench.precommits(1, None, OTHERS))
    assert bench.machine.locked_round == 1
    bench.fire("precommit", 1)
    bench.hear(bench.proposal(2, old, 0, bench.certificate(Kind.PREVOTE, 0, old, OTHERS)))
    assert bench.value(Kind.PREVOTE, 2) == NIL


def hidden_lock() -> None:
    """One validator alone saw the polka; by its POLKA the next proposer learns the value and re-proposes it."""
    locked, proposer = Bench(me=0), Bench(me=2)
    block = locked.block(b"b")
    locked.hear(locked.proposal(0, block), *locked.prevotes(0, block, (1, 2)))
    assert locked.machine.locked_round == 0
    proposer.fire("propose", 0)
    proposer.hear(*proposer.prevotes(0, None, (1,)), *proposer.precommits(0, None, (1, 3)))
    proposer.sent.clear()
    status = proposer.machine.status()
    locked.now_ms += 1000
    locked.hear(status, peer=b"proposer")
    polkas = [message for to, message in locked.sent if to == b"proposer" and isinstance(message, Polka)]
    assert polkas, "the holder of a newer polka sends it"
    proposer.hear(*polkas)
    assert proposer.machine.valid_round == 0
    assert proposer.machine.locked_round == NONE, "a polka of others is no lock"
    proposer.fire("precommit", 0)
    (statement,) = proposer.said(Kind.PROPOSAL, 1)
    assert (statement.block_hash, statement.valid_round) == (block.hash, 0)


def late_polka() -> None:
    """Prevotes that arrive after our own precommit still give the valid value, which we propose next."""
    bench = Bench(me=2)
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, None, (0,)), *bench.prevotes(0, block, (1,)))
    bench.fire("prevote", 0)
    assert bench.value(Kind.PRECOMMIT, 0) == NIL
    bench.hear(*bench.prevotes(0, block, (3,)), *bench.precommits(0, None, (1, 3)))
    assert bench.machine.valid_round == 0
    bench.fire("precommit", 0)
    (statement,) = bench.said(Kind.PROPOSAL, 1)
    assert (statement.block_hash, statement.valid_round) == (block.hash, 0)


def commit_from_a_past_round() -> None:
    """The last precommit of round 0 arrives in round 1."""
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, None, (1, 2)))
    bench.fire("prevote", 0)
    bench.hear(*bench.precommits(0, block, (1, 2)))
    bench.fire("precommit", 0)
    assert bench.machine.round == 1
    bench.hear(*bench.precommits(0, block, (3,)))
    assert bench.engine.height == 2


def skip_after_isolation() -> None:
    """A validator that was away joins the round in which the others are, at once."""
    bench = Bench()
    bench.hear(*bench.prevotes(7, None, (1,)), *bench.precommits(7, None, (2,)))
    assert bench.machine.round == 7


def one_voter_moves_nobody() -> None:
    """A single faulty validator cannot push others into a later round."""
    bench = Bench(nodes=7)
    bench.hear(*bench.prevotes(7, None, (1, 2)), *bench.precommits(7, None, (1, 2)))
    assert bench.machine.round == 0


def own_votes_count_after_a_restart() -> None:
    """Everybody crashed after the precommit was durable and before it was sent."""
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)))
    bench.boot()
    bench.hear(*bench.precommits(0, block, (1, 2)))
    assert bench.engine.height == 2, "my own precommit is the third"


def lock_survives_a_restart() -> None:
    """The lock is restored from the log, and holds."""
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)), *bench.precommits(0, None, OTHERS))
    bench.fire("precommit", 0)
    bench.boot()
    bench.nil_round(bench.machine.round)
    round_number = bench.machine.round
    if round_number < 1:
        bench.nil_round(0)
        round_number = 1
    bench.hear(bench.proposal(round_number, bench.block(b"other")))
    assert bench.value(Kind.PREVOTE, round_number) == NIL


def restart_goes_on_in_its_round() -> None:
    """After a restart a validator is where it signed last, and signs nothing below or again."""
    bench = Bench()
    bench.nil_round(0)
    bench.nil_round(1)
    bench.fire("propose", 2)
    before = dict(bench.disk.slots)
    bench.boot()
    assert bench.machine.round == 2
    bench.hear(bench.proposal(2, bench.block(b"b")))
    assert bench.value(Kind.PREVOTE, 2) == NIL
    assert bench.disk.slots == before


def reproposal_without_a_polka_unlocks_nobody() -> None:
    """A polka below a quorum, or of strangers, is none."""
    bench = Bench()
    block, other = bench.block(b"b"), bench.block(b"other")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)), *bench.precommits(0, None, OTHERS))
    bench.fire("precommit", 0)
    bench.nil_round(1)
    weak = bench.certificate(Kind.PREVOTE, 1, other, (2, 3))
    bench.hear(bench.proposal(2, other, 1, weak))
    assert bench.value(Kind.PREVOTE, 2) is None
    for wrong in (
        bench.certificate(Kind.PRECOMMIT, 1, other, OTHERS),
        bench.certificate(Kind.PREVOTE, 0, other, OTHERS),
        bench.certificate(Kind.PREVOTE, 1, block, OTHERS),
    ):
        bench.hear(bench.proposal(2, other, 1, wrong))
        assert bench.value(Kind.PREVOTE, 2) is None


def decided_needs_a_quorum() -> None:
    """Two of four decide nothing."""
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.decided(0, block, (1, 2)))
    assert bench.engine.height == 1


def quorum_is_by_weight() -> None:
    """Five equal validators: three are no quorum, four are; and a heavy one counts for more."""
    bench = Bench(nodes=5)
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2)))
    assert bench.value(Kind.PRECOMMIT, 0) is None
    heavy = Bench(weights=(1, 1, 1, 6))
    block = heavy.block(b"b")
    proposal = heavy.proposal(0, block) if heavy.proposer(0) != 0 else None
    if proposal is not None:
        heavy.hear(proposal, *heavy.prevotes(0, block, (1, 2)))
        assert heavy.value(Kind.PRECOMMIT, 0) is None
        heavy.hear(*heavy.prevotes(0, block, (3,)))
        assert heavy.value(Kind.PRECOMMIT, 0) == block.hash


def exactly_two_thirds_is_no_quorum() -> None:
    """Four of six may hold one honest validator less than it takes."""
    bench = Bench(nodes=6)
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, block, (1, 2, 3)))
    assert bench.value(Kind.PRECOMMIT, 0) is None
    bench.hear(*bench.prevotes(0, block, (4,)))
    assert bench.value(Kind.PRECOMMIT, 0) == block.hash


def repeated_votes_count_once() -> None:
    """The same vote from many peers is one vote."""
    bench = Bench()
    block = bench.block(b"b")
    votes = bench.prevotes(0, block, (1,))
    bench.hear(bench.proposal(0, block), *votes, *votes, *votes)
    assert bench.value(Kind.PRECOMMIT, 0) is None


def equivocating_vote_counts_once() -> None:
    """The second, different vote of a validator is evidence and is not counted."""
    bench = Bench()
    block = bench.block(b"b")
    bench.hear(bench.proposal(0, block), *bench.prevotes(0, None, (1, 2)), *bench.prevotes(0, block, (1, 2)))
    assert bench.value(Kind.PRECOMMIT, 0) is None
    assert [record.kind for record in bench.evidence] == ["E1", "E1"]


def amnesia_is_convicted() -> None:
    """Precommit for b in round 0, prevote for another fresh block in round 2: E2, from honest nodes' messages."""
    bench = Bench()
    block, other = bench.block(b"b"), bench.block(b"other")
    bench.hear(*bench.precommits(0, block, (3,)), *bench.prevotes(2, other, (3,)))
    assert [(record.validator, record.kind) for record in bench.evidence] == [(bench.addresses[3], "E2")]


def amnesia_only_fork_is_accountable() -> None:
    """Half the weight forgets its locks, nobody votes twice in a slot: the fork convicts exactly the forgetful."""
    deceived, witness = Bench(me=0), Bench(me=1)
    first = next(message for message in witness.published if isinstance(message, Proposal)).block
    forgetful = (2, 3)
    from_deceived = deceived.prevotes(0, first, (0,))
    locks = witness.precommits(0, first, forgetful)
    witness.hear(*from_deceived, *witness.prevotes(0, first, forgetful), *locks)
    assert witness.chain[1].hash == first.hash
    deceived.hear(*deceived.precommits(1, None, forgetful))
    assert deceived.machine.round == 1
    other = deceived.block(b"other")
    again = deceived.prevotes(2, other, forgetful)  # in spite of the locks, with valid round -1
    deceived.hear(*again[:1], *deceived.precommits(2, other, (3,)))
    assert deceived.machine.round == 2
    deceived.hear(deceived.proposal(2, other), *again[1:], *deceived.precommits(2, other, (2,)))
    assert deceived.chain[1].hash == other.hash, "forked"
    judge = Judge(deceived.genesis, deceived.validators, frozenset(deceived.addresses[:2]))
    for bench in (deceived, witness):
        for message in bench.published:
            statement = message.statement if isinstance(message, Proposal) else message
            if isinstance(statement, Statement):
                judge.on_said(statement)
    for statement in (*locks, *again):
        judge.on_said(statement)
    assert judge.convicted() == dict.fromkeys((deceived.addresses[who] for who in forgetful), "E2")
    judge.judge_transcript()
    assert judge.violation is None
    keeper = VoteKeeper(1, deceived.validators)
    found = [evidence for vote in (*locks, *again) if (evidence := keeper.add(vote))]
    assert [conviction(evidence.first, evidence.second) for evidence in found] == ["E2", "E2"]


def two_proposals_are_evidence() -> None:
    """A proposer that proposes twice in a round is convicted; the first proposal stands."""
    bench = Bench()
    first, second = bench.block(b"1"), bench.block(b"2")
    bench.hear(bench.proposal(0, first), bench.proposal(0, second))
    assert bench.evidence[0].kind == "E1p"
    assert bench.value(Kind.PREVOTE, 0) == first.hash
    bench.hear(*bench.prevotes(0, second, OTHERS))
    assert bench.machine.valid_round == 0, "the second may still gather a polka"


def wrong_root_gets_nil() -> None:
    """Execute before vote."""
    bench = Bench()
    bench.hear(bench.proposal(0, bench.block(b"b", wrong_root=True)))
    assert bench.value(Kind.PREVOTE, 0) == NIL


def out_of_turn_proposal_is_ignored() -> None:
    """Only the round's proposer proposes."""
    bench = Bench()
    bench.hear(bench.proposal(0, bench.block(b"b"), by=3))
    assert not bench.said(Kind.PREVOTE, 0)


def reproposal_ignores_the_clock() -> None:
    """A value with a polka stays valid however early a node's clock is."""
    bench = Bench()
    bench.now_ms = -3_600_000
    block = bench.block(b"b", timestamp=bench.head.timestamp + 60)
    bench.hear(bench.proposal(0, block))
    assert bench.value(Kind.PREVOTE, 0) == NIL
    bench.nil_round(0)
    bench.hear(bench.proposal(1, block, 0, bench.certificate(Kind.PREVOTE, 0, block, OTHERS)))
    assert bench.value(Kind.PREVOTE, 1) == block.hash


def nil_polka_then_next_round_in_time() -> None:
    """After an invalid proposal the round ends by R4 and R5: no prevote timer is waited for."""
    bench = Bench()
    bench.hear(bench.proposal(0, bench.block(b"b", wrong_root=True)), *bench.prevotes(0, None, (1, 2)))
    assert bench.value(Kind.PRECOMMIT, 0) == NIL
    bench.hear(*bench.precommits(0, None, (1, 2)))
    bench.fire("precommit", 0)
    assert bench.machine.round == 1


def prevote_carries_the_valid_round() -> None:
    """Without it, amnesia could not be told from a lawful unlock."""
    bench = Bench()
    bench.nil_round(0)
    block = bench.block(b"b")
    bench.hear(bench.proposal(1, block, 0, bench.certificate(Kind.PREVOTE, 0, block, OTHERS)))
    assert bench.said(Kind.PREVOTE, 1)[0].valid_round == 0


def damaged_log_is_not_voted_on() -> None:
    """A bad record before good ones: watch-only."""
    bench = Bench()
    bench.nil_round(0)
    batch = Batch()
    good = encode_record(LogRecord(1, 0, 2, b"x"))
    batch.put(schema.consensus_log(1), good[:-1] + bytes((good[-1] ^ 1,)))
    bench.disk._values.update(batch.entries)
    bench.published.clear()
    bench.boot()
    bench.hear(bench.proposal(0, bench.block(b"b")))
    assert not bench.published


def slow_network_still_decides() -> None:
    """Delays above the base timeouts: rounds grow until they fit."""
    settings = BftSettings(block_time_ms=400, timeouts=Timeouts(300, 150, 150, 150), gossip_ms=300, boot_wait_ms=50)
    plan = Plan(
        seed=11,
        delay_min_ms=700,
        delay_ms=720,
        gst_ms=0,
        until_ms=60_000,
        crashes=False,
        partitions=False,
        settings=settings,
    )
    world = World(plan)
    world.run_until(plan.until_ms)
    assert min(node.engine.height for node in world.nodes.values()) >= 4


def half_down_for_an_hour() -> None:
    """Two of four are away for an hour: no rounds race ahead, and two intervals after their return it goes on."""
    plan = Plan(seed=5, gst_ms=0, until_ms=0, crashes=False, partitions=False, settings=BftSettings())
    world = World(plan)
    world.run_until(5_000)
    away = list(world.nodes.values())[:2]
    for node in away:
        node.alive = False
        node.life += 1
    world.run_until(3_605_000)
    staying = list(world.nodes.values())[2:]
    assert max(node.engine.machine.round for node in staying) <= 1
    height = max(node.engine.height for node in staying)
    for node in away:
        node.boot()
    world.run_until(3_607_000)
    assert min(node.engine.height for node in world.nodes.values()) > height
    assert world.judge.violation is None


def restarted_node_learns_decisions_at_once() -> None:
    """A node that was away for some blocks is told by STATUS answers, not by waiting."""
    plan = Plan(seed=6, gst_ms=0, until_ms=0, crashes=False, partitions=False, settings=BftSettings())
    world = World(plan)
    world.run_until(5_000)
    away = next(iter(world.nodes.values()))
    away.alive = False
    away.life += 1
    world.run_until(25_000)
    away.boot()
    world.run_until(25_700)
    others = [node.engine.height for node in world.nodes.values() if node is not away]
    assert away.engine.height >= min(others) - 1


def guard_returns_the_stored_message() -> None:
    """Asked twice for one slot, the signer gives the first message, never a second signature."""
    bench = Bench()
    bench.fire("propose", 0)
    stored = bench.said(Kind.PREVOTE, 0)[0]
    draft = type(stored)(Kind.PREVOTE, 1, 0, bench.block(b"b").hash, NONE, stored.validator)
    signer: Signer = bench.signer
    assert signer.sign(draft, None) == stored


def crash_between_durable_and_sent_resends_the_proposal() -> None:
    """The block of a proposal that was signed is proposed again, not another one."""
    bench = Bench(me=1)
    before = [message for message in bench.published if isinstance(message, Proposal)]
    bench.boot()
    after = [message for message in bench.published if isinstance(message, Proposal)]
    assert before
    assert all(message == before[0] for message in after)


SCENARIOS = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and not name.startswith("_")
]
