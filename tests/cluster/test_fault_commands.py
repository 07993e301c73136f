"""Every fault of links, processes, disks and clocks on real processes under load; nothing that was told is lost."""

import json

import pytest

from network.cluster import companion
from network.cluster.readiness import wait_height, wait_until
from network.cluster.run_directory import RunDirectory


def states(cluster):
    return {node["name"]: node["state"] for node in cluster.json("status")["nodes"]}


def on(cluster):
    return [fault["kind"] for fault in cluster.json("status")["faults"]]


def goes_on(cluster, names=("n0",), blocks=3):
    for name in names:
        client = next(client for client in cluster.clients if client.name == name)
        wait_height(client, client.block_number() + blocks, 40)


def stands_still(cluster):
    """Whether why says so; waits until it does."""
    wait_until(lambda: not cluster.json("why")["well"], 30, "the chain stands still")
    return cluster.json("why")


def test_a_split_stops_the_chain_and_is_explained(cluster, load_on):
    goes_on(cluster)
    with load_on(cluster, ("n0", "n2"), pause=0.05) as load:
        split = cluster.json("partition", "n0,n1", "/", "n2,n3")
        assert split["quorum"] == "quorum 3 of 4: neither side can finalize"
        answer = stands_still(cluster)
        assert {cause["fault"] for cause in answer["causes"]} == {"partition"}
        sides = {tuple(cause["nodes"]) for cause in answer["causes"]}
        # the cut may fall between the two halves' hearing of the last block: then one half speaks for itself
        one_head = len({client.block_number() for client in cluster.clients}) == 1
        assert sides == {("n0", "n1"), ("n2", "n3")} if one_head else sides < {("n0", "n1"), ("n2", "n3")}
        assert "partition {n0,n1} | {n2,n3} since" in cluster.run("why")[1]
        tree = cluster.json("tree")
        assert [block["head_of"] for block in tree["blocks"]] == [["n0", "n1", "n2", "n3"]] or not one_head
        assert "2 of 4" not in tree["lines"][0]
        pending = cluster.json("why", "pending", load.acknowledged[-1])
        assert not pending["well"]
        assert cluster.json("heal")["healed"] == ["partition {n0,n1} | {n2,n3}"]
        goes_on(cluster)
        assert cluster.json("why")["well"]
    load.check_nothing_lost()
    assert "is final" in cluster.json("why", "pending", load.acknowledged[0])["answer"]


def test_one_way_splits_and_bridges(cluster, load_on):
    with load_on(cluster, ("n0",), pause=0.05) as load:
        cluster.json("partition", "n3", "/", "n0,n1,n2", "--one-way")
        goes_on(cluster)
        cluster.json("partition", "n0", "/", "n2,n3", "--bridge", "n1")
        assert on(cluster) == ["bridge"]
        goes_on(cluster, ("n0", "n3"))
        cluster.json("heal")
    load.check_nothing_lost()


def test_bad_links(cluster, load_on):
    with load_on(cluster, ("n0",), pause=0.05) as load:
        cluster.json("link", "n0", "all", "--delay", "30ms", "--jitter", "20ms", "--loss", "3%", "--rate", "1MB/s")
        cluster.json("link", "n1", "n2", "--duplicate", "20%", "--reorder", "30%", "--one-way")
        assert sorted(on(cluster)) == ["delay", "duplication", "jitter", "loss", "reorder", "slow-link"]
        goes_on(cluster)
        assert cluster.json("link", "n0", "n3", "--reset")["reset"]
        goes_on(cluster, ("n0", "n3"))
        assert cluster.json("link", "all", "all", "--clear")["faults"] == []
    load.check_nothing_lost()


def test_wrong_clocks_and_slow_nodes(cluster, load_on):
    with load_on(cluster, ("n0",), pause=0.05) as load:
        assert cluster.json("clock", "n1", "--offset", "4s")["wrong_by_ms"] == 4000
        cluster.json("clock", "n1", "--drift", "2000ppm")
        assert cluster.json("clock", "n2", "--jump=-1h")["wrong_by_ms"] == -3_600_000
        goes_on(cluster)
        cluster.json("slow", "n3", "--by", "150ms")
        goes_on(cluster)
        assert sorted(on(cluster)) == ["clock-drift", "clock-offset", "slow-node"]
        cluster.json("heal", "--all")
        assert cluster.json("clock", "n2")["wrong_by_ms"] == 0
    load.check_nothing_lost()


