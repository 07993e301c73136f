"""One simulated validator: the node's own engine, signer and log over a disk that survives crashes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from node.consensus.bft.core import BftEngine, BftSettings
from node.consensus.bft.messages import Proposal, Statement, decode
from node.consensus.bft.seals import decode_seal
from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    Decide,
    Effect,
    ExecutePayload,
    Input,
    LogRecord,
    MessageReceived,
    Moment,
    Publish,
    SendDecided,
    SendTo,
    SetTimer,
    SignAndPublish,
    Started,
    TimerKey,
)
from node.consensus.journal import Journal, decode_record
from node.consensus.signer import RefusedToSign, Signer, ValidatorKey
from node.consensus.validators import ValidatorSet
from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives.scalars import ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from node.storage import schema
from node.storage.database import Batch, MemoryDatabase
from node.types.blocks import Block, Header

_EMPTY_BLOOM = b"\x00" * 256


class TagKey:
    """Signs with a tag: fast, and nobody in the simulator forges it."""

    __slots__ = ("_tag", "address")

    def __init__(self, address: Address) -> None:
        self.address: Address = address
        self._tag = address + bytes(45)

    def sign(self, digest: bytes) -> bytes:
        """The tag."""
        return self._tag


def execute(parent_root: Hash32, payload: bytes) -> Hash32:
    """The simulator's EVM: a state root is a hash of the one before and of the payload."""
    return keccak256(parent_root + payload)


def make_block(parent: Header, effect: BuildPayload, payload: bytes, coinbase: Address) -> Block:
    """A block whose payload rides in ``extra_data``."""
    return make_raw_block(parent, effect.timestamp, effect.prev_randao, payload, coinbase)


def make_raw_block(
    parent: Header, timestamp: int, prev_randao: Hash32, payload: bytes, coinbase: Address, root: Hash32 | None = None
) -> Block:
    """A block with any root; None gives the right one."""
    header = Header(
        parent_hash=parent.hash,
        coinbase=coinbase,
        state_root=execute(parent.state_root, payload) if root is None else root,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=_EMPTY_BLOOM,
        number=parent.number + 1,
        gas_limit=30_000_000,
        gas_used=0,
        timestamp=timestamp,
        extra_data=payload,
        prev_randao=prev_randao,
    )
    return Block(header, (), (), None)


def genesis_block() -> Block:
    """Block 0 of every simulated chain."""
    header = Header(
        parent_hash=ZERO_HASH,
        coinbase=ZERO_ADDRESS,
        state_root=keccak256(b"genesis"),
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=_EMPTY_BLOOM,
        number=0,
        gas_limit=30_000_000,
        gas_used=0,
        timestamp=1_700_000_000,
        prev_randao=ZERO_HASH,
    )
    return Block(header, (), (), None)


class LogDisk(MemoryDatabase):
    """The consensus log's disk. Remembers which slots ever became durable on it."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: dict[tuple[int, int, int], None] = {}

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply the batch; note the slots it makes durable."""
        for key, value in batch.entries.items():
            if value is not None and key != schema.consensus_log(0):
                record: LogRecord = decode_record(value)
                self.slots[record.height, record.round, record.kind] = None
        super().write(batch, durable)


class Outside(Protocol):
    """What a node needs of its world."""

    now_ms: int

    def wall_ms(self, node: SimNode) -> int:
        """The node's own, skewed wall clock."""
        ...

    def broadcast(self, node: SimNode, message: ConsensusMessage) -> None:
        """To everybody else."""
        ...

    def send(self, node: SimNode, peer: bytes, message: ConsensusMessage) -> None:
        """To one instance."""
        ...

    def set_timer(self, node: SimNode, key: TimerKey, after_ms: int) -> None:
        """Fire later."""
        ...

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

    def crashed(self, node: SimNode) -> None:
        """The node is down and must be booted again."""
        ...


EngineFactory = Callable[[ValidatorSet, Address, BftSettings, int], BftEngine]


