"""Epochs and checkpoints: what finality votes are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GENESIS_EPOCH: Final = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An epoch, and the last block at or before its first slot."""

    epoch: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Finality:
    """What a chain (or the whole store) takes for justified and for finalized."""

    justified: Checkpoint
    finalized: Checkpoint

    def raised_by(self, other: Finality) -> Finality:
        """Each checkpoint replaced where ``other`` has one of a higher epoch."""
        justified = other.justified if other.justified.epoch > self.justified.epoch else self.justified
        finalized = other.finalized if other.finalized.epoch > self.finalized.epoch else self.finalized
        return Finality(justified, finalized)


def epoch_of(slot: int, slots_per_epoch: int) -> int:
    """The epoch a slot lies in."""
    return slot // slots_per_epoch


def first_slot(epoch: int, slots_per_epoch: int) -> int:
    """The first slot of an epoch."""
    return epoch * slots_per_epoch
