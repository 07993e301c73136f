"""The fork choice store of Gasper: blocks, latest votes and checkpoints in, the head out.

Works on abstract values: roots are bytes, validators are numbers, and what the chain state transition found
(the checkpoints on a block's chain) comes with the block. Every answer is computed from scratch: no cached
weight can be stale. Rules: consensus-specs, phase0/fork-choice.md, with unrealized justification ("pull up"),
the boost for the first timely block with the head's dependent root, and equivocations discarded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from node.consensus.pos.checkpoints import GENESIS_EPOCH, Checkpoint, Finality, epoch_of, first_slot


class Refused(ValueError):
    """The store does not take this; the text says why. ``early``: it may, later."""

    def __init__(self, why: str, early: bool = False) -> None:
        super().__init__(why)
        self.early = early


@dataclass(frozen=True, slots=True)
class BlockNode:
    """A block that passed the chain's state transition."""

    root: bytes
    parent: bytes
    slot: int
    realized: Finality
    """As its chain's state has it."""
    unrealized: Finality
    """As its chain's state would have it if the epoch ended with this block."""
    timely: bool = False
    """It arrived in its own slot, before attestations were due."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Active, unslashed balances in the state of the justified checkpoint, and what the boost counts."""

    balances: Mapping[int, int] = field(default_factory=dict)
    boost: int = 0


@dataclass(frozen=True, slots=True)
class LatestVote:
    """A validator's newest vote: for which head, and of which target epoch."""

    epoch: int
    root: bytes


