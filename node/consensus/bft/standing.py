"""Where others stand, asked by a validator whose log is new: its disk may be lost, and its key may have voted.

It may have voted at heights up to one above its old head H. Whoever decided H had a quorum of precommits for it, and
each honest one of these was at height H or above by then. So others are asked for their heights: m is the largest
height such that more than a third of the weight may be at m or above, because it says so or has not answered. With
lost disks and liars below a third, all together, m is at least H, whoever lies low, and no liar drives it up alone.
The key is silent through m + 1.

A network that has decided nothing yet votes at height 1, unless more than a third may have heard this key there.

Answers are signed and repeat the question's number: an old answer must not pass for a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from node.consensus.engine import Domain, Triage
from node.consensus.validators import ValidatorSet
from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32

INQUIRY: Final = 7
STANDING: Final = 8
_WANTED: Final = Triage(True)
_NOT_ASKED: Final = Triage(False, "nobody here asked, or it is answered")


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A validator asks where others stand. Unsigned: an answer harms nobody. ``number``: 64 bits, another each boot."""

    validator: Address
    number: int

    def encode(self) -> bytes:
        """The wire form."""
        items = [rlp.encode_int(INQUIRY), rlp.encode_bytes(self.validator), rlp.encode_int(self.number)]
        return rlp.encode_list(items)


@dataclass(frozen=True, slots=True)
class Standing:
    """The answer: ``validator`` was at ``height`` after the question was asked, and had ``heard`` the asker vote."""

    asker: Address
    number: int
    height: int
    heard: bool
    validator: Address
    signature: bytes = b""

    def signing_digest(self, domain: Domain) -> Hash32:
        """What the signature covers: nothing that a vote's could be taken for."""
        chain = [
            rlp.encode_bytes(b"cons/standing/v1"),
            rlp.encode_int(domain.chain_id),
            rlp.encode_bytes(domain.genesis_hash),
        ]
        return keccak256(rlp.encode_list([*chain, *self._items()]))

    def signed(self, signature: bytes) -> Standing:
        """The answer with its signature."""
        return replace(self, signature=signature)

    def encode(self) -> bytes:
        """The wire form."""
        tag, signature = rlp.encode_int(STANDING), rlp.encode_bytes(self.signature)
        return rlp.encode_list([tag, *self._items(), rlp.encode_bytes(self.validator), signature])

    def _items(self) -> list[bytes]:
        return [
            rlp.encode_bytes(self.asker),
            rlp.encode_int(self.number),
            rlp.encode_int(self.height),
            rlp.encode_int(int(self.heard)),
        ]


def decode_inquiry(items: list[rlp.Item]) -> Inquiry:
    """From the items of a message with tag 7. Raises RLPError."""
    _count(items, 3)
    return Inquiry(Address(rlp.as_bytes(items[1], "validator", 20)), rlp.as_int(items[2], "number", 64))


def decode_standing(items: list[rlp.Item]) -> Standing:
    """From the items of a message with tag 8. Raises RLPError."""
    _count(items, 7)
    heard = rlp.as_int(items[4], "heard", 8)
    if heard > 1:
        raise rlp.RLPError("heard: neither 0 nor 1")
    return Standing(
        Address(rlp.as_bytes(items[1], "asker", 20)),
        rlp.as_int(items[2], "number", 64),
        rlp.as_int(items[3], "height", 63),
        heard == 1,
        Address(rlp.as_bytes(items[5], "validator", 20)),
        rlp.as_bytes(items[6], "signature", 65),
    )


def _count(items: list[rlp.Item], wanted: int) -> None:
    if len(items) != wanted:
        raise rlp.RLPError(f"expected {wanted} items")


class Listener:
    """What a validator with a new log has heard since it booted. ``number``: the one that answers must repeat."""

    def __init__(self, me: Address, number: int) -> None:
        self.inquiry = Inquiry(me, number)
        self._answers: dict[Address, int] = {}
        """The first of each validator; later ones would only keep the key silent for longer."""
        self._told: int | None = None

    def triage(self, answer: Standing, validators: ValidatorSet) -> Triage:
        """Whether an answer is worth verifying."""
        asked = (answer.asker, answer.number) == (self.inquiry.validator, self.inquiry.number)
        wanted = asked and answer.validator in validators and answer.validator not in self._answers
        return _WANTED if wanted else _NOT_ASKED

    def hear(self, answer: Standing) -> None:
        """Take a verified answer."""
        # who heard my vote at height 1 knows of one that was cast, as if it stood at the next
        self._answers.setdefault(answer.validator, max(answer.height, 2 if answer.heard else 1))

    def lacks_answers(self, validators: ValidatorSet) -> bool:
        """Whether somebody else in the set has not answered."""
        return any(address not in self._answers for address in self._others(validators))

    def silent_through(self, validators: ValidatorSet) -> int | None:
        """Up to which height the key may have voted; None while that cannot be told."""
        third = validators.total_weight
        above = 0
        heights: list[tuple[int, int]] = []
        for address in self._others(validators):
            weight = validators.weight_of(address)
            height = self._answers.get(address)
            if height is None:
                above += weight  # wherever it may be
            else:
                heights.append((height, weight))
        if 3 * above > third:
            return None
        for height, weight in sorted(heights, reverse=True):
            above += weight
            if 3 * above > third:
                return height + 1 if height > 1 else 0
        return 0  # there are no others, or they weigh nothing beside me: nobody could tell

    def is_news(self, through: int) -> bool:
        """Whether the bound has not been told yet."""
        news, self._told = through != self._told, through
        return news

    def _others(self, validators: ValidatorSet) -> Iterator[Address]:
        return (address for address in validators.addresses if address != self.inquiry.validator)
