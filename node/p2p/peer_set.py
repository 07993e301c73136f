"""Who we are connected with: slots, dialling, admission, one session per pair of nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from node.p2p import scoring
from node.p2p.discovery import AddressBook, reachable_address
from node.p2p.handshake import HandshakeFailed
from node.p2p.identity import Identity, NodeId, parse_dial_string, short
from node.p2p.introduction import Refused, RefusedByPeer, introduce, refuse
from node.p2p.peer import LinkTiming, OnMessage, Peer
from node.p2p.rate_limit import Rate, TokenBucket
from node.p2p.scoring import ScoreRules, Scores
from node.p2p.session import Session, SessionBroken, accept_session, dial_session
from node.p2p.wire import HelloValue, MalformedMessage, check_address
from node.runtime.runtime import Runtime
from node.runtime.task_scope import TaskScope
from node.runtime.transport import Connection, ConnectionLost
from node.telemetry.logs import Log

INBOUND_HANDSHAKES_MAX: Final = 16
DIALS_MAX: Final = 16
ACCEPT_RATE: Final = Rate(50, 100)
"""Inbound connections a second; each costs some milliseconds of key agreement."""


TOLD_MAX: Final = 1024
"""Log lines remembered so as not to be repeated."""


@dataclass(frozen=True, slots=True)
class P2PConfig:
    """An operator's wishes. Milliseconds; addresses are ``host:port``, bootnodes dial strings."""

    listen_address: str = "127.0.0.1:0"
    bootnodes: tuple[str, ...] = ()
    peers_max: int = 25
    """Sessions with static peers (the bootnodes) do not count."""
    advertise_address: str = ""
    """Where others should dial us, when that is not where we listen (a proxy, a container)."""
    discovery: bool = True
    """Whether to dial nodes that peers tell us about. Off: static peers and whoever dials us."""
    handshake_timeout_ms: int = 5000
    dial_timeout_ms: int = 3000
    redial_ms_min: int = 200
    redial_ms_max: int = 3000
    timing: LinkTiming = field(default_factory=LinkTiming)
    scoring: ScoreRules = field(default_factory=ScoreRules)


HelloSource = Callable[[], dict[str, HelloValue]]
HelloCheck = Callable[[dict[str, HelloValue]], str | None]


