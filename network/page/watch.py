"""Looks at the whole network, again and again while somebody watches, and makes one snapshot of each look.

A snapshot holds everything that the page shows at one time, and is bounded: blocks of the last heights, a few dozen
points a chart, the last events. Whoever was away needs the newest one only.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from network.client import NodeUnreachable
from network.cluster.branches import unfinalized
from network.cluster.companion import check_verdict
from network.cluster.observer import clients_of
from network.cluster.reports import NodeReport, Reports, take_reports
from network.cluster.run_directory import RunDirectory
from network.failures import Disagreement
from network.faults.kinds import Group
from network.page.block_memory import BlockMemory
from network.page.events import Events
from network.page.headline import headline
from network.page.links_view import links_view
from network.page.tree_view import tree_view
from network.page.votes_view import votes_view

TIMEOUT_SECONDS: Final = 1.5
"""A node that says nothing for so long is shown as not answering; the others must not wait for it."""
ROOT_ROWS: Final = 6
POINTS: Final = 60
"""Of a chart."""
AWAY_SECONDS: Final = 5.0
"""After a longer pause nothing is said of what happened meanwhile, and no time is measured across it."""


class Watch:
    """Asks all nodes. One thread at a time."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._network = run.network()
        self._clients = {client.name: client for client in clients_of(self._network, TIMEOUT_SECONDS)}
        self._memory = BlockMemory()
        self._events = Events()
        self._answers: dict[str, deque[float | None]] = {name: deque(maxlen=POINTS) for name in self._clients}
        self._pool: deque[int] = deque(maxlen=POINTS)
        self._last_look = 0.0

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def look(self) -> dict[str, Any]:
        """The network now, as JSON types. Raises Failure where the run directory cannot be read."""
        now = time.monotonic()
        if now - self._last_look > AWAY_SECONDS:
            self._events.forget()
            self._memory.nobody_looked()
        self._last_look = now
        reports = take_reports(self._run, kept=list(self._clients.values()))
        for report in reports.answering:
            with contextlib.suppress(NodeUnreachable):  # it went away since it reported
                self._memory.follow(report.name, self._clients[report.name], report.hash("head"), report.number("head"))
        tree = unfinalized(reports)
        self._memory.note_tree(tree.values())
        self._memory.note_look(reports, now)
        weights = reports.weights()
        self._note_points(reports)
        self._events.note(reports, self._memory, weights)
        return {
            "network": self._facts(),
            "taken_ms": reports.taken_ms,
            "headline": headline(reports, self._memory, self._verdict()),
            "nodes": [self._node(report, reports, weights) for report in reports.nodes],
            "tree": tree_view(reports, self._memory, tree),
            "roots": self._roots(reports),
            "votes": votes_view(reports, weights),
            "links": links_view(self._run, reports),
            "faults": [{"words": words, "since_ms": since} for words, since in dict(_faults(reports)).items()],
            "charts": self._charts(reports),
            "events": self._events.to_json(),
        }

    def _facts(self) -> dict[str, Any]:
        network = self._network
        return {
            "name": network.name,
            "engine": network.engine,
            "chain_id": network.chain_id,
            "block_time_ms": network.block_time_ms,
            "gas_limit": network.gas_limit,
            "dev": network.dev,
        }

    def _verdict(self) -> str | None:
        try:
            check_verdict(self._run)
        except Disagreement as broken:
            return broken.message
        return None

    def _node(self, report: NodeReport, reports: Reports, weights: dict[str, int]) -> dict[str, Any]:
        entry = next(node for node in self._network.nodes if node.name == report.name)
        mine = [fault for fault in reports.board.lasting if fault.touches(report.name)]
        node: dict[str, Any] = {
            "name": report.name,
            "role": entry.role,
            "url": entry.url,
            "state": report.state,
            "weight": weights.get(report.name, 0),
            "convicted": entry.validator is not None and sum(weights.values()) > 0 and not weights.get(report.name),
            "faults": list(dict.fromkeys(str(fault) for fault in mine if fault.group is not Group.LINK)),
            "lies": any(fault.action.what.is_byzantine for fault in mine),
        }
        if report.answers:
            status = report.status
            for mark in ("head", "safe", "finalized"):
                node[mark] = {"number": report.number(mark), "hash": report.hash(mark)}
            node["root"] = str(status["head"]["stateRoot"])
            peers = (str(peer.get("name") or peer.get("id", ""))[:32] for peer in status.get("peers", ()))
            node["peers"] = sorted(dict.fromkeys(peers))
            node["pool"] = status.get("pool", {})
            node["health"] = str(status.get("health", ""))
            node["uptime_ms"] = status.get("uptimeMs", 0)
            node["answer_ms"] = round(report.answer_ms, 1)
        return node

    def _roots(self, reports: Reports) -> list[dict[str, Any]]:
        """State roots of the last heights, side by side; a height on which two nodes differ does not agree.

        The last height that half of the nodes have stands on top: a branch that is longer has nothing beside it, and
        one node far behind must not hide what the others hold.
        """
        heads = sorted(report.number("head") for report in reports.answering)
        top = heads[(len(heads) - 1) // 2] if heads else -1
        rows = []
        for number in range(top, max(-1, top - ROOT_ROWS), -1):
            cells = {
                report.name: mark.state_root
                for report in reports.answering
                if (mark := self._memory.mark(report.name, number)) is not None
            }
            rows.append({"number": number, "roots": cells, "agree": len(set(cells.values())) <= 1})
        return rows

    def _note_points(self, reports: Reports) -> None:
        for report in reports.nodes:
            self._answers[report.name].append(round(report.answer_ms, 1) if report.answers else None)
        self._pool.append(max((_pending(report) for report in reports.answering), default=0))

    def _charts(self, reports: Reports) -> dict[str, Any]:
        ahead = max(reports.answering, key=lambda report: report.number("head"), default=None)
        head = self._memory.head(ahead.name) if ahead is not None else ""
        return {
            "blocks": self._memory.chart(head, POINTS, self._network.block_time_ms),
            "answers": {name: list(points) for name, points in self._answers.items()},
            "pool": list(self._pool),
        }


def _pending(report: NodeReport) -> int:
    pool = report.status.get("pool") or {}
    return int(pool.get("pending", 0)) + int(pool.get("queued", 0))


def _faults(reports: Reports) -> Sequence[tuple[str, int]]:
    return [(str(fault), fault.since_ms) for fault in reversed(reports.board.lasting)]
