"""What the node holds of the network: the listener and every part behind it, started and stopped together.

Network ── connections ──▶ PeerSet ── live peers ──▶ dispatch ──▶ Gossip │ Requests │ NeighbourExchange
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.p2p import scoring
from node.p2p.gossip import Gossip
from node.p2p.identity import Identity, NodeId, parse_dial_string, short
from node.p2p.neighbours import NeighbourExchange
from node.p2p.peer import Peer, PeerInfo
from node.p2p.peer_set import HelloCheck, HelloSource, P2PConfig, PeerSet
from node.p2p.requests import Requests
from node.p2p.wire import (
    Announce,
    Direct,
    Fetch,
    Goodbye,
    Hello,
    MalformedMessage,
    Message,
    Neighbours,
    Ping,
    Pong,
    Push,
    Ready,
    Refusal,
    Request,
    Response,
)
from node.runtime.runtime import Runtime
from node.runtime.task_scope import TaskScope
from node.runtime.transport import Listener
from node.telemetry.logs import Log

STOP_MS = 500
"""How long all peers together may take to hear our goodbye."""

PeerCallback = Callable[[NodeId], None]


class Switch:
    """``gossip`` and ``requests`` carry the node's messages; ``peers`` tells who is there.

    ``hello()`` says which chain we are on; ``check_hello(theirs)`` returns why a peer must be refused, or None.
    """

    def __init__(
        self,
        config: P2PConfig,
        identity: Identity,
        runtime: Runtime,
        log: Log,
        hello: HelloSource,
        check_hello: HelloCheck,
    ) -> None:
        """Raises ValueError for a bootnode that is no dial string."""
        self._config = config
        self._runtime = runtime
        self._log = log
        self.identity = identity
        self.node_id: NodeId = identity.node_id
        self._peer_set = PeerSet(
            config, identity, runtime, log, hello, check_hello, self._on_message, self._on_up, self._on_down
        )
        self.gossip = Gossip(runtime.clock, log, self.penalise)
        self.requests = Requests(log, self.penalise)
        self._neighbours = NeighbourExchange(self._peer_set, runtime.clock)
        self._up_callbacks: list[PeerCallback] = []
        self._down_callbacks: list[PeerCallback] = []
        self._listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._started = asyncio.Event()

    # --- life ---

    async def start(self) -> None:
        """Listen and begin to dial. Raises OSError when the address is taken."""
        assert self._task is None, "started twice"
        self._listener = await self._runtime.network.listen(self._config.listen_address, self._peer_set.on_connection)
        self._peer_set.own_address = self._config.advertise_address or self._listener.address
        self._task = asyncio.get_running_loop().create_task(self._run(), name="p2p")
        await self._started.wait()
        self._log.info("p2p listening", address=self._listener.address, id=self.node_id.hex())

    async def _run(self) -> None:
        async with TaskScope("p2p") as scope:
            self.gossip.start(scope)
            self.requests.start(scope)
            self._neighbours.start(scope)
            self._peer_set.start(scope)
            self._started.set()
            await self._stopping.wait()

    async def stop(self) -> None:
        """Say goodbye to all peers and close everything; idempotent. Raises what broke the switch, if anything did."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        await self._say_goodbye()
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _say_goodbye(self) -> None:
        leaving = list(self._peer_set.live.values())
        for peer in leaving:
            peer.disconnect("node stops")
        try:
            async with asyncio.timeout(STOP_MS / 1000):
                for peer in leaving:
                    await peer.closed.wait()
        except TimeoutError:
            pass  # the scope cancels the rest

    async def wait_stopped(self) -> None:
        """Returns when the switch has stopped; raises what broke it (a mistake of ours: the node should stop)."""
        assert self._task is not None, "not started"
        await asyncio.shield(self._task)

    # --- what the node above asks ---

    @property
    def listen_address(self) -> str:
        """``host:port`` with the real port, once started."""
        assert self._listener is not None, "not started"
        return self._listener.address

    @property
    def dial_string(self) -> str:
        """What others put among their bootnodes."""
        return self.identity.dial_string(self._peer_set.own_address)

    def peers(self) -> list[PeerInfo]:
        """The live peers, longest connected first."""
        now_ms = self._runtime.clock.monotonic_ms()
        scores = self._peer_set.scores
        return [peer.info(scores.score(peer.node_id, now_ms)) for peer in self._peer_set.live.values()]

    def peer_ids(self) -> list[NodeId]:
        """The live peers' ids, longest connected first."""
        return list(self._peer_set.live)

    def reaches(self, node_id: NodeId, other: NodeId) -> bool:
        """Whether a peer says that it is connected with ``other``."""
        peer = self._peer_set.live.get(node_id)
        return peer is not None and other in peer.neighbours

    def send(self, node_id: NodeId, topic: str, payload: bytes) -> bool:
        """To one peer only, never forwarded; its handler of the topic gets it. False when it is not connected."""
        return self.gossip.send(node_id, topic, payload)

    def on_peer_up(self, callback: PeerCallback) -> None:
        """Call ``callback(node_id)`` whenever a session has begun."""
        self._up_callbacks.append(callback)

    def on_peer_down(self, callback: PeerCallback) -> None:
        """Call ``callback(node_id)`` whenever a session has ended."""
        self._down_callbacks.append(callback)

    def penalise(self, node_id: NodeId, points: int, why: str) -> None:
        """Add points to a peer's score: negative ones for what it did wrong."""
        self._peer_set.penalise(node_id, points, why)

    def disconnect(self, node_id: NodeId, reason: str) -> bool:
        """End a session; a static peer is dialled again. False when it is not connected."""
        peer = self._peer_set.live.get(node_id)
        if peer is not None:
            peer.disconnect(reason)
        return peer is not None

    def add_peer(self, dial_string: str) -> None:
        """Dial a node from now on, whatever happens. Raises ValueError."""
        target = parse_dial_string(dial_string)
        self._peer_set.scores.forgive(target.node_id)
        self._peer_set.book.add_static(target, self._runtime.clock.monotonic_ms())
        self._peer_set.wake()

    def remove_peer(self, node_id: NodeId) -> None:
        """Dial a node no more, and hang up."""
        self._peer_set.book.remove(node_id)
        self.disconnect(node_id, "removed by the operator")

    # --- what peers do ---

    def _on_up(self, peer: Peer) -> None:
        self.gossip.add_peer(peer)
        self.requests.add_peer(peer)
        self._neighbours.changed()
        for callback in self._up_callbacks:
            callback(peer.node_id)

    def _on_down(self, peer: Peer, reason: str) -> None:
        self.gossip.remove_peer(peer.node_id)
        self.requests.remove_peer(peer.node_id)
        self._neighbours.changed()
        for callback in self._down_callbacks:
            callback(peer.node_id)

    def _on_message(self, peer: Peer, message: Message) -> None:
        """Called for each message of a live peer, in order. Raises MalformedMessage."""
        match message:
            case Push():
                if self._allowed(peer, "message"):
                    self.gossip.on_push(peer, message)
            case Direct():
                if self._allowed(peer, "message"):
                    self.gossip.on_direct(peer, message)
            case Announce():
                if self._allowed(peer, "announce", len(message.ids)):
                    self.gossip.on_announce(peer, message)
            case Fetch():
                if self._allowed(peer, "fetch", len(message.ids)):
                    self.gossip.on_fetch(peer, message)
            case Request():
                if self._allowed(peer, "request"):
                    self.requests.on_request(peer, message)
            case Response() | Refusal():
                self.requests.on_answer(peer, message)
            case Ping(number):
                if self._allowed(peer, "control"):
                    peer.send_control(Pong(number))
            case Pong():
                if self._allowed(peer, "control"):
                    peer.on_pong(message)
            case Neighbours():
                if self._allowed(peer, "control"):
                    self._neighbours.on_neighbours(peer, message)
            case Goodbye(reason):
                peer.hung_up = True
                peer.disconnect(f"other side: {reason}")
            case Hello() | Ready():
                raise MalformedMessage("a session is introduced once")

    def _allowed(self, peer: Peer, kind: str, count: int = 1) -> bool:
        if peer.limits.take(kind, self._runtime.clock.monotonic_ms(), count):
            return True
        self.penalise(peer.node_id, scoring.FLOODED, f"too many messages of kind {kind}")
        self._log.debug("message over the limit", peer=short(peer.node_id), kind=kind)
        return False
