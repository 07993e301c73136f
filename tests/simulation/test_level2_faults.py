"""Faults from the vocabulary on whole nodes under virtual time: each kind does what its name says, and all heal."""

from __future__ import annotations

from typing import Any

import pytest

from network.faults.kinds import KINDS
from network.faults.vocabulary import FaultAction, Plan
from network.invariants import Invariant, InvariantViolated
from network.simulator.choosing import chosen_scenario
from network.simulator.level2 import FaultDriver, Level2Run
from network.simulator.runs import run
from network.simulator.scenario import Scenario
from network.simulator.simulation import Simulation
from network.simulator.traffic import Traffic
from node.protocols.transactions import TransactionExchange


def scenario(engine: str, *faults: FaultAction, **changes: Any) -> Scenario:
    settings = {"seed": 5, "until_ms": 12_000, "calm_ms": 11_000, "delay_ms": 20, "block_time_ms": 1000, "keys": 1}
    return Scenario(engine, **{**settings, **changes}, faults=Plan(faults))


def fault(
    kind: str, at_ms: int = 3000, until_ms: int | None = 6000, target: str = "n2", **settings: Any
) -> FaultAction:
    return FaultAction(at_ms, kind, (target,), settings, until_ms if KINDS[kind].lasts else None)


@pytest.fixture
def begun() -> Any:
    """Start a scenario; the simulation and its faults."""
    running: list[Simulation] = []

    def begin(made: Scenario) -> tuple[Simulation, FaultDriver]:
        simulation = Level2Run(made).simulation
        running.append(simulation)
        simulation.start()
        driver = FaultDriver(simulation, made)
        driver.schedule()
        return simulation, driver

    yield begin
    for simulation in running:
        simulation.close()


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_every_kind_on_whole_nodes_breaks_nothing(engine: str) -> None:
    settings = {
        "clock-offset": {"offset_ms": 700},
        "clock-drift": {"ppm": 40_000},
        "clock-jump": {"by_ms": -1500},
        "bridge": {"side": ("n0",)},
        "delay": {"delay_ms": 120},
        "jitter": {"jitter_ms": 120},
        "loss": {"share": 0.2},
        "duplication": {"share": 0.2},
        "reorder": {"share": 0.2},
        "slow-link": {"bytes_per_s": 20_000},
    }
    honest = [kind for kind in KINDS.values() if not kind.is_byzantine]
    faults = [
        fault(kind.name, 2000 + 2500 * number, 4000 + 2500 * number, f"n{number % 4}", **settings.get(kind.name, {}))
        for number, kind in enumerate(honest)
    ]
    end_ms = 2000 + 2500 * len(faults)
    result = run(2, scenario(engine, *faults, calm_ms=end_ms, until_ms=end_ms + 30_000))
    assert result.violation is None, str(result.violation)
    assert result.judged_progress
    assert result.final_blocks > 20


@pytest.mark.parametrize("engine", ["bft", "pos"])
@pytest.mark.parametrize("lie", [kind.name for kind in KINDS.values() if kind.is_byzantine])
def test_one_liar_of_four_breaks_nothing(engine: str, lie: str) -> None:
    made = scenario(engine, fault(lie, 2000, None, "n1"), calm_ms=8000, until_ms=40_000)
    result = run(2, made)
    assert result.violation is None, str(result.violation)
    assert result.judged_progress
    assert result.final_blocks > 5


def test_a_kill_between_effects_strikes_after_as_many(begun: Any) -> None:
    simulation, _ = begun(scenario("bft", fault("kill-between-effects", effects=5)))
    simulation.run_for(2_999)
    assert simulation.world.machines["n2"].is_up
    simulation.run_for(2_000)
    assert not simulation.world.machines["n2"].is_up
    simulation.run_for(3_000)
    assert simulation.world.machines["n2"].runs == 2
    assert simulation.height("n2") > 3


