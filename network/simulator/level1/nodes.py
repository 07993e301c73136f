"""One simulated validator of the bft engine: its engine, signer and log over a disk that survives crashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from network.simulator.level1.machine import LogDisk, Machine, Outside, PowerCut, TagKey
from network.simulator.level1.payloads import execute, genesis_block, make_block, make_raw_block
from node.consensus.bft.core import BftEngine, BftSettings
from node.consensus.bft.messages import Decided, Proposal, Statement, decode
from node.consensus.bft.seals import decode_seal
from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    Decide,
    Effect,
    ExecutePayload,
    Input,
    SendDecided,
    Started,
    TrustLog,
)
from node.consensus.journal import Journal, mark_new_keys
from node.consensus.signer import Signer, ValidatorKey
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address, Hash32
from node.storage.database import DatabaseFull
from node.types.blocks import Block

SEALS_MAX: Final = 32


class BftOutside(Outside, Protocol):
    """What a bft validator needs of its world."""

    def build(self, node: SimNode, effect: BuildPayload) -> None:
        """Answer with PayloadBuilt later."""
        ...

    def execute(self, node: SimNode, effect: ExecutePayload) -> None:
        """Answer with PayloadStatus later."""
        ...

    def decided(self, node: SimNode, block: Block) -> None:
        """For the judge."""
        ...

    def said(self, node: SimNode, statement: Statement) -> None:
        """For the judge: a statement leaves its signer."""
        ...


EngineFactory = Callable[[ValidatorSet, Address, BftSettings, int], BftEngine]


class SimNode(Machine):
    """An instance of a validator. Twins are two instances with one key."""

    engine: BftEngine
    signer: Signer
    outside: BftOutside

    def __init__(
        self,
        name: bytes,
        key: ValidatorKey,
        validators: ValidatorSet,
        settings: BftSettings,
        genesis: Block,
        outside: BftOutside,
        factory: EngineFactory = BftEngine,
        skew_ms: int = 0,
    ) -> None:
        super().__init__(name, skew_ms, LogDisk(), outside)
        self.key = key
        self.validators = validators
        self.settings = settings
        self.chain: list[tuple[Block, bytes]] = [(genesis, b"")]
        self._factory = factory
        self._seals: dict[bytes, Decided] = {}

    def lose_disk(self) -> None:
        """Blocks and log are gone."""
        self.disk.wipe()
        del self.chain[1:]

    def start_engine(self) -> Input:
        """Engine, signer and log, from what the disk holds."""
        head = self.chain[-1][0]
        genesis_hash = self.chain[0][0].hash
        if self.life == 1:
            mark_new_keys(self.disk)
        journal = Journal(self.disk, genesis_hash, self.key.address, head.number, adopt_missing=True)
        domain = _Domain(1, genesis_hash)
        self.journal = journal
        self.signer = Signer(self.key, domain, journal, decode, head.number)
        seed = int.from_bytes(self.name, "big") * 7919 + self.life
        self.engine = self._factory(self.validators, self.key.address, self.settings, seed)
        return Started(self.moment(), head.header, journal.records, journal.is_new, journal.damage)

    def build(self, effect: BuildPayload) -> None:
        """Have a block built."""
        self.outside.build(self, effect)

    def perform_own(self, effect: Effect) -> None:
        """Execute, decide, send what is decided."""
        if isinstance(effect, ExecutePayload):
            self.outside.execute(self, effect)
        elif isinstance(effect, Decide):
            self.chain.append((effect.block, effect.seal))
            self.signer.decided(effect.block.number)
            self.outside.decided(self, effect.block)
        elif isinstance(effect, TrustLog):
            try:
                self.journal.trust()
            except (PowerCut, DatabaseFull):
                self.die()
        elif isinstance(effect, SendDecided):
            for block, seal in self.chain[effect.first : effect.last + 1]:
                self.outside.send(self, effect.peer, self.decided(block, seal))

    def decided(self, block: Block, seal: bytes) -> Decided:
        """Decoded once: a seal is sent to many, and has as many signatures as there are validators."""
        held = self._seals.get(block.hash)
        if held is None:
            held = self._seals[block.hash] = decode_seal(block, seal)
            if len(self._seals) > SEALS_MAX:
                del self._seals[next(iter(self._seals))]
        return held

    def leave(self, message: ConsensusMessage) -> None:
        """Tell the judge of a statement of this validator's."""
        statement = message.statement if isinstance(message, Proposal) else message
        if isinstance(statement, Statement) and statement.validator == self.key.address:
            self.outside.said(self, statement)


class _Domain:
    def __init__(self, chain_id: int, genesis_hash: Hash32) -> None:
        self.chain_id = chain_id
        self.genesis_hash = genesis_hash


__all__ = [
    "EngineFactory",
    "LogDisk",
    "SimNode",
    "TagKey",
    "execute",
    "genesis_block",
    "make_block",
    "make_raw_block",
]
