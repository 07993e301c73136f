"""What must hold of pos nodes, judged from what they store, mark and sign."""

from __future__ import annotations

from collections import deque

from network.simulator.level1.judge import Verdict
from network.simulator.level1.payloads import refusal
from network.simulator.level1.pos_node import PosNode
from node.consensus.pos.messages import Attestation, SignedBlock, SignedHeader, Slashing, conviction
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address
from node.types.blocks import Block


class PosJudge(Verdict):
    """Collects marks and statements."""

    def __init__(self, genesis: Block, validators: ValidatorSet, honest: frozenset[Address]) -> None:
        super().__init__(validators, honest)
        self.final: dict[int, tuple[bytes, str]] = {0: (genesis.hash, "all")}
        self.deepest_reorg = 0
        self._votes: dict[Address, dict[int, dict[tuple[object, ...], Attestation]]] = {}
        self._headers: dict[tuple[Address, int], dict[bytes, SignedHeader]] = {}

    def is_accounted_for(self, guilty: int) -> bool:
        """Two conflicting finalized checkpoints take a third that contradicted itself (Casper FFG)."""
        return 3 * guilty >= self.validators.total_weight

    # --- reports ---------------------------------------------------------------------------------

    def on_said(self, message: SignedBlock | Attestation) -> None:
        """A statement has left its signer."""
        if isinstance(message, Attestation):
            votes = self._votes.setdefault(message.validator, {}).setdefault(message.target.epoch, {})
            votes.setdefault(message.data, message)
        else:
            header = message.header
            self._headers.setdefault((header.proposer, header.at_slot), {}).setdefault(header.block_hash, header)

    def on_stored(self, node: PosNode, block: Block) -> None:
        """An honest node keeps a block for valid: its parent is there, and execution agrees."""
        held = node.blocks.get(block.header.parent_hash)
        if held is None:
            self.report("linkage", f"{node.label} stored block {block.number} without its parent")
        elif reason := refusal(held[0].header, block):
            self.report("validity", f"{node.label} took block {block.number} for valid: {reason}")
        elif block.number != held[0].number + 1:
            self.report("linkage", f"{node.label} stored block {block.number} on block {held[0].number}")

    def on_moved(self, node: PosNode, head: bytes, safe: bytes, finalized: bytes) -> None:
        """An honest node's marks move: one chain, in order, finality never back, and the same for all."""
        if head not in node.blocks:
            self.report("linkage", f"{node.label} has a head that it does not store")
            return
        numbers: dict[bytes, int] = {block.hash: block.number for block in self._down_to(node, head, finalized)}
        if finalized not in numbers or safe not in numbers:
            self.report("order", f"{node.label}: finalized, safe and head are not on one chain in this order")
            return
        if node.head not in numbers:
            self._note_reorg(node, numbers)
        if finalized == node.finalized:
            return
        down = list(self._down_to(node, finalized, node.finalized))
        if down[-1].hash != node.finalized:
            self.report("memory", f"{node.label} finalized {down[0].number}, which is not above what it had finalized")
            return
        for block in reversed(down):
            first, who = self.final.setdefault(block.number, (block.hash, node.label))
            if first != block.hash:
                mine, other = block.hash.hex()[:12], first.hex()[:12]
                self.report("agreement", f"block {block.number}: {who} finalized {other}, {node.label} {mine}")
                return

    @staticmethod
    def _down_to(node: PosNode, root: bytes, end: bytes) -> list[Block]:
        """From a block down to ``end``, or to genesis when it is not on the way."""
        found: list[Block] = []
        lowest = node.blocks[end][0].number if end in node.blocks else 0
        for block in node.chain(root):
            found.append(block)
            if block.number <= lowest:
                break
        return found

    def _note_reorg(self, node: PosNode, numbers: dict[bytes, int]) -> None:
        depth = 0
        for block in node.chain(node.head):
            if block.hash in numbers:
                break
            depth += 1
        self.deepest_reorg = max(self.deepest_reorg, depth)

    # --- verdicts --------------------------------------------------------------------------------

    def convicted(self) -> dict[Address, str]:
        """Everybody whom two of his statements convict, by the engine's rule, pair by pair where one may show it."""
        found: dict[Address, str] = {}
        for (validator, _), headers in self._headers.items():
            pair = list(headers.values())[:2]
            if len(pair) == 2 and (kind := conviction(Slashing(pair[0], pair[1]))):
                found.setdefault(validator, kind)
        for validator, by_epoch in self._votes.items():
            if validator in found:
                continue
            # a vote reaches over others by no more than its own length: pairs further apart show nothing
            longest = max(
                (vote.target.epoch - vote.source.epoch for votes in by_epoch.values() for vote in votes.values()),
                default=0,
            )
            earlier: deque[Attestation] = deque()
            for epoch, votes in sorted(by_epoch.items()):
                while earlier and earlier[0].target.epoch < epoch - max(0, longest):
                    earlier.popleft()
                for vote in votes.values():
                    kind = next((kind for old in earlier if (kind := conviction(Slashing(old, vote)))), "")
                    if kind:
                        found.setdefault(validator, kind)
                    earlier.append(vote)
        return found

    def convicted_independently(self) -> dict[Address, str]:
        """By the naive definition: one block a slot, one vote a target, and sources rise with targets."""
        found: dict[Address, str] = {}
        for (validator, _), headers in self._headers.items():
            if len(headers) > 1:
                found.setdefault(validator, "double proposal")
        for validator, by_epoch in self._votes.items():
            highest = -1
            for _, votes in sorted(by_epoch.items()):
                if len(votes) > 1:
                    found.setdefault(validator, "double vote")
                if min(vote.source.epoch for vote in votes.values()) < highest:
                    found.setdefault(validator, "surround vote")
                highest = max(highest, *(vote.source.epoch for vote in votes.values()))
        return found
