"""Who proposes and who attests in which slot: a pure function of genesis, epoch and the active set.

seed(e) = keccak256(domain ‖ genesis hash ‖ e): known in advance, and nobody can bend it. The active set of an
epoch is fixed two epochs ahead, so all chains that share the epoch's dependent root agree on its duties.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from node.consensus.pos.rules import PosRules
from node.crypto.hashes import keccak256
from node.primitives.scalars import Hash32

_DOMAIN: Final = b"evmesh/pos/duties"


def seed(genesis_hash: Hash32, epoch: int) -> Hash32:
    """An epoch's randomness."""
    return keccak256(_DOMAIN + genesis_hash + epoch.to_bytes(8, "big"))


def shuffled(members: tuple[int, ...], randomness: Hash32) -> tuple[int, ...]:
    """The members in an order that only the seed decides: by the hash of seed and member."""
    return tuple(sorted(members, key=lambda member: (keccak256(randomness + member.to_bytes(4, "big")), member)))


def active_at(rules: PosRules, epoch: int, exits: Mapping[int, int]) -> tuple[int, ...]:
    """Validators with duties in ``epoch``; ``exits`` says from which epoch on a convicted one has none.

    If all are out, all stay in: a chain without validators could not even record why.
    """
    everybody = range(len(rules.validators))
    active = tuple(index for index in everybody if exits.get(index, epoch + 1) > epoch)
    return active or tuple(everybody)


class Duties:
    """One epoch's proposers and committees, by validator number."""

    __slots__ = ("_committees", "_first_slot", "_proposers", "active", "total_weight")

    def __init__(self, rules: PosRules, epoch: int, active: tuple[int, ...]) -> None:
        randomness = seed(rules.genesis_hash, epoch)
        order = shuffled(active, randomness)
        slots, count = rules.slots_per_epoch, len(order)
        weights = [validator.weight for validator in rules.validators.validators]
        self.active = active
        self.total_weight = sum(weights[index] for index in active)
        self._first_slot = epoch * slots
        self._committees = tuple(order[count * place // slots : count * (place + 1) // slots] for place in range(slots))
        self._proposers = tuple(
            _drawn(order, weights, self.total_weight, keccak256(randomness + b"proposer" + place.to_bytes(2, "big")))
            for place in range(slots)
        )

    def proposer(self, slot: int) -> int:
        """Whose block may stand in this slot."""
        return self._proposers[slot - self._first_slot]

    def committee(self, slot: int) -> tuple[int, ...]:
        """Who attests in this slot. Every active validator is in exactly one committee of the epoch."""
        return self._committees[slot - self._first_slot]


def _drawn(order: tuple[int, ...], weights: list[int], total: int, randomness: Hash32) -> int:
    point = int.from_bytes(randomness, "big") % total
    for index in order:
        point -= weights[index]
        if point < 0:
            return index
    raise AssertionError("a point below the total weight lies in some share")


class DutyRoster:
    """Duties of the epochs that are asked for, computed once (bounded)."""

    def __init__(self, rules: PosRules) -> None:
        self._rules = rules
        self._everybody = tuple(range(len(rules.validators)))
        self._computed = lru_cache(maxsize=64)(lambda epoch, active: Duties(rules, epoch, active))

    def of(self, epoch: int, exits: Mapping[int, int]) -> Duties:
        """The duties of an epoch on a chain with these ``exits``."""
        return self._computed(epoch, active_at(self._rules, epoch, exits) if exits else self._everybody)
