"""Four whole nodes in one process under virtual time: transactions, crashes, partitions, and one hash a seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from network.faults.link_policy import LinkCondition, Loss
from network.invariants import Invariant, InvariantViolated
from network.simulator.disk import SimulatedDisk
from network.simulator.simulation import QUIET_LINKS, RequestRefused, Simulation
from node.consensus.validators import ValidatorSet

MS_PER_BLOCK = 1000


def test_four_nodes_decide_ten_blocks_with_transactions() -> None:
    with Simulation(seed=1) as simulation:
        simulation.start()
        users = simulation.traffic(per_second=5)
        assert simulation.run_until_height(10)
        assert simulation.check_same_chains() >= 10
        included = sum(1 for transaction_hash in users.sent if simulation.is_included(transaction_hash))
        assert included > 20
        assert simulation.refused == []
        final = simulation.rpc("n2", "eth_getBlockByNumber", "finalized", False)
        assert int(final["number"], 16) >= 9
        roots = {simulation.rpc(name, "eth_getBlockByNumber", "0x9", False)["stateRoot"] for name in simulation.names}
        assert len(roots) == 1
        with pytest.raises(RequestRefused, match="-32601"):
            simulation.rpc("n0", "eth_noSuchMethod")


def test_blocks_come_at_the_pace_of_the_genesis_file() -> None:
    with Simulation(seed=2) as simulation:
        simulation.start()
        assert simulation.run_until_height(2)
        began, height = simulation.now_ms, simulation.height("n0")
        assert simulation.run_until_height(height + 10)
        assert (simulation.now_ms - began) / 10 == pytest.approx(MS_PER_BLOCK, rel=0.15)


def test_a_killed_node_comes_back_and_catches_up() -> None:
    with Simulation(seed=3) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(4)
        simulation.crash("n3")
        assert simulation.run_until_height(9), "three of four are a quorum"
        simulation.start("n3")
        assert simulation.run_until_height(12)
        assert simulation.check_same_chains() >= 12


def test_power_cuts_lose_nothing_that_was_reported() -> None:
    with Simulation(seed=4) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        for turn, name in enumerate(["n0", "n1", "n2", "n3"], 1):
            assert simulation.run_until_height(3 * turn)
            simulation.cut_power(name)
            simulation.run_for(1_500)
            simulation.start(name)
        assert simulation.run_until_height(15)
        assert simulation.check_same_chains() >= 15


def test_all_nodes_die_at_once_and_go_on() -> None:
    with Simulation(seed=5) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(4)
        for name in simulation.names:
            simulation.cut_power(name)
        simulation.run_for(1_000)
        simulation.start()
        assert simulation.run_until_height(8)
        assert simulation.check_same_chains() >= 8


def test_halves_decide_nothing_and_go_on_when_healed() -> None:
    with Simulation(seed=6) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(4)
        simulation.partition(["n0", "n1"], ["n2", "n3"])
        simulation.run_for(3_000)
        before = simulation.judge.heights()
        simulation.run_for(15_000)
        assert simulation.judge.heights() == before, "neither half is a quorum"
        simulation.heal()
        simulation.run_for(10_000)
        simulation.judge.check_progress(before, simulation.names, 3, 10_000)
        assert simulation.check_same_chains() > max(before.values())


def test_a_majority_goes_on_and_the_isolated_node_catches_up() -> None:
    with Simulation(seed=7) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(3)
        simulation.partition(["n0"], ["n1", "n2", "n3"])
        assert simulation.run_until_height(10, names=["n1", "n2", "n3"])
        assert simulation.height("n0") <= 4
        simulation.heal()
        assert simulation.run_until_height(14)
        assert simulation.check_same_chains() >= 14


def test_a_paused_node_wakes_up_and_catches_up() -> None:
    with Simulation(seed=8) as simulation:
        simulation.start()
        assert simulation.run_until_height(3)
        simulation.pause("n1")
        assert simulation.run_until_height(8, names=["n0", "n2", "n3"])
        simulation.resume("n1")
        assert simulation.run_until_height(11)


def test_wrong_clocks_and_lossy_links_slow_nobody_down_for_good() -> None:
    with Simulation(seed=9, links=LinkCondition(delay_ms=20, jitter_ms=40, loss=0.02)) as simulation:
        for name, offset_ms, drift_ppm in (("n1", 300, 20_000), ("n2", -300, -20_000)):
            simulation.world.machines[name].offset_ms = offset_ms
            simulation.world.machines[name].drift_ppm = drift_ppm
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(10)
        assert simulation.check_same_chains() >= 10


@pytest.mark.parametrize("seed", [8, 11])  # these found a dial begun while the node was ending
def test_nodes_stop_while_their_connections_break(seed: int) -> None:
    links = LinkCondition(delay_ms=20, jitter_ms=200, loss=0.1, on_loss=Loss.RESET)
    with Simulation(seed, links=links) as simulation:
        simulation.start()
        for turn in range(4):
            simulation.run_for(500 + 37 * turn)
            simulation.stop(*simulation.names[turn % 3 :])
            simulation.run_for(300)
            simulation.start()
        simulation.world.policy.default = QUIET_LINKS
        before = max(simulation.judge.finalized().values(), default=0)
        assert simulation.run_until_height(before + 3, 20_000)
        assert simulation.check_same_chains() > before


def cut_power_at_each_height(simulation: Simulation, name: str, until_height: int) -> None:
    for height in range(3, until_height):
        assert simulation.run_until_height(height)
        simulation.cut_power(name)
        simulation.run_for(100)
        simulation.start(name)


def test_a_cluster_that_decides_without_a_quorum_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ValidatorSet, "is_quorum", lambda self, weight: 2 * weight >= self.total_weight)
    with Simulation(seed=12) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(3)
        simulation.partition(["n0", "n1"], ["n2", "n3"])
        with pytest.raises(InvariantViolated) as caught:
            simulation.run_for(30_000)
    assert caught.value.invariant is Invariant.AGREEMENT


def test_a_database_that_only_says_it_is_durable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = SimulatedDisk.write
    monkeypatch.setattr(SimulatedDisk, "write", lambda self, batch, durable: honest(self, batch, durable=False))
    with Simulation(seed=13) as simulation:
        simulation.start()
        with pytest.raises(InvariantViolated) as caught:
            cut_power_at_each_height(simulation, "n2", 12)
    assert caught.value.invariant is Invariant.MEMORY


def story(seed: int) -> str:
    """A run with a bit of everything: its trace hash."""
    with Simulation(seed, links=LinkCondition(delay_ms=5, jitter_ms=20, loss=0.01)) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(4)
        simulation.cut_power("n2")
        assert simulation.run_until_height(6)
        simulation.start("n2")
        simulation.partition(["n0", "n1"], ["n2", "n3"])
        simulation.run_for(4_000)
        simulation.heal()
        assert simulation.run_until_height(10)
        return simulation.trace.hash


def test_one_seed_is_one_run_in_every_process() -> None:
    here = story(10)
    assert story(11) != here
    root = str(Path(__file__).parents[2])
    for hash_seed in ("0", "4711"):
        run = subprocess.run(
            [sys.executable, __file__, "10"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join([root, *sys.path])},
            capture_output=True,
            text=True,
            check=True,
            timeout=110,
        )
        assert run.stdout.strip() == here


if __name__ == "__main__":
    print(story(int(sys.argv[1])))
