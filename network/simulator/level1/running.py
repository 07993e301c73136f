"""From a scenario to its outcome, whichever the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from network.simulator.level1.convictions import ConvictingWorld
from network.simulator.level1.harness import Outcome
from network.simulator.level1.pos_world import PosWorld
from network.simulator.level1.world import World
from network.simulator.scenario import Scenario


def world_of(scenario: Scenario, trace_to: Callable[[str], object] | None = None) -> World | PosWorld:
    """A run that is about to begin."""
    if scenario.engine == "bft":
        plain = "convictions" in scenario.without
        return World(scenario, trace_to=trace_to) if plain else ConvictingWorld(scenario, trace_to)
    return PosWorld(scenario, trace_to=trace_to)


def run_scenario(scenario: Scenario, trace_to: Callable[[str], object] | None = None) -> Outcome:
    """One run from start to judgement."""
    return world_of(scenario, trace_to).run()


def long_enough(scenario: Scenario) -> Scenario:
    """The same, with time for what is asked after the calm."""
    world = world_of(scenario)
    needed_ms = world.settled_ms() + world.gap_bound_ms() + 1000
    return replace(scenario, until_ms=max(scenario.until_ms, needed_ms))
