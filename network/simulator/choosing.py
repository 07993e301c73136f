"""Which run a user means: a seed and what is fixed of it, or a plan of faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from network.faults.vocabulary import Plan
from network.simulator.level1.running import long_enough
from network.simulator.level1.swarm import SIZES, drawn_scenario
from network.simulator.level2 import recovery_ms
from network.simulator.scenario import Scenario

PLAN_NODES: Final = 4
LEVEL2_SIZES: Final = (1, 2, 3, 4, 4, 4, 5)
CALM_AFTER_MS: Final = 1000
"""A plan's faults are healed so long after the last of them began or ended."""


def chosen_scenario(
    engine: str, level: int, seed: int, nodes: int | None, until_ms: int | None, plan: Plan | None
) -> Scenario:
    """The run that these options name. Without a plan everything left open is drawn from the seed. Raises BadPlan."""
    if plan is not None:
        calm_ms = plan.end_ms + CALM_AFTER_MS
        chosen = Scenario(
            engine, seed, nodes or PLAN_NODES, until_ms=calm_ms, calm_ms=calm_ms, delay_ms=40, faults=plan
        )
    else:
        asked_ms = 60_000 if until_ms is None else until_ms
        chosen = drawn_scenario(engine, seed, nodes, asked_ms, LEVEL2_SIZES if level == 2 else SIZES)
    if level == 2:
        # a whole node holds one key, and its blocks come as fast as people have them
        chosen = replace(chosen, keys=1, block_time_ms=1000, without=())
    if until_ms is not None:
        return replace(chosen, until_ms=until_ms)
    if level == 1:
        return long_enough(chosen)
    return replace(chosen, until_ms=max(chosen.until_ms, chosen.calm_ms + recovery_ms(chosen)))
