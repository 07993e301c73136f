"""The first ten minutes of a user, in the order in which they happen, through the command line as it is typed."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from network.cluster.readiness import wait_height, wait_until
from network.wallet import build
from tests.cluster.conftest import FEES, ROOT, Cluster

pytestmark = pytest.mark.timeout(400)

APP_TEST = """
def test_double_spend(evmesh):
    left, right = evmesh.split([0, 1], [2, 3])
    evmesh.heal()
    evmesh.wait_finalized(2)
    assert evmesh.same_state()
"""


def test_the_walk(shell, tmp_path):
    shell.environment["COLUMNS"] = "200"
    code, out, err = shell.run("up", "-d", "--port", "0", "--p2p-port", "0", "--name", "walk")
    assert code == 0, err
    assert_banner(out)
    started = shell.json("status", "--network", "walk")
    network = json.loads((shell.state / "evmesh" / "walk" / "network.json").read_text())
    cluster = Cluster(shell, cluster_facts(shell, started, network))
    try:
        the_main_job(cluster)
        a_split(cluster)
        height = a_kill_a_lie_and_a_bug(cluster)
        a_test_of_ones_own(shell, tmp_path)
        code, out, err = shell.run("down", "walk")
        assert code == 0, err
        code, out, err = shell.run("up", "-d", "--resume")
        assert code == 0, err
        again = shell.json("status", "--network", "walk")
        assert min(node["head"] for node in again["nodes"]) >= height
    finally:
        cluster.close()


def assert_banner(out):
    assert "Never send real funds" in out or "never send real funds" in out.lower()
    assert re.search(r"^n0 +validator +http://127.0.0.1:\d+", out, re.M), out
    assert re.search(r"^Listening on 127.0.0.1:\d+$", out, re.M), out


def cluster_facts(shell, status, network):
    return {
        "name": "walk",
        "chain_id": network["chain_id"],
        "nodes": [{"url": f"http://127.0.0.1:{node['http_port']}", "name": node["name"]} for node in network["nodes"]],
        "mnemonic": network["mnemonic"],
        "accounts": list(range(network["accounts"])),
        "run_dir": str(shell.state / "evmesh" / "walk"),
        "block_time_ms": network["block_time_ms"],
    }


def typed(cluster, *words):
    """What the command prints; it must succeed."""
    code, out, err = cluster.run(*words)
    assert code == 0, f"evmesh {' '.join(words)}: {err}{out}"
    return out


def the_main_job(cluster):
    if shutil.which("cast"):
        url = cluster.nodes[2]["url"]
        said = subprocess.run(["cast", "chain-id", "--rpc-url", url], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == "31337"
    assert cluster.clients[2].call("eth_chainId") == "0x7a69"
    out = typed(cluster, "send", "--from", "0", "--to", "1", "--value", "1eth", "--node", "n0", "--wait", "finalized")
    assert re.search(r"pending on n0,n1,n2,n3 \(.*\)  included #\d+ by n\d \(.*\)  finalized \(.*\)", out), out
    assert "Counter at 0x" in typed(cluster, "deploy", "examples/Counter.json", "--from", "0")
    typed(cluster, "call", "Counter.increment", "--from", "0", "--wait", "finalized")
    out = typed(cluster, "watch", "Counter.number", "--once")
    rows = [line.split() for line in out.splitlines() if re.match(r"n\d ", line)]
    assert [row[2] for row in rows] == ["1"] * 4, out
    assert "✔ all agree" in out


def a_split(cluster):
    """Two payments of one nonce, one on each side: after healing one is gone, and is named."""
    out = typed(cluster, "partition", "n0,n1", "/", "n2,n3")
    assert "split: {n0,n1} | {n2,n3}   quorum 3 of 4: neither side can finalize" in out
    sender = cluster.accounts[3]
    spent = []
    for client, receiver in ((cluster.clients[0], 1), (cluster.clients[2], 2)):
        to = cluster.accounts[receiver].address
        spent.append(client.send_raw(build(sender, cluster.chain_id, 0, FEES, 21_000, to, 5 * 10**18).encode()))
    for client, one in zip((cluster.clients[0], cluster.clients[2]), spent, strict=True):
        wait_until(lambda client=client, one=one: client.receipt(one) is not None, 60, "each side includes its own")
    wait_until(lambda: "◀ head of n2 and n3" in typed(cluster, "tree"), 30, "two branches")
    wait_until(lambda: not cluster.json("why", "not-finalized")["well"], 60, "finality stops")
    said = typed(cluster, "why", "not-finalized")
    assert re.search(r"Finality stopped at #\d+ .*too few votes", said), said
    assert "partition {n0,n1} | {n2,n3} since" in said
    healed = typed(cluster, "heal")
    assert re.search(r"^reorg on (n0 and n1|n2 and n3): depth \d+, from #\d+ on$", healed, re.M), healed
    assert re.search(r"^finalized #\d+ on all nodes \(.*\)$", healed, re.M), healed
    gone = re.findall(r"^dropped: (0x[0-9a-f]{64}) \(nonce reused\)$", healed, re.M)
    assert len(gone) == 1, healed
    assert gone[0] in ["0x" + bytes(one).hex() if isinstance(one, bytes) else one for one in spent]


def a_kill_a_lie_and_a_bug(cluster):
    typed(cluster, "kill", "n3")
    assert "caught up" in typed(cluster, "restart", "n3")
    out = typed(cluster, "byz", "n2", "equivocate", "--wait", "60")
    assert "n0, n1 and n3" in out or "n0,n1,n3" in out, out
    typed(cluster, "restart", "n1", "--mutate", "sstore-gas-off-by-one")
    typed(cluster, "deploy", "examples/Counter.json", "--from", "0")
    done = cluster.json("call", "Counter.increment", "--from", "0", "--wait", "included")
    wait_until(lambda: parted_over(cluster, done["hash"]), 60, "n1 refuses the block")
    code, out, err = cluster.run("bisect", "n0", "n1")
    assert code == 3, err + out
    assert "instruction  SSTORE at pc" in out
    assert "→ different execution" in out
    typed(cluster, "restart", "n1")
    height = cluster.clients[0].block_number()
    for client in (cluster.clients[0], cluster.clients[1], cluster.clients[3]):
        wait_height(client, height, 90, "finalized")
    return height


def parted_over(cluster, transaction):
    """Whether n0 has it in a block that n1 does not have."""
    receipt = cluster.clients[0].receipt(transaction)
    return receipt is not None and cluster.clients[1].call("eth_getBlockByHash", receipt["blockHash"], False) is None


def a_test_of_ones_own(shell, folder):
    (folder / "test_app.py").write_text(APP_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "test_app.py")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**shell.environment, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
