"""Nodes that die: the others go on, a quorum is a quorum, and nothing that was acknowledged is lost."""

import time

from network.cluster.observer import compare
from network.cluster.readiness import wait_height, wait_until
from network.wallet import Fees, build, wait_included

FEES = Fees(10**11, 10**9)


def test_kill_9_during_load(own_cluster, load_on):
    cluster = own_cluster
    with load_on(cluster, ("n0", "n1", "n2")) as load:
        wait_height(cluster.clients[0], 3, 20)
        cluster.json("kill", "n3")
        height = cluster.clients[0].block_number()
        wait_height(cluster.clients[0], height + 6, 30, "finalized")
        states = {node["name"]: node["state"] for node in cluster.json("status")["nodes"]}
        assert states == {"n0": "running", "n1": "running", "n2": "running", "n3": "stopped"}
        again = cluster.json("restart", "n3")
        assert again["head"] > height
    assert load.refused == []
    for transaction in load.acknowledged:
        assert wait_included(cluster.clients[0], transaction, 30).succeeded
    last = cluster.clients[0].block_number()
    wait_height(cluster.clients[3], last, 30, "finalized")
    comparison = compare(cluster.clients, [], "finalized")
    assert comparison.agree
    assert comparison.height >= last


def test_a_node_that_dies_and_its_database_survive_any_number_of_kills(own_cluster, load_on):
    cluster = own_cluster
    with load_on(cluster, ("n0", "n1", "n2"), pause=0.05):
        for _ in range(3):
            cluster.json("kill", "n3")
            cluster.json("restart", "n3")
    wait_until(lambda: compare(cluster.clients, []).height > 0, 10, "heights")
    assert compare(cluster.clients, []).agree


def test_two_of_four_down_decide_nothing_and_go_on_when_they_return(own_cluster):
    cluster = own_cluster
    wait_height(cluster.clients[0], 2, 20)
    for name in ("n2", "n3"):
        cluster.json("kill", name)
    time.sleep(2 * cluster.block_seconds)  # what had its votes already may still be decided
    stuck = [client.block_number() for client in cluster.clients[:2]]
    time.sleep(8 * cluster.block_seconds)
    assert [client.block_number() for client in cluster.clients[:2]] == stuck
    raw = build(cluster.accounts[0], cluster.chain_id, 0, FEES, 21_000, cluster.accounts[1].address, 1).encode()
    transaction = cluster.clients[0].send_raw(raw)
    for name in ("n2", "n3"):
        cluster.json("restart", name, "--no-wait")
    wait_height(cluster.clients[0], max(stuck) + 2, 30)
    assert wait_included(cluster.clients[0], transaction, 30).succeeded
    wait_height(cluster.clients[3], max(stuck) + 2, 30)
    assert compare(cluster.clients, []).agree


def test_a_frozen_node_catches_up(own_cluster):
    cluster = own_cluster
    cluster.json("pause", "n1")
    height = cluster.clients[0].block_number()
    wait_height(cluster.clients[0], height + 5, 40)
    assert cluster.json("status")["nodes"][1]["state"] == "paused"
    cluster.json("resume", "n1")
    wait_height(cluster.clients[1], height + 5, 40)
    assert compare(cluster.clients, []).agree
