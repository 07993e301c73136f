"""Faults drawn by chance into an explicit list, each kind on its own."""

from __future__ import annotations

import random
from collections.abc import Sequence

from network.faults.vocabulary import FaultAction


def weather(loss: float, until_ms: int) -> list[FaultAction]:
    """What bad links do until the calm: most messages are quick, one in ten is late, some are lost."""
    bad = [
        FaultAction(0, "jitter", (), {"jitter_ms": 60}, until_ms),
        FaultAction(0, "reorder", (), {"share": 0.1, "by_ms": 2400}, until_ms),
    ]
    return [*bad, FaultAction(0, "loss", (), {"share": loss}, until_ms)] if loss else bad


def draw_crashes(
    chance: random.Random, names: Sequence[str], calm_ms: int, forgetful: Sequence[str] = (), forgetting: float = 0.0
) -> list[FaultAction]:
    """Crashes between any two effects, each node at most one at a time. ``forgetful`` ones may lose their log."""
    actions: list[FaultAction] = []
    free_ms = dict.fromkeys(names, 0)
    at_ms = chance.randrange(1000, 8000)
    while at_ms < calm_ms - 200:
        ready = [name for name in names if free_ms[name] <= at_ms]
        if ready:
            name = chance.choice(ready)
            until_ms = min(at_ms + chance.randrange(200, 6000), calm_ms)
            actions.append(
                FaultAction(at_ms, "kill-between-effects", (name,), {"effects": chance.randrange(1, 30)}, until_ms)
            )
            if name in forgetful and chance.random() < forgetting:
                actions.append(FaultAction(until_ms - 1, "amnesia", (name,)))
            free_ms[name] = until_ms + 1
        at_ms += chance.randrange(500, 6000)
    return actions


def draw_partitions(chance: random.Random, names: Sequence[str], calm_ms: int) -> list[FaultAction]:
    """Splits in two, by chance; whole, split, whole, …"""
    actions: list[FaultAction] = []
    at_ms = chance.randrange(500, 6000)
    while at_ms < calm_ms:
        until_ms = min(at_ms + chance.randrange(500, 6000), calm_ms)
        # the halves of a pair of twins stand on both sides: that is what makes forks
        one = [name for name in names if not name.endswith("+") and chance.randrange(2)]
        side = (*one, *(name for name in names if name.endswith("+") and name[:-1] not in one))
        if side and len(side) < len(names) and until_ms > at_ms:
            actions.append(FaultAction(at_ms, "partition", side, {}, until_ms))
        at_ms = until_ms + chance.randrange(500, 6000)
    return actions
