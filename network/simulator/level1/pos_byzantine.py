"""What a liar of the pos engine does to the messages that leave it, one message and one peer at a time."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final, Protocol

from network.faults.vocabulary import FaultAction
from network.simulator.level1.payloads import INVALID_PAYLOAD, make_pos_block
from network.simulator.level1.pos_node import PosNode
from node.consensus.engine import ConsensusMessage
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.messages import Attestation, SignedBlock
from node.crypto.hashes import keccak256

_REPLAYED_MAX: Final = 64
_MADE_MAX: Final = 64


class Carrier(Protocol):
    """What a liar needs of the world besides its own node."""

    def carry(self, node: PosNode, target: PosNode, message: ConsensusMessage, later_ms: int = 0) -> None:
        """Hand a message to the link."""
        ...


class PosLiar:
    """Rewrites messages of Byzantine nodes, as the faults say that are on for them."""

    def __init__(self, chance: random.Random, carrier: Carrier) -> None:
        self._chance = chance
        self._carrier = carrier
        self._old: list[ConsensusMessage] = []
        self._made: dict[tuple[str, bytes], SignedBlock] = {}

    def _told(self, node: PosNode, kind: str) -> FaultAction | None:
        """The lie of that kind that is on, when it is told this time."""
        for lie in node.lies:
            if lie.kind == kind:
                return lie if self._chance.random() < lie.share() else None
        return None

    def rewrite(self, node: PosNode, target: PosNode, message: ConsensusMessage) -> ConsensusMessage | None:
        """The message that really leaves; None withholds it."""
        if isinstance(message, SignedBlock) and message.validator in node.keys:
            return self._block(node, target, message)
        if isinstance(message, Attestation) and message.validator in node.keys:
            return self._vote(node, message)
        if self._old and self._told(node, "stale-replay") is not None:
            self._carrier.carry(node, target, self._chance.choice(self._old))
        return message

    def _keep(self, message: ConsensusMessage) -> None:
        if self._chance.random() < 0.1:
            self._old.append(message)
            del self._old[:-_REPLAYED_MAX]

    # --- blocks ----------------------------------------------------------------------------------

    def _block(self, node: PosNode, target: PosNode, message: SignedBlock) -> SignedBlock | None:
        self._keep(message)
        withheld = self._told(node, "withheld-block")
        if withheld is not None:
            late_ms = withheld.number("late_ms")
            if late_ms:
                self._carrier.carry(node, target, message, late_ms)
            return None
        if self._told(node, "wrong-state-root") is not None:
            return self._other(node, message, "wrong-state-root")
        if self._told(node, "invalid-transaction") is not None:
            return self._other(node, message, "invalid-transaction")
        if self._told(node, "equivocating-proposer") is not None and self._chance.random() < 0.5:
            return self._other(node, message, "equivocating-proposer")
        return message

    def _other(self, node: PosNode, message: SignedBlock, kind: str) -> SignedBlock:
        """Another block for the same slot; the same one whenever it is asked for again."""
        key = (kind, bytes(message.block.hash))
        if key in self._made:
            return self._made[key]
        header = message.block.header
        payload, root = b"other" + header.extra_data[:20], None
        if kind == "invalid-transaction":
            payload = INVALID_PAYLOAD + header.extra_data[:20]
        elif kind == "wrong-state-root":
            payload, root = header.extra_data, keccak256(b"wrong" + header.state_root)
        parent = node.blocks.get(header.parent_hash)
        if parent is None:
            return message
        block = make_pos_block(parent[0].header, header.timestamp, header.prev_randao, message.body.root, payload, root)
        made = SignedBlock(block, message.body, message.signature)
        self._made[key] = made
        if len(self._made) > _MADE_MAX:
            del self._made[next(iter(self._made))]
        return made

    # --- votes -----------------------------------------------------------------------------------

    def _vote(self, node: PosNode, vote: Attestation) -> Attestation | None:
        self._keep(vote)
        if self._told(node, "silent-voter") is not None:
            return None
        if self._told(node, "double-vote") is not None and self._chance.random() < 0.5:
            return self._other_vote(node, vote)
        if self._told(node, "surround-vote") is not None:
            return self._surrounding(vote)
        return vote

    def _other_vote(self, node: PosNode, vote: Attestation) -> Attestation:
        """For another block of the tree, or for the parent of the voted one."""
        tree = node.engine.tree
        slot = vote.at_slot
        known = [root for root, block in tree.blocks.items() if root != vote.head and block.state.slot <= slot]
        if not known:
            return vote
        other = tree.vote(self._chance.choice(known[-4:]), slot)
        return replace(other, validator=vote.validator, signature=vote.signature)

    def _surrounding(self, vote: Attestation) -> Attestation:
        """An older source: its link reaches over those of earlier votes."""
        if vote.source.epoch < 2:
            return vote
        source = Checkpoint(vote.source.epoch - 1 - self._chance.randrange(2), vote.source.root)
        return replace(vote, source=source)
