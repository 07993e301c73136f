"""Other people's tools against our nodes: web3.py, and Foundry's cast where it is installed."""

import os
import shutil
import subprocess

import pytest

from network.load.contracts import bundled
from node.primitives.hexadecimal import to_data


@pytest.fixture(params=["n0", "n1", "n2", "n3"])
def url(cluster, request):
    return next(node["url"] for node in cluster.nodes if node["name"] == request.param)


def test_web3(cluster, url):
    web3 = pytest.importorskip("web3")
    w3 = web3.Web3(web3.HTTPProvider(url))
    assert w3.is_connected()
    assert w3.eth.chain_id == cluster.chain_id
    sender = w3.eth.account.from_key(cluster.accounts[3].private_key)
    artifact = bundled("DemoToken")
    factory = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)

    def send(built):
        signed = sender.sign_transaction(built)
        return w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed.raw_transaction), 30, 0.05)

    def fields():
        return {"from": sender.address, "nonce": w3.eth.get_transaction_count(sender.address, "pending")}

    deployed = send(factory.constructor(1000).build_transaction(fields()))
    assert deployed.status == 1
    token = w3.eth.contract(deployed.contractAddress, abi=artifact.abi)
    receiver = cluster.accounts[4].checksummed
    receipt = send(token.functions.transfer(receiver, 10).build_transaction(fields()))
    events = token.events.Transfer().process_receipt(receipt)
    assert (events[0].args["to"], events[0].args.value) == (receiver, 10)
    assert token.functions.balanceOf(receiver).call() == 10
    assert len(token.events.Transfer.get_logs(from_block=deployed.blockNumber)) == 2
    with pytest.raises(web3.exceptions.ContractLogicError):
        token.functions.transfer(receiver, 10**9).call({"from": sender.address})
    assert w3.eth.get_block("finalized").number >= receipt.blockNumber
    assert w3.eth.fee_history(4, "latest", [50])["baseFeePerGas"]


def cast_binary():
    found = os.environ.get("CAST") or shutil.which("cast")
    if not found:
        pytest.skip("cast is not installed (npm install @foundry-rs/cast-linux-amd64, then CAST=…/bin/cast)")
    return found


def test_cast(cluster, url):
    binary = cast_binary()

    def cast(*words):
        done = subprocess.run(
            [binary, *words],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "ETH_RPC_URL": url},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    key = to_data(cluster.accounts[5].private_key)
    assert cast("chain-id") == str(cluster.chain_id)
    created = cast("send", "--private-key", key, "--create", to_data(bundled("Counter").bytecode))
    assert "status" in created
    address = next(line.split()[1] for line in created.splitlines() if line.startswith("contractAddress"))
    cast("send", "--private-key", key, address, "setNumber(uint256)", "9")
    assert cast("call", address, "number()(uint256)").split()[0] == "9"
    assert int(cast("block", "finalized", "--field", "number")) > 0
    cast("send", "--private-key", key, "--value", "1ether", cluster.accounts[6].checksummed)
    assert int(cast("balance", cluster.accounts[6].checksummed)) >= 10_000 * 10**18
