"""What is said after healing: which blocks went, on which nodes, and which transactions with them."""

import pytest

from network.cluster.aftermath import Branch, branches, fork_of, outcome, settled, transactions_of
from network.failures import Failure, TimedOut


class Told:
    """A node that answers from a chain that the test sets."""

    def __init__(self, name, hashes, finalized=0):
        self.name = name
        self.hashes = hashes
        self.finalized = finalized
        self.included = set()
        self.nonces = {}
        self.pooled = set()
        self.down = False

    def block_number(self, tag="latest"):
        if self.down:
            raise Failure("no answer")
        return self.finalized

    def nonce(self, address, tag):
        return self.nonces.get(address, 0)

    def call(self, method, *parameters):
        if self.down:
            raise Failure("no answer")
        if method == "evmesh_stateRoots":
            return [{"number": hex(number), "hash": one} for number, one in enumerate(self.hashes)]
        if method == "eth_getBlockByHash":
            return {"transactions": [transaction(f"tx-{parameters[0]}")]}
        if method == "eth_getTransactionReceipt":
            return {} if parameters[0] in self.included else None
        assert method == "eth_getTransactionByHash"
        return {} if parameters[0] in self.pooled else None


def transaction(name, nonce=0):
    return {"hash": name, "from": "0x" + "11" * 20, "nonce": hex(nonce)}


SENDER = bytes.fromhex("11" * 20)


def test_a_split_ends_with_what_each_side_lost():
    left, right = Told("n0", ["g", "a", "b1", "b2"]), Told("n1", ["g", "a", "c1", "c2", "c3"])
    nodes = [left, Told("nx", ["g"]), right]
    nodes[1].down = True
    told = branches(nodes)
    assert [branch.name for branch in told] == ["n0", "n1"]
    assert fork_of(told) == 1
    transactions = transactions_of(nodes, told, 1)
    assert sorted(transactions) == ["b1", "b2", "c1", "c2", "c3"]
    left.hashes = right.hashes = ["g", "a", "c1", "c2", "c3", "d"]
    left.finalized = right.finalized = 4
    left.included = {"tx-b1"}
    left.nonces = {SENDER: 1}
    asked = [left, right]
    assert settled(asked, 1, 0) == 4
    after = outcome(asked, told, transactions, 4, 1.5)
    ((loss),) = after.losses
    assert (loss.nodes, loss.depth, loss.fork_number, loss.dropped) == (("n0",), 2, 1, ("b1", "b2"))
    assert after.gone == (("tx-b2", "nonce reused"),)
    left.nonces = {}
    left.pooled = {"tx-b2"}
    assert outcome(asked, told, transactions, 4, 1.5).gone == (("tx-b2", "pending again"),)
    left.pooled = set()
    document = outcome(asked, told, transactions, 4, 1.5).to_json()
    assert document["gone"] == [{"hash": "tx-b2", "why": "in no pool"}]
    assert document["losses"][0]["depth"] == 2


def test_a_node_that_is_merely_behind_is_no_split():
    assert fork_of([Branch("n0", {3: "c", 4: "d"}), Branch("n1", {2: "b", 3: "c"})]) is None
    assert fork_of([]) is None
    assert fork_of([Branch("n0", {3: "c"})]) is None
    assert fork_of([Branch("n0", {3: "c", 4: "x"}), Branch("n1", {3: "z", 4: "y"})]) == 2


def test_waiting_for_finality_ends():
    with pytest.raises(TimedOut):
        settled([Told("n0", ["g"])], 0, 0)
