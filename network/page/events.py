"""What happened between one look and the next, in a line each: nodes that went, branches that were left, faults."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from network.cluster.reports import Reports
from network.page.block_memory import BlockMemory

KEPT: Final = 40


class Events:
    """The last events, newest first."""

    def __init__(self) -> None:
        self._told: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._before: Reports | None = None
        self._heads: dict[str, str] = {}
        self._weights: dict[str, int] = {}
        self._next = 1

    def forget(self) -> None:
        """Nobody looked for a while: what has changed since is not told as if it happened now."""
        self._before = None
        self._heads = {}
        self._weights = {}

    def note(self, reports: Reports, memory: BlockMemory, weights: dict[str, int]) -> None:
        """Compare with the last look."""
        before = self._before
        heads = {report.name: memory.head(report.name) for report in reports.answering}
        if before is not None:
            self._note_states(before, reports)
            self._note_faults(before, reports)
            self._note_heads(reports, memory, heads)
            for name, weight in self._weights.items():
                if weight and name in weights and not weights[name]:
                    self._say(reports, "bad", f"{name} is convicted and has no vote any more")
        self._before, self._heads = reports, {**self._heads, **{k: v for k, v in heads.items() if v}}
        self._weights = weights or self._weights

    def _note_states(self, before: Reports, reports: Reports) -> None:
        states = {report.name: report.state for report in before.nodes}
        for report in reports.nodes:
            if report.state != states.get(report.name, report.state):
                good = report.state == "running"
                words = f"{report.name} is {report.state}" + (" again" if good else "")
                self._say(reports, "good" if good else "bad", words)

    def _note_faults(self, before: Reports, reports: Reports) -> None:
        old = dict.fromkeys(str(fault) for fault in before.board.lasting)
        new = dict.fromkeys(str(fault) for fault in reports.board.lasting)
        for words in new:
            if words not in old:
                self._say(reports, "warn", f"fault: {words}")
        for words in old:
            if words not in new:
                self._say(reports, "good", f"ended: {words}")

    def _note_heads(self, reports: Reports, memory: BlockMemory, heads: dict[str, str]) -> None:
        left: dict[tuple[int, int], list[str]] = {}
        for name, head in heads.items():
            old = memory.blocks.get(self._heads.get(name, ""))
            if old is None or not head or head == old.block_hash:
                continue
            common = memory.fork_point(old.block_hash, head)
            if common is not None and common.number < old.number:
                left.setdefault((old.number - common.number, common.number + 1), []).append(name)
        for (depth, first), names in left.items():
            blocks = "1 block" if depth == 1 else f"{depth} blocks"
            self._say(reports, "warn", f"reorganisation on {', '.join(names)}: {blocks} from #{first} replaced")

    def _say(self, reports: Reports, tone: str, text: str) -> None:
        self._told.appendleft({"id": self._next, "ms": reports.taken_ms, "tone": tone, "text": text})
        self._next += 1

    def to_json(self) -> list[dict[str, Any]]:
        """JSON types, newest first."""
        return list(self._told)
