"""Engine pos on real processes: finality that lags, kills, several keys a node, a late start."""

import time

from network.cluster.observer import compare
from network.cluster.readiness import wait_height, wait_until
from network.wallet import wait_included

MANIFEST = """
[network]
consensus = "pos"
nodes = 4

[node.n0]
keys = 3

[node.n3]
validator = false
"""


def _finalized(cluster, index=0):
    return cluster.clients[index].block_number("finalized")


def test_a_network_with_several_keys_a_node_finalizes_through_kills(shell, load_on):
    (shell.state / "pos.toml").write_text(MANIFEST)
    cluster = shell.up("--config", "pos.toml", "--name", "several", block_time=1)
    try:
        told = cluster.clients[0].call("evmesh_consensus")
        assert told["engine"] == "pos"
        assert len(told["keys"]) == 3
        assert len(told["validators"]) == 5
        assert cluster.clients[3].call("evmesh_status")["role"] == "follower"
        with load_on(cluster, ("n0", "n1", "n3"), pause=0.1) as load:
            # four of five votes are enough for finality
            wait_until(lambda: _finalized(cluster) >= 2, 20, "finality")
            cluster.json("kill", "n2")
            at = _finalized(cluster)
            wait_until(lambda: _finalized(cluster) >= at + 4, 20, "finality without n2")
            again = cluster.json("restart", "n2")
            assert again["head"] >= at
        assert load.refused == []
        for transaction in load.acknowledged:
            assert wait_included(cluster.clients[0], transaction, 30).succeeded
        last = cluster.clients[0].block_number()
        for client in cluster.clients:
            wait_height(client, last, 30, "finalized")
        comparison = compare(cluster.clients, [], "finalized")
        assert comparison.agree
        assert comparison.height >= last
        assert all(client.call("evmesh_consensus")["evidence"] == [] for client in cluster.clients)
        # a killed node had said what is final; it still says so
        assert _finalized(cluster, 2) >= at + 4
    finally:
        cluster.close()
        shell.run("down", cluster.name, "--remove", "--timeout", "3")


def test_all_stop_and_go_on_later(shell):
    cluster = shell.up("--name", "later", block_time=1)
    try:
        assert cluster.started["consensus"] == "pos"
        sent = cluster.json("send", "--from", "0", "--to", "1", "--value", "1eth", "--wait", "finalized")
        assert sent["finalized_seconds"] < 20
        height = cluster.clients[0].block_number()
        final = _finalized(cluster)
        shell.json("down", cluster.name)
        time.sleep(3)
        shell.json("up", "--resume", "--name", cluster.name, "-d")
        wait_until(lambda: _finalized(cluster) > height, 30, "finality after the pause")
        assert _finalized(cluster) > final
        assert compare(cluster.clients, [], "finalized").agree
    finally:
        cluster.close()
        shell.run("down", cluster.name, "--remove", "--timeout", "3")
