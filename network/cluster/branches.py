"""The blocks that are not final yet, as all nodes together know them, drawn as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from network.cluster.reports import Reports, listed

BRANCH_BLOCKS_MAX: Final = 6
"""Of a long branch without forks so many are drawn, the oldest left out."""


@dataclass(slots=True)
class TreeBlock:
    """One block. ``weights``: what nodes give it in their fork choice; equal ones together."""

    block_hash: str
    parent: str
    number: int
    slot: int | None = None
    proposer: str | None = None
    weights: dict[str, int] = field(default_factory=dict)
    head_of: list[str] = field(default_factory=list)
    votes: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    """finalized, justified, safe"""

    @property
    def weight(self) -> int:
        """The most that any node gives it."""
        return max(self.weights.values(), default=0)

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "hash": self.block_hash,
            "parent": self.parent,
            "number": self.number,
            "slot": self.slot,
            "proposer": self.proposer,
            "weight": self.weight,
            "weights": self.weights,
            "head_of": self.head_of,
            "votes": self.votes,
            "marks": self.marks,
        }

    def __str__(self) -> str:
        words = [f"#{self.number} {self.block_hash[:8]}…"]
        if self.slot is not None:
            words.append(f"slot {self.slot}")
        if self.proposer:
            words.append(f"by {self.proposer}")
        if self.weights:
            words.append(f"weight {self.weight}")
        if self.votes:
            words.append(f"votes {','.join(self.votes)}")
        words += self.marks
        if self.head_of:
            words.append(f"◀ head of {listed(self.head_of)}")
        return "  ".join(words)


def unfinalized(reports: Reports) -> dict[str, TreeBlock]:
    """Blocks by hash: the finalized ones that somebody stands on, and everything above them."""
    blocks: dict[str, TreeBlock] = {}
    for report in reports.answering:
        for told in report.consensus.get("tree") or ():
            block = blocks.setdefault(
                told["hash"],
                TreeBlock(
                    told["hash"],
                    told["parent"],
                    int(told["number"]),
                    int(told["slot"]),
                    reports.name_of(told["proposer"]) if told["proposer"] else None,
                ),
            )
            block.weights[report.name] = int(told["weight"])
    for report in reports.answering:  # after all trees: a head that moved meanwhile is in another node's
        for mark in ("finalized", "safe", "head"):
            if mark != "finalized" and report.hash(mark) == report.hash("finalized") and mark != "head":
                continue
            entry = report.status[mark]
            block = blocks.setdefault(entry["hash"], TreeBlock(entry["hash"], "", int(entry["number"], 16)))
            if mark == "head":
                block.head_of.append(report.name)
            elif mark not in block.marks:
                block.marks.append(mark)
        justified = (report.consensus.get("justified") or {}).get("root")
        if justified in blocks and "justified" not in blocks[justified].marks:
            blocks[justified].marks.append("justified")
    for voter, block_hash in _newest_votes(reports).items():
        if block_hash in blocks:
            blocks[block_hash].votes.append(voter)
    return _above_the_lowest_final(blocks)


def _newest_votes(reports: Reports) -> dict[str, str]:
    """What each validator's node voted for last, as far as any node has heard (pos)."""
    newest: dict[str, tuple[int, str]] = {}
    for report in reports.answering:
        for vote in report.consensus.get("votes") or ():
            if "head" in vote:
                name, entry = reports.name_of(vote["validator"]), (int(vote["slot"]), str(vote["head"]))
                newest[name] = max(newest.get(name, entry), entry)
    return {name: block_hash for name, (_, block_hash) in sorted(newest.items())}


def _above_the_lowest_final(blocks: Mapping[str, TreeBlock]) -> dict[str, TreeBlock]:
    final = [block.number for block in blocks.values() if "finalized" in block.marks]
    lowest = min(final, default=0)
    return {key: block for key, block in blocks.items() if block.number >= lowest}


def draw(blocks: Mapping[str, TreeBlock]) -> list[str]:
    """One line a block, oldest first; a fork opens one indented branch for each child, the heaviest first."""
    children: dict[str, list[TreeBlock]] = {}
    roots = []
    for block in sorted(blocks.values(), key=lambda one: (one.number, -one.weight, one.block_hash)):
        if block.parent in blocks:
            children.setdefault(block.parent, []).append(block)
        else:
            roots.append(block)
    lines: list[str] = []
    for root in roots:
        lines += _branch(root, children, "")
    return lines


def _branch(start: TreeBlock, children: Mapping[str, list[TreeBlock]], indent: str) -> list[str]:
    run = [start]
    while len(children.get(run[-1].block_hash, [])) == 1:
        run.append(children[run[-1].block_hash][0])
    hidden = max(0, len(run) - BRANCH_BLOCKS_MAX)
    lines = []
    for position, block in enumerate(run):
        if 0 < position <= hidden and not block.head_of and not block.marks:
            if position == 1:
                lines.append(f"{indent}⋮")
            continue
        lines.append(f"{indent}{block}")
    forks = children.get(run[-1].block_hash, [])
    for position, child in enumerate(forks):
        last = position == len(forks) - 1
        inner = _branch(child, children, "")
        lines.append(f"{indent}{'└─' if last else '├─'} {inner[0]}")
        lines += [f"{indent}{'  ' if last else '│ '} {line}" for line in inner[1:]]
    return lines


def bft_tip(reports: Reports) -> list[str]:
    """What is being decided above the final block, one line for each view of it."""
    views: dict[str, list[str]] = {}
    for report in reports.answering:
        facts = report.consensus
        if "round" not in facts:
            continue
        proposal = facts.get("proposal")
        words = [
            f"└─ #{facts['height']} round {facts['round']}",
            f"{str(proposal)[:8]}… by {reports.name_of(facts.get('proposer'))}"
            if proposal
            else f"nothing proposed yet by {reports.name_of(facts.get('proposer'))}",
        ]
        words += [f"{kind} {_voters(reports, facts.get(kind) or ())}" for kind in ("prevotes", "precommits")]
        views.setdefault("  ".join(words), []).append(report.name)
    return [f"{line}  (as {listed(names)} see{'s' if len(names) == 1 else ''} it)" for line, names in views.items()]


def _voters(reports: Reports, votes: Iterable[Mapping[str, Any]]) -> str:
    given: dict[str, list[str]] = {}
    for vote in votes:
        given.setdefault("nil" if vote["block"] is None else str(vote["block"])[:8] + "…", []).append(
            reports.name_of(vote["validator"])
        )
    if len(given) == 1 and "nil" not in given:
        return ",".join(sorted(next(iter(given.values()))))
    return "; ".join(f"{','.join(sorted(names))} for {block}" for block, names in given.items()) or "none"
