"""Encrypted frames over a connection.

A sealed frame is ``counter (8 bytes, big-endian) ‖ ciphertext ‖ tag (16)``; the counter is the nonce and part of
what the tag covers. A changed byte ends the session. A frame that was seen already, or is older than the window,
is dropped and counted: replays have no effect, and a link that loses, doubles or reorders whole frames
(no TCP link does, a simulated one may) costs only those frames.
"""

from __future__ import annotations

import asyncio
from typing import Final

from Crypto.Cipher import ChaCha20_Poly1305

from node.p2p.handshake import (
    HANDSHAKE_BYTES_MAX,
    TAG_BYTES,
    Initiator,
    Responder,
    SessionKeys,
    nonce_of,
)
from node.p2p.identity import Identity, NodeId
from node.runtime.runtime import Entropy
from node.runtime.transport import FRAME_BYTES_MAX, Connection, ConnectionLost

COUNTER_BYTES: Final = 8
OVERHEAD_BYTES: Final = COUNTER_BYTES + TAG_BYTES
PLAINTEXT_BYTES_MAX: Final = FRAME_BYTES_MAX - OVERHEAD_BYTES
COUNTER_MAX: Final = 2**63
"""Far below the nonce's end; a session that gets here is closed, not wrapped around."""
WINDOW: Final = 256
REPLAYS_MAX: Final = 1024
"""So many replayed frames in one session are an attack, not a bad link."""


class SessionBroken(Exception):
    """The frames cannot be trusted any more: changed, replayed without end, or out of counters."""


class _Sender:
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counter = 0

    def seal(self, plaintext: bytes) -> bytes:
        if self._counter >= COUNTER_MAX:
            raise SessionBroken("out of frame counters")
        head = self._counter.to_bytes(COUNTER_BYTES, "big")
        cipher = ChaCha20_Poly1305.new(key=self._key, nonce=nonce_of(self._counter))
        cipher.update(head)
        ciphertext, tag = cipher.encrypt_and_digest(plaintext)
        self._counter += 1
        return b"".join((head, ciphertext, tag))


class _Receiver:
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._next = 0
        self._seen = 0  # bit i: counter ``_next - 1 - i`` has arrived
        self.replays = 0
        self.gaps = 0

    def open(self, frame: bytes) -> bytes | None:
        """The plaintext, or None for a frame that arrived before. Raises SessionBroken."""
        if len(frame) < OVERHEAD_BYTES:
            raise SessionBroken(f"frame of {len(frame)} bytes is too short")
        counter = int.from_bytes(frame[:COUNTER_BYTES], "big")
        if counter >= COUNTER_MAX:
            raise SessionBroken("frame counter out of range")
        age = self._next - 1 - counter
        if age >= WINDOW or (age >= 0 and self._seen >> age & 1):
            self.replays += 1
            if self.replays > REPLAYS_MAX:
                raise SessionBroken("replayed frames without end")
            return None
        cipher = ChaCha20_Poly1305.new(key=self._key, nonce=nonce_of(counter))
        cipher.update(frame[:COUNTER_BYTES])
        try:
            plaintext = bytes(cipher.decrypt_and_verify(frame[COUNTER_BYTES:-TAG_BYTES], frame[-TAG_BYTES:]))
        except ValueError as error:
            raise SessionBroken("frame was changed on the way") from error
        if age >= 0:
            self._seen |= 1 << age
        else:
            advance = -age  # ≥ 1; a jump of more than the window empties it
            self.gaps += advance - 1
            self._seen = (self._seen << min(advance, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self._next = counter + 1
        return plaintext


class Session:
    """One connection after the handshake: ``send`` and ``receive`` plaintext frames of the authenticated ``remote``."""

    def __init__(self, connection: Connection, keys: SessionKeys, outbound: bool) -> None:
        self._connection = connection
        self._sender = _Sender(keys.send)
        self._receiver = _Receiver(keys.receive)
        self.remote: NodeId = keys.remote
        self.outbound = outbound
        self.bytes_in = 0
        self.bytes_out = 0
        self.frames_in = 0
        self.frames_out = 0

    @property
    def remote_address(self) -> str:
        """``host:port`` of the other end of the connection, for logs."""
        return self._connection.remote

    @property
    def replays(self) -> int:
        """Frames dropped because they had arrived before."""
        return self._receiver.replays

    async def send(self, plaintext: bytes) -> None:
        """One frame, at most PLAINTEXT_BYTES_MAX. Raises ConnectionLost, SessionBroken."""
        frame = self._sender.seal(plaintext)
        self.frames_out += 1
        self.bytes_out += len(frame)
        await self._connection.send(frame)

    async def receive(self, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
        """The next frame's plaintext. Raises ConnectionLost, SessionBroken."""
        while True:
            frame = await self._connection.receive(bytes_max)
            self.frames_in += 1
            self.bytes_in += len(frame)
            plaintext = self._receiver.open(frame)
            if plaintext is not None:
                return plaintext

    async def part(self, last_words: bytes, within_ms: int) -> None:
        """Send a last frame and let the other side be the first to hang up. Raises nothing.

        Closing a socket with unread data resets the connection, and a reset can overtake the last words.
        """
        try:
            async with asyncio.timeout(within_ms / 1000):
                await self.send(last_words)
                while True:
                    await self._connection.receive()
        except (ConnectionLost, SessionBroken, TimeoutError):
            return

    async def close(self) -> None:
        """Close the connection; idempotent."""
        await self._connection.close()


async def dial_session(
    connection: Connection, identity: Identity, expected: NodeId | None, entropy: Entropy
) -> Session:
    """Run the initiator's side over a fresh connection. Raises HandshakeFailed, ConnectionLost."""
    machine = Initiator(identity, entropy(32), expected)
    await connection.send(machine.write_first())
    machine.read_second(await connection.receive(HANDSHAKE_BYTES_MAX))
    message, keys = machine.write_third()
    await connection.send(message)
    return Session(connection, keys, outbound=True)


async def accept_session(connection: Connection, identity: Identity, entropy: Entropy) -> Session:
    """Run the responder's side over a fresh connection. Raises HandshakeFailed, ConnectionLost."""
    first = await connection.receive(HANDSHAKE_BYTES_MAX)
    machine = Responder(identity, entropy(32))  # costs a key generation: only once somebody has spoken
    machine.read_first(first)
    await connection.send(machine.write_second())
    _, keys = machine.read_third(await connection.receive(HANDSHAKE_BYTES_MAX))
    return Session(connection, keys, outbound=False)