def test_a_lost_disk_is_empty_and_filled_again(begun: Any) -> None:
    simulation, _ = begun(scenario("pos", fault("lost-disk", until_ms=3_100)))
    simulation.run_for(2_900)
    before = simulation.world.machines["n2"].disk
    assert before.used_bytes > 1000
    simulation.run_for(6_000)
    assert simulation.world.machines["n2"].disk is not before
    assert simulation.height("n2") >= 7


def test_a_full_disk_ends_the_node_until_there_is_room(begun: Any) -> None:
    simulation, _ = begun(scenario("bft", fault("full-disk")))
    simulation.run_for(5_900)
    assert not simulation.world.machines["n2"].is_up
    simulation.run_for(6_500)
    assert simulation.height("n2") >= simulation.height("n0") - 1


def test_clocks_go_wrong_and_right_again(begun: Any) -> None:
    simulation, _ = begun(
        scenario(
            "bft",
            fault("clock-offset", offset_ms=500),
            fault("clock-drift", target="n1", ppm=100_000),
            fault("clock-jump", target="n3", by_ms=-800),
        )
    )
    clocks = simulation.world.machines

    def wrong_by(name: str) -> int:
        clock, right = clocks[name].clock, clocks["n0"].clock
        assert clock is not None
        assert right is not None
        return clock.now_ms() - right.now_ms()

    simulation.run_for(5_000)
    assert [wrong_by(name) for name in ("n1", "n2", "n3")] == [200, 500, -800]
    simulation.run_for(2_000)
    assert [wrong_by(name) for name in ("n1", "n2", "n3")] == [0, 0, -800]
    simulation.run_for(5_000)
    assert wrong_by("n3") == 0, "all is healed at last"


def test_twins_are_two_nodes_with_one_key(begun: Any) -> None:
    simulation, _ = begun(scenario("bft", fault("twins")))
    assert simulation.names == ["n0", "n1", "n2", "n3", "n2+"]
    keys = {plan.name: plan.validator_key for plan in simulation.blueprint.nodes}
    assert keys["n2"] == keys["n2+"] != keys["n1"]
    simulation.run_for(8_000)
    assert min(simulation.height(name) for name in simulation.names) >= 3


@pytest.mark.parametrize(("engine", "seed"), [("bft", 3), ("pos", 1)])
def test_a_drawn_seed_repeats_itself(engine: str, seed: int) -> None:
    first, again = (run(2, chosen_scenario(engine, 2, seed, 4, 20_000, None)) for _ in range(2))
    assert first == again
    assert first.violation is None, str(first.violation)
    assert first.trace_hash != run(2, chosen_scenario(engine, 2, seed + 50, 4, 20_000, None)).trace_hash


@pytest.mark.parametrize(("engine", "seed"), [("pos", 6), ("bft", 39)])
def test_a_drawn_seed_keeps_every_promise(engine: str, seed: int) -> None:
    result = run(2, chosen_scenario(engine, 2, seed, None, None, None))
    assert result.violation is None, str(result.violation)
    assert result.judged_progress


def test_wei_that_goes_where_no_account_is_known_is_missed(begun: Any) -> None:
    simulation, _ = begun(scenario("bft"))
    simulation.traffic(per_second=5)
    simulation.run_for(8_000)
    begun_with = sum(account.balance for account in simulation.blueprint.genesis.alloc.values())
    assert 0 < begun_with - simulation.check_supply("n1") < 10**17, "some base fees were burnt"
    del simulation._touched[simulation.blueprint.accounts[3].address]
    with pytest.raises(InvariantViolated) as caught:
        simulation.check_supply("n1")
    assert caught.value.invariant is Invariant.SUPPLY


def test_a_pool_that_loses_transactions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Traffic, "_repeat", lambda self: None)
    monkeypatch.setattr(TransactionExchange, "start", lambda self, scope: None)
    crash = fault("crash", 2_500, 2_600)
    result = run(2, scenario("bft", crash, calm_ms=8_000, until_ms=40_000, rate=20))
    assert result.violation is not None
    assert "transactions are in no chain" in result.violation.detail
