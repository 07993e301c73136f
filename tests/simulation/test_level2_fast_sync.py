"""Whole nodes that lose their disks and join by a state, under every fault the seeds bring and some more of these."""

from typing import Any

import pytest

from network.cli.simulate import _Choice
from network.faults.vocabulary import FaultAction, Plan
from network.simulator import blueprint
from network.simulator.runs import run
from network.simulator.scenario import Scenario
from node import joining
from node.config import NodeSettings
from node.protocols import state_fetch
from node.protocols.fast_sync import FastSync
from node.types.blocks import Header

pytestmark = pytest.mark.campaign


@pytest.fixture
def joined(monkeypatch: Any) -> list[Header | None]:
    """Every node syncs fast, from a few blocks on, in small portions, among short histories; what each attempt gave."""
    settings = {"sync": "fast", "state_history": 4}
    monkeypatch.setattr(blueprint, "NodeSettings", lambda **given: NodeSettings(**{**given, **settings}))
    monkeypatch.setattr(joining, "BLOCKS_MIN", 4)
    monkeypatch.setattr(state_fetch, "PIECES_MAX", 8)
    ends: list[Header | None] = []
    sync = FastSync.run

    async def kept(self: FastSync) -> Header | None:
        end = await sync(self)
        ends.append(end)
        return end

    monkeypatch.setattr(FastSync, "run", kept)
    return ends


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_lost_disks_among_drawn_faults(engine: str, joined: list[Header | None]) -> None:
    choice = _Choice(engine, 2, None, 30_000, None)
    for seed in range(6):
        result = choice.run(seed)
        assert result.violation is None, result.sentence()


@pytest.mark.parametrize("engine", ["bft", "pos"])
@pytest.mark.parametrize("seed", range(3))
def test_one_disk_after_the_other(engine: str, seed: int, joined: list[Header | None]) -> None:
    faults = [
        FaultAction(12_000, "lost-disk", ("n1",), {}, 12_500),
        FaultAction(20_000, "lost-disk", ("n2",), {}, 20_500),
        FaultAction(20_700, "crash", ("n2",), {}, 21_000),
        FaultAction(28_000, "lost-disk", ("n3",), {}, 28_500),
        FaultAction(28_600, "torn-log", ("n3",), {}, 29_000),
    ]
    settings = {"until_ms": 40_000, "calm_ms": 30_000, "delay_ms": 20, "block_time_ms": 1000, "keys": 1}
    result = run(2, Scenario(engine, **{**settings, "seed": seed}, faults=Plan(faults)))  # type: ignore[arg-type]
    assert result.violation is None, result.sentence()
    assert sum(end is not None for end in joined) >= 3


def test_one_seed_is_one_run(joined: list[Header | None]) -> None:
    faults = Plan([FaultAction(9_000, "lost-disk", ("n1",), {}, 9_500)])
    settings: dict[str, Any] = {"until_ms": 14_000, "calm_ms": 12_000, "delay_ms": 20, "block_time_ms": 1000, "keys": 1}
    runs = [run(2, Scenario("bft", **settings, seed=3, faults=faults)) for _ in range(2)]
    assert joined[0] == joined[1]
    assert joined[0] is not None
    assert runs[0] == runs[1]
