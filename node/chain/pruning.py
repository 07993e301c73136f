"""Bounded state history: which trie nodes can go, found and deleted in small portions while the chain goes on.

    begin   the roots that are kept: the last ``history`` final blocks, and every block above them
    mark    walk down from them; what is reached stays
    sweep   delete every other node, a portion at a time, each one batch

Nothing needs repair after a crash: marking writes nothing, and each portion deletes only what no kept root reaches,
so a sweep that was cut off has merely left garbage for the next one. What comes into the database after ``begin``
stays as well (``note_written``): a block may bring back, byte for byte, a node that nobody needed when it was marked.

All methods are plain and short; ``Chain.prune`` runs them in turn with the blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from node.chain.store import ChainStore, CorruptDatabase
from node.crypto.hashes import EMPTY_TRIE_ROOT
from node.primitives.scalars import Hash32
from node.state.links import Link, links_of
from node.storage import schema
from node.storage.database import Batch

MARKED_AT_ONCE: Final = 256
"""Nodes: some milliseconds of a worker."""
SWEPT_AT_ONCE: Final = 2_000
NAME_BYTES: Final = 16
"""Of a node's hash that are remembered. Nobody finds two nodes that share so many."""


class StatePruner:
    """One marking and one sweep over the trie nodes of a database."""

    def __init__(self, store: ChainStore, kept: Iterable[Hash32], optional: Iterable[Hash32]) -> None:
        """``kept``: state roots that must be whole; ``optional``: older ones, of which parts may be gone already."""
        self._store = store
        self._marked: set[bytes] = set()  # asked for membership only, never walked
        self._written: set[bytes] = set()
        self._stack: list[tuple[bytes, bool, bool]] = []
        for roots, needed in ((optional, False), (kept, True)):  # the last pushed is walked first: the newest
            self._stack += [(bytes(root), True, needed) for root in roots if root != EMPTY_TRIE_ROOT]
        self._position: bytes | None = b""
        self.kept_nodes = 0
        self.deleted_nodes = 0

    def note_written(self, node_hashes: Iterable[bytes]) -> None:
        """These come into the database now: they stay, whatever was marked."""
        self._written.update(node_hash[:NAME_BYTES] for node_hash in node_hashes)

    def mark(self) -> bool:
        """Walk on for a portion; True when everything that stays is marked. Raises CorruptDatabase."""
        portion: list[tuple[bytes, bool, bool]] = []
        while self._stack and len(portion) < MARKED_AT_ONCE:
            entry = self._stack.pop()
            name = entry[0][:NAME_BYTES]
            if name not in self._marked:
                self._marked.add(name)
                portion.append(entry)
        encoded = self._store.database.get_many([schema.NODE + node_hash for node_hash, _, _ in portion])
        for (node_hash, of_accounts, needed), node in zip(portion, encoded, strict=True):
            if node is None:
                if needed:
                    raise CorruptDatabase(f"trie node 0x{node_hash.hex()} of a state that must be whole is missing")
                self._marked.discard(node_hash[:NAME_BYTES])  # perhaps a root that must be whole has it, too
                continue
            self.kept_nodes += 1
            self._stack += [(child, accounts, needed) for child, accounts in children_of(node, of_accounts)]
        return not self._stack

    def sweep(self) -> bool:
        """Delete a portion of what is not marked; True when there is no more. Alone with the database's writer."""
        if self._position is None:
            return True
        batch = Batch()
        count = 0
        last = self._position
        for key, _ in self._store.database.iterate(schema.NODE, self._position):
            last = key[len(schema.NODE) :]
            name = last[:NAME_BYTES]
            if name not in self._marked and name not in self._written:
                batch.delete(key)
            count += 1
            if count == SWEPT_AT_ONCE:
                break
        if len(batch):
            self._store.database.write(batch, durable=False)
            self.deleted_nodes += len(batch)
        # the next key behind the last one that was looked at
        self._position = last + b"\x00" if count == SWEPT_AT_ONCE else None
        return self._position is None


def children_of(encoded: bytes, of_accounts: bool) -> Iterator[tuple[bytes, bool]]:
    """(hash, whether it is a node of the account trie) of all nodes right below one, storage tries included."""
    for link, child in links_of(encoded, Link.ACCOUNTS if of_accounts else Link.STORAGE):
        if link is not Link.CODE:
            yield child, link is Link.ACCOUNTS
