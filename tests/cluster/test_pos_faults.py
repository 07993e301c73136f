"""Engine pos on real processes: branches, their end, and lies; what was told to be final stays."""

import pytest

from network.cluster.readiness import wait_height, wait_until


@pytest.fixture(scope="module")
def pos(shell):
    """Four nodes of engine pos with slots of one second."""
    one = shell.up("--consensus", "pos", block_time=1)
    yield one
    one.close()


def finalizes(cluster, blocks=1, seconds=60):
    for client in cluster.clients:
        wait_height(client, client.block_number("finalized") + blocks, seconds, "finalized")


def _causes(pos):
    return {cause["fault"] for cause in pos.json("why", "not-finalized")["causes"]}


def test_a_split_grows_two_branches_and_healing_leaves_one(pos, load_on):
    finalizes(pos)
    with load_on(pos, ("n0", "n1"), pause=0.1) as load:
        pos.json("partition", "n0,n1", "/", "n2,n3")
        wait_until(lambda: len(heads(pos)) == 2, 40, "two branches")
        assert pos.run("status")[0] == 0, "branches are no broken promise"
        wait_until(lambda: not pos.json("why", "not-finalized")["well"], 60, "finality stops")
        # on a busy machine it may stop before a vote is missing that the split explains
        wait_until(lambda: _causes(pos) == {"partition"}, 60, "the split is named as the cause")
        answer = pos.json("why", "not-finalized")
        assert {tuple(cause["nodes"]) for cause in answer["causes"]} == {("n0", "n1"), ("n2", "n3")}
        assert any(line.startswith("├─ #") for line in pos.json("tree")["lines"])
        pos.json("heal")
        finalizes(pos, 2)
        wait_until(lambda: pos.json("why", "not-finalized")["well"], 60, "finality follows again")
    load.check_nothing_lost()


def heads(cluster):
    return {tuple(block["head_of"]) for block in cluster.json("tree")["blocks"] if block["head_of"]} - {
        ("n0", "n1", "n2", "n3")
    }


def test_a_reorganisation_on_order(pos):
    finalizes(pos)
    code, _, err = pos.run("reorg", "--depth", "1000")
    assert code == 2
    assert "is final, and what is final stays" in err
    done = pos.json("reorg", "--depth", "2", timeout=180)
    assert done["depth"] >= 2
    assert len(done["dropped"]) == done["depth"]
    for client in pos.clients:
        assert client.block(done["fork_number"] + 1)["hash"] != done["dropped"][0]
    assert pos.run("status")[0] == 0


def test_lies(pos):
    for lie in ("wrong-root", "silent"):
        pos.json("byz", "n3", lie)
    told = pos.json("byz", "n3", "equivocate", "--wait", "40")
    assert told["evidence_seen_by"] == ["n0", "n1", "n2"]
    finalizes(pos)
    assert pos.run("status")[0] == 0
