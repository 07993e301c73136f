"""Run a pure function off the event loop, so that votes and HTTP stay quick while a block executes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


THREADS: Final = 3
"""RPC takes at most two of them, one for calls and one for replays: blocks find one free."""


class Workers(Protocol):
    """Somewhere to compute."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed off the event loop. Its exceptions come through."""
        ...

    def close(self) -> None:
        """Let running work end and take no more."""
        ...


class ThreadWorkers:
    """A few threads. Pure Python work shares the GIL, so the loop stays responsive rather than faster."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="worker")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Wait for running work, take no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class InlineWorkers:
    """Computes in place; the simulator charges ``cost_ms`` of virtual time a call."""

    def __init__(self, cost_ms: int = 0) -> None:
        self.cost_ms = cost_ms

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, after the virtual cost."""
        await asyncio.sleep(self.cost_ms / 1000)
        return function(*args, **kwargs)

    def close(self) -> None:
        """Nothing runs behind our back."""
