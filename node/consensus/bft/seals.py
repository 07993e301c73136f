"""What is stored beside a decided block: its certificate, and its consensus body where it has one."""

from __future__ import annotations

from node.consensus.bft.body import check_commitment
from node.consensus.bft.messages import (
    NONE,
    Certificate,
    Decided,
    Evidence,
    Kind,
    certificate_from_item,
    evidence_from_items,
    evidence_items,
)
from node.consensus.engine import InvalidSeal, MalformedMessage
from node.primitives import rlp
from node.types.blocks import Block, Header


def encode_seal(decided: Decided) -> bytes:
    """The certificate's six fields; with evidence, a list of the certificate and the evidence."""
    if not decided.evidence:
        return decided.certificate.encode()
    return rlp.encode_list([decided.certificate.item(), *evidence_items(decided.evidence)])


def decode_seal(block: Block, seal: bytes) -> Decided:
    """The inverse. Raises MalformedMessage; that the certificate is for this block is checked elsewhere."""
    certificate, evidence = _parts(seal)
    return Decided(block, certificate, evidence)


def seal_of(header: Header, seal: bytes) -> Decided:
    """What the seal says was decided, certificate and body for this header. Raises InvalidSeal.

    Signatures and the signers' weight are for the caller to check.
    """
    try:
        decided = decode_seal(Block(header, ()), seal)
        certificate = decided.certificate
        claimed = (certificate.kind, certificate.height, certificate.block_hash, certificate.valid_round)
        if claimed != (Kind.PRECOMMIT, header.number, header.hash, NONE):
            raise InvalidSeal("the certificate is for something else")
        check_commitment(decided)
    except MalformedMessage as error:
        raise InvalidSeal(str(error)) from error
    return decided


def decode_certificate(seal: bytes) -> Certificate:
    """The certificate in a seal. Raises MalformedMessage."""
    return _parts(seal)[0]


def _parts(seal: bytes) -> tuple[Certificate, tuple[Evidence, ...]]:
    try:
        items = rlp.decode_list(seal)
        if len(items) != 2:
            return certificate_from_item(items), ()
        return certificate_from_item(items[0]), evidence_from_items(items[1:])
    except rlp.RLPError as error:
        raise MalformedMessage(str(error)) from error
