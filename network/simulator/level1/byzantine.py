"""What a liar does to the messages that leave it: small lies at the right time, and large ones."""

from __future__ import annotations

import random

from network.simulator.level1.nodes import SimNode, make_raw_block
from node.consensus.bft.messages import NIL, NONE, Kind, Proposal, Statement, Status
from node.consensus.engine import ConsensusMessage
from node.consensus.proposal_fields import next_timestamp, prev_randao
from node.crypto.hashes import keccak256
from node.primitives.scalars import Hash32
from node.types.blocks import Block


class Liar:
    """Rewrites messages of Byzantine nodes. ``lie_rate``: share of messages touched; ``wrong_roots``: of proposals."""

    def __init__(self, chance: random.Random, lie_rate: float, wrong_roots: float) -> None:
        self._chance = chance
        self._lie_rate = lie_rate
        self._wrong_roots = wrong_roots
        self._seen: list[tuple[int, Hash32]] = []

    def saw(self, block: Block) -> None:
        """Remember a block hash to vote for at a bad time."""
        self._seen.append((block.number, block.hash))
        del self._seen[:-8]

    def rewrite(self, node: SimNode, message: ConsensusMessage) -> ConsensusMessage | None:
        """The message that really leaves; None withholds it."""
        if isinstance(message, Proposal) and self._chance.random() < self._wrong_roots:
            message = self._wrong_root(node, message)
        if self._chance.random() >= self._lie_rate:
            return message
        if isinstance(message, Statement):
            return self._vote(node, message)
        if isinstance(message, Proposal):
            return self._proposal(node, message)
        if isinstance(message, Status) and self._chance.random() < 0.5:
            return self._out_of_turn(node)
        return message

    def _signed(self, node: SimNode, statement: Statement) -> Statement:
        return statement.signed(node.key.sign(b""))

    def _wrong_root(self, node: SimNode, message: Proposal) -> Proposal:
        header = message.block.header
        block = make_raw_block(
            node.chain[-1][0].header,
            header.timestamp,
            header.prev_randao,
            header.extra_data,
            header.coinbase,
            keccak256(b"wrong" + header.state_root),
        )
        if block.number != message.height:
            return message
        return self._fresh(node, block, message.round)

    def _fresh(self, node: SimNode, block: Block, round_number: int) -> Proposal:
        statement = Statement(Kind.PROPOSAL, block.number, round_number, block.hash, NONE, node.key.address)
        return Proposal(self._signed(node, statement), block)

    def _vote(self, node: SimNode, vote: Statement) -> Statement | None:
        choice = self._chance.randrange(5)
        if choice == 0:
            return None
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
        timestamp = next_timestamp(parent, node.outside.wall_ms(node))
        payload = b"lie" + self._chance.randbytes(4)
        block = make_raw_block(parent, timestamp, prev_randao(parent.hash), payload, node.key.address)
        self.saw(block)
        return block

    def _proposal(self, node: SimNode, message: Proposal) -> Proposal | None:
        choice = self._chance.randrange(4)
        if choice == 0:
            return None
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

    def _out_of_turn(self, node: SimNode) -> Proposal:
        return self._fresh(node, self._other_block(node), node.engine.machine.round)
