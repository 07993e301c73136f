"""Who votes at a height, with what weight, and whose turn it is to propose.

Thresholds are on weight, never on a count of 2f+1: that is unsafe for n != 3f+1 (two quorums may
then meet in no honest validator). Faulty weight below a third of the total is tolerated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from node.primitives.scalars import Address

VALIDATORS_MAX: Final = 256
WEIGHT_MAX: Final = 2**48
_GOLDEN_64: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: multiples of it modulo 2**64 are spread evenly."""


@dataclass(frozen=True, slots=True)
class Validator:
    """One voter. ``weight`` is a positive number without unit."""

    address: Address
    weight: int = 1


class ValidatorSet:
    """An immutable weighted set in address order. Raises ValueError when it cannot run a chain."""

    __slots__ = ("_even", "_order", "_weights", "total_weight", "validators")

    def __init__(self, validators: Iterable[Validator]) -> None:
        ordered = sorted(validators, key=lambda validator: validator.address)
        if not ordered:
            raise ValueError("a chain needs at least one validator")
        if len(ordered) > VALIDATORS_MAX:
            raise ValueError(f"{len(ordered)} validators; at most {VALIDATORS_MAX} are supported")
        for validator in ordered:
            if len(validator.address) != 20:
                raise ValueError("a validator's address has 20 bytes")
            if not 0 < validator.weight <= WEIGHT_MAX:
                raise ValueError(f"weight {validator.weight} of 0x{validator.address.hex()} is not in 1..{WEIGHT_MAX}")
        weights = {validator.address: validator.weight for validator in ordered}
        if len(weights) != len(ordered):
            raise ValueError("a validator is listed twice")
        self.validators: tuple[Validator, ...] = tuple(ordered)
        self.total_weight: int = sum(weights.values())
        self._weights: dict[Address, int] = weights
        self._order: tuple[Address, ...] = tuple(weights)
        self._even = len(set(weights.values())) == 1

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, address: object) -> bool:
        return address in self._weights

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All addresses, ascending."""
        return self._order

    def weight_of(self, address: Address) -> int:
        """The weight; 0 for a stranger."""
        return self._weights.get(address, 0)

    def weight_of_all(self, addresses: Iterable[Address]) -> int:
        """The summed weight of distinct addresses."""
        return sum(self._weights.get(address, 0) for address in dict.fromkeys(addresses))

    def is_quorum(self, weight: int) -> bool:
        """More than two thirds: two such groups share more than a third, hence an honest validator."""
        return 3 * weight > 2 * self.total_weight

    def is_skip(self, weight: int) -> bool:
        """More than any tolerated faulty weight, so at least one honest validator is among them.

        Tolerated is faulty < total/3, so weight >= total/3 is already more.
        """
        return 3 * weight >= self.total_weight

    def proposer(self, height: int, round_number: int) -> Address:
        """Whose turn it is: a pure function of height and round.

        Equal weights take turns in address order. Unequal weights: turn k is the k-th point of the
        golden-ratio sequence, which visits each share of [0, total) in proportion and evenly.
        """
        turn = height + round_number
        if self._even:
            return self._order[turn % len(self._order)]
        point = ((turn * _GOLDEN_64) % 2**64) * self.total_weight >> 64
        for address, weight in self._weights.items():
            point -= weight
            if point < 0:
                return address
        raise AssertionError("a point below the total weight lies in some share")
