"""The blocks of the last heights as every node names them, kept while somebody watches: what tree and charts draw.

A node forgets the branch that lost; here it stays until it is out of sight, so that one sees what a reorganisation
took away. Bounded by heights and by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from network.client import NodeClient, RpcError
from network.cluster.branches import TreeBlock
from network.cluster.reports import Reports

DEPTH: Final = 64
"""Heights that are followed below each node's head."""
OVERLAP: Final = 8
"""Heights that are asked again when a head has moved: mostly more than a reorganisation replaces."""
BLOCKS_MAX: Final = 1_024
_PER_CALL: Final = 32


class Mark(NamedTuple):
    """A block as one node names it."""

    block_hash: str
    state_root: str


@dataclass(slots=True)
class SeenBlock:
    """One block. Content is None while only its place in a tree is known; times are monotonic seconds."""

    block_hash: str
    parent: str
    number: int
    slot: int | None = None
    proposer: str | None = None
    timestamp: int | None = None
    gas_used: int | None = None
    gas_limit: int | None = None
    transactions: int | None = None
    first_seen: float | None = None
    final_after: float | None = None
    """Seconds from then until every node that answers held it as final."""
    final: bool = False


class BlockMemory:
    """What was seen so far."""

    def __init__(self) -> None:
        self.blocks: dict[str, SeenBlock] = {}
        self._marks: dict[str, dict[int, Mark]] = {}
        self._heads: dict[str, str] = {}
        self._live = False

    def mark(self, node: str, number: int) -> Mark | None:
        """The block that a node has at a height, where it was asked."""
        return self._marks.get(node, {}).get(number)

    def head(self, node: str) -> str:
        """The head that a node was last followed to; empty before."""
        return self._heads.get(node, "")

    def nobody_looked(self) -> None:
        """Time has passed unseen: nothing is measured across it."""
        self._live = False
        for block in self.blocks.values():
            block.first_seen = None

    # ---- learning

    def follow(self, node: str, client: NodeClient, head: str, number: int) -> None:
        """Learn what a node names between the blocks known of it and its head. Raises NodeUnreachable."""
        if self._heads.get(node) == head:
            return
        marks = self._marks.setdefault(node, {})
        lowest = max(0, number - DEPTH + 1)
        first = max(lowest, min(max(marks, default=-1), number) + 1 - OVERLAP) if marks else lowest
        try:
            fresh = _ask_marks(client, first, number)
            self._learn_content(client, fresh.values())
            below = marks.get(first - 1)
            if first > lowest and (below is None or not self._stands_on(fresh.get(first), below)):
                fresh = _ask_marks(client, lowest, number)  # deeper than the overlap
                self._learn_content(client, fresh.values())
                first = lowest
        except (RpcError, KeyError, ValueError, TypeError):
            return  # it moved between two questions; the next look asks again
        kept = {height: mark for height, mark in marks.items() if lowest <= height < first}
        self._marks[node] = kept | fresh
        if fresh.get(number, Mark("", "")).block_hash == head:
            self._heads[node] = head

    def _stands_on(self, mark: Mark | None, below: Mark) -> bool:
        block = self.blocks.get(mark.block_hash) if mark is not None else None
        return block is not None and block.parent == below.block_hash

    def _learn_content(self, client: NodeClient, marks: Iterable[Mark]) -> None:
        wanted = [
            mark.block_hash
            for mark in marks
            if mark.block_hash not in self.blocks or self.blocks[mark.block_hash].timestamp is None
        ]
        for start in range(0, len(wanted), _PER_CALL):
            portion = wanted[start : start + _PER_CALL]
            for told in client.batch([("eth_getBlockByHash", [one, False]) for one in portion]):
                if isinstance(told, dict):
                    block = self._block(str(told["hash"]), str(told["parentHash"]), int(told["number"], 16))
                    block.timestamp = int(told["timestamp"], 16)
                    block.gas_used = int(told["gasUsed"], 16)
                    block.gas_limit = int(told["gasLimit"], 16)
                    block.transactions = len(told["transactions"])

    def note_tree(self, tree: Iterable[TreeBlock]) -> None:
        """Learn where the blocks of the nodes' own trees stand."""
        for told in tree:
            if told.parent or told.block_hash in self.blocks:
                block = self._block(told.block_hash, told.parent, told.number)
                block.slot, block.proposer = told.slot, told.proposer

    def _block(self, block_hash: str, parent: str, number: int) -> SeenBlock:
        block = self.blocks.setdefault(block_hash, SeenBlock(block_hash, parent, number))
        block.parent = block.parent or parent
        return block

    # ---- time

    def note_look(self, reports: Reports, now: float) -> None:
        """What is new was first seen now, what all hold as final is final now; forgets what is out of sight."""
        for block in self.blocks.values():
            if block.first_seen is None and self._live and block.final_after is None:
                block.first_seen = now
        if not self._live:  # what was there before anybody looked has no beginning
            for block in self.blocks.values():
                block.final_after = block.final_after if block.final_after is not None else -1.0
            self._live = True
        finals = [(report.number("finalized"), report.hash("finalized")) for report in reports.answering]
        for _, block_hash in finals:
            for block in self.ancestry(block_hash):
                if block.final:
                    break
                block.final = True
        lowest = min((number for number, _ in finals), default=-1)
        for block in self.blocks.values():
            if block.final and block.number <= lowest and block.final_after is None and block.first_seen is not None:
                block.final_after = now - block.first_seen
        highest = max((report.number("head") for report in reports.answering), default=-1)
        if highest >= 0:
            self._forget(highest)

    def _forget(self, highest: int) -> None:
        self.blocks = {key: block for key, block in self.blocks.items() if block.number > highest - 2 * DEPTH}
        if len(self.blocks) > BLOCKS_MAX:
            newest = sorted(self.blocks.values(), key=lambda block: block.number)[-BLOCKS_MAX:]
            self.blocks = {block.block_hash: block for block in newest}

    # ---- reading

    def ancestry(self, block_hash: str) -> Iterator[SeenBlock]:
        """A block and those below it, as far as they are known."""
        block = self.blocks.get(block_hash)
        while block is not None:
            yield block
            above, block = block, self.blocks.get(block.parent)
            if block is not None and block.number >= above.number:
                return  # a node that lies about numbers must not lead us in circles

    def fork_point(self, one: str, other: str) -> SeenBlock | None:
        """The last common block of two."""
        below = {block.block_hash for block in self.ancestry(one)}
        return next((block for block in self.ancestry(other) if block.block_hash in below), None)

    def chart(self, head: str, points: int, block_time_ms: int) -> list[dict[str, Any]]:
        """The last blocks below ``head``, oldest first: number, gas, transactions, seconds apart, seconds to finality.

        ``seconds`` is measured where the block came while somebody looked, else told by the timestamps.
        """
        chain = [block for block, _ in zip(self.ancestry(head), range(points + 1), strict=False)][::-1]
        told = []
        for parent, block in pairwise(chain):
            if block.timestamp is None or parent.timestamp is None:
                continue
            if block.first_seen is not None and parent.first_seen is not None:
                seconds = block.first_seen - parent.first_seen
            else:
                seconds = float(block.timestamp - parent.timestamp)
            told.append(
                {
                    "number": block.number,
                    "gas": block.gas_used,
                    "txs": block.transactions,
                    "seconds": round(seconds if seconds > 0 else block_time_ms / 1000, 3),
                    "final_after": None if (block.final_after or -1) < 0 else round(block.final_after or 0, 2),
                }
            )
        return told


def _ask_marks(client: NodeClient, first: int, last: int) -> dict[int, Mark]:
    told = client.call("evmesh_stateRoots", hex(first), hex(last))
    return {int(one["number"], 16): Mark(str(one["hash"]), str(one["stateRoot"])) for one in told}
