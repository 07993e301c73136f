"""Start a network's nodes, watch them, stop them.

The supervisor is no server: all it knows is in the run directory, so any shell can stop or restart what it
started. In the foreground it holds the fork server's pipe and reports nodes that end; detached it leaves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final

from network.cluster import byzantine, companion, links, process, readiness
from network.cluster.fault_board import Board, change_board, read_board
from network.cluster.observer import clients_of
from network.cluster.process import ProcessRecord
from network.cluster.run_directory import RunDirectory
from network.cluster.warm_server import WarmServer, exit_words
from network.failures import Failure
from network.faults.steered_clock import CLOCK_FILE

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
PEERS_SECONDS: Final = 3.0

Report = Callable[[str], None]


class Supervisor:
    """Starts and stops the nodes of one run directory."""

    def __init__(
        self, run: RunDirectory, report: Report = lambda text: None, shared_server: WarmServer | None = None
    ) -> None:
        """``shared_server`` starts the nodes of several networks: it outlives this one."""
        self.run = run
        self._report = report
        self._server: WarmServer | None = None
        self._shared = shared_server
        self._pids: dict[int, None] = {}
        self._judging = False
        self.watching = False
        """Whether ``watch`` has taken note of what runs."""

    def start(self, server: WarmServer | None = None, nodes: Sequence[str] | None = None) -> dict[str, ProcessRecord]:
        """Start nodes (all, unless named) and wait until each serves. On failure none of them is left running."""
        network = self.run.network()
        wanted = [node for node in network.nodes if nodes is None or node.name in nodes]
        if nodes is None:
            self._clear_faults()
        self._server = self._shared or server or WarmServer()
        self._server.report = self._report
        records: dict[str, ProcessRecord] = {}
        try:
            self._start_links()
            for node in wanted:
                self.run.output_file(node.name).unlink(missing_ok=True)  # an old ready line must not count
                self._server.start(
                    node.name,
                    self.run.config_file(node.name),
                    self.run.output_file(node.name),
                    self.run.log_file(node.name),
                )
            for node in wanted:
                pid = self._server.pid_of(node.name, START_SECONDS)
                record = _record(self.run, node.name, pid, node.http_port, node.p2p_port)
                records[node.name] = record
                self._pids[pid] = None
            readiness.wait_ready(self.run, records, START_SECONDS, self._fail_on_exit)
        except BaseException:
            self._kill_unrecorded([node.name for node in wanted if node.name not in records])
            process.kill_all(records.values())
            companion.stop_all(self.run)
            self._let_go()
            raise
        return records

    def _kill_unrecorded(self, names: Sequence[str]) -> None:
        """A server that lives on keeps the nodes that it was asked for, whether we have heard of them or not."""
        if self._shared is None:
            return
        for name in names:
            with contextlib.suppress(Failure):
                process.kill_all([process.record_of(self._shared.pid_of(name, 0.5), 0, 0)])

    def _clear_faults(self) -> None:
        """A network that is started as a whole has no faults; what was done to it the last time is over."""
        if read_board(self.run.path).faults:
            change_board(self.run.path, Board.cleared)
        for name in self.run.node_names():
            (self.run.node_dir(name) / CLOCK_FILE).unlink(missing_ok=True)

    def _start_links(self) -> None:
        """The links first: a node that dials too early has to wait before it dials again."""
        if links.Wiring.read(self.run.path) is not None:
            companion.start(self.run, companion.COMPANION_LINKS, self._server)
            companion.apply(self.run, read_board(self.run.path))

    def wait_connected(self) -> bool:
        """Wait until every node has all others as peers; False where some are still missing after a while."""
        clients = clients_of(self.run.network())
        try:
            return readiness.wait_peers(clients, len(clients) - 1, PEERS_SECONDS)
        finally:
            for client in clients:
                client.close()

    def judge(self) -> None:
        """Have the network's promises watched from now on, whoever leaves."""
        companion.violation_file(self.run).unlink(missing_ok=True)
        companion.start(self.run, companion.COMPANION_JUDGE, self._server)
        self._judging = True

    def open_page(self) -> None:
        """Have the network's page served, where it has one; it is there a moment later."""
        if self.run.network().page_port is not None:
            companion.start(self.run, companion.COMPANION_PAGE, self._server)

    def detach(self) -> None:
        """Leave the nodes running without us."""
        if self._server is not None:
            self._server.detach()
            self._server = None

    def watch(self) -> None:
        """Report nodes that end or come back, until none runs. Ctrl-C leaves by KeyboardInterrupt.

        Raises Disagreement when the judge finds a broken promise.
        """
        known = {name: record.pid for name, record in self.run.running().items()}
        self.watching = True
        while True:
            codes = {event["pid"]: event["code"] for event in (self._server.ended(0.25) if self._server else ())}
            if self._server is None:
                time.sleep(0.25)
            process.reap()
            companion.check_verdict(self.run)
            now = {name: record.pid for name, record in self.run.running().items()}
            for name, pid in known.items():
                if now.get(name) != pid:
                    self._report(f"{name} stopped{exit_words(codes.get(pid))}; evmesh restart {name} starts it again")
            for name, pid in now.items():
                if known.get(name) != pid:
                    self._report(f"{name} is running again (pid {pid})")
            known = now
            if not now:
                return
            if self._judging and companion.record_of(self.run, companion.COMPANION_JUDGE) is None:
                companion.check_verdict(self.run)
                companion.start(self.run, companion.COMPANION_JUDGE)
                log = companion.folder_of(self.run, companion.COMPANION_JUDGE) / "log"
                self._report(f"the judge had ended and was started again; its log: {log}")

    def stop(self, grace_seconds: float = STOP_SECONDS) -> list[str]:
        """Stop every node; returns those that had to be killed."""
        running = self.run.running()
        killed = process.stop_all([*running.values(), *byzantine.twins(self.run)], grace_seconds)
        companion.stop_all(self.run)
        self._let_go()
        process.reap()
        pids = {record.pid for record in killed}
        return [name for name, record in running.items() if record.pid in pids]

    def kill(self) -> None:
        """Stop every node at once, without asking."""
        process.kill_all([*self.run.running().values(), *byzantine.twins(self.run)])
        companion.stop_all(self.run, 0.0)
        self._let_go()

    def _let_go(self) -> None:
        if self._server is not None and self._server is not self._shared:
            self._server.close()
        self._server = None

    def _fail_on_exit(self) -> None:
        if self._server is None:
            return
        for event in self._server.ended():
            if event["pid"] not in self._pids:
                continue  # of a network that had the server before us
            raise readiness.startup_failure(
                self.run,
                str(event["node"]),
                f"stopped while it was starting{exit_words(event['code'])}",
                event["code"],
            )


def restart_node(run: RunDirectory, name: str, seconds: float = START_SECONDS) -> ProcessRecord:
    """Start one node that is not running, in a process of its own. Raises Failure."""
    node = run.node(name)
    record = run.record(name)
    if record is not None and record.alive:
        raise Failure(f"{name} is running already (pid {record.pid})", f"stop it first: evmesh kill {name}")
    if links.Wiring.read(run.path) is not None:
        companion.start(run, companion.COMPANION_LINKS)
    run.output_file(name).unlink(missing_ok=True)
    pid = process.spawn(byzantine.command_of(run, name), run.output_file(name), run.log_file(name))
    record = _record(run, name, pid, node.http_port, node.p2p_port)
    try:
        readiness.wait_ready(run, {name: record}, seconds, process.reap)
    except BaseException:
        process.kill_all([record])
        raise
    return record


def _record(run: RunDirectory, name: str, pid: int, http_port: int, p2p_port: int) -> ProcessRecord:
    try:
        record = process.record_of(pid, http_port, p2p_port)
    except Failure:
        raise readiness.startup_failure(run, name, "stopped as soon as it was started") from None
    record.write(run.process_file(name))
    return record
