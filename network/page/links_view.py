"""Who is connected with whom, and what the links between them do to what passes."""

from __future__ import annotations

from typing import Any

from network.cluster import links
from network.cluster.reports import Reports
from network.cluster.run_directory import RunDirectory
from network.faults.kinds import Group
from network.faults.link_faults import LinkFaults
from network.faults.link_policy import LinkCondition, LinkPolicy

_CLEAN = LinkCondition(delay_ms=0.0)


def links_view(run: RunDirectory, reports: Reports) -> dict[str, Any]:
    """Pairs that are connected, links that are cut, and the state of each link that a fault spoils."""
    names = [report.name for report in reports.nodes]
    policy = LinkPolicy(default=_CLEAN)
    faults = LinkFaults(policy, names)
    for fault in reports.board.of_group(Group.LINK):
        faults.begin(fault.action)
    connected: dict[tuple[str, str], None] = {}
    for report in reports.answering:
        for peer in report.status.get("peers", ()):
            if peer.get("name") in names and peer["name"] != report.name:
                one, other = sorted((report.name, str(peer["name"])), key=names.index)
                connected[one, other] = None
    spoiled = []
    for source in names:
        for target in names:
            condition = policy.condition(source, target)
            if source != target and condition != _CLEAN:
                spoiled.append({"source": source, "target": target, **_told(condition)})
    return {
        "changeable": links.Wiring.read(run.path) is not None,
        "connected": [list(pair) for pair in connected],
        "cut": [list(cut) for cut in policy.cuts],
        "spoiled": spoiled,
    }


def _told(condition: LinkCondition) -> dict[str, Any]:
    told = {
        "delay_ms": condition.delay_ms,
        "jitter_ms": condition.jitter_ms,
        "loss": condition.loss,
        "duplication": condition.duplication,
        "reorder": condition.reorder,
        "bytes_per_s": condition.bandwidth_bytes_per_s,
    }
    return {key: value for key, value in told.items() if value}
