"""The driver: inputs into the engine, its effects out into the world. The only async file of this room.

    switch ─▶ judge: decode, triage, signatures ─▶ ┐                    ┌─▶ signer (durable) ─▶ switch
    timers ───────────────────────────────────────▶ ├─ inbox ─▶ engine ─┼─▶ chain: head, durable
    jobs (build, execute: off the loop) ──────────▶ ┘                   └─▶ jobs, timers

Effects are performed strictly in order, one input after the other; building and executing are jobs whose
answers come back as inputs, so votes are heard while a block executes. Signing writes to disk on the loop:
a vote must not wait behind other work for a thread, and nothing may overtake it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from node.chain.payloads import UnknownParent
from node.consensus.doors import ChainDoor, Codec, PoolDoor
from node.consensus.engine import (
    BuildPayload,
    CancelTimer,
    ConsensusMessage,
    Decide,
    Draft,
    Effect,
    Engine,
    ExecutePayload,
    Forkchoice,
    Input,
    MalformedMessage,
    MessageReceived,
    Moment,
    Note,
    PayloadBuilt,
    PayloadStatus,
    PeerDown,
    PeerUp,
    Penalise,
    PoolHasWork,
    Publish,
    RecordEvidence,
    SendDecided,
    SendTo,
    SetTimer,
    SignAndPublish,
    SignAndSend,
    Started,
    StoreBlock,
    TimerFired,
    TimerKey,
    TrustLog,
    Unsigned,
)
from node.consensus.evidence_store import EvidenceStore
from node.consensus.journal import Journal
from node.consensus.refusals import Refusals
from node.consensus.signer import RefusedToSign
from node.consensus.validator_contract import InvalidValidatorState, ValidatorReader
from node.consensus.validators import ValidatorSet
from node.execution.builder import PayloadAttributes
from node.execution.fees import base_fee, blob_base_fee, excess_blob_gas
from node.p2p import scoring
from node.p2p.identity import NodeId
from node.p2p.verdict import ACCEPT, IGNORE, REJECT, Handler, Verdict
from node.primitives.scalars import ZERO_ADDRESS, Address
from node.runtime.runtime import Runtime
from node.runtime.task_scope import TaskScope
from node.telemetry.logs import Log
from node.trie.nodes import MissingNode
from node.types.blocks import Header
from node.types.invalid import InvalidBlock
from node.types.transactions import Transaction

LARGE_TOPIC: Final = "consensus/proposal"
SMALL_TOPIC: Final = "consensus/vote"
SMALL_BYTES_MAX: Final = 512
DECODE_ASIDE_BYTES: Final = 256 * 1024
"""Longer messages are decoded by a worker."""
MUTED_A_POINT: Final = 32
"""Unread messages of muted peers that cost a point of score."""
INBOX_MAX: Final = 4096
"""Messages of peers that wait for the engine; what comes on top is ignored and may come again."""
DECIDED_BYTES_MAX: Final = 8 * 1024 * 1024
"""Decided blocks sent in answer to one status."""


class GossipDoor(Protocol):
    """Topics (node/p2p/gossip.py)."""

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Have ``handler`` judge the topic's messages."""
        ...

    def publish(self, topic: str, payload: bytes) -> object:
        """To every peer, who passes it on."""
        ...


class SwitchDoor(Protocol):
    """p2p (node/p2p/switch.py)."""

    @property
    def gossip(self) -> GossipDoor:
        """Its topics."""
        ...

    def send(self, node_id: NodeId, topic: str, payload: bytes) -> bool:
        """To one peer, never forwarded. False when it is not connected."""
        ...

    def peer_ids(self) -> list[NodeId]:
        """The live peers."""
        ...

    def penalise(self, node_id: NodeId, points: int, why: str) -> None:
        """Add points to a peer's score; negative for what it did wrong."""
        ...

    def on_peer_up(self, callback: Callable[[NodeId], None]) -> None:
        """Call when a session has begun."""
        ...

    def on_peer_down(self, callback: Callable[[NodeId], None]) -> None:
        """Call when a session has ended."""
        ...


class SignerDoor(Protocol):
    """Holds the keys (node/consensus/signer.py)."""

    def sign(self, draft: Draft, proof: ConsensusMessage | None) -> ConsensusMessage:
        """The signed message, durable. Raises RefusedToSign, or OSError when the disk fails."""
        ...

    def sign_unrecorded(self, message: Unsigned) -> ConsensusMessage:
        """What is no vote, signed. Raises RefusedToSign."""
        ...

    def decided(self, height: int) -> None:
        """Everything up to ``height`` is final."""
        ...


