"""The network door under virtual time: frames travel by ``LinkPolicy``, kernels and cables are modelled, nothing waits.

        n0's code                the fabric                       n1's code
    send(frame) ──> stream n0→n1: in flight (ordered, bounded) ──> inbox ──> receive()
                    cut: held and retried   lost: late, or reset   closed: end of stream

One ``SimulatedNetwork`` is the whole fabric; ``door()`` gives each run of a node its own ``Network``. What the
operating system does for a process it does here too, outside the node's context: a paused node's connections still
fill, a killed node's connections end, a node without power is silent.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Final, Protocol

from network.faults.link_policy import NS_PER_MS, LinkPolicy
from network.simulator.entropy import seeded_random
from network.simulator.event_loop import VirtualTimeLoop
from node.runtime.transport import (
    FRAME_BYTES_MAX,
    WRITE_BUFFER_BYTES,
    Connection,
    ConnectionLost,
    Listener,
    OnConnection,
    split_address,
)

WINDOW_BYTES: Final = 2 * WRITE_BUFFER_BYTES
"""Bytes under way or unread on one stream before ``send`` waits: a send and a receive buffer."""
RETRY_MS: Final = 200
RETRY_MAX_MS: Final = 1000
"""A cut stream tries again after 200 ms, then twice that, at most every second (kernels back off further)."""
FIRST_EPHEMERAL_PORT: Final = 49_152
_HANDSHAKE_BYTES: Final = 60
_ANY_HOSTS: Final = ("0.0.0.0", "::")


class LinkObserver(Protocol):
    """Who is told of every frame that arrives and every connection that opens or ends."""

    def on_frame(self, source: str, target: str, connection: int, frame: bytes) -> None:
        """A frame has reached the target's inbox."""
        ...

    def on_connection(self, source: str, target: str, connection: int, event: str) -> None:
        """``open`` when a dial succeeds, ``close`` when one side closes, ``reset`` when the connection breaks."""
        ...


