"""TaskScope: one task has ended before the next is cancelled, whatever it does on its way out."""

from __future__ import annotations

import asyncio

from node.runtime.task_scope import TaskScope


async def test_each_task_ends_before_the_next_is_cancelled() -> None:
    log: list[str] = []

    async def slow_to_end(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append(f"{name} ends")
            for _ in range(5):
                await asyncio.sleep(0)
            log.append(f"{name} ended")

    async with TaskScope("scope") as scope:
        for name in "abc":
            scope.spawn(slow_to_end(name), name)
        await asyncio.sleep(0)
    assert log == ["c ends", "c ended", "b ends", "b ended", "a ends", "a ended"]


async def test_a_task_that_swallows_its_cancellation_is_waited_for() -> None:
    log: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            log.append("ended in its own time")

    async with TaskScope("scope") as scope:
        task = scope.spawn(stubborn(), "stubborn")
        await asyncio.sleep(0)
    assert log == ["ended in its own time"]
    assert not task.cancelled()
    assert task.get_name() == "scope/stubborn"


async def test_a_scope_without_a_block_is_closed_by_hand() -> None:
    log: list[str] = []

    async def forever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append(name)

    scope = TaskScope("scope")
    for name in "ab":
        scope.spawn(forever(name), name)
    await asyncio.sleep(0)
    await scope.close()
    await scope.close()
    assert log == ["b", "a"]
    assert scope.closing
