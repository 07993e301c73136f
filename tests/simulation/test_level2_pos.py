"""Whole nodes under virtual time with engine pos: finality that lags, branches, reorganisations, restarts."""

from __future__ import annotations

from typing import Any

import pytest

from network.simulator.blueprint import make_blueprint
from network.simulator.simulation import Simulation
from network.simulator.traffic import sign
from node.types.transactions import Transaction

TOPIC = "0x" + "42".rjust(64, "0")
LOGGING = bytes.fromhex("60425f5fa100")
"""Creation code that logs one topic and leaves no code behind."""


def _simulation(seed: int, nodes: int = 4, **options: Any) -> Simulation:
    return Simulation(seed, blueprint=make_blueprint(seed, nodes, engine="pos"), **options)


def _finalized(simulation: Simulation) -> list[int]:
    return [node.chain.finalized.number for node in simulation.nodes.values()]


def _one_head(simulation: Simulation) -> bool:
    return len({node.chain.head.hash for node in simulation.nodes.values()}) == 1


def _nobody_convicted(simulation: Simulation) -> bool:
    return not any(node.driver.inspect()["evidence"] for node in simulation.nodes.values())


def _send(simulation: Simulation, name: str, account: int, nonce: int) -> Transaction:
    sender = simulation.blueprint.accounts[account]
    tx = sign(sender, simulation.blueprint.genesis.chain_id, nonce, None, data=LOGGING, gas_limit=100_000)
    simulation.submit(name, tx)
    return tx


def test_blocks_come_each_slot_and_are_final_within_eight_seconds() -> None:
    with _simulation(1) as simulation:
        simulation.start()
        assert simulation.run_until_height(10)
        tx = _send(simulation, "n2", 9, 0)
        tx_hash = "0x" + tx.hash.hex()
        chain = simulation.nodes["n0"].chain
        assert simulation.run_until(lambda: chain.transaction_location(tx.hash) is not None, 2_000)
        receipt = simulation.rpc("n0", "eth_getTransactionReceipt", tx_hash)
        number = int(receipt["blockNumber"], 16)
        assert simulation.run_until(lambda: min(_finalized(simulation)) >= number, 8_000)
        tags = [
            int(simulation.rpc("n1", "eth_getBlockByNumber", tag, False)["number"], 16)
            for tag in ("finalized", "safe", "latest")
        ]
        assert tags == sorted(tags)
        assert tags[0] < tags[2], "the head is not final at once, and nothing says so"
        simulation.check_same_chains()


