"""What nodes tell and ask each other besides blocks and votes: statuses, requests, and blocks that must wait.

A block whose parent is unknown waits here (bounded) while the parent is asked for by root; a node far behind
asks for finalized blocks by number. Votes are repaired by statuses: each says whose votes it has heard, and is
sent those it lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Final

from node.consensus.engine import Effect, SendDecided, SendTo
from node.consensus.pos.block_tree import BlockTree
from node.consensus.pos.messages import (
    RANGE_MAX,
    GetBlocksByRange,
    GetBlocksByRoot,
    SignedBlock,
    Status,
)
from node.consensus.pos.statement_pool import StatementPool
from node.primitives.scalars import Hash32

WAITING_MAX: Final = 128
ANCESTORS_MAX: Final = 32
"""Blocks sent in answer to one root: it and what it builds on."""
ANSWERED_MAX: Final = 256
"""Blocks and votes sent to one peer in one slot."""
ASKED_MAX: Final = 512
PEERS_MAX: Final = 256
STALLED_SLOTS: Final = 4
"""A range sync without progress for so long starts again from the finalized block."""


class WaitingBlocks:
    """Blocks that cannot be judged yet: their parent is unknown or still executing, or their slot has not begun."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, tuple[SignedBlock, bytes | None]] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, root: object) -> bool:
        return root in self._blocks

    def add(self, signed: SignedBlock, peer: bytes | None) -> None:
        """Keep a block. When there are too many, the latest of whoever proposed most of them gives way."""
        self._blocks.setdefault(signed.block.hash, (signed, peer))
        if len(self._blocks) > WAITING_MAX:
            counts = Counter(one.validator for one, _ in self._blocks.values())
            ranks = {root: (counts[one.validator], one.at_slot, root) for root, (one, _) in self._blocks.items()}
            del self._blocks[max(ranks, key=ranks.__getitem__)]

    def wants(self, root: bytes) -> bool:
        """Whether a block waits for this parent."""
        return any(one.block.header.parent_hash == root for one, _ in self._blocks.values())

    def children_of(self, parent: bytes) -> list[tuple[SignedBlock, bytes | None]]:
        """Take out the blocks that build on ``parent``."""
        return self._take(root for root, (one, _) in self._blocks.items() if one.block.header.parent_hash == parent)

    def begun(self, slot: int, tree: BlockTree) -> list[tuple[SignedBlock, bytes | None]]:
        """Take out the blocks whose parent is there and whose slot has begun."""
        return self._take(
            root
            for root, (one, _) in self._blocks.items()
            if one.at_slot <= slot and one.block.header.parent_hash in tree
        )

    def forget_through(self, slot: int) -> None:
        """Drop blocks of finalized slots: they can never enter."""
        self._take(root for root, (one, _) in self._blocks.items() if one.at_slot <= slot)

    def oldest_missing(self, root: bytes) -> bytes:
        """The first block on the way down from ``root`` that is not here."""
        while root in self._blocks:
            root = self._blocks[root][0].block.header.parent_hash
        return root

    def _take(self, roots: Iterable[bytes]) -> list[tuple[SignedBlock, bytes | None]]:
        return [self._blocks.pop(root) for root in list(roots)]


