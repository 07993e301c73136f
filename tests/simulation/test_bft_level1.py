"""Level 1: the bft engine on a bare heap. Scenarios, seeds, mutants, determinism."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from network.simulator.level1.world import drawn_plan, run_plan
from tests.simulation.bft_evidence_mutants import EVIDENCE_MUTANTS
from tests.simulation.bft_mutants import MUTANTS
from tests.simulation.bft_scenarios import SCENARIOS
from tests.simulation.lost_disk_scenarios import LOST_DISK_MUTANTS
from tests.simulation.lost_disk_scenarios import SCENARIOS as LOST_DISK_SCENARIOS
from tests.simulation.mutant import check_killed

SEEDS = int(os.environ.get("LEVEL1_SEEDS", "6"))
"""Seeds a kind of run; CI's share is small, a campaign sets more."""


@pytest.mark.parametrize("scenario", [*SCENARIOS, *LOST_DISK_SCENARIOS], ids=lambda scenario: scenario.__name__)
def test_scenario(scenario):
    scenario()


@pytest.mark.parametrize(("nodes", "byzantine"), [(1, 0), (4, 0), (4, 1), (7, 2)])
def test_seeds_below_a_third(nodes, byzantine):
    for seed in range(max(1, SEEDS * 4 // nodes // (1 + byzantine))):
        outcome = run_plan(drawn_plan(seed, nodes=nodes, byzantine=byzantine))
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        assert outcome.decided > 5


def test_weighted_seeds():
    for seed in range(max(1, SEEDS // 2)):
        outcome = run_plan(drawn_plan(seed, nodes=5, weights=(1, 2, 3, 4, 5), byzantine=0))
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"


def test_wrong_roots_are_never_decided():
    outcome = run_plan(drawn_plan(3, byzantine=1, twins=False, wrong_roots=0.7))
    assert outcome.violation is None


def test_a_forced_fork_convicts_more_than_a_third_and_nobody_honest():
    forks = 0
    for seed in range(13, 13 + SEEDS * 2):
        plan = drawn_plan(seed, byzantine=2, until_ms=20_000, gst_ms=18_000, delay_ms=80)
        outcome = run_plan(plan)
        if outcome.violation is None:
            continue
        assert outcome.violation.kind == "agreement", f"seed {seed}: {outcome.violation}"
        forks += 1
        assert len(outcome.convicted) >= 2
    assert forks, "two of four with twins fork in some of these seeds"


@pytest.mark.parametrize("mutant", [*MUTANTS, *EVIDENCE_MUTANTS, *LOST_DISK_MUTANTS], ids=lambda mutant: mutant.name)
def test_mutant_is_killed(mutant):
    check_killed(mutant)


def test_a_seed_gives_the_same_bytes_under_another_hash_seed():
    code = (
        "from network.simulator.level1.world import drawn_plan, run_plan\n"
        "print([run_plan(drawn_plan(s, byzantine=1, gst_ms=8000, until_ms=12000)).trace_hash for s in range(3)])"
    )
    root = Path(__file__).parents[2]
    answers = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "12345")
    ]
    assert answers[0] == answers[1]
    assert "'" in answers[0]
