"""A whole load: the stage, the generator and a watch on every node side by side, and the report."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from network.accounts import Account
from network.load.chain_watch import ChainWatch
from network.load.generator import Door, Generator, Pace, Refused, Shot, Target, Unreachable, open_session
from network.load.report import Report, make_report
from network.load.workloads import Draw

LOOK_SECONDS: Final = 0.1
REPEAT_SECONDS: Final = 1.0

Told = Callable[[str, int], None]
"""Hears of progress: ``sent`` or ``final``, and how many so far."""


async def carry_out(
    targets: Sequence[Target],
    senders: Sequence[Account],
    draws: Sequence[tuple[str, Draw]],
    chain_id: int,
    pace: Pace,
    settle_seconds: float,
    told: Told = lambda what, count: None,
) -> Report:
    """Send the load and wait until all of it is final, or nothing new has been for ``settle_seconds``."""
    async with open_session() as session:
        doors = [Door(session, target) for target in targets]
        watches = [ChainWatch(door) for door in doors]
        generator = Generator(doors, senders, draws, chain_id, pace)
        watching = [asyncio.create_task(watch.run()) for watch in watches]
        watching.append(asyncio.create_task(_repeat_lost(generator, watches)))
        try:
            await generator.run(lambda count: told("sent", count))
            await _settle(generator.shots, watches, settle_seconds, told)
        finally:
            for task in watching:
                task.cancel()
            for task in watching:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        failed = await _failed(doors, watches, generator.shots)
        return make_report(generator.shots, watches, generator.began, pace.per_second, failed)


async def _repeat_lost(generator: Generator, watches: Sequence[ChainWatch]) -> None:
    while True:
        await asyncio.sleep(REPEAT_SECONDS)
        await generator.repeat_lost(lambda one: any(one in watch.included for watch in watches))


async def _settle(shots: Sequence[Shot], watches: Sequence[ChainWatch], seconds: float, told: Told) -> None:
    wanted = [shot.hash for shot in shots if shot.acknowledged is not None]
    best, since = -1, time.monotonic()
    while True:
        # a node that is away counts no longer: what is final on one honest node is final
        count = max((sum(one in watch.final for one in wanted) for watch in watches), default=0)
        told("final", count)
        if count > best:
            best, since = count, time.monotonic()
        if all(all(one in watch.final for one in wanted) for watch in watches):
            return
        alive = [watch for watch in watches if watch.finalized == max(one.finalized for one in watches)]
        if count == len(wanted) and time.monotonic() - since > min(seconds, 5.0) and alive:
            return
        if time.monotonic() - since > seconds:
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _failed(doors: Sequence[Door], watches: Sequence[ChainWatch], shots: Sequence[Shot]) -> int:
    """Transactions of ours whose receipt says that they failed."""
    names = dict.fromkeys(shot.hash for shot in shots)
    place = max(range(len(watches)), key=lambda index: len(watches[index].included))
    count = 0
    for block in watches[place].blocks.values():
        if any(one in names for one in block.transactions):
            with contextlib.suppress(Unreachable, Refused):
                receipts: list[dict[str, Any]] = await doors[place].call("eth_getBlockReceipts", hex(block.number))
                count += sum(one["transactionHash"] in names and one["status"] != "0x1" for one in receipts or ())
    return count
