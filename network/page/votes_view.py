"""The votes of the current round (bft) or slot (pos): a row for each node that may vote, and which nodes know it."""

from __future__ import annotations

from typing import Any

from network.cluster.diagnosis import epoch_of_final
from network.cluster.reports import NodeReport, Reports


def votes_view(reports: Reports, weights: dict[str, int]) -> dict[str, Any]:
    """What is being voted on, and who has."""
    total = sum(weights.values())
    quorum = -(-2 * total // 3) if reports.engine == "pos" else 2 * total // 3 + 1
    told = _pos(reports) if reports.engine == "pos" else _bft(reports) if reports.engine == "bft" else None
    return {"engine": reports.engine, "quorum": quorum if total else 0, "total": total, **(told or {"rows": []})}


def _pos(reports: Reports) -> dict[str, Any]:
    newest: dict[str, dict[str, Any]] = {}
    for report in reports.answering:
        for vote in report.consensus.get("votes") or ():
            if "head" not in vote:
                continue
            name = reports.name_of(vote["validator"])
            row = {
                "slot": int(vote["slot"]),
                "head": str(vote["head"]),
                "target": int(vote["target"]["epoch"]),
                "target_root": str(vote["target"]["root"]),
                "source": int(vote["source"]["epoch"]),
                "seen_by": [],
            }
            if name not in newest or row["slot"] > newest[name]["slot"]:
                newest[name] = row
            if newest[name]["slot"] == row["slot"] and newest[name]["head"] == row["head"]:
                newest[name]["seen_by"].append(report.name)
    ahead = max(reports.answering, key=lambda report: int(report.consensus.get("slot") or 0), default=None)
    facts = ahead.consensus if ahead is not None else {}
    return {
        "slot": facts.get("slot"),
        "epoch": facts.get("epoch"),
        "proposer": reports.name_of(facts["proposer"]) if facts.get("proposer") else None,
        "justified_epoch": (facts.get("justified") or {}).get("epoch"),
        "finalized_epoch": epoch_of_final(ahead) if ahead is not None else None,
        "rows": [
            {"node": name, **newest.get(name, {"slot": None, "head": None, "target": None, "seen_by": []})}
            for name in _voters(reports, newest)
        ],
    }


def _bft(reports: Reports) -> dict[str, Any]:
    ahead = max(reports.answering, key=_round, default=None)
    if ahead is None:
        return {"rows": []}
    facts = ahead.consensus
    rows: dict[str, dict[str, Any]] = {}
    for report in reports.answering:
        if _round(report) != _round(ahead):
            continue
        for kind in ("prevotes", "precommits"):
            for vote in report.consensus.get(kind) or ():
                row = rows.setdefault(reports.name_of(vote["validator"]), {})
                cast = row.setdefault(kind, {"block": vote["block"], "seen_by": []})
                if cast["block"] == vote["block"] and report.name not in cast["seen_by"]:
                    cast["seen_by"].append(report.name)
    return {
        "height": facts.get("height"),
        "round": facts.get("round"),
        "step": facts.get("step"),
        "proposer": reports.name_of(facts["proposer"]) if facts.get("proposer") else None,
        "proposal": facts.get("proposal"),
        "here": [report.name for report in reports.answering if _round(report) == _round(ahead)],
        "rows": [{"node": name, **rows.get(name, {})} for name in _voters(reports, rows)],
    }


def _round(report: NodeReport) -> tuple[int, int]:
    return int(report.consensus.get("height") or 0), int(report.consensus.get("round") or 0)


def _voters(reports: Reports, more: dict[str, Any]) -> list[str]:
    """Nodes that may vote, in order, then whoever else has."""
    weights = reports.weights()
    nodes = [report.name for report in reports.nodes if weights.get(report.name)]
    return nodes + sorted(name for name in more if name not in nodes)