class PeerSet:
    """Live peers by id, in the order they came."""

    def __init__(
        self,
        config: P2PConfig,
        identity: Identity,
        runtime: Runtime,
        log: Log,
        hello: HelloSource,
        check_hello: HelloCheck,
        on_message: OnMessage,
        on_up: Callable[[Peer], None],
        on_down: Callable[[Peer, str], None],
    ) -> None:
        self._config = config
        self._identity = identity
        self._runtime = runtime
        self._log = log
        self._hello = hello
        self._check_hello = check_hello
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self.live: dict[NodeId, Peer] = {}
        self.scores = Scores(config.scoring)
        self.book = AddressBook(identity.node_id, config.redial_ms_min, config.redial_ms_max, runtime.entropy)
        for text in config.bootnodes:
            self.book.add_static(parse_dial_string(text), runtime.clock.monotonic_ms())
        self._dialling: dict[NodeId, None] = {}
        self._handshakes = 0
        self._accepts = TokenBucket(ACCEPT_RATE, runtime.clock.monotonic_ms())
        self._dial_now = asyncio.Event()
        self._told: dict[str, str] = {}
        self.own_address = ""
        """What we say about where we listen; set by the switch once it does."""
        self._scope: TaskScope | None = None

    def start(self, scope: TaskScope) -> None:
        """Begin to dial, as tasks of ``scope``."""
        self._scope = scope
        scope.spawn(self._dial_loop(), "dialling")

    def wake(self) -> None:
        """The address book has changed: look for somebody to dial."""
        self._dial_now.set()

    def penalise(self, node_id: NodeId, points: int, why: str) -> None:
        """Add points (negative: a penalty) to a peer's score; ban it and hang up where that was too much."""
        now_ms = self._runtime.clock.monotonic_ms()
        banned = self.scores.add(node_id, points, now_ms, bannable=not self.book.is_static(node_id))
        if points < -1:
            score = self.scores.score(node_id, now_ms)
            self._log.info("peer misbehaves", peer=short(node_id), points=points, score=score, why=why)
        if banned:
            ban_ms = self._config.scoring.ban_ms
            self._log.warning("peer banned", peer=short(node_id), ms=ban_ms, why=why)
            peer = self.live.get(node_id)
            if peer is not None:
                peer.disconnect(f"banned for {ban_ms} ms: {why}")

    # --- dialling ---

    def _skip(self, node_id: NodeId) -> bool:
        if node_id in self.live or node_id in self._dialling:
            return True
        if self.book.is_static(node_id):
            return False
        return self.scores.banned_for_ms(node_id, self._runtime.clock.monotonic_ms()) > 0

    def _outbound_room(self) -> int:
        """A third of the slots is kept for those who dial us."""
        outbound = sum(1 for peer in self.live.values() if peer.session.outbound and not peer.static)
        dialling = sum(1 for node_id in self._dialling if not self.book.is_static(node_id))
        peers_max = self._config.peers_max
        return min(peers_max - peers_max // 3 - outbound, peers_max - self._counted()) - dialling

    def _counted(self) -> int:
        return sum(1 for peer in self.live.values() if not peer.static)

    async def _dial_loop(self) -> None:
        assert self._scope is not None
        while not self._scope.closing:  # peers that part while we stop wake this loop
            self._dial_now.clear()
            now_ms = self._runtime.clock.monotonic_ms()
            room = self._outbound_room()
            for entry in self.book.due(now_ms, self._skip):
                if len(self._dialling) >= DIALS_MAX:
                    break
                if not entry.static:
                    if room <= 0 or not self._config.discovery:
                        continue
                    room -= 1
                self._dialling[entry.node_id] = None
                self._scope.spawn(self._dial(entry.node_id, entry.address), f"dial {short(entry.node_id)}")
            due_ms = self.book.next_due_ms(self._skip)
            pause_ms = 1000 if due_ms is None else min(1000, max(20, due_ms - now_ms))
            try:
                async with asyncio.timeout(pause_ms / 1000):
                    await self._dial_now.wait()
            except TimeoutError:
                pass

    async def _dial(self, node_id: NodeId, address: str) -> None:
        peer: Peer | None = None
        try:
            connection = await self._runtime.network.dial(address, self._config.dial_timeout_ms)
            peer = await self._greet(connection, node_id, address)
        except _FAILURES as error:
            self.book.failed(node_id, self._runtime.clock.monotonic_ms())
            self._tell("cannot connect", node_id.hex(), peer=short(node_id), address=address, why=_why(error))
        finally:
            self._dialling.pop(node_id, None)
        if peer is not None:
            await self._live(peer)

    # --- being dialled ---

    async def on_connection(self, connection: Connection) -> None:
        """Somebody has connected to our listener."""
        now_ms = self._runtime.clock.monotonic_ms()
        busy = self._handshakes >= INBOUND_HANDSHAKES_MAX or not self._accepts.take(now_ms)
        if busy or self._scope is None or self._scope.closing:
            await connection.close()
            return
        self._handshakes += 1
        self._scope.spawn(self._accept(connection), f"accept {connection.remote}")

    async def _accept(self, connection: Connection) -> None:
        peer: Peer | None = None
        try:
            peer = await self._greet(connection, None, "")
        except _FAILURES as error:
            remote = connection.remote
            self._tell("inbound connection failed", remote.rpartition(":")[0], remote=remote, why=_why(error))
        finally:
            self._handshakes -= 1
        if peer is not None:
            await self._live(peer)

    # --- from a connection to a live peer ---

    async def _greet(self, connection: Connection, expected: NodeId | None, dialled: str) -> Peer:
        """Handshake, introduction, admission. Raises one of _FAILURES; the connection is closed then."""
        identity, entropy = self._identity, self._runtime.entropy
        peer: Peer | None = None
        try:
            async with asyncio.timeout(self._config.handshake_timeout_ms / 1000):
                if expected is None:
                    session = await accept_session(connection, identity, entropy)
                else:
                    session = await dial_session(connection, identity, expected, entropy)
                refusal = self._no_welcome(session)
                if refusal is None:
                    hello = await introduce(session, self._own_hello(), self._judge)
                    refusal = self._no_welcome(session) or self._second_session(session)
                if refusal is not None:
                    await refuse(session, refusal)
            peer = self._admit(session, hello, dialled)
            return peer
        finally:
            if peer is None:
                await connection.close()

    def _own_hello(self) -> dict[str, HelloValue]:
        return {**self._hello(), "listen": self.own_address}

    def _judge(self, hello: dict[str, HelloValue]) -> str | None:
        listen = hello.get("listen")
        if listen != "":
            check_address(listen)
        return self._check_hello(hello)

    def _no_welcome(self, session: Session) -> str | None:
        """Why this node cannot be our peer now, whatever its hello; None if it can."""
        node_id = session.remote
        banned_ms = self.scores.banned_for_ms(node_id, self._runtime.clock.monotonic_ms())
        if banned_ms and not self.book.is_static(node_id):
            return f"banned for another {banned_ms} ms"
        full = self._counted() >= self._config.peers_max
        if full and not self.book.is_static(node_id) and node_id not in self.live:
            return f"has {self._config.peers_max} peers already"
        return None

    def _second_session(self, session: Session) -> str | None:
        """One session a pair: why this one goes; None when it stays (and the live one, if any, has gone).

        Two nodes that dial each other at once must both drop the same one: the session dialled by the lower id
        stays. A live session too old for that, or dialled by the same side, is one the other side has lost.
        """
        old = self.live.get(session.remote)
        if old is None:
            return None
        age_ms = self._runtime.clock.monotonic_ms() - old.connected_at_ms
        crossed = (
            old.session.outbound != session.outbound
            and age_ms < 2 * self._config.handshake_timeout_ms
            and not old.ending
        )
        we_are_lower = self._identity.node_id < session.remote
        if crossed and session.outbound != we_are_lower:
            return "duplicate connection"
        reason = "replaced by a newer connection"
        self._take_down(old, reason)
        old.disconnect(reason)
        return None

    def _admit(self, session: Session, hello: dict[str, HelloValue], dialled: str) -> Peer:
        node_id = session.remote
        listen = str(hello["listen"])
        if dialled:
            self.book.met(node_id, dialled, proven=True)
        elif listen:
            self.book.met(node_id, *reachable_address(listen, session.remote_address))
        entry = self.book.get(node_id)
        peer = Peer(
            session,
            hello,
            listen_address=entry.address if entry is not None else listen,
            static=self.book.is_static(node_id),
            clock=self._runtime.clock,
            timing=self._config.timing,
            on_message=self._on_message,
        )
        self.live[node_id] = peer
        for key in (node_id.hex(), session.remote_address.rpartition(":")[0]):
            self._told.pop(key, None)
        self._log.info(
            "peer connected",
            peer=short(node_id),
            name=peer.name,
            address=session.remote_address,
            direction="out" if session.outbound else "in",
            peers=len(self.live),
        )
        self._on_up(peer)
        return peer

    async def _live(self, peer: Peer) -> None:
        reason = "node stops"
        try:
            reason = await peer.run()
            if peer.malformed:
                self.penalise(peer.node_id, scoring.MALFORMED, reason)
        finally:
            self._take_down(peer, reason)
            await peer.part()

    def _take_down(self, peer: Peer, reason: str) -> None:
        if self.live.get(peer.node_id) is not peer:
            return
        del self.live[peer.node_id]
        self.book.lost(peer.node_id, self._runtime.clock.monotonic_ms())
        self._log.info("peer disconnected", peer=short(peer.node_id), name=peer.name, why=reason, peers=len(self.live))
        self._on_down(peer, reason)
        self.wake()

    def _tell(self, event: str, key: str, why: str, **fields: object) -> None:
        """Log once per reason, not once per attempt."""
        if self._told.get(key) == why:
            return
        if len(self._told) >= TOLD_MAX:
            del self._told[next(iter(self._told))]
        self._told[key] = why
        self._log.info(event, **fields, why=why)


_FAILURES: Final = (
    ConnectionLost,
    HandshakeFailed,
    SessionBroken,
    MalformedMessage,
    Refused,
    RefusedByPeer,
    TimeoutError,
)


def _why(error: BaseException) -> str:
    match error:
        case TimeoutError():
            return "handshake timed out"
        case Refused():
            return f"refused: {error}"
        case RefusedByPeer():
            return f"refused by the other side: {error}"
        case MalformedMessage():
            return f"malformed message: {error.reason}"
    return str(error)
