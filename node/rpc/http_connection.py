"""One HTTP connection, as long as it only sends what JSON-RPC clients send: POST / with a length and plain headers.

    bytes ─▶ head seen before? ─▶ body complete ─▶ dispatcher ─▶ bytes
             └─▶ read once, strictly ─▶ anything unusual: the connection is aiohttp's from here on, with all its bytes

aiohttp takes 45 µs of processor time a request, most of it for headers that never change, and a task each; this takes
10. Nothing is decided here that aiohttp would decide otherwise: what is not understood to the last byte is handed over.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from node.rpc.dispatch import Dispatcher
from node.rpc.host_check import Doorkeeper
from node.rpc.http_port import HttpPort

HEAD_BYTES_MAX: Final = 8_192
HEADS_KEPT: Final = 256
"""Heads of requests whose length is known; clients send a few different ones, again and again."""
PIPELINED_AT_ONCE: Final = 16
"""Requests of one connection before the event loop may do something else."""
READ_AHEAD_MAX: Final = 64 * 1024
"""Bytes that may come while an answer is being made; then the client has to wait."""

_START: Final = b"POST / HTTP/1.1\r\n"
_END: Final = b"\r\n\r\n"
_NAME: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_PLAIN: Final = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"content-type",
        b"pragma",
        b"sec-fetch-mode",
        b"user-agent",
    )
)
"""Headers that change nothing about the answer."""


class Heads:
    """Body lengths by head, for heads that were read before."""

    def __init__(self, door: Doorkeeper, body_bytes_max: int) -> None:
        self._door = door
        self._body_bytes_max = body_bytes_max
        self._known: OrderedDict[bytes, int] = OrderedDict()

    def length(self, head: bytes) -> int | None:
        """Bytes of the body that follows ``head`` (everything before the empty line); None: not for us."""
        known = self._known.get(head)
        if known is not None:
            return known
        read = self._read(head)
        if read is not None:
            self._known[head] = read
            if len(self._known) > HEADS_KEPT:
                self._known.popitem(last=False)
        return read

    def _read(self, head: bytes) -> int | None:
        if b"\0" in head or head.count(b"\n") != head.count(b"\r\n") or head.count(b"\r") != head.count(b"\r\n"):
            return None
        length: int | None = None
        host: bytes | None = None
        for line in head.split(b"\r\n")[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not name or not _NAME.issuperset(name):
                return None
            name, value = name.lower(), value.strip(b" \t")
            if name == b"content-length":
                if length is not None or not value.isdigit() or len(value) > 10:
                    return None
                length = int(value)
            elif name == b"host":
                if host is not None:
                    return None
                host = value
            elif name == b"connection":
                if value.lower() != b"keep-alive":
                    return None
            elif name not in _PLAIN:
                return None
        if length is None or length > self._body_bytes_max or not host or not host.isascii():
            return None
        return length if self._door.host_allowed(host.decode()) else None


class HttpConnection(asyncio.Protocol):
    """Answers requests one after another."""

    __slots__ = (
        "_again",
        "_closing",
        "_dispatcher",
        "_heads",
        "_other",
        "_port",
        "_received",
        "_task",
        "_transport",
        "_writable",
        "answered",
    )

    def __init__(
        self, dispatcher: Dispatcher, heads: Heads, port: HttpPort, other: Callable[[], asyncio.Protocol]
    ) -> None:
        """``other`` makes the protocol that takes an unusual connection."""
        self._dispatcher = dispatcher
        self._heads = heads
        self._port = port
        self._other = other
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable = True
        self._closing = False
        self._again = False
        self.answered = 0
        """Requests; whoever closes idle connections looks whether it grows."""

    @property
    def busy(self) -> bool:
        """An answer is being made."""
        return self._task is not None

    def close(self) -> None:
        """After the answer that is being made, if there is one."""
        self._closing = True
        if self._task is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Now."""
        if self._transport is not None:
            self._transport.abort()

    # --- what asyncio tells ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._port.joined(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away, or we closed."""
        self._transport = None
        self._port.left(self)

    def pause_writing(self) -> None:
        """The client does not read: no further request is answered until it does."""
        self._writable = False

    def resume_writing(self) -> None:
        """It reads again."""
        self._writable = True
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Some bytes of requests."""
        self._received += data
        if self._task is None and self._writable:
            self._go_on()
        elif len(self._received) > READ_AHEAD_MAX and self._transport is not None:
            self._transport.pause_reading()

    # --- requests ---

    def _go_on(self) -> None:
        """Answer the complete requests that have come, as far as they can be answered now."""
        self._again = False
        for _ in range(PIPELINED_AT_ONCE):
            transport = self._transport
            if transport is None or self._closing or self._task is not None or not self._writable:
                return
            body = self._next_body(transport)
            if body is None:
                transport.resume_reading()
                return
            begun = self._dispatcher.begin(body)
            if isinstance(begun, bytes):
                self._answer(begun)
            else:
                self._task = asyncio.create_task(self._wait(begun), name="rpc/http")
        if self._received and not self._again:
            self._again = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _next_body(self, transport: asyncio.Transport) -> bytes | None:
        """The next complete body; None where more has to come, or where the connection is ours no longer."""
        received = self._received
        end = received.find(_END, 0, HEAD_BYTES_MAX)
        if end < 0:
            if len(received) >= HEAD_BYTES_MAX or not _may_begin(received):
                self._give_away(transport)
            return None
        length = self._heads.length(bytes(received[:end])) if received.startswith(_START) else None
        if length is None:
            self._give_away(transport)
            return None
        begin, stop = end + len(_END), end + len(_END) + length
        if len(received) < stop:
            return None
        if not self._port.enter():
            self._give_away(transport)
            return None
        body = bytes(received[begin:stop])
        del received[:stop]
        return body

    def _give_away(self, transport: asyncio.Transport) -> None:
        """The rest of this connection is for the other protocol, from the first byte that is not answered yet."""
        other = self._other()
        received = bytes(self._received)
        self._received.clear()
        self._transport = None
        self._port.left(self)
        transport.set_protocol(other)
        other.connection_made(transport)
        transport.resume_reading()
        if received:
            other.data_received(received)

    async def _wait(self, begun: Coroutine[Any, Any, bytes]) -> None:
        try:
            answer = await begun
        except BaseException:  # only the end of the loop: the dispatcher tells everything else as an answer
            self._port.leave()
            raise
        finally:
            self._task = None
        self._answer(answer)
        self._go_on()

    def _answer(self, body: bytes) -> None:
        self._port.leave()
        self.answered += 1
        transport = self._transport
        if transport is None:
            return
        transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (self._port.date(), len(body), body)
        )
        if self._closing:
            transport.close()


def _may_begin(received: bytearray) -> bool:
    """Whether these first bytes can still become a request that is for us."""
    return received.startswith(_START) or _START.startswith(received)
