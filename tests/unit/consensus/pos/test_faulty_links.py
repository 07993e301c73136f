"""Lost, late, repeated and shuffled messages, jumping clocks, hostile bytes: nothing unsafe, and it heals."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from node.consensus.engine import ConsensusMessage, MalformedMessage, MessageReceived, Moment, TimerFired, TimerKey
from node.consensus.pos.messages import Attestation, SignedBlock, decode
from tests.unit.consensus.pos.net import Net, Node, shared_keys
from tests.unit.consensus.pos.scenes import rules, signed


class FaultyNet(Net):
    """Links that lose, delay and repeat until ``calm``."""

    def __init__(self, seed: int, slots_per_epoch: int) -> None:
        chain = rules(12, slots_per_epoch)
        super().__init__(chain, shared_keys(chain, 4))
        self.draw = random.Random(seed)
        self.calm = False

    def send(self, sender: Node, peer: bytes | None, message: ConsensusMessage) -> None:
        if self.calm:
            super().send(sender, peer, message)
            return
        data = message.encode()
        for node in self.nodes:
            if node is sender or not node.up or peer not in (None, node.peer):
                continue
            while self.draw.random() < 0.75:
                self.later(int(self.draw.expovariate(1 / 250)), node, (sender, data))
                if self.draw.random() < 0.8:
                    break


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(3, 8))])
def test_bad_links_are_survived(seed: int) -> None:
    """The nets assert at every step that finality never goes back and the marks lie on one chain."""
    net = FaultyNet(seed, 2 + seed % 3)
    net.start()
    for _ in range(6):
        net.run(5)
        if net.draw.random() < 0.5:
            node = net.nodes[net.draw.randrange(4)]
            node.stop()
            net.run(net.draw.randrange(3))
            node.start()
    net.calm = True
    before = max(node.stored[node.finalized][0].number for node in net.nodes)
    net.run(10 * net.rules.slots_per_epoch)
    assert len({node.head for node in net.nodes}) == 1
    assert len({node.finalized for node in net.nodes}) == 1
    assert net.nodes[0].stored[net.nodes[0].finalized][0].number > before + 3
    assert all(node.convicted == [] and node.penalties == [] for node in net.nodes)
    net.honest_never_contradict_themselves()


def test_a_clock_that_jumps_signs_nothing_slashable_and_is_waited_for() -> None:
    net = Net(rules(12, 2), shared_keys(rules(12, 2), 4)).start()
    net.run(10)
    node = net.nodes[0]
    for jump in (50_000, -8_000, 400, -400, 0):
        at = Moment(net.now, net.rules.genesis_time_ms + net.now + jump)
        for kind in ("slot", "attest"):
            for effect in node.engine.handle(TimerFired(at, TimerKey(kind))):
                node.perform(effect)
    net.run(40)
    assert len({other.head for other in net.nodes[1:]}) == 1
    assert all(other.convicted == [] for other in net.nodes)
    net.honest_never_contradict_themselves()
    assert net.nodes[1].stored[net.nodes[1].finalized][0].number > 20


def test_changed_bytes_from_a_peer_never_raise_and_stay_bounded() -> None:
    net = Net(rules(8, 2), shared_keys(rules(8, 2), 4)).start()
    draw = random.Random(5)
    heard: list[bytes] = []
    original = net.send

    def send(sender: Node, peer: bytes | None, message: ConsensusMessage) -> None:
        heard.append(message.encode())
        original(sender, peer, message)

    net.send = send  # type: ignore[method-assign]
    net.run(6)
    target = net.nodes[0]
    for _ in range(3000):
        data = bytearray(draw.choice(heard))
        for _ in range(draw.randrange(3)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            message = decode(bytes(data))
        except MalformedMessage:
            continue
        # even what triage would stop, and unsigned, as if a validator were the attacker
        target.engine.triage(message)
        for effect in target.engine.handle(MessageReceived(net.at, net.nodes[1].peer, message)):
            target.perform(effect)
    shown = target.engine.inspect()
    assert isinstance(shown["waitingBlocks"], int)
    assert shown["waitingBlocks"] <= 128
    net.run(10)
    assert len({other.head for other in net.nodes[1:]}) == 1


def contradict(net: FaultyNet, node: Node) -> None:
    """Half of what the node signs gets a twin, and every peer hears one of the two."""
    honest = node.sign

    def sign(draft: object) -> None:
        assert isinstance(draft, SignedBlock | Attestation)
        if net.draw.random() < 0.5:
            honest(draft)
            return
        twin: SignedBlock | Attestation
        if isinstance(draft, SignedBlock):
            header = replace(draft.block.header, extra_data=b"twin%d" % net.draw.randrange(99))
            twin = replace(draft, block=replace(draft.block, header=header))
        else:
            twin = replace(draft, head=net.draw.choice(list(node.engine.tree.blocks)))
        for other in net.nodes:
            if other is not node:
                net.send(node, other.peer, signed(draft if net.draw.random() < 0.5 else twin, net.rules))
        message = signed(draft, net.rules)
        net.later(0, node, lambda at: MessageReceived(at, None, message))

    node.sign = sign  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", [0, 1, 5, 9])
def test_a_quarter_that_contradicts_itself_is_survived(seed: int) -> None:
    """Seeds 5 and 9 once stood still for ever: a conviction took back a justification that nodes had adopted."""
    net = FaultyNet(seed, 2 + seed % 3)
    net.start()
    contradict(net, net.nodes[3])
    for _ in range(6):
        net.run(5)
        if net.draw.random() < 0.5:
            alone = net.draw.randrange(3)
            net.cut = lambda one, other, alone=alone: (one.name == alone) != (other.name == alone)  # type: ignore[misc]
            net.run(net.draw.randrange(6))
            net.cut = lambda one, other: False
        if net.draw.random() < 0.4:
            node = net.nodes[net.draw.randrange(3)]
            node.stop()
            net.run(2)
            node.start()
    net.calm = True
    guilty = net.nodes.pop()
    guilty.stop()
    before = max(node.stored[node.finalized][0].number for node in net.nodes)
    net.run(14 * net.rules.slots_per_epoch)
    assert len({node.head for node in net.nodes}) == 1
    assert len({node.finalized for node in net.nodes}) == 1
    assert net.nodes[0].stored[net.nodes[0].finalized][0].number > before
    convicted = {validator for node in net.nodes for validator, _ in node.convicted}
    assert convicted
    assert convicted <= set(guilty.keys)
    net.honest_never_contradict_themselves()
