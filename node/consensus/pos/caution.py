"""What a node holds back whose log knows no vote in an old chain: its disk may be lost, and its keys may have signed.

Blocks: those of epochs that may have been signed in before. Votes: such targets too, and sources below those that may
have been named before, or the new link would reach over an old one (a surround vote). What others name now tells how
high that may have been: nobody's source is far above the others', and none is above the epoch of the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from node.consensus.engine import MalformedMessage, Started
from node.consensus.pos.messages import ATTESTATION, Attestation, Status, decode
from node.consensus.pos.statement_pool import EPOCHS_KEPT, StatementPool
from node.primitives.scalars import Address

YOUNG_EPOCHS: Final = 3
"""In a chain's first epochs a new log is what every node has."""
QUIET_EPOCHS: Final = 2
"""The epoch of the start and the next: clocks differ."""


def is_unsure(event: Started, keys: Sequence[Address]) -> bool:
    """Whether some key here may have voted without the log knowing: no vote of it is in the log.

    A block in it says nothing: it may have been signed after the log was lost, and before the first vote.
    """
    if not keys or not event.records:
        return bool(keys) and event.new_log
    voted: dict[Address, None] = {}
    for record in event.records:
        if record.kind == ATTESTATION:
            with suppress(MalformedMessage):
                message = decode(record.message)
                if isinstance(message, Attestation):
                    voted[message.validator] = None
    return any(key not in voted for key in keys)


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
