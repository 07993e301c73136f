"""Workers: results and exceptions come back, off the loop or in place; the clock does not go back."""

from __future__ import annotations

import asyncio
import threading

import pytest

from node.runtime.clock import SystemClock
from node.runtime.runtime import system_runtime
from node.runtime.workers import InlineWorkers, ThreadWorkers, Workers


def add(left: int, right: int = 0) -> int:
    return left + right


def fail() -> None:
    raise KeyError("from a worker")


@pytest.mark.parametrize("make", [ThreadWorkers, InlineWorkers])
async def test_results_and_exceptions_come_through(make: type[ThreadWorkers] | type[InlineWorkers]) -> None:
    workers: Workers = make()
    assert await workers.run(add, 1, right=2) == 3
    with pytest.raises(KeyError, match="from a worker"):
        await workers.run(fail)
    workers.close()
    workers.close()


async def test_threads_leave_the_loop_free() -> None:
    workers = ThreadWorkers()
    release = threading.Event()

    def wait() -> int:
        assert release.wait(30)
        return threading.get_ident()

    pending = asyncio.create_task(workers.run(wait))
    await asyncio.sleep(0)
    assert not pending.done()
    release.set()
    assert await pending != threading.get_ident()
    workers.close()


def test_the_machine_s_own_doors() -> None:
    runtime = system_runtime()
    assert isinstance(runtime.clock, SystemClock)
    assert len(runtime.entropy(32)) == 32
    assert runtime.entropy(32) != runtime.entropy(32)
    first, second = runtime.clock.monotonic_ms(), runtime.clock.monotonic_ms()
    assert second >= first
    assert runtime.clock.now_ms() > 1_600_000_000_000
    runtime.workers.close()