class Exchange:
    """Requests sent and answers given, each bounded per slot."""

    def __init__(self, tree: BlockTree, pool: StatementPool) -> None:
        self._tree = tree
        self._pool = pool
        self._asked: dict[bytes, int] = {}
        self._answered: dict[bytes, tuple[int, int]] = {}
        self._range_next = 0
        self._range_last = 0
        self._range_peer: bytes | None = None
        self._range_slot = 0
        self._range_attempt = 0
        self._range_moves = False

    def status(self) -> Status:
        """Where we stand."""
        tree, slot = self._tree, self._tree.store.slot
        epoch = tree.rules.epoch(slot)
        head = tree.head().header
        finalized = tree.store.finality.finalized
        return Status(
            slot,
            head.hash,
            head.number,
            finalized,
            tree.finalized().header.number,
            self._voters(epoch - 1),
            self._voters(epoch),
        )

    def _voters(self, epoch: int) -> int:
        indexes = (self._tree.rules.index_of(validator) for validator in self._pool.votes(epoch))
        return sum(1 << index for index in indexes if index is not None)

    # --- asking ------------------------------------------------------------------------------------

    def ask_for(self, root: bytes, peer: bytes | None, tip: bool = False) -> list[Effect]:
        """One request per root and slot; none for a ``tip`` that a running range sync will reach."""
        slot = self._tree.store.slot
        if tip and self._range_runs:
            return []
        if peer is None or root in self._tree or self._asked.get(root) == slot:
            return []
        self._asked.pop(root, None)
        self._asked[root] = slot
        if len(self._asked) > ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        return [SendTo(peer, GetBlocksByRoot((Hash32(root),)))]

    def on_status(self, peer: bytes, status: Status, waiting: WaitingBlocks) -> list[Effect]:
        """Send what the peer lacks, ask for what we lack."""
        effects = self._votes_for(peer, status)
        if status.head in self._tree:
            return effects
        far_ahead = status.head_number > self._tree.head().header.number + ANCESTORS_MAX
        if far_ahead or status.finalized_number > self._tree.finalized().header.number:
            return [*effects, *self._ask_range(peer, status.head_number)]
        return [*effects, *self.ask_for(waiting.oldest_missing(status.head), peer, tip=True)]

    def _ask_range(self, peer: bytes, last: int) -> list[Effect]:
        """From our head on, if we merely lag; when that led nowhere, from the last block all agree on."""
        slot = self._tree.store.slot
        if self._range_runs:
            return []
        self._range_attempt += 1
        base = self._tree.head() if self._range_attempt % 2 else self._tree.finalized()
        self._range_peer, self._range_last, self._range_slot, self._range_moves = peer, last, slot, False
        return self._next_range(base.header.number + 1)

    def _next_range(self, first: int) -> list[Effect]:
        peer, count = self._range_peer, min(RANGE_MAX, self._range_last - first + 1)
        if peer is None or count <= 0:
            self._range_peer = None
            self._range_attempt = 0
            return []
        self._range_next = first + count
        return [SendTo(peer, GetBlocksByRange(first, count))]

    def on_imported(self, number: int, at_slot: int) -> list[Effect]:
        """Go on with a range sync when its last block has come in."""
        slot = self._tree.store.slot
        if self._range_peer is None:
            return []
        if number >= self._range_last:
            # the end, whoever brought it: everything below is here, so duties may begin again
            self._range_peer = None
            self._range_attempt = 0
            return []
        if at_slot + self._tree.rules.slots_per_epoch >= slot:
            # a block of these days: no sync brought it
            return []
        self._range_slot, self._range_moves = slot, True
        return self._next_range(number + 1) if number + 1 >= self._range_next else []

    @property
    def catching_up(self) -> bool:
        """Whether a range sync brings old blocks in: our head is not what others see.

        A claim alone is not enough, or any peer could silence us.
        """
        return self._range_runs and self._range_moves

    @property
    def progress(self) -> dict[str, int] | None:
        """Block numbers that the catch-up stands at and goes to; None when there is none."""
        if not self.catching_up:
            return None
        return {"from": self._tree.head().header.number, "to": self._range_last}

    @property
    def _range_runs(self) -> bool:
        return self._range_peer is not None and self._tree.store.slot < self._range_slot + STALLED_SLOTS

    def on_peer_down(self, peer: bytes) -> None:
        """What was kept for it may go."""
        self._answered.pop(peer, None)
        if self._range_peer == peer:
            self._range_peer = None

    # --- answering ---------------------------------------------------------------------------------

    def _grant(self, peer: bytes, wanted: int) -> int:
        """How much of ``wanted`` this peer may still get in this slot."""
        slot = self._tree.store.slot
        at, given = self._answered.pop(peer, (slot, 0))
        given = given if at == slot else 0
        granted = max(0, min(wanted, ANSWERED_MAX - given))
        self._answered[peer] = (slot, given + granted)
        if len(self._answered) > PEERS_MAX:
            del self._answered[next(iter(self._answered))]
        return granted

    def _votes_for(self, peer: bytes, status: Status) -> list[Effect]:
        rules = self._tree.rules
        epoch = rules.epoch(status.at_slot)
        missing = [
            vote
            for one, mask in ((epoch - 1, status.previous_voters), (epoch, status.current_voters))
            for vote in self._pool.votes(one).values()
            if not mask >> (rules.index_of(vote.validator) or 0) & 1
        ]
        return [SendTo(peer, vote) for vote in missing[: self._grant(peer, len(missing))]]

    def on_by_root(self, peer: bytes, request: GetBlocksByRoot) -> list[Effect]:
        """The blocks and their unfinalized ancestors, parents first."""
        effects: list[Effect] = []
        for root in request.roots:
            found = [one.signed for one in islice(self._tree.chain(root), ANCESTORS_MAX) if one.signed is not None]
            granted = self._grant(peer, len(found))
            effects += [SendTo(peer, signed) for signed in reversed(found[:granted])]
        return effects

    def on_by_range(self, peer: bytes, request: GetBlocksByRange) -> list[Effect]:
        """Canonical blocks by number: finalized ones from storage, the others from the tree."""
        granted = self._grant(peer, request.count)
        if not granted:
            return []
        last = request.first + granted - 1
        finalized = self._tree.finalized().header.number
        effects: list[Effect] = []
        if request.first <= finalized:
            effects.append(SendDecided(peer, max(1, request.first), min(last, finalized)))
        above = [
            one.signed
            for one in self._tree.chain(self._tree.store.head())
            if one.signed is not None and finalized < one.header.number and request.first <= one.header.number <= last
        ]
        return [*effects, *(SendTo(peer, signed) for signed in reversed(above))]
