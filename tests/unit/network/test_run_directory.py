"""Run directories: names, links, finding them, refusing what is not ours."""

import json
import os
import stat

import pytest

from network.cluster import process, run_directory
from network.failures import BadInput, Busy, Failure


def test_names_are_two_words_and_new(make_run):
    name = run_directory.new_name()
    adjective, animal = name.split("-")
    assert adjective.isalpha()
    assert animal.isalpha()
    assert run_directory.check_name(name) == name


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "-x", "latest", "x" * 65, "a b", "ü", "..", "-"])
def test_names_that_leave_the_folder_are_refused(name):
    with pytest.raises(BadInput):
        run_directory.check_name(name)


def test_a_name_is_taken_once(make_run):
    make_run("brave-otter")
    with pytest.raises(Busy) as caught:
        run_directory.create("brave-otter")
    assert caught.value.exit_code == 5
    assert "--resume" in caught.value.hint


def test_what_is_written_reads_back(make_run):
    run = make_run(nodes=3)
    network = run.network()
    assert network.name == "test-run"
    assert [node.name for node in network.nodes] == ["n0", "n1", "n2"]
    assert all(node.role == "validator" for node in network.nodes)
    mode = stat.S_IMODE((run.path / "network.json").stat().st_mode)
    assert mode == 0o600
    assert network.mnemonic not in repr(network)
    with pytest.raises(BadInput, match="no node 'n9'"):
        run.node("n9")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8545"),
        ("0.0.0.0", "http://127.0.0.1:8545"),
        ("::", "http://[::1]:8545"),
        ("::1", "http://[::1]:8545"),
        ("10.0.0.5", "http://10.0.0.5:8545"),
    ],
)
def test_where_a_node_is_reached(host, url):
    assert run_directory.NodeEntry("n0", host, 8545, 30303, "", None).url == url


def test_finding(make_run, state_home):
    with pytest.raises(Failure, match="no network"):
        run_directory.find(None)
    first, second = make_run("one-run"), make_run("two-run")
    run_directory.mark_latest(first)
    run_directory.mark_latest(second)
    assert os.readlink(state_home / "latest") == "two-run"
    assert run_directory.find(None, must_run=False).name == "two-run"
    assert run_directory.find("one-run", must_run=False).name == "one-run"
    with pytest.raises(BadInput, match="no network is called"):
        run_directory.find("other")
    with pytest.raises(Failure, match="not running"):
        run_directory.find("one-run")
    me = process.record_of(os.getpid(), 1, 2)
    me.write(first.process_file("n0"))
    assert run_directory.find(None).name == "one-run"
    me.write(second.process_file("n0"))
    assert run_directory.find(None).name == "two-run", "the latest of several that run"
    second.process_file("n0").unlink()
    with pytest.raises(Busy, match="is running"):
        first.remove()
    first.process_file("n0").unlink()  # ours: the fixture would end this very process
    assert {run.name for run in run_directory.all_runs()} == {"one-run", "two-run"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "nodes": []}', '{"format": 1}'])
def test_broken_network_files_are_named(make_run, text):
    run = make_run()
    (run.path / "network.json").write_text(text)
    with pytest.raises(Failure, match=r"network\.json"):
        run.network()
    assert run.node_names() == []


def test_contracts_are_remembered(make_run):
    run = make_run()
    assert run.contracts() == {}
    run.add_contract("Counter", "0x" + "11" * 20, [])
    run.add_contract("Token", "0x" + "22" * 20, [])
    run.add_contract("Counter", "0x" + "33" * 20, [])
    assert {name: entry["address"][2:4] for name, entry in run.contracts().items()} == {"Counter": "33", "Token": "22"}
    run.contracts_file.write_text("{")
    with pytest.raises(Failure):
        run.contracts()


def test_writing_json_leaves_no_half_file(tmp_path):
    path = tmp_path / "x.json"
    process.write_json(path, {"a": 1})
    process.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]