@dataclass(frozen=True, slots=True)
class ProposerSettings:
    """What this node writes into the blocks it builds."""

    fee_recipient: Address = ZERO_ADDRESS
    extra_data: bytes = b"evmesh"
    gas_limit: int = 36_000_000


class ConsensusDriver:
    """Runs one engine. ``signer`` and ``journal`` are None for a node that never signs."""

    def __init__(
        self,
        engine: Engine,
        codec: Codec,
        chain: ChainDoor,
        pool: PoolDoor,
        switch: SwitchDoor | None,
        runtime: Runtime,
        log: Log,
        signer: SignerDoor | None = None,
        journal: Journal | None = None,
        proposer: ProposerSettings | None = None,
        validators: ValidatorReader | None = None,
        evidence: EvidenceStore | None = None,
    ) -> None:
        """``validators``: reads the set from the state, for engines that want it told."""
        self.engine = engine
        self.on_peer_height: Callable[[NodeId, int], None] = lambda peer, height: None
        """Called with the height that a peer says it works on; sync listens."""
        self.on_decided: Callable[[Header], None] = lambda header: None
        self.syncing: Callable[[], dict[str, int] | None] = lambda: None
        """How far catching up has come ("from", "to" block numbers), for ``inspect``; sync tells."""
        self._codec = codec
        self._chain = chain
        self._pool = pool
        self._switch = switch
        self._runtime = runtime
        self._log = log
        self._signer = signer
        self._journal = journal
        self._proposer = proposer or ProposerSettings()
        self._validators = validators
        self._evidence = evidence
        self._own: deque[Input] = deque()
        self._urgent: deque[Input] = deque()
        self._heard: deque[Input] = deque()
        self._wake = asyncio.Event()
        self._timers: dict[TimerKey, asyncio.TimerHandle] = {}
        self._jobs: asyncio.Queue[Callable[[], Awaitable[Input]]] = asyncio.Queue()
        self._work_told = False
        self._seconds_ahead = 0
        self._refusals = Refusals()
        if switch is not None:
            switch.gossip.subscribe(LARGE_TOPIC, self._judge)
            switch.gossip.subscribe(SMALL_TOPIC, self._judge_small)
            switch.on_peer_up(lambda peer: self._put(PeerUp(self._now(), peer)))
            switch.on_peer_down(lambda peer: self._put(PeerDown(self._now(), peer)))

    # --- life ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled. An exception is a mistake of ours or a failing disk: the node must stop."""
        self._follow_clock()
        self._urgent.appendleft(self._started())  # ahead of what came before: it would be lost on the engine
        self._wake.set()
        try:
            async with TaskScope("consensus") as scope:
                scope.spawn(self._run_jobs(), "jobs")
                while True:
                    event = await self._next()
                    for effect in self.engine.handle(event):
                        await self._perform(effect)
        finally:
            for handle in self._timers.values():
                handle.cancel()
            self._timers.clear()

    def _started(self) -> Started:
        journal, chain = self._journal, self._chain
        known = ((), True, "") if journal is None else (journal.take_records(), journal.is_new, journal.damage)
        blocks = tuple(chain.above_finalized())
        validators = self._set_after(chain.head)
        evidence = self._evidence.encoded if self._evidence else ()
        return Started(self._now(), chain.head, *known, chain.finalized, blocks, validators, evidence)

    async def _next(self) -> Input:
        while True:
            for queue in (self._own, self._urgent, self._heard):
                if queue:
                    return queue.popleft()
            self._wake.clear()
            await self._wake.wait()

    def _put(self, event: Input) -> None:
        # bounded by what the engine asked for: timers, jobs, peers
        self._urgent.append(event)
        self._wake.set()

    def _now(self) -> Moment:
        clock = self._runtime.clock
        return Moment(clock.monotonic_ms(), clock.now_ms() + 1000 * self._seconds_ahead)

    def _follow_clock(self) -> None:
        """On a chain for development users may set the time ahead; not where slots are bound to it."""
        if self.engine.name != "pos":
            self._seconds_ahead = self._chain.seconds_ahead(self._chain.head)

    async def _run_jobs(self) -> None:
        while True:
            job = await self._jobs.get()
            self._put(await job())

    def pool_has_work(self) -> None:
        """The pool holds an executable transaction; cheap to call often."""
        if not self._work_told:
            self._work_told = True
            self._put(PoolHasWork(self._now()))

    def inspect(self) -> dict[str, object]:
        """State for RPC, in JSON types."""
        return {
            **self.engine.inspect(),
            "syncing": self.syncing(),
            "waitingMessages": len(self._heard),
            "refusedMessages": dict(self._refusals.counts),
        }

    # --- messages in -----------------------------------------------------------------------------

    async def _judge_small(self, peer: NodeId, payload: bytes) -> Verdict:
        if len(payload) > SMALL_BYTES_MAX:
            return self._refuse(peer, payload, "malformed", f"{len(payload)} bytes are no vote")
        return await self._judge(peer, payload)

    async def _judge(self, peer: NodeId, payload: bytes) -> Verdict:
        """Cheapest first: what it claims, whether we want that, signatures; the block is decoded last."""
        if self._refusals.is_muted(peer, self._runtime.clock.monotonic_ms()):
            self._refusals.count("muted")
            if self._switch is not None and self._refusals.counts["muted"] % MUTED_A_POINT == 0:
                self._switch.penalise(peer, scoring.FLOODED, "goes on after too many lies")
            return IGNORE("its sender has lied too much lately")
        try:
            claim = self._codec.claim(payload)
            triage = self.engine.triage(claim)
            if not triage.wanted:
                if triage.hostile:
                    return self._refuse(peer, payload, "hostile", triage.why)
                self._refusals.count("unwanted")
                return IGNORE(triage.why)
            if len(self._heard) >= INBOX_MAX:
                self._refusals.count("busy")
                return IGNORE("the consensus inbox is full")
            self._codec.check(claim)
            if len(payload) > DECODE_ASIDE_BYTES:
                # a worker takes as long as the loop would, but others are heard meanwhile
                message = await self._runtime.workers.run(self._codec.decode, payload)
            else:
                message = self._codec.decode(payload)
            self._codec.check(message)
        except MalformedMessage as error:
            return self._refuse(peer, payload, "malformed", str(error))
        height = self._codec.height_of(message)
        if height is not None:
            self.on_peer_height(peer, height)
        self._heard.append(MessageReceived(self._now(), peer, message))
        self._wake.set()
        return ACCEPT

    def _refuse(self, peer: NodeId, payload: bytes, kind: str, why: str) -> Verdict:
        self._refusals.count(kind)
        self._refusals.strike(peer, self._runtime.clock.monotonic_ms(), len(payload))
        self._log.debug("consensus message refused", peer=peer, why=why)
        return REJECT(why)

    def hear_decided(self, peer: NodeId, message: ConsensusMessage) -> None:
        """A decided block that sync has fetched, its signatures checked."""
        self._put(MessageReceived(self._now(), peer, message))

    # --- effects out -----------------------------------------------------------------------------

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case SignAndPublish():
                self._sign_and_publish(effect)
            case SignAndSend(peer, message):
                if self._signer is not None:
                    with suppress(RefusedToSign):
                        self._send(peer, self._signer.sign_unrecorded(message))
            case TrustLog():
                if self._journal is not None:
                    self._journal.trust()
            case Publish(message):
                self._publish(message)
            case SendTo(peer, message):
                self._send(peer, message)
            case SendDecided():
                self._send_decided(effect)
            case SetTimer(key, after_ms):
                self._set_timer(key, after_ms)
            case CancelTimer(key):
                handle = self._timers.pop(key, None)
                if handle is not None:
                    handle.cancel()
            case ExecutePayload():
                self._jobs.put_nowait(lambda: self._execute(effect))
            case BuildPayload():
                self._jobs.put_nowait(lambda: self._build(effect))
            case Decide():
                await self._decide(effect)
            case StoreBlock(block, seal):
                await self._chain.store_block(block.hash, seal)
            case Forkchoice():
                await self._move_marks(effect)
            case Penalise(peer, points, why):
                if self._switch is not None:
                    self._switch.penalise(NodeId(peer), -abs(points), why)
            case RecordEvidence(validator, kind, evidence):
                if self._evidence is not None:
                    self._evidence.add(evidence.encode())
                self._log.warning("validator convicted", validator=validator, kind=kind)
            case Note(event, facts, level):
                getattr(self._log, level)(event, **facts)

    def _sign_and_publish(self, effect: SignAndPublish) -> None:
        if self._signer is None:
            return
        try:
            message = self._signer.sign(effect.draft, effect.proof)
        except RefusedToSign as refusal:
            self._log.warning("not signed", slot=effect.draft.slot, why=str(refusal))
            return
        self._log.debug("signed", slot="/".join(str(int(part)) for part in effect.draft.slot))
        self._publish(message)
        self._own.append(MessageReceived(self._now(), None, message))

    def _topic(self, message: ConsensusMessage) -> str:
        return LARGE_TOPIC if self._codec.is_large(message) else SMALL_TOPIC

    def _publish(self, message: ConsensusMessage) -> None:
        if self._switch is not None:
            self._switch.gossip.publish(self._topic(message), message.encode())

    def _send(self, peer: bytes | None, message: ConsensusMessage) -> None:
        if self._switch is None:
            return
        topic, payload = self._topic(message), message.encode()
        for node_id in self._switch.peer_ids() if peer is None else [NodeId(peer)]:
            self._switch.send(node_id, topic, payload)

    def _send_decided(self, effect: SendDecided) -> None:
        if self._switch is None:
            return
        room = DECIDED_BYTES_MAX
        for number in range(effect.first, effect.last + 1):
            block = self._chain.block_by_number(number)
            seal = self._chain.seal_of(block.hash) if block else None
            if block is None or seal is None:
                return
            payload = self._codec.decided(block, seal).encode()
            room -= len(payload)
            if room < 0 or not self._switch.send(NodeId(effect.peer), LARGE_TOPIC, payload):
                return

    def _set_timer(self, key: TimerKey, after_ms: int) -> None:
        earlier = self._timers.pop(key, None)
        if earlier is not None:
            earlier.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(after_ms / 1000, self._fire, key)

    def _fire(self, key: TimerKey) -> None:
        self._timers.pop(key, None)
        self._put(TimerFired(self._now(), key))

    async def _execute(self, effect: ExecutePayload) -> Input:
        answer = await self._chain.new_payload(effect.block, effect.operations)
        block_hash = effect.block.hash
        if not answer.valid:
            return PayloadStatus(self._now(), block_hash, False, answer.reason, answer.facts)
        try:
            validators = self._set_after(effect.block.header)
        except InvalidValidatorState as problem:
            return PayloadStatus(self._now(), block_hash, False, "VALIDATORS", {"why": str(problem)})
        return PayloadStatus(self._now(), block_hash, True, validators=validators)

    def _set_after(self, header: Header) -> ValidatorSet | None:
        try:
            return self._validators.after(header) if self._validators else None
        except MissingNode:
            return None  # a header that was changed after its execution (a liar's): nobody will find it valid

    async def _build(self, effect: BuildPayload) -> Input:
        self._work_told = False
        parent = self._chain.header_by_hash(effect.parent_hash)
        if parent is None or parent.number < self._chain.finalized.number:
            # with branches any unfinalized block may be built on; without, the head only
            return PayloadBuilt(self._now(), effect.request, None, "the head has moved on")
        attributes = PayloadAttributes(
            timestamp=effect.timestamp,
            prev_randao=effect.prev_randao,
            coinbase=self._proposer.fee_recipient,
            parent_beacon_block_root=effect.parent_beacon_block_root,
            extra_data=self._proposer.extra_data,
            gas_limit_target=self._proposer.gas_limit,
            operations=effect.operations,
        )
        deadline_ms = self._runtime.clock.monotonic_ms() + effect.budget_ms
        candidates = list(self._candidates(parent, effect.timestamp))
        try:
            built = await self._chain.build_payload(effect.parent_hash, attributes, candidates, deadline_ms)
            validators = self._set_after(built.block.header)
        except (UnknownParent, InvalidBlock, InvalidValidatorState) as refusal:
            return PayloadBuilt(self._now(), effect.request, None, str(refusal))
        return PayloadBuilt(self._now(), effect.request, built.block, validators=validators)

    def _candidates(self, parent: Header, timestamp: int) -> Iterator[Transaction]:
        spec = self._chain.next_spec(parent, timestamp)
        excess = excess_blob_gas(parent, spec)
        blob_fee = 0 if excess is None or spec.blobs is None else blob_base_fee(excess, spec.blobs)
        return self._pool.candidates(base_fee(parent), blob_fee)

    async def _move_marks(self, effect: Forkchoice) -> None:
        chain, head, finalized = self._chain, self._chain.head, self._chain.finalized
        await chain.forkchoice_updated(effect.head, effect.safe, effect.finalized, effect.seals)
        if chain.head.hash != head.hash:
            header = chain.head
            self._log.info("head moved", height=header.number, hash=header.hash, state_root=header.state_root)
        if chain.finalized.hash != finalized.hash:
            header = chain.finalized
            if self._signer is not None:
                self._signer.decided(header.number)
            self._log.info("block finalized", height=header.number, hash=header.hash)

    async def _decide(self, effect: Decide) -> None:
        header = effect.block.header
        block_hash = effect.block.hash
        await self._chain.forkchoice_updated(block_hash, block_hash, block_hash, {block_hash: effect.seal})
        self._follow_clock()
        if self._signer is not None:
            self._signer.decided(header.number)
        self._log.info(
            "block decided",
            height=header.number,
            hash=block_hash,
            round=effect.round,
            transactions=len(effect.block.transactions),
            gas_used=header.gas_used,
            state_root=header.state_root,
        )
        self.on_decided(header)
        if next(self._pool.candidates(base_fee(header)), None) is not None:
            self.pool_has_work()
