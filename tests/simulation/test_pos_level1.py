"""Level 1 of the pos engine: seeds, named runs that once broke something, liars beyond a third, planted mistakes."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise

import pytest

from network.faults.vocabulary import FaultAction, Plan
from network.simulator.level1.harness import EXCEPTION
from network.simulator.level1.machine import Clock
from network.simulator.level1.pos_judge import PosJudge
from network.simulator.level1.pos_node import PosNode
from network.simulator.level1.pos_world import PosWorld
from network.simulator.level1.running import long_enough, run_scenario
from network.simulator.level1.swarm import drawn_scenario
from network.simulator.level1.world import World
from network.simulator.scenario import Scenario
from node.consensus.journal import Journal
from node.consensus.pos.core import PosEngine

SEEDS = int(os.environ.get("LEVEL1_SEEDS", "6"))
"""Seeds a kind of run; CI's share is small, a campaign sets more."""


BLOCK = 25
"""Seeds in one test, so that several processes share them: 6 blocks for each engine are CI's 300 seeds."""


@pytest.mark.parametrize("engine", ["bft", "pos"])
@pytest.mark.parametrize("block", range(SEEDS))
def test_drawn_seeds_of_four_nodes(engine: str, block: int) -> None:
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        outcome = run_scenario(long_enough(drawn_scenario(engine, seed, 4)))
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        assert outcome.judged_progress
        assert outcome.decided > 3


@pytest.mark.parametrize("engine", ["bft", "pos"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_drawn_seeds_of_any_size(engine: str, seed: int) -> None:
    outcome = run_scenario(long_enough(drawn_scenario(engine, seed)))
    assert outcome.violation is None, str(outcome.violation)
    assert outcome.judged_progress


def test_a_quiet_cluster_finalizes_without_reorganisations() -> None:
    world = PosWorld(Scenario("pos", 1, calm_ms=0, until_ms=60_000))
    outcome = world.run()
    assert outcome.violation is None
    assert outcome.decided >= 50
    assert world.judge.deepest_reorg == 0
    assert outcome.convicted == {}


NAMED = {
    "dies before its first signature after its disk was lost": Scenario(
        "pos",
        21,
        3,
        until_ms=25_312,
        delay_ms=40,
        keys=1,
        faults=Plan(
            (
                FaultAction(18_443, "lost-disk", ("n0",), {}, 21_499),
                FaultAction(21_855, "kill-between-effects", ("n0",), {"effects": 17}, 24_621),
            )
        ),
    ),
    "lost its disk, and votes before it has caught up": Scenario(
        "pos",
        2070,
        until_ms=25_312,
        delay_ms=5,
        without=("vote-repair",),
        faults=Plan(
            (
                FaultAction(0, "loss", (), {"share": 0.1}, 25_312),
                FaultAction(17189, "lost-disk", ("n0",), {}, 22004),
            )
        ),
    ),
}

NAMED["has only a block in its log after its disk was lost"] = Scenario.from_json(
    {
        "engine": "pos",
        "seed": 10,
        "until_ms": 33_750,
        "faults": [
            {"at_ms": 0, "kind": "loss", "share": 0.1, "until_ms": 30_000},
            {"at_ms": 4953, "kind": "kill-between-effects", "targets": ["n0"], "effects": 15, "until_ms": 6841},
            {"at_ms": 9477, "kind": "kill-between-effects", "targets": ["n2"], "effects": 26, "until_ms": 15_030},
            {"at_ms": 11_289, "kind": "kill-between-effects", "targets": ["n0"], "effects": 16, "until_ms": 15_754},
            {"at_ms": 16_361, "kind": "lost-disk", "targets": ["n0"], "until_ms": 19_974},
            {"at_ms": 23_518, "kind": "kill-between-effects", "targets": ["n2"], "effects": 9, "until_ms": 29_247},
            {"at_ms": 27_760, "kind": "kill-between-effects", "targets": ["n0"], "effects": 10, "until_ms": 30_000},
        ],
    }
)


@pytest.mark.parametrize("name", NAMED)
def test_named_run(name: str) -> None:
    outcome = run_scenario(NAMED[name])
    assert outcome.violation is None, str(outcome.violation)


def _forking(seed: int) -> Scenario:
    """Two of four with twins, the halves on both sides of a split that lasts."""
    return Scenario(
        "pos",
        seed,
        until_ms=40_000,
        calm_ms=38_000,
        faults=Plan(
            (
                FaultAction(0, "twins", ("n2", "n3")),
                FaultAction(0, "partition", ("n0", "n2", "n3"), {"others": ("n1", "n2+", "n3+")}, 30_000),
            )
        ),
    )


def test_two_chains_become_final_only_when_a_third_contradicts_itself_and_that_third_is_convicted() -> None:
    forks = 0
    for seed in range(SEEDS * 3):
        world = PosWorld(_forking(seed))
        outcome = world.run()
        if outcome.violation is None:
            continue
        forks += 1
        assert outcome.violation.kind == "agreement", f"seed {seed}: {outcome.violation}"
        guilty = world.rules.validators.weight_of_all(outcome.convicted)
        assert 3 * guilty >= world.rules.validators.total_weight
        assert not any(validator in world.judge.honest for validator in outcome.convicted)
    assert forks, "twins that see both sides of a split finalize two chains in some of these seeds"


def test_a_seed_repeats_itself_and_another_does_not() -> None:
    first, again = (run_scenario(drawn_scenario("pos", 3, 4, 15_000)) for _ in range(2))
    assert first == again
    assert run_scenario(drawn_scenario("pos", 4, 4, 15_000)).trace_hash != first.trace_hash


def test_a_log_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "append", lambda self, record: None)
    outcome = run_scenario(drawn_scenario("pos", 0, 4, 15_000))
    assert outcome.violation is not None
    assert outcome.violation.kind == "durability"


def test_an_exception_of_the_engine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: PosEngine, slot: int) -> None:
        raise IndexError("planted")

    monkeypatch.setattr(PosEngine, "_attest", fail)
    outcome = run_scenario(Scenario("pos", 1, until_ms=5_000, calm_ms=0))
    assert outcome.violation is not None
    assert outcome.violation.kind == EXCEPTION
    assert outcome.violation.detail.startswith("IndexError: planted (in fail, test_pos_level1.py:")


