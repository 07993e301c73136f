"""One live peer: sends what waits in its outbox, reads what it says, and notices when it has gone silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.p2p.identity import NodeId, short
from node.p2p.outbox import Outbox, OutboxOverflow
from node.p2p.rate_limit import PeerLimits, Rate
from node.p2p.session import Session, SessionBroken
from node.p2p.wire import (
    Goodbye,
    HelloValue,
    MalformedMessage,
    Message,
    Ping,
    Pong,
    decode_frame,
    encode,
    frame_of,
)
from node.runtime.clock import Clock
from node.runtime.task_scope import TaskScope
from node.runtime.transport import ConnectionLost

GOODBYE_MS: Final = 250
"""How long a parting word may take."""
THROTTLE_MS_MAX: Final = 1000

RATES: Final[dict[str, Rate]] = {
    "bytes": Rate(32 * 1024 * 1024, 64 * 1024 * 1024),  # beyond: we read more slowly
    "control": Rate(50, 200),  # pings, pongs, neighbour lists; beyond (here and below): dropped, and costs score
    "message": Rate(4000, 8000),  # pushed and direct messages
    "announce": Rate(10_000, 40_000),  # announced ids
    "fetch": Rate(2000, 8000),  # fetched ids
    "fetch_bytes": Rate(16 * 1024 * 1024, 64 * 1024 * 1024),  # what we send for them
    "request": Rate(200, 400),
}


@dataclass(frozen=True, slots=True)
class LinkTiming:
    """When a link counts as dead. Milliseconds."""

    ping_interval_ms: int = 2000
    silence_ms_max: int = 6000
    send_stall_ms: int = 15_000


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A live peer as shown to operators."""

    node_id: NodeId
    name: str
    remote_address: str
    listen_address: str
    outbound: bool
    static: bool
    connected_ms: int
    rtt_ms: int | None
    score: int
    bytes_in: int
    bytes_out: int
    frames_in: int
    frames_out: int
    dropped: int
    """Topic messages that made room in the outbox."""
    hello: dict[str, HelloValue]

    @property
    def address(self) -> str:
        """Where to dial it, if that is known; else where its connection comes from."""
        return self.listen_address or self.remote_address

    @property
    def direction(self) -> str:
        """Who dialled: ``inbound`` or ``outbound``."""
        return "outbound" if self.outbound else "inbound"


OnMessage = Callable[["Peer", Message], None]


