"""How bft messages travel: their bytes, their topic, their signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.consensus.bft.body import check_commitment
from node.consensus.bft.claims import decode_claim
from node.consensus.bft.messages import (
    Certificate,
    Claim,
    Decided,
    Message,
    Polka,
    Proposal,
    Status,
    decode,
)
from node.consensus.bft.seals import decode_seal, seal_of
from node.consensus.bft.signatures import BadSignature, SignatureChecker
from node.consensus.bft.vote_keeper import certificate_has_quorum
from node.consensus.engine import ConsensusMessage, Domain, InvalidSeal, MalformedMessage, UnknownSigners
from node.consensus.validators import ValidatorSet
from node.types.blocks import Block, Header

SMALL_BYTES_MAX: Final = 512
"""Votes, statuses and evidence fit; a block does not."""


class BftCodec:
    """Wire, signatures and seals of one chain's bft engine.

    ``validators()``: who votes on the block after the head, at the time of the call; ``sets_change``: it may change.
    """

    def __init__(self, domain: Domain, validators: Callable[[], ValidatorSet], sets_change: bool = False) -> None:
        self._no_quorum = UnknownSigners if sets_change else InvalidSeal
        self._validators = validators
        self._signatures = SignatureChecker(domain)

    def decode(self, data: bytes) -> Message:
        """A message from its wire form, its block committing to its body. Raises MalformedMessage."""
        message = decode(data)
        if isinstance(message, Proposal | Polka | Decided):
            check_commitment(message)
        return message

    def claim(self, data: bytes) -> Claim:
        """What a message says, its block undecoded. Raises MalformedMessage."""
        return decode_claim(data)

    def is_large(self, message: ConsensusMessage) -> bool:
        """Whether it carries a block."""
        return isinstance(message, Proposal | Polka | Decided)

    def check(self, message: ConsensusMessage) -> None:
        """Every signature of a message or claim. Raises MalformedMessage."""
        assert isinstance(message, Message | Certificate)
        try:
            self._signatures.check(message)
        except BadSignature as error:
            raise MalformedMessage(str(error)) from error

    def decided(self, block: Block, seal: bytes) -> Decided:
        """What a lagging peer is sent. Raises MalformedMessage for a seal that is none."""
        return decode_seal(block, seal)

    def height_of(self, message: ConsensusMessage) -> int | None:
        """The height that the sender of a status works on; None for other messages."""
        return message.height if isinstance(message, Status) else None

    def check_seal(self, header: Header, seal: bytes) -> Decided:
        """That a quorum of today's validators decided this header, body included. Raises InvalidSeal."""
        decided = seal_of(header, seal)
        if not certificate_has_quorum(decided.certificate, self._validators()):
            raise self._no_quorum("the certificate has no quorum of this chain's validators")
        try:
            self._signatures.check(decided)
        except BadSignature as error:
            raise InvalidSeal(str(error)) from error
        return decided
