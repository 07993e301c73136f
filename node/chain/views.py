"""Which state a block left behind: views by root, over candidates and the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.chain.candidates import Candidates
from node.chain.store import ChainStore, CorruptDatabase, Lru
from node.primitives.scalars import Hash32
from node.state.view import StateView, TrieView
from node.trie.trie import NodeSource
from node.types.blocks import Header

VIEWS_KEPT: Final = 16
BLOCK_HASH_WINDOW: Final = 256


class Views:
    """Views and ancestor hashes for any block that is a candidate or stored."""

    def __init__(self, store: ChainStore, candidates: Candidates) -> None:
        self._store = store
        self._candidates = candidates
        self._views: Lru[StateView] = Lru(VIEWS_KEPT)

    def header(self, block_hash: bytes) -> Header | None:
        """The header of a candidate or stored block."""
        return self._candidates.header(block_hash) or self._store.header(block_hash)

    def nodes(self, block_hash: bytes) -> NodeSource:
        """Trie nodes as seen from this block."""
        if self._candidates.get(block_hash) is None:
            return self._store.node
        candidates, store = self._candidates, self._store

        def node(node_hash: bytes) -> bytes | None:
            found = candidates.node(block_hash, node_hash)
            return found if found is not None else store.node(node_hash)

        return node

    def view(self, header: Header) -> StateView:
        """The state after this block."""
        key = header.hash
        view = self._views.get(key)
        if view is None:
            codes: Callable[[bytes], bytes | None] = self._store.code
            if self._candidates.get(key) is not None:
                candidates, store = self._candidates, self._store

                def codes(code_hash: bytes) -> bytes | None:
                    found = candidates.code(key, code_hash)
                    return found if found is not None else store.code(code_hash)

            view = TrieView(header.state_root, self.nodes(key), codes)
            self._views.put(key, view)
        return view

    def block_hashes(self, parent: Header) -> Callable[[int], Hash32]:
        """BLOCKHASH for a child of ``parent``: walks candidates, then the canonical index."""
        known: dict[int, Hash32] = {parent.number: parent.hash}
        cursor = [parent]

        def block_hash(number: int) -> Hash32:
            while number not in known:
                lowest = cursor[0]
                if self._store.canonical_hash(lowest.number) == lowest.hash:
                    found = self._store.canonical_hash(number)
                    if found is None:
                        raise CorruptDatabase(f"no canonical block {number} below head {parent.number}")
                    known[number] = found
                    break
                ancestor = self.header(lowest.parent_hash)
                if ancestor is None:
                    raise CorruptDatabase(f"parent 0x{lowest.parent_hash.hex()} of a known block is missing")
                known[ancestor.number] = ancestor.hash
                cursor[0] = ancestor
            return known[number]

        return block_hash
