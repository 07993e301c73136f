"""Structured tasks whose cancellation order is the order of creation.

asyncio.TaskGroup cancels in the order of a set of tasks, which follows heap addresses: two runs of
one seed would differ. Here order is part of the contract: newest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self


class TaskScope:
    """``async with TaskScope("name") as scope``: leaving the block cancels what still runs and waits for it.

    The first task that fails cancels its siblings and the body; its exception leaves the block.
    A cancellation from outside is never lost: it leaves the block unless a failed task's exception does,
    and then it stays requested (``Task.cancelling()``), as with asyncio's own groups.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._parent: asyncio.Task[Any] | None = None
        self._parent_cancelled = False
        self._error: BaseException | None = None
        self._closing = False

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task that ends with the scope."""
        if self._closing:
            coroutine.close()
            raise RuntimeError(f"scope {self.name} is closing; cannot start {name}")
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self.name}/{name}")
        self._tasks[task] = None
        task.add_done_callback(self._on_done)
        return task

    @property
    def closing(self) -> bool:
        """Whether the scope takes no more tasks."""
        return self._closing

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self._error is None:
            self._error = error
            if not self._closing and self._parent is not None:
                self._parent_cancelled = True
                self._parent.cancel()

    async def __aenter__(self) -> Self:
        self._parent = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cancelled = False
        try:
            await self.close()
        except asyncio.CancelledError:
            cancelled = True
        if self._parent_cancelled and self._parent is not None:
            # our own request to stop is answered by leaving the block; one from outside stays pending
            self._parent.uncancel()
        if self._error is not None:
            raise self._error
        if cancelled:
            raise asyncio.CancelledError

    async def close(self) -> None:
        """Cancel every task, newest first, and wait for each in that order, even when cancelled meanwhile."""
        self._closing = True
        cancelled = False
        while self._tasks:
            task = next(reversed(self._tasks))
            task.cancel()
            while not task.done():
                try:
                    await _settled(task)
                except asyncio.CancelledError:
                    cancelled = True
            self._on_done(task)
        if cancelled:
            raise asyncio.CancelledError


async def _settled(task: asyncio.Task[Any]) -> None:
    """Wait until the task has ended, whatever its outcome (which ``_on_done`` keeps)."""
    done = asyncio.get_running_loop().create_future()

    def settle(_: asyncio.Task[Any]) -> None:
        if not done.done():
            done.set_result(None)

    task.add_done_callback(settle)
    try:
        await done
    finally:
        task.remove_done_callback(settle)
