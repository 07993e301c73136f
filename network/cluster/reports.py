"""What every node says of its consensus at one time, beside what is known of its process and its faults."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from network.client import NodeClient, ask_all
from network.cluster.fault_board import ActiveFault, Board, read_board
from network.cluster.observer import clients_of, paused_nodes
from network.cluster.run_directory import RunDirectory
from network.faults.kinds import Group
from network.faults.link_faults import cut_links, spoiled_links


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node. ``status`` and ``consensus`` are empty while it does not answer."""

    name: str
    state: str
    """running, paused, stopped, or not answering"""
    status: Mapping[str, Any] = field(default_factory=dict)
    """``evmesh_status``"""
    consensus: Mapping[str, Any] = field(default_factory=dict)
    """``evmesh_consensus``"""
    answer_ms: float = 0.0
    """How long it took to say so."""

    @property
    def answers(self) -> bool:
        """Whether anything was heard of it."""
        return bool(self.status)

    def number(self, mark: str) -> int:
        """Number of its head, safe or finalized block; -1 while it does not answer."""
        return int(self.status[mark]["number"], 16) if self.status else -1

    def hash(self, mark: str) -> str:
        """Hash of that block; empty while it does not answer."""
        return str(self.status[mark]["hash"]) if self.status else ""


@dataclass(frozen=True, slots=True)
class Reports:
    """All nodes at one time."""

    engine: str
    block_time_ms: int
    nodes: Sequence[NodeReport]
    board: Board
    names: Mapping[str, str]
    """Validator address (lower case) to the node that votes with it."""
    taken_ms: int
    """Wall time."""

    @property
    def answering(self) -> list[NodeReport]:
        """Nodes that were heard."""
        return [report for report in self.nodes if report.answers]

    def node(self, name: str) -> NodeReport:
        """One of them."""
        return next(report for report in self.nodes if report.name == name)

    def name_of(self, address: object) -> str:
        """The node behind a validator, or a short form of its address."""
        text = str(address).lower()
        return self.names.get(text, text[:10])

    def weights(self) -> dict[str, int]:
        """Voting weight of each node now, as the first answering one tells it."""
        weights: dict[str, int] = {}
        for report in self.answering[:1]:
            slashed = [str(address).lower() for address in report.consensus.get("slashed") or ()]
            for one in report.status.get("validators", []):
                name = self.name_of(one["address"])
                weight = 0 if str(one["address"]).lower() in slashed else int(one["weight"])
                weights[name] = weights.get(name, 0) + weight
        return weights

    def cuts(self, source: str, target: str) -> ActiveFault | None:
        """The fault that keeps everything from passing from ``source`` to ``target``."""
        nodes = [report.name for report in self.nodes]
        for fault in self.board.of_group(Group.LINK):
            if (source, target) in cut_links(fault.action, nodes):
                return fault
        return None

    def spoils(self, source: str, target: str) -> ActiveFault | None:
        """The fault that delays or loses what passes from ``source`` to ``target``."""
        nodes = [report.name for report in self.nodes]
        for fault in self.board.of_group(Group.LINK):
            if not cut_links(fault.action, nodes) and (source, target) in spoiled_links(fault.action, nodes):
                return fault
        return None


def take_reports(run: RunDirectory, timeout_seconds: float = 3.0, kept: Sequence[NodeClient] | None = None) -> Reports:
    """Ask every node that runs, at the same time. ``kept``: clients of all nodes, which the caller closes."""
    network = run.network()
    records = run.running()
    board = read_board(run.path)
    paused = paused_nodes(run, records)
    states = {
        node.name: "stopped" if node.name not in records else "paused" if node.name in paused else "running"
        for node in network.nodes
    }
    everyone = clients_of(network, timeout_seconds) if kept is None else kept
    clients = [client for client in everyone if states[client.name] == "running"]
    answers = dict(zip((client.name for client in clients), ask_all(clients, _ask), strict=True))
    for client in clients if kept is None else ():
        client.close()
    reports, names = [], {(node.validator or "").lower(): node.name for node in network.nodes}
    for node in network.nodes:
        answer = answers.get(node.name)
        if isinstance(answer, tuple):
            status, consensus, answer_ms = answer
            reports.append(NodeReport(node.name, "running", status, consensus, answer_ms))
            names |= {str(key).lower(): node.name for key in consensus.get("keys") or ()}
        else:
            state = states[node.name]
            reports.append(NodeReport(node.name, "not answering" if state == "running" else state))
    return Reports(network.engine, network.block_time_ms, reports, board, names, time.time_ns() // 1_000_000)


def _ask(client: NodeClient) -> tuple[dict[str, Any], dict[str, Any], float]:
    began = time.monotonic_ns()
    status, consensus = client.batch([("evmesh_status", []), ("evmesh_consensus", [])])
    return status, consensus, (time.monotonic_ns() - began) / 1_000_000


def listed(names: Iterable[str]) -> str:
    """``n0, n1 and n2``."""
    known = list(names)
    return known[0] if len(known) == 1 else ", ".join(known[:-1]) + f" and {known[-1]}" if known else "nobody"