def test_silence_beyond_a_third_stops_finality_and_is_no_violation() -> None:
    liars = ("n2", "n3")
    # their own blocks would carry their votes
    silence = Plan((FaultAction(0, "silent-voter", liars), FaultAction(0, "withheld-block", liars)))
    outcome = run_scenario(Scenario("pos", 1, until_ms=40_000, calm_ms=0, faults=silence))
    assert outcome.violation is None
    assert not outcome.judged_progress
    assert outcome.decided == 0


def test_a_chain_that_stands_still_is_found() -> None:
    """Liveness is asked for: nobody lies, and still more than a third never votes."""
    scenario = Scenario("pos", 1, until_ms=40_000, calm_ms=0)
    world = PosWorld(scenario)
    for name in (b"\x02\x00", b"\x03\x00"):
        world.nodes[name].disk.is_full = True  # and nobody empties it: the heal of this run is past
    world.heal = lambda: None  # type: ignore[method-assign]
    outcome = PosWorld.run(world)
    assert outcome.violation is not None
    assert outcome.violation.kind == "liveness"


def test_marks_out_of_order_are_found() -> None:
    world = PosWorld(Scenario("pos", 1, until_ms=20_000, calm_ms=0))
    world.run_until(20_000)
    node: PosNode = world.nodes[b"\x00\x00"]
    judge: PosJudge = world.judge
    parent = node.header_of(node.head).header.parent_hash
    judge.on_moved(node, parent, node.head, node.finalized)
    assert judge.violation is not None
    assert judge.violation.kind == "order"


def test_finality_that_goes_back_is_found() -> None:
    world = PosWorld(Scenario("pos", 1, until_ms=20_000, calm_ms=0))
    world.run_until(20_000)
    node = world.nodes[b"\x00\x00"]
    assert len(node.final) > 3
    world.judge.on_moved(node, node.head, node.safe, node.final[-2])
    assert world.judge.violation is not None
    assert world.judge.violation.kind == "memory"


def test_what_grows_without_bound_is_found() -> None:
    bft = World(Scenario("bft", 1, until_ms=5_000, calm_ms=0))
    pos = PosWorld(Scenario("pos", 1, until_ms=5_000, calm_ms=0))
    for world in (bft, pos):
        world.run_until(2_000)
        assert world.verdict.violation is None
    bft.nodes[b"\x01\x00"].engine._peer_heights.update({bytes([one, 7]): 1 for one in range(256)})
    pos.nodes[b"\x01\x00"].engine._invalid.update({one.to_bytes(32, "big"): "" for one in range(600)})
    for world in (bft, pos):
        world.run_until(5_000)
        assert world.verdict.violation is not None
        assert world.verdict.violation.kind == "bounds"


@pytest.mark.parametrize("ppm", [-50_000, -7, 0, 3, 50_000])
def test_a_drifting_clock_is_never_early_and_never_stands_still(ppm: int) -> None:
    clock = Clock()
    clock.drift(1_000, ppm)
    times = [clock.own_ms(now_ms) for now_ms in range(1_000, 60_000, 500)]
    assert all(later > earlier for earlier, later in pairwise(times))
    for after_ms in (1, 7, 1000):
        assert clock.own_ms(1_000 + clock.real_ms(after_ms)) - clock.own_ms(1_000) >= after_ms
    clock.set_right(60_000)
    assert clock.wall_ms(60_000) == Clock().wall_ms(60_000)


def test_a_scenario_goes_through_json_and_back() -> None:
    for engine in ("bft", "pos"):
        for seed in range(20):
            scenario = drawn_scenario(engine, seed)
            assert Scenario.from_json(scenario.to_json()) == scenario
    assert replace(Scenario(), seed=1) != Scenario()
