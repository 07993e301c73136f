"""Which state a block left behind: views by root, over candidates and the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.chain.candidates import Candidates
from node.chain.store import ChainStore, CorruptDatabase
from node.primitives.bounded_cache import BoundedCache
from node.primitives.scalars import Hash32
from node.state.view import StateView, TrieView
from node.trie.node_cache import NodeCache
from node.types.blocks import Block, Header

VIEWS_KEPT: Final = 8
CODE_BYTES_KEPT: Final = 4 * 2**20
"""A code that is the same object every time is hashed and analysed once."""
NODES_CACHED: Final = 20_000
"""Trie nodes in memory: the upper levels of a state of a million accounts, about 13 MB when full."""


class Views:
    """Views and ancestor hashes for any block that is a candidate or stored."""

    def __init__(self, store: ChainStore, candidates: Candidates) -> None:
        self._store = store
        self._candidates = candidates
        self._views: BoundedCache[bytes, StateView] = BoundedCache(VIEWS_KEPT)
        self._codes: BoundedCache[bytes, bytes] = BoundedCache(CODE_BYTES_KEPT, len)
        self.nodes = NodeCache(self._node, NODES_CACHED)
        """Trie nodes of every known root, the last ones kept; content-addressed, so one cache serves all."""

    def header(self, block_hash: bytes) -> Header | None:
        """The header of a candidate or stored block."""
        return self._candidates.header(block_hash) or self._store.header(block_hash)

    def block(self, block_hash: bytes) -> Block | None:
        """A candidate or stored block."""
        candidate = self._candidates.get(block_hash)
        return candidate.block if candidate is not None else self._store.block(block_hash)

    def view(self, header: Header) -> StateView:
        """The state after this block."""
        view = self._views.get(header.state_root)
        if view is None:
            view = TrieView(header.state_root, self.nodes, self._code)
            self._views.put(header.state_root, view)
        return view

    def _node(self, node_hash: bytes) -> bytes | None:
        found = self._store.node(node_hash)
        # Second, because head.py writes a candidate before it forgets it: a reader in between misses nothing.
        return found if found is not None else self._candidates.node(node_hash)

    def _code(self, code_hash: bytes) -> bytes | None:
        found = self._codes.get(code_hash)
        if found is None:
            found = self._store.code(code_hash)
            if found is None:
                found = self._candidates.code(code_hash)
            if found is not None:
                self._codes.put(code_hash, found)
        return found

    def block_hashes(self, parent: Header) -> Callable[[int], Hash32]:
        """BLOCKHASH for a child of ``parent``: walks candidates, then the canonical index."""
        known: dict[int, Hash32] = {parent.number: parent.hash}
        lowest = parent

        def block_hash(number: int) -> Hash32:
            nonlocal lowest
            while number not in known:
                if self._store.canonical_hash(lowest.number) == lowest.hash:
                    found = self._store.canonical_hash(number)
                    if found is None:
                        raise CorruptDatabase(f"no canonical block {number} below block {parent.number}")
                    known[number] = found
                    break
                ancestor = self.header(lowest.parent_hash)
                if ancestor is None:
                    raise CorruptDatabase(f"parent 0x{lowest.parent_hash.hex()} of a known block is missing")
                known[ancestor.number] = ancestor.hash
                lowest = ancestor
            return known[number]

        return block_hash
