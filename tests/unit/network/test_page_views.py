"""What a snapshot is made of: lanes of a tree, votes, links, headline and events, from what nodes say."""

from network.cluster.branches import unfinalized
from network.cluster.fault_board import Board
from network.cluster.reports import NodeReport, Reports
from network.cluster.run_directory import RunDirectory
from network.faults.vocabulary import FaultAction
from network.page.block_memory import DEPTH, BlockMemory
from network.page.events import Events
from network.page.headline import headline
from network.page.links_view import links_view
from network.page.tree_view import LANES_MAX, tree_view
from network.page.votes_view import votes_view

VALIDATORS = {f"0x{index:040x}": f"n{index}" for index in range(4)}


def name_of(branch, number):
    return f"{branch}{number}"


def chain(branch, first, last, parent):
    """Blocks of a branch as a node's tree holds them."""
    told = []
    for number in range(first, last + 1):
        told.append({"hash": name_of(branch, number), "parent": parent, "number": number, "slot": number, "weight": 1})
        parent = name_of(branch, number)
    return [{**block, "proposer": None} for block in told]


def mark(block):
    return {"number": hex(block["number"]), "hash": block["hash"], "stateRoot": "root of " + block["hash"]}


def node(name, tree, final=0, **consensus):
    by_number = {block["number"]: block for block in tree}
    status = {
        "head": mark(tree[-1]),
        "safe": mark(by_number[final]),
        "finalized": mark(by_number[final]),
        "peers": [{"name": other} for other in VALIDATORS.values() if other != name],
        "pool": {"pending": 0, "queued": 0},
        "validators": [{"address": address, "weight": 1} for address in VALIDATORS],
    }
    return NodeReport(name, "running", status, {"tree": tree, **consensus}, 1.0)


def reports_of(*nodes, board=None, engine="pos"):
    return Reports(engine, 1000, nodes, board or Board(), VALIDATORS, 5_000)


class Following(BlockMemory):
    """A memory that is told the nodes' chains here, not over a network."""

    def take(self, reports, now=1.0):
        self.note_tree(unfinalized(reports).values())
        for report in reports.answering:
            self._heads[report.name] = report.hash("head")
        self.note_look(reports, now)


BASE = chain("a", 0, 5, "nothing")
LEFT, RIGHT = BASE + chain("l", 6, 8, "a5"), BASE + chain("r", 6, 9, "a5")


def split():
    return reports_of(node("n0", LEFT), node("n1", LEFT), node("n2", LEFT), node("n3", RIGHT))


def test_the_branch_with_most_nodes_has_the_first_lane():
    reports, memory = split(), Following()
    memory.take(reports)
    tree = tree_view(reports, memory, unfinalized(reports))
    lanes = {block["hash"]: block["lane"] for block in tree["blocks"]}
    assert {lanes[f"a{n}"] for n in range(6)} | {lanes[f"l{n}"] for n in range(6, 9)} == {0}
    assert {lanes[f"r{n}"] for n in range(6, 10)} == {1}
    heads = {block["hash"]: block["head_of"] for block in tree["blocks"] if block["head_of"]}
    assert heads == {"l8": ["n0", "n1", "n2"], "r9": ["n3"]}
    assert (tree["lowest"], tree["highest"], tree["left_out"]) == (0, 9, 0)


def test_what_lost_stays_until_it_is_out_of_sight():
    reports, memory = split(), Following()
    memory.take(reports)
    longer = LEFT + chain("l", 9, 12, "l8")
    healed = reports_of(*(node(name, longer, final=9) for name in VALIDATORS.values()))
    memory.take(healed)
    states = {block["hash"]: block["state"] for block in tree_view(healed, memory, unfinalized(healed))["blocks"]}
    assert {states["l6"], states["l9"], states["a0"]} == {"finalized"}
    assert {states["r6"], states["r9"]} == {"lost"}
    assert states["l12"] == "open"
    far = chain("l", 9, 9 + 3 * DEPTH, "l8")
    memory.take(reports_of(node("n0", LEFT + far, final=9)))
    assert "r9" not in memory.blocks


def test_many_branches_are_bounded():
    trees = [BASE + chain(f"x{index}y", 6, 7, "a5") for index in range(LANES_MAX + 3)]
    reports, memory = reports_of(*(node(f"n{index}", tree) for index, tree in enumerate(trees))), Following()
    memory.take(reports)
    tree = tree_view(reports, memory, unfinalized(reports))
    assert max(block["lane"] for block in tree["blocks"]) == LANES_MAX - 1
    assert tree["left_out"] == 2 * 3


def test_a_circle_of_parents_ends():
    memory = Following()
    loop = [{"hash": "p", "parent": "q", "number": 3, "slot": 1, "weight": 1, "proposer": None}]
    loop.append({"hash": "q", "parent": "p", "number": 3, "slot": 1, "weight": 1, "proposer": None})
    reports = reports_of(node("n0", [*BASE, *loop]))
    memory.take(reports)
    assert [block.block_hash for block in memory.ancestry("p")] == ["p"]
    assert tree_view(reports, memory, unfinalized(reports))["blocks"]


