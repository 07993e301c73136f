"""What commands look like on a terminal, and that pipes stay plain."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from network.cli import completing
from network.cli.progress import progress
from network.cli.status_table import Pace
from network.cluster.observer import NodeStatus

ROOT = Path(__file__).resolve().parents[3]

BAR = """
import sys
from network.cli.progress import progress
with progress("work", 3) as bar:
    for step in (1, 2, 3):
        bar.at(step, "step")
        print("data", step, flush=True)
"""
TABLE = """
from network.cli.live import live
from network.cli.output import Output
with live(Output()) as screen:
    for head in ("7", "8"):
        screen.show(["node", "head"], [["n0", head], ["n1", "stopped"]], "✔ all agree", above=["network x"])
"""


def on_a_terminal(program, only_stderr=False):
    """(what a program writes to a terminal, what to a pipe)."""
    master, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=slave,
        stdout=subprocess.PIPE if only_stderr else slave,
        stderr=slave,
        env=environment,
    )
    os.close(slave)
    shown = b""
    while True:
        readable, _, _ = select.select([master], [], [], 60)
        try:
            chunk = os.read(master, 65_536) if readable else b""
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    piped = process.stdout.read() if process.stdout else b""
    if process.stdout:
        process.stdout.close()
    assert process.wait(60) == 0, shown
    os.close(master)
    return shown.decode(), piped.decode()


def test_a_bar_on_a_terminal_leaves_data_to_the_pipe():
    shown, piped = on_a_terminal(BAR, only_stderr=True)
    assert piped == "data 1\ndata 2\ndata 3\n"
    assert "work" in shown
    assert "\x1b[" in shown


def test_no_bar_without_a_terminal():
    done = subprocess.run(
        [sys.executable, "-c", BAR], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.stdout, done.stderr) == ("data 1\ndata 2\ndata 3\n", "")


def test_progress_without_a_terminal_speaks_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr("network.cli.progress.LINE_SECONDS", 0)
    with progress("work", 2) as bar:
        bar.at(1, "half")
    with progress("work", 2, quiet=True) as bar:
        bar.at(1)
    assert capsys.readouterr().err == "work: 1 of 2  half\n"


def test_a_live_table_is_drawn_over():
    shown, _ = on_a_terminal(TABLE)
    assert shown.count("network x") >= 2
    assert "\x1b[1A" in shown  # it went up to where the first one began
    assert shown.index("7") < shown.index("\x1b[1A") < shown.rindex("8")


def test_a_table_in_a_pipe_is_plain():
    done = subprocess.run(
        [sys.executable, "-c", TABLE], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    table = ["node  head", "n0    {}", "n1    stopped  ✔ all agree"]
    assert done.stdout.splitlines() == [line.format(head) for head in (7, 8) for line in table]


def status(head):
    return NodeStatus("n0", "validator", "", 1, "running", head=head)


def test_pace():
    pace = Pace()
    assert pace.of([status(10)], now=0.0) == {"n0": "-"}
    assert pace.of([status(12)], now=2.0) == {"n0": "1.0"}
    assert pace.of([status(None)], now=3.0) == {"n0": "-"}
    assert pace.of([status(20)], now=4.0) == {"n0": "-"}
    assert pace.of([status(21)], now=4.5) == {"n0": "2.0"}


class Context:
    def __init__(self, **params):
        self.params = params


def test_what_the_shell_offers(make_run):
    run = make_run("offered", nodes=3)
    context = Context(network_name="offered")
    assert completing.node_names(context, None, "") == ["n0", "n1", "n2"]
    assert completing.node_names(context, None, "n0,n") == ["n0,n0", "n0,n1", "n0,n2"]
    assert completing.node_names(Context(network_name="nobody"), None, "") == []
    assert completing.network_names(Context(), None, "off") == ["offered"]
    run.add_contract("Counter", "0x" + "11" * 20, [{"type": "function", "name": "number"}, {"type": "event"}])
    assert completing.functions(context, None, "Counter.n") == ["Counter.number"]


@pytest.mark.parametrize(("words", "offered"), [("evmesh sna", "snapshot"), ("evmesh kill ", "n1")])
def test_completion_as_bash_asks_for_it(make_run, words, offered, state_home):
    make_run("offered")
    position = words.count(" ")
    done = subprocess.run(
        [sys.executable, "-m", "network"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_NETWORK_COMPLETE": "",
            "_EVMESH_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
            "EVMESH_NETWORK": "offered",
            "XDG_STATE_HOME": str(state_home.parent),
        },
    )
    assert f"plain,{offered}" in done.stdout, done.stderr + done.stdout


def test_json_documents_are_not_decorated():
    done = subprocess.run(
        [sys.executable, "-m", "network", "doctor", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert json.loads(done.stdout)["checks"]