class _Stream:
    """One direction of a connection."""

    def __init__(self, fabric: SimulatedNetwork, number: int, source: str, target: str) -> None:
        self.fabric = fabric
        self.number = number
        self.source = source
        self.target = target
        self.inbox: deque[bytes] = deque()
        self.flight: deque[tuple[bytes | None, int | None]] = deque()
        self.pending_bytes = 0
        self.retry_ms = RETRY_MS
        self.timer_set = False
        self.ended = False
        self.waiters: deque[asyncio.Future[None]] = deque()
        self.receiver: _Endpoint | None = None

    def push(self, frame: bytes | None) -> None:
        """Send a frame on its way; None is the end of the stream."""
        self.pending_bytes += len(frame or b"")
        fabric = self.fabric
        if not fabric.policy.is_cut(self.source, self.target) and not (self.flight and self.flight[-1][1] is None):
            due_ns = self._depart(frame)
            if due_ns is None:
                return
            self.flight.append((frame, due_ns))
        else:
            self.flight.append((frame, None))  # waits for the cut to heal
        self._arm()

    def _depart(self, frame: bytes | None) -> int | None:
        """When the frame arrives in its turn; None when it does not, or goes outside the order."""
        fabric = self.fabric
        size = len(frame or b"") + 4
        fate = fabric.policy.deliveries(
            self.source, self.target, size, fabric.loop.now_ns, fabric.chance(self.source, self.target)
        )
        if fate.reset:
            if self.receiver is not None:
                self.receiver.connection_broke()
            return None
        if not fate.after_ns and frame is not None:
            self.pending_bytes -= len(frame)
            return None
        if not fate.in_order and frame is not None:
            self.pending_bytes += len(frame) * (len(fate.after_ns) - 1)
            for after_ns in fate.after_ns:
                fabric.at(fabric.loop.now_ns + after_ns, self._arrive, frame)
            return None
        return fabric.loop.now_ns + (fate.after_ns[0] if fate.after_ns else 0)  # a later one waits for its turn

    def _arm(self) -> None:
        if self.timer_set or not self.flight:
            return
        due_ns = self.flight[0][1]
        if due_ns is None:
            due_ns = self.fabric.loop.now_ns + self.retry_ms * NS_PER_MS
            self.retry_ms = min(2 * self.retry_ms, RETRY_MAX_MS)
        self.timer_set = True
        self.fabric.at(due_ns, self._pump)

    def _pump(self) -> None:
        """Deliver what is due, in order; hold everything while the link is cut."""
        self.timer_set = False
        now_ns = self.fabric.loop.now_ns
        if self.ended:
            return
        if self.fabric.policy.is_cut(self.source, self.target):
            self.flight = deque((frame, None) for frame, _ in self.flight)
            self._arm()
            return
        self.retry_ms = RETRY_MS
        if self.flight and self.flight[0][1] is None:
            waiting, self.flight = self.flight, deque()
            for frame, _ in waiting:
                self.pending_bytes -= len(frame or b"")
                if not self.ended:
                    self.push(frame)
            return
        while self.flight and not self.ended:
            frame, due_ns = self.flight[0]
            if due_ns is None or due_ns > now_ns:
                break
            self.flight.popleft()
            if frame is None:
                self.end()
            else:
                self._arrive(frame)
        self._arm()

    def _arrive(self, frame: bytes) -> None:
        if self.ended:
            return
        receiver = self.receiver
        if receiver is None or not receiver.is_open:
            self.pending_bytes -= len(frame)
            if receiver is not None and self.fabric.answers(self.target):
                receiver.connection_broke()
            return
        self.fabric.delivered_bytes += len(frame)
        self.fabric.observer.on_frame(self.source, self.target, self.number, frame)
        self.inbox.append(frame)
        self._wake()

    def end(self) -> None:
        """Nothing more will arrive: what the inbox holds can still be read."""
        self.ended = True
        self.flight.clear()
        self._wake()

    def drop_unread(self) -> None:
        """Nobody will read it; whoever waits looks again. What still arrives is answered with a reset."""
        while self.inbox:
            self.pending_bytes -= len(self.inbox.popleft())
        self._wake()

    def _wake(self) -> None:
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Until a frame arrives, room appears, or the stream ends."""
        waiter = self.fabric.loop.create_future()
        self.waiters.append(waiter)
        await waiter

    def take(self) -> bytes:
        """The oldest unread frame; makes room for senders."""
        frame = self.inbox.popleft()
        self.pending_bytes -= len(frame)
        self._wake()
        return frame


class _Endpoint:
    """One side of a connection (see ``node.runtime.transport.Connection``)."""

    def __init__(self, owner: str, remote: str, outgoing: _Stream, incoming: _Stream) -> None:
        self.owner = owner
        self._remote = remote
        self._outgoing = outgoing
        self._incoming = incoming
        self.is_open = True
        incoming.receiver = self

    @property
    def remote(self) -> str:
        return self._remote

    async def send(self, frame: bytes) -> None:
        if len(frame) > FRAME_BYTES_MAX:
            raise ValueError(f"frame of {len(frame)} bytes exceeds {FRAME_BYTES_MAX}")
        if not self.is_open:
            raise ConnectionLost("connection is closed")
        if self._incoming.ended or self._outgoing.ended:
            raise ConnectionLost("connection closed by the other side")
        self._outgoing.push(bytes(frame))
        while self._outgoing.pending_bytes > WINDOW_BYTES:
            await self._outgoing.wait()
            if self._is_over():
                raise ConnectionLost("connection closed while sending")

    async def receive(self, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
        while True:
            if not self.is_open:
                raise ConnectionLost("connection is closed")
            if self._incoming.inbox:
                announced = len(self._incoming.inbox[0])
                if announced > bytes_max:
                    raise ConnectionLost(f"peer announced a frame of {announced} bytes")
                return self._incoming.take()
            if self._incoming.ended:
                raise ConnectionLost("connection closed by the other side")
            await self._incoming.wait()

    def _is_over(self) -> bool:
        return not self.is_open or self._outgoing.ended

    async def close(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Close this side; the other side reads the end of the stream when it gets there."""
        if not self.is_open:
            return
        self.is_open = False
        self._outgoing.fabric.forget(self, "close")
        if not self._outgoing.ended:
            self._outgoing.push(None)
        self._incoming.drop_unread()

    def go_silent(self) -> None:
        """Power is gone: nothing is sent any more, not even an end."""
        if self.is_open:
            self.is_open = False
            self._outgoing.fabric.forget(self, "silent")
            self._outgoing.flight.clear()

    def connection_broke(self) -> None:
        """A reset: both directions end where they are, on both sides."""
        self._outgoing.fabric.forget(self, "reset")
        self._outgoing.end()
        self._incoming.end()
        self._incoming.drop_unread()


