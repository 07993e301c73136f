"""The validator set of real nodes changes by transaction, sent as a user would send it."""

from network.cluster.readiness import wait_height, wait_until

CONTRACT = "0x00000000000000000000000000000000005e7000"


def test_a_validator_leaves_and_comes_back_by_transaction(shell):
    cluster = shell.up("--consensus", "bft")
    first = cluster.clients[0]
    listed = [one["address"] for one in first.call("evmesh_validators")]
    assert len(listed) == 4
    for weight in (0, 1):
        cluster.json("call", f"{CONTRACT}.setValidator(address,uint256)", listed[2], str(weight), "--from", "0")

        def changed(weight=weight):
            return len(first.call("evmesh_validators")) == 3 + weight

        wait_until(changed, 20, "the set changes")
        wait_height(first, first.block_number() + 3, 20, "finalized")
    code, _, err = cluster.run("call", f"{CONTRACT}.setValidator(address,uint256)", listed[2], "0", "--from", "1")
    assert code != 0
    assert err
    cluster.close()
