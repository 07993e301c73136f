"""How pos messages travel: their bytes, their topic, their signatures."""

from __future__ import annotations

from typing import Final

from node.consensus.engine import ConsensusMessage, InvalidSeal, MalformedMessage
from node.consensus.pos.messages import (
    Attestation,
    GetBlocksByRange,
    GetBlocksByRoot,
    Message,
    SignedBlock,
    SignedHeader,
    Slashing,
    Status,
    decode,
    decode_claim,
)
from node.consensus.pos.rules import PosRules
from node.consensus.pos.seals import decode_seal
from node.crypto import secp256k1
from node.types.blocks import Block, Header

REMEMBERED_MAX: Final = 8192


class PosCodec:
    """Wire, signatures and seals of one chain's pos engine."""

    def __init__(self, rules: PosRules) -> None:
        self._rules = rules
        self._good: dict[bytes, None] = {}
        """Signatures found good: votes come alone first, then inside blocks (bounded)."""

    def decode(self, data: bytes) -> Message:
        """A message from its wire form. Raises MalformedMessage."""
        return decode(data)

    def claim(self, data: bytes) -> ConsensusMessage:
        """What a message says, its block undecoded. Raises MalformedMessage."""
        return decode_claim(data)

    def is_large(self, message: ConsensusMessage) -> bool:
        """Whether it carries a block."""
        return isinstance(message, SignedBlock)

    def check(self, message: ConsensusMessage) -> None:
        """Every signature of a message or claim. Raises MalformedMessage."""
        if isinstance(message, Attestation | SignedHeader):
            self._check_statement(message)
        elif isinstance(message, Slashing):
            self._check_statement(message.first)
            self._check_statement(message.second)
        elif isinstance(message, SignedBlock):
            self._check_statement(message.header)
            for slashing in message.body.slashings:
                self.check(slashing)
            for attestation in message.body.attestations:
                self._check_statement(attestation)
        elif not isinstance(message, Status | GetBlocksByRoot | GetBlocksByRange):
            raise MalformedMessage("not a message of this engine")

    def decided(self, block: Block, seal: bytes) -> SignedBlock:
        """What a lagging peer is sent. Raises MalformedMessage for a seal that is none."""
        return decode_seal(block, seal)[0]

    def height_of(self, message: ConsensusMessage) -> int | None:
        """The height that the sender of a status works on; None for other messages."""
        return message.head_number + 1 if isinstance(message, Status) else None

    def check_seal(self, header: Header, seal: bytes) -> SignedBlock:
        """That the proposer named in the body signed this header. Raises InvalidSeal."""
        try:
            signed, _ = decode_seal(Block(header, ()), seal)
            self.check(signed)
        except MalformedMessage as error:
            raise InvalidSeal(str(error)) from error
        return signed

    def _check_statement(self, statement: Attestation | SignedHeader) -> None:
        if statement.validator not in self._rules.validators:
            raise MalformedMessage("signer is no validator")
        digest = statement.signing_digest(self._rules)
        signature = statement.signature
        remembered = digest + signature + statement.validator
        if remembered in self._good:
            return
        if len(signature) != 65:
            raise MalformedMessage("a signature has 65 bytes")
        r, s, y_parity = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
        if s > secp256k1.HALF_ORDER:
            # one statement has one signature: malleated copies would pass every seen-cache
            raise MalformedMessage("signature with high s")
        try:
            signer = secp256k1.recover_address(digest, y_parity, r, s)
        except secp256k1.SignatureError as error:
            raise MalformedMessage(str(error)) from error
        if signer != statement.validator:
            raise MalformedMessage("signed by somebody else")
        if len(self._good) >= REMEMBERED_MAX:
            del self._good[next(iter(self._good))]
        self._good[remembered] = None
