"""Seeds that draw their own cluster and faults: kept ones that found something, and a few fresh ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from network.invariants import Invariant, InvariantViolated
from network.simulator.simulation import Simulation
from network.simulator.swarm import run_swarm

KEPT = [
    int(line.split()[0])
    for line in Path(__file__).with_name("seeds.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("seed", KEPT)
def test_a_kept_seed(seed: int) -> None:
    run_swarm(seed)


@pytest.mark.parametrize("seed", range(1000, 1006))
def test_a_fresh_seed(seed: int) -> None:
    outcome = run_swarm(seed)
    assert outcome.height >= 3


def test_a_seed_repeats_itself() -> None:
    first, second = run_swarm(21), run_swarm(21)
    assert first == second
    assert len(first.faults) > 3


def test_a_cluster_that_never_recovers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulation, "heal", lambda self: None)
    with pytest.raises(InvariantViolated) as caught:
        run_swarm(27)  # ends with a partition
    assert caught.value.invariant is Invariant.PROGRESS
    assert caught.value.exit_code == 128
