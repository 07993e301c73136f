"""Whole engines against each other: finality, forks and healing, evidence, restart, sync, hostile peers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from node.consensus.engine import Note, Started, TimerFired, TimerKey
from node.consensus.pos.block_tree import BlockTree
from node.consensus.pos.core import PosEngine
from node.consensus.pos.messages import Attestation, Body, SignedBlock, Slashing
from node.consensus.pos.protection import SlashingProtection
from node.consensus.pos.state import ChainState, decode_state
from node.primitives.scalars import Address
from tests.unit.consensus.pos.net import GENESIS, Net, Node, shared_keys
from tests.unit.consensus.pos.scenes import address, block_of, rules, signed


def net_of(nodes: int = 4, validators: int = 16, slots_per_epoch: int = 2) -> Net:
    chain = rules(validators, slots_per_epoch)
    return Net(chain, shared_keys(chain, nodes))


def agree(net: Net) -> None:
    assert len({node.head for node in net.nodes if node.up}) == 1
    net.honest_never_contradict_themselves()


@pytest.mark.parametrize("slots_per_epoch", [2, 3, 4])
def test_every_slot_has_a_block_and_blocks_become_final(slots_per_epoch: int) -> None:
    net = net_of(slots_per_epoch=slots_per_epoch).start()
    net.run(12 * slots_per_epoch)
    agree(net)
    for node in net.nodes:
        assert node.stored[node.head][0].number >= 12 * slots_per_epoch - 1
        assert node.reorgs == []
        assert node.refused == []
        assert node.penalties == []
        assert node.convicted == []
        assert len(node.finalities) >= 7


def test_finality_takes_less_than_eight_seconds_at_two_slots_an_epoch() -> None:
    net = net_of(slots_per_epoch=2).start()
    net.run(40)
    node = net.nodes[0]
    waits = []
    final = 0
    for at, number in node.finalities:
        waits += [at - 1000 * block.number for block, _ in node.canonical()[final + 1 : number + 1]]
        final = number
    # block n stands in slot n here; the first epochs take longer, because nothing justifies in epochs 0 and 1
    assert max(waits[6:]) < 8000


def test_a_third_down_finality_stands_and_comes_back() -> None:
    net = net_of().start()
    net.run(20)
    for node in net.nodes[2:]:
        node.stop()
    net.run(20)
    final = net.nodes[0].stored[net.nodes[0].finalized][0].number
    net.run(10)
    assert net.nodes[0].stored[net.nodes[0].finalized][0].number == final
    assert net.nodes[0].engine.inspect()["missing"]
    for node in net.nodes[2:]:
        node.start()
    net.run(20)
    agree(net)
    assert net.nodes[3].stored[net.nodes[3].finalized][0].number > final + 10


def test_partition_forks_and_heals_with_a_reorganisation() -> None:
    net = net_of().start()
    net.run(14)
    net.cut = lambda one, other: (one.name < 2) != (other.name < 2)
    net.run(16)
    left, right = net.nodes[0], net.nodes[3]
    assert left.head != right.head
    before = left.finalized
    assert before == right.finalized
    net.cut = lambda one, other: False
    net.run(20)
    agree(net)
    assert any(node.reorgs for node in net.nodes)
    assert left.stored[left.finalized][0].number > left.stored[before][0].number + 8
    assert all(node.convicted == [] and node.penalties == [] for node in net.nodes)


def test_long_partition_of_one_node_heals_by_range() -> None:
    net = net_of().start()
    net.run(10)
    net.cut = lambda one, other: 3 in (one.name, other.name)
    net.run(150)
    net.cut = lambda one, other: False
    net.run(25)
    agree(net)
    assert {node.finalized for node in net.nodes} == {net.nodes[0].finalized}


def test_half_come_back_after_minutes_without_finality() -> None:
    net = net_of().start()
    net.run(10)
    for node in net.nodes[2:]:
        node.stop()
    net.run(240)
    for node in net.nodes[2:]:
        node.start()
    net.run(14)
    agree(net)
    assert {node.stored[node.finalized][0].number > 100 for node in net.nodes} == {True}


def test_late_follower_catches_up() -> None:
    chain = rules(16, 2)
    net = Net(chain, [*shared_keys(chain, 4), ()])
    for node in net.nodes[:4]:
        node.start()
    net.run(180)
    net.nodes[4].start()
    net.run(8)
    assert net.nodes[4].head == net.nodes[0].head


def test_restart_of_all_goes_on_from_the_disk() -> None:
    net = net_of().start()
    net.run(21)
    heads = {node.head for node in net.nodes}
    finalized = net.nodes[0].finalized
    for node in net.nodes:
        node.stop()
    net.run(3)
    for node in net.nodes:
        node.start()
        assert node.engine.tree.head().header.hash in heads
    net.run(24)
    agree(net)
    for node in net.nodes:
        assert finalized in node.chain(node.finalized)
        assert node.stored[node.finalized][0].number > node.stored[finalized][0].number + 8


def test_a_node_that_lost_its_disk_signs_nothing_that_convicts_it() -> None:
    net = net_of().start()
    net.run(21)
    wiped = net.nodes[3]
    signed_before = list(wiped.log)
    wiped.stop()
    wiped.stored = {GENESIS.hash: (GENESIS, b"")}
    wiped.head = wiped.safe = wiped.finalized = GENESIS.hash
    wiped.log = []
    boot_epoch = net.rules.epoch(net.rules.slot_at(net.at.wall_ms))
    wiped.start()
    net.run(30)
    agree(net)
    assert wiped.log, "it signs again after a while"
    assert all(net.rules.epoch(message.at_slot) >= boot_epoch + 2 for message in wiped.log)
    assert not net.nodes[0].convicted
    guard = SlashingProtection(signed_before)
    for message in wiped.log:
        assert guard.refusal(message) == ""
        guard.signed(message)


def test_crashes_in_turn_never_make_a_key_contradict_itself() -> None:
    net = net_of().start()
    for round_number in range(12):
        net.run(2)
        node = net.nodes[round_number % 4]
        node.stop()
        if round_number % 3:
            net.run(1)
        node.start()
    net.run(16)
    agree(net)
    assert all(node.convicted == [] for node in net.nodes)
    assert net.nodes[0].stored[net.nodes[0].finalized][0].number > 20


# --- faults ----------------------------------------------------------------------------------------


def propose_twice(net: Net, node: Node) -> Address:
    """Before its turn comes a proposer's second block for the slot is sent; returns the proposer."""
    original = node.sign

    def sign(draft: object) -> None:
        original(draft)
        if isinstance(draft, SignedBlock) and not culprits:
            twin = replace(draft, block=replace(draft.block, header=replace(draft.block.header, extra_data=b"twin")))
            object.__setattr__(twin.block.header, "_hash", None)
            culprits.append(draft.validator)
            net.send(node, None, signed(twin, net.rules))

    culprits: list[Address] = []
    node.sign = sign  # type: ignore[method-assign]
    while not culprits:
        net.run(1)
    node.sign = original  # type: ignore[method-assign]
    return culprits[0]


