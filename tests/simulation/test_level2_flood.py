"""Whole nodes under virtual time: one floods another, which keeps its round trip with the rest, and its pace."""

import random

import pytest

from network.simulator.blueprint import make_blueprint
from network.simulator.simulation import Simulation
from node.consensus.driver import LARGE_TOPIC, SMALL_TOPIC

BURST_MS = 10
SMALL_A_BURST = 30
"""Three thousand a second: below what p2p takes from one peer, so consensus has to refuse them itself."""
LARGE_BYTES = 400_000
BURSTS_A_LARGE = 20


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_a_flood_from_one_peer_does_not_slow_the_others(engine):
    chance = random.Random(f"flood {engine}")
    with Simulation(seed=7, blueprint=make_blueprint(7, 4, engine=engine)) as simulation:
        simulation.start()
        assert simulation.run_until_height(3)
        liar, victim = simulation.nodes["n3"], simulation.nodes["n0"]
        before = {name: simulation.height(name) for name in simulation.names}
        began_ms = simulation.now_ms
        target = victim.switch.node_id
        bursts = 0
        while simulation.now_ms < began_ms + 8000:
            for _ in range(SMALL_A_BURST):
                liar.switch.send(target, SMALL_TOPIC, chance.randbytes(120))
            if bursts % BURSTS_A_LARGE == 0:
                liar.switch.send(target, LARGE_TOPIC, chance.randbytes(LARGE_BYTES))
            bursts += 1
            simulation.run_for(BURST_MS)
        for name in simulation.names:
            assert simulation.height(name) >= before[name] + 7, f"{name} fell behind"
        peers = {peer.node_id: peer for peer in victim.switch.peers()}
        for name in ("n1", "n2"):
            peer = peers[simulation.nodes[name].switch.node_id]
            assert peer.rtt_ms is not None
            assert peer.rtt_ms < 100, f"round trip with {name}: {peer.rtt_ms} ms"
            assert peer.score >= 0
        assert peers[liar.switch.node_id].score < -100, "named by the operator, so never banned, but marked"
        counts = victim.driver.inspect()["refusedMessages"]
        assert counts["muted"] > 100 * counts["malformed"], counts
        simulation.check_same_chains()
