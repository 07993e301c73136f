"""The real thing: four switches on 127.0.0.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from node.p2p.identity import Identity, NodeId
from node.p2p.peer import LinkTiming
from node.p2p.peer_set import P2PConfig
from node.p2p.session import accept_session, dial_session
from node.p2p.switch import Switch
from node.p2p.verdict import ACCEPT, Verdict
from node.runtime.runtime import system_runtime
from node.runtime.transport import CLOSE_GRACE_MS, Connection, ConnectionLost, TcpNetwork
from node.telemetry.logs import Log

TIMING = LinkTiming(ping_interval_ms=200, silence_ms_max=600)


class Four:
    def __init__(self) -> None:
        self.switches: list[Switch] = []
        self.heard: list[list[bytes]] = [[], [], [], []]
        self.lines: list[str] = []

    async def start(self) -> None:
        runtime = system_runtime()
        for number in range(4):
            bootnodes = (self.switches[0].dial_string,) if number else ()
            switch = Switch(
                P2PConfig(bootnodes=bootnodes, timing=TIMING),
                Identity(bytes([number + 1]) * 32),
                runtime,
                Log(runtime.clock, f"n{number}", write=self.lines.append),
                lambda: {"chain_id": 1},
                lambda theirs: None if theirs.get("chain_id") == 1 else "another chain",
            )
            switch.gossip.subscribe("t", self._handler(number))
            switch.requests.serve("echo", self._echo)
            await switch.start()
            self.switches.append(switch)
        await self.until(lambda: all(len(switch.peers()) == 3 for switch in self.switches))
        a, *others = self.switches
        await self.until(
            lambda: all(a.reaches(one.node_id, other.node_id) for one in others for other in others if one is not other)
        )

    def _handler(self, number: int) -> Callable[[NodeId, bytes], object]:
        async def on_message(peer: NodeId, payload: bytes) -> Verdict:
            self.heard[number].append(payload)
            return ACCEPT

        return on_message

    async def _echo(self, peer: NodeId, payload: bytes) -> bytes:
        return payload

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - whatever may change it
                await asyncio.sleep(0.005)


@pytest.fixture
async def four() -> AsyncIterator[Four]:
    made = Four()
    await made.start()
    yield made
    for switch in made.switches:
        await switch.stop()


async def test_four_switches_find_each_other_gossip_and_answer(four: Four) -> None:
    small = [b"%d" % number for number in range(500)]
    for payload in small:
        four.switches[0].gossip.publish("t", payload)
    large = b"\x05" * 5_000_000
    four.switches[1].gossip.publish("t", large)
    await four.until(lambda: [len(heard) for heard in four.heard] == [1, 500, 501, 501])
    assert [payload for payload in four.heard[3] if payload != large] == small
    answer = await four.switches[2].requests.request(four.switches[3].node_id, "echo", large, 10_000)
    assert answer == large
    frames = four.switches[0].peers()[0].frames_out
    assert frames < 100, "messages that wait together travel together"


async def test_a_node_that_stops_and_returns_is_found_again(four: Four) -> None:
    await four.switches[3].stop()
    await four.until(lambda: len(four.switches[0].peers()) == 2)
    runtime = system_runtime()
    four.switches[3] = Switch(
        P2PConfig(bootnodes=(four.switches[0].dial_string,), timing=TIMING),
        four.switches[3].identity,
        runtime,
        Log(runtime.clock, "n3", write=four.lines.append),
        lambda: {"chain_id": 1},
        lambda theirs: None,
    )
    await four.switches[3].start()
    await four.until(lambda: len(four.switches[3].peers()) == 3)


async def test_rubbish_on_the_port_does_no_harm(four: Four) -> None:
    host, port = four.switches[0].listen_address.split(":")
    for rubbish in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 100, b"\x00\x00\x00\x05hello", b""):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(rubbish)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    four.switches[1].gossip.publish("t", b"still here")
    await four.until(lambda: b"still here" in four.heard[0])


async def test_a_port_in_use_is_an_os_error(four: Four) -> None:
    runtime = system_runtime()
    config = P2PConfig(listen_address=four.switches[0].listen_address)
    log = Log(runtime.clock, "x", write=lambda line: None)
    switch = Switch(config, Identity(b"\x09" * 32), runtime, log, dict, lambda theirs: None)
    with pytest.raises(OSError, match="in use"):
        await switch.start()


async def test_the_transport_bounds_what_it_reads_and_closes_in_time() -> None:
    network = TcpNetwork()
    accepted: asyncio.Queue[object] = asyncio.Queue()

    async def on_connection(connection: object) -> None:
        await accepted.put(connection)

    listener = await network.listen("127.0.0.1:0", on_connection)
    ours = await network.dial(listener.address, 1000)
    theirs = await accepted.get()
    await ours.send(b"x" * 1000)
    with pytest.raises(ConnectionLost, match="1000 bytes"):
        await theirs.receive(999)  # type: ignore[attr-defined]

    await theirs.close()  # type: ignore[attr-defined]
    await ours.close()
    ours = await network.dial(listener.address, 1000)
    theirs = await accepted.get()

    async def fill() -> None:
        while True:
            await ours.send(bytes(1 << 20))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(fill(), 0.3)
    async with asyncio.timeout(CLOSE_GRACE_MS / 1000 + 5):
        await ours.close()  # though nobody reads
    await theirs.close()  # type: ignore[attr-defined]
    await listener.close()


async def test_last_words_arrive_though_the_other_side_is_still_talking() -> None:
    """Closing a socket with unread data resets the connection; without a pause the reset eats the goodbye."""
    network, entropy = TcpNetwork(), system_runtime().entropy
    server, client = Identity(b"\x01" * 32), Identity(b"\x02" * 32)
    parted = asyncio.Event()

    async def on_connection(connection: Connection) -> None:
        session = await accept_session(connection, server, entropy)
        await asyncio.sleep(0.1)  # let the client's data pile up
        await session.part(b"goodbye", 2000)
        await session.close()
        parted.set()

    listener = await network.listen("127.0.0.1:0", on_connection)
    session = await dial_session(await network.dial(listener.address, 1000), client, server.node_id, entropy)

    async def talk() -> None:
        for _ in range(100):
            await session.send(bytes(100_000))

    talking = asyncio.create_task(talk())
    await asyncio.sleep(0.2)
    assert await session.receive() == b"goodbye"
    await talking
    await session.close()
    await parted.wait()
    await listener.close()
