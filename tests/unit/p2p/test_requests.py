"""Questions and answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node.p2p.requests import RequestFailed, RequestRefused, RequestTimedOut


@pytest.fixture
def two(world: Any) -> Any:
    world.add("a")
    world.add("b", "a")
    world.full_mesh("a", "b")
    return world


def ask(world: Any, name: str, payload: bytes = b"", timeout_ms: int = 1000, **settings: int) -> bytes:
    a, b = world.members["a"], world.members["b"]
    answer: bytes = world.do("a", a.switch.requests.request(b.switch.node_id, name, payload, timeout_ms, **settings))
    return answer


@pytest.mark.parametrize("size", [0, 3, 100_000, 10_000_000])
def test_an_answer_comes_back(two: Any, size: int) -> None:
    async def double(peer: bytes, payload: bytes) -> bytes:
        assert two.names[peer] == "a"
        return payload + payload[:10]

    two.members["b"].switch.requests.serve("double", double)
    assert ask(two, "double", b"\x01" * size) == b"\x01" * (size + min(size, 10))


def test_a_refusal_carries_its_reason(two: Any) -> None:
    async def refuse(peer: bytes, payload: bytes) -> bytes:
        raise RequestRefused("no such block")

    two.members["b"].switch.requests.serve("block", refuse)
    with pytest.raises(RequestFailed, match="refused: no such block"):
        ask(two, "block")
    with pytest.raises(RequestFailed, match="nobody serves oracle"):
        ask(two, "oracle")
    assert two.members["b"].switch.peers()[0].score == 0


def test_a_senseless_request_may_cost(two: Any) -> None:
    async def refuse(peer: bytes, payload: bytes) -> bytes:
        raise RequestRefused("no sense", penalty=30)

    two.members["b"].switch.requests.serve("block", refuse)
    with pytest.raises(RequestFailed):
        ask(two, "block")
    assert two.members["b"].switch.peers()[0].score <= -29


def test_a_deadline_is_kept_and_late_answers_are_dropped(two: Any) -> None:
    async def slow(peer: bytes, payload: bytes) -> bytes:
        await asyncio.sleep(int(payload) / 1000)
        return payload

    two.members["b"].switch.requests.serve("slow", slow)
    with pytest.raises(RequestTimedOut, match="within 300 ms"):
        ask(two, "slow", b"500", 300)
    assert ask(two, "slow", b"100") == b"100"
    two.wait(1000)
    assert two.members["a"].peer_names == ["b"]


def test_answers_find_their_questions_and_only_so_many_are_asked_at_once(two: Any) -> None:
    at_once = most = 0

    async def serve(peer: bytes, payload: bytes) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep((17 * int(payload) % 23) / 1000)
        at_once -= 1
        return payload

    two.members["b"].switch.requests.serve("n", serve)
    a, b = two.members["a"].switch, two.members["b"].switch
    tasks = [two.task("a", a.requests.request(b.node_id, "n", b"%d" % n, 5000)) for n in range(60)]
    two.until(lambda: all(task.done() for task in tasks))
    assert [task.result() for task in tasks] == [b"%d" % n for n in range(60)]
    assert most <= 8


def test_what_a_lost_peer_was_asked_fails_at_once(two: Any) -> None:
    async def never(peer: bytes, payload: bytes) -> bytes:
        await asyncio.sleep(3600)
        return b""

    two.members["b"].switch.requests.serve("never", never)
    a, b = two.members["a"].switch, two.members["b"].switch
    tasks = [two.task("a", a.requests.request(b.node_id, "never", b"", 60_000)) for _ in range(12)]
    two.wait(100)
    two.kill("b")
    two.until(lambda: all(task.done() for task in tasks), 200)
    assert all(isinstance(task.exception(), RequestFailed) for task in tasks)
    with pytest.raises(RequestFailed, match="not connected"):
        ask(two, "never")


def test_an_answer_above_the_bound_is_an_offence(two: Any) -> None:
    async def long(peer: bytes, payload: bytes) -> bytes:
        return b"x" * 1001

    two.members["b"].switch.requests.serve("long", long)
    with pytest.raises(RequestFailed, match="too long"):
        ask(two, "long", answer_bytes_max=1000)
    assert two.members["a"].switch.peers()[0].score < -15


def test_a_server_that_breaks_is_our_mistake_and_stops_the_switch(two: Any) -> None:
    async def broken(peer: bytes, payload: bytes) -> bytes:
        raise ZeroDivisionError("a bug")

    b = two.members["b"].switch
    b.requests.serve("broken", broken)
    watcher = two.task("b", b.wait_stopped())
    with pytest.raises(RequestFailed):
        ask(two, "broken")
    two.until(watcher.done, 1000)
    assert isinstance(watcher.exception(), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        two.do("b", b.stop())
    del two.members["b"]
