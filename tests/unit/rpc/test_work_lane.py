"""Long calls: bounded in number and time, off the loop."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from node.rpc.backend import RpcLimits
from node.rpc.errors import RpcError
from node.rpc.work_lane import Deadline, WorkLane
from node.runtime.clock import SystemClock
from node.runtime.workers import ThreadWorkers


async def test_results_and_exceptions_come_through() -> None:
    workers = ThreadWorkers(1)
    lane = WorkLane(workers, SystemClock(), 5_000, 10)
    assert await lane.run(lambda: threading.current_thread().name) != threading.current_thread().name
    with pytest.raises(ZeroDivisionError):
        await lane.run(lambda: 1 // 0)
    assert await lane.run(pow, 2, 5) == 32
    workers.close()


async def test_a_timed_out_call_keeps_its_place_until_it_ends() -> None:
    workers = ThreadWorkers(4)
    lane = WorkLane(workers, SystemClock(), 50, 10)
    release = threading.Event()
    with pytest.raises(RpcError, match="execution aborted"):
        await lane.run(release.wait)
    with pytest.raises(RpcError, match="execution aborted"):
        await lane.run(pow, 2, 5)  # the worker is free, the lane is not
    release.set()
    for _ in range(100):
        await asyncio.sleep(0.001)
        if not lane._running:
            break
    assert await lane.run(pow, 2, 5) == 32
    workers.close()


async def test_the_line_is_bounded() -> None:
    workers = ThreadWorkers(1)
    lane = WorkLane(workers, SystemClock(), 5_000, 2)
    release = threading.Event()
    first = asyncio.create_task(lane.run(release.wait))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(lane.run(pow, 2, n)) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RpcError) as refusal:
        await lane.run(pow, 2, 5)
    assert refusal.value.code == -32005
    release.set()
    assert await asyncio.gather(first, *waiting) == [True, 1, 2]
    workers.close()


async def test_a_client_that_goes_away_frees_its_place() -> None:
    workers = ThreadWorkers(1)
    lane = WorkLane(workers, SystemClock(), 5_000, 10)
    release = threading.Event()
    gone = asyncio.create_task(lane.run(release.wait))
    await asyncio.sleep(0.01)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    release.set()
    assert await lane.run(pow, 2, 5) == 32
    workers.close()


def test_deadline() -> None:
    class Hands(SystemClock):
        now = 0

        def monotonic_ms(self) -> int:
            return self.now

    clock = Hands()
    deadline = Deadline(clock, 5_000)
    deadline.check()
    assert deadline.left_ms == 5_000
    clock.now = 5_000
    assert deadline.passed()
    with pytest.raises(RpcError, match=r"execution aborted \(timeout = 5s\)"):
        deadline.check()


async def test_an_endless_call_does_not_hold_up_the_loop(rpc: Any) -> None:
    devnet = rpc.make_devnet(replace(RpcLimits(), call_time_ms=100, gas_cap=2_000_000))
    looping = asyncio.create_task(devnet.request("eth_call", {"to": "0x" + rpc.LOOPER.hex()}))
    await asyncio.sleep(0)
    for _ in range(20):
        assert await devnet.ask("eth_blockNumber") == "0x0"
    told = await looping
    assert told["error"]["message"] in ("out of gas", "execution aborted (timeout = 0.1s)")
    devnet.backend.runtime.workers.close()


async def test_the_lanes_leave_a_worker_for_blocks(devnet: Any) -> None:
    """A call and a replay that do not end: whoever executes blocks still gets a thread."""
    workers = ThreadWorkers()
    clock = SystemClock()
    released = threading.Event()
    loop = asyncio.get_running_loop()

    def endless(running: asyncio.Event) -> None:
        loop.call_soon_threadsafe(running.set)
        released.wait()

    lanes = [(WorkLane(workers, clock, 10_000, 4), asyncio.Event()) for _ in ("calls", "replays")]
    stuck = [asyncio.create_task(lane.run(endless, running)) for lane, running in lanes]
    try:
        for _, running in lanes:
            await running.wait()
        async with asyncio.timeout(5):
            assert await workers.run(lambda: "block") == "block"
    finally:
        released.set()
        await asyncio.gather(*stuck)
        workers.close()
    assert devnet.api.lane is not devnet.api.trace_lane
