"""What validators say, and the exact bytes of it.

Everything signed is a Statement: a proposal (for its block hash), a prevote or a precommit. The signature
covers keccak256(rlp(["cons/v1", chain_id, genesis_hash, kind, height, round, block_hash, valid_round + 1])):
the block hash is empty for nil, and the valid round is shifted by one so that "none" (-1) is the number 0.

Wire: rlp([tag, …]) by the table at ``decode``. Decoding is strict and total: it raises MalformedMessage, so
that one message has one encoding and every refusal one door.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from node.consensus.bft.standing import (
    INQUIRY,
    STANDING,
    Inquiry,
    Standing,
    decode_inquiry,
    decode_standing,
)
from node.consensus.engine import Domain, MalformedMessage
from node.consensus.validators import VALIDATORS_MAX
from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block, decode_block
from node.types.invalid import InvalidBlock, InvalidTransaction

NIL: Final = Hash32(b"")
"""The value of a vote for no block."""
NONE: Final = -1
"""No round."""
SIGNATURE_BYTES: Final = 65
"""r ‖ s ‖ y parity."""
MESSAGE_BYTES_MAX: Final = 10 * 1024 * 1024
"""A block of the EIP-7934 limit with its certificate."""
ROUND_MAX: Final = 2**31
EVIDENCE_PER_BLOCK_MAX: Final = 8


class Kind(IntEnum):
    """What a statement says, in the order in which a round goes."""

    PROPOSAL = 1
    PREVOTE = 2
    PRECOMMIT = 3


@dataclass(frozen=True, slots=True)
class ChainDomain:
    """What binds signatures to one chain: the same key on another chain signs other digests."""

    chain_id: int
    genesis_hash: Hash32


@dataclass(frozen=True, slots=True)
class Statement:
    """One signed sentence. ``valid_round`` is -1 except in re-proposals and the prevotes for them."""

    kind: Kind
    height: int
    round: int
    block_hash: Hash32
    valid_round: int
    validator: Address
    signature: bytes = b""

    @property
    def slot(self) -> tuple[int, int, int]:
        """A validator signs at most one statement a slot, ever."""
        return self.height, self.round, self.kind

    @property
    def is_nil(self) -> bool:
        """A vote for no block."""
        return not self.block_hash

    def same_value(self, other: Statement) -> bool:
        """Whether two statements of one slot say the same."""
        return self.block_hash == other.block_hash and self.valid_round == other.valid_round

    def signing_digest(self, domain: Domain) -> Hash32:
        """What the signature covers."""
        return statement_digest(domain, self.kind, self.height, self.round, self.block_hash, self.valid_round)

    def signed(self, signature: bytes) -> Statement:
        """The statement with its signature."""
        return Statement(
            self.kind, self.height, self.round, self.block_hash, self.valid_round, self.validator, signature
        )

    def item(self) -> bytes:
        """RLP of the seven fields."""
        return rlp.encode_list(
            [
                rlp.encode_int(self.kind),
                rlp.encode_int(self.height),
                rlp.encode_int(self.round),
                rlp.encode_bytes(self.block_hash),
                rlp.encode_int(self.valid_round + 1),
                rlp.encode_bytes(self.validator),
                rlp.encode_bytes(self.signature),
            ]
        )

    def encode(self) -> bytes:
        """The wire form of a vote."""
        return rlp.encode_list([rlp.encode_int(_VOTE), self.item()])


def statement_digest(
    domain: Domain, kind: int, height: int, round_number: int, block_hash: bytes, valid_round: int
) -> Hash32:
    """The digest that a statement's signature covers."""
    return keccak256(
        rlp.encode_list(
            [
                rlp.encode_bytes(b"cons/v1"),
                rlp.encode_int(domain.chain_id),
                rlp.encode_bytes(domain.genesis_hash),
                rlp.encode_int(kind),
                rlp.encode_int(height),
                rlp.encode_int(round_number),
                rlp.encode_bytes(block_hash),
                rlp.encode_int(valid_round + 1),
            ]
        )
    )


