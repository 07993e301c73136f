"""The protocol between an engine and its driver: inputs in, effects out.

An engine is a pure, total state machine. It never reads a clock, file, socket or random source, holds
no key, and iterates over no set: the same inputs give the same effects, byte for byte. The driver
performs the effects strictly in list order; answers (a built payload, an execution result, one's own
signed vote) come back as later inputs. A crash may fall between any two effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block, Header
from node.types.operations import Operation


@dataclass(frozen=True, slots=True)
class Moment:
    """When an input happened, on both clocks (see runtime/clock.py)."""

    monotonic_ms: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class TimerKey:
    """Names a timer. One that fires for a height or round already left is ignored by the engine."""

    kind: str
    height: int = 0
    round: int = 0


class ConsensusMessage(Protocol):
    """Anything an engine sends: it can be written to bytes."""

    def encode(self) -> bytes:
        """The wire form."""
        ...


class Domain(Protocol):
    """What binds signatures to one chain."""

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""
        ...

    @property
    def genesis_hash(self) -> Hash32:
        """Hash of block 0."""
        ...


class Unsigned(ConsensusMessage, Protocol):
    """A message that lacks only its signature."""

    @property
    def validator(self) -> Address:
        """Who signs."""
        ...

    def signing_digest(self, domain: Domain) -> Hash32:
        """What the signature covers."""
        ...

    def signed(self, signature: bytes) -> ConsensusMessage:
        """The complete message."""
        ...


class Draft(Unsigned, Protocol):
    """One that binds its signer. The signer guards its slot: one signature per slot, ever."""

    @property
    def slot(self) -> tuple[int, int, int]:
        """(height, round, kind)."""
        ...


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One durable line of the consensus log: a message this validator signed, and what it rests on."""

    height: int
    round: int
    kind: int
    message: bytes
    proof: bytes = b""


# --- inputs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """First input after boot. ``records`` are the log's, oldest first."""

    at: Moment
    head: Header
    records: tuple[LogRecord, ...] = ()
    new_log: bool = True
    """Nothing was ever recorded in the log and no engine has trusted it: who knows what the key signed before."""
    watch_only: str = ""
    """Why this node must not vote (a damaged log); empty when it may."""
    finalized: Header | None = None
    """None for the head itself: engines whose head is always final."""
    blocks: tuple[tuple[Block, bytes], ...] = ()
    """The finalized block and every stored block above it, on all branches, parents first, each with its seal."""
    validators: ValidatorSet | None = None
    """Who votes on the block after ``head``, where the state holds the set; None: the genesis file's, for ever."""
    evidence: tuple[bytes, ...] = ()
    """Convictions recorded before (``RecordEvidence``), encoded."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set by SetTimer has run out."""

    at: Moment
    key: TimerKey


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message, decoded, size-checked, its signatures verified. ``peer`` is None for one's own."""

    at: Moment
    peer: bytes | None
    message: ConsensusMessage


@dataclass(frozen=True, slots=True)
class PayloadBuilt:
    """Answer to BuildPayload. ``block`` is None when building failed."""

    at: Moment
    request: int
    block: Block | None
    problem: str = ""
    validators: ValidatorSet | None = None
    """Who votes after this block, where the state holds the set."""


