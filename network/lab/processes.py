"""A network for programs on real processes: the supervisor, links, judge and fault hands of the command line.

Each network has a run directory and ports of its own, so any number of them may run at once; ``evmesh status
--network NAME`` and all other commands work on it while it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from network.client import NodeClient
from network.cluster import companion, fault_hands
from network.cluster.observer import paused_nodes
from network.cluster.process import tail
from network.cluster.readiness import wait_until
from network.cluster.run_directory import RunDirectory
from network.cluster.supervisor import Supervisor
from network.cluster.warm_server import WarmServer
from network.failures import Busy
from network.faults.vocabulary import FaultAction
from network.lab.defaults import with_defaults
from network.lab.members import Node
from network.lab.net import Net, Which
from network.manifest import Manifest
from network.provision import SEED_BYTES, begin, funded_accounts

START_TRIES: Final = 3
LOG_LINES: Final = 15


class ProcessNet(Net):
    """A network of node processes that are this program's own."""

    def __init__(self, run: RunDirectory, supervisor: Supervisor, keep: bool = False) -> None:
        """``keep`` leaves the run directory where it is."""
        network = run.network()
        self.run = run
        self._supervisor = supervisor
        self._keep = keep
        self._closed = False
        accounts = funded_accounts(network)
        super().__init__(
            [
                Node(index, node.name, node.url, NodeClient(node.url, node.name), accounts)
                for index, node in enumerate(network.nodes)
            ],
            accounts,
            network.chain_id,
        )

    @property
    def running(self) -> tuple[Node, ...]:
        """Nodes that can be asked: neither killed nor paused."""
        records = self.run.running()
        paused = paused_nodes(self.run, records)
        return tuple(node for node in self.nodes if node.name in records and node.name not in paused)

    def wait_until(
        self, condition: Callable[[], bool], seconds: float | None = None, what: str = "the condition"
    ) -> None:
        """Let time pass until the condition holds; nodes that do not answer count as not yet. Raises TimedOut."""
        wait_until(condition, self.wait_seconds if seconds is None else seconds, what)
        companion.check_verdict(self.run)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def begin(self, fault: FaultAction) -> None:
        """Put a fault on. Raises Failure."""
        fault_hands.begin(self.run, fault)

    def end(self, fault: FaultAction) -> None:
        """End a fault that lasts. Raises Failure."""
        fault_hands.end(self.run, fault)

    def _cut(self, faults: Sequence[FaultAction]) -> None:
        fault_hands.cut(self.run, faults, "")

    def heal(self) -> None:
        """End every fault of the links: cuts, delays, losses. Nodes that were killed come back with ``restart``."""
        fault_hands.heal(self.run)

    def restart(self, which: Which, wait: bool = True) -> None:
        """Start a node anew (killing it first where it runs); with ``wait`` until it has the others' head."""
        node = self[which]
        fault_hands.stop(self.run, node.name, hard=True)
        fault_hands.start(self.run, node.name)
        node.client.close()
        if wait:
            self._catch_up(node)

    def honest(self, which: Which) -> None:
        """End a node's lies."""
        fault_hands.end_lies(self.run, self[which].name)

    def newest(self, lines: int = LOG_LINES) -> str:
        """What the nodes wrote last, for the report of a failure."""
        parts: list[str] = []
        for node in self.nodes:
            parts += [f"--- {self.run.log_file(node.name)}", *tail(self.run.log_file(node.name), lines)]
        return "\n".join(parts)

    def close(self, check: bool = True) -> None:
        """End everything. With ``check`` raises Disagreement where the network had broken a promise."""
        if self._closed:
            return
        self._closed = True
        for node in self.nodes:
            node.client.close()
        try:
            if self._keep:
                self._supervisor.stop()
            else:
                self._supervisor.kill()  # nobody will read what they leave
            if check:
                companion.check_verdict(self.run)
        finally:
            if not self._keep:
                self.run.remove()


def start_processes(
    settings: Mapping[str, Any],
    server: WarmServer | None = None,
    seed: int | None = None,
    keep: bool = False,
    home: Path | None = None,
) -> ProcessNet:
    """Start a network of the manifest's settings (``network/manifest.py``). Raises Failure.

    ``server`` is a fork server that outlives it; ``seed`` decides its keys, and with them who proposes when; ``home``
    is where its run directory shall be.
    """
    manifest = Manifest().with_values(with_defaults(settings), "Network").checked()
    secret = None if seed is None else (seed % 2 ** (8 * SEED_BYTES)).to_bytes(SEED_BYTES, "big")
    for tries_left in reversed(range(START_TRIES)):
        run = begin(manifest, seed=secret, home=home)
        supervisor = Supervisor(run, shared_server=server)
        try:
            supervisor.start()
            supervisor.open_page()
            supervisor.wait_connected()
            supervisor.judge()
            return ProcessNet(run, supervisor, keep)
        except Busy:
            # between our look and the node's start somebody took the port
            supervisor.kill()
            run.remove()
            if not tries_left or "port" in settings or "p2p_port" in settings:
                raise
        except BaseException:
            supervisor.kill()
            run.remove()
            raise
    raise AssertionError("unreachable")
