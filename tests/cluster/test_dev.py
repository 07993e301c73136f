"""A network for development: state cheats through any node, the same on all of them."""

from network.cluster.observer import compare
from network.cluster.readiness import wait_until

SOMEBODY = "0x" + "ab" * 20


def test_cheats_are_the_same_on_all_nodes_and_the_judge_lets_states_return(shell):
    cluster = shell.up("--dev", "--name", "cheats")
    try:
        assert cluster.started["consensus"] == "bft"
        first, last = cluster.clients[0], cluster.clients[3]
        assert first.call("eth_accounts") == [one.checksummed.lower() for one in cluster.accounts]
        mark = first.call("evm_snapshot")
        for nonce, client in enumerate(cluster.clients, 1):
            assert client.call("anvil_setBalance", SOMEBODY, hex(nonce))
            wait_until(lambda n=nonce: last.call("eth_getBalance", SOMEBODY, "latest") == hex(n), 10, "the cheat")
        assert last.call("hardhat_impersonateAccount", SOMEBODY)
        sent = last.call("eth_sendTransaction", {"from": SOMEBODY, "to": "0x" + "cd" * 20, "value": "0x1"})
        wait_until(lambda: first.call("eth_getTransactionReceipt", sent) is not None, 10, "inclusion")
        assert first.call("evm_increaseTime", 3600) == "0xe10"
        before = int(first.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        first.call("evm_mine")
        assert int(first.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16) >= before + 3590
        assert last.call("evm_revert", mark)
        wait_until(lambda: first.call("eth_getBalance", SOMEBODY, "latest") == "0x0", 10, "the state to return")
        # several orders at once, from different nodes
        assert first.call("anvil_mine", 3)
        assert compare(cluster.clients, [], "finalized").agree
        assert cluster.json("status")["nodes"]
    finally:
        cluster.close()
        code, out, err = shell.run("down", cluster.name, "--remove", "--timeout", "3")
    assert code == 0, f"{out}\n{err}"
