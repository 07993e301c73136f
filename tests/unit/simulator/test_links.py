"""The network door under virtual time: order, cuts, resets, backpressure, crashes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from contextvars import Context
from typing import Any

import pytest

from network.faults.link_policy import LinkCondition, LinkPolicy, Loss
from network.simulator.event_loop import NODE, VirtualTimeLoop
from network.simulator.links import WINDOW_BYTES, SimulatedNetwork
from node.runtime.transport import FRAME_BYTES_MAX, Connection, ConnectionLost

MS = 1_000_000


class World:
    """Two nodes, a and b; b listens and keeps what it hears."""

    def __init__(self) -> None:
        self.loop = VirtualTimeLoop()
        self.policy = LinkPolicy(LinkCondition(delay_ms=10))
        self.events: list[str] = []
        self.network = SimulatedNetwork(self.loop, self.policy, 1, self)
        self.a = self.network.door("a", "a#1", "10.0.0.1")
        self.b = self.network.door("b", "b#1", "10.0.0.2")
        self.heard: list[tuple[int, bytes]] = []
        self.accepted: list[Connection] = []
        self.ends: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def on_frame(self, source: str, target: str, connection: int, frame: bytes) -> None:
        self.events.append(f"{source}>{target} {len(frame)}")

    def on_connection(self, source: str, target: str, connection: int, event: str) -> None:
        self.events.append(f"{source}>{target} {event}")

    def run(self, node: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        context = Context()
        context.run(NODE.set, f"{node}#1")
        task = self.loop.create_task(coroutine, context=context)
        self.tasks.append(task)
        return task

    async def hear(self, connection: Connection) -> None:
        assert NODE.get() == "b#1", "accepted connections belong to the listener"
        self.accepted.append(connection)
        try:
            while True:
                frame = await connection.receive()
                self.heard.append((self.loop.now_ns // MS, frame))
        except ConnectionLost as error:
            self.ends.append(str(error))

    def connect(self) -> Connection:
        listening = self.run("b", self.b.listen("0.0.0.0:7000", self.hear))
        self.loop.run_until(listening.done)
        dialling = self.run("a", self.a.dial("10.0.0.2:7000", 5000))
        self.loop.run_until(dialling.done)
        connection: Connection = dialling.result()
        return connection

    def wait(self, ms: int) -> None:
        self.loop.run_for(ms * MS)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for task in [*made.tasks, *asyncio.all_tasks(made.loop)]:
        task.cancel()
    with contextlib.suppress(Exception):
        made.loop.run_until(lambda: all(task.done() for task in made.tasks), made.loop.now_ns + 10**10)
    made.loop.bury()
    made.loop.close()


async def send_all(connection: Connection, frames: list[bytes]) -> None:
    for frame in frames:
        await connection.send(frame)


def test_frames_arrive_whole_and_in_order_after_the_delay(world: World) -> None:
    connection = world.connect()
    assert world.loop.now_ns == 20 * MS, "one round trip to connect"
    world.run("a", send_all(connection, [b"one", b"", b"three"]))
    world.wait(100)
    assert world.heard == [(30, b"one"), (30, b""), (30, b"three")]
    assert world.events == ["a>b open", "a>b 3", "a>b 0", "a>b 5"]
    assert connection.remote == "10.0.0.2:7000"
    assert world.accepted[0].remote.startswith("10.0.0.1:")


def test_jitter_and_loss_never_change_the_order(world: World) -> None:
    world.policy.change("a", "b", jitter_ms=50.0, loss=0.3, reorder=0.5, duplication=0.5)
    connection = world.connect()
    frames = [str(number).encode() for number in range(50)]
    world.run("a", send_all(connection, frames))
    world.wait(100_000)
    assert [frame for _, frame in world.heard] == frames
    assert world.heard[-1][0] > 400


def test_a_raw_link_loses_doubles_and_reorders(world: World) -> None:
    connection = world.connect()
    world.policy.change("a", "b", loss=0.2, reorder=0.5, duplication=0.2, on_loss=Loss.RAW)
    frames = [str(number).encode() for number in range(100)]
    world.run("a", send_all(connection, frames))
    world.wait(1000)
    heard = [frame for _, frame in world.heard]
    assert sorted(set(heard)) != sorted(frames)
    assert len(set(heard)) < len(heard)
    assert heard != sorted(heard, key=int)


def test_a_reset_ends_both_sides(world: World) -> None:
    connection = world.connect()
    world.policy.change("a", "b", loss=1.0, on_loss=Loss.RESET)
    world.run("a", send_all(connection, [b"x"]))
    world.wait(50)
    assert world.ends == ["connection closed by the other side"]
    failed = world.run("a", connection.send(b"y"))
    world.wait(1)
    assert isinstance(failed.exception(), ConnectionLost)


def test_a_cut_holds_frames_and_healing_lets_them_through_in_order(world: World) -> None:
    connection = world.connect()
    world.run("a", send_all(connection, [b"before"]))
    world.wait(1)  # it is under way when the cable is cut
    world.policy.cut("a", "b")
    world.wait(5_000)
    world.run("a", send_all(connection, [b"during 1", b"during 2"]))
    world.wait(5_000)
    assert world.heard == []
    world.policy.heal()
    world.run("a", send_all(connection, [b"after"]))
    world.wait(2_000)
    assert [frame for _, frame in world.heard] == [b"before", b"during 1", b"during 2", b"after"]
    assert world.heard[-1][0] < 11_200


def test_a_one_way_cut_lets_the_other_way_pass(world: World) -> None:
    connection = world.connect()
    world.policy.cut_one_way("a", "b")
    world.run("a", send_all(connection, [b"lost for now"]))
    world.run("b", send_all(world.accepted[0], [b"heard"]))
    answer = world.run("a", connection.receive())
    world.wait(100)
    assert answer.result() == b"heard"
    assert world.heard == []


def test_dialling_nobody_is_refused_and_a_cut_times_out(world: World) -> None:
    refused = world.run("a", world.a.dial("10.0.0.2:1", 5000))
    world.wait(100)
    assert "refused" in str(refused.exception())
    world.connect()
    world.policy.cut_one_way("b", "a")
    start = world.loop.now_ns
    late = world.run("a", world.a.dial("10.0.0.2:7000", 700))
    world.loop.run_until(late.done)
    assert "timed out" in str(late.exception())
    assert world.loop.now_ns - start == 700 * MS
    world.policy.heal()
    world.wait(2_000)
    assert len(world.ends) == 1, "the half-open connection ended at the listener too"


def test_an_address_belongs_to_one_listener(world: World) -> None:
    world.connect()
    taken = world.run("b", world.b.listen("10.0.0.2:7000", world.hear))
    free = world.run("b", world.b.listen("10.0.0.2:0", world.hear))
    world.wait(1)
    assert isinstance(taken.exception(), OSError)
    assert free.result().address.startswith("10.0.0.2:")
    world.run("b", free.result().close())
    world.wait(1)
    refused = world.run("a", world.a.dial(free.result().address, 500))
    world.wait(100)
    assert "refused" in str(refused.exception())


def test_closing_delivers_what_was_sent_before(world: World) -> None:
    connection = world.connect()

    async def last_words() -> None:
        await connection.send(b"goodbye")
        await connection.close()
        await connection.close()

    world.run("a", last_words())
    world.wait(50)
    assert world.heard == [(30, b"goodbye")]
    assert world.ends == ["connection closed by the other side"]
    for call in (connection.send(b"x"), connection.receive(), world.accepted[0].send(b"x")):
        failed = world.run("a", call)
        world.wait(1)
        assert isinstance(failed.exception(), ConnectionLost)


def test_a_slow_reader_holds_the_sender(world: World) -> None:
    connection = world.connect()
    world.loop.pause("b#1")
    chunk = bytes(100_000)
    sending = world.run("a", send_all(connection, [chunk] * 20))
    world.wait(1_000)
    assert not sending.done()
    assert WINDOW_BYTES <= world.network.delivered_bytes <= WINDOW_BYTES + len(chunk)
    world.loop.resume("b#1")
    world.wait(1_000)
    assert sending.done()
    assert len(world.heard) == 20


def test_frames_have_a_bound(world: World) -> None:
    connection = world.connect()
    large = world.run("a", connection.send(bytes(FRAME_BYTES_MAX + 1)))
    world.run("b", world.accepted[0].send(b"much"))
    small = world.run("a", connection.receive(3))
    world.wait(50)
    assert isinstance(large.exception(), ValueError)
    assert isinstance(small.exception(), ConnectionLost)


def test_a_killed_process_is_noticed_and_a_dark_machine_is_not(world: World) -> None:
    world.connect()
    world.loop.crash("a#1")
    world.network.kill("a#1")
    world.wait(50)
    assert world.ends == ["connection closed by the other side"]


def test_a_machine_without_power_is_silent_until_it_is_back(world: World) -> None:
    world.connect()
    world.loop.crash("a#1")
    world.network.lose_power("a", "a#1")
    world.run("b", send_all(world.accepted[0], [b"anybody?"]))
    dialling = world.run("b", world.b.dial("10.0.0.1:7000", 500))
    world.wait(1_000)
    assert world.ends == []
    assert "timed out" in str(dialling.exception())
    world.network.door("a", "a#2", "10.0.0.1")
    world.run("b", send_all(world.accepted[0], [b"and now?"]))
    world.wait(50)
    assert world.ends == ["connection closed by the other side"], "the new kernel knows no such connection"


def test_a_failing_handler_is_reported_and_hangs_up(world: World) -> None:
    reports: list[str] = []
    world.loop.set_exception_handler(lambda loop, context: reports.append(str(context["exception"])))

    async def fail(connection: Connection) -> None:
        raise LookupError("a bug")

    listening = world.run("b", world.b.listen("10.0.0.2:8000", fail))
    dialling = world.run("a", world.a.dial("10.0.0.2:8000", 500))
    world.wait(100)
    assert listening.done()
    reading = world.run("a", dialling.result().receive())
    world.wait(100)
    assert reports == ["a bug"]
    assert isinstance(reading.exception(), ConnectionLost)
