"""The consensus state transition, rule by rule, and the block tree's weights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.consensus.engine import BuildPayload, MessageReceived, Note, SendTo, TimerFired, TimerKey
from node.consensus.pos.block_tree import BlockTree
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.fork_choice import Refused
from node.consensus.pos.messages import Attestation, Body, SignedBlock, Slashing, Status
from node.consensus.pos.state import ChainState, InvalidTransition, Transition, genesis_state
from node.crypto.hashes import keccak256
from node.primitives.scalars import Hash32
from node.types.blocks import Header
from tests.unit.consensus.pos.net import Net, shared_keys
from tests.unit.consensus.pos.scenes import GENESIS, block_of, rules

E = 4
RULES = rules(8, E)
TRANSITION = Transition(RULES)
OTHER = keccak256(b"other")


class Chain:
    """One chain that grows by hand."""

    def __init__(self) -> None:
        self.header: Header = GENESIS.header
        self.state: ChainState = genesis_state(GENESIS.hash)

    def at(self, slot: int) -> ChainState:
        return TRANSITION.advance(self.state, self.header.hash, slot)

    def votes(self, slot: int, target: Hash32 | None = None) -> list[Attestation]:
        """Of the slot's whole committee, for this chain's head as it is now."""
        state = self.at(slot)
        epoch = RULES.epoch(slot)
        root = target or state.current_target or self.header.hash
        committee = TRANSITION.duties(state, epoch).committee(slot)
        source = state.justification.current
        addresses = RULES.validators.addresses
        return [
            Attestation(slot, self.header.hash, source, Checkpoint(epoch, root), addresses[index], bytes(65))
            for index in committee
        ]

    def draft(self, slot: int, votes: list[Attestation], slashings: tuple[Slashing, ...] = ()) -> SignedBlock:
        proposer = TRANSITION.duties(self.at(slot), RULES.epoch(slot)).proposer(slot)
        body = Body(slot, RULES.validators.addresses[proposer], tuple(votes), slashings)
        return SignedBlock(block_of(RULES, self.header, body), body, bytes(65))

    def add(self, slot: int, votes: list[Attestation], slashings: tuple[Slashing, ...] = ()) -> None:
        signed = self.draft(slot, votes, slashings)
        self.state = TRANSITION.apply(self.state, self.header, signed)
        self.header = signed.block.header

    def grow(self, until: int) -> None:
        """A block each slot, each with the votes of the slot before."""
        votes: list[Attestation] = []
        for slot in range(self.state.slot + 1, until + 1):
            self.add(slot, votes)
            votes = self.votes(slot)


def test_full_participation_justifies_and_finalizes() -> None:
    chain = Chain()
    chain.grow(4 * E + 1)
    assert chain.state.justification.current.epoch == 3
    assert chain.state.justification.finalized.epoch == 2
    assert TRANSITION.unrealized(chain.state, chain.header.hash).justified.epoch == 3
    chain = Chain()
    chain.grow(5 * E - 1)  # three of four committees are in: more than two thirds
    assert TRANSITION.unrealized(chain.state, chain.header.hash).justified.epoch == 4


@pytest.mark.parametrize(
    ("change", "slot", "why"),
    [
        ({}, 6 + E, "an attestation of slot 5 in slot 10"),
        ({"at_slot": 6}, 6, "an attestation of slot 6 in slot 6"),
        ({"target": Checkpoint(0, GENESIS.hash)}, 6, "target epoch does not fit"),
        ({"source": Checkpoint(0, OTHER)}, 6, "source is not"),
        ({"validator": GENESIS.header.coinbase}, 6, "committee"),
        ({"at_slot": 4}, 6, "committee"),
    ],
)
def test_attestations_that_make_a_block_invalid(change: dict[str, object], slot: int, why: str) -> None:
    chain = Chain()
    chain.grow(5)
    vote = replace(chain.votes(5)[0], **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidTransition, match=why):
        TRANSITION.with_attestation(chain.at(slot), vote)
    TRANSITION.with_attestation(chain.at(5 + E - 1), chain.votes(5)[0])


def test_a_vote_counts_once_and_only_for_this_chains_checkpoint() -> None:
    chain = Chain()
    chain.grow(5)
    vote, wrong = chain.votes(5)[0], chain.votes(5, OTHER)[1]
    chain.add(6, [vote, wrong])
    index = RULES.index_of(vote.validator) or 0
    assert chain.state.current_hits >> index & 1
    assert not chain.state.current_hits >> (RULES.index_of(wrong.validator) or 0) & 1
    assert chain.state.current_voters >> (RULES.index_of(wrong.validator) or 0) & 1
    for again in (vote, wrong):
        with pytest.raises(InvalidTransition, match="second attestation"):
            chain.add(7, [again])
    assert TRANSITION.packed(chain.at(7), [vote, wrong], [], (9, 9)) == ((), ())


def convicting(chain: Chain, index: int) -> Slashing:
    """Two contradicting votes of a validator."""
    vote = replace(chain.votes(chain.state.slot)[0], validator=RULES.validators.addresses[index])
    return Slashing(vote, replace(vote, head=OTHER))


def test_votes_of_the_convicted_count_no_more() -> None:
    chain = Chain()
    chain.grow(9)
    vote, other = chain.votes(9)
    convict = RULES.index_of(vote.validator) or 0
    chain.add(10, [vote, other], (convicting(chain, convict),))
    assert chain.state.current_hits == 1 << (RULES.index_of(other.validator) or 0) | chain.state.current_hits & ~(
        1 << convict
    )
    assert not chain.state.current_hits >> convict & 1
    assert chain.state.current_voters >> convict & 1


def test_a_conviction_undoes_no_justification() -> None:
    """If it did, the store could have adopted what no branch shows any more, and no block would be viable."""
    chain = Chain()
    chain.grow(5 * E - 1)
    voted = [index for index in range(8) if chain.state.current_hits >> index & 1]
    assert len(voted) == 6  # two thirds need 6 of 8
    assert TRANSITION.unrealized(chain.state, chain.header.hash).justified.epoch == 4
    chain.add(5 * E, [], (convicting(chain, voted[0]),))
    assert chain.state.justification.current.epoch == 4
    assert TRANSITION.unrealized(chain.state, chain.header.hash).justified.epoch == 4
    with pytest.raises(InvalidTransition, match="already convicted"):
        chain.add(5 * E + 1, [], (convicting(chain, voted[0]),))


def test_a_block_that_convicts_in_the_same_epoch_keeps_the_justification() -> None:
    chain = Chain()
    chain.grow(5 * E - 2)
    voted = [index for index in range(8) if chain.state.current_hits >> index & 1]
    chain.add(5 * E - 1, chain.votes(5 * E - 2), (convicting(chain, voted[0]),))
    assert TRANSITION.unrealized(chain.state, chain.header.hash).justified.epoch == 4


def test_the_convicted_cannot_propose() -> None:
    chain = Chain()
    chain.grow(3 * E)
    index = TRANSITION.duties(chain.at(3 * E + 1), 3).proposer(3 * E + 1)
    slashed = replace(chain.state, exits=((index, 9),))
    with pytest.raises(InvalidTransition, match="proposer is slashed"):
        TRANSITION.apply(slashed, chain.header, chain.draft(3 * E + 1, []))


@pytest.mark.parametrize("gap", [1, 2, 3, 4, 5, 6, 7, 40])
def test_idle_epochs_are_skipped_without_changing_the_outcome(gap: int) -> None:
    chain = Chain()
    chain.grow(4 * E + 3)
    state = replace(chain.state, current_target=chain.state.current_target or chain.header.hash)
    for epoch in range(4, 4 + gap):
        state = TRANSITION._next_epoch(state, epoch, chain.header.hash)
    assert chain.at((4 + gap) * E) == state


def test_prescribed_header_fields() -> None:
    chain = Chain()
    good = chain.draft(3, [])
    TRANSITION.apply(chain.state, chain.header, good)
    for field, value in (("timestamp", 5), ("prev_randao", OTHER), ("number", 9), ("parent_beacon_block_root", OTHER)):
        header = replace(good.block.header, **{field: value})  # type: ignore[arg-type]
        bad = replace(good, block=replace(good.block, header=header))
        with pytest.raises(InvalidTransition, match="must be"):
            TRANSITION.apply(chain.state, chain.header, bad)
    with pytest.raises(InvalidTransition, match="not after its parent"):
        TRANSITION.apply(replace(chain.state, slot=3), chain.header, good)


def test_the_boost_is_forty_percent_of_a_slot_for_any_weights() -> None:
    for validators, slots in ((3, 2), (8, 4), (16, 2)):
        chain = rules(validators, slots)
        tree = BlockTree(chain, GENESIS.header, genesis_state(GENESIS.hash), 0)
        weights = tree._weights_of(Checkpoint(0, GENESIS.hash))
        assert 100 * slots * weights.boost == 40 * sum(weights.balances.values())


# --- the engine's order of work --------------------------------------------------------------------


def test_votes_that_waited_count_before_the_proposer_takes_its_head() -> None:
    """consensus-specs #2878: a proposer that takes the head first builds on the loser."""
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4)).start()
    net.run(7.8)
    slot = 8
    tree = net.nodes[0].engine.tree
    turn = tree.transition.duties(tree.state_at(net.nodes[0].head, slot), 4).proposer(slot)
    node = next(one for one in net.nodes if net.rules.validators.addresses[turn] in one.keys)
    engine = node.engine
    head = engine.tree.head()
    assert head.state.slot == 7
    assert head.signed is not None
    # a second block of slot 7 with a higher root; the committee has voted for the first
    parent = node.stored[head.header.parent_hash][0].header
    rival_body = Body(7, head.signed.validator)
    rivals = [
        SignedBlock(block_of(net.rules, parent, rival_body, bytes([n])), rival_body, bytes(65)) for n in range(40)
    ]
    rival = max(rivals, key=lambda one: one.block.hash)
    state = engine.tree.check(rival)
    engine.tree.insert(rival, state, timely=False)
    votes = [vote for vote in engine.pool.votes(3).values() if vote.at_slot == 7]
    assert votes
    assert engine._uncounted
    net.now = 8000
    engine.tree.store.latest_votes.clear()
    engine.tree.store.boost_root = None
    effects = engine.handle(TimerFired(net.at, TimerKey("slot")))
    built = [effect for effect in effects if isinstance(effect, BuildPayload)]
    assert [effect.parent_hash for effect in built] == [votes[0].head]


