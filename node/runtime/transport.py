"""The network door: frames between addresses.

A connection carries whole frames (4-byte big-endian length, then the payload), so that a simulated
network can deliver, delay, drop or duplicate the same units that a TCP proxy sees on the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
"""Upper bound of one frame; a peer that announces more is cut off before a byte is buffered."""

WRITE_BUFFER_BYTES: Final = 256 * 1024

CLOSE_GRACE_MS: Final = 250
"""How long a close waits for bytes already written; a peer that has stopped reading cannot hold us longer."""


class ConnectionLost(ConnectionError):
    """The other side is gone, or broke the framing; the connection is of no further use."""


class Connection(Protocol):
    """One ordered, reliable, two-way channel of frames."""

    @property
    def remote(self) -> str:
        """The other side's address, ``host:port``, for logs."""
        ...

    async def send(self, frame: bytes) -> None:
        """Hand one frame over; waits while the other side is slow. Raises ConnectionLost."""
        ...

    async def receive(self, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
        """The next frame, at most ``bytes_max`` long (strangers get little). Raises ConnectionLost at the end."""
        ...

    async def close(self) -> None:
        """Close; what was sent just before gets CLOSE_GRACE_MS to leave. Idempotent."""
        ...


class Listener(Protocol):
    """A place where others can dial in."""

    @property
    def address(self) -> str:
        """Where it listens, ``host:port``, with the real port where 0 was asked for."""
        ...

    async def close(self) -> None:
        """Stop accepting; open connections stay."""
        ...


OnConnection = Callable[[Connection], Awaitable[None]]


class Network(Protocol):
    """Listen and dial."""

    async def listen(self, address: str, on_connection: OnConnection) -> Listener:
        """Accept connections at ``host:port``; each is handed to ``on_connection`` in a task of its own."""
        ...

    async def dial(self, address: str, timeout_ms: int) -> Connection:
        """Connect to ``host:port``. Raises ConnectionLost when nobody answers in time."""
        ...


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` (IPv6 hosts in brackets) as a pair. Raises ValueError."""
    host, separator, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"address {address!r} is not of the form host:port")
    return host, int(port)


class _TcpConnection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        peer = writer.get_extra_info("peername")
        self._remote = f"{peer[0]}:{peer[1]}" if peer else "?"
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    @property
    def remote(self) -> str:
        return self._remote

    async def send(self, frame: bytes) -> None:
        if len(frame) > FRAME_BYTES_MAX:
            raise ValueError(f"frame of {len(frame)} bytes exceeds {FRAME_BYTES_MAX}")
        if self._writer.is_closing():
            raise ConnectionLost("connection is closed")
        try:
            self._writer.write(len(frame).to_bytes(4, "big") + frame)
            await self._writer.drain()
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    async def receive(self, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
        length = int.from_bytes(await self._read(4), "big")
        if length > bytes_max:
            raise ConnectionLost(f"peer announced a frame of {length} bytes")
        return await self._read(length)

    async def _read(self, count: int) -> bytes:
        try:
            return await self._reader.readexactly(count)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ConnectionLost("connection closed by the other side") from error

    async def close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_GRACE_MS / 1000):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # gone already, or not reading: nothing left to wait for
        finally:
            self._writer.transport.abort()


class _TcpListener:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        host, port = server.sockets[0].getsockname()[:2]
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def address(self) -> str:
        return self._address

    async def close(self) -> None:
        self._server.close()


class TcpNetwork:
    """TCP over asyncio streams."""

    async def listen(self, address: str, on_connection: OnConnection) -> Listener:
        """Accept connections at ``host:port``. Raises OSError when the port is taken."""
        host, port = split_address(address)

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await on_connection(_TcpConnection(reader, writer))

        return _TcpListener(await asyncio.start_server(accept, host, port))

    async def dial(self, address: str, timeout_ms: int) -> Connection:
        """Connect to ``host:port``. Raises ConnectionLost when nobody answers in time."""
        host, port = split_address(address)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            raise ConnectionLost(f"cannot reach {address}: {str(error) or 'timed out'}") from error
        return _TcpConnection(reader, writer)
