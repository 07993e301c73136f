"""The blocks of the last heights, each in a lane of its branch: what the page draws from left to right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from network.cluster.branches import TreeBlock
from network.cluster.reports import Reports
from network.page.block_memory import BlockMemory, SeenBlock

HEIGHTS: Final = 24
LANES_MAX: Final = 8
"""Further branches are left out, and said to be."""


def tree_view(reports: Reports, memory: BlockMemory, told: Mapping[str, TreeBlock]) -> dict[str, Any]:
    """Blocks as JSON, lowest first; lane 0 is the branch that is ahead. ``told``: what the nodes' trees hold."""
    heads: dict[str, list[str]] = {}
    for report in reports.answering:
        heads.setdefault(report.hash("head"), []).append(report.name)
    highest = max((block.number for block in memory.blocks.values()), default=0)
    lowest = max(0, highest - HEIGHTS + 1)
    shown = {key: block for key, block in memory.blocks.items() if block.number >= lowest}
    lanes = _lanes(shown, memory, heads)
    finalized = max((report.number("finalized") for report in reports.answering), default=0)
    blocks = []
    for block in sorted(shown.values(), key=lambda one: (one.number, lanes.get(one.block_hash, LANES_MAX))):
        lane = lanes.get(block.block_hash, LANES_MAX)
        if lane >= LANES_MAX:
            continue
        entry = told.get(block.block_hash)
        blocks.append(
            {
                "hash": block.block_hash,
                "parent": block.parent,
                "number": block.number,
                "lane": lane,
                "slot": block.slot,
                "proposer": block.proposer,
                "txs": block.transactions,
                "gas": block.gas_used,
                "gas_limit": block.gas_limit,
                "state": _state(block, entry, finalized),
                "weight": entry.weight if entry is not None and entry.weights else None,
                "votes": entry.votes if entry is not None else [],
                "head_of": heads.get(block.block_hash, []),
            }
        )
    return {
        "blocks": blocks,
        "lowest": lowest,
        "highest": highest,
        "finalized": finalized,
        "left_out": sum(lanes.get(key, LANES_MAX) >= LANES_MAX for key in shown),
    }


def _state(block: SeenBlock, entry: TreeBlock | None, finalized: int) -> str:
    """finalized, lost (a branch that can never be final), justified, safe, or open."""
    if block.final:
        return "finalized"
    if block.number <= finalized:
        return "lost"
    marks = entry.marks if entry is not None else []
    return "justified" if "justified" in marks else "safe" if "safe" in marks else "open"


def _lanes(shown: Mapping[str, SeenBlock], memory: BlockMemory, heads: Mapping[str, list[str]]) -> dict[str, int]:
    """Lane by hash. The branch with most nodes on it, then the longest, keeps lane 0; others take the nearest free."""
    parents = {block.parent for block in shown.values()}
    tips = [block for block in shown.values() if block.block_hash not in parents or block.block_hash in heads]
    tips.sort(key=lambda tip: (-_nodes_on(tip, memory, heads), -tip.number, tip.block_hash))
    lanes: dict[str, int] = {}
    taken: list[list[tuple[int, int]]] = []
    for tip in tips:
        branch = []
        for block in memory.ancestry(tip.block_hash):
            if block.block_hash in lanes or block.block_hash not in shown:
                break
            branch.append(block)
        if not branch:
            continue
        # one column more to the left: there it leaves the branch it comes from
        span = (branch[-1].number - 1, branch[0].number)
        lane = next((n for n, spans in enumerate(taken) if not any(_meet(span, one) for one in spans)), len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append(span)
        lanes.update((block.block_hash, lane) for block in branch)
    return lanes


def _nodes_on(tip: SeenBlock, memory: BlockMemory, heads: Mapping[str, list[str]]) -> int:
    return sum(len(heads.get(block.block_hash, ())) for block in memory.ancestry(tip.block_hash) if not block.final)


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
