"""Real processes: fork server, supervisor, stopping, and never the wrong pid."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from network.client import NodeClient, NodeUnreachable
from network.cluster import process
from network.cluster.fork_server import load_entry
from network.cluster.observer import clients_of, compare, observe
from network.cluster.process import ProcessRecord, record_of, send_signal, start_time_of
from network.cluster.readiness import parse_ready, wait_ready, wait_until
from network.failures import Failure, TimedOut
from node.evm.native import choice, llvm, object_file


@pytest.fixture
def sleeper():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def test_a_process_is_named_by_pid_and_start_time(sleeper, tmp_path):
    record = record_of(sleeper.pid, 1, 2)
    record.write(tmp_path / "process.json")
    assert ProcessRecord.read(tmp_path / "process.json") == record
    assert record.alive
    sleeper.kill()
    sleeper.wait()
    assert not record.alive
    assert not send_signal(record, signal.SIGTERM)


def test_a_zombie_does_not_count_as_running(sleeper):
    record = record_of(sleeper.pid, 1, 2)
    sleeper.kill()
    assert process.wait_gone([record], 5) == []  # not waited for yet: a zombie
    with pytest.raises(Failure, match="ended"):
        record_of(sleeper.pid, 1, 2)


def test_a_reused_pid_is_never_signalled(sleeper):
    stranger = ProcessRecord(sleeper.pid, "another start time", 1, 2)
    assert not stranger.alive
    assert not send_signal(stranger, signal.SIGKILL)
    assert process.stop_all([stranger], 0.1) == []
    process.kill_all([stranger])
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_torn_records_are_none(tmp_path, text):
    path = tmp_path / "process.json"
    path.write_text(text)
    assert ProcessRecord.read(path) is None


def test_start_time_of_nobody():
    assert start_time_of(2**22 + 12345) is None


def test_up_and_down(make_run, stand_in, supervisor_of):
    run = make_run()
    supervisor = supervisor_of(run)
    records = supervisor.start(stand_in())
    assert len({record.pid for record in records.values()} | {os.getpid()}) == 3
    assert set(run.running()) == {"n0", "n1"}
    assert supervisor.wait_connected()
    assert [one.state for one in observe(run)] == ["running", "running"]
    assert observe(run)[0].head == 5
    assert os.getsid(records["n0"].pid) == records["n0"].pid, "a node has a session of its own"
    assert supervisor.stop() == []
    assert run.running() == {}
    assert "n0 stops" in run.log_file("n0").read_text()
    assert [one.state for one in observe(run)] == ["stopped", "stopped"]


def test_detached_nodes_outlive_the_fork_server(make_run, stand_in, supervisor_of):
    run = make_run()
    supervisor = supervisor_of(run)
    supervisor.start(stand_in())
    supervisor.detach()
    time.sleep(0.1)
    assert set(run.running()) == {"n0", "n1"}
    other_shell = supervisor_of(run)
    assert other_shell.stop() == []
    assert run.running() == {}


def test_nodes_stop_when_the_supervisor_dies_without_a_word(make_run, stand_in, supervisor_of):
    run = make_run()
    server = stand_in()
    records = supervisor_of(run).start(server)
    server.close()  # what the kernel does to the pipe of a killed supervisor
    assert process.wait_gone(records.values(), 5) == []


def test_a_node_that_crashes_at_start_shows_its_log_and_stops_the_others(make_run, stand_in, supervisor_of):
    run = make_run()
    (run.node_dir("n1") / "behaviour").write_text("crash")
    with pytest.raises(Failure) as caught:
        supervisor_of(run).start(stand_in())
    assert "n1" in caught.value.message
    assert "the database is not mine" in caught.value.message
    assert str(run.log_file("n1")) in caught.value.hint
    assert run.running() == {}


def test_a_node_that_never_gets_ready_is_a_timeout(make_run, stand_in):
    run = make_run()
    (run.node_dir("n1") / "behaviour").write_text("silent")
    server = stand_in()
    records = {}
    for name in run.node_names():
        server.start(name, run.config_file(name), run.output_file(name), run.log_file(name))
        records[name] = record_of(server.pid_of(name, 10), 1, 2)
        records[name].write(run.process_file(name))
    with pytest.raises(TimedOut, match="n1 not ready"):
        wait_ready(run, records, 1.0)


def test_a_stubborn_node_is_killed_in_the_end(make_run, stand_in, supervisor_of):
    run = make_run()
    (run.node_dir("n0") / "behaviour").write_text("stubborn")
    supervisor = supervisor_of(run)
    supervisor.start(stand_in())
    assert supervisor.stop(grace_seconds=0.5) == ["n0"]
    assert run.running() == {}


def test_a_paused_node_stops_too(make_run, stand_in, supervisor_of):
    run = make_run()
    supervisor = supervisor_of(run)
    records = supervisor.start(stand_in())
    send_signal(records["n0"], signal.SIGSTOP)
    wait_until(lambda: [one.state for one in observe(run)] == ["paused", "running"], 5, "n0 is paused")
    assert supervisor.stop() == []


def test_watch_reports_who_ended_and_why(make_run, stand_in, supervisor_of):
    run = make_run()
    supervisor = supervisor_of(run)
    records = supervisor.start(stand_in())
    watching = threading.Thread(target=supervisor.watch)
    watching.start()
    wait_until(lambda: supervisor.watching, 5, "the supervisor watches")
    send_signal(records["n1"], signal.SIGKILL)
    wait_until(lambda: len(supervisor_of.said) == 1, 5, "n1 is reported")
    send_signal(records["n0"], signal.SIGTERM)
    watching.join(10)
    assert not watching.is_alive()
    assert "n1 stopped (killed by signal 9); evmesh restart n1" in supervisor_of.said[0]
    assert "n0 stopped (exit code 0)" in supervisor_of.said[1]


def test_a_node_program_that_does_not_load_says_why(make_run, stand_in, supervisor_of):
    run = make_run()
    with pytest.raises(Failure) as caught:
        supervisor_of(run).start(stand_in("no_such_module:run"))
    assert "no_such_module" in caught.value.message


def test_entry_points():
    assert load_entry("network.cluster.fork_server:main").__name__ == "main"


def test_ready_lines():
    ready = parse_ready("ready http=http://127.0.0.1:8545 p2p=127.0.0.1:30303 id=ab12")
    assert (ready.http, ready.p2p, ready.node_id) == ("http://127.0.0.1:8545", "127.0.0.1:30303", "ab12")
    assert parse_ready("ready to go") is None
    assert parse_ready("") is None


def test_comparison_is_at_one_height_and_names_who_is_silent(make_run, stand_in, supervisor_of):
    run = make_run()
    supervisor = supervisor_of(run)
    records = supervisor.start(stand_in())
    clients = clients_of(run.network(), 2.0)
    comparison = compare(clients, [])
    assert (comparison.height, comparison.agree) == (5, True)
    assert [reading.head for reading in comparison.readings] == [5, 6]
    process.kill_all([records["n1"]])
    comparison = compare(clients, [])
    assert not comparison.agree
    assert comparison.differing() == ["n1"]
    supervisor.stop()
    with pytest.raises(Failure, match="no node answers"):
        compare(clients, [])
    with pytest.raises(NodeUnreachable):
        NodeClient(clients[0].url).block_number()
    for client in clients:
        client.close()


@pytest.mark.skipif(not llvm.is_installed(), reason="no llvmlite for this Python")
def test_the_first_start_compiles_the_evm_once_and_says_so(make_run, stand_in, supervisor_of, monkeypatch, tmp_path):
    """In the fork server, before any node: nodes find it in memory, later networks in the cache."""
    monkeypatch.setenv(object_file.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    for name in ("first", "second"):
        supervisor = supervisor_of(make_run(name))
        supervisor.start(stand_in())
        supervisor.stop()
        process.reap()
    assert supervisor_of.said == [object_file.COMPILING]
    assert len(list(tmp_path.glob("native/*.o"))) == 1
