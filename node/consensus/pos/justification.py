"""Casper FFG at an epoch's end: which checkpoints become justified and finalized.

phase0 ``weigh_justification_and_finalization``. Two thirds exactly count.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.consensus.pos.checkpoints import Checkpoint

BITS = 4
"""Epochs that are looked back upon; bit 0 is the current one."""


@dataclass(frozen=True, slots=True)
class Justification:
    """The checkpoints of one chain, and which of the last four epochs are justified."""

    bits: int
    previous: Checkpoint
    """What was ``current`` one epoch ago: the source of late votes."""
    current: Checkpoint
    finalized: Checkpoint


def is_supermajority(weight: int, total: int) -> bool:
    """At least two thirds."""
    return 3 * weight >= 2 * total


def weigh(
    before: Justification,
    epoch: int,
    previous_target: Checkpoint,
    current_target: Checkpoint,
    total: int,
    previous_weight: int,
    current_weight: int,
) -> Justification:
    """The checkpoints when ``epoch`` ends. Weights are those of unslashed validators that voted for the targets."""
    bits = (before.bits << 1) & (2**BITS - 1)
    justified = before.current
    if is_supermajority(previous_weight, total):
        justified = previous_target
        bits |= 0b10
    if is_supermajority(current_weight, total):
        justified = current_target
        bits |= 0b01
    finalized = before.finalized
    older, newer = before.previous, before.current
    # a justified checkpoint is final when every epoch from it to a justified one that took it as source is justified
    if bits & 0b1110 == 0b1110 and older.epoch + 3 == epoch:
        finalized = older
    if bits & 0b0110 == 0b0110 and older.epoch + 2 == epoch:
        finalized = older
    if bits & 0b0111 == 0b0111 and newer.epoch + 2 == epoch:
        finalized = newer
    if bits & 0b0011 == 0b0011 and newer.epoch + 1 == epoch:
        finalized = newer
    return Justification(bits, before.current, justified, finalized)
