"""The main job's judgement, the status table's, and what is printed of them."""

import pytest

from network import demo
from network.accounts import derive_accounts, seed_of
from network.cli.banner import banner
from network.cli.inspection import _stamp
from network.cli.output import plain_table, seconds, shorten
from network.cli.status_table import conflicts
from network.client import NodeClient
from network.cluster.observer import Comparison, NodeStatus, Reading
from network.failures import Failure

WORD = (5).to_bytes(32, "big")
GOOD = "ERC20InsufficientBalance(sender=0x…, balance=1, needed=2)"


def reading(name, block_hash="0xaa", root="0xbb", supply=WORD, balance=WORD, problem=None):
    if problem:
        return Reading(name, None, None, None, (), problem)
    return Reading(name, 9, block_hash, root, (supply, balance))


def judged(readings, reasons=None):
    comparison = Comparison(9, tuple(readings))
    rows = tuple(demo._row(one, comparison) for one in readings)
    return rows, demo._differences(rows, comparison, reasons or [GOOD] * len(rows))


def test_equal_nodes_have_no_differences():
    rows, differences = judged([reading(f"n{index}") for index in range(4)])
    assert differences == []
    assert all(row.equal and row.total_supply == 5 for row in rows)


@pytest.mark.parametrize(
    ("odd", "fields"),
    [
        ({"block_hash": "0xcc"}, "block_hash"),
        ({"root": "0xcc"}, "state_root"),
        ({"supply": bytes(32)}, "total_supply"),
        ({"balance": bytes(32), "root": "0xcc"}, "state_root, balance"),
    ],
)
def test_the_one_that_differs_is_named_with_its_fields(odd, fields):
    rows, differences = judged([reading("n0"), reading("n1"), reading("n2", **odd), reading("n3")])
    assert [row.equal for row in rows] == [True, True, False, True]
    assert differences == [f"n2 differs at block #9 in {fields}"]


def test_a_silent_node_is_a_difference():
    rows, differences = judged([reading("n0"), reading("n1", problem="n1 does not answer")])
    assert not rows[1].equal
    assert differences == ["n1: n1 does not answer"]


def test_revert_reasons_must_be_right_and_equal():
    nodes = [reading("n0"), reading("n1")]
    assert "did not revert" in judged(nodes, ["did not revert"] * 2)[1][0]
    assert judged([*nodes, reading("n2")], [GOOD, GOOD, "other"])[1] == ["n2: the reverting call answered 'other'"]


def test_the_job_needs_two_accounts():
    with pytest.raises(Failure, match="two funded accounts"):
        demo.MainJob([NodeClient("http://127.0.0.1:9")], [], 1, print)


def test_conflicting_final_blocks_are_said_in_words():
    def status(name, final, block_hash, head_hash="0xcc"):
        return NodeStatus(name, "validator", "http://x", 1, "running", 3, 9, head_hash, "0xbb", final, block_hash)

    assert conflicts([status("n0", 5, "0xaa"), status("n1", 6, "0xbb"), status("n2", 5, "0xaa")]) == []
    assert conflicts([status("n0", 5, "0xaa"), status("n1", 5, "0xbb")]) == ["block #5: n0 have 0xaa but n1 have 0xbb"]
    assert conflicts([status("n0", 5, "0xaa", "0xcc"), status("n1", 5, "0xaa", "0xdd")]) == [], "branches of pos"


def test_tables_are_aligned():
    assert plain_table(["a", "long"], [["1", "2"], ["333", "4"]], "note") == ["a    long", "1    2", "333  4  note"]


def test_small_words():
    assert shorten("0x91c4" + "0" * 58 + "d2ff") == "0x91c4…d2ff"
    assert shorten("0x12") == "0x12"
    assert [seconds(value) for value in (0.012, 0.21, 1.94)] == ["12 ms", "0.21 s", "1.9 s"]
    assert _stamp('{"ts":1764037035245,"level":"info"}') == "1764037035245"
    assert _stamp("02:17:15.245 INFO n0 x") == "02:17:15.245"


def test_the_banner_has_what_tools_scrape(make_run):
    network = make_run().network()
    accounts = derive_accounts(seed_of(network.mnemonic), 1)
    text = banner(network, accounts, {accounts[0].address: 10**18})
    assert "(0) 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 (1.000000000000000000 ETH)" in text
    assert "(0) 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80" in text
    assert "WARNING: these keys are public" in text
    assert "Chain ID\n==================\n\n31337" in text
