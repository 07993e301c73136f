"""Networks begin, end, meet each other, and are left in no half state."""

import json
import os
import re
import signal
import socket
import time
import urllib.request

import pytest

from network.cluster import companion
from network.cluster.process import ProcessRecord, kill_all
from network.cluster.readiness import wait_height
from network.cluster.run_directory import RunDirectory


def wait_line(process, text, seconds=60):
    """Read standard output until a line has ``text``; all lines so far."""
    deadline = time.monotonic() + seconds
    lines = []
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if not line:
            break
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    raise AssertionError(f"no line with {text!r}; exit code {process.poll()}; {process.stderr.read()}\n{lines}")


def records(shell, name):
    folder = shell.state / "evmesh" / name
    return [ProcessRecord.read(path) for path in sorted(folder.glob("n*/process.json"))]


def gone(shell, name, seconds=10):
    deadline = time.monotonic() + seconds
    while any(record.alive for record in records(shell, name)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


FREE = ("--port", "0", "--p2p-port", "0", "--block-time", "0.25")


def test_foreground_and_ctrl_c(shell):
    process = shell.start("up", "--name", "front", "--nodes", "2", *FREE)
    lines = wait_line(process, "ready in")
    headings = [
        "Available Accounts",
        "Private Keys",
        "Wallet",
        "Chain ID",
        "Base Fee",
        "Gas Limit",
        "Genesis Timestamp",
    ]
    assert [line for line in lines if line in headings] == headings
    assert any(re.fullmatch(r"Listening on 127\.0\.0\.1:\d+", line.strip()) for line in lines), "tools look for it"
    page = next(line.split()[-1] for line in lines if line.startswith("Cluster page http://127.0.0.1:"))
    assert b"<!doctype html>" in urllib.request.urlopen(page, timeout=10).read()
    assert any("(0) 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 (10000.000" in line for line in lines)
    assert len(records(shell, "front")) == 2
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert gone(shell, "front")
    assert "--resume" in errors
    with pytest.raises(OSError):
        urllib.request.urlopen(page, timeout=10)


def test_ctrl_c_twice_is_at_once(shell):
    process = shell.start("up", "--name", "twice", "--nodes", "2", *FREE)
    wait_line(process, "ready in")
    for record in records(shell, "twice"):
        os.kill(record.pid, signal.SIGSTOP)  # they cannot stop in an orderly way now
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert gone(shell, "twice")


def test_nodes_end_with_a_killed_supervisor(shell):
    process = shell.start("up", "--name", "orphans", "--nodes", "2", *FREE)
    wait_line(process, "ready in")
    process.kill()
    process.communicate()
    assert gone(shell, "orphans", 20)


def test_down_from_another_shell_ends_the_foreground(shell):
    process = shell.start("up", "--name", "ended", "--nodes", "2", *FREE)
    wait_line(process, "ready in")
    assert shell.json("down", "ended")["stopped"][0]["nodes"] == ["n0", "n1"]
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "all nodes have stopped" in errors


def test_resume_goes_on_where_it_stopped(shell):
    first = shell.up("--name", "again")
    sent = first.json("send", "--from", "0", "--to", "1", "--value", "5eth", "--wait", "finalized")
    block = first.clients[0].block(int(sent["receipt"]["blockNumber"], 16))
    first.close()
    assert shell.json("down", "again")["stopped"][0]["killed"] == []
    code, _, err = shell.run("up", "-d", "--name", "again")
    assert (code, "--resume" in err) == (5, True)
    code, _, err = shell.run("up", "-d", "--resume", "--name", "again", "--nodes", "7")
    assert (code, "--nodes" in err) == (2, True)
    started = shell.json("up", "-d", "--resume", "--name", "again")
    assert [node["url"] for node in started["nodes"]] == [node["url"] for node in first.nodes]
    assert started["page"] == first.started["page"]
    kill_all([companion.record_of(RunDirectory(first.run_dir), companion.COMPANION_PAGE)])
    assert shell.json("page", "--network", "again")["url"] == first.started["page"]
    assert b"<!doctype html>" in urllib.request.urlopen(first.started["page"], timeout=10).read()
    for client in first.clients:
        assert client.block(int(sent["receipt"]["blockNumber"], 16))["hash"] == block["hash"]
    wait_height(first.clients[0], int(sent["receipt"]["blockNumber"], 16) + 2, 20)
    code, _, err = shell.run("up", "-d", "--resume", "--name", "again")
    assert (code, "is running" in err) == (5, True)
    first.close()
    shell.json("down", "again", "--remove")


def test_a_busy_port_is_named_with_its_holder(shell):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        code, out, _ = shell.run("up", "-d", "--port", str(port), "--p2p-port", "0", "--json")
    error = json.loads(out)["error"]
    assert (code, error["port"]) == (5, port)
    assert str(os.getpid()) in error["message"]
    assert "--port" in error["hint"]


def test_two_networks_on_default_ports(shell):
    for port in (8545, 8546, 30303, 30304):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                pytest.skip(f"port {port} of this machine is in use")
    one = shell.json("up", "-d", "--nodes", "2")
    two = shell.json("up", "-d", "--nodes", "2")
    assert one["nodes"][0]["url"] == "http://127.0.0.1:8545"
    assert two["nodes"][0]["url"] != one["nodes"][0]["url"]
    code, _, err = shell.run("down")
    assert (code, "several networks" in err) == (2, True)
    for network in (one, two):
        shell.json("down", network["name"], "--remove")


def test_one_node_alone(shell):
    alone = shell.up("--nodes", "1", "--consensus", "instant", "--name", "alone", "--no-page")
    assert alone.started["page"] is None
    sent = alone.json("send", "--from", "0", "--to", "1", "--value", "1eth", "--wait", "finalized")
    assert sent["receipt"]["status"] == "0x1"
    alone.close()
    shell.json("down", "alone", "--remove")


def test_a_follower_executes_without_a_vote(shell, tmp_path):
    manifest = tmp_path / "evmesh.toml"
    manifest.write_text("[network]\nnodes = 4\n[node.n3]\nvalidator = false\n")
    one = shell.up("--config", str(manifest))
    assert one.nodes[3]["role"] == "follower"
    sent = one.json("send", "--from", "0", "--to", "1", "--value", "1eth", "--node", "n3", "--wait", "finalized")
    assert sent["receipt"]["status"] == "0x1"
    one.close()
    shell.json("down", one.name, "--remove")


def test_a_geth_genesis_file(shell, tmp_path):
    genesis = tmp_path / "genesis.json"
    genesis.write_text(
        json.dumps(
            {
                "config": {
                    "chainId": 777,
                    "terminalTotalDifficulty": 0,
                    "shanghaiTime": 0,
                    "cancunTime": 0,
                    "blobSchedule": {"cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477}},
                },
                "gasLimit": "0x1c9c380",
                "difficulty": "0x0",
                "timestamp": "0x1",
                "alloc": {"f39Fd6e51aad88F6F4ce6aB8827279cffFb92266": {"balance": "0xde0b6b3a7640000"}},
            }
        )
    )
    one = shell.up("--genesis", str(genesis), "--nodes", "2", block_time=1)
    assert one.chain_id == 777
    assert int(one.clients[0].call("eth_chainId"), 16) == 777
    assert one.clients[1].balance(one.accounts[0].address) == 10**18
    sent = one.json("send", "--from", "0", "--to", "1", "--value", "0.5eth", "--wait", "finalized")
    assert sent["receipt"]["status"] == "0x1"
    one.close()
    shell.json("down", one.name, "--remove")
