"""Virtual time: order, jumps, deadlocks, pause and crash, drifting clocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import Context, copy_context

import pytest

from network.simulator.entropy import seeded_random
from network.simulator.event_loop import NODE, Spinning, Stuck, VirtualTimeLoop

MS = 1_000_000


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    made = VirtualTimeLoop()
    yield made
    made.bury()
    made.close()


def context_of(node: str) -> Context:
    context = copy_context()
    context.run(NODE.set, node)
    return context


def test_an_hour_takes_no_time_and_ends_on_the_dot(loop: VirtualTimeLoop) -> None:
    async def main() -> float:
        for _ in range(3600):
            await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    assert loop.run_until_complete(main()) == 3600.0
    assert loop.now_ns == 3600 * 1000 * MS


def test_timers_of_one_instant_run_in_the_order_they_were_set(loop: VirtualTimeLoop) -> None:
    seen: list[int] = []
    for number in range(200):
        loop.call_at(0.3, seen.append, number)
    for number in range(200, 210):
        loop.call_later(0.1 + 0.2, seen.append, number)  # 0.30000000000000004: the same nanosecond
    loop.call_later(0.4, loop.stop)
    loop.run_forever()
    assert seen == list(range(210))


def test_asyncio_works_unchanged(loop: VirtualTimeLoop) -> None:
    async def main() -> list[object]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        event = asyncio.Event()

        async def produce() -> None:
            for number in range(3):
                await asyncio.sleep(0.5)
                await queue.put(number)
            event.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            got: list[object] = [await queue.get() for _ in range(3)]
            await event.wait()
        try:
            async with asyncio.timeout(2):
                await asyncio.Event().wait()
        except TimeoutError:
            got.append(asyncio.get_running_loop().time())
        got.append(await asyncio.wait_for(asyncio.sleep(1, "done"), 5))
        got.extend(await asyncio.gather(*(asyncio.sleep(3 - n, n) for n in range(3))))
        return got

    assert loop.run_until_complete(main()) == [0, 1, 2, 3.5, "done", 0, 1, 2]


def test_waiting_for_nothing_is_found(loop: VirtualTimeLoop) -> None:
    async def main() -> None:
        await asyncio.create_task(asyncio.Event().wait(), name="the one that waits")

    task = loop.create_task(main())
    with pytest.raises(Stuck, match="the one that waits"):
        loop.run_until_complete(task)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_callbacks_that_never_let_time_pass_are_found(loop: VirtualTimeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("network.simulator.event_loop.CALLBACKS_PER_INSTANT_MAX", 1000)

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(Spinning):
        loop.run_forever()


def test_many_cancelled_timers_leave_the_rest_in_order(loop: VirtualTimeLoop) -> None:
    seen: list[int] = []
    timers = [loop.call_later(number / 1000, seen.append, number) for number in range(1000)]
    for number, timer in enumerate(timers):
        if number % 7:
            timer.cancel()
    loop.run_for(2_000 * MS)
    assert seen == list(range(0, 1000, 7))
    assert loop.now_ns == 2_000 * MS


def test_run_until_stops_at_the_moment(loop: VirtualTimeLoop) -> None:
    seen: list[float] = []

    async def main() -> None:
        while True:
            await asyncio.sleep(0.25)
            seen.append(loop.time())

    task = loop.create_task(main())
    assert loop.run_until(lambda: len(seen) == 4)
    assert (loop.now_ns, seen[-1]) == (1000 * MS, 1.0)
    assert not loop.run_until(lambda: len(seen) == 100, 1_900 * MS)
    assert (loop.now_ns, len(seen)) == (1_900 * MS, 7)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_threads_are_refused(loop: VirtualTimeLoop) -> None:
    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(RuntimeError, match=r"Runtime\.workers"):
        loop.run_until_complete(main())


def test_sockets_are_refused(loop: VirtualTimeLoop) -> None:
    async def main() -> None:
        await asyncio.open_connection("127.0.0.1", 1)

    with pytest.raises((NotImplementedError, RuntimeError)):
        loop.run_until_complete(main())


async def ticker(seen: list[tuple[int, str]], loop: VirtualTimeLoop) -> None:
    try:
        while True:
            await asyncio.sleep(1)
            seen.append((loop.now_ns // MS, NODE.get()))
    finally:
        seen.append((loop.now_ns // MS, f"{NODE.get()} ended"))


def test_pause_holds_and_crash_drops(loop: VirtualTimeLoop) -> None:
    seen: list[tuple[int, str]] = []
    tasks = [loop.create_task(ticker(seen, loop), context=context_of(name)) for name in "abc"]
    loop.run_for(2_500 * MS)
    loop.pause("b")
    loop.crash("c")
    loop.run_for(2_000 * MS)
    assert [entry for entry in seen if entry[1].startswith("b")] == [(1000, "b"), (2000, "b")]
    loop.resume("b")
    loop.run_for(2_000 * MS)
    times = {name: [at for at, who in seen if who == name] for name in "abc"}
    assert times == {"a": [1000, 2000, 3000, 4000, 5000, 6000], "b": [1000, 2000, 4500, 5500, 6500], "c": [1000, 2000]}
    assert not [who for _, who in seen if "ended" in who], "a crashed node runs no finally block"
    for task in tasks[:2]:
        task.cancel()
    loop.run_until(lambda: tasks[0].done() and tasks[1].done())
    loop.bury()
    assert tasks[2].cancelled()


def test_a_crash_takes_the_children_and_callbacks_of_a_node_too(loop: VirtualTimeLoop) -> None:
    seen: list[str] = []

    async def parent() -> None:
        asyncio.get_running_loop().call_later(1.5, seen.append, "callback")
        child = asyncio.create_task(ticker([], loop))
        child.add_done_callback(lambda _: seen.append("child"))
        await asyncio.sleep(10)
        seen.append("parent")

    loop.create_task(parent(), context=context_of("n"))
    loop.run_for(1_000 * MS)
    loop.crash("n")
    loop.run_for(20_000 * MS)
    assert seen == []


def test_burial_ends_a_task_whose_next_step_was_dropped(loop: VirtualTimeLoop) -> None:
    event = asyncio.Event()
    ended: list[str] = []

    async def waits() -> None:
        try:
            await event.wait()
        finally:
            ended.append("waits")

    task = loop.create_task(waits(), context=context_of("n"))
    loop.run_for(1 * MS)
    loop.crash("n")
    event.set()  # wakes a dead task: the step is dropped
    loop.run_for(1 * MS)
    assert ended == []
    loop.bury()
    assert ended == ["waits"]
    assert task.done()


def test_a_drifting_node_keeps_its_own_time(loop: VirtualTimeLoop) -> None:
    loop.set_rate("fast", 50_000)
    loop.set_rate("slow", -50_000)
    woke: dict[str, tuple[int, float]] = {}

    async def sleeper(name: str) -> None:
        await asyncio.sleep(100)
        woke[name] = (loop.now_ns // MS, round(loop.time(), 3))

    for name in ("fast", "slow", "true"):
        loop.create_task(sleeper(name), context=context_of(name))
    loop.run_for(200_000 * MS)
    assert woke == {"fast": (95_238, 100.0), "true": (100_000, 100.0), "slow": (105_263, 100.0)}
    with pytest.raises(ValueError, match="not a clock"):
        loop.set_rate("mad", 900_000)


def order_with(seed: int | None) -> list[str]:
    loop = VirtualTimeLoop(None if seed is None else seeded_random(seed, "schedule"))
    seen: list[str] = []

    async def step(name: str) -> None:
        for turn in range(3):
            await asyncio.sleep(0)
            seen.append(f"{name}{turn}")

    async def main() -> None:
        for name in "abcdef":
            asyncio.get_running_loop().call_soon(seen.append, f"callback {name}")
        await asyncio.gather(*(step(name) for name in "abcdef"))

    loop.run_until_complete(main())
    loop.close()
    return seen


def test_a_seed_shuffles_tasks_and_repeats_itself() -> None:
    plain, one, other = order_with(None), order_with(1), order_with(2)
    assert [entry for entry in plain if "callback" not in entry][:6] == ["a0", "b0", "c0", "d0", "e0", "f0"]
    assert one == order_with(1)
    assert one not in (plain, other)
    for seen in (plain, one, other):
        assert [entry for entry in seen if "callback" in entry] == [f"callback {name}" for name in "abcdef"]
        for name in "abcdef":
            assert [entry for entry in seen if entry[0] == name and len(entry) == 2] == [f"{name}{t}" for t in range(3)]
