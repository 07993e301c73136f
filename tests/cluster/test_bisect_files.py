"""What bisect found, written down and shown again; and stopped nodes compared by their folders."""

import json

import pytest

from network.cluster.readiness import wait_until

pytestmark = pytest.mark.campaign


def test_a_repro_file_shows_the_same_and_stopped_nodes_can_be_compared(shell):
    cluster = shell.up("--name", "buggy-file")
    cluster.json("deploy", "examples/Counter.json", "--from", "0")
    cluster.json("call", "Counter.increment", "--from", "0", "--wait", "included")
    cluster.json("restart", "n3", "--mutate", "sstore-gas-off-by-one")
    # decrement to zero and up again: the slot is new once more
    cluster.json("deploy", "DemoToken", "1000", "--from", "0")
    wait_until(lambda: cluster.clients[0].block_number() > cluster.clients[3].block_number() + 2, 20, "n3 to stop")
    file = shell.state / "part.json"
    code, out, err = cluster.run("bisect", "n0", "n3", "--repro", str(file))
    assert code == 3, err
    step = next(line for line in out.splitlines() if line.startswith("instruction"))
    code, again, err = shell.run("replay", str(file))
    assert code == 3, err
    assert step in again
    assert "the same difference as then" in again
    assert "n3 has the seeded mistake sstore-gas-off-by-one" in again
    told = shell.run("replay", str(file), "--json")
    assert told[0] == 3
    assert json.loads(told[1])["same"] is True
    # without the mistake there is no difference
    document = json.loads(file.read_text())
    document["nodes"][1]["bug"] = ""
    file.write_text(json.dumps(document))
    code, again, _ = shell.run("replay", str(file))
    assert (code, "no difference" in again) == (0, True)
    cluster.close()
    shell.run("down", cluster.name)
    for names in (("n0", "n3"), (str(cluster.run_dir / "n0"), str(cluster.run_dir / "n3"))):
        code, out, err = shell.run("bisect", *names, "--network", cluster.name)
        assert code == 3, err
        assert step in out
    code, out, _ = shell.run("bisect", "n0", "n1", "--network", cluster.name)
    assert "different" not in out.replace("no difference", "")
    shell.run("down", cluster.name, "--remove")


def test_files_that_are_none(shell):
    file = shell.state / "part.json"
    for text, words in (
        ('{"format": "evmesh-bisect 9"}', "reads 'evmesh-bisect 1'"),
        ('{"format": "evmesh-bisect 1", "genesis": {}}', "no repro file"),
    ):
        file.write_text(text)
        code, _, err = shell.run("replay", str(file))
        assert (code, words in err) == (2, True), err