class SimNode:
    """An instance of a validator. Twins are two instances with one key."""

    def __init__(
        self,
        name: bytes,
        key: ValidatorKey,
        validators: ValidatorSet,
        settings: BftSettings,
        genesis: Block,
        outside: Outside,
        factory: EngineFactory = BftEngine,
    ) -> None:
        self.name = name
        self.key = key
        self.validators = validators
        self.settings = settings
        self.outside = outside
        self.disk = LogDisk()
        self.chain: list[tuple[Block, bytes]] = [(genesis, b"")]
        self.alive = False
        self.life = 0
        """Counts boots and crashes: what was on its way to an earlier life is lost."""
        self.crash_after: int | None = None
        """Crash before the effect after so many more."""
        self._factory = factory
        self._effects: deque[Effect] = deque()
        self._own: deque[ConsensusMessage] = deque()

    def boot(self) -> None:
        """Start from what the disk holds."""
        self.alive = True
        self.life += 1
        head = self.chain[-1][0]
        genesis_hash = self.chain[0][0].hash
        journal = Journal(self.disk, genesis_hash, self.key.address, head.number, adopt_missing=True)
        domain = _Domain(1, genesis_hash)
        self.signer = Signer(self.key, domain, journal, decode, head.number)
        seed = int.from_bytes(self.name, "big") * 7919 + self.life
        self.engine = self._factory(self.validators, self.key.address, self.settings, seed)
        self.timers: dict[TimerKey, int] = {}
        self._effects.clear()
        self._own.clear()
        self.handle(Started(self.moment(), head.header, journal.records, journal.is_new, journal.damage))

    def moment(self) -> Moment:
        """Now, by this node's clocks."""
        return Moment(self.outside.now_ms, self.outside.wall_ms(self))

    def hear(self, peer: bytes, message: ConsensusMessage) -> None:
        """A message has arrived."""
        if self.engine.triage(message).wanted:
            self.handle(MessageReceived(self.moment(), peer, message))

    def handle(self, event: Input) -> None:
        """One input, all its effects, and the inputs that they give back."""
        self._effects.extend(self.engine.handle(event))
        while self.alive:
            if self._effects:
                self._perform(self._effects.popleft())
            elif self._own:
                own = self._own.popleft()
                self._effects.extend(self.engine.handle(MessageReceived(self.moment(), None, own)))
            else:
                return

    def _survives(self) -> bool:
        """Whether the next step is still taken; a crash may fall before any of them."""
        if self.crash_after is None:
            return True
        if self.crash_after > 0:
            self.crash_after -= 1
            return True
        self.crash_after = None
        self.alive = False
        self.life += 1
        self.outside.crashed(self)
        return False

    def _perform(self, effect: Effect) -> None:
        if not self._survives():
            return
        if isinstance(effect, SignAndPublish):
            self.sign_and_publish(effect)
        elif isinstance(effect, Publish):
            self._leave(effect.message)
            self.outside.broadcast(self, effect.message)
        elif isinstance(effect, SendTo):
            self._leave(effect.message)
            if effect.peer is None:
                self.outside.broadcast(self, effect.message)
            else:
                self.outside.send(self, effect.peer, effect.message)
        elif isinstance(effect, SetTimer):
            self.outside.set_timer(self, effect.key, effect.after_ms)
        elif isinstance(effect, BuildPayload):
            self.outside.build(self, effect)
        elif isinstance(effect, ExecutePayload):
            self.outside.execute(self, effect)
        elif isinstance(effect, Decide):
            self.chain.append((effect.block, effect.seal))
            self.signer.decided(effect.block.number)
            self.outside.decided(self, effect.block)
        elif isinstance(effect, SendDecided):
            for block, seal in self.chain[effect.first : effect.last + 1]:
                self.outside.send(self, effect.peer, decode_seal(block, seal))

    def sign_and_publish(self, effect: SignAndPublish) -> None:
        """Durable, then sent, then handed back; a crash may fall between."""
        try:
            message = self.signer.sign(effect.draft, effect.proof)
        except RefusedToSign:
            return
        if self._survives():
            self._leave(message)
            self.outside.broadcast(self, message)
            self._own.append(message)

    def _leave(self, message: ConsensusMessage) -> None:
        statement = message.statement if isinstance(message, Proposal) else message
        if isinstance(statement, Statement) and statement.validator == self.key.address:
            self.outside.said(self, statement)


class _Domain:
    def __init__(self, chain_id: int, genesis_hash: Hash32) -> None:
        self.chain_id = chain_id
        self.genesis_hash = genesis_hash
