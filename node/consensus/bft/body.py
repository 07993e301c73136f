"""The consensus body of a block: convictions, what its header commits to, and what they do to the state.

A block without evidence has no body, and its ``parent_beacon_block_root`` is the parent hash. With evidence it is
keccak256("evmesh/bft-body" ‖ parent hash ‖ rlp([evidence, …])), so the block hash covers the body and everybody who
signs the hash has signed the body too. Each conviction is one state write ahead of the block's transactions: the
validator's weight in the validator contract becomes CONVICTED, which counts as 0 for ever.

Judged by height only, never by a clock: what is valid here is valid on every node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from node.consensus.bft.evidence import conviction
from node.consensus.bft.messages import EVIDENCE_PER_BLOCK_MAX, Decided, Evidence, Polka, Proposal
from node.consensus.engine import MalformedMessage
from node.consensus.validator_contract import CONVICTED, VALIDATOR_CONTRACT, weight_slot
from node.consensus.validators import ValidatorSet
from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.types.operations import Operation, SetStorage

EVIDENCE_AGE_MAX: Final = 10_000
"""Blocks after which a contradiction is forgiven: evidence is kept no longer than that."""

_DOMAIN: Final = b"evmesh/bft-body"


def beacon_root(parent_hash: Hash32, evidence: Sequence[Evidence]) -> Hash32:
    """What the header of a block on ``parent_hash`` with this evidence holds in ``parent_beacon_block_root``."""
    if not evidence:
        return parent_hash
    return keccak256(_DOMAIN + parent_hash + rlp.encode_list([one.item() for one in evidence]))


def check_commitment(message: Proposal | Polka | Decided) -> None:
    """That a message carries the body its block commits to. Raises MalformedMessage.

    Without this, whoever passes a proposal on could strip or swap its body and make a good block look bad.
    """
    header = message.block.header
    expected = beacon_root(header.parent_hash, message.evidence)
    committed = header.parent_beacon_block_root
    if committed != expected and (committed is not None or message.evidence):
        raise MalformedMessage("the block's header commits to another consensus body")


def evidence_problem(evidence: Sequence[Evidence], height: int, validators: ValidatorSet) -> str:
    """Why a block of ``height`` may not carry this evidence; empty when it may. ``validators``: the height's own."""
    if len(evidence) > EVIDENCE_PER_BLOCK_MAX:
        return f"{len(evidence)} convictions, at most {EVIDENCE_PER_BLOCK_MAX}"
    before: Address | None = None
    for one in evidence:
        validator = one.first.validator
        if not conviction(one.first, one.second):
            return "the two statements do not contradict each other"
        if before is not None and validator <= before:
            return "convicted validators are not in ascending order"
        if validator not in validators:
            return f"0x{validator.hex()} has no weight at this height"
        if not height - EVIDENCE_AGE_MAX <= one.first.height <= height:
            return f"evidence of height {one.first.height} in block {height}"
        before = validator
    if len(evidence) >= len(validators):
        return "no validator would be left"
    return ""


def choose_evidence(pending: Iterable[Evidence], height: int, validators: ValidatorSet) -> tuple[Evidence, ...]:
    """What an honest proposer puts into its block: the first conviction of each member, as many as fit."""
    chosen: dict[Address, Evidence] = {}
    room = min(EVIDENCE_PER_BLOCK_MAX, len(validators) - 1)
    for one in pending:
        if len(chosen) >= room:
            break
        if one.first.validator not in chosen and not evidence_problem((one,), height, validators):
            chosen[one.first.validator] = one
    return tuple(chosen[validator] for validator in sorted(chosen))


def operations(evidence: Sequence[Evidence]) -> tuple[Operation, ...]:
    """The state writes that the evidence orders."""
    return tuple(SetStorage(VALIDATOR_CONTRACT, weight_slot(one.first.validator), CONVICTED) for one in evidence)