def test_double_proposer_is_convicted_slashed_and_leaves() -> None:
    net = net_of().start()
    net.run(6)
    culprit = propose_twice(net, net.nodes[1])
    net.run(16)
    agree(net)
    index = net.rules.index_of(culprit)
    for node in net.nodes:
        if node.name != 1:
            assert (culprit, "double proposal") in node.convicted
        head = node.engine.tree.head()
        assert [one for one, _ in head.state.exits] == [index]
        epoch = node.engine.tree.store.epoch
        assert index not in node.engine.tree.duties(head.header.hash, epoch).active
        shown = json.loads(json.dumps(node.engine.inspect()))
        assert shown["slashed"] == ["0x" + culprit.hex()]
    assert {validator for node in net.nodes for validator, _ in node.convicted} == {culprit}
    assert net.nodes[0].stored[net.nodes[0].finalized][0].number >= 12


def test_double_voter_is_convicted_and_its_votes_weigh_nothing() -> None:
    net = net_of().start()
    net.run(7)
    node = net.nodes[2]
    vote = next(one for one in reversed(node.log) if isinstance(one, Attestation))
    net.send(node, None, signed(replace(vote, head=GENESIS.hash), net.rules))
    net.run(12)
    agree(net)
    index = net.rules.index_of(vote.validator)
    for other in net.nodes:
        assert index in other.engine.tree.store.equivocating
        assert [one for one, _ in other.engine.tree.head().state.exits] == [index]
        assert {validator for validator, _ in other.convicted} <= {vote.validator}


def test_an_invalid_block_is_refused_and_the_chain_goes_on() -> None:
    net = net_of()
    net.extra = lambda node: b"bad" if node.name == 0 else b""
    net.start()
    net.run(24)
    good = net.nodes[1:]
    assert len({node.head for node in good}) == 1
    assert all("bad root" in node.refused and node.penalties == [] for node in good)
    assert good[0].stored[good[0].finalized][0].number > 3
    assert all(block.header.extra_data != b"bad" for block, _ in good[0].canonical())


def test_blocks_out_of_turn_or_of_the_future_are_refused() -> None:
    net = net_of().start()
    net.run(5)
    node, other = net.nodes[0], net.nodes[1]
    head = node.stored[node.head][0].header
    slot = net.rules.slot_at(net.at.wall_ms)
    turn = node.engine.tree.duties(node.head, net.rules.epoch(slot)).proposer(slot)
    stranger = net.rules.validators.addresses[(turn + 1) % 16]
    parent = node.stored[head.parent_hash][0].header
    body = Body(slot, stranger)
    net.send(other, node.peer, signed(SignedBlock(block_of(net.rules, parent, body), body), net.rules))
    body = Body(slot + 5, stranger)
    net.send(other, node.peer, signed(SignedBlock(block_of(net.rules, head, body), body), net.rules))
    net.run(3)
    assert any("turn" in why for why in node.refused)
    assert node.penalties == []
    agree(net)