@dataclass(frozen=True, slots=True)
class Certificate:
    """Votes of several validators for one value in one round, signers in ascending order.

    A quorum of prevotes is a polka; a quorum of precommits is a decision (the block's seal).
    """

    kind: Kind
    height: int
    round: int
    block_hash: Hash32
    valid_round: int
    signatures: tuple[tuple[Address, bytes], ...]

    @property
    def signers(self) -> tuple[Address, ...]:
        """Who signed."""
        return tuple(address for address, _ in self.signatures)

    def statements(self) -> tuple[Statement, ...]:
        """The votes it stands for."""
        return tuple(
            Statement(self.kind, self.height, self.round, self.block_hash, self.valid_round, address, signature)
            for address, signature in self.signatures
        )

    def item(self) -> bytes:
        """RLP of the six fields."""
        return rlp.encode_list(
            [
                rlp.encode_int(self.kind),
                rlp.encode_int(self.height),
                rlp.encode_int(self.round),
                rlp.encode_bytes(self.block_hash),
                rlp.encode_int(self.valid_round + 1),
                rlp.encode_list(
                    [
                        rlp.encode_list([rlp.encode_bytes(address), rlp.encode_bytes(signature)])
                        for address, signature in self.signatures
                    ]
                ),
            ]
        )

    def encode(self) -> bytes:
        """The seal of a decided block without a body."""
        return self.item()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block with its body put to the vote; ``polka`` shows the prevote quorum of ``valid_round`` in a re-proposal."""

    statement: Statement
    block: Block
    polka: Certificate | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def slot(self) -> tuple[int, int, int]:
        """The statement's slot."""
        return self.statement.slot

    @property
    def validator(self) -> Address:
        """The proposer."""
        return self.statement.validator

    @property
    def height(self) -> int:
        """The statement's height."""
        return self.statement.height

    @property
    def round(self) -> int:
        """The statement's round."""
        return self.statement.round

    @property
    def valid_round(self) -> int:
        """-1 for a fresh block."""
        return self.statement.valid_round

    def signing_digest(self, domain: Domain) -> Hash32:
        """What the signature covers."""
        return self.statement.signing_digest(domain)

    def signed(self, signature: bytes) -> Proposal:
        """The proposal with its signature."""
        return Proposal(self.statement.signed(signature), self.block, self.polka, self.evidence)

    def encode(self) -> bytes:
        """The wire form."""
        polka = rlp.EMPTY_LIST if self.polka is None else self.polka.item()
        items = [rlp.encode_int(PROPOSAL), self.statement.item(), rlp.encode_bytes(self.block.encode()), polka]
        return rlp.encode_list(items + evidence_items(self.evidence))


@dataclass(frozen=True, slots=True)
class Polka:
    """A block and a quorum of prevotes for it: what a lagging validator needs to learn the valid value."""

    block: Block
    certificate: Certificate
    evidence: tuple[Evidence, ...] = ()

    def encode(self) -> bytes:
        """The wire form."""
        return _with_block(POLKA, self)


@dataclass(frozen=True, slots=True)
class Decided:
    """A block and a quorum of precommits for it: final, whoever sends it."""

    block: Block
    certificate: Certificate
    evidence: tuple[Evidence, ...] = ()

    def encode(self) -> bytes:
        """The wire form."""
        return _with_block(DECIDED, self)