def test_disks_fill_tear_and_get_lost(cluster, load_on):
    with load_on(cluster, ("n0", "n1"), pause=0.02) as load:
        cluster.json("disk", "n3", "--full")
        wait_until(lambda: states(cluster)["n3"] == "stopped", 40, "n3 stops")
        goes_on(cluster)
        (cause,) = cluster.json("why")["causes"]
        assert (cause["nodes"], cause["fault"]) == (["n3"], "full-disk")
        cluster.json("disk", "n3", "--clear")
        cluster.json("restart", "n3")
        assert on(cluster) == []
        cluster.json("restart", "n2", "--tear-log")
        goes_on(cluster, ("n2",))
        assert cluster.json("restart", "n3", "--lose-disk")["synced_blocks"] > 3
        goes_on(cluster, ("n3",))
    load.check_nothing_lost()


def test_kill_pause_and_restart_are_told_apart(cluster, load_on):
    with load_on(cluster, ("n0",), pause=0.05) as load:
        cluster.json("kill", "n3")
        cluster.json("pause", "n2")
        answer = stands_still(cluster)
        assert {cause["fault"]: cause["nodes"] for cause in answer["causes"]} == {"crash": ["n3"], "pause": ["n2"]}
        cluster.json("resume", "n2")
        cluster.json("restart", "n3")
        cluster.json("restart", "n1")
        goes_on(cluster, ("n0", "n1", "n2", "n3"))
        assert on(cluster) == []
    load.check_nothing_lost()


def test_the_link_process_may_die_too(cluster):
    run = RunDirectory(cluster.run_dir)
    links = companion.record_of(run, companion.COMPANION_LINKS)
    companion.process.kill_all([links])
    wait_until(lambda: companion.record_of(run, companion.COMPANION_LINKS) is not None, 20, "the links to return")
    cluster.json("heal")
    goes_on(cluster, ("n0", "n3"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["partition", "n0", "/", "n9"], 2, "n0, n1, n2, n3"),
        (["partition", "n0", "/", "n1"], 2, "--bridge n2,n3"),
        (["partition", "n0,n1", "/", "n1,n2,n3"], 2, "--bridge n1"),
        (["link", "n0", "n0", "--delay", "1s"], 2, "same node"),
        (["link", "n0", "n1", "--delay", "200"], 2, "200ms"),
        (["link", "n0", "n1", "--loss", "120%"], 2, "between 0% and 100%"),
        (["slow", "n0"], 2, "--by"),
        (["clock", "n0", "--offset", "1s", "--jump", "1s"], 2, "at a time"),
        (["disk", "n0"], 2, "--full"),
        (["restart", "n0", "--lose-disk", "--tear-log"], 2, "exclude"),
        (["byz", "n0", "equivocte"], 2, "did you mean equivocate"),
        (["byz", "n0", "surround-vote"], 2, "pos"),
        (["reorg"], 2, "final at once"),
        (["why", "pending"], 2, "hash"),
        (["why", "pending", "0x12"], 2, "64 hex digits"),
    ],
)
def test_mistakes(cluster, words, code, said):
    got, out, err = cluster.run(*words)
    assert (got, out) == (code, "")
    assert said in err


def test_the_judge_watches_on(cluster):
    run = RunDirectory(cluster.run_dir)
    assert companion.record_of(run, companion.COMPANION_JUDGE) is not None
    assert not companion.violation_file(run).exists()


def test_a_plan_of_faults(cluster, load_on, tmp_path):
    plan = tmp_path / "plan.json"
    faults = [
        {"at_ms": 0, "kind": "delay", "targets": ["n0"], "delay_ms": 20},
        {"at_ms": 100, "kind": "kill-between-effects", "targets": ["n3"], "effects": 9, "until_ms": 3000},
        {"at_ms": 200, "kind": "partition", "targets": ["n2"], "until_ms": 2000},
    ]
    plan.write_text(json.dumps({"faults": faults}))
    with load_on(cluster, ("n0",), pause=0.05) as load:
        steps = cluster.json("inject", str(plan))["steps"]
        assert [(step["begins"], step["fault"]["kind"]) for step in steps] == [
            (True, "delay"),
            (True, "kill-between-effects"),
            (True, "partition"),
            (False, "partition"),
            (False, "kill-between-effects"),
            (False, "delay"),
        ]
        assert on(cluster) == []
        goes_on(cluster, ("n0", "n3"))
    load.check_nothing_lost()
    plan.write_text(json.dumps({"faults": [{"at_ms": 0, "kind": "quake"}]}))
    code, _, err = cluster.run("inject", str(plan))
    assert (code, "quake" in err) == (2, True)
