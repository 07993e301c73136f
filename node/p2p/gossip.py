"""Topics: what one node publishes, all nodes get, each judging it before it passes it on.

    publish ──push──▶ every peer ──▶ inbox ──▶ handler: ACCEPT ──▶ peers that the sender does not reach: push
                                                               │    (or announce, when it is large)
                                                               └──▶ the others: announce, a little later, in bulk

A sender's reach is known from the neighbour lists that peers exchange: in a full mesh nobody pushes a message a
second time, and the late announcements (20 bytes a message) repair what a failing link has lost. An announced
message that is missing is fetched from whoever announced it, from the next announcer when that one does not deliver.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from node.p2p import scoring
from node.p2p.fetch_table import FetchBounds, FetchTable
from node.p2p.identity import NodeId, short
from node.p2p.inbox import Letter, TopicInbox
from node.p2p.peer import Peer
from node.p2p.verdict import Handler, Verdict, VerdictKind
from node.p2p.wire import IDS_MAX, PAYLOAD_BYTES_MAX, Announce, Direct, Fetch, MessageId, Push, encode, message_id
from node.runtime.clock import Clock
from node.runtime.task_scope import TaskScope
from node.telemetry.logs import Log

PUSH_BYTES_MAX: Final = 2048
"""Forwarders push payloads below this, and announce larger ones."""
ENTRIES_MAX: Final = 16_384
"""Messages remembered as seen."""
STORED_BYTES_MAX: Final = 32 * 1024 * 1024
STORED_MS: Final = 30_000
"""How much and how long accepted messages are kept for those who fetch them."""
IGNORED_MAX: Final = 4096
FETCHES: Final = FetchBounds(keys_max=4096, keys_per_peer_max=1024, asked_per_peer_max=256, answer_ms=1000)
TICK_MS: Final = 200
"""How often late announcements leave and overdue fetches are asked again."""


class _State(Enum):
    PENDING = 0
    ACCEPTED = 1
    REJECTED = 2


@dataclass(slots=True)
class _Entry:
    topic: str
    state: _State
    known_by: dict[NodeId, None] = field(default_factory=dict)
    encoded: bytes | None = None
    at_ms: int = 0


class Gossip:
    """The topics of one node."""

    def __init__(self, clock: Clock, log: Log, score: Callable[[NodeId, int, str], None]) -> None:
        self._clock = clock
        self._log = log
        self._score = score
        self._peers: dict[NodeId, Peer] = {}
        self._handlers: dict[str, Handler] = {}
        self._inboxes: dict[str, TopicInbox] = {}
        self._entries: dict[MessageId, _Entry] = {}
        self._stored: deque[MessageId] = deque()
        self._stored_bytes = 0
        self._ignored: dict[MessageId, None] = {}
        self._missing = FetchTable(FETCHES)
        self._late: dict[NodeId, dict[MessageId, None]] = {}
        self._work = asyncio.Event()
        self._scope: TaskScope | None = None

    # --- what the node above calls ---

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Have ``await handler(peer, payload)`` judge the topic's messages, gossiped and direct, one at a time."""
        assert topic not in self._handlers, f"topic {topic} has a handler"
        self._handlers[topic] = handler
        self._inboxes[topic] = TopicInbox()
        if self._scope is not None:
            self._scope.spawn(self._judge(topic), f"topic {topic}")

    def publish(self, topic: str, payload: bytes) -> MessageId:
        """Push to every peer. Publishing the same bytes again pushes them again."""
        assert len(payload) <= PAYLOAD_BYTES_MAX, "payload too big"
        name = message_id(topic, payload)
        encoded = encode(Push(topic, payload))
        entry = self._remember(name, topic, _State.ACCEPTED)
        self._store(name, entry, encoded)
        for peer in self._peers.values():
            peer.send_topic(topic, encoded)
            self._announce_late(peer.node_id, name)
        return name

    def send(self, node_id: NodeId, topic: str, payload: bytes) -> bool:
        """To one peer only, never forwarded; the other side's handler of the topic gets it. False: not connected."""
        assert len(payload) <= PAYLOAD_BYTES_MAX, "payload too big"
        peer = self._peers.get(node_id)
        if peer is None:
            return False
        peer.send_topic(topic, encode(Direct(topic, payload)))
        return True

    # --- what the switch calls ---

    def start(self, scope: TaskScope) -> None:
        """Run the handlers and the repairs as tasks of ``scope``."""
        self._scope = scope
        scope.spawn(self._repair(), "gossip repair")
        for topic in self._handlers:
            scope.spawn(self._judge(topic), f"topic {topic}")

    def add_peer(self, peer: Peer) -> None:
        """A session has begun."""
        self._peers[peer.node_id] = peer
        self._late[peer.node_id] = {}

    def remove_peer(self, node_id: NodeId) -> None:
        """A session has ended; what was asked of it is asked elsewhere."""
        self._peers.pop(node_id, None)
        self._late.pop(node_id, None)
        self._missing.drop_peer(node_id)
        self._work.set()

    def on_push(self, peer: Peer, push: Push) -> None:
        """A gossip message has come."""
        if push.topic not in self._handlers:
            return
        name = message_id(push.topic, push.payload)
        self._missing.got(name)
        entry = self._entries.get(name)
        if entry is not None:
            entry.known_by[peer.node_id] = None
            if entry.state is _State.REJECTED:
                self._score(peer.node_id, scoring.REJECTED, f"{push.topic}: passed on a message found false before")
            return
        entry = self._remember(name, push.topic, _State.PENDING)
        entry.known_by[peer.node_id] = None
        self._queue(push.topic, Letter(peer.node_id, push.payload, name))

    def on_direct(self, peer: Peer, direct: Direct) -> None:
        """A message for us alone has come."""
        if direct.topic in self._handlers:
            self._queue(direct.topic, Letter(peer.node_id, direct.payload, None))

    def on_announce(self, peer: Peer, announce: Announce) -> None:
        """A peer has these messages."""
        if announce.topic not in self._handlers:
            return
        for name in announce.ids:
            entry = self._entries.get(name)
            if entry is not None:
                entry.known_by[peer.node_id] = None
            elif name not in self._ignored:
                self._missing.add(name, peer.node_id)
        self._ask(peer)

    def _ask(self, peer: Peer) -> None:
        names = self._missing.ask(peer.node_id, self._clock.monotonic_ms(), IDS_MAX)
        if names:
            peer.send_control(Fetch(tuple(MessageId(name) for name in names)))
            self._work.set()

    def on_fetch(self, peer: Peer, fetch: Fetch) -> None:
        """A peer misses these; what we still keep is pushed, within its allowance of bytes."""
        now_ms = self._clock.monotonic_ms()
        for name in fetch.ids:
            entry = self._entries.get(name)
            if entry is None or entry.encoded is None:
                continue
            if not peer.limits.take("fetch_bytes", now_ms, len(entry.encoded)):
                self._score(peer.node_id, scoring.FLOODED, "fetches too much")
                return
            entry.known_by[peer.node_id] = None
            peer.send_topic(entry.topic, entry.encoded)

    # --- judging and forwarding ---

    def _queue(self, topic: str, letter: Letter) -> None:
        for displaced in self._inboxes[topic].put(letter):
            if displaced.id is not None:
                self._entries.pop(displaced.id, None)  # not judged: it may come again

    async def _judge(self, topic: str) -> None:
        inbox, handler = self._inboxes[topic], self._handlers[topic]
        while True:
            letter = await inbox.take()
            verdict = await handler(letter.peer, letter.payload)
            self._settle(topic, letter, verdict)

    def _settle(self, topic: str, letter: Letter, verdict: Verdict) -> None:
        name = letter.id
        match verdict.kind:
            case VerdictKind.REJECT:
                if name is not None:
                    self._remember(name, topic, _State.REJECTED)
                self._score(letter.peer, scoring.REJECTED, f"{topic}: {verdict.why}")
            case VerdictKind.IGNORE:
                if name is not None:
                    self._entries.pop(name, None)
                    self._ignored[name] = None
                    if len(self._ignored) > IGNORED_MAX:
                        del self._ignored[next(iter(self._ignored))]
                if verdict.why:
                    self._log.debug("message ignored", topic=topic, peer=short(letter.peer), why=verdict.why)
            case VerdictKind.ACCEPT:
                self._score(letter.peer, scoring.ACCEPTED, "")
                if name is not None:
                    self._forward(topic, letter, name)

    def _forward(self, topic: str, letter: Letter, name: MessageId) -> None:
        entry = self._remember(name, topic, _State.ACCEPTED)
        entry.known_by[letter.peer] = None
        encoded = encode(Push(topic, letter.payload))
        self._store(name, entry, encoded)
        source = self._peers.get(letter.peer)
        reached = source.neighbours if source is not None else {}
        small = len(letter.payload) < PUSH_BYTES_MAX
        for peer in self._peers.values():
            if peer.node_id in entry.known_by:
                continue
            if peer.node_id in reached:
                self._announce_late(peer.node_id, name)
            elif small:
                peer.send_topic(topic, encoded)
                self._announce_late(peer.node_id, name)  # in case the push is lost
            else:
                peer.send_topic(topic, encode(Announce(topic, (name,))))

    # --- memory ---

    def _remember(self, name: MessageId, topic: str, state: _State) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = _Entry(topic, state)
            if len(self._entries) > ENTRIES_MAX:
                oldest = next(iter(self._entries))
                self._unstore(self._entries.pop(oldest))
        entry.state = state
        self._ignored.pop(name, None)
        return entry

    def _store(self, name: MessageId, entry: _Entry, encoded: bytes) -> None:
        entry.at_ms = self._clock.monotonic_ms()
        if entry.encoded is None:
            entry.encoded = encoded
            self._stored.append(name)
            self._stored_bytes += len(encoded)
        while self._stored_bytes > STORED_BYTES_MAX:
            self._drop_oldest_stored()
        self._work.set()

    def _drop_oldest_stored(self) -> None:
        entry = self._entries.get(self._stored.popleft())
        if entry is not None:
            self._unstore(entry)

    def _unstore(self, entry: _Entry) -> None:
        if entry.encoded is not None:
            self._stored_bytes -= len(entry.encoded)
            entry.encoded = None
        entry.known_by.clear()

    # --- announcing late, fetching again ---

    def _announce_late(self, node_id: NodeId, name: MessageId) -> None:
        late = self._late.get(node_id)
        if late is not None:
            late[name] = None
            if len(late) > ENTRIES_MAX:
                del late[next(iter(late))]
            self._work.set()

    async def _repair(self) -> None:
        while True:
            await self._work.wait()
            await asyncio.sleep(TICK_MS / 1000)
            now_ms = self._clock.monotonic_ms()
            self._flush_late()
            for failed in self._missing.overdue(now_ms):
                self._score(failed, scoring.UNDELIVERED, "announced but not delivered")
            for node_id in self._missing.waiting():
                peer = self._peers.get(node_id)
                if peer is not None:
                    self._ask(peer)
            while self._stored:
                oldest = self._entries.get(self._stored[0])
                if oldest is not None and oldest.encoded is not None and oldest.at_ms + STORED_MS > now_ms:
                    break
                self._drop_oldest_stored()
            if not (len(self._missing) or self._stored or any(self._late.values())):
                self._work.clear()

    def _flush_late(self) -> None:
        for node_id, peer in self._peers.items():
            by_topic: dict[str, list[MessageId]] = {}
            for name in self._late[node_id]:
                entry = self._entries.get(name)
                if entry is not None and entry.encoded is not None and node_id not in entry.known_by:
                    by_topic.setdefault(entry.topic, []).append(name)
            self._late[node_id] = {}
            for topic, names in by_topic.items():
                for start in range(0, len(names), IDS_MAX):
                    peer.send_topic(topic, encode(Announce(topic, tuple(names[start : start + IDS_MAX]))))
