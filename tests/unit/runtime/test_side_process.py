"""A process beside ours: asked without waiting, limited, and gone when it misbehaves."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

import pytest

from node.runtime import side_process
from node.runtime.side_process import Limits, SideProcess, is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="processes of POSIX")

MODULE = "tests.side_worker"


@pytest.fixture
def side() -> Iterator[SideProcess]:
    """One that has not been started."""
    process = SideProcess(MODULE, Limits())
    yield process
    process.close()


def answer_of(side: SideProcess, request: bytes) -> bytes:
    """Ask, and look until there is an answer."""
    assert side.ask(request)
    while (answer := side.answer()) is None:
        time.sleep(0.005)
    return answer


def test_requests_are_answered_one_after_another_by_one_process(side: SideProcess) -> None:
    assert side.pid is None
    assert answer_of(side, b"abc") == b"cba"
    large = bytes(range(256)) * 2_000  # more than a pipe holds
    assert answer_of(side, large) == large[::-1]
    assert side.starts == 1
    assert answer_of(side, b"nice") == b"19"


def test_asking_never_waits_and_there_is_one_request_at_a_time(side: SideProcess) -> None:
    assert side.answer() is None
    assert side.ask(b"sleep")
    assert not side.ask(b"abc")
    assert side.answer() is None


@pytest.mark.parametrize("request_", [b"exit", b"flood"])
def test_a_process_that_dies_or_floods_is_gone_and_the_next_request_has_another(
    side: SideProcess, request_: bytes
) -> None:
    assert answer_of(side, request_) == b""
    assert answer_of(side, b"abc") == b"cba"
    assert side.starts == 2


def test_a_request_that_takes_too_much_processor_time_ends_the_process() -> None:
    side = SideProcess(MODULE, Limits(cpu_seconds=1))
    assert answer_of(side, b"spin") == b""
    side.close()


def test_a_request_that_takes_too_long_ends_the_process() -> None:
    side = SideProcess(MODULE, Limits(wall_seconds=0.0))
    assert answer_of(side, b"sleep") == b""
    assert side.pid is None


def test_an_answer_that_is_being_written_is_not_late() -> None:
    """Nobody looked for longer than the limit, and a pipe holds only a part of the answer."""
    side = SideProcess(MODULE, Limits())
    assert answer_of(side, b"abc") == b"cba"
    large = bytes(12_000_000)
    assert side.ask(large)
    is_aged = False
    while (answer := side.answer()) is None:
        if side._in and not is_aged:
            is_aged = True
            select.select([side._process.stdout], [], [])  # type: ignore[union-attr]  # there is more of it
            side._asked_at = 0.0 - side._limits.wall_seconds
        time.sleep(0.002)
    assert answer == large
    side.close()


def test_memory_is_limited(side: SideProcess) -> None:
    assert answer_of(side, b"eat") == b"refused"


def test_an_idle_process_ends_and_another_one_answers() -> None:
    side = SideProcess(MODULE, Limits(idle_seconds=0.0))
    assert [answer_of(side, b"abc") for _ in range(4)] == [b"cba"] * 4
    assert side.starts > 1
    side.close()


def test_it_ends_with_us(side: SideProcess) -> None:
    assert answer_of(side, b"abc") == b"cba"
    process = side._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # as the system does when we die
    assert process.wait() == 0


def test_one_that_always_dies_is_not_started_for_ever(side: SideProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_process, "STARTS_MAX", 2)
    assert [answer_of(side, b"exit") for _ in range(2)] == [b"", b""]
    assert not side.ask(b"abc")


def test_what_cannot_be_started_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    side = SideProcess(MODULE, Limits())
    monkeypatch.setattr("sys.executable", os.devnull)
    assert not side.ask(b"abc")
