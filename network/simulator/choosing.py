"""Which run a user means: a seed and what is fixed of it, or a plan of faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from network.faults.vocabulary import Plan
from network.simulator.level1.running import long_enough
from network.simulator.level1.swarm import drawn_scenario
from network.simulator.scenario import Scenario

PLAN_NODES: Final = 4
CALM_AFTER_MS: Final = 1000
"""A plan's faults are healed so long after the last of them began or ended."""


def chosen_scenario(
    engine: str, level: int, seed: int, nodes: int | None, until_ms: int | None, plan: Plan | None
) -> Scenario:
    """The run that these options name. Without a plan everything left open is drawn from the seed. Raises BadPlan."""
    if plan is None:
        drawn = drawn_scenario(engine, seed, nodes, 60_000 if until_ms is None else until_ms)
        return long_enough(drawn) if until_ms is None else drawn
    nodes = PLAN_NODES if nodes is None else nodes
    calm_ms = plan.end_ms + CALM_AFTER_MS
    made = Scenario(engine, seed, nodes, until_ms=until_ms or calm_ms, calm_ms=calm_ms, delay_ms=40, faults=plan)
    return long_enough(made) if until_ms is None else replace(made, until_ms=until_ms)
