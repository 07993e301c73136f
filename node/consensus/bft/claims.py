"""What a message claims, read without its block: so that a stranger cannot make us parse megabytes.

Only the outermost list is walked, and each small part has a bound before it is decoded. The block's header is
hashed, because whoever signed a claim has signed that hash: foreign bytes behind a true signature end here.
"""

from __future__ import annotations

from typing import Final

from node.consensus.bft.messages import (
    DECIDED,
    EVIDENCE_PER_BLOCK_MAX,
    MESSAGE_BYTES_MAX,
    POLKA,
    PROPOSAL,
    Claim,
    Evidence,
    Kind,
    Statement,
    Status,
    certificate_from_item,
    decode,
    statement_from_item,
)
from node.consensus.bft.standing import Inquiry, Standing
from node.consensus.engine import MalformedMessage
from node.consensus.proposal_fields import header_hash_of
from node.consensus.validators import VALIDATORS_MAX
from node.primitives import rlp

SMALL_BYTES_MAX: Final = 512
"""A message without a block."""
STATEMENT_BYTES_MAX: Final = 192
CERTIFICATE_BYTES_MAX: Final = 256 + 96 * VALIDATORS_MAX
EVIDENCE_BYTES_MAX: Final = 16 + EVIDENCE_PER_BLOCK_MAX * SMALL_BYTES_MAX


def decode_claim(data: bytes) -> Claim:
    """The signed part of a message. Raises MalformedMessage.

    A claim that decodes does not mean that the whole message does; its parts beside the block are bounded then.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise MalformedMessage(f"message of {len(data)} bytes exceeds {MESSAGE_BYTES_MAX}")
    try:
        parts = rlp.split_list(data, 7)
        tag = rlp.as_int(_small(parts[0], 8, "tag") if parts else b"", "tag", 8)
        if tag == PROPOSAL and len(parts) >= 4:
            statement = statement_from_item(_small(parts[1], STATEMENT_BYTES_MAX, "statement"))
            if statement.kind is not Kind.PROPOSAL:
                raise MalformedMessage("proposal: statement of another kind")
            _check_rest(parts[2], statement.block_hash, parts[3:])
            return statement
        if tag in (POLKA, DECIDED) and len(parts) in (3, 4):
            certificate = certificate_from_item(_small(parts[2], CERTIFICATE_BYTES_MAX, "certificate"))
            if certificate.kind is not (Kind.PREVOTE if tag == POLKA else Kind.PRECOMMIT):
                raise MalformedMessage("certificate holds votes of the wrong kind")
            _check_rest(parts[1], certificate.block_hash, parts[3:])
            return certificate
    except rlp.RLPError as error:
        raise MalformedMessage(str(error)) from error
    if len(data) > SMALL_BYTES_MAX:
        raise MalformedMessage(f"{len(data)} bytes are no message without a block")
    small = decode(data)
    assert isinstance(small, Statement | Status | Evidence | Inquiry | Standing), (
        "messages with a block are handled above"
    )
    return small


def _small(part: bytes, bytes_max: int, field: str) -> rlp.Item:
    if len(part) > bytes_max:
        raise rlp.RLPError(f"{field}: {len(part)} bytes, at most {bytes_max}")
    return rlp.decode(part)


def _check_rest(block: bytes, block_hash: bytes, rest: list[bytes]) -> None:
    if header_hash_of(rlp.decode_string(block)) != block_hash:
        raise MalformedMessage("the header is not that of the block that was signed")
    for part in rest:
        if len(part) > max(CERTIFICATE_BYTES_MAX, EVIDENCE_BYTES_MAX):
            raise MalformedMessage(f"{len(part)} bytes of certificate or evidence")
