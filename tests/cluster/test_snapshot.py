"""A running network saved, loaded beside itself, and continued: both go on from the same block."""

import pytest

from network.cluster.observer import clients_of
from network.cluster.readiness import wait_height, wait_until
from network.cluster.run_directory import RunDirectory
from network.cluster.supervisor import Supervisor

pytestmark = pytest.mark.campaign


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_a_network_goes_on_from_a_snapshot(shell, engine):
    words = ("--consensus", engine) + (() if engine == "bft" else ("--block-time", "1"))
    first = shell.up(*words)
    first.json("deploy", "Counter")
    first.json("call", "Counter.increment", "--wait", "finalized")
    file = shell.state / f"{engine}.evmesh"
    saved = first.json("snapshot", "save", str(file))
    heads = {head["number"] for head in saved["heads"].values()}
    second = shell.json("snapshot", "load", str(file), "--port", "0", "--p2p-port", "0")
    name = second["name"]
    assert shell.run("up", "-d", "--resume", "--name", name)[0] == 0
    shell.json("call", "Counter.increment", "--network", name, "--wait", "finalized")
    told = shell.json("watch", "Counter.number", "--once", "--network", name)
    assert {node["values"][0] for node in told["nodes"]} == {2}
    told = shell.json("watch", "Counter.number", "--once", "--network", first.name)
    assert {node["values"][0] for node in told["nodes"]} == {1}
    copies = clients_of(RunDirectory(shell.state / "evmesh" / name).network())
    one, other = first.clients[0], copies[1]
    assert one.block(min(heads))["hash"] == other.block(min(heads))["hash"]
    # nobody has contradicted what it had signed before
    for copy in copies:
        assert not copy.call("evmesh_consensus").get("evidence")
    wait_height(one, max(heads) + 2, 30)
    wait_until(lambda: other.block_number("finalized") > max(heads), 30, "the copy finalizes")
    first.close()
    for copy in copies:
        copy.close()
    for run in (first.name, name):
        Supervisor(RunDirectory(shell.state / "evmesh" / run)).stop()
