"""The engine's state in JSON types, for RPC and for those who ask why a chain does not finalize."""

from __future__ import annotations

from typing import Protocol

from node.consensus.pos.block_tree import BlockTree
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.exchange import WaitingBlocks
from node.consensus.pos.messages import conviction
from node.consensus.pos.rules import PosRules
from node.consensus.pos.statement_pool import StatementPool
from node.primitives.hexadecimal import to_data
from node.primitives.scalars import Address


class Inspected(Protocol):
    """What is read of the engine."""

    rules: PosRules
    keys: tuple[Address, ...]
    watch_only: str
    pool: StatementPool
    waiting: WaitingBlocks


def inspect_engine(
    engine: Inspected, tree: BlockTree | None, wall_ms: int, executing: int, uncounted: int
) -> dict[str, object]:
    """Slot, epoch, head, checkpoints, this epoch's votes by validator, and the unfinalized blocks with weights."""
    rules = engine.rules
    validators = [{"address": to_data(one.address), "weight": one.weight} for one in rules.validators.validators]
    start: dict[str, object] = {
        "engine": "pos",
        "validator": to_data(engine.keys[0]) if engine.keys else None,
        "keys": [to_data(key) for key in engine.keys],
        "watchOnly": engine.watch_only or None,
        "validators": validators,
        "slotMs": rules.slot_ms,
        "slotsPerEpoch": rules.slots_per_epoch,
    }
    if tree is None:
        return {**start, "height": 0, "step": "not started"}
    slot, epoch, head = tree.store.slot, tree.store.epoch, tree.head()
    state = tree.state_at(head.header.hash, slot)
    duties = tree.transition.duties(state, epoch)
    addresses = rules.validators.addresses
    votes = engine.pool.votes(epoch)
    due = [index for one in range(epoch * rules.slots_per_epoch, slot + 1) for index in duties.committee(one)]
    return {
        **start,
        "height": head.header.number + 1,
        "step": "running",
        "slot": slot,
        "epoch": epoch,
        "nextSlotInMs": max(0, rules.start_ms(slot + 1) - wall_ms),
        "proposer": to_data(addresses[duties.proposer(slot)]),
        "head": {"hash": to_data(head.header.hash), "number": head.header.number, "slot": head.state.slot},
        "justified": _checkpoint(tree.store.finality.justified),
        "finalized": _checkpoint(tree.store.finality.finalized),
        "boosted": to_data(tree.store.boost_root) if tree.store.boost_root else None,
        "votes": [
            {
                "validator": to_data(vote.validator),
                "slot": vote.at_slot,
                "head": to_data(vote.head),
                "source": _checkpoint(vote.source),
                "target": _checkpoint(vote.target),
            }
            for vote in votes.values()
        ],
        "missing": [to_data(addresses[index]) for index in due if addresses[index] not in votes],
        "slashed": [to_data(addresses[index]) for index, _ in state.exits],
        "evidence": [
            {"validator": to_data(validator), "kind": conviction(found)}
            for validator, found in engine.pool.evidence.items()
        ],
        "executing": executing,
        "waitingBlocks": len(engine.waiting),
        "waitingVotes": uncounted,
        "tree": _tree(tree),
    }


def _checkpoint(checkpoint: Checkpoint) -> dict[str, object]:
    return {"epoch": checkpoint.epoch, "root": to_data(checkpoint.root)}


def _tree(tree: BlockTree) -> list[dict[str, object]]:
    """Weights are in validators' weight, without the fork choice's scale."""
    weights = tree.store.subtree_weights()
    scale = 100 * tree.rules.slots_per_epoch
    return [
        {
            "hash": to_data(block.header.hash),
            "parent": to_data(block.header.parent_hash),
            "number": block.header.number,
            "slot": block.state.slot,
            "proposer": to_data(block.signed.validator) if block.signed else None,
            "weight": weights[root] // scale,
            "justifiedEpoch": block.state.justification.current.epoch,
        }
        for root, block in tree.blocks.items()
    ]
