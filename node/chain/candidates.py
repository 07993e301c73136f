"""Executed blocks that are not canonical yet: what this node would store if consensus chose them.

A candidate keeps the whole result of its execution, so that nothing is executed twice.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from node.primitives.scalars import Address, Hash32
from node.state.commit import CommitResult
from node.types.blocks import Block, Header
from node.types.operations import Operation
from node.types.receipts import Receipt

CANDIDATES_MAX: Final = 64
"""A liar can propose a block a round; the oldest candidate leaves (it can be executed again)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A valid block with everything that executing it produced."""

    block: Block
    receipts: tuple[Receipt, ...]
    commit: CommitResult
    changed: tuple[Address, ...] | None
    """Every account that the block touched for good; None where it restored an earlier state."""
    operations: tuple[Operation, ...] = ()
    """What consensus wrote into the state ahead of the transactions."""


class Candidates:
    """Candidates by block hash, bounded."""

    def __init__(self, maximum: int = CANDIDATES_MAX) -> None:
        self._maximum = maximum
        self._by_hash: OrderedDict[Hash32, Candidate] = OrderedDict()

    def get(self, block_hash: bytes) -> Candidate | None:
        """The candidate, if it is still here."""
        return self._by_hash.get(Hash32(block_hash))

    def header(self, block_hash: bytes) -> Header | None:
        """Its header."""
        candidate = self.get(block_hash)
        return None if candidate is None else candidate.block.header

    def add(self, candidate: Candidate) -> None:
        """Remember; the oldest leaves when there are too many."""
        self._by_hash[candidate.block.hash] = candidate
        while len(self._by_hash) > self._maximum:
            self._by_hash.popitem(last=False)

    def remove(self, block_hash: bytes) -> None:
        """Forget one (it has been stored)."""
        self._by_hash.pop(Hash32(block_hash), None)

    def prune(self, finalized_number: int) -> None:
        """Forget all that can no longer be chosen: at or below the finalized height."""
        for block_hash, candidate in list(self._by_hash.items()):
            if candidate.block.number <= finalized_number:
                del self._by_hash[block_hash]

    def node(self, node_hash: bytes) -> bytes | None:
        """A trie node that some candidate made. Nodes are named by content, so it does not matter which."""
        key = Hash32(node_hash)
        for candidate in list(self._by_hash.values()):  # a snapshot: worker threads read here
            node = candidate.commit.nodes.get(key)
            if node is not None:
                return node
        return None

    def code(self, code_hash: bytes) -> bytes | None:
        """A code that some candidate deployed."""
        key = Hash32(code_hash)
        for candidate in list(self._by_hash.values()):  # a snapshot: worker threads read here
            code = candidate.commit.codes.get(key)
            if code is not None:
                return code
        return None

    def __len__(self) -> int:
        return len(self._by_hash)