@dataclass(frozen=True, slots=True)
class PayloadStatus:
    """Answer to ExecutePayload: whether full execution gives what the header says."""

    at: Moment
    block_hash: Hash32
    valid: bool
    reason: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    """For the log: what the header says and what was computed."""
    validators: ValidatorSet | None = None
    """Who votes after this block, where it is valid and the state holds the set."""


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A peer has connected."""

    at: Moment
    peer: bytes


@dataclass(frozen=True, slots=True)
class PeerDown:
    """A peer is gone; what was kept for it may go."""

    at: Moment
    peer: bytes


@dataclass(frozen=True, slots=True)
class PoolHasWork:
    """The pool holds at least one executable transaction."""

    at: Moment


Input: TypeAlias = (
    Started | TimerFired | MessageReceived | PayloadBuilt | PayloadStatus | PeerUp | PeerDown | PoolHasWork
)


# --- effects -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire ``key`` after ``after_ms`` on the monotonic clock; replaces a timer of the same key."""

    key: TimerKey
    after_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer; no error when it is not set."""

    key: TimerKey


@dataclass(frozen=True, slots=True)
class SignAndPublish:
    """Sign ``draft`` if its slot is free, write it with ``proof`` durably, then publish, then hand it back."""

    draft: Draft
    proof: ConsensusMessage | None = None


@dataclass(frozen=True, slots=True)
class SignAndSend:
    """Sign what is no vote and binds nobody, and send it to one peer. Nothing is recorded."""

    peer: bytes
    message: Unsigned


@dataclass(frozen=True, slots=True)
class TrustLog:
    """Remember durably: from here on the log knows all that its keys may still contradict."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Gossip a message that is already signed and durable."""

    message: ConsensusMessage


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send to one peer, or to every connected peer (None); never forwarded by them."""

    peer: bytes | None
    message: ConsensusMessage


@dataclass(frozen=True, slots=True)
class SendDecided:
    """Send a lagging peer the decided blocks ``first``..``last`` with their certificates."""

    peer: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class BuildPayload:
    """Build a block on ``parent_hash``, which was executed here, from the pool. Answered by PayloadBuilt(request)."""

    request: int
    parent_hash: Hash32
    number: int
    timestamp: int
    prev_randao: Hash32
    parent_beacon_block_root: Hash32
    budget_ms: int
    """How long execution may take; a block that takes longer is not voted on in time."""
    operations: tuple[Operation, ...] = ()
    """State writes that go ahead of the transactions; they follow from what the beacon root commits to."""


@dataclass(frozen=True, slots=True)
class ExecutePayload:
    """Execute and compare with the header. Answered by PayloadStatus."""

    block: Block
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Decide:
    """Persist block and seal in one durable write and make it head, safe and finalized."""

    block: Block
    seal: bytes
    round: int = 0


@dataclass(frozen=True, slots=True)
class StoreBlock:
    """Keep an executed block durably without making it canonical, so that a restart knows it."""

    block: Block
    seal: bytes


@dataclass(frozen=True, slots=True)
class Forkchoice:
    """Move the marks in one durable write; blocks leave and join the canonical chain where they must."""

    head: Hash32
    safe: Hash32
    finalized: Hash32
    seals: Mapping[Hash32, bytes] = field(default_factory=dict)
    """Of blocks that were not stored before."""


@dataclass(frozen=True, slots=True)
class Penalise:
    """The peer sent something no honest node sends."""

    peer: bytes
    points: int
    why: str


@dataclass(frozen=True, slots=True)
class RecordEvidence:
    """Two signed statements that convict ``validator``: written durably, handed back by the next ``Started``."""

    validator: Address
    kind: str
    evidence: ConsensusMessage


@dataclass(frozen=True, slots=True)
class Note:
    """For logs and traces; never affects behaviour. ``level`` is one of telemetry.logs.LEVELS."""

    event: str
    facts: Mapping[str, object] = field(default_factory=dict)
    level: str = "debug"


Effect: TypeAlias = (
    SetTimer
    | CancelTimer
    | SignAndPublish
    | SignAndSend
    | TrustLog
    | Publish
    | SendTo
    | SendDecided
    | BuildPayload
    | ExecutePayload
    | Decide
    | StoreBlock
    | Forkchoice
    | Penalise
    | RecordEvidence
    | Note
)


class MalformedMessage(ValueError):
    """The bytes are no message of this engine; the text says which field."""


class InvalidSeal(ValueError):
    """The seal does not show that the block was decided."""


class UnknownSigners(InvalidSeal):
    """The seal is not that of the validators after the head; farther ahead there may be others by then."""


@dataclass(frozen=True, slots=True)
class Triage:
    """A quick opinion about a message, before its signature is looked at."""

    wanted: bool
    why: str = ""
    hostile: bool = False
    """No honest node sends it, so its sender may be blamed."""


WANTED = Triage(True)


class Engine(Protocol):
    """One consensus engine."""

    @property
    def name(self) -> str:
        """ "bft", "instant", …"""
        ...

    @property
    def height(self) -> int:
        """The height being decided: head number + 1."""
        ...

    def handle(self, event: Input) -> list[Effect]:
        """Advance by one input. Total: bad input is dropped with a Note, never an exception."""
        ...

    def triage(self, message: ConsensusMessage) -> Triage:
        """Whether a message is worth verifying and forwarding. Cheap; changes nothing."""
        ...

    def inspect(self) -> dict[str, object]:
        """State for RPC, in JSON types."""
        ...
