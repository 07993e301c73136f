"""The first ten minutes of a user, on four real nodes."""

import json
import urllib.error
import urllib.request

import pytest

from network.cluster.observer import compare
from node.primitives.scalars import ETHER


@pytest.fixture(scope="module")
def counter(cluster):
    return cluster.json("deploy", "examples/Counter.json", "--from", "0", "--wait", "finalized")


def test_every_node_is_up_with_all_peers_and_one_chain(cluster):
    status = cluster.json("status")
    assert [node["state"] for node in status["nodes"]] == ["running"] * 4
    assert [node["peers"] for node in status["nodes"]] == [3] * 4
    assert len({node["pid"] for node in status["nodes"]}) == 4
    assert compare(cluster.clients, []).agree


def test_a_transfer_reaches_finality_on_every_node(cluster):
    before = [client.balance(cluster.accounts[8].address) for client in cluster.clients]
    sent = cluster.json("send", "--from", "0", "--to", "8", "--value", "1eth", "--node", "n2", "--wait", "finalized")
    assert set(sent["pending_on"]) <= {"n0", "n1", "n2", "n3"}
    assert "n2" in sent["pending_on"]
    assert sent["included_by"] in {"n0", "n1", "n2", "n3"}
    assert sent["receipt"]["status"] == "0x1"
    block = int(sent["receipt"]["blockNumber"], 16)
    for client, old in zip(cluster.clients, before, strict=True):
        from network.wallet import wait_finalized

        wait_finalized(client, block, 10)
        assert client.balance(cluster.accounts[8].address, "finalized") == old + ETHER


def test_words_of_a_transfer(cluster):
    code, out, err = cluster.run("send", "--from", "1", "--to", "2", "--value", "3gwei", "--wait")
    assert (code, err) == (0, "")
    for word in ("0x", "pending on", "included #", " by n", "finalized ("):
        assert word in out


def test_a_contract_by_name(cluster, counter):
    assert counter["name"] == "Counter"
    cluster.json("call", "Counter.setNumber", "41", "--from", "1", "--node", "n1")
    done = cluster.json("call", "Counter.increment", "--from", "0", "--node", "n3", "--wait", "finalized")
    assert done["receipt"]["status"] == "0x1"
    assert cluster.json("call", "Counter.number", "--node", "n3")["result"] == [42]
    address_form = f"{counter['address']}.number()(uint256)"
    assert cluster.run("call", address_form, "--node", "n3")[1] == "42\n"


def test_watching_compares_all_nodes(cluster, counter):
    seen = cluster.json("watch", "Counter.number", "--once")
    assert seen["agree"]
    assert len({node["state_root"] for node in seen["nodes"]}) == 1
    code, out, _ = cluster.run("watch", "Counter.number", "--once")
    assert code == 0
    assert "✔ all agree" in out


def test_a_revert_names_its_reason(cluster, counter):
    cluster.json("call", "Counter.setNumber", "7", "--from", "2")
    code, _, err = cluster.run("call", "Counter.setNumber", "7", "--from", "2")
    assert code == 1
    assert "execution reverted: Unchanged(number=7)" in err
    cluster.json("call", "Counter.reset", "--from", "2")
    code, out, _ = cluster.run("call", "Counter.reset", "--from", "2", "--json")
    assert code == 1
    assert json.loads(out)["error"]["reason"] == "Counter: already zero"
    code, _, err = cluster.run("call", "Counter.reset", "--from", "2", "--gas", "100000")
    assert code == 1
    assert "failed: execution reverted: Counter: already zero" in err, "sent anyway: its receipt says 0"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["send", "--to", "1", "--value", "99999999eth"], 1, "insufficient funds"),
        (["send", "--to", "1", "--nonce", "0"], 1, "nonce too low"),
        (["send", "--to", "77"], 2, "accounts are 0 to 9"),
        (["send", "--to", "0x12"], 2, "not an address"),
        (["send", "--to", "Countre"], 2, "deployed"),
        (["send", "--to", "1", "--node", "n9"], 2, "n0, n1, n2, n3"),
        (["call", "Nothing.at"], 2, "deployed: Counter"),
        (["call", "Counter.nubmer"], 2, "did you mean number"),
        (["call", "Counter"], 2, "Contract.function"),
        (["call", "Counter.setNumber", "many", "--from", "0"], 2, "not a number"),
        (["call", "0x00000000000000000000000000000000000000ff.f()(uint256)"], 2, "returned nothing"),
        (["kill", "n9"], 2, "n0, n1, n2, n3"),
        (["logs", "n9"], 2, "n0, n1, n2, n3"),
    ],
)
def test_refusals(cluster, counter, words, code, said):
    got, _, err = cluster.run(*words)
    assert got == code
    assert said in err


def test_logs_accounts_and_variables(cluster):
    code, out, _ = cluster.run("logs", "n1", "-n", "500")
    assert code == 0
    assert " n1 " in out
    accounts = cluster.json("accounts", "--keys")
    assert len(accounts) == 10
    assert accounts[0]["address"] == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert cluster.json("env", "--node", "n2")["ETH_RPC_URL"] == cluster.nodes[2]["url"]
    assert cluster.name in [one["name"] for one in cluster.shell.json("ls")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"5",
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"method":"no_such"}',
        b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12"]}',
        b'{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02c0"]}',
        b'{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x"]}',
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x' + b"f" * 5000 + b'",false]}',
    ],
    ids=range(12),
)
def test_malformed_bodies_get_an_error_and_harm_nobody(cluster, body):
    request = urllib.request.Request(cluster.nodes[0]["url"], body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.loads(response.read())
            status = 200
    except urllib.error.HTTPError as error:
        answer, status = {"error": error.reason}, error.code
    assert status < 500
    assert "error" in (answer[0] if isinstance(answer, list) else answer)
    assert cluster.clients[0].block_number() >= 0