class ForkChoice:
    """The store. ``weights_of`` gives the weights in the state of a justified checkpoint."""

    def __init__(
        self, anchor: BlockNode, slots_per_epoch: int, weights_of: Callable[[Checkpoint], Weights], slot: int = 0
    ) -> None:
        """``anchor`` is taken for granted; its ``realized`` checkpoints are the store's first."""
        self.slots_per_epoch = slots_per_epoch
        self.slot = max(slot, anchor.slot)
        self.finality = anchor.realized
        self.unrealized = anchor.unrealized
        self.boost_root: bytes | None = None
        self.equivocating: set[int] = set()
        self.latest_votes: dict[int, LatestVote] = {}
        self.nodes: dict[bytes, BlockNode] = {anchor.root: anchor}
        """Parents first, because a block needs its parent to enter."""
        self._anchor = anchor.root
        self._weights_of = weights_of

    # --- time --------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return epoch_of(self.slot, self.slots_per_epoch)

    def tick(self, slot: int) -> None:
        """Time has reached the start of ``slot``; every slot in between is passed through."""
        if slot <= self.slot:
            return
        # between two epoch starts nothing but the boost changes, so whole epochs need no steps
        crosses = epoch_of(slot, self.slots_per_epoch) > self.epoch
        self.slot = slot
        self._on_new_slot()
        if crosses:
            self._on_new_epoch()

    def _on_new_slot(self) -> None:
        self.boost_root = None

    def _on_new_epoch(self) -> None:
        self._adopt(self.unrealized)

    def _adopt(self, finality: Finality) -> None:
        self.finality = self.finality.raised_by(finality)

    # --- tree --------------------------------------------------------------------------------------

    def __contains__(self, root: object) -> bool:
        return root in self.nodes

    def ancestor(self, root: bytes, slot: int) -> bytes:
        """The last block at or before ``slot`` on the chain that ends in ``root``; the anchor at the earliest."""
        node = self.nodes[root]
        while node.slot > slot and node.root != self._anchor:
            node = self.nodes[node.parent]
        return node.root

    def checkpoint_block(self, root: bytes, epoch: int) -> bytes:
        """The block that stands for ``epoch`` on the chain that ends in ``root``."""
        return self.ancestor(root, first_slot(epoch, self.slots_per_epoch))

    def is_ancestor(self, root: bytes, descendant: bytes) -> bool:
        """Whether ``descendant`` is ``root`` or builds on it."""
        return self.ancestor(descendant, self.nodes[root].slot) == root

    def dependent_root(self, root: bytes) -> bytes:
        """The block that fixes the current epoch's duties on the chain that ends in ``root``."""
        epoch = self.epoch
        if epoch <= GENESIS_EPOCH + 1:
            return self.ancestor(root, 0)
        return self.ancestor(root, first_slot(epoch - 1, self.slots_per_epoch) - 1)

    # --- blocks ------------------------------------------------------------------------------------

    def check_block(self, parent: bytes, slot: int) -> None:
        """Whether the store takes a child of ``parent`` at ``slot`` now. Raises Refused."""
        if parent not in self.nodes:
            raise Refused("its parent is not known", early=True)
        if slot > self.slot:
            raise Refused(f"slot {slot} is in the future; now is {self.slot}", early=True)
        if slot <= self.nodes[parent].slot:
            raise Refused(f"slot {slot} is not after its parent's, {self.nodes[parent].slot}")
        finalized = self.finality.finalized
        if slot <= first_slot(finalized.epoch, self.slots_per_epoch):
            raise Refused(f"slot {slot} is not after the finalized epoch {finalized.epoch} began")
        if self.checkpoint_block(parent, finalized.epoch) != finalized.root:
            raise Refused("it does not descend from the finalized block")

    def add_block(self, node: BlockNode) -> None:
        """A valid block. Raises Refused, and then nothing has changed; a known block changes nothing."""
        if node.root in self.nodes:
            return
        self.check_block(node.parent, node.slot)
        self._check_checkpoints(node)
        wants_boost = self._is_timely(node) and self._boost_is_free()
        head = self.head() if wants_boost else node.root
        self.nodes[node.root] = node
        if wants_boost and self._same_duties(head, node.root):
            self.boost_root = node.root
        self._adopt(node.realized)
        self.unrealized = self.unrealized.raised_by(node.unrealized)
        if self._epoch_is_past(node):
            self._adopt(node.unrealized)

    def _check_checkpoints(self, node: BlockNode) -> None:
        """What the store may adopt must lie in its tree."""
        known = self.finality
        for finality in (node.realized, node.unrealized):
            for checkpoint, ours in (
                (finality.justified, known.justified),
                (finality.finalized, known.finalized),
            ):
                if checkpoint.epoch > ours.epoch and checkpoint.root not in self.nodes:
                    raise Refused(f"its checkpoint of epoch {checkpoint.epoch} is not known")

    def _is_timely(self, node: BlockNode) -> bool:
        return node.timely

    def _boost_is_free(self) -> bool:
        return self.boost_root is None

    def _same_duties(self, head: bytes, root: bytes) -> bool:
        return self.dependent_root(head) == self.dependent_root(root)

    def _epoch_is_past(self, node: BlockNode) -> bool:
        return epoch_of(node.slot, self.slots_per_epoch) < self.epoch

    def prune(self) -> list[bytes]:
        """Forget what does not descend from the finalized block; the forgotten roots."""
        root = self.finality.finalized.root
        if root == self._anchor or root not in self.nodes:
            return []
        kept = {root: self.nodes[root]}
        for node in self.nodes.values():
            if node.parent in kept:
                kept[node.root] = node
        gone = [old for old in self.nodes if old not in kept]
        self.nodes = kept
        self._anchor = root
        return gone

    # --- votes -------------------------------------------------------------------------------------

    def check_attestation(self, slot: int, head: bytes, target: Checkpoint, in_block: bool = False) -> None:
        """Whether an attestation of ``slot`` may count now. Raises Refused.

        One that comes inside a block may be older than the previous epoch.
        """
        epoch = target.epoch
        if epoch != epoch_of(slot, self.slots_per_epoch):
            raise Refused("its target is not of its slot's epoch")
        if not in_block and epoch + 1 < self.epoch:
            raise Refused(f"target epoch {epoch} is too old; now is {self.epoch}")
        if head not in self.nodes:
            raise Refused("its head is not known", early=True)
        if target.root not in self.nodes:
            raise Refused("its target is not known", early=True)
        if self.nodes[head].slot > slot:
            raise Refused("its head is of a later slot")
        if self.checkpoint_block(head, epoch) != target.root:
            raise Refused("its target is not on its head's chain")
        if self.slot < slot + 1:
            raise Refused(f"it counts from slot {slot + 1} on", early=True)

    def count_votes(self, validators: Iterable[int], head: bytes, target_epoch: int) -> None:
        """Valid attestations of ``validators`` for ``head``."""
        for validator in validators:
            if validator in self.equivocating:
                continue
            latest = self.latest_votes.get(validator)
            if latest is None or self._replaces(target_epoch, latest):
                self.latest_votes[validator] = LatestVote(target_epoch, head)

    def _replaces(self, target_epoch: int, latest: LatestVote) -> bool:
        return target_epoch > latest.epoch

    def discard_equivocators(self, validators: Iterable[int]) -> None:
        """Slashing evidence: their votes count no more, ever."""
        self.equivocating.update(validators)

    # --- head --------------------------------------------------------------------------------------

    def head(self) -> bytes:
        """Greedy heaviest observed subtree, from the justified block down, over viable branches."""
        viable = self._viable_roots()
        weights = self.subtree_weights()
        children: dict[bytes, list[bytes]] = {}
        for node in self.nodes.values():
            if node.root in viable:
                children.setdefault(node.parent, []).append(node.root)
        head = self._start()
        while head in children:
            head = max(children[head], key=lambda root: self._rank(weights[root], root))
        return head

    def _start(self) -> bytes:
        return self.finality.justified.root

    def _rank(self, weight: int, root: bytes) -> tuple[int, bytes]:
        return weight, root

    def subtree_weights(self) -> dict[bytes, int]:
        """For every block: the balances whose latest vote is for it or a descendant, and the boost."""
        weights = self._weights_of(self.finality.justified)
        totals = dict.fromkeys(self.nodes, 0)
        for validator, vote in self.latest_votes.items():
            if vote.root in totals and self._counts(validator):
                totals[vote.root] += weights.balances.get(validator, 0)
        if self.boost_root is not None and self.boost_root in totals:
            totals[self.boost_root] += self._boost(weights)
        for node in reversed(self.nodes.values()):
            if node.parent in totals:
                totals[node.parent] += totals[node.root]
        return totals

    def _counts(self, validator: int) -> bool:
        return validator not in self.equivocating

    def _boost(self, weights: Weights) -> int:
        return weights.boost

    def _viable_roots(self) -> set[bytes]:
        """Blocks with a leaf above them that agrees with the store's checkpoints (``filter_block_tree``)."""
        viable: set[bytes] = set()
        inner: set[bytes] = set()
        for node in reversed(self.nodes.values()):
            # children come before their parent here
            if node.root in viable or (node.root not in inner and self._is_viable_leaf(node)):
                viable.add(node.root)
                viable.add(node.parent)
            inner.add(node.parent)
        return viable

    def _is_viable_leaf(self, node: BlockNode) -> bool:
        return self._agrees_on_justified(node) and self._agrees_on_finalized(node)

    def _agrees_on_justified(self, node: BlockNode) -> bool:
        justified = self.finality.justified
        source = self._voting_source(node)
        return (
            justified.epoch == GENESIS_EPOCH or source.epoch == justified.epoch or self._is_recent_source(source.epoch)
        )

    def _is_recent_source(self, epoch: int) -> bool:
        return epoch + 2 >= self.epoch

    def _voting_source(self, node: BlockNode) -> Checkpoint:
        """What a vote cast now on this block would name as its source."""
        return node.unrealized.justified if self._epoch_is_past(node) else node.realized.justified

    def _agrees_on_finalized(self, node: BlockNode) -> bool:
        finalized = self.finality.finalized
        return finalized.epoch == GENESIS_EPOCH or self.checkpoint_block(node.root, finalized.epoch) == finalized.root
