"""The state of the whole network in one line, and why: what stands above everything else on the page."""

from __future__ import annotations

from typing import Any

from network.cluster.diagnosis import why_not_final
from network.cluster.reports import Reports
from network.page.block_memory import BlockMemory


def headline(reports: Reports, memory: BlockMemory, verdict: str | None) -> dict[str, Any]:
    """Tone (good, warn, bad), title, and details; the worst thing wins."""
    answering = reports.answering
    if verdict is not None:
        return _told("bad", "A promise is broken", [verdict])
    if not answering:
        return _told("bad", "No node answers", ["evmesh restart NODE starts one again"])
    final = _final_conflict(reports, memory)
    if final is not None:
        return _told("bad", f"Two final blocks at height {final}", ["Nodes hold different blocks as final."])
    fork = _fork(reports, memory)
    answer = why_not_final(reports)
    # without votes that it judges, all that is wrong is who does not answer
    stopped = [answer.headline] if answer.votes else []
    details = [] if answer.well else [*stopped, *(f"Cause: {cause}" for cause in answer.causes[:3])]
    if fork is not None:
        number, sides = fork
        told = " and ".join("{" + ",".join(names) + "}" for names in sides)
        tone = "warn" if reports.engine == "pos" else "bad"
        return _told(tone, f"{len(sides)} branches above #{number}: {told}", details)
    silent = [report for report in reports.nodes if not report.answers]
    if not answer.well and answer.votes:
        return _told("warn", "Finality has stopped", details)
    if silent:
        told = ", ".join(f"{report.name} is {report.state}" for report in silent)
        return _told("warn", f"{len(answering)} of {len(reports.nodes)} nodes agree", [told, *details])
    if len(answering) == 1:
        return _told("good", "The node is well", [])
    return _told("good", f"All {len(answering)} nodes agree", [])


def _told(tone: str, title: str, details: list[str]) -> dict[str, Any]:
    return {"tone": tone, "title": title, "details": details}


def _final_conflict(reports: Reports, memory: BlockMemory) -> int | None:
    """A height at which two nodes have different blocks that both hold as final."""
    lowest = min(report.number("finalized") for report in reports.answering)
    for number in range(lowest, max(-1, lowest - 8), -1):
        marks = [memory.mark(report.name, number) for report in reports.answering]
        if len({mark.block_hash for mark in marks if mark is not None}) > 1:
            return number
    return None


def _fork(reports: Reports, memory: BlockMemory) -> tuple[int, list[list[str]]] | None:
    """(last common height, nodes of each branch), where heads are not all on one chain."""
    sides: list[tuple[str, list[str]]] = []
    for report in sorted(reports.answering, key=lambda one: -one.number("head")):
        head = memory.head(report.name)
        for tip, names in sides:
            if any(block.block_hash == head for block in memory.ancestry(tip)):
                names.append(report.name)
                break
        else:
            if head:
                sides.append((head, [report.name]))
    if len(sides) < 2:
        return None
    common = [memory.fork_point(sides[0][0], tip) for tip, _ in sides[1:]]
    number = min((block.number for block in common if block is not None), default=0)
    order = [report.name for report in reports.nodes]
    groups = [sorted(names, key=order.index) for _, names in sides]
    return number, sorted(groups, key=lambda names: order.index(names[0]))
