"""The board of faults: what is put on it stays until it is taken off, and says itself in words."""

import pytest

from network.cli.quantities import byte_count, bytes_per_second, drift_ppm, duration_ms, share
from network.cluster.fault_board import ActiveFault, Board, change_board, read_board
from network.cluster.fault_words import braced, node_list
from network.failures import BadInput, Failure
from network.faults.kinds import Group
from network.faults.vocabulary import FaultAction


def test_a_fault_comes_and_goes(tmp_path):
    assert read_board(tmp_path) == Board()
    before, after = change_board(tmp_path, lambda board: board.with_fault(FaultAction(0, "pause", ("n1",))))
    assert (before.generation, after.generation) == (0, 1)
    change_board(tmp_path, lambda board: board.with_fault(FaultAction(0, "delay", ("n0",), {"delay_ms": 20}), "slow!"))
    board = read_board(tmp_path)
    assert [str(fault) for fault in board.faults] == ["pause on n1", "slow!"]
    assert board.on_node("n1", "pause").since_ms > 0
    assert board.on_node("n0", "pause") is None
    assert [fault.kind for fault in board.of_group(Group.LINK)] == ["delay"]
    change_board(tmp_path, lambda board: board.without_node("n1", ["pause", "crash"]))
    assert [fault.kind for fault in read_board(tmp_path).faults] == ["delay"]
    assert read_board(tmp_path).generation == 3


def test_resets_carry_the_generation_that_wants_them(tmp_path):
    change_board(tmp_path, lambda board: board)
    _, board = change_board(tmp_path, lambda board: board.with_reset([("n0", "n1")]))
    assert board.resets == {"n0>n1": 2} == read_board(tmp_path).resets
    assert board.generation == 2


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "faults.json").write_text('{"generation": 1, "faults": [{"kind": "quake"}]}')
    with pytest.raises(Failure, match=r"faults\.json"):
        read_board(tmp_path)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (FaultAction(0, "delay", ("n0",), {"delay_ms": 200, "others": ("n1",)}), "delay 200 ms on n0 <-> n1"),
        (FaultAction(0, "loss", ("n0",), {"share": 0.1, "one_way": True}), "loss 10% on n0 -> all"),
        (FaultAction(0, "clock-drift", ("n2",), {"ppm": -50}), "clock-drift -50 ppm of n2"),
        (FaultAction(0, "crash", ("n2",)), "crash on n2"),
    ],
)
def test_words(action, words):
    assert str(ActiveFault(action, 1)) == words


def test_quantities():
    assert [duration_ms("200ms"), duration_ms("1.5s"), duration_ms("-2min", negative=True)] == [200, 1500, -120_000]
    assert [share("10%"), share("0.5")] == [0.1, 0.5]
    assert [bytes_per_second("100kB/s"), bytes_per_second("1mbit"), bytes_per_second("77")] == [100_000, 125_000, 77]
    assert [byte_count("2MB"), drift_ppm("200ppm"), drift_ppm("-0.1%")] == [2_000_000, 200, -1000]
    for parse, text in ((duration_ms, "200"), (duration_ms, "-1s"), (share, "110%"), (bytes_per_second, "0")):
        with pytest.raises(BadInput, match=text):
            parse(text)


def test_names_of_nodes(make_run):
    run = make_run(nodes=3)
    assert node_list(run, "n2, n0,n2") == ("n2", "n0")
    assert node_list(run, "all") == ("n0", "n1", "n2")
    assert braced(["n0", "n1"]) == "{n0,n1}"
    with pytest.raises(BadInput, match="n9") as caught:
        node_list(run, "n0,n9")
    assert "n0, n1, n2" in caught.value.hint
