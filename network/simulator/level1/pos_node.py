"""One simulated node of the pos engine: engine, signer, log and stored blocks; several validators' keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from network.simulator.level1.machine import LogDisk, Machine, Outside, PowerCut, TagKey
from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    Effect,
    ExecutePayload,
    Forkchoice,
    Input,
    LogRecord,
    Note,
    SendDecided,
    Started,
    StoreBlock,
)
from node.consensus.journal import Journal
from node.consensus.pos.core import PosEngine
from node.consensus.pos.messages import Attestation, SignedBlock, decode
from node.consensus.pos.protection import SlashingProtection
from node.consensus.pos.rules import PosRules
from node.consensus.pos.seals import decode_seal
from node.consensus.signer import ProtectedSigner
from node.primitives.scalars import Address
from node.storage.database import DatabaseFull
from node.types.blocks import Block

Said = SignedBlock | Attestation


class PosDisk(LogDisk):
    """Remembers every message that ever became durable on it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[bytes, None] = {}

    def note(self, record: LogRecord) -> None:
        """A record has become durable."""
        self.messages[record.message] = None


class PosOutside(Outside, Protocol):
    """What a pos node needs of its world."""

    def build(self, node: PosNode, effect: BuildPayload) -> None:
        """Answer with PayloadBuilt later."""
        ...

    def execute(self, node: PosNode, block: Block) -> None:
        """Answer with PayloadStatus later."""
        ...

    def stored(self, node: PosNode, block: Block) -> None:
        """For the judge: a block that execution found valid."""
        ...

    def moved(self, node: PosNode, head: bytes, safe: bytes, finalized: bytes) -> None:
        """For the judge: the marks are about to move. The node still has its old ones."""
        ...

    def said(self, node: PosNode, message: Said) -> None:
        """For the judge: a statement leaves its signer."""
        ...

    def mistake(self, node: PosNode, note: Note) -> None:
        """The engine reports an error of its own."""
        ...


EngineFactory = Callable[[PosRules, Sequence[Address]], PosEngine]


class PosNode(Machine):
    """A node with the keys of some validators."""

    engine: PosEngine
    disk: PosDisk
    signer: ProtectedSigner
    outside: PosOutside

    def __init__(
        self,
        name: bytes,
        keys: Sequence[Address],
        rules: PosRules,
        genesis: Block,
        outside: PosOutside,
        factory: EngineFactory = PosEngine,
        skew_ms: int = 0,
    ) -> None:
        super().__init__(name, skew_ms, PosDisk(), outside)
        self.keys = dict.fromkeys(keys)
        self.rules = rules
        self.genesis = genesis
        self.blocks: dict[bytes, tuple[Block, bytes]] = {genesis.hash: (genesis, b"")}
        self.head = self.safe = self.finalized = bytes(genesis.hash)
        self.final: list[bytes] = [genesis.hash]
        """Hash of the final block at each height."""
        self._factory = factory

    def lose_disk(self) -> None:
        """Blocks and log are gone."""
        self.disk.wipe()
        self.blocks = {self.genesis.hash: (self.genesis, b"")}
        self.head = self.safe = self.finalized = bytes(self.genesis.hash)
        self.final = [self.genesis.hash]

    def header_of(self, root: bytes) -> Block:
        """A stored block."""
        return self.blocks[root][0]

    def chain(self, root: bytes) -> Iterator[Block]:
        """A stored block and its ancestors, downwards."""
        while True:
            block = self.blocks[root][0]
            yield block
            if not block.number:
                return
            root = block.header.parent_hash

    # --- Machine ---------------------------------------------------------------------------------

    def start_engine(self) -> Input:
        """Engine, signer and log, from what the disk holds."""
        head = self.header_of(self.head)
        keys = [TagKey(address) for address in self.keys]
        genesis_hash = self.genesis.hash
        journal = Journal(self.disk, genesis_hash, list(self.keys), head.number, adopt_missing=True)
        self.signer = ProtectedSigner(keys, self.rules, journal, SlashingProtection(), decode)
        self.engine = self._factory(self.rules, list(self.keys))
        finalized = self.header_of(self.finalized)
        above = sorted(
            (pair for pair in self.blocks.values() if pair[0].number > finalized.number), key=lambda one: one[0].number
        )
        return Started(
            self.moment(),
            head.header,
            journal.records,
            journal.is_new,
            journal.damage,
            finalized.header,
            (self.blocks[self.finalized], *above),
        )

    def build(self, effect: BuildPayload) -> None:
        """Have a block built."""
        self.outside.build(self, effect)

    def perform_own(self, effect: Effect) -> None:
        """Execute, store, move the marks, send what is final."""
        if isinstance(effect, ExecutePayload):
            self.outside.execute(self, effect.block)
        elif isinstance(effect, StoreBlock):
            self.outside.stored(self, effect.block)
            self.blocks[effect.block.hash] = (effect.block, effect.seal)
        elif isinstance(effect, Forkchoice):
            self._move(effect)
        elif isinstance(effect, SendDecided):
            for root in self.final[effect.first : effect.last + 1]:
                self.outside.send(self, effect.peer, decode_seal(*self.blocks[root])[0])
        elif isinstance(effect, Note) and effect.level == "error":
            self.outside.mistake(self, effect)

    def leave(self, message: ConsensusMessage) -> None:
        """Tell the judge of a statement of these validators'."""
        if isinstance(message, SignedBlock | Attestation) and message.validator in self.keys:
            self.outside.said(self, message)

    def _move(self, effect: Forkchoice) -> None:
        head, safe, finalized = bytes(effect.head), bytes(effect.safe), bytes(effect.finalized)
        self.outside.moved(self, head, safe, finalized)
        if finalized != self.finalized:
            new: list[bytes] = []
            for block in self.chain(finalized):
                if block.number < len(self.final):
                    break
                new.append(block.hash)
            self.final.extend(reversed(new))
        self.head, self.safe, self.finalized = head, safe, finalized
        try:
            self.signer.decided(0)
        except (PowerCut, DatabaseFull):
            self.die()
