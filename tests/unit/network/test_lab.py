"""Networks as objects, under virtual time: the verbs, what they refuse, and that a seed is one run."""

import asyncio
import sys

import pytest

from network.evmesh import Network, start
from network.failures import BadInput, Disagreement, Failure, TimedOut
from network.faults.link_faults import partitions
from network.invariants import Invariant, InvariantViolated
from network.lab.compose import compose_document, sides_of
from network.manifest import Manifest
from node.primitives.scalars import ETHER


@pytest.fixture
def net():
    with Network(on="simulator", seed=5) as one:
        yield one


def test_a_transaction_of_one_side_comes_to_the_other(net):
    left, right = net.split([0, 1], [2, 3])
    assert [node.name for node in right] == ["n2", "n3"]
    sent = net.send(0, 9, ETHER, node="n0")
    with pytest.raises(TimedOut):
        net.wait_finalized(sent, left, seconds=5)  # two of four decide nothing
    assert right[0].rpc("eth_getTransactionByHash", sent) is None
    net.heal()
    net.wait_finalized(sent)
    assert net.same_state()
    assert [node.balance(9) for node in net.nodes] == [10_001 * ETHER] * 4


def test_under_pos_two_sides_have_two_states():
    with Network(on="simulator", seed=2, consensus="pos") as net:
        net.split([0, 1], [2, 3])
        one, other = net.send(0, 1, 1, node=0), net.send(1, 2, 1, node=2)
        net.wait_included(one, 0)
        net.wait_included(other, 2)
        assert not net.same_state(seconds=0)
        net.heal()
        net.wait_finalized(one)
        net.wait_finalized(other)
        assert net.same_state(tag="finalized")


def test_nodes_die_and_come_back(net):
    net.kill(3)
    assert [node.name for node in net.running] == ["n0", "n1", "n2"]
    with pytest.raises(Failure, match="n3 is not running"):
        net.kill("n3")
    with pytest.raises(Failure, match="n3 does not answer"):
        net[3].block_number()
    head = net.wait_blocks(3)
    net.restart(3)
    assert net[3].block_number() >= head
    net.pause("n1")
    net.wait_blocks(1)
    net.resume("n1")
    assert len(net.running) == 4
    assert net.same_state()


def test_a_liar_is_convicted_and_truth_returns(net):
    net.byz("n2", "equivocate")
    liar = net.simulation.blueprint.nodes[2]
    assert liar.validator_key is not None

    def convicted():
        return all(net.simulation.nodes[name].driver.inspect()["evidence"] for name in ("n0", "n1", "n3"))

    net.wait_until(convicted, 60, "evidence")
    net.honest(2)
    assert net.same_state()
    with pytest.raises(BadInput, match="no lie called 'politics'"):
        net.byz(1, "politics")


def test_contracts_and_faults_by_name(net):
    counter = net.deploy("Counter", node=1)
    delay = net.fault("delay", 0, 1, delay_ms=50)
    net.wait_included(counter.send("increment", sender=3, node=2))
    net.end(delay)
    net.wait_finalized()
    assert [counter.read("number", node=node) for node in net.nodes] == [1] * 4
    token = net.deploy("DemoToken", 1000)
    with pytest.raises(Failure, match="ERC20InsufficientBalance"):
        token.send("transfer", net.accounts[1].address, 5, sender=2)
    with pytest.raises(BadInput, match="delay has no 'delay'"):
        net.fault("delay", 0, delay=5)


def test_web3_signs_and_waits(net):
    web3 = net[1].w3
    sent = web3.eth.send_transaction({"to": web3.to_checksum_address(net.accounts[4].address), "value": 7})
    receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=30, poll_latency=0.001)
    assert receipt.status == 1
    artifact = net.deploy("Counter")
    contract = web3.eth.contract(address=web3.to_checksum_address(artifact.address), abi=artifact.artifact.abi)
    net.wait_included(web3.to_hex(contract.functions.increment().transact()))
    assert net.same_state()
    assert contract.functions.number().call() == 1


def test_a_node_under_virtual_time_has_no_address(net):
    with pytest.raises(Failure, match="has no address"):
        net[0].url  # noqa: B018


def test_without_web3_there_is_a_word_about_it(net, monkeypatch):
    monkeypatch.setitem(sys.modules, "web3", None)
    with pytest.raises(Failure, match="cannot be imported") as caught:
        net[2].w3  # noqa: B018
    assert "pip install" in caught.value.hint


def test_what_no_network_can_be():
    with pytest.raises(BadInput, match="has no gas_limit"):
        start("simulator", gas_limit=1)
    with pytest.raises(BadInput, match="cannot run on 'moon'"):
        start("moon")
    with Network(on="simulator") as net:
        with pytest.raises(BadInput, match="in two groups"):
            net.split([0, 1], [1, 2])
        with pytest.raises(BadInput, match="two groups or more"):
            net.split([0, 1, 2, 3])
        with pytest.raises(BadInput, match="there is no node 'n9'"):
            net.kill("n9")


def test_containers_need_an_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match="no docker command"):
        start("compose")


def test_the_compose_file_of_a_network(tmp_path):
    manifest = Manifest().with_values({"nodes": 3}, "test")
    document = compose_document(manifest, tmp_path, "evmesh:1", (7001, 7002, 7003))
    assert list(document["services"]) == ["n0", "n1", "n2"]
    told = document["services"]["n1"]
    assert told["ports"] == ["127.0.0.1:7002:8545"], "on loopback"
    assert told["networks"]["peers"]["aliases"] == ["n1"]
    assert told["volumes"] == [f"{tmp_path}/n1:/data"], "a node sees its own keys"
    assert document["networks"]["peers"] == {"internal": True}


def test_who_is_together_after_cuts():
    names = ["n0", "n1", "n2", "n3", "n4"]
    assert sides_of(names, partitions([["n0", "n3"], ["n1", "n2", "n4"]])) == [["n0", "n3"], ["n1", "n2", "n4"]]
    assert sides_of(names, partitions([["n2"], ["n0"], ["n1", "n3", "n4"]])) == [["n0"], ["n1", "n3", "n4"], ["n2"]]
    assert sides_of(names, []) == [names]


def story(seed):
    with Network(on="simulator", seed=seed) as net:
        net.send(0, 1, 5)
        net.kill(2)
        net.wait_blocks(2)
        net.restart(2)
        net.wait_finalized()
        return net.trace_hash


def test_a_seed_is_one_run():
    assert story(1) == story(1)
    assert story(1) != story(2)


def test_a_broken_promise_is_told(net):
    net.simulation.world.fail(InvariantViolated(Invariant.AGREEMENT, "n0 and n1 differ"))
    with pytest.raises(Disagreement, match="n0 and n1 differ") as caught:
        net.wait_blocks(3)
    assert "seed 5" in caught.value.hint


def test_the_same_verbs_awaited():
    async def story():
        async with Network(on="simulator", seed=3) as net:
            counter = await net.deploy("Counter")
            await net.wait_included(await counter.send("increment"))
            await net.kill(1)
            await net.restart(1)
            assert await net.same_state()
            assert len(net) == 4
            assert await net.rpc("n1", "eth_chainId") == "0x7a69"
            return await counter.read("number", node=3)

    assert asyncio.run(story()) == 1
