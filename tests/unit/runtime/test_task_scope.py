"""Structured tasks: order of cancellation, first error, nothing left behind, no cancellation lost."""

from __future__ import annotations

import asyncio

import pytest

from node.runtime.task_scope import TaskScope


async def sleeper(log: list[str], name: str, linger: int = 0) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        for _ in range(linger):
            await asyncio.sleep(0)
        log.append(name)


async def test_leaving_cancels_newest_first_and_waits_for_each() -> None:
    log: list[str] = []
    async with TaskScope("s") as scope:
        for name, linger in (("first", 0), ("second", 3), ("third", 1)):
            scope.spawn(sleeper(log, name, linger), name)
        await asyncio.sleep(0)
    assert log == ["third", "second", "first"]


async def test_the_first_error_stops_all_and_leaves_the_block() -> None:
    log: list[str] = []

    async def fail() -> None:
        raise ValueError("first")

    async def run() -> None:
        async with TaskScope("s") as scope:
            scope.spawn(sleeper(log, "sibling"), "sibling")
            await asyncio.sleep(0)
            scope.spawn(fail(), "fail")
            await asyncio.sleep(3600)

    with pytest.raises(ValueError, match="first"):
        await run()
    assert log == ["sibling"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # not cancelled any more


async def test_an_error_while_closing_is_not_lost() -> None:
    async def fail_late() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("late")

    async def run() -> None:
        async with TaskScope("s") as scope:
            scope.spawn(fail_late(), "late")
            await asyncio.sleep(0)

    with pytest.raises(ValueError, match="late"):
        await run()


async def test_a_cancellation_from_outside_passes_through_after_all_have_ended() -> None:
    log: list[str] = []

    async def body() -> None:
        async with TaskScope("s") as scope:
            scope.spawn(sleeper(log, "one", 5), "one")
            scope.spawn(sleeper(log, "two", 5), "two")
            await asyncio.sleep(3600)

    task = asyncio.create_task(body())
    await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # again, while it is closing
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["two", "one"]


async def test_a_cancellation_while_closing_is_kept() -> None:
    log: list[str] = []
    closing = asyncio.Event()

    async def body() -> None:
        async with TaskScope("s") as scope:
            scope.spawn(sleeper(log, "one", 10), "one")
            await asyncio.sleep(0)
            closing.set()

    task = asyncio.create_task(body())
    await closing.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["one"]


async def test_an_error_of_the_body_leaves_the_block() -> None:
    log: list[str] = []

    async def run() -> None:
        async with TaskScope("s") as scope:
            scope.spawn(sleeper(log, "one"), "one")
            await asyncio.sleep(0)
            raise KeyError("body")

    with pytest.raises(KeyError):
        await run()
    assert log == ["one"]


async def test_tasks_that_end_by_themselves_are_forgotten() -> None:
    async with TaskScope("s") as scope:
        tasks = [scope.spawn(asyncio.sleep(0, number), str(number)) for number in range(5)]
        assert [await task for task in tasks] == list(range(5))
        await asyncio.sleep(0)
        assert not scope._tasks
        assert tasks[0].get_name() == "s/0"


async def test_a_closing_scope_takes_no_more() -> None:
    async with TaskScope("s") as scope:
        pass
    assert scope.closing
    with pytest.raises(RuntimeError, match="closing"):
        scope.spawn(asyncio.sleep(0), "late")


async def test_scopes_nest() -> None:
    async def inner() -> None:
        async with TaskScope("inner") as scope:
            scope.spawn(fail(), "fail")
            await asyncio.sleep(3600)

    async def fail() -> None:
        raise ValueError("deep")

    async def outer() -> None:
        async with TaskScope("outer") as scope:
            scope.spawn(inner(), "inner")
            await asyncio.sleep(3600)

    with pytest.raises(ValueError, match="deep"):
        await outer()
