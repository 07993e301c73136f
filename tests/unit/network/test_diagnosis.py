"""Answers to why a chain stands still, from reports written by hand: the missing votes and the fault behind them."""

import pytest

from network.cluster.branches import bft_tip, draw, unfinalized
from network.cluster.diagnosis import why_not_final, why_stalled
from network.cluster.fault_board import Board
from network.cluster.reports import NodeReport, Reports, listed
from network.faults.vocabulary import FaultAction

NAMES = ("n0", "n1", "n2", "n3")
ADDRESSES = {f"0x{index:040x}": name for index, name in enumerate(NAMES)}
ADDRESS = {name: address for address, name in ADDRESSES.items()}
NOW_MS = 10_000_000


def mark(number, salt="a"):
    return {"number": hex(number), "hash": f"0x{salt}{number:063d}"}


def bft_node(name, head, quiet_ms, prevotes=(), block="0xb10c", **facts):
    votes = [{"validator": ADDRESS[one], "block": block} for one in prevotes]
    status = {
        "head": mark(head),
        "safe": mark(head),
        "finalized": mark(head),
        "validators": [{"address": address, "weight": 1} for address in ADDRESSES],
    }
    consensus = {
        "engine": "bft",
        "lastDecidedMs": NOW_MS - quiet_ms,
        "height": head + 1,
        "round": 4,
        "proposer": ADDRESS["n0"],
        "proposal": block,
        "prevotes": votes,
        "precommits": [],
        **facts,
    }
    return NodeReport(name, "running", status, consensus)


def reports(nodes, board=None, engine="bft"):
    return Reports(engine, 1000, nodes, board or Board(), ADDRESSES, NOW_MS)


def on(kind, *targets, **parameters):
    return Board().with_fault(FaultAction(0, kind, targets, parameters))


def test_all_is_well():
    answer = why_stalled(reports([bft_node(name, 9, 900) for name in NAMES]))
    assert (answer.well, answer.causes) == (True, ())
    assert "#9 0.9 s ago" in answer.headline


def test_a_partition_is_named_with_both_views():
    board = on("partition", "n0", "n1", others=("n2", "n3"))
    nodes = [
        bft_node(name, 22, 60_000, ("n0", "n1") if name in ("n0", "n1") else ("n2", "n3"), f"0x{name[1] in '01'}")
        for name in NAMES
    ]
    answer = why_stalled(reports(nodes, board))
    text = "\n".join(answer.lines())
    assert "No block since #22, 60.0 s ago: #23 lacks votes." in text
    assert "n0 and n1 see prevotes for #23 in round 4 = {n0,n1} on 0xTrue…; more than two thirds of 4 needed: 3" in text
    assert "n2 and n3 see prevotes" in text
    assert f"partition 0 on n0,n1 <-> n2,n3 since {board.faults[0].clock}" in text.replace(
        "partition on", "partition 0 on"
    )
    assert {cause.nodes for cause in answer.causes} == {("n0", "n1"), ("n2", "n3")}
    assert answer.lines()[-1] == "Next: evmesh heal"


@pytest.mark.parametrize(
    ("state", "board", "why", "next_step"),
    [
        ("stopped", on("crash", "n3"), "killed", "evmesh restart n3"),
        ("stopped", on("full-disk", "n3"), "its disk is full", "evmesh disk n3 --clear"),
        ("stopped", Board(), "ended by itself", "evmesh logs n3"),
        ("paused", on("pause", "n3"), "paused", "evmesh resume n3"),
        ("not answering", Board(), "no answer although", "evmesh logs n3"),
    ],
)
def test_a_node_that_is_not_there(state, board, why, next_step):
    nodes = [bft_node(name, 5, 30_000, ("n0", "n1")) for name in ("n0", "n1")]
    nodes += [bft_node("n2", 5, 30_000, ("n0", "n1")), NodeReport("n3", state)]
    (two, three) = why_stalled(reports(nodes, board)).causes if len(nodes) == 4 else ()
    causes = {cause.nodes: cause for cause in (two, three)}
    assert why in causes[("n3",)].why
    assert next_step in causes[("n3",)].remedy
    assert "no fault is known" in causes[("n2",)].why


@pytest.mark.parametrize(
    ("board", "facts", "why"),
    [
        (on("silent-voter", "n3"), {}, "told to lie (silent-voter)"),
        (on("slow-node", "n3"), {}, "slow ("),
        (on("loss", "n3", share=0.5), {}, "hard to hear: loss 50% on n3 <-> all"),
        (on("clock-offset", "n3", offset_ms=9), {}, "its clock is wrong"),
        (Board(), {"watchOnly": "the log is damaged"}, "not voting: the log is damaged"),
        (Board(), {"syncing": {"from": 1, "to": 5}}, "catching up"),
    ],
)
def test_a_node_that_is_there_and_whose_vote_is_not(board, facts, why):
    nodes = [bft_node(name, 5, 30_000, ("n0", "n1", "n2")) for name in ("n0", "n1", "n2")]
    nodes.append(bft_node("n3", 5, 30_000, ("n0", "n1", "n2"), **facts))
    (cause,) = why_stalled(reports(nodes, board)).causes
    assert cause.nodes == ("n3",)
    assert why in cause.why


def test_nobody_answers():
    answer = why_not_final(reports([NodeReport(name, "stopped") for name in NAMES]))
    assert answer.headline == "No node answers."
    assert answer.causes[0].nodes == NAMES


