"""Several pos engines on one heap of events: virtual clocks, links that can be cut, stores that survive a restart.

Blocks carry no transactions and are valid unless their extra data says otherwise; signatures are not checked.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    Effect,
    ExecutePayload,
    Forkchoice,
    Input,
    MessageReceived,
    Moment,
    Note,
    PayloadBuilt,
    PayloadStatus,
    PeerUp,
    Penalise,
    Publish,
    RecordEvidence,
    SendDecided,
    SendTo,
    SetTimer,
    SignAndPublish,
    Started,
    StoreBlock,
    TimerFired,
    TimerKey,
)
from node.consensus.pos.block_tree import BlockTree
from node.consensus.pos.core import PosEngine
from node.consensus.pos.messages import Attestation, SignedBlock, Slashing, conviction, decode
from node.consensus.pos.protection import SlashingProtection
from node.consensus.pos.rules import PosRules
from node.consensus.pos.seals import decode_seal
from node.primitives.scalars import Address
from node.types.blocks import Block
from tests.unit.consensus.pos.scenes import GENESIS, block_of, header, signed

DELAY_MS = 30
WORK_MS = 15


class Node:
    """One engine with its disk: stored blocks, marks, what its keys signed."""

    def __init__(self, net: Net, name: int, keys: tuple[Address, ...]) -> None:
        self.net, self.name, self.keys = net, name, keys
        self.peer = bytes([name]) * 32
        self.stored: dict[bytes, tuple[Block, bytes]] = {GENESIS.hash: (GENESIS, b"")}
        self.head = self.finalized = self.safe = GENESIS.hash
        self.log: list[SignedBlock | Attestation] = []
        self.finalities: list[tuple[int, int]] = []
        self.reorgs: list[int] = []
        self.convicted: list[tuple[Address, str]] = []
        self.recorded: list[bytes] = []
        self.penalties: list[str] = []
        self.refused: list[str] = []
        self.life = 0
        self.up = False

    def start(self) -> None:
        self.up, self.life = True, self.life + 1
        self.timers: dict[TimerKey, int] = {}
        self.guard = SlashingProtection(self.log)
        self.engine = PosEngine(self.net.rules, self.keys)
        finalized = self.stored[self.finalized][0]
        above = [
            pair
            for pair in sorted(self.stored.values(), key=lambda one: one[0].number)
            if pair[0].number > finalized.number
        ]
        blocks = (self.stored[self.finalized], *above)
        head, is_new = self.stored[self.head][0].header, not self.log
        evidence = tuple(self.recorded)
        self.feed(
            Started(self.net.at, head, new_log=is_new, finalized=finalized.header, blocks=blocks, evidence=evidence)
        )
        for other in self.net.nodes:
            if other is not self and other.up:
                self.net.later(1, self, PeerUp(self.net.at, other.peer))
                self.net.later(1, other, PeerUp(self.net.at, self.peer))

    def stop(self) -> None:
        self.up = False

    def feed(self, event: Input) -> None:
        for effect in self.engine.handle(event):
            self.perform(effect)

    def perform(self, effect: Effect) -> None:
        net = self.net
        match effect:
            case SetTimer(key, after_ms):
                self.timers[key] = net.now + after_ms
                net.later(after_ms, self, key)
            case SignAndPublish(draft):
                self.sign(draft)
            case Publish(message) | SendTo(None, message):
                net.send(self, None, message)
            case SendTo(peer, message):
                net.send(self, peer, message)
            case SendDecided(peer, first, last):
                chain = {block.number: (block, seal) for block, seal in self.canonical()}
                for number in range(first, last + 1):
                    net.send(self, peer, decode_seal(*chain[number])[0])
            case BuildPayload():
                body = self.engine._building[effect.request]
                block = block_of(net.rules, self.stored[effect.parent_hash][0].header, body, self.net.extra(self))
                assert (block.header.timestamp, block.header.number) == (effect.timestamp, effect.number)
                net.later(WORK_MS, self, lambda at: PayloadBuilt(at, effect.request, block))
            case ExecutePayload(block):
                valid = block.header.extra_data != b"bad"
                net.later(WORK_MS, self, lambda at: PayloadStatus(at, block.hash, valid, "" if valid else "bad root"))
            case StoreBlock(block, seal):
                assert block.header.parent_hash in self.stored
                self.stored[block.hash] = (block, seal)
            case Forkchoice(head, safe, finalized, _):
                self.move(head, safe, finalized)
            case RecordEvidence(validator, kind, evidence):
                self.convicted.append((validator, kind))
                self.recorded.append(evidence.encode())
            case Penalise(_, _, why):
                self.penalties.append(why)
            case Note("block refused", facts, _):
                self.refused.append(str(facts["why"]))
            case Note(_, _, "error"):
                raise AssertionError(effect)

    def chain(self, root: bytes) -> list[bytes]:
        found = [root]
        while root != GENESIS.hash:
            root = self.stored[root][0].header.parent_hash
            found.append(root)
        return found

    def canonical(self) -> list[tuple[Block, bytes]]:
        return [self.stored[root] for root in reversed(self.chain(self.head))]

    def move(self, head: bytes, safe: bytes, finalized: bytes) -> None:
        chain = self.chain(head)
        assert finalized in chain
        assert safe in chain
        assert self.finalized in self.chain(finalized), "finality went back"
        assert chain.index(safe) <= chain.index(finalized)
        if self.head not in chain:
            self.reorgs.append(next(depth for depth, root in enumerate(self.chain(self.head)) if root in chain))
        if finalized != self.finalized:
            self.finalities.append((self.net.now, self.stored[finalized][0].number))
        self.head, self.safe, self.finalized = head, safe, finalized

    def sign(self, draft: object) -> None:
        assert isinstance(draft, SignedBlock | Attestation)
        assert draft.validator in self.keys
        if self.guard.refusal(draft):
            return
        message = signed(draft, self.net.rules)
        self.guard.signed(message)
        self.log.append(message)
        self.net.send(self, None, message)
        self.net.later(0, self, lambda at: MessageReceived(at, None, message))


class Net:
    """The heap."""

    def __init__(self, rules: PosRules, keys: Iterable[tuple[Address, ...]]) -> None:
        self.rules = rules
        self.now = 0
        self._heap: list[tuple[int, int, Node, int, object]] = []
        self._count = 0
        self.cut: Callable[[Node, Node], bool] = lambda one, other: False
        self.extra: Callable[[Node], bytes] = lambda node: bytes([node.name])
        self.nodes = [Node(self, name, mine) for name, mine in enumerate(keys)]

    @property
    def at(self) -> Moment:
        return Moment(self.now, self.rules.genesis_time_ms + self.now)

    def start(self) -> Net:
        for node in self.nodes:
            node.start()
        return self

    def later(self, after_ms: int, node: Node, what: object) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + after_ms, self._count, node, node.life, what))

    def send(self, sender: Node, peer: bytes | None, message: ConsensusMessage) -> None:
        data = message.encode()
        for node in self.nodes:
            if node is not sender and node.up and peer in (None, node.peer) and not self.cut(sender, node):
                self.later(DELAY_MS, node, (sender, data))

    def run(self, seconds: float) -> None:
        end = self.now + int(seconds * 1000)
        while self._heap and self._heap[0][0] <= end:
            self.now, _, node, life, what = heapq.heappop(self._heap)
            if not node.up or life != node.life:
                continue
            if isinstance(what, TimerKey):
                if node.timers.get(what) == self.now:
                    del node.timers[what]
                    node.feed(TimerFired(self.at, what))
            elif isinstance(what, tuple):
                sender, data = what
                message = decode(data)
                if not self.cut(sender, node) and node.engine.triage(message).wanted:
                    node.feed(MessageReceived(self.at, sender.peer, message))
            elif callable(what):
                node.feed(what(self.at))
            else:
                node.feed(what)  # type: ignore[arg-type]
            self.check_weights(node.engine.tree)
        self.now = end

    def check_weights(self, tree: BlockTree) -> None:
        """Overridden where weights are recomputed by the definition."""

    def honest_never_contradict_themselves(self) -> None:
        for node in self.nodes:
            for index, first in enumerate(node.log):
                for second in node.log[index + 1 :]:
                    if isinstance(first, Attestation) and isinstance(second, Attestation):
                        assert not conviction(Slashing(first, second))


def shared_keys(rules: PosRules, nodes: int) -> list[tuple[Address, ...]]:
    addresses = rules.validators.addresses
    return [tuple(addresses[index] for index in range(len(addresses)) if index % nodes == one) for one in range(nodes)]


__all__ = ["GENESIS", "Net", "Node", "header", "shared_keys"]
