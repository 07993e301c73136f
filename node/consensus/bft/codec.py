"""How bft messages travel: their bytes, their topic, their signatures."""

from __future__ import annotations

from typing import Final

from node.consensus.bft.messages import (
    NONE,
    Certificate,
    Claim,
    Decided,
    Evidence,
    Kind,
    Message,
    Polka,
    Proposal,
    Statement,
    Status,
    decode,
    decode_certificate,
    decode_claim,
)
from node.consensus.bft.signatures import BadSignature, SignatureChecker
from node.consensus.bft.vote_keeper import certificate_has_quorum
from node.consensus.engine import ConsensusMessage, Domain, InvalidSeal, MalformedMessage
from node.consensus.validators import ValidatorSet
from node.types.blocks import Block, Header

SMALL_BYTES_MAX: Final = 512
"""Votes, statuses and evidence fit; a block does not."""


class BftCodec:
    """Wire, signatures and seals of one chain's bft engine."""

    def __init__(self, domain: Domain, validators: ValidatorSet) -> None:
        self._validators = validators
        self._signatures = SignatureChecker(domain)

    def decode(self, data: bytes) -> Message:
        """A message from its wire form. Raises MalformedMessage."""
        return decode(data)

    def claim(self, data: bytes) -> Claim:
        """What a message says, its block undecoded. Raises MalformedMessage."""
        return decode_claim(data)

    def is_large(self, message: ConsensusMessage) -> bool:
        """Whether it carries a block."""
        return isinstance(message, Proposal | Polka | Decided)

    def check(self, message: ConsensusMessage) -> None:
        """Every signature of a message or claim. Raises MalformedMessage."""
        assert isinstance(message, Statement | Proposal | Polka | Decided | Status | Evidence | Certificate)
        try:
            self._signatures.check(message)
        except BadSignature as error:
            raise MalformedMessage(str(error)) from error

    def decided(self, block: Block, seal: bytes) -> Decided:
        """What a lagging peer is sent. Raises MalformedMessage for a seal that is none."""
        return Decided(block, decode_certificate(seal))

    def height_of(self, message: ConsensusMessage) -> int | None:
        """The height that the sender of a status works on; None for other messages."""
        return message.height if isinstance(message, Status) else None

    def check_seal(self, header: Header, seal: bytes) -> Certificate:
        """That a quorum decided this header. Raises InvalidSeal."""
        try:
            certificate = decode_certificate(seal)
            claimed = (certificate.kind, certificate.height, certificate.block_hash, certificate.valid_round)
            if claimed != (Kind.PRECOMMIT, header.number, header.hash, NONE):
                raise InvalidSeal("the certificate is for something else")
            if not certificate_has_quorum(certificate, self._validators):
                raise InvalidSeal("the certificate has no quorum of this chain's validators")
            self._signatures.check_certificate(certificate)
        except (MalformedMessage, BadSignature) as error:
            raise InvalidSeal(str(error)) from error
        return certificate