def test_what_a_losing_branch_held_is_told_as_removed_and_comes_again() -> None:
    with _simulation(2) as simulation:
        simulation.start()
        assert simulation.run_until_height(6)
        names = simulation.names
        filter_id = simulation.rpc("n0", "eth_newFilter", {"topics": [TOPIC]})
        simulation.partition(["n0"], names[1:])
        tx = _send(simulation, "n0", 3, 0)
        tx_hash = "0x" + tx.hash.hex()
        node = simulation.nodes["n0"]
        assert simulation.run_until(lambda: node.chain.transaction_location(tx.hash) is not None, 12_000)
        lost = simulation.rpc("n0", "eth_getTransactionReceipt", tx_hash)
        simulation.run_for(1_000)
        height = simulation.height("n0")
        assert simulation.run_until_height(height + 2, names=names[1:])
        simulation.heal()
        assert simulation.run_until(lambda: _one_head(simulation), 8_000)
        assert simulation.nodes["n1"].chain.block_by_hash(bytes.fromhex(lost["blockHash"][2:])) is None or (
            simulation.nodes["n1"].chain.canonical_hash(int(lost["blockNumber"], 16)).hex() != lost["blockHash"][2:]
        )
        assert simulation.run_until(
            lambda: all(one.chain.transaction_location(tx.hash) for one in simulation.nodes.values()), 8_000
        )
        again = simulation.rpc("n3", "eth_getTransactionReceipt", tx_hash)
        assert again["blockHash"] != lost["blockHash"]
        logs = simulation.rpc("n0", "eth_getFilterChanges", filter_id)
        told = [(log["removed"], log["blockHash"]) for log in logs if log["transactionHash"] == tx_hash]
        assert told == [(False, lost["blockHash"]), (True, lost["blockHash"]), (False, again["blockHash"])]
        found = simulation.rpc("n0", "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "topics": [TOPIC]})
        assert [log["blockHash"] for log in found] == [again["blockHash"]]
        assert simulation.run_until(lambda: min(_finalized(simulation)) > int(again["blockNumber"], 16), 12_000)
        assert _nobody_convicted(simulation)
        simulation.check_same_chains()


def test_halves_finalize_nothing_and_converge_when_healed() -> None:
    with _simulation(3) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(8)
        simulation.partition(["n0", "n1"], ["n2", "n3"])
        simulation.run_for(5_000)
        before = _finalized(simulation)
        simulation.run_for(20_000)
        assert _finalized(simulation) == before, "neither half has two thirds"
        assert len({node.chain.head.hash for node in simulation.nodes.values()}) == 2
        simulation.heal()
        simulation.run_for(12_000)
        assert min(_finalized(simulation)) > max(before) + 5
        assert simulation.run_until(lambda: _one_head(simulation), 1_000)
        assert _nobody_convicted(simulation)
        simulation.check_same_chains()


def test_a_node_that_dies_among_branches_comes_back_with_them() -> None:
    with _simulation(4) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(8)
        simulation.partition(["n0", "n1"], ["n2", "n3"])
        simulation.run_for(10_000)
        head = simulation.nodes["n0"].chain.head
        finalized = simulation.nodes["n0"].chain.finalized.number
        assert head.number > finalized + 5
        for name in ("n0", "n2"):
            simulation.cut_power(name)
        simulation.run_for(100)
        simulation.start("n0", "n2")
        assert simulation.run_until(lambda: "n0" in simulation.nodes, 1_000)
        chain = simulation.nodes["n0"].chain
        assert chain.canonical_hash(head.number) == head.hash
        assert len(chain.above_finalized()) >= head.number - finalized
        simulation.heal()
        simulation.run_for(15_000)
        assert simulation.run_until(lambda: _one_head(simulation), 1_000)
        assert min(_finalized(simulation)) > head.number
        assert _nobody_convicted(simulation)
        simulation.check_same_chains()


@pytest.mark.parametrize("seed", [5, 6])
def test_power_cuts_at_any_moment_never_make_a_key_contradict_itself(seed: int) -> None:
    with _simulation(seed) as simulation:
        simulation.start()
        simulation.traffic(per_second=5)
        for turn in range(16):
            simulation.run_for(1_130 + 97 * turn)
            name = simulation.names[turn % 4]
            simulation.cut_power(name)
            simulation.run_for(60)
            simulation.start(name)
        simulation.run_for(12_000)
        assert simulation.run_until(lambda: _one_head(simulation), 1_000)
        assert _nobody_convicted(simulation)
        assert min(_finalized(simulation)) >= 10
        simulation.check_same_chains()


def test_a_node_that_comes_late_catches_up_and_follows() -> None:
    with _simulation(7) as simulation:
        simulation.start("n0", "n1", "n2")
        simulation.traffic(per_second=5)
        assert simulation.run_until_height(70, timeout_ms=120_000, names=["n0", "n1", "n2"])
        simulation.start("n3")
        assert simulation.run_until(lambda: "n3" in simulation.nodes and _one_head(simulation), 10_000)
        simulation.run_for(10_000)
        assert min(_finalized(simulation)) > 70
        assert _nobody_convicted(simulation)
        simulation.check_same_chains()


def test_minutes_without_two_thirds_then_finality_returns() -> None:
    with _simulation(8) as simulation:
        simulation.start()
        assert simulation.run_until_height(6)
        simulation.crash("n2")
        simulation.crash("n3")
        simulation.run_for(120_000)
        stood = max(_finalized(simulation))
        simulation.start("n2", "n3")
        simulation.run_for(10_000)
        assert min(_finalized(simulation)) > stood + 50
        assert simulation.run_until(lambda: _one_head(simulation), 1_000)
        simulation.check_same_chains()
