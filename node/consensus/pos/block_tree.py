"""The unfinalized blocks with their states, and the fork choice over them. No effects, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node.consensus.pos.checkpoints import Checkpoint, Finality, first_slot
from node.consensus.pos.committees import Duties
from node.consensus.pos.fork_choice import BlockNode, ForkChoice, Refused, Weights
from node.consensus.pos.messages import Attestation, SignedBlock
from node.consensus.pos.rules import BOOST_PERCENT, PosRules
from node.consensus.pos.state import ChainState, Transition
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Header


@dataclass(frozen=True, slots=True)
class TreeBlock:
    """A valid block: ``signed`` is None for the block the tree began with."""

    header: Header
    state: ChainState
    signed: SignedBlock | None = None


class BlockTree:
    """Blocks from the finalized one upwards. All of them are valid and executed."""

    def __init__(self, rules: PosRules, header: Header, state: ChainState, slot: int) -> None:
        root = header.hash
        self.rules = rules
        self.transition = Transition(rules)
        self.blocks: dict[bytes, TreeBlock] = {root: TreeBlock(header, state)}
        checkpoint = Checkpoint(rules.epoch(state.slot), root)
        finality = Finality(checkpoint, checkpoint)
        anchor = BlockNode(root, header.parent_hash, state.slot, finality, finality)
        self.store = ForkChoice(anchor, rules.slots_per_epoch, self._weights_of, slot)

    def __contains__(self, root: object) -> bool:
        return root in self.blocks

    # --- reads -------------------------------------------------------------------------------------

    def head(self) -> TreeBlock:
        """The block to build on."""
        return self.blocks[self.store.head()]

    def justified(self) -> TreeBlock:
        """The justified checkpoint's block."""
        return self.blocks[self.store.finality.justified.root]

    def finalized(self) -> TreeBlock:
        """The finalized checkpoint's block."""
        return self.blocks[self.store.finality.finalized.root]

    def chain(self, root: bytes) -> Iterator[TreeBlock]:
        """``root`` and its ancestors in the tree, downwards."""
        while root in self.blocks:
            block = self.blocks[root]
            yield block
            root = block.header.parent_hash

    def state_at(self, root: bytes, slot: int) -> ChainState:
        """The state of a block carried on to a later slot."""
        block = self.blocks[root]
        return self.transition.advance(block.state, block.header.hash, max(slot, block.state.slot))

    def duties(self, root: bytes, epoch: int) -> Duties:
        """Who has duties in ``epoch`` on the chain that ends in ``root``."""
        return self.transition.duties(self.blocks[root].state, epoch)

    def checkpoint(self, root: bytes, epoch: int) -> Checkpoint:
        """The checkpoint of ``epoch`` on the chain that ends in ``root``."""
        return Checkpoint(epoch, self.store.checkpoint_block(root, epoch))

    def vote(self, head: bytes, slot: int) -> Attestation:
        """What a member of the slot's committee says that sees this head; validator and signature are left open."""
        state = self.state_at(head, slot)
        target = self.checkpoint(head, self.rules.epoch(slot))
        nobody = self.rules.validators.addresses[0]
        return Attestation(slot, Hash32(head), state.justification.current, target, nobody)

    def _weights_of(self, justified: Checkpoint) -> Weights:
        # scaled, so that 40 % of a slot's share is a whole number for any weights
        scale = 100 * self.rules.slots_per_epoch
        if justified.root not in self.blocks:
            return Weights()
        state = self.state_at(justified.root, first_slot(justified.epoch, self.rules.slots_per_epoch))
        balances = self.transition.unslashed_balances(state)
        total = self.transition.duties(state, self.rules.epoch(state.slot)).total_weight
        return Weights({index: weight * scale for index, weight in balances.items()}, total * BOOST_PERCENT)

    # --- writes ------------------------------------------------------------------------------------

    def check(self, signed: SignedBlock) -> ChainState:
        """The state after a block whose parent is in the tree. Raises Refused or InvalidTransition."""
        header = signed.block.header
        self.store.check_block(header.parent_hash, signed.at_slot)
        parent = self.blocks[header.parent_hash]
        return self.transition.apply(parent.state, parent.header, signed)

    def insert(self, signed: SignedBlock, state: ChainState, timely: bool) -> None:
        """A checked and executed block. Raises Refused, and then nothing has changed."""
        header = signed.block.header
        root = header.hash
        unrealized = self.transition.unrealized(state, root)
        self.store.add_block(BlockNode(root, header.parent_hash, signed.at_slot, state.finality, unrealized, timely))
        self.blocks[root] = TreeBlock(header, state, signed)
        for slashing in signed.body.slashings:
            if isinstance(slashing.first, Attestation):
                self.discard(slashing.validator)
        for attestation in signed.body.attestations:
            try:
                self.count(attestation, in_block=True)
            except Refused:
                continue

    def count(self, attestation: Attestation, in_block: bool = False) -> None:
        """Let a vote weigh in. Raises Refused."""
        index = self.rules.index_of(attestation.validator)
        target = attestation.target
        self.store.check_attestation(attestation.at_slot, attestation.head, target, in_block)
        if index is None or index not in self.duties(target.root, target.epoch).committee(attestation.at_slot):
            raise Refused("its signer is not in the slot's committee")
        self.store.count_votes([index], attestation.head, target.epoch)

    def discard(self, validator: Address) -> None:
        """Votes of a convicted double voter weigh nothing from now on."""
        index = self.rules.index_of(validator)
        if index is not None:
            self.store.discard_equivocators([index])

    def prune(self) -> list[bytes]:
        """Forget what does not descend from the finalized block; the forgotten roots."""
        gone = self.store.prune()
        for root in gone:
            self.blocks.pop(root, None)
        return gone
