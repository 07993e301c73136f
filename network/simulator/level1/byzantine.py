"""What a liar of the bft engine does to the messages that leave it, one message and one peer at a time."""

from __future__ import annotations

import random
from typing import Final

from network.simulator.level1.nodes import SimNode
from network.simulator.level1.payloads import INVALID_PAYLOAD, make_raw_block
from node.consensus.bft.messages import NIL, NONE, Kind, Proposal, Statement, Status
from node.consensus.engine import ConsensusMessage
from node.consensus.proposal_fields import next_timestamp, prev_randao
from node.crypto.hashes import keccak256
from node.primitives.scalars import Hash32
from node.types.blocks import Block

_REPLAYED_MAX: Final = 64


class Liar:
    """Rewrites messages of Byzantine nodes, as the faults say that are on for them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._seen: list[tuple[int, Hash32]] = []
        self._old: list[ConsensusMessage] = []

    def saw(self, block: Block) -> None:
        """Remember a block hash to vote for at a bad time."""
        self._seen.append((block.number, block.hash))
        del self._seen[:-8]

    def _share(self, node: SimNode, kind: str) -> bool:
        """Whether a lie that is on is told this time."""
        share = max((lie.share() for lie in node.lies if lie.kind == kind), default=0.0)
        return share > 0 and self._chance.random() < share

    def rewrite(self, node: SimNode, message: ConsensusMessage) -> ConsensusMessage | None:
        """The message that really leaves; None withholds it."""
        if isinstance(message, Proposal):
            return self._proposal(node, message)
        if isinstance(message, Statement):
            self._keep(message)
            if self._share(node, "silent-voter"):
                return None
            return self._vote(node, message) if self._share(node, "double-vote") else message
        if isinstance(message, Status):
            if self._old and self._share(node, "stale-replay"):
                return self._chance.choice(self._old)
            if self._share(node, "equivocating-proposer") and self._chance.random() < 0.5:
                return self._fresh(node, self._other_block(node), node.engine.machine.round)
        return message

    def _keep(self, message: ConsensusMessage) -> None:
        if self._chance.random() < 0.1:
            self._old.append(message)
            del self._old[:-_REPLAYED_MAX]

    def _proposal(self, node: SimNode, message: Proposal) -> Proposal | None:
        self._keep(message)
        if self._share(node, "withheld-block"):
            return None
        if self._share(node, "wrong-state-root"):
            message = self._spoiled(node, message, message.block.header.extra_data, wrong_root=True)
        if self._share(node, "invalid-transaction"):
            message = self._spoiled(node, message, INVALID_PAYLOAD + message.block.header.extra_data[:20])
        return self._equivocated(node, message) if self._share(node, "equivocating-proposer") else message

    def _signed(self, node: SimNode, statement: Statement) -> Statement:
        return statement.signed(node.key.sign(b""))

    def _spoiled(self, node: SimNode, message: Proposal, payload: bytes, wrong_root: bool = False) -> Proposal:
        header = message.block.header
        root = keccak256(b"wrong" + header.state_root) if wrong_root else None
        parent = node.chain[-1][0].header
        block = make_raw_block(parent, header.timestamp, header.prev_randao, payload, header.coinbase, root)
        if block.number != message.height:
            return message
        return self._fresh(node, block, message.round)

    def _fresh(self, node: SimNode, block: Block, round_number: int) -> Proposal:
        statement = Statement(Kind.PROPOSAL, block.number, round_number, block.hash, NONE, node.key.address)
        return Proposal(self._signed(node, statement), block)

    def _vote(self, node: SimNode, vote: Statement) -> Statement:
        choice = self._chance.randrange(1, 5)
        known = [block_hash for number, block_hash in self._seen if number == vote.height]
        kind, round_number, block_hash, valid_round = vote.kind, vote.round, vote.block_hash, vote.valid_round
        if choice == 1:
            block_hash = self._chance.choice(known) if known else NIL
            valid_round = self._chance.choice((NONE, valid_round, vote.round - 1))
        elif choice == 2:
            block_hash = NIL
        elif choice == 3:
            round_number = max(0, vote.round + self._chance.choice((-1, 1)))
        else:
            kind = Kind.PREVOTE if vote.kind is Kind.PRECOMMIT else Kind.PRECOMMIT
        if not block_hash or kind is Kind.PRECOMMIT or valid_round >= round_number:
            valid_round = NONE
        return self._signed(node, Statement(kind, vote.height, round_number, block_hash, valid_round, node.key.address))

    def _other_block(self, node: SimNode) -> Block:
        parent = node.chain[-1][0].header
        timestamp = next_timestamp(parent, node.moment().wall_ms)
        payload = b"lie" + self._chance.randbytes(4)
        block = make_raw_block(parent, timestamp, prev_randao(parent.hash), payload, node.key.address)
        self.saw(block)
        return block

    def _equivocated(self, node: SimNode, message: Proposal) -> Proposal:
        choice = self._chance.randrange(1, 4)
        block = self._other_block(node)
        if block.number != message.height:
            return message
        if choice == 1:
            return self._fresh(node, block, message.round)
        if choice == 2:
            return self._fresh(node, block, message.round + 1)
        statement = Statement(
            Kind.PROPOSAL, message.height, message.round, block.hash, message.valid_round, node.key.address
        )
        return Proposal(self._signed(node, statement), block, message.polka)