class _SimulatedListener:
    def __init__(self, door: _Door, address: str, on_connection: OnConnection) -> None:
        self.door = door
        self._address = address
        self.on_connection = on_connection
        self.context = copy_context()

    @property
    def address(self) -> str:
        return self._address

    async def close(self) -> None:
        self.door.fabric.stop_listening(self)


class _Door:
    """One run of one node at the fabric (see ``node.runtime.transport.Network``)."""

    def __init__(self, fabric: SimulatedNetwork, node: str, owner: str, host: str) -> None:
        self.fabric = fabric
        self.node = node
        self.owner = owner
        self.host = host

    async def listen(self, address: str, on_connection: OnConnection) -> Listener:
        host, port = split_address(address)
        if host in _ANY_HOSTS:
            host = self.host
        listener = _SimulatedListener(self, f"{host}:{port or self.fabric.next_port()}", on_connection)
        self.fabric.start_listening(listener)
        return listener

    async def dial(self, address: str, timeout_ms: int) -> Connection:
        split_address(address)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await self.fabric.connect(self, address)
        except TimeoutError:
            raise ConnectionLost(f"cannot reach {address}: timed out") from None


class _Unobserved:
    def on_frame(self, source: str, target: str, connection: int, frame: bytes) -> None:
        pass

    def on_connection(self, source: str, target: str, connection: int, event: str) -> None:
        pass


