"""What a key may still sign, from what it has signed (EIP-3076 rules, the watermark form).

Per key: no second block for a slot, and slots only rise; target epochs only rise; source epochs never fall.
Rising targets forbid double votes and being surrounded; sources that never fall forbid surrounding. So it is
enough to remember each key's newest block and newest attestation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.consensus.pos.messages import Attestation, SignedBlock
from node.primitives.scalars import Address


@dataclass(slots=True)
class _Watermarks:
    block_slot: int = -1
    source_epoch: int = -1
    target_epoch: int = -1


class SlashingProtection:
    """Several keys' watermarks. ``signed`` messages that are no statement (of a log's other kinds) are passed over."""

    def __init__(self, signed: Iterable[object] = ()) -> None:
        self._marks: dict[Address, _Watermarks] = {}
        for message in signed:
            self.signed(message)

    def refusal(self, draft: object) -> str:
        """Why this must not be signed; empty when it may. Changes nothing."""
        if isinstance(draft, SignedBlock):
            marks = self._marks.get(draft.validator, _Watermarks())
            if draft.at_slot <= marks.block_slot:
                return f"a block of slot {marks.block_slot} was signed already"
            return ""
        if isinstance(draft, Attestation):
            marks = self._marks.get(draft.validator, _Watermarks())
            source, target = draft.source.epoch, draft.target.epoch
            if source > target:
                return "the source is after the target"
            if target <= marks.target_epoch:
                return f"a vote for target epoch {marks.target_epoch} was signed already"
            if source < marks.source_epoch:
                return f"source epoch {source} is below {marks.source_epoch}, which was signed already"
            return ""
        return "not a statement of this engine"

    def signed(self, message: object) -> None:
        """Remember what was signed."""
        if isinstance(message, SignedBlock):
            marks = self._marks.setdefault(message.validator, _Watermarks())
            marks.block_slot = max(marks.block_slot, message.at_slot)
        elif isinstance(message, Attestation):
            marks = self._marks.setdefault(message.validator, _Watermarks())
            marks.source_epoch = max(marks.source_epoch, message.source.epoch)
            marks.target_epoch = max(marks.target_epoch, message.target.epoch)

    def must_keep(self, message: object) -> bool:
        """Whether a log that is shortened must keep this message: without it a watermark would fall."""
        if isinstance(message, SignedBlock):
            marks = self._marks.get(message.validator, _Watermarks())
            return message.at_slot >= marks.block_slot
        if isinstance(message, Attestation):
            marks = self._marks.get(message.validator, _Watermarks())
            # sources never fall along a key's targets, so the newest vote has the highest of both
            return message.target.epoch >= marks.target_epoch
        return False