class Peer:
    """A session with an outbox, three loops (send, read, heartbeat) and an end."""

    def __init__(
        self,
        session: Session,
        hello: dict[str, HelloValue],
        listen_address: str,
        static: bool,
        clock: Clock,
        timing: LinkTiming,
        on_message: OnMessage,
    ) -> None:
        self.node_id = session.remote
        self.session = session
        self.hello = hello
        self.listen_address = listen_address
        self.static = static
        self.outbox = Outbox()
        self.neighbours: dict[NodeId, str] = {}
        self._clock = clock
        self._timing = timing
        self._on_message = on_message
        self.connected_at_ms = clock.monotonic_ms()
        self.limits = PeerLimits(RATES, self.connected_at_ms)
        self.rtt_ms: int | None = None
        self._heard = True
        self._silent_ticks = 0
        self._ping_number = 0
        self._ping_sent_ms = 0
        self._ended = asyncio.Event()
        self._reason = ""
        self.closed = asyncio.Event()
        self.hung_up = False
        """Whether the other side ended the session, so that there is nobody to say goodbye to."""
        self.malformed = False
        """Whether the session ended because the peer sent garbage."""

    @property
    def name(self) -> str:
        """What the peer calls itself, or the beginning of its id."""
        name = self.hello.get("name")
        return name if isinstance(name, str) and name else short(self.node_id)

    def send_control(self, message: Message) -> None:
        """Queue a small message before all others; ends the session on overflow."""
        try:
            self.outbox.put_control(encode(message))
        except OutboxOverflow as overflow:
            self.disconnect(str(overflow))

    def send_answer(self, message: Message) -> None:
        """Queue the answer to a request; ends the session on overflow."""
        try:
            self.outbox.put_answer(encode(message))
        except OutboxOverflow as overflow:
            self.disconnect(str(overflow))

    def send_topic(self, topic: str, encoded: bytes) -> None:
        """Queue an encoded message of a topic; the topic's oldest make room."""
        self.outbox.put_topic(topic, encoded)

    def disconnect(self, reason: str) -> None:
        """End the session soon, telling the other side why. The first reason stands."""
        if not self._ended.is_set():
            self._reason = reason
            self._ended.set()

    @property
    def ending(self) -> bool:
        """Whether ``disconnect`` was called."""
        return self._ended.is_set()

    async def run(self) -> str:
        """Live until the session ends; the reason. ``part`` comes after it."""
        try:
            async with TaskScope(f"peer {short(self.node_id)}") as scope:
                scope.spawn(self._send_loop(), "send")
                scope.spawn(self._read_loop(), "read")
                scope.spawn(self._heartbeat(), "heartbeat")
                await self._ended.wait()
        except ConnectionLost as error:
            self.hung_up = True
            self.disconnect(str(error))
        except SessionBroken as error:
            self.disconnect(str(error))
        except MalformedMessage as error:
            self.malformed = True
            self.disconnect(f"malformed message: {error.reason}")
        return self._reason

    async def part(self) -> None:
        """Tell the other side why, if it is still there, and close."""
        try:
            if not self.hung_up:
                await self.session.part(frame_of([encode(Goodbye(self._reason or "node stops"))]), GOODBYE_MS)
        finally:
            await self.session.close()
            self.closed.set()

    async def _send_loop(self) -> None:
        while True:
            await self.outbox.wait()
            batch = self.outbox.take()
            if not batch:
                continue
            try:
                async with asyncio.timeout(self._timing.send_stall_ms / 1000):
                    await self.session.send(frame_of(batch))
            except TimeoutError:
                self.disconnect(f"takes no data for {self._timing.send_stall_ms} ms")
                return

    async def _read_loop(self) -> None:
        while True:
            frame = await self.session.receive()
            self._heard = True
            for message in decode_frame(frame):
                self._on_message(self, message)
                if self.ending:
                    return
            await self._throttle(len(frame))

    async def _throttle(self, size: int) -> None:
        wait_ms = self.limits.wait_ms("bytes", self._clock.monotonic_ms(), size)
        while wait_ms > 0:
            pause_ms = min(wait_ms, THROTTLE_MS_MAX)
            await asyncio.sleep(pause_ms / 1000)
            self._heard = True  # it is we who do not listen
            wait_ms -= pause_ms

    async def _heartbeat(self) -> None:
        """Counts ticks without a word rather than reading a clock: a process that was stopped (or a laptop that
        slept) sees one late tick when it wakes, not a silence of hours, and so keeps its links."""
        tick_ms = max(1, self._timing.ping_interval_ms // 2)
        ticks_max = -(-self._timing.silence_ms_max // tick_ms)
        tick = 0
        while True:
            await asyncio.sleep(tick_ms / 1000)
            self._silent_ticks = 0 if self._heard else self._silent_ticks + 1
            self._heard = False
            if self._silent_ticks >= ticks_max:
                self.disconnect(f"silent for {self._silent_ticks * tick_ms} ms")
                return
            tick += 1
            if tick % 2 == 1:
                self._ping_number += 1
                self._ping_sent_ms = self._clock.monotonic_ms()
                self.send_control(Ping(self._ping_number))

    def on_pong(self, pong: Pong) -> None:
        """Note the round trip of the latest ping."""
        if pong.number == self._ping_number:
            self.rtt_ms = max(0, self._clock.monotonic_ms() - self._ping_sent_ms)

    def info(self, score: int) -> PeerInfo:
        """For operators."""
        session = self.session
        return PeerInfo(
            node_id=self.node_id,
            name=self.name,
            remote_address=session.remote_address,
            listen_address=self.listen_address,
            outbound=session.outbound,
            static=self.static,
            connected_ms=self._clock.monotonic_ms() - self.connected_at_ms,
            rtt_ms=self.rtt_ms,
            score=score,
            bytes_in=session.bytes_in,
            bytes_out=session.bytes_out,
            frames_in=session.frames_in,
            frames_out=session.frames_out,
            dropped=self.outbox.dropped,
            hello=dict(self.hello),
        )
