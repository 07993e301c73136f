"""The command line where no node is needed: help, mistakes, exit codes, JSON."""

import json

import pytest

from network.__main__ import run
from network.cli import group


def outcome(capsys, *words):
    code = run(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("name", list(group._COMMANDS))
def test_every_command_has_help_with_examples_and_json(capsys, name):
    code, out, _ = outcome(capsys, name, "--help")
    assert code == 0
    assert "--json" in out
    assert "Examples" in out or name == "version"


def test_help_lists_all_commands_without_importing_them(capsys):
    code, out, _ = outcome(capsys, "--help")
    assert code == 0
    assert all(name in out for name in group._COMMANDS)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["sned"], 2, "did you mean send"),
        (["up", "--nodes", "x"], 2, "integer"),
        (["up", "--nodes", "0"], 2, "1 to 64"),
        (["up", "--consensus", "bfd"], 2, "bft"),
        (["up", "--consensus", "instant"], 2, "--nodes 1"),
        (["up", "--block-time", "-1"], 2, "block_time"),
        (["up", "--fund", "x"], 2, "ADDRESS:ETHER"),
        (["up", "--mnemonic", "a b"], 2, "words"),
        (["up", "--config", "/none.toml"], 2, "cannot be read"),
        (["up", "--genesis", "/none.json", "--port", "0", "--p2p-port", "0"], 2, "cannot be read"),
        (["up", "--resume"], 1, "evmesh up"),
        (["up", "--resume", "--clean"], 2, "exclude"),
        (["up", "--name", "../x"], 2, "network name"),
        (["down"], 1, "no network is running"),
        (["down", "nobody"], 2, "no network is called"),
        (["status"], 1, "evmesh up"),
        (["logs"], 1, "evmesh up"),
        (["accounts"], 1, "evmesh up"),
        (["send", "--to", "1", "--value", "1btc"], 2, "not an amount"),
        (["send", "--to", "1", "--data", "0x1"], 2, "odd length"),
        (["send"], 2, "--to"),
        (["deploy", "Nothing"], 2, "no such artifact"),
        (["deploy", "DemoToken"], 2, "takes 1 arguments"),
        (["call", "Counter.number"], 1, "evmesh up"),
        (["call", "Counter.number", "--block", "soon"], 2, "no block"),
        (["kill", "n0"], 1, "no network is running"),
        (["restart", "n0"], 1, "no network"),
        (["env"], 1, "no network is running"),
        (["completion", "csh"], 2, "csh"),
    ],
)
def test_mistakes_have_a_code_and_a_next_step(capsys, words, code, said):
    got, out, err = outcome(capsys, *words)
    assert got == code
    assert said in err
    assert out == ""


def test_failures_as_json(capsys):
    code, out, err = outcome(capsys, "down", "--json")
    assert code == 1
    assert json.loads(out)["error"]["exit_code"] == 1
    assert "hint" in json.loads(out)["error"]
    assert err


def test_listing_stopped_networks(capsys, make_run):
    code, out, _ = outcome(capsys, "ls")
    assert "no network yet" in out
    make_run("some-run")
    code, out, _ = outcome(capsys, "ls", "--json")
    assert code == 0
    assert [(one["name"], one["state"]) for one in json.loads(out)] == [("some-run", "stopped")]
    code, out, _ = outcome(capsys, "ls")
    assert "some-run" in out


def test_a_stopped_network_can_be_looked_at(capsys, make_run):
    run_dir = make_run("some-run")
    run_dir.log_file("n0").write_text("00:00:02.000 INFO n0 second\n")
    run_dir.log_file("n1").write_text("00:00:01.000 INFO n1 first\n")
    code, out, _ = outcome(capsys, "logs", "--network", "some-run")
    assert (code, out) == (0, "00:00:01.000 INFO n1 first\n00:00:02.000 INFO n0 second\n")
    code, out, _ = outcome(capsys, "logs", "n0", "--network", "some-run", "--json")
    assert json.loads(out) == {"node": "n0", "line": "00:00:02.000 INFO n0 second"}
    code, out, _ = outcome(capsys, "accounts", "--network", "some-run", "--json")
    accounts = json.loads(out)
    assert accounts[0]["balance_wei"] == str(10_000 * 10**18)
    assert "private_key" not in accounts[0]
    code, out, _ = outcome(capsys, "status", "--network", "some-run", "--json")
    assert {node["state"] for node in json.loads(out)["nodes"]} == {"stopped"}
    code, out, _ = outcome(capsys, "down", "some-run", "--remove")
    assert code == 0
    assert not run_dir.path.exists()


def test_a_failed_start_leaves_no_directory(capsys, state_home, tmp_path):
    broken = tmp_path / "g.json"
    broken.write_text("{}")
    code, _, err = outcome(capsys, "up", "--genesis", str(broken), "--port", "0", "--p2p-port", "0")
    assert code == 2
    assert "config" in err
    assert [entry for entry in state_home.iterdir() if entry.name != "latest"] == []


def test_provisioning_for_containers(capsys, tmp_path):
    code, out, _ = outcome(capsys, "provision", "--compose", str(tmp_path / "c"), "--nodes", "3", "--json")
    assert code == 0
    assert json.loads(out)["nodes"] == ["n0", "n1", "n2"]


def test_version_and_completion(capsys):
    assert outcome(capsys, "version")[1].startswith("evmesh 0.")
    assert "_EVMESH_COMPLETE" in outcome(capsys, "completion", "bash")[1]