def test_a_status_is_answered_with_the_votes_it_lacks() -> None:
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4)).start()
    net.run(6)
    engine = net.nodes[0].engine
    ours = engine.exchange.status()
    assert ours.previous_voters.bit_count() == 12
    lacking = replace(ours, previous_voters=ours.previous_voters & ~0b101)
    effects = engine.handle(MessageReceived(net.at, net.nodes[1].peer, lacking))
    sent = [effect.message for effect in effects if isinstance(effect, SendTo)]
    votes = [vote for vote in sent if isinstance(vote, Attestation)]
    assert sorted(net.rules.index_of(vote.validator) or 0 for vote in votes) == [0, 2]
    everything = Status(ours.at_slot, ours.head, ours.head_number, ours.finalized, ours.finalized_number)
    for _ in range(100):
        effects = engine.handle(MessageReceived(net.at, net.nodes[1].peer, everything))
    assert effects == []  # a peer that asks without end gets its share of the slot, no more


def test_evidence_discards_at_once() -> None:
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4)).start()
    net.run(6)
    node = net.nodes[0]
    vote = next(one for one in node.log if isinstance(one, Attestation))
    pair = Slashing(vote, replace(vote, head=OTHER))
    node.engine.handle(MessageReceived(net.at, net.nodes[1].peer, pair))
    assert net.rules.index_of(vote.validator) in node.engine.tree.store.equivocating
    assert not node.engine.triage(pair).wanted


