"""What a node holds back whose log is new in an old chain: a disk may be lost, and nobody knows what its keys signed.

Blocks: those of epochs that may have been signed in before. Votes: such targets too, and sources below those that may
have been named before, or the new link would reach over an old one (a surround vote). What others name now tells how
high that may have been: nobody's source is far above the others', and none is above the epoch of the start.
"""

from __future__ import annotations

from typing import Final

from node.consensus.pos.messages import Attestation, Status
from node.consensus.pos.statement_pool import EPOCHS_KEPT, StatementPool

YOUNG_EPOCHS: Final = 3
"""In a chain's first epochs a new log is what every node has."""
QUIET_EPOCHS: Final = 2
"""The epoch of the start and the next: clocks differ."""


class Caution:
    """Of one start in ``epoch``. ``alone``: there is no validator elsewhere that could be heard."""

    __slots__ = ("_alone", "_epoch", "_heard", "from_epoch")

    def __init__(self, epoch: int = 0, alone: bool = False) -> None:
        self._epoch = epoch
        self._alone = alone
        self._heard: int | None = None
        self.from_epoch = epoch + QUIET_EPOCHS if epoch >= YOUNG_EPOCHS else 0
        """The first with duties; 0 when nothing is held back."""

    def hear(self, status: Status) -> None:
        """A peer tells where it stands: what follows its finalized checkpoint is justified."""
        finalized = status.finalized.epoch
        self._heard = max(self._heard or 0, finalized + 1 if finalized else 0)

    def allows_vote(self, vote: Attestation, pool: StatementPool) -> bool:
        """Whether a vote can contradict none that was signed before the log was lost, as far as one can hear.

        Contradictions are not looked for farther back than the pool reaches; else a chain whose majority has lost
        its disks would never justify anything again.
        """
        target = vote.target.epoch
        if not self.from_epoch or self._alone or target >= self._epoch + EPOCHS_KEPT:
            return True
        if self._heard is None:
            return False
        named = [one.source.epoch for epoch in (target, target - 1) for one in pool.votes(epoch).values()]
        return vote.source.epoch >= min(self._epoch - 1, max([self._heard, *named]))
