"""forkchoice_updated: make a candidate the head, durably and at once, then tell the feed.

One database transaction holds everything of it: state nodes, codes, blocks, receipts, seals, indexes
and marks. Before it, the node has reported nothing; after it, nothing of it can be lost.

Engines with branches store a block before it is canonical (``store_block``). Such blocks are found again after
a restart (``above_finalized``), until finality cuts them off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from node.chain.candidates import Candidates
from node.chain.feed import Feed, Finalized, NewHead
from node.chain.store import ChainStore, CorruptDatabase
from node.primitives.scalars import Address, Hash32
from node.runtime.runtime import Runtime
from node.storage.database import Batch
from node.types.blocks import Block, Header

SIDE_KEPT: Final = 64
"""Blocks that finality cut off stay readable for so many heights: whoever asks late learns which logs went."""


class ForkchoiceError(ValueError):
    """The marks do not lie on one chain that this node has executed; nothing was changed."""


class Head:
    """The three marks. Written by ``update`` only."""

    def __init__(
        self,
        store: ChainStore,
        candidates: Candidates,
        feed: Feed,
        runtime: Runtime,
        marks: tuple[Header, Header, Header],
    ) -> None:
        self._store = store
        self._candidates = candidates
        self._feed = feed
        self._runtime = runtime
        self.head, self.safe, self.finalized = marks
        self._unfinalized: dict[Hash32, int] = {block_hash: number for number, block_hash in store.unfinalized()}
        """Height of every block that was stored before it was final; those cut off stay for a while."""

    async def store_block(self, block_hash: Hash32, seal: bytes) -> None:
        """Keep a candidate durably beside the canonical chain. Raises ForkchoiceError for a block never executed."""
        candidate = self._candidates.get(block_hash)
        batch = Batch()
        if block_hash not in self._unfinalized and candidate is not None:
            self._store.stage_state(batch, candidate.commit.nodes, candidate.commit.codes)
            self._store.stage_block(batch, candidate.block, candidate.receipts, candidate.operations)
            self._store.stage_unfinalized(batch, candidate.block)
        else:
            self._known(block_hash, "block to store")
        self._store.stage_seal(batch, block_hash, seal)
        await self._runtime.workers.run(self._store.database.write, batch, durable=True)
        if candidate is not None:
            self._unfinalized.setdefault(block_hash, candidate.block.number)
            self._store.remember(candidate.block, candidate.receipts)

    def above_finalized(self) -> list[tuple[Block, bytes]]:
        """The finalized block and every stored block that descends from it, parents first, each with its seal."""
        found: list[tuple[Block, bytes]] = []
        anchor = self.finalized.hash
        known = {anchor: None}
        higher = sorted((number, one) for one, number in self._unfinalized.items() if number > self.finalized.number)
        for block_hash in [anchor, *(one for _, one in higher)]:
            block = self._store.block(block_hash)
            if block is None:
                raise CorruptDatabase(f"stored block 0x{block_hash.hex()} has no body")
            if block_hash == anchor or block.header.parent_hash in known:
                known[block_hash] = None
                found.append((block, self._store.seal(block_hash) or b""))
        return found

    def unfinalized_above(self, number: int) -> list[Hash32]:
        """Every block above a height that is stored and not final, on all branches, lowest first."""
        return [one for _, one in sorted((at, one) for one, at in self._unfinalized.items() if at > number)]

    async def update(
        self, head_hash: Hash32, safe_hash: Hash32, finalized_hash: Hash32, seals: Mapping[Hash32, bytes]
    ) -> None:
        """Move the marks. Raises ForkchoiceError where they make no sense."""
        added, removed = self._path(head_hash)
        head = added[-1].header if added else self._known(head_hash, "head")
        on_chain = {block.hash: block.header for block in added}
        safe = on_chain.get(safe_hash) or self._canonical(safe_hash, "safe", removed)
        finalized = on_chain.get(finalized_hash) or self._canonical(finalized_hash, "finalized", removed)
        if not finalized.number <= safe.number <= head.number:
            raise ForkchoiceError(f"finalized {finalized.number}, safe {safe.number}, head {head.number} out of order")
        if finalized.number < self.finalized.number:
            raise ForkchoiceError(f"finalized would go back from {self.finalized.number} to {finalized.number}")
        if removed and removed[-1].number <= self.finalized.number:
            raise ForkchoiceError(f"a reorganisation would undo finalized block {self.finalized.number}")

        batch = Batch()
        changed: dict[Address, None] | None = None if removed else {}
        for block in removed:
            self._store.stage_uncanonical(batch, block)
        for block in added:
            candidate = self._candidates.get(block.hash)
            if candidate is None:
                changed = None
            else:
                if block.hash not in self._unfinalized:
                    self._store.stage_state(batch, candidate.commit.nodes, candidate.commit.codes)
                    self._store.stage_block(batch, block, candidate.receipts, candidate.operations)
                    if block.number > finalized.number:
                        self._store.stage_unfinalized(batch, block)
                if candidate.changed is None:
                    changed = None
                elif changed is not None:
                    changed.update(dict.fromkeys(candidate.changed))
            self._store.stage_canonical(batch, block)
        for block_hash, seal in seals.items():
            self._store.stage_seal(batch, block_hash, seal)
        self._store.stage_mark(batch, "head", head.hash)
        self._store.stage_mark(batch, "safe", safe.hash)
        self._store.stage_mark(batch, "finalized", finalized.hash)
        settled = self._stage_settled(batch, finalized, on_chain, [block.hash for block in removed])
        await self._runtime.workers.run(self._store.database.write, batch, durable=True)

        news_final = finalized.number > self.finalized.number
        self.head, self.safe, self.finalized = head, safe, finalized
        for block in added:
            candidate = self._candidates.get(block.hash)
            if candidate is not None:
                self._store.remember(block, candidate.receipts)
                self._candidates.remove(block.hash)
            if block.number > finalized.number:
                self._unfinalized.setdefault(block.hash, block.number)
        for block_hash, is_canonical in settled:
            self._unfinalized.pop(block_hash, None)
            if not is_canonical:
                self._store.forget(block_hash)
        self._candidates.prune(finalized.number)
        if added or removed:
            news = NewHead(head, tuple(added), tuple(removed), None if changed is None else tuple(changed))
            self._feed.publish(news)
        if news_final:
            self._feed.publish(Finalized(finalized))

    def _stage_settled(
        self, batch: Batch, finalized: Header, added: Mapping[Hash32, Header], removed: Sequence[Hash32]
    ) -> list[tuple[Hash32, bool]]:
        """(hash, whether canonical) of blocks that are final now, or were cut off long enough ago to go."""
        settled: list[tuple[Hash32, bool]] = []
        if finalized.number <= self.finalized.number:
            return settled
        for block_hash, number in self._unfinalized.items():
            if number > finalized.number:
                continue
            was_canonical = self._store.canonical_hash(number) == block_hash and block_hash not in removed
            is_canonical = was_canonical or block_hash in added
            if not is_canonical and number > finalized.number - SIDE_KEPT:
                continue
            self._store.stage_settled(batch, number, block_hash)
            if not is_canonical:
                self._store.stage_forgotten(batch, block_hash)
            settled.append((block_hash, is_canonical))
        return settled

    def _path(self, head_hash: Hash32) -> tuple[list[Block], list[Block]]:
        """(blocks to add, oldest first; canonical blocks to remove, newest first)."""
        added: list[Block] = []
        cursor = head_hash
        while True:
            candidate = self._candidates.get(cursor)
            if candidate is not None:
                block = candidate.block
            else:
                header = self._known(cursor, "head or an ancestor of it")
                if self._store.canonical_hash(header.number) == cursor:
                    break
                stored = self._store.block(cursor)
                if stored is None:
                    raise ForkchoiceError(f"the body of 0x{cursor.hex()} is missing")
                block = stored
            added.append(block)
            cursor = block.header.parent_hash
        added.reverse()
        fork_number = self._known(cursor, "fork point").number
        removed: list[Block] = []
        for number in range(self.head.number, fork_number, -1):
            canonical = self._store.canonical_hash(number)
            block_at = None if canonical is None else self._store.block(canonical)
            if block_at is None:
                raise ForkchoiceError(f"canonical block {number} is missing")
            removed.append(block_at)
        return added, removed

    def _known(self, block_hash: Hash32, role: str) -> Header:
        header = self._candidates.header(block_hash) or self._store.header(block_hash)
        if header is None:
            raise ForkchoiceError(f"{role} 0x{block_hash.hex()} is not known")
        return header

    def _canonical(self, block_hash: Hash32, role: str, removed: list[Block]) -> Header:
        header = self._known(block_hash, role)
        if self._store.canonical_hash(header.number) != block_hash or any(b.hash == block_hash for b in removed):
            raise ForkchoiceError(f"{role} 0x{block_hash.hex()} is not an ancestor of the head")
        return header