@dataclass(frozen=True, slots=True)
class Status:
    """Where a node stands. Unsigned: a hint about what to send it, nothing more."""

    height: int
    round: int
    step: int
    valid_round: int

    def encode(self) -> bytes:
        """The wire form."""
        return rlp.encode_list(
            [
                rlp.encode_int(_STATUS),
                rlp.encode_int(self.height),
                rlp.encode_int(self.round),
                rlp.encode_int(self.step),
                rlp.encode_int(self.valid_round + 1),
            ]
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two statements of one validator that no honest validator signs (see evidence.py)."""

    first: Statement
    second: Statement

    def item(self) -> bytes:
        """RLP of the pair."""
        return rlp.encode_list([self.first.item(), self.second.item()])

    def encode(self) -> bytes:
        """The wire form."""
        return rlp.encode_list([rlp.encode_int(_EVIDENCE), self.first.item(), self.second.item()])


Message: TypeAlias = Statement | Proposal | Polka | Decided | Status | Evidence | Inquiry | Standing
Claim: TypeAlias = Statement | Certificate | Status | Evidence | Inquiry | Standing
"""What a message says, without its block."""

_VOTE: Final = 1
PROPOSAL: Final = 2
POLKA: Final = 3
DECIDED: Final = 4
_STATUS: Final = 5
_EVIDENCE: Final = 6


def evidence_items(evidence: tuple[Evidence, ...]) -> list[bytes]:
    """One more item where there is a body, none where there is none."""
    return [rlp.encode_list([one.item() for one in evidence])] if evidence else []


def _with_block(tag: int, message: Polka | Decided) -> bytes:
    items = [rlp.encode_int(tag), rlp.encode_bytes(message.block.encode()), message.certificate.item()]
    return rlp.encode_list(items + evidence_items(message.evidence))


def decode(data: bytes) -> Message:
    """One message from its wire form. Raises MalformedMessage, and nothing else.

    | tag | message | fields |
    |---|---|---|
    | 1 | Statement (a vote) | statement |
    | 2 | Proposal | statement, block bytes, polka or empty list [, evidence] |
    | 3 | Polka | block bytes, certificate [, evidence] |
    | 4 | Decided | block bytes, certificate [, evidence] |
    | 5 | Status | height, round, step, valid round + 1 |
    | 6 | Evidence | statement, statement |
    | 7 | Inquiry | validator, number |
    | 8 | Standing | asker, number, height, heard, validator, signature |
    """
    try:
        items = _items(data)
        return _message(rlp.as_int(items[0], "tag", 8), items)
    except rlp.RLPError as error:
        raise MalformedMessage(str(error)) from error


def _items(data: bytes) -> list[rlp.Item]:
    if len(data) > MESSAGE_BYTES_MAX:
        raise MalformedMessage(f"message of {len(data)} bytes exceeds {MESSAGE_BYTES_MAX}")
    items = rlp.decode_list(data)
    _expect(bool(items), "empty message")
    return items


def _message(tag: int, items: list[rlp.Item]) -> Message:
    if tag == _VOTE:
        _expect(len(items) == 2, "vote: expected 2 items")
        vote = statement_from_item(items[1])
        _expect(vote.kind is not Kind.PROPOSAL, "vote: a proposal cannot stand without its block")
        return vote
    if tag == PROPOSAL:
        _expect(len(items) in (4, 5), "proposal: expected 4 or 5 items")
        return _proposal(items)
    if tag in (POLKA, DECIDED):
        _expect(len(items) in (3, 4), "certificate message: expected 3 or 4 items")
        block = _block(items[1])
        certificate = certificate_from_item(items[2])
        _expect(certificate.block_hash == block.hash, "certificate is for another block")
        _expect(certificate.height == block.number, "certificate is for another height")
        kind = Kind.PREVOTE if tag == POLKA else Kind.PRECOMMIT
        _expect(certificate.kind is kind, "certificate holds votes of the wrong kind")
        evidence = evidence_from_items(items[3:])
        return Polka(block, certificate, evidence) if tag == POLKA else Decided(block, certificate, evidence)
    if tag == _STATUS:
        _expect(len(items) == 5, "status: expected 5 items")
        status = Status(
            rlp.as_int(items[1], "height", 63),
            _round(items[2]),
            rlp.as_int(items[3], "step", 8),
            rlp.as_int(items[4], "valid round", 32) - 1,
        )
        _expect(status.step <= 2, "status: unknown step")
        return status
    if tag == _EVIDENCE:
        _expect(len(items) == 3, "evidence: expected 3 items")
        return Evidence(statement_from_item(items[1]), statement_from_item(items[2]))
    if tag == INQUIRY:
        return decode_inquiry(items)
    if tag == STANDING:
        return decode_standing(items)
    raise MalformedMessage(f"unknown message tag {tag}")


def _proposal(items: list[rlp.Item]) -> Proposal:
    statement = statement_from_item(items[1])
    block = _block(items[2])
    _expect(statement.kind is Kind.PROPOSAL, "proposal: statement of another kind")
    _expect(statement.block_hash == block.hash, "proposal: signed for another block")
    _expect(statement.height == block.number, "proposal: block of another height")
    polka_item = rlp.as_list(items[3], "polka")
    evidence = evidence_from_items(items[4:])
    if not polka_item:
        _expect(statement.valid_round == NONE, "proposal: valid round without a polka")
        return Proposal(statement, block, None, evidence)
    polka = certificate_from_item(polka_item)
    _expect(polka.kind is Kind.PREVOTE, "proposal: polka of the wrong kind")
    _expect(
        (polka.height, polka.round, polka.block_hash) == (block.number, statement.valid_round, block.hash),
        "proposal: polka for another block or round",
    )
    return Proposal(statement, block, polka, evidence)


def evidence_from_items(items: list[rlp.Item]) -> tuple[Evidence, ...]:
    """The inverse of ``evidence_items``. Raises RLPError or MalformedMessage."""
    if not items:
        return ()
    pairs = rlp.as_list(items[0], "evidence")
    _expect(0 < len(pairs) <= EVIDENCE_PER_BLOCK_MAX, "evidence: number of pairs out of range")
    fields = [rlp.as_list(pair, "evidence pair", 2) for pair in pairs]
    return tuple(Evidence(statement_from_item(first), statement_from_item(second)) for first, second in fields)


def _expect(holds: bool, problem: str) -> None:
    if not holds:
        raise MalformedMessage(problem)


def _kind(item: rlp.Item) -> Kind:
    number = rlp.as_int(item, "kind", 8)
    if not 1 <= number <= 3:
        raise MalformedMessage(f"unknown statement kind {number}")
    return Kind(number)


def _round(item: rlp.Item) -> int:
    number = rlp.as_int(item, "round", 32)
    _expect(number < ROUND_MAX, "round out of range")
    return number


def _value(kind: Kind, round_number: int, hash_item: rlp.Item, valid_item: rlp.Item) -> tuple[Hash32, int]:
    block_hash = rlp.as_bytes(hash_item, "block hash")
    _expect(len(block_hash) in (0, 32), "block hash: expected 0 or 32 bytes")
    valid_round = rlp.as_int(valid_item, "valid round", 32) - 1
    _expect(valid_round < round_number, "valid round is not below the round")
    _expect(kind is not Kind.PROPOSAL or len(block_hash) == 32, "a proposal names a block")
    _expect(valid_round == NONE or (kind is not Kind.PRECOMMIT and len(block_hash) == 32), "stray valid round")
    return Hash32(block_hash), valid_round


def statement_from_item(item: rlp.Item) -> Statement:
    """A statement. Raises RLPError or MalformedMessage."""
    fields = rlp.as_list(item, "statement", 7)
    kind = _kind(fields[0])
    round_number = _round(fields[2])
    block_hash, valid_round = _value(kind, round_number, fields[3], fields[4])
    return Statement(
        kind,
        rlp.as_int(fields[1], "height", 63),
        round_number,
        block_hash,
        valid_round,
        Address(rlp.as_bytes(fields[5], "validator", 20)),
        rlp.as_bytes(fields[6], "signature", SIGNATURE_BYTES),
    )


def certificate_from_item(item: rlp.Item) -> Certificate:
    """A certificate. Raises RLPError or MalformedMessage."""
    fields = rlp.as_list(item, "certificate", 6)
    kind = _kind(fields[0])
    _expect(kind is not Kind.PROPOSAL, "certificate: proposals are not votes")
    round_number = _round(fields[2])
    block_hash, valid_round = _value(kind, round_number, fields[3], fields[4])
    _expect(len(block_hash) == 32, "certificate: for no block")
    pairs = rlp.as_list(fields[5], "signatures")
    _expect(0 < len(pairs) <= VALIDATORS_MAX, "certificate: number of signatures out of range")
    signatures: list[tuple[Address, bytes]] = []
    for pair in pairs:
        address_item, signature_item = rlp.as_list(pair, "signature pair", 2)
        address = Address(rlp.as_bytes(address_item, "signer", 20))
        _expect(not signatures or signatures[-1][0] < address, "certificate: signers not in ascending order")
        signatures.append((address, rlp.as_bytes(signature_item, "signature", SIGNATURE_BYTES)))
    return Certificate(
        kind, rlp.as_int(fields[1], "height", 63), round_number, block_hash, valid_round, tuple(signatures)
    )


def _block(item: rlp.Item) -> Block:
    try:
        return decode_block(rlp.as_bytes(item, "block"))
    except (InvalidBlock, InvalidTransaction) as error:
        raise MalformedMessage(f"block: {error}") from error
