"""Ask one peer a question and wait for its answer: numbered, bounded, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from node.p2p import scoring
from node.p2p.identity import NodeId, short
from node.p2p.peer import Peer
from node.p2p.wire import PAYLOAD_BYTES_MAX, Refusal, Request, Response, clip
from node.runtime.task_scope import TaskScope
from node.telemetry.logs import Log

ASKED_PER_PEER_MAX: Final = 8
"""Our questions a peer works on at once; more wait here."""
WAITING_PER_PEER_MAX: Final = 256
SERVED_PER_PEER_MAX: Final = 16
"""A peer's questions we work on at once; more are refused. Above ASKED_PER_PEER_MAX, for those that timed out."""
SERVED_MAX: Final = 128
"""All peers' together."""

Server = Callable[[NodeId, bytes], Awaitable[bytes]]
"""``await server(peer, payload)``: the answer. May raise RequestRefused."""


class RequestFailed(Exception):
    """No answer: the peer is gone, has no time, or says why not."""


class RequestTimedOut(RequestFailed):
    """The deadline passed."""


class RequestRefused(Exception):
    """Raised by a server: the reason is sent to the peer. ``penalty`` costs it that many points."""

    def __init__(self, reason: str, penalty: int = 0) -> None:
        super().__init__(reason)
        self.penalty = penalty


class _Line:
    """Our dealings with one peer."""

    __slots__ = ("next_number", "peer", "pending", "turns", "waiting")

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.next_number = 1
        self.pending: dict[int, asyncio.Future[bytes]] = {}
        self.turns = asyncio.Semaphore(ASKED_PER_PEER_MAX)
        self.waiting = 0


class Requests:
    """Both sides of asking."""

    def __init__(self, log: Log, score: Callable[[NodeId, int, str], None]) -> None:
        self._log = log
        self._score = score
        self._lines: dict[NodeId, _Line] = {}
        self._servers: dict[str, Server] = {}
        self._serving: dict[NodeId, int] = {}  # outlives the session: hanging up does not end what runs
        self._scope: TaskScope | None = None

    def serve(self, name: str, server: Server) -> None:
        """Answer requests of this name."""
        assert name not in self._servers, f"requests {name} are served already"
        self._servers[name] = server

    async def request(
        self, node_id: NodeId, name: str, payload: bytes, timeout_ms: int, answer_bytes_max: int = PAYLOAD_BYTES_MAX
    ) -> bytes:
        """The peer's answer. Raises RequestFailed (RequestTimedOut: it may still be working on it)."""
        assert len(payload) <= PAYLOAD_BYTES_MAX, "payload too big"
        line = self._lines.get(node_id)
        if line is None:
            raise RequestFailed("not connected")
        if line.waiting >= WAITING_PER_PEER_MAX:
            raise RequestFailed("too many requests wait for this peer")
        line.waiting += 1
        try:
            async with asyncio.timeout(timeout_ms / 1000), line.turns:
                answer = await self._ask(line, name, payload)
        except TimeoutError:
            self._score(node_id, scoring.TIMED_OUT, f"{name}: no answer within {timeout_ms} ms")
            raise RequestTimedOut(f"{name}: no answer within {timeout_ms} ms") from None
        finally:
            line.waiting -= 1
        if len(answer) > answer_bytes_max:
            self._score(node_id, scoring.REJECTED, f"{name}: answer of {len(answer)} bytes, {answer_bytes_max} allowed")
            raise RequestFailed(f"{name}: answer too long")
        return answer

    async def _ask(self, line: _Line, name: str, payload: bytes) -> bytes:
        if self._lines.get(line.peer.node_id) is not line:
            raise RequestFailed("peer is gone")
        number = line.next_number
        line.next_number += 1
        line.pending[number] = asyncio.get_running_loop().create_future()
        try:
            line.peer.send_answer(Request(number, name, payload))
            return await line.pending[number]
        finally:
            del line.pending[number]

    # --- what the switch calls ---

    def start(self, scope: TaskScope) -> None:
        """Answer as tasks of ``scope``."""
        self._scope = scope

    def add_peer(self, peer: Peer) -> None:
        """A session has begun."""
        self._lines[peer.node_id] = _Line(peer)

    def remove_peer(self, node_id: NodeId) -> None:
        """A session has ended: what was asked in it fails."""
        line = self._lines.pop(node_id, None)
        if line is not None:
            for future in line.pending.values():
                if not future.done():
                    future.set_exception(RequestFailed("peer is gone"))

    def on_request(self, peer: Peer, request: Request) -> None:
        """A peer asks."""
        line = self._lines.get(peer.node_id)
        if line is None or self._scope is None or self._scope.closing:
            return
        server = self._servers.get(request.name)
        if server is None:
            peer.send_answer(Refusal(request.number, f"nobody serves {request.name}"))
        elif self._serving.get(peer.node_id, 0) >= SERVED_PER_PEER_MAX:
            self._score(peer.node_id, scoring.FLOODED, "too many requests at once")
            peer.send_answer(Refusal(request.number, "too many requests at once"))
        elif sum(self._serving.values()) >= SERVED_MAX:
            peer.send_answer(Refusal(request.number, "busy"))
        else:
            self._serving[peer.node_id] = self._serving.get(peer.node_id, 0) + 1
            self._scope.spawn(self._serve(peer, server, request), f"serve {request.name} to {short(peer.node_id)}")

    async def _serve(self, peer: Peer, server: Server, request: Request) -> None:
        try:
            answer = await server(peer.node_id, request.payload)
            assert len(answer) <= PAYLOAD_BYTES_MAX, f"answer to {request.name} too big"
            peer.send_answer(Response(request.number, answer))
        except RequestRefused as refused:
            peer.send_answer(Refusal(request.number, clip(str(refused))))
            if refused.penalty:
                self._score(peer.node_id, -refused.penalty, f"{request.name}: {refused}")
        finally:
            self._serving[peer.node_id] -= 1
            if not self._serving[peer.node_id]:
                del self._serving[peer.node_id]

    def on_answer(self, peer: Peer, answer: Response | Refusal) -> None:
        """A peer answers. Late answers are dropped; answers to what was never asked cost score."""
        line = self._lines.get(peer.node_id)
        if line is None:
            return
        if answer.number >= line.next_number:
            self._score(peer.node_id, scoring.UNSOLICITED, "answers what was not asked")
            return
        future = line.pending.get(answer.number)
        if future is None or future.done():
            return
        if isinstance(answer, Response):
            future.set_result(answer.payload)
        else:
            future.set_exception(RequestFailed(f"refused: {answer.reason}"))
