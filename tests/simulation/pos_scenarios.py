"""Directed pos scenarios for bugs that the engine's other tests do not single out. Each raises AssertionError."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.consensus.engine import MalformedMessage, MessageReceived, PayloadStatus, SendTo
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.justification import Justification, weigh
from node.consensus.pos.messages import Attestation, Body, GetBlocksByRoot, SignedBlock, Slashing
from node.consensus.pos.protection import SlashingProtection
from node.consensus.pos.state import InvalidTransition
from tests.unit.consensus.pos.net import GENESIS, Net, shared_keys
from tests.unit.consensus.pos.scenes import block_of, rules, signed
from tests.unit.consensus.pos.test_state import OTHER, TRANSITION, Chain
from tests.unit.consensus.pos.test_statements import B, attestation


def _net(validators: int = 12, slots_per_epoch: int = 2) -> Net:
    chain = rules(validators, slots_per_epoch)
    return Net(chain, shared_keys(chain, 4)).start()


def exactly_two_thirds_justify() -> None:
    """8 of 12: unlike bft's quorum, two thirds are enough here."""
    zero = Checkpoint(0, GENESIS.hash)
    target = Checkpoint(5, OTHER)
    before = Justification(0, zero, zero, zero)
    assert weigh(before, 5, zero, target, 12, 0, 8).current == target
    assert weigh(before, 5, zero, target, 12, 0, 7).current == zero


def surround_is_refused() -> None:
    """Target 5 from source 2 was signed: nothing from source 1 any more."""
    guard = SlashingProtection()
    guard.signed(attestation(source=2, target=5))
    assert guard.refusal(attestation(source=1, target=6))
    assert not guard.refusal(attestation(source=2, target=6))


def double_is_refused() -> None:
    """One vote a target epoch, one block a slot."""
    guard = SlashingProtection()
    guard.signed(attestation(source=2, target=5))
    assert guard.refusal(attestation(source=2, target=5, head=B))


def protection_survives_a_restart() -> None:
    """What the log holds stays refused."""
    vote = attestation(source=2, target=5)
    assert SlashingProtection([vote]).refusal(replace(vote, head=B))


def marks_are_the_checkpoints() -> None:
    """On a healthy chain safe is the justified checkpoint: above finalized, below the head."""
    net = _net()
    net.run(21.5)
    for node in net.nodes:
        store = node.engine.tree.store
        assert node.safe == store.finality.justified.root
        numbers = [node.stored[root][0].number for root in (node.finalized, node.safe, node.head)]
        assert numbers[0] < numbers[1] < numbers[2], numbers


def evidence_reaches_who_saw_one_half() -> None:
    """Only node 0 hears the contradicting vote; everybody learns of it before any block carries it."""
    net = _net()
    net.run(7.4)
    node = net.nodes[2]
    vote = next(one for one in reversed(node.log) if isinstance(one, Attestation))
    net.send(node, net.nodes[0].peer, signed(replace(vote, head=GENESIS.hash), net.rules))
    net.run(0.2)
    for other in net.nodes:
        assert (vote.validator, "double vote") in other.convicted, other.name


def evidence_survives_a_restart() -> None:
    """Only node 0 has it, and restarts before anybody else hears of it: the culprit is slashed all the same."""
    net = _net()
    net.run(7.4)
    node, witness = net.nodes[2], net.nodes[0]
    vote = next(one for one in reversed(node.log) if isinstance(one, Attestation))
    net.send(node, witness.peer, signed(replace(vote, head=GENESIS.hash), net.rules))
    net.run(0.031)
    assert (vote.validator, "double vote") in witness.convicted
    witness.stop()  # before its news has reached anybody
    for other in net.nodes[1:]:
        other.engine.pool.evidence.clear()
        other.engine.tree.store.equivocating.clear()
        other.recorded.clear()
    net.cut = lambda one, other: True
    net.run(0.1)
    net.cut = lambda one, other: False
    witness.start()
    net.run(12)
    index = net.rules.index_of(vote.validator)
    for other in net.nodes:
        assert [one for one, _ in other.engine.tree.head().state.exits] == [index]


def wrong_source_is_refused() -> None:
    """A block with a vote from another justified checkpoint is invalid."""
    chain = Chain()
    chain.grow(5)
    vote = replace(chain.votes(5)[0], source=Checkpoint(0, OTHER))
    with pytest.raises(InvalidTransition, match="source is not"):
        TRANSITION.with_attestation(chain.at(6), vote)


def vote_of_the_same_slot_is_refused() -> None:
    """A vote may stand in a block from the next slot on."""
    chain = Chain()
    chain.grow(5)
    early = replace(chain.votes(5)[0], at_slot=6)
    with pytest.raises(InvalidTransition, match="in slot 6"):
        TRANSITION.with_attestation(chain.at(6), early)


def late_block_gets_no_boost() -> None:
    """Its slot's votes were due before it came."""
    net = _net()
    net.run(7.8)
    node = net.nodes[0]
    engine = node.engine
    head = engine.tree.head()
    turn = engine.tree.transition.duties(engine.tree.state_at(node.head, 8), 4).proposer(8)
    proposer = net.rules.validators.addresses[turn]
    other = next(one for one in net.nodes if proposer not in one.keys)
    body = Body(8, proposer)
    block = signed(SignedBlock(block_of(net.rules, head.header, body), body), net.rules)
    net.cut = lambda one, two: True
    net.run(0.7)  # half a second into slot 8, in which nothing has come yet
    at = net.at
    other.engine.handle(MessageReceived(at, node.peer, block))
    assert isinstance(block, SignedBlock)
    other.engine.handle(PayloadStatus(at, block.block.hash, True))
    store = other.engine.tree.store
    assert block.block.hash in store
    assert store.boost_root is None


def nobody_honest_is_convicted() -> None:
    """A healthy chain, votes in and out of blocks: no evidence against anybody."""
    net = _net()
    try:
        net.run(14)
    except MalformedMessage as error:
        raise AssertionError("evidence that convicts nobody was sent") from error
    assert all(node.convicted == [] for node in net.nodes)


def a_block_whose_evidence_convicts_nobody_is_refused() -> None:
    """Two equal votes are no evidence."""
    chain = Chain()
    chain.grow(5)
    vote = chain.votes(5)[0]
    with pytest.raises(InvalidTransition, match="convicts nobody"):
        TRANSITION.with_slashing(chain.at(6), Slashing(vote, vote))


def missing_parent_is_asked_for() -> None:
    """A block whose parent is not here makes one request by root to its bearer."""
    net = _net()
    net.run(6.5)
    node = net.nodes[0]
    head = node.engine.tree.head().header
    unknown = block_of(net.rules, head, Body(7, net.rules.validators.addresses[0]), b"unseen")
    slot = net.rules.slot_at(net.at.wall_ms) + 1
    body = Body(slot, net.rules.validators.addresses[0])
    child = signed(SignedBlock(block_of(net.rules, unknown.header, body), body), net.rules)
    effects = node.engine.handle(MessageReceived(net.at, net.nodes[1].peer, child))
    asked = [effect for effect in effects if isinstance(effect, SendTo) and isinstance(effect.message, GetBlocksByRoot)]
    assert [(one.peer, one.message) for one in asked] == [(net.nodes[1].peer, GetBlocksByRoot((unknown.hash,)))]