class SimulatedNetwork:
    """All links of a cluster. ``observer`` hears every frame that arrives, in order."""

    def __init__(
        self, loop: VirtualTimeLoop, policy: LinkPolicy, seed: int, observer: LinkObserver | None = None
    ) -> None:
        self.loop = loop
        self.policy = policy
        self.observer: LinkObserver = observer or _Unobserved()
        self.delivered_bytes = 0
        self._seed = seed
        self._context = Context()
        self._chances: dict[tuple[str, str], random.Random] = {}
        self._listeners: dict[str, _SimulatedListener] = {}
        self._hosts: dict[str, str] = {}
        self._dark: dict[str, None] = {}
        self._endpoints: dict[_Endpoint, None] = {}
        self._accepting: dict[asyncio.Task[None], None] = {}
        self._connections = 0
        self._ports = FIRST_EPHEMERAL_PORT

    def door(self, node: str, owner: str, host: str) -> _Door:
        """The network of one run of ``node``, whose tasks carry ``owner`` in the loop's context."""
        self._hosts[host] = node
        self._dark.pop(node, None)
        return _Door(self, node, owner, host)

    def mute(self) -> None:
        """Tell the observer nothing more: the run is over, what follows is clearing up."""
        self.observer = _Unobserved()

    def kill(self, owner: str) -> None:
        """The process died: the kernel closes its listeners and connections."""
        self._leave(owner, silent=False)

    def lose_power(self, node: str, owner: str) -> None:
        """The machine died: no goodbye, and whoever dials waits in vain until it is back."""
        self._dark[node] = None
        self._leave(owner, silent=True)

    def _leave(self, owner: str, silent: bool) -> None:
        for address, listener in list(self._listeners.items()):
            if listener.door.owner == owner:
                del self._listeners[address]
        for endpoint in [endpoint for endpoint in self._endpoints if endpoint.owner == owner]:
            if silent:
                endpoint.go_silent()
            else:
                endpoint.hang_up()

    # ---- for the parts above

    def at(self, instant_ns: int, callback: Callable[..., object], *args: Any) -> None:
        """Run outside every node's context."""
        self.loop.at_ns(instant_ns, callback, *args, context=self._context)

    def chance(self, source: str, target: str) -> random.Random:
        """The link's own stream of chance."""
        stream = self._chances.get((source, target))
        if stream is None:
            stream = self._chances[source, target] = seeded_random(self._seed, "link", source, target)
        return stream

    def next_port(self) -> int:
        """A port nobody has."""
        self._ports += 1
        if self._ports > 65_535:
            self._ports = FIRST_EPHEMERAL_PORT
        return self._ports

    def answers(self, node: str) -> bool:
        """Whether the node's machine has power."""
        return node not in self._dark

    def start_listening(self, listener: _SimulatedListener) -> None:
        """Raises OSError when the address is taken."""
        if listener.address in self._listeners:
            raise OSError(errno.EADDRINUSE, f"address {listener.address} is in use")
        self._listeners[listener.address] = listener

    def stop_listening(self, listener: _SimulatedListener) -> None:
        """Later dials are refused; open connections stay."""
        if self._listeners.get(listener.address) is listener:
            del self._listeners[listener.address]

    def forget(self, endpoint: _Endpoint, event: str) -> None:
        """The endpoint is of no further use."""
        if endpoint in self._endpoints:
            del self._endpoints[endpoint]
            stream = endpoint._outgoing
            self.observer.on_connection(stream.source, stream.target, stream.number, event)

    async def _cross(self, source: str, target: str) -> None:
        """A handshake packet's way over the link; retried while the link is cut or loses it."""
        retry_ms = RETRY_MS
        while True:
            chance = self.chance(source, target)
            fate = self.policy.deliveries(source, target, _HANDSHAKE_BYTES, self.loop.now_ns, chance)
            if fate.reset:
                raise ConnectionLost("connection reset")
            if fate.after_ns and self.answers(target):
                await asyncio.sleep(fate.after_ns[0] / 1_000_000_000)
                return
            await asyncio.sleep(retry_ms / 1000)
            retry_ms = min(2 * retry_ms, RETRY_MAX_MS)

    async def connect(self, door: _Door, address: str) -> Connection:
        """One connection from the door's node to the listener. Raises ConnectionLost when nobody listens."""
        host = split_address(address)[0]
        listener = self._listeners.get(address)
        target = listener.door.node if listener else self._hosts.get(host, host)
        await self._cross(door.node, target)
        listener = self._listeners.get(address)
        if listener is None:
            await self._cross(target, door.node)
            raise ConnectionLost(f"cannot reach {address}: connection refused")
        self._connections += 1
        number = self._connections
        there = _Stream(self, number, door.node, target)
        back = _Stream(self, number, target, door.node)
        dialled = _Endpoint(door.owner, address, there, back)
        accepted = _Endpoint(listener.door.owner, f"{door.host}:{self.next_port()}", back, there)
        self._endpoints[dialled] = None
        self._endpoints[accepted] = None
        self._accept(listener, accepted)
        try:
            await self._cross(target, door.node)
        except BaseException:
            dialled.hang_up()
            raise
        self.observer.on_connection(door.node, target, number, "open")
        return dialled

    def _accept(self, listener: _SimulatedListener, endpoint: _Endpoint) -> None:
        async def serve() -> None:
            await listener.on_connection(endpoint)

        task = self.loop.create_task(serve(), name=f"accept/{endpoint.remote}", context=listener.context.copy())
        self._accepting[task] = None
        task.add_done_callback(lambda done: self._served(done, endpoint), context=self._context)

    def _served(self, task: asyncio.Task[None], endpoint: _Endpoint) -> None:
        self._accepting.pop(task, None)
        if task.cancelled():
            endpoint.hang_up()
            return
        error = task.exception()
        if error is not None:
            endpoint.hang_up()
            self.loop.call_exception_handler(
                {"message": f"connection handler failed at {endpoint.owner}", "exception": error, "task": task}
            )
