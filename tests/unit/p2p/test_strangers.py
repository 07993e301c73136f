"""What a hostile or broken peer can do: garbage, floods, silence, refusing to read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.p2p import wire
from node.p2p.handshake import HandshakeFailed
from node.p2p.session import Session, SessionBroken, dial_session
from node.p2p.wire import (
    Announce,
    Direct,
    Fetch,
    Hello,
    MessageId,
    Ping,
    Push,
    Ready,
    Request,
    Response,
    decode_frame,
    encode,
    frame_of,
    message_id,
)
from node.runtime.transport import ConnectionLost


class Stranger:
    """Somebody who has the keys and the manners to get in, and then does what the test wants."""

    def __init__(self, world: Any, name: str, target: str) -> None:
        self.world, self.name = world, name
        self.connection = world.connection(name, target)
        self.frames: list[bytes] = []
        identity, expected = world.identity(name), world.identity(target).node_id
        world.names[identity.node_id] = name

        async def enter() -> Session:
            session = await dial_session(self.connection, identity, expected, lambda n: b"\x09" * n)
            await session.send(frame_of([encode(Hello({"chain_id": 1, "name": name, "listen": ""}))]))
            await session.receive()
            await session.send(frame_of([encode(Ready())]))
            await session.receive()
            return session

        self.session: Session = world.do(name, enter())
        world.wait(20)

    def say(self, *messages: wire.Message) -> None:
        self.send(*(frame_of([encode(message)]) for message in messages))

    def send(self, *frames: bytes) -> None:
        async def send() -> None:
            for frame in frames:
                await self.session.send(frame)

        self.world.do(self.name, send())
        self.world.wait(50)

    def listen(self) -> list[wire.Message]:
        """All that has come until now."""
        got: list[wire.Message] = []

        async def read() -> None:
            try:
                async with asyncio.timeout(0.5):
                    while True:
                        got.extend(decode_frame(await self.session.receive()))
            except (TimeoutError, ConnectionLost):
                pass

        self.world.do(self.name, read())
        return got


@pytest.fixture
def a(world: Any) -> Any:
    return world.add("a")


def test_a_stranger_with_manners_gets_in(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    assert a.peer_names == ["s"]
    stranger.say(Ping(7), Push("t", b"hi"))
    assert wire.Pong(7) in stranger.listen()
    assert a.heard == [("s", b"hi")]


@pytest.mark.parametrize(
    "frame",
    [b"", b"\xc1", b"\x90", bytes(msgpack.packb([[99]])), bytes(msgpack.packb([[3, "x"]])), b"\x91" * 200_000],
)
def test_garbage_inside_the_channel_ends_the_session_and_costs_score(world: Any, a: Any, frame: bytes) -> None:
    stranger = Stranger(world, "s", "a")
    stranger.send(frame)
    assert a.peer_names == []
    assert "malformed message" in a.log_text()
    assert any(isinstance(m, wire.Goodbye) and "malformed" in m.reason for m in stranger.listen())
    again = Stranger(world, "s", "a")
    again.send(frame)
    assert "peer banned" in a.log_text(), "twice is a ban"
    with pytest.raises((ConnectionLost, AssertionError)):
        Stranger(world, "s", "a")
    assert a.peer_names == []


def test_a_second_hello_is_garbage(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    stranger.say(Hello({}))
    assert "introduced once" in a.log_text()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_random_first_frames_do_no_harm(make_world: Callable[..., Any], frames: list[bytes]) -> None:
    world = make_world()
    a = world.add("a")
    connection = world.connection("s", "a")

    async def send() -> None:
        for frame in frames:
            await connection.send(frame)

    with contextlib.suppress(ConnectionLost):
        world.do("s", send())
    world.wait(6000)
    assert a.peer_names == []
    assert a.switch._task is not None
    assert not a.switch._task.done()
    world.add("b", "a")
    world.full_mesh("a", "b")


def test_a_stranger_may_not_make_us_buffer_a_large_first_frame(world: Any, a: Any) -> None:
    connection = world.connection("s", "a")
    world.do("s", connection.send(bytes(100_000)))
    world.wait(100)
    with pytest.raises(ConnectionLost):
        world.do("s", connection.receive())
    assert "announced a frame of 100000 bytes" in a.log_text()


def test_silent_strangers_are_hung_up_on_and_cannot_take_all_places(world: Any, a: Any) -> None:
    lazy = [world.connection("s", "a") for _ in range(40)]
    assert a.switch._peer_set._handshakes <= 16
    world.wait(5200)
    assert a.switch._peer_set._handshakes == 0
    assert "handshake timed out" in a.log_text()
    for connection in lazy:
        with pytest.raises(ConnectionLost):
            world.do("s", connection.receive())
    Stranger(world, "s", "a")
    assert a.peer_names == ["s"]


def test_a_flood_of_connections_is_cut_short(world: Any, a: Any) -> None:
    for _ in range(300):
        world.do("s", world.connection("s", "a").close())
    assert sum("inbound" in line for line in a.lines) < 5
    world.wait(3000)
    Stranger(world, "s", "a")


def test_a_flood_of_messages_is_dropped_and_ends_in_a_ban(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    batch = frame_of([encode(Push("t", b"%d" % number)) for number in range(4000)])
    stranger.send(batch)
    assert a.peer_names == ["s"], "a burst is fine"
    batches = [
        frame_of([encode(Direct("t", b"%d" % (round_ * 4000 + number))) for number in range(4000)])
        for round_ in range(3)
    ]
    with contextlib.suppress(ConnectionLost, SessionBroken):
        stranger.send(*batches)
    world.wait(1000)
    assert a.peer_names == []
    assert "too many messages of kind message" in a.log_text()
    assert len(a.heard) <= 8000 + 4000


def test_pings_without_end_are_not_all_answered(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    stranger.send(frame_of([encode(Ping(number)) for number in range(250)]))
    answered = sum(isinstance(message, wire.Pong) for message in stranger.listen())
    assert 150 <= answered <= 210


def test_a_peer_that_does_not_read_is_dropped_and_memory_stays_bounded(world: Any, a: Any) -> None:
    """It says enough not to look dead, but takes nothing."""
    b = world.add("b", "a")
    world.full_mesh("a", "b")
    stranger = Stranger(world, "s", "a")
    for round_ in range(40):
        for number in range(4):
            a.switch.gossip.publish("t", b"%03d%d" % (round_, number) * 100_000)
        stranger.say(Ping(round_))
        world.wait(450)
        for peer in a.switch._peer_set.live.values():
            assert sum(lane.size for lane in peer.outbox._lanes.values()) <= 17 * 1024 * 1024
        if a.peer_names == ["b"]:
            break
    assert a.peer_names == ["b"]
    assert "takes no data for 15000 ms" in a.log_text()
    assert len(b.payloads) > 100, "the others do not suffer"


def test_announcing_what_one_does_not_deliver_costs_and_is_bounded(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    names = [MessageId(number.to_bytes(20, "big")) for number in range(2048)]
    for start in range(0, 2048, 512):
        stranger.say(Announce("t", tuple(names[start : start + 512])))
    assert len(a.switch.gossip._missing) <= 1024
    asked = [m for m in stranger.listen() if isinstance(m, Fetch)]
    assert sum(len(fetch.ids) for fetch in asked) == 256, "so many at once"
    world.wait(2500)
    assert a.peer_names == [] or a.switch.peers()[0].score < -50
    world.wait(8000)
    assert len(a.switch.gossip._missing) == 0


def test_fetching_again_and_again_meets_a_limit(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    payload = bytes(4_000_000)
    a.switch.gossip.publish("t", payload)
    world.wait(100)
    stranger.listen()
    stranger.send(frame_of([encode(Fetch((message_id("t", payload),)))] * 60))
    got = sum(isinstance(message, Push) for message in stranger.listen())
    assert 1 <= got <= 16, "of 60 asked for"
    assert a.switch.peers()[0].score < 0


def test_answers_to_nothing_cost(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    for number in range(21):
        stranger.say(Response(1000 + number, b"?"))
    assert a.peer_names == []
    assert "answers what was not asked" in a.log_text()


def test_requests_at_once_are_bounded(world: Any, a: Any) -> None:
    running = 0

    async def never(peer: bytes, payload: bytes) -> bytes:
        nonlocal running
        running += 1
        await asyncio.sleep(3600)
        return b""

    a.switch.requests.serve("never", never)
    stranger = Stranger(world, "s", "a")
    stranger.send(frame_of([encode(Request(number, "never", b"")) for number in range(50)]))
    assert running == 16
    refusals = [m for m in stranger.listen() if isinstance(m, wire.Refusal)]
    assert len(refusals) == 34
    assert refusals[0].reason == "too many requests at once"


def test_a_neighbour_list_full_of_lies_fills_no_more_than_its_share(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    for round_ in range(8):
        stranger.say(
            wire.Neighbours(
                tuple(
                    (world.identity("a").node_id.__class__(bytes([round_, number]) * 16), f"10.9.{round_}.{number}:1")
                    for number in range(256)
                )
            )
        )
    assert len(a.switch._peer_set.book) <= 64 + 1
    world.wait(30_000)
    assert a.peer_names in (["s"], [])


def test_a_frame_changed_on_the_way_ends_the_session(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    frame = bytearray(stranger.session._sender.seal(frame_of([encode(Push("t", b"pay Bob"))])))
    frame[12] ^= 1
    world.do("s", stranger.connection.send(bytes(frame)))
    world.wait(100)
    assert a.peer_names == []
    assert "frame was changed on the way" in a.log_text()
    assert a.heard == []


def test_a_frame_sent_twice_is_heard_once(world: Any, a: Any) -> None:
    stranger = Stranger(world, "s", "a")
    frame = stranger.session._sender.seal(frame_of([encode(Direct("t", b"pay Bob"))]))
    for _ in range(5):
        world.do("s", stranger.connection.send(frame))
    world.wait(100)
    assert a.heard == [("s", b"pay Bob")]


def test_a_man_in_the_middle_is_refused(world: Any) -> None:
    """Mallory answers at a's address with her own key; b, who dials a, will have none of it."""
    world.add("m", up=False)
    mallory = world.members["m"].switch
    object.__setattr__(mallory._config, "listen_address", world.address("m"))
    world.do("m", mallory.start())
    b = world.add("b")
    b.switch.add_peer(world.identity("a").dial_string(world.address("m")))
    world.wait(2000)
    assert b.peer_names == []
    assert "answers there" in b.log_text()
    connection = world.connection("s", "m")
    with pytest.raises(HandshakeFailed):
        world.do("s", dial_session(connection, world.identity("s"), world.identity("a").node_id, lambda n: b"\x09" * n))
