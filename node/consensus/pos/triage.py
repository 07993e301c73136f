"""Which messages are worth verifying: cheap questions, asked before any signature is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.consensus.engine import WANTED, ConsensusMessage, Triage
from node.consensus.pos.block_tree import BlockTree
from node.consensus.pos.messages import (
    Attestation,
    GetBlocksByRange,
    GetBlocksByRoot,
    SignedBlock,
    SignedHeader,
    Slashing,
    Status,
)
from node.consensus.pos.statement_pool import StatementPool

SLOTS_AHEAD_MAX: Final = 1
"""Blocks and votes of the next slot are kept for it: clocks differ."""


def triage_message(
    message: ConsensusMessage, tree: BlockTree, pool: StatementPool, known: Callable[[SignedHeader], str]
) -> Triage:
    """An opinion about a message or what it claims. ``known`` says why a block is not wanted again, or ""."""
    if isinstance(message, SignedBlock):
        message = message.header
    if isinstance(message, SignedHeader):
        return _header(message, tree, known)
    if isinstance(message, Attestation):
        return triage_vote(message, tree, pool)
    if isinstance(message, Slashing):
        if message.validator not in tree.rules.validators:
            return Triage(False, "evidence against a stranger", hostile=True)
        return Triage(False, "evidence already known") if message.validator in pool.evidence else WANTED
    if isinstance(message, Status | GetBlocksByRoot | GetBlocksByRange):
        return WANTED
    return Triage(False, "unknown message", hostile=True)


def _header(header: SignedHeader, tree: BlockTree, known: Callable[[SignedHeader], str]) -> Triage:
    if header.proposer not in tree.rules.validators:
        return Triage(False, "proposer is no validator", hostile=True)
    why = known(header)
    if why:
        return Triage(False, why)
    if header.at_slot > tree.store.slot + SLOTS_AHEAD_MAX:
        return Triage(False, "slot in the future")
    if header.at_slot <= tree.finalized().state.slot:
        return Triage(False, "slot already finalized")
    return WANTED


def triage_vote(vote: Attestation, tree: BlockTree, pool: StatementPool) -> Triage:
    """An opinion about a vote that came alone."""
    if vote.validator not in tree.rules.validators:
        return Triage(False, "signer is no validator", hostile=True)
    if vote.target.epoch != tree.rules.epoch(vote.at_slot):
        return Triage(False, "target is not of the slot's epoch", hostile=True)
    if vote.at_slot > tree.store.slot + SLOTS_AHEAD_MAX:
        return Triage(False, "slot in the future")
    if vote.target.epoch + 1 < tree.store.epoch:
        return Triage(False, "target epoch is past")
    if vote.validator in pool.evidence and vote.validator in pool.votes(vote.target.epoch):
        return Triage(False, "its signer is convicted")
    return Triage(False, "vote already held") if pool.knows(vote) else WANTED