def test_old_and_future_messages_are_not_wanted() -> None:
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4)).start()
    net.run(12)
    node = net.nodes[0]
    old = next(one for one in node.log if isinstance(one, Attestation))
    assert node.engine.triage(old).why == "target epoch is past"
    slot = 40
    assert node.engine.triage(replace(old, at_slot=slot, target=Checkpoint(20, OTHER))).why == "slot in the future"
    block = next(one for one in node.log if isinstance(one, SignedBlock))
    header = replace(block.header, block_hash=OTHER)
    assert node.engine.triage(header).why == "slot already finalized"
    assert node.engine.triage(replace(header, at_slot=slot)).why == "slot in the future"


def test_a_vote_out_of_turn_weighs_nothing() -> None:
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4)).start()
    net.run(7)
    tree = net.nodes[0].engine.tree
    vote = next(one for one in reversed(net.nodes[0].log) if isinstance(one, Attestation))
    committee = tree.duties(vote.target.root, vote.target.epoch).committee(vote.at_slot)
    outsider = next(index for index in range(12) if index not in committee)
    with pytest.raises(Refused, match="committee"):
        tree.count(replace(vote, validator=net.rules.validators.addresses[outsider]))
    tree.count(vote)


def test_a_final_mark_is_held_while_the_head_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes finalize before their epoch's end; until the store adopts that, its head may be on another branch."""
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4)).start()
    net.run(14.8)
    engine = net.nodes[0].engine
    store, marks = engine.tree.store, engine.marks
    assert marks is not None
    assert marks[2] == store.unrealized.finalized.root != store.finality.finalized.root
    monkeypatch.setattr(store, "head", lambda: store.finality.finalized.root)
    engine._out = []
    engine._move_marks()
    assert engine.marks == marks
    assert [type(effect) for effect in engine._out] == [Note]


