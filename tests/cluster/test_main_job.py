"""The main job, as scripts/run starts it."""

import json


def test_the_main_job_agrees_and_stops(shell):
    code, out, err = shell.run("demo", "--once", "--port", "0", "--p2p-port", "0", "--block-time", "0.5", timeout=120)
    assert code == 0, err + shell.logs()
    rows = [line.split() for line in out.splitlines() if line.startswith("n")][1:5]
    assert [row[0] for row in rows] == ["n0", "n1", "n2", "n3"]
    assert len({tuple(row[2:6]) for row in rows}) == 1
    assert "✔ all agree" in out
    assert "ERC20InsufficientBalance(sender=" in out
    assert "200 transfers final on 4 nodes" in out
    assert "submitted 200 to n0, n1, n2, n3 in turn" in err
    assert all(one["state"] == "stopped" for one in shell.json("ls"))


def test_as_json_it_leaves_the_network_up(shell):
    code, out, err = shell.run("demo", "--json", "--port", "0", "--p2p-port", "0", "--block-time", "0.5", timeout=120)
    assert code == 0, err + shell.logs()
    verdict = json.loads(out)
    assert verdict["agree"]
    assert verdict["differences"] == []
    assert len(verdict["urls"]) == 4
    assert {row["equal"] for row in verdict["rows"]} == {True}
    assert {row["balance"] for row in verdict["rows"]} == {verdict["expected_balance"]}
    assert shell.json("ls")[0]["state"] in ("running", "stopped")
    shell.json("down", verdict["network"], "--remove")
