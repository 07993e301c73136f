"""Liars among real processes: below a third they change nothing; above it they can, and the judge says so."""

import json
import signal

from network.cluster.readiness import wait_height

FREE = ("--port", "0", "--p2p-port", "0", "--block-time", "0.25")


def goes_on(cluster, blocks=4):
    for client in cluster.clients[:2]:
        wait_height(client, client.block_number() + blocks, 40, "finalized")


def test_one_liar_at_a_time_changes_nothing(shell, load_on):
    cluster = shell.up("--nodes", "5")  # when the first has lost its vote, four are left for the second
    with load_on(cluster, ("n0", "n1"), pause=0.05) as load:
        goes_on(cluster, 2)
        for lie in ("wrong-root", "invalid-tx", "withhold", "silent", "stale-replay", "amnesia"):
            assert cluster.json("byz", "n2", lie)["lying"] == ["n2"]
            goes_on(cluster)
        # the last one: it costs the liar its vote
        told = cluster.json("byz", "n2", "equivocate", "--wait", "30")
        assert told["evidence_seen_by"] == ["n0", "n1", "n3", "n4"]
        goes_on(cluster)
        code, _, err = cluster.run("byz", "n2", "double-vote")
        assert (code, "no vote any more" in err) == (1, True)
        told = cluster.json("byz", "n3", "double-vote", "--wait", "30")
        assert told["evidence_seen_by"] == ["n0", "n1", "n2", "n4"]
        goes_on(cluster)
        for name in ("n2", "n3"):
            cluster.json("byz", name, "honest")
    load.check_nothing_lost()
    cluster.close()
    assert shell.run("down", cluster.name, "--remove")[0] == 0, "the judge was content"


def test_twins_of_two_make_a_fork_and_up_ends_with_code_3(shell):
    process = shell.start("up", "--name", "forked", *FREE)
    try:
        while "ready in" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        here = ("--network", "forked")
        shell.json("partition", "n0,n1,n2", "/", "n3", *here)
        shell.json("byz", "n1", "twins", "--peers", "n3", "--wait", "0", *here)
        told = shell.json("byz", "n2", "twins", "--peers", "n3", "--wait", "0", *here)
        assert "a third or more" in told["warning"]
        _, err = process.communicate(timeout=60)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert process.returncode == 3, err
    assert "broke its promise of agreement: at height" in err
    code, out, _ = shell.run("status", "--json", *here)
    assert code == 3
    nodes = json.loads(out[: out.index("\n}") + 2])["nodes"]
    assert [node["state"] for node in nodes] == ["stopped"] * 4