def pos_node(name, epoch, final_epoch, votes, missing=(), tree=(), head="0xh"):
    status = {
        "head": {"number": hex(epoch), "hash": head},
        "safe": {"number": hex(final_epoch), "hash": "0xf"},
        "finalized": {"number": hex(final_epoch), "hash": "0xf"},
        "validators": [{"address": address, "weight": 1} for address in ADDRESSES],
    }
    consensus = {
        "engine": "pos",
        "epoch": epoch,
        "slot": 2 * epoch,
        "head": {"slot": 2 * epoch},
        "justified": {"epoch": final_epoch + 1, "root": "0xj"},
        "finalized": {"epoch": final_epoch, "root": "0xf"},
        "proposer": ADDRESS["n0"],
        "votes": [
            {"validator": ADDRESS[one], "slot": 2 * epoch, "head": head, "target": {"root": root}}
            for one, root in votes.items()
        ],
        "missing": [ADDRESS[one] for one in missing],
        "tree": tree,
    }
    return NodeReport(name, "running", status, consensus)


def test_pos_without_finality():
    board = on("partition", "n0", "n1", others=("n2", "n3"))
    nodes = [
        pos_node(name, 20, 11, dict.fromkeys(("n0", "n1") if name in ("n0", "n1") else ("n2", "n3"), "0xc3"))
        for name in NAMES
    ]
    answer = why_not_final(reports(nodes, board, "pos"))
    text = "\n".join(answer.lines())
    assert "Finality stopped at #11 (epoch 11), 9 epochs ago" in text
    assert "n0 and n1 see votes for epoch 20 = {n0,n1} on 0xc3…; two thirds of 4 needed: 3" in text
    assert {cause.nodes for cause in answer.causes} == {("n0", "n1"), ("n2", "n3")}
    assert why_stalled(reports(nodes, board, "pos")).well
    again = [pos_node(name, 20, 11, dict.fromkeys(("n0", "n1", "n2"), "0xc3"), ("n3",)) for name in NAMES]
    assert "votes enough" in why_not_final(reports(again, engine="pos")).headline
    quick = [pos_node(name, 13, 11, {}) for name in NAMES]
    assert why_not_final(reports(quick, engine="pos")).well


def test_two_branches_are_drawn():
    def block(block_hash, parent, number, weight, proposer="n1"):
        return {
            "hash": block_hash,
            "parent": parent,
            "number": number,
            "slot": number,
            "proposer": ADDRESS[proposer],
            "weight": weight,
        }

    left = [block("0xf", "0xe", 5, 4), block("0xj", "0xf", 6, 4), block("0xl", "0xj", 7, 2, "n0")]
    right = [*left[:2], block("0xr", "0xj", 7, 2, "n2"), block("0xs", "0xr", 8, 2, "n3")]
    nodes = [
        pos_node("n0", 8, 5, {"n0": "0xj", "n1": "0xj"}, tree=left, head="0xl"),
        pos_node("n1", 8, 5, {"n0": "0xj", "n1": "0xj"}, tree=left, head="0xl"),
        pos_node("n2", 8, 5, {"n2": "0xj"}, tree=right, head="0xs"),
        NodeReport("n3", "paused"),
    ]
    assert draw(unfinalized(reports(nodes, engine="pos"))) == [
        "#5 0xf…  slot 5  by n1  weight 4  finalized",
        "#6 0xj…  slot 6  by n1  weight 4  justified",
        "├─ #7 0xl…  slot 7  by n0  weight 2  votes n0,n1  ◀ head of n0 and n1",
        "└─ #7 0xr…  slot 7  by n2  weight 2",
        "   #8 0xs…  slot 8  by n3  weight 2  votes n2  ◀ head of n2",
    ]


def test_a_head_that_is_newer_than_its_own_tree_stands_in_another_nodes():
    def block(block_hash, parent, number):
        return {"hash": block_hash, "parent": parent, "number": number, "slot": number, "proposer": None, "weight": 1}

    old = [block("0xf", "0xe", 5)]
    nodes = [
        pos_node("n0", 6, 5, {}, tree=old, head="0xnew"),
        pos_node("n1", 6, 5, {}, tree=[*old, block("0xnew", "0xf", 6)], head="0xnew"),
    ]
    lines = draw(unfinalized(reports(nodes, engine="pos")))
    assert lines[-1] == "#6 0xnew…  slot 6  weight 1  ◀ head of n0 and n1"
    assert len(lines) == 2


def test_the_block_being_decided_is_drawn_as_each_sees_it():
    nodes = [bft_node("n0", 5, 0, ("n0", "n1")), bft_node("n1", 5, 0, ("n0", "n1"))]
    nodes += [bft_node("n2", 5, 0, ("n2",), None), NodeReport("n3", "stopped")]
    told = reports(nodes)
    assert draw(unfinalized(told)) == ["#5 0xa00000…  finalized  ◀ head of n0, n1 and n2"]
    assert bft_tip(told) == [
        "└─ #6 round 4  0xb10c… by n0  prevotes n0,n1  precommits none  (as n0 and n1 see it)",
        "└─ #6 round 4  nothing proposed yet by n0  prevotes n2 for nil  precommits none  (as n2 sees it)",
    ]


def test_lists():
    assert [listed([]), listed(["n0"]), listed(["n0", "n1"]), listed(NAMES)] == [
        "nobody",
        "n0",
        "n0 and n1",
        "n0, n1, n2 and n3",
    ]
