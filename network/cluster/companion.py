"""Processes that belong to a network and are no nodes: they start before the nodes and end after them.

    links    carries the connections between the nodes (link_process.py)
    judge    compares what the nodes say (judge_process.py)
    page     shows the network in a browser (network/page)

Each has a folder of its name in the run directory with ``process.json`` and ``log``.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Final

from network.cluster import ports, process
from network.cluster.fault_board import Board
from network.cluster.process import ProcessRecord, send_signal
from network.cluster.run_directory import PAGE_HOST, RunDirectory
from network.cluster.warm_server import WarmServer
from network.failures import Disagreement, Failure, TimedOut

COMPANION_LINKS: Final = "links"
COMPANION_JUDGE: Final = "judge"
COMPANION_PAGE: Final = "page"
COMPANIONS: Final = (COMPANION_PAGE, COMPANION_JUDGE, COMPANION_LINKS)
"""In the order in which they are stopped."""
_MODULES: Final = {
    COMPANION_LINKS: "network.cluster.link_process",
    COMPANION_JUDGE: "network.cluster.judge_process",
    COMPANION_PAGE: "network.page.process",
}
APPLY_SECONDS: Final = 10.0
START_SECONDS: Final = 30.0
"""On a machine with many others at work the fork server alone takes long to load."""
PAGE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.005


def folder_of(run: RunDirectory, name: str) -> Path:
    """Where a companion's files are."""
    return run.path / name


def applied_file(run: RunDirectory) -> Path:
    """Where the link process says which generation of faults it has carried out."""
    return folder_of(run, COMPANION_LINKS) / "applied"


def violation_file(run: RunDirectory) -> Path:
    """What the judge has found."""
    return run.path / "violation.json"


def check_verdict(run: RunDirectory) -> None:
    """Raises Disagreement where the judge has found a broken promise since the network was started."""
    try:
        content = json.loads(violation_file(run).read_text("utf-8"))
        sentence = str(content["sentence"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    raise Disagreement(sentence, f"the nodes' logs are in {run.path}", invariant=content.get("invariant"))


def read_applied(run: RunDirectory) -> tuple[int, int]:
    """(generation, pid) that the link process wrote last; (-1, 0) where it never did."""
    try:
        content = json.loads(applied_file(run).read_text("utf-8"))
        return int(content["generation"]), int(content["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1, 0


def record_of(run: RunDirectory, name: str) -> ProcessRecord | None:
    """A companion's process, where it runs."""
    record = ProcessRecord.read(folder_of(run, name) / "process.json")
    return record if record is not None and record.alive else None


def start(run: RunDirectory, name: str, server: WarmServer | None = None) -> ProcessRecord:
    """Start a companion (through the fork server where there is one), unless it runs. Raises Failure."""
    running = record_of(run, name)
    if running is not None:
        return running
    folder = folder_of(run, name)
    folder.mkdir(exist_ok=True)
    if name == COMPANION_LINKS:
        applied_file(run).unlink(missing_ok=True)
    output, log = folder / "out", folder / "log"
    if server is not None:
        server.start(name, run.path, output, log, entry=f"{_MODULES[name]}:run")
        pid = server.pid_of(name, START_SECONDS)
    else:
        pid = process.spawn([sys.executable, "-m", _MODULES[name], str(run.path)], output, log)
    try:
        record = process.record_of(pid, (run.network().page_port or 0) if name == COMPANION_PAGE else 0, 0)
    except Failure:
        raise _gone(run, name) from None
    record.write(folder / "process.json")
    return record


def page_log(run: RunDirectory) -> Path:
    """Where the page says what went wrong."""
    return folder_of(run, COMPANION_PAGE) / "log"


def wait_page(run: RunDirectory, port: int) -> bool:
    """Wait until the page is served at a port of this machine; False where its process ends, or for too long."""
    deadline = time.monotonic() + PAGE_SECONDS
    while record_of(run, COMPANION_PAGE) is not None and time.monotonic() < deadline:
        if not ports.is_free(PAGE_HOST, port):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def stop_all(run: RunDirectory, grace_seconds: float = 2.0) -> None:
    """Stop every companion of a network."""
    for name in COMPANIONS:  # the judge first: it starts the links again when they end
        record = record_of(run, name)
        if record is not None:
            process.stop_all([record], grace_seconds)


def apply(run: RunDirectory, board: Board) -> None:
    """Have the link process carry out the board, and wait until it has. Raises Failure, TimedOut."""
    record = start(run, COMPANION_LINKS)
    deadline = time.monotonic() + APPLY_SECONDS
    told = False
    while True:
        generation, pid = read_applied(run)
        if pid == record.pid and generation >= board.generation:
            return
        if pid == record.pid and not told:  # it listens for the signal from its first word on
            told = send_signal(record, signal.SIGHUP)
        process.reap()
        if not record.alive:
            raise _gone(run, COMPANION_LINKS)
        if time.monotonic() > deadline:
            raise TimedOut("the link process does not answer", f"its log: {folder_of(run, COMPANION_LINKS) / 'log'}")
        time.sleep(_POLL_SECONDS)


def _gone(run: RunDirectory, name: str) -> Failure:
    log = folder_of(run, name) / "log"
    shown = "".join(f"\n  {line}" for line in process.tail(log, 5))
    return Failure(f"the network's {name} process has ended{shown}", f"its log: {log}")
