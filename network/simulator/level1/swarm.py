"""Swarm testing at level 1: a seed draws size, weights, latencies, redundancy and an explicit list of faults.

Each seed leaves most kinds of fault out, because faults hide one another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from network.faults.vocabulary import FaultAction, Plan
from network.simulator.level1.draws import draw_crashes, draw_partitions
from network.simulator.scenario import Scenario

T = TypeVar("T")

SIZES: Final = (1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 10, 16)
_GROUPS: Final = ("crashes", "disks", "pauses", "clocks", "partitions", "one way", "links", "slow", "lies")
_LIES: Final = {
    "bft": (
        "equivocating-proposer",
        "double-vote",
        "wrong-state-root",
        "invalid-transaction",
        "withheld-block",
        "silent-voter",
        "stale-replay",
        "amnesia",
        "twins",
    ),
    "pos": (
        "equivocating-proposer",
        "double-vote",
        "surround-vote",
        "wrong-state-root",
        "invalid-transaction",
        "withheld-block",
        "silent-voter",
        "stale-replay",
        "amnesia",
        "twins",
    ),
}


class _Draw:
    def __init__(self, engine: str, seed: int, nodes: int | None, until_ms: int, sizes: Sequence[int]) -> None:
        self.engine = engine
        self.chance = random.Random(f"swarm {engine} {seed}")
        self.nodes = self.pick(sizes) if nodes is None else nodes
        self.until_ms = until_ms
        self.calm_ms = until_ms // 2
        self.names = [f"n{index}" for index in range(self.nodes)]
        self.weights = tuple(self.pick((1, 1, 1, 2, 3)) for _ in self.names) if self.chance.random() < 0.25 else ()
        self.on = [group for group in _GROUPS if self.chance.random() < 0.4]
        self.doubtful: dict[str, None] = {}
        """Liars, and those who lose their log."""

    def pick(self, options: Sequence[T]) -> T:
        return options[self.chance.randrange(len(options))]

    def spell(self, longest_ms: int = 8000) -> tuple[int, int]:
        """From when to when a fault lasts."""
        at_ms = self.chance.randrange(500, max(501, self.calm_ms - 500))
        return at_ms, min(self.calm_ms, at_ms + self.chance.randrange(300, longest_ms))

    def may_fail(self, name: str) -> bool:
        """Whether one more node may be faulty for ever: below a third, all together."""
        weights = self.weights or (1,) * self.nodes
        wanted = [*self.doubtful, name]
        faulty = sum(weights[int(one[1:])] for one in dict.fromkeys(wanted))
        return 3 * faulty < sum(weights)

    def faults(self) -> list[FaultAction]:
        made: list[FaultAction] = []
        for group in _GROUPS:
            if group in self.on:
                made += getattr(self, "_" + group.replace(" ", "_"))()
        return made

    def _crashes(self) -> list[FaultAction]:
        actions = draw_crashes(self.chance, self.names, self.calm_ms)
        for _ in range(self.chance.randrange(3)):
            at_ms, until_ms = self.spell()
            actions.append(FaultAction(at_ms, "crash", (self.pick(self.names),), {}, until_ms))
        if self.chance.random() < 0.3:
            actions.append(FaultAction(self.spell()[0], "restart", tuple(self.names)))
        return actions

    def _disks(self) -> list[FaultAction]:
        actions = []
        for _ in range(self.chance.randrange(1, 4)):
            at_ms, until_ms = self.spell()
            actions.append(
                FaultAction(at_ms, self.pick(("torn-log", "full-disk")), (self.pick(self.names),), {}, until_ms)
            )
        name = self.pick(self.names)
        if self.chance.random() < 0.3 and self.may_fail(name):
            at_ms, until_ms = self.spell()
            self.doubtful[name] = None
            actions.append(FaultAction(at_ms, "lost-disk", (name,), {}, until_ms))
        return actions

    def _pauses(self) -> list[FaultAction]:
        spells = [self.spell() for _ in range(self.chance.randrange(1, 4))]
        return [FaultAction(at_ms, "pause", (self.pick(self.names),), {}, until_ms) for at_ms, until_ms in spells]

    def _clocks(self) -> list[FaultAction]:
        actions = []
        for _ in range(self.chance.randrange(1, 4)):
            at_ms, until_ms = self.spell(20_000)
            target = (self.pick(self.names),)
            kind = self.pick(("clock-offset", "clock-drift", "clock-jump"))
            if kind == "clock-offset":
                actions.append(
                    FaultAction(at_ms, kind, target, {"offset_ms": self.chance.randrange(-1500, 1500)}, until_ms)
                )
            elif kind == "clock-drift":
                actions.append(
                    FaultAction(at_ms, kind, target, {"ppm": self.chance.randrange(-50_000, 50_000)}, until_ms)
                )
            else:
                actions.append(FaultAction(at_ms, kind, target, {"by_ms": self.chance.randrange(-2500, 2500)}))
                if self.chance.random() < 0.5:  # who forgets now what it signed signs it again
                    actions.append(FaultAction(at_ms + self.chance.randrange(1, 500), "restart", target))
        return actions

    def _partitions(self) -> list[FaultAction]:
        return draw_partitions(self.chance, self.names, self.calm_ms) if self.nodes > 1 else []

    def _one_way(self) -> list[FaultAction]:
        actions: list[FaultAction] = []
        for _ in range(self.chance.randrange(1, 4)):
            at_ms, until_ms = self.spell()
            if self.nodes > 3 and self.chance.random() < 0.4:
                bridge, *rest = self.chance.sample(self.names, self.nodes)
                side = {"side": tuple(rest[: len(rest) // 2])}
                actions.append(FaultAction(at_ms, "bridge", (bridge,), side, until_ms))
            elif self.nodes > 1:
                actions.append(FaultAction(at_ms, "one-way-partition", (self.pick(self.names),), {}, until_ms))
        return actions

    def _links(self) -> list[FaultAction]:
        """The weather of the whole cluster, and what is wrong with single links."""
        calm = self.calm_ms
        actions = [FaultAction(0, "reorder", (), {"share": 0.1, "by_ms": self.pick((300, 2400))}, calm)]
        actions.append(FaultAction(0, "loss", (), {"share": self.pick((0.02, 0.1, 0.3))}, calm))
        if self.chance.random() < 0.5:
            actions.append(FaultAction(0, "duplication", (), {"share": 0.1}, calm))
        for _ in range(self.chance.randrange(3)):
            at_ms, until_ms = self.spell()
            kind, settings = self.pick(
                (
                    ("delay", {"delay_ms": self.chance.randrange(50, 2000)}),
                    ("jitter", {"jitter_ms": self.chance.randrange(50, 2000)}),
                    ("slow-link", {"bytes_per_s": self.chance.randrange(500, 20_000)}),
                )
            )
            actions.append(FaultAction(at_ms, kind, (self.pick(self.names),), settings, until_ms))
        return actions

    def _slow(self) -> list[FaultAction]:
        at_ms, until_ms = self.spell(20_000)
        work = {"work_ms": self.chance.randrange(20, 800)}
        return [FaultAction(at_ms, "slow-node", (self.pick(self.names),), work, until_ms)]

    def _lies(self) -> list[FaultAction]:
        actions: list[FaultAction] = []
        for name in self.chance.sample(self.names, self.nodes):
            if not self.may_fail(name) or self.chance.random() < 0.3:
                continue
            self.doubtful[name] = None
            for kind in self.chance.sample(_LIES[self.engine], self.chance.randrange(1, 4)):
                if kind == "twins":
                    actions.append(FaultAction(0, kind, (name,)))
                elif kind == "amnesia":
                    actions.append(FaultAction(self.spell()[0], kind, (name,)))
                else:
                    actions.append(FaultAction(0, kind, (name,), {"share": self.pick((0.1, 0.5, 1.0))}))
        return actions


def drawn_scenario(
    engine: str, seed: int, nodes: int | None = None, until_ms: int = 60_000, sizes: Sequence[int] = SIZES
) -> Scenario:
    """Everything that the seed decides. ``nodes`` None: the size too, one of ``sizes``."""
    draw = _Draw(engine, seed, nodes, until_ms, sizes)
    faults = Plan(tuple(draw.faults()))
    common = Scenario(
        engine,
        seed,
        draw.nodes,
        draw.weights,
        until_ms,
        draw.calm_ms,
        duplication=draw.pick((0.0, 0.02)),
        faults=faults,
    )
    if engine == "bft":
        without = ("polka-gossip",) if draw.chance.random() < 0.25 else ()
        delay_ms = draw.pick((80, 80, 400, 1500))
        if draw.chance.random() < 0.5:
            without = (*without, "convictions")
        return replace(common, delay_ms=delay_ms, without=without)
    delay_ms, slot_ms = draw.pick(((40, 1000), (80, 1000), (80, 1000), (300, 2000)))
    slots_per_epoch = draw.pick((2, 2, 2, 3, 4, 8))
    # a log that is new in a chain's first three epochs is taken for the first one
    young_ms = 4 * slot_ms * slots_per_epoch
    kept = (one for one in faults.actions if one.kind != "lost-disk" or one.at_ms > young_ms)
    return replace(
        common,
        faults=Plan(tuple(kept)),
        delay_ms=delay_ms,
        slot_ms=slot_ms,
        slots_per_epoch=slots_per_epoch,
        keys=draw.pick((1, 2, 2, 4)) if draw.nodes < 10 else 1,
        without=("vote-repair",) if draw.chance.random() < 0.25 else (),
    )
