"""Wait for processes and chains: the ready line, peers, a height, finality. Every wait has a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from network.client import NodeClient, NodeUnreachable
from network.cluster.process import ProcessRecord, tail
from network.cluster.run_directory import RunDirectory
from network.failures import EXIT_BUSY, Busy, Failure, TimedOut

LOG_TAIL_LINES: Final = 15
_POLL_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class ReadyLine:
    """What a node prints on standard output once it serves."""

    http: str
    p2p: str
    node_id: str


def parse_ready(line: str) -> ReadyLine | None:
    """``ready http=http://127.0.0.1:8545 p2p=127.0.0.1:30303 id=<hex>``, else None."""
    words = line.split()
    if not words or words[0] != "ready":
        return None
    fields = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    if not {"http", "p2p", "id"} <= fields.keys():
        return None
    return ReadyLine(fields["http"], fields["p2p"], fields["id"])


def read_ready(run: RunDirectory, node: str) -> ReadyLine | None:
    """The ready line that a node has printed, or None so far."""
    for line in tail(run.output_file(node), 50):
        ready = parse_ready(line)
        if ready is not None:
            return ready
    return None


def startup_failure(run: RunDirectory, node: str, what: str, code: int | None = None) -> Failure:
    """A node that did not come up: why, the end of its log, and where the rest is. A node's code 5 stays one."""
    lines = tail(run.log_file(node), LOG_TAIL_LINES) + tail(run.output_file(node), 3)
    shown = "".join(f"\n  {line}" for line in lines)
    kind = Busy if code == EXIT_BUSY else Failure
    return kind(f"{node} {what}{shown}", f"its whole log: {run.log_file(node)}", node=node)


def wait_ready(
    run: RunDirectory,
    records: Mapping[str, ProcessRecord],
    seconds: float,
    watch: Callable[[], None] = lambda: None,
) -> dict[str, ReadyLine]:
    """Wait for every node's ready line. ``watch`` is called between looks and may raise. Raises Failure, TimedOut."""
    deadline = time.monotonic() + seconds
    ready: dict[str, ReadyLine] = {}
    while True:
        watch()
        for node, record in records.items():
            if node in ready:
                continue
            line = read_ready(run, node)
            if line is not None:
                ready[node] = line
            elif not record.alive:
                raise startup_failure(run, node, "stopped while it was starting")
        if len(ready) == len(records):
            return ready
        if time.monotonic() > deadline:
            missing = [node for node in records if node not in ready]
            lines = "".join(f"\n  {line}" for line in tail(run.log_file(missing[0]), LOG_TAIL_LINES))
            raise TimedOut(
                f"{', '.join(missing)} not ready after {seconds:g} s{lines}", f"see {run.log_file(missing[0])}"
            )
        time.sleep(_POLL_SECONDS)


def wait_until(condition: Callable[[], bool], seconds: float, what: str, poll_seconds: float = 0.02) -> None:
    """Wait until the condition holds; a node that does not answer counts as not yet. Raises TimedOut."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except NodeUnreachable:
            pass
        if time.monotonic() > deadline:
            raise TimedOut(f"{what}: not within {seconds:g} s", "evmesh status shows where each node stands")
        time.sleep(poll_seconds)


def wait_height(client: NodeClient, height: int, seconds: float, tag: str = "latest") -> None:
    """Wait until a node's latest (or finalized) block has at least this number."""
    wait_until(lambda: client.block_number(tag) >= height, seconds, f"{client.url}: {tag} block {height}")


def wait_peers(clients: list[NodeClient], peers: int, seconds: float) -> bool:
    """Wait until every node has ``peers`` peers; False where some have fewer in the end."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if all(client.peer_count() >= peers for client in clients):
                return True
        except NodeUnreachable:
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