def test_a_third_block_of_a_slot_is_wanted_only_as_a_parent() -> None:
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4)).start()
    net.run(7.8)
    node = net.nodes[0]
    engine = node.engine
    head = engine.tree.head()
    assert head.signed is not None
    parent = node.stored[head.header.parent_hash][0].header
    body = Body(head.state.slot, head.signed.validator)
    twin, third = (SignedBlock(block_of(net.rules, parent, body, name), body, bytes(65)) for name in (b"2nd", b"3rd"))
    for effect in engine.handle(MessageReceived(net.at, net.nodes[1].peer, twin)):
        node.perform(effect)
    net.run(0.1)
    assert twin.block.hash in engine.tree
    assert engine.triage(third).why == "its proposer has two blocks in this slot"
    child_body = Body(8, net.rules.validators.addresses[0])
    child = SignedBlock(block_of(net.rules, third.block.header, child_body), child_body, bytes(65))
    engine.handle(MessageReceived(net.at, net.nodes[1].peer, child))
    assert engine.triage(third).wanted


def test_a_chain_may_begin_long_after_its_genesis() -> None:
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4))
    net.now = 1_000_300
    net.start()
    net.run(14)
    assert len({node.head for node in net.nodes}) == 1
    assert net.nodes[0].stored[net.nodes[0].finalized][0].number > 3


def test_one_node_with_one_key_runs_alone() -> None:
    net = Net(rules(1, 2), [rules(1, 2).validators.addresses]).start()
    net.run(14)
    assert net.nodes[0].stored[net.nodes[0].finalized][0].number >= 6