def test_garbage_never_raises() -> None:
    engine = PosEngine(rules(4, 2), (address(0),))
    net = net_of()
    assert engine.handle(TimerFired(net.at, TimerKey("slot"))) == []
    started = Started(net.at, GENESIS.header, finalized=GENESIS.header, blocks=((GENESIS, b""), (GENESIS, b"\x01")))
    engine.handle(started)
    assert engine.inspect()["step"] == "running"
    other = block_of(engine.rules, GENESIS.header, Body(1, address(0)))
    effects = PosEngine(rules(4, 2)).handle(Started(net.at, other.header, blocks=((other, b"junk"),)))
    assert [effect.level for effect in effects if isinstance(effect, Note)] == ["error"]


def test_watch_only_nodes_sign_nothing() -> None:
    engine = PosEngine(rules(1, 2), rules(1, 2).validators.addresses)
    net = net_of()
    engine.handle(Started(net.at, GENESIS.header, blocks=((GENESIS, b""),), watch_only="a damaged log"))
    net.now = 1000
    effects = engine.handle(TimerFired(net.at, TimerKey("slot")))
    assert not any(type(effect).__name__ in ("BuildPayload", "SignAndPublish") for effect in effects)
    assert engine.inspect()["watchOnly"] == "a damaged log"


# --- P23: nothing incremental may drift ------------------------------------------------------------


class CheckedNet(Net):
    """After every event: weights by the definition, states replayed from the bodies."""

    checks = 0

    def check_weights(self, tree: BlockTree) -> None:
        self.checks += 1
        if self.checks % 7:
            return
        store = tree.store
        weights = store._weights_of(store.finality.justified)
        for root, node in store.nodes.items():
            voted = sum(
                weights.balances.get(index, 0)
                for index, vote in store.latest_votes.items()
                if index not in store.equivocating
                and vote.root in store.nodes
                and store.ancestor(vote.root, node.slot) == root
            )
            boosted = store.boost_root is not None and store.ancestor(store.boost_root, node.slot) == root
            assert store.subtree_weights()[root] == voted + (weights.boost if boosted else 0)
        for root, block in tree.blocks.items():
            assert decode_state(block.state.encode()) == block.state
            if block.signed is not None and block.header.parent_hash in tree:
                parent = tree.blocks[block.header.parent_hash]
                again: ChainState = tree.transition.apply(parent.state, parent.header, block.signed)
                assert again == block.state
                assert tree.transition.unrealized(again, block.header.hash) == store.nodes[root].unrealized


def test_weights_and_states_recomputed_from_scratch() -> None:
    chain = rules(12, 3, weight=3)
    net = CheckedNet(chain, shared_keys(chain, 4))
    net.start()
    net.run(8)
    propose_twice(net, net.nodes[1])
    net.cut = lambda one, other: (one.name < 2) != (other.name < 2)
    net.run(5)
    net.cut = lambda one, other: False
    net.run(12)
    assert net.checks > 1000
    agree(net)


def test_evidence_of_strangers_is_hostile() -> None:
    net = net_of().start()
    net.run(2)
    vote = next(one for one in net.nodes[0].log if isinstance(one, Attestation))
    stranger = replace(vote, validator=Address(bytes(20)))
    triage = net.nodes[0].engine.triage
    assert triage(Slashing(stranger, replace(stranger, head=GENESIS.hash))).hostile
    assert triage(stranger).hostile
    assert not triage(vote).wanted


def _first_duty(new_log: bool, boot_slot: int) -> int:
    """The slot in which a lone validator of everything acts first."""
    the_rules = rules(1, 2)
    engine, net = PosEngine(the_rules, the_rules.validators.addresses), net_of()
    net.now = boot_slot * 1000 + 10
    engine.handle(Started(net.at, GENESIS.header, new_log=new_log, blocks=((GENESIS, b""),)))
    for slot in range(boot_slot + 1, boot_slot + 12):
        net.now = slot * 1000
        effects = engine.handle(TimerFired(net.at, TimerKey("slot")))
        if any(type(effect).__name__ in ("BuildPayload", "SignAndPublish") for effect in effects):
            return slot
    raise AssertionError("it never acts")


def test_a_new_log_in_an_old_chain_keeps_its_key_quiet_for_two_epochs() -> None:
    assert _first_duty(new_log=False, boot_slot=21) == 22
    assert _first_duty(new_log=True, boot_slot=21) == 24
    assert _first_duty(new_log=True, boot_slot=3) == 4, "a young chain: every log is new"