def test_time_to_finality_is_measured_only_for_what_was_seen_to_come():
    memory = Following()
    memory.take(reports_of(node("n0", BASE)), 10.0)
    longer = BASE + chain("a", 6, 6, "a5")
    memory.take(reports_of(node("n0", longer)), 11.0)
    memory.take(reports_of(node("n0", longer, final=6)), 17.5)
    assert memory.blocks["a6"].final_after == 6.5
    assert memory.blocks["a5"].final_after == -1.0  # it was there before anybody looked
    memory.nobody_looked()
    assert memory.blocks["a6"].first_seen is None


def test_headlines():
    memory = Following()
    good = reports_of(*(node(name, BASE, final=4) for name in VALIDATORS.values()))
    memory.take(good)
    assert headline(good, memory, None)["title"] == "All 4 nodes agree"
    assert headline(good, memory, "two final blocks")["tone"] == "bad"
    cut = split()
    memory.take(cut)
    told = headline(cut, memory, None)
    assert (told["tone"], told["title"]) == ("warn", "2 branches above #5: {n0,n1,n2} and {n3}")
    gone = reports_of(NodeReport("n0", "stopped"), *(node(name, BASE, final=4) for name in ("n1", "n2", "n3")))
    memory = Following()
    memory.take(gone)
    assert headline(gone, memory, None)["title"] == "3 of 4 nodes agree"
    nobody = reports_of(*(NodeReport(name, "stopped") for name in VALIDATORS.values()))
    assert headline(nobody, memory, None)["tone"] == "bad"


def vote(index, slot, head, epoch):
    root = {"epoch": epoch, "root": head}
    return {"validator": f"0x{index:040x}", "slot": slot, "head": head, "source": root, "target": root}


def test_votes_of_pos_are_the_newest_and_say_who_knows_them():
    old, new = [vote(0, 6, "a5", 3)], [vote(0, 8, "a5", 4), vote(1, 7, "a5", 4)]
    facts = {"slot": 9, "epoch": 4, "proposer": f"0x{2:040x}"}
    reports = reports_of(
        node("n0", BASE, votes=new, **facts),
        node("n1", BASE, votes=old),
        node("n2", BASE, votes=new),
        NodeReport("n3", "paused"),
    )
    told = votes_view(reports, reports.weights())
    assert (told["quorum"], told["total"], told["slot"], told["proposer"]) == (3, 4, 9, "n2")
    rows = {row["node"]: row for row in told["rows"]}
    assert (rows["n0"]["slot"], rows["n0"]["seen_by"]) == (8, ["n0", "n2"])
    assert (rows["n3"]["slot"], rows["n3"]["seen_by"]) == (None, [])


def test_votes_of_bft_are_those_of_the_highest_round():
    def facts(round_number, prevotes):
        votes = [{"validator": f"0x{index:040x}", "block": block} for index, block in prevotes]
        return {"height": 6, "round": round_number, "step": "prevote", "proposal": "b6", "prevotes": votes}

    behind = node("n3", BASE, **facts(0, [(3, "b6")]))
    ahead = [node(f"n{index}", BASE, **facts(1, [(0, "b6"), (1, None)])) for index in range(2)]
    reports = reports_of(*ahead, behind, engine="bft")
    told = votes_view(reports, reports.weights())
    assert (told["height"], told["round"], told["here"]) == (6, 1, ["n0", "n1"])
    rows = {row["node"]: row for row in told["rows"]}
    assert rows["n0"]["prevotes"] == {"block": "b6", "seen_by": ["n0", "n1"]}
    assert rows["n1"]["prevotes"]["block"] is None
    assert "prevotes" not in rows["n3"]


def test_links_show_cuts_and_conditions(tmp_path):
    board = (
        Board()
        .with_fault(FaultAction(0, "one-way-partition", ("n0",), {"others": ("n1",)}))
        .with_fault(FaultAction(0, "delay", ("n2",), {"delay_ms": 200, "others": ("n3",)}))
        .with_fault(FaultAction(0, "loss", ("n2",), {"share": 0.1, "others": ("n3",), "one_way": True}))
    )
    reports = reports_of(*(node(name, BASE) for name in VALIDATORS.values()), board=board)
    told = links_view(RunDirectory(tmp_path), reports)
    assert told["cut"] == [["n0", "n1"]]
    assert told["spoiled"] == [
        {"source": "n2", "target": "n3", "delay_ms": 200.0, "loss": 0.1},
        {"source": "n3", "target": "n2", "delay_ms": 200.0},
    ]
    assert len(told["connected"]) == 6
    assert told["changeable"] is False


def test_events_tell_what_changed():
    events, memory = Events(), Following()
    first = split()
    memory.take(first)
    events.note(first, memory, first.weights())
    assert events.to_json() == []
    healed = reports_of(*(node(name, LEFT) for name in ("n0", "n1", "n3")), NodeReport("n2", "stopped"))
    memory.take(healed)
    events.note(healed, memory, healed.weights())
    told = [event["text"] for event in events.to_json()]
    assert told == ["reorganisation on n3: 4 blocks from #6 replaced", "n2 is stopped"]
    events.forget()
    events.note(first, memory, first.weights())
    assert len(events.to_json()) == 2
