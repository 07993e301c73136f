"""Real nodes: one loses its disk, joins by a state over narrow links, is killed in the middle, and is whole again."""

import time
import urllib.request

import pytest

from network.client import RpcError
from network.cluster.observer import compare
from network.cluster.readiness import wait_height, wait_until
from network.wallet import Fees, build, wait_included

FEES = Fees(10**11, 10**9)
SLOTS_A_CALL = 100
CALLS = 24
WRITES = bytes.fromhex("5f3580606401 5b 8160010182 55 9060010190 808210 600657 00".replace(" ", ""))
"""Stores i + 1 in slot i, for a hundred slots from calldata's first word on."""
NARROW = "40kB/s"

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(400)]


def _deploy(code):
    """Init code that returns ``code``."""
    return bytes.fromhex(f"60{len(code):02x}8060095f395ff3") + code


def _fill(cluster):
    """Thousands of slots and hundreds of accounts; the contract's address."""
    client, sender = cluster.clients[0], cluster.accounts[0]
    nonce = client.nonce(sender.address)
    created = client.send_raw(
        build(sender, cluster.chain_id, nonce, FEES, 300_000, None, data=_deploy(WRITES)).encode()
    )
    contract = bytes.fromhex(wait_included(client, created, 30).receipt["contractAddress"].removeprefix("0x"))
    sent = []
    for call in range(CALLS):
        data = (call * SLOTS_A_CALL).to_bytes(32, "big")
        sent.append(build(sender, cluster.chain_id, nonce + 1 + call, FEES, 2_600_000, contract, data=data))
    for index in range(400):
        to = bytes((1 + index // 256, index % 256)) * 10
        sent.append(build(sender, cluster.chain_id, nonce + 1 + CALLS + index, FEES, 21_000, to, 1 + index))
    hashes = [client.send_raw(tx.encode()) for tx in sent]
    for sent_hash in hashes[-1], hashes[CALLS - 1]:
        assert wait_included(client, sent_hash, 60).succeeded
    return contract


def _fetched(url):
    """Pieces of the state that a joining node has; -1 where it does not say so (any more)."""
    try:
        with urllib.request.urlopen(url + "/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
    except OSError:
        return -1
    return next((float(line.split()[-1]) for line in lines if line.startswith('evmesh_fast_sync{what="pieces"}')), -1)


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_a_lost_disk_is_filled_from_a_state_also_through_kill_9(shell, engine):
    cluster = shell.up("--consensus", engine, block_time=0.1 if engine == "bft" else 1)
    contract = _fill(cluster)
    n0, n3 = cluster.clients[0], cluster.clients[3]
    wait_height(n0, 75, 120, "finalized")
    assert cluster.run("link", "n3", "all", "--rate", NARROW)[0] == 0
    assert cluster.run("restart", "n3", "--lose-disk", "--sync", "fast", "--no-wait")[0] == 0
    wait_until(lambda: _fetched(n3.url) > 800, 60, "some of the state is there")
    assert n3.call("eth_syncing")["currentBlock"] == "0x0"
    assert n3.call("evmesh_status")["role"] == "joining"
    assert cluster.run("kill", "n3")[0] == 0
    assert cluster.run("link", "n3", "all", "--clear")[0] == 0
    began = time.monotonic()
    assert cluster.run("restart", "n3")[0] == 0
    took = time.monotonic() - began
    log = (cluster.run_dir / "n3" / "node.log").read_text("utf-8")
    fetched = [line for line in log.splitlines() if "state fetched" in line]
    assert len(fetched) == 1, f"{took:.1f} s\n{log[-3000:]}"
    facts = dict(word.split("=", 1) for word in fetched[0].split() if "=" in word)
    assert int(facts["on_disk_before"]) > 800
    assert int(facts["fetched"]) > 500

    # the same state: root, and every hundredth slot
    wait_until(lambda: compare(cluster.clients, [], "finalized").agree, 20, "all nodes agree")
    for slot in range(0, SLOTS_A_CALL * CALLS, 100):
        value = n3.call("eth_getStorageAt", "0x" + contract.hex(), hex(slot), "latest")
        assert int(value, 16) == slot + 1

    # what it does not have it does not make up
    lowest = int(n3.call("eth_getBlockByNumber", "finalized", False)["number"], 16)
    pivot = int(facts["height"])
    if pivot > 260:
        assert n3.call("eth_getBlockByNumber", "0x1", False) is None
    with pytest.raises(RpcError, match=r"historical state of block 1 is not available|header not found"):
        n3.balance(cluster.accounts[0].address, 1)
    assert n3.call("eth_getBlockByNumber", hex(pivot - 50), True) == n0.call(
        "eth_getBlockByNumber", hex(pivot - 50), True
    )
    assert n3.call("eth_getBlockReceipts", hex(pivot - 50)) == n0.call("eth_getBlockReceipts", hex(pivot - 50))

    # it votes: with another one gone, nothing is final without it
    wait_height(n3, lowest + 12, 60, "finalized")
    assert cluster.run("kill", "n1")[0] == 0
    height = n0.block_number()
    wait_height(n0, height + 8, 60, "finalized")
    assert cluster.run("restart", "n1")[0] == 0
    assert cluster.run("status")[0] == 0, "the judge is content"
    cluster.close()
    shell.run("down", cluster.name, "--remove", "--timeout", "3")
