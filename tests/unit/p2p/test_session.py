"""Sealed frames: tampering, replays, gaps, counters."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.p2p import session as session_module
from node.p2p.handshake import SessionKeys
from node.p2p.identity import NodeId
from node.p2p.session import COUNTER_MAX, OVERHEAD_BYTES, WINDOW, Session, SessionBroken
from node.runtime.transport import FRAME_BYTES_MAX, ConnectionLost


class Pipe:
    """A connection whose frames the test can look at and rearrange."""

    remote = "10.0.0.9:1"

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.incoming: deque[bytes] = deque()

    async def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    async def receive(self, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
        if not self.incoming:
            raise ConnectionLost("nothing more")
        return self.incoming.popleft()

    async def close(self) -> None:
        pass


def pair() -> tuple[Session, Pipe, Session, Pipe]:
    one, other = Pipe(), Pipe()
    keys = SessionKeys(b"a" * 32, b"b" * 32, NodeId(b"B" * 32), b"")
    mirrored = SessionKeys(b"b" * 32, b"a" * 32, NodeId(b"A" * 32), b"")
    return Session(one, keys, True), one, Session(other, mirrored, False), other


def sealed(*plaintexts: bytes) -> tuple[list[bytes], Session, Pipe]:
    sender, pipe, receiver, other = pair()

    async def send() -> None:
        for plaintext in plaintexts:
            await sender.send(plaintext)

    asyncio.run(send())
    return pipe.sent, receiver, other


def received(session: Session, pipe: Pipe, frames: list[bytes]) -> list[bytes]:
    pipe.incoming.extend(frames)
    got: list[bytes] = []

    async def read() -> None:
        try:
            while True:
                got.append(await session.receive())
        except ConnectionLost:
            pass

    asyncio.run(read())
    return got


def test_frames_arrive_and_do_not_show_their_content() -> None:
    frames, receiver, pipe = sealed(b"attack at dawn", b"", b"x" * 100_000)
    assert all(b"attack" not in frame for frame in frames)
    assert [len(frame) for frame in frames] == [14 + OVERHEAD_BYTES, OVERHEAD_BYTES, 100_000 + OVERHEAD_BYTES]
    assert received(receiver, pipe, frames) == [b"attack at dawn", b"", b"x" * 100_000]


def test_equal_plaintexts_look_different() -> None:
    frames, _, _ = sealed(b"same", b"same")
    assert frames[0][8:] != frames[1][8:]


@settings(max_examples=100, deadline=None)
@given(byte=st.integers(0, 200), change=st.integers(1, 255))
def test_a_changed_byte_breaks_the_session_or_goes_nowhere(byte: int, change: int) -> None:
    frames, receiver, pipe = sealed(b"pay Bob one wei")
    altered = bytearray(frames[0])
    altered[byte % len(altered)] ^= change
    with pytest.raises(SessionBroken):
        received(receiver, pipe, [bytes(altered)])


def test_a_replayed_frame_has_no_effect() -> None:
    frames, receiver, pipe = sealed(b"one", b"two")
    assert received(receiver, pipe, [frames[0], frames[0], frames[1], frames[0], frames[1]]) == [b"one", b"two"]
    assert receiver.replays == 3


def test_replays_without_end_break_the_session() -> None:
    frames, receiver, pipe = sealed(b"one")
    with pytest.raises(SessionBroken, match="replayed"):
        received(receiver, pipe, frames * (session_module.REPLAYS_MAX + 2))


def test_a_frame_cannot_be_sent_back_to_its_sender() -> None:
    sender, pipe, _, _ = pair()
    asyncio.run(sender.send(b"hello"))
    with pytest.raises(SessionBroken):
        received(sender, pipe, pipe.sent)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2 * WINDOW), min_size=1, max_size=60))
def test_loss_doubling_and_reordering_cost_only_those_frames(order: list[int]) -> None:
    """Whatever arrives is delivered once if it is within the window of the newest, else not at all."""
    frames, receiver, pipe = sealed(*(str(number).encode() for number in range(2 * WINDOW + 1)))
    expected: list[bytes] = []
    seen: list[int] = []
    for number in order:
        if number not in seen and (not seen or number > max(seen) - WINDOW):
            expected.append(str(number).encode())
            seen.append(number)
    assert received(receiver, pipe, [frames[number] for number in order]) == expected


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_break_the_session_and_raise_nothing_else(data: bytes) -> None:
    _, receiver, pipe = sealed()
    with pytest.raises(SessionBroken):
        received(receiver, pipe, [data])


def test_counters_do_not_wrap() -> None:
    sender, _, _, _ = pair()
    sender._sender._counter = COUNTER_MAX
    with pytest.raises(SessionBroken, match="counters"):
        asyncio.run(sender.send(b"one too many"))
