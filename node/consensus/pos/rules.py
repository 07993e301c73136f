"""What all validators of a pos chain must agree on, and how slots lie on the wall clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.consensus.pos.checkpoints import epoch_of
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address, Hash32

SLOT_MS_MIN: Final = 1000
SLOT_MS_MAX: Final = 60_000
SLOTS_PER_EPOCH_MIN: Final = 2
SLOTS_PER_EPOCH_MAX: Final = 64
BOOST_PERCENT: Final = 40
"""Of one slot's share of the active weight."""


@dataclass(frozen=True)
class PosRules:
    """One chain's constants. Also the domain of its signatures. Raises ValueError where they make no chain."""

    chain_id: int
    genesis_hash: Hash32
    validators: ValidatorSet
    genesis_time_ms: int
    """Wall clock at the start of slot 0."""
    slot_ms: int = 1000
    slots_per_epoch: int = 2

    def __post_init__(self) -> None:
        if not SLOT_MS_MIN <= self.slot_ms <= SLOT_MS_MAX:
            raise ValueError(f"slotMs {self.slot_ms} is not in {SLOT_MS_MIN}..{SLOT_MS_MAX}")
        if not SLOTS_PER_EPOCH_MIN <= self.slots_per_epoch <= SLOTS_PER_EPOCH_MAX:
            limits = f"{SLOTS_PER_EPOCH_MIN}..{SLOTS_PER_EPOCH_MAX}"
            raise ValueError(f"slotsPerEpoch {self.slots_per_epoch} is not in {limits}")

    def slot_at(self, wall_ms: int) -> int:
        """The slot that the wall clock is in; 0 before genesis."""
        return max(0, wall_ms - self.genesis_time_ms) // self.slot_ms

    def start_ms(self, slot: int) -> int:
        """Wall clock at the start of a slot."""
        return self.genesis_time_ms + slot * self.slot_ms

    def timestamp(self, slot: int) -> int:
        """What a block of this slot has in its header, in seconds."""
        return self.start_ms(slot) // 1000

    def epoch(self, slot: int) -> int:
        """The epoch of a slot."""
        return epoch_of(slot, self.slots_per_epoch)

    def index_of(self, validator: Address) -> int | None:
        """A validator's number, its place in address order; None for a stranger."""
        return self._numbers().get(validator)

    def _numbers(self) -> dict[Address, int]:
        cached: dict[Address, int] | None = self.__dict__.get("_by_address")
        if cached is None:
            cached = {address: index for index, address in enumerate(self.validators.addresses)}
            object.__setattr__(self, "_by_address", cached)
        return cached
