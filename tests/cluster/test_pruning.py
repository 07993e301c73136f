"""Nodes with a short state history are killed again and again, with a load on them: nothing that is kept is missing."""

import pytest

from network.client import RpcError
from network.cluster.readiness import wait_height

pytestmark = pytest.mark.campaign


def test_killed_while_they_prune(shell, load_on):
    cluster = shell.up("--state-history", "6")
    with load_on(cluster, ["n0", "n1"], pause=0.01) as load:
        for _ in range(2):
            height = cluster.clients[0].block_number() + 6
            for node in ("n2", "n3"):
                wait_height(cluster.clients[0], height, 60)
                assert cluster.run("kill", node)[0] == 0
                assert cluster.run("restart", node)[0] == 0
    load.check_nothing_lost()
    first, last = 1, cluster.clients[0].block_number("finalized")
    assert last > 12 + 6
    account = cluster.accounts[0].address
    for client in cluster.clients:
        assert client.balance(account, last) > 0
        with pytest.raises(RpcError, match="historical state of block 1 is not available"):
            client.balance(account, first)
        assert client.block(first)["number"] == "0x1"
    cluster.close()
