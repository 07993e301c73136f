"""What pos validators say, what of it is signed, and its bytes.

Every signature covers keccak256(rlp("pos/v1", chain id, genesis hash, kind, …)). A block's consensus body is
committed to by its header (``parent_beacon_block_root`` = keccak256(body)), so the block's hash covers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from node.consensus.engine import Domain, MalformedMessage
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.proposal_fields import header_hash_of
from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block, decode_block
from node.types.invalid import InvalidBlock, InvalidTransaction

MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
SMALL_BYTES_MAX: Final = 768
"""A message without a block."""
BLOCK_PARTS: Final = 7
PARTS_MAX: Final = 9
SIGNATURE_BYTES: Final = 65
ATTESTATIONS_MAX: Final = 512
"""In one block: two epochs of the largest set."""
SLASHINGS_MAX: Final = 16
ROOTS_MAX: Final = 16
RANGE_MAX: Final = 64
SLOT_BITS: Final = 63
VOTERS_BITS: Final = 256

BLOCK: Final = 1
ATTESTATION: Final = 2
_SLASHING: Final = 3
_STATUS: Final = 4
_BY_ROOT: Final = 5
_BY_RANGE: Final = 6


def _digest(domain: Domain, kind: int, fields: Sequence[bytes]) -> Hash32:
    head = [rlp.encode_bytes(b"pos/v1"), rlp.encode_int(domain.chain_id), rlp.encode_bytes(domain.genesis_hash)]
    return keccak256(rlp.encode_list([*head, rlp.encode_int(kind), *fields]))


@dataclass(frozen=True, slots=True)
class Attestation:
    """One validator's vote: which head it sees, and the link source → target for finality."""

    at_slot: int
    head: Hash32
    source: Checkpoint
    target: Checkpoint
    validator: Address
    signature: bytes = b""

    @property
    def slot(self) -> tuple[int, int, int]:
        """What the signer keeps it under."""
        return self.at_slot, 0, ATTESTATION

    @property
    def data(self) -> tuple[int, bytes, Checkpoint, Checkpoint]:
        """What is said, without who says it."""
        return self.at_slot, self.head, self.source, self.target

    def data_items(self) -> list[bytes]:
        """RLP of the six data fields."""
        return [
            rlp.encode_int(self.at_slot),
            rlp.encode_bytes(self.head),
            rlp.encode_int(self.source.epoch),
            rlp.encode_bytes(self.source.root),
            rlp.encode_int(self.target.epoch),
            rlp.encode_bytes(self.target.root),
        ]

    def signing_digest(self, domain: Domain) -> Hash32:
        """What the signature covers."""
        return _digest(domain, ATTESTATION, self.data_items())

    def signed(self, signature: bytes) -> Attestation:
        """The complete vote."""
        return replace(self, signature=signature)

    def item(self) -> bytes:
        """RLP of data, validator and signature."""
        return rlp.encode_list([*self.data_items(), rlp.encode_bytes(self.validator), rlp.encode_bytes(self.signature)])

    def encode(self) -> bytes:
        """The wire form."""
        return rlp.encode_list([rlp.encode_int(ATTESTATION), self.item()])


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A proposer's signature: this block, and no other, for this slot."""

    at_slot: int
    proposer: Address
    block_hash: Hash32
    signature: bytes = b""

    @property
    def validator(self) -> Address:
        """Who signed."""
        return self.proposer

    def signing_digest(self, domain: Domain) -> Hash32:
        """What the signature covers."""
        return _digest(domain, BLOCK, [rlp.encode_int(self.at_slot), rlp.encode_bytes(self.block_hash)])

    def items(self) -> list[bytes]:
        """RLP of the four fields."""
        return [
            rlp.encode_int(self.at_slot),
            rlp.encode_bytes(self.proposer),
            rlp.encode_bytes(self.block_hash),
            rlp.encode_bytes(self.signature),
        ]

    def encode(self) -> bytes:
        """Alone it is only a part of evidence."""
        return rlp.encode_list(self.items())


@dataclass(frozen=True, slots=True)
class Slashing:
    """Two statements of one validator that no honest one signs: two headers of a slot, or two attestations."""

    first: Attestation | SignedHeader
    second: Attestation | SignedHeader

    @property
    def validator(self) -> Address:
        """Whom it convicts."""
        return self.first.validator

    def item(self) -> bytes:
        """RLP of kind and both statements."""
        if isinstance(self.first, Attestation) and isinstance(self.second, Attestation):
            return rlp.encode_list([rlp.encode_int(ATTESTATION), self.first.item(), self.second.item()])
        return rlp.encode_list([rlp.encode_int(BLOCK), self.first.encode(), self.second.encode()])

    def encode(self) -> bytes:
        """The wire form."""
        return rlp.encode_list([rlp.encode_int(_SLASHING), self.item()])


def conviction(slashing: Slashing) -> str:
    """What a pair shows: "double proposal", "double vote", "surround vote", or "" for nothing."""
    first, second = slashing.first, slashing.second
    if first.validator != second.validator:
        return ""
    if isinstance(first, SignedHeader) and isinstance(second, SignedHeader):
        differ = first.block_hash != second.block_hash
        return "double proposal" if first.at_slot == second.at_slot and differ else ""
    if not isinstance(first, Attestation) or not isinstance(second, Attestation):
        return ""
    if first.target.epoch == second.target.epoch:
        return "double vote" if first.data != second.data else ""
    if surrounds(first, second) or surrounds(second, first):
        return "surround vote"
    return ""


def surrounds(outer: Attestation, inner: Attestation) -> bool:
    """Whether one vote's link reaches over the other's on both sides."""
    return outer.source.epoch < inner.source.epoch and inner.target.epoch < outer.target.epoch


@dataclass(frozen=True, slots=True)
class Body:
    """What consensus puts into a block."""

    at_slot: int
    proposer: Address
    attestations: tuple[Attestation, ...] = ()
    slashings: tuple[Slashing, ...] = ()

    def encode(self) -> bytes:
        """RLP; attestations grouped by equal data, in order of first appearance."""
        groups: dict[tuple[int, bytes, Checkpoint, Checkpoint], list[Attestation]] = {}
        for attestation in self.attestations:
            groups.setdefault(attestation.data, []).append(attestation)
        grouped = [
            rlp.encode_list(
                [
                    *votes[0].data_items(),
                    rlp.encode_list(
                        [
                            rlp.encode_list([rlp.encode_bytes(vote.validator), rlp.encode_bytes(vote.signature)])
                            for vote in votes
                        ]
                    ),
                ]
            )
            for votes in groups.values()
        ]
        return rlp.encode_list(
            [
                rlp.encode_int(self.at_slot),
                rlp.encode_bytes(self.proposer),
                rlp.encode_list(grouped),
                rlp.encode_list([slashing.item() for slashing in self.slashings]),
            ]
        )

    @property
    def root(self) -> Hash32:
        """What the header holds in ``parent_beacon_block_root``."""
        return keccak256(self.encode())


@dataclass(frozen=True, slots=True)
class SignedBlock:
    """A block, its consensus body, and its proposer's signature."""

    block: Block
    body: Body
    signature: bytes = b""

    @property
    def at_slot(self) -> int:
        """Its slot."""
        return self.body.at_slot

    @property
    def validator(self) -> Address:
        """Its proposer."""
        return self.body.proposer

    @property
    def slot(self) -> tuple[int, int, int]:
        """What the signer keeps it under."""
        return self.at_slot, 0, BLOCK

    @property
    def header(self) -> SignedHeader:
        """The part that convicts, if there are two."""
        return SignedHeader(self.at_slot, self.body.proposer, self.block.hash, self.signature)

    def signing_digest(self, domain: Domain) -> Hash32:
        """What the signature covers."""
        return self.header.signing_digest(domain)

    def signed(self, signature: bytes) -> SignedBlock:
        """The complete message."""
        return replace(self, signature=signature)

    def encode(self) -> bytes:
        """The wire form: the claim first, so that it can be judged without the block."""
        return rlp.encode_list(
            [
                rlp.encode_int(BLOCK),
                *self.header.items(),
                rlp.encode_bytes(self.body.encode()),
                rlp.encode_bytes(self.block.encode()),
            ]
        )


@dataclass(frozen=True, slots=True)
class Status:
    """Where a node stands. Unsigned: a hint about what to send it, nothing more."""

    at_slot: int
    head: Hash32
    head_number: int
    finalized: Checkpoint
    finalized_number: int
    previous_voters: int = 0
    """Bit i: a vote of validator i for the epoch before that of ``at_slot`` is known."""
    current_voters: int = 0

    def encode(self) -> bytes:
        """The wire form."""
        return rlp.encode_list(
            [
                rlp.encode_int(_STATUS),
                rlp.encode_int(self.at_slot),
                rlp.encode_bytes(self.head),
                rlp.encode_int(self.head_number),
                rlp.encode_int(self.finalized.epoch),
                rlp.encode_bytes(self.finalized.root),
                rlp.encode_int(self.finalized_number),
                rlp.encode_int(self.previous_voters),
                rlp.encode_int(self.current_voters),
            ]
        )


@dataclass(frozen=True, slots=True)
class GetBlocksByRoot:
    """Asks for blocks by hash."""

    roots: tuple[Hash32, ...]

    def encode(self) -> bytes:
        """The wire form."""
        roots = rlp.encode_list([rlp.encode_bytes(root) for root in self.roots])
        return rlp.encode_list([rlp.encode_int(_BY_ROOT), roots])


@dataclass(frozen=True, slots=True)
class GetBlocksByRange:
    """Asks for blocks of the sender's canonical chain by number."""

    first: int
    count: int

    def encode(self) -> bytes:
        """The wire form."""
        return rlp.encode_list([rlp.encode_int(_BY_RANGE), rlp.encode_int(self.first), rlp.encode_int(self.count)])


Message: TypeAlias = SignedBlock | Attestation | Slashing | Status | GetBlocksByRoot | GetBlocksByRange
Claim: TypeAlias = SignedHeader | Attestation | Slashing | Status | GetBlocksByRoot | GetBlocksByRange
"""What a message says, without its block."""


def decode(data: bytes) -> Message:
    """One message from its wire form. Raises MalformedMessage, and nothing else."""
    try:
        parts = _parts(data)
        if len(parts) != BLOCK_PARTS:
            return _small(rlp.decode_list(data))
        claim = _claim(parts)
        body = decode_body(rlp.decode_string(parts[5]))
        block = decode_block(rlp.decode_string(parts[6]))
    except (rlp.RLPError, InvalidBlock, InvalidTransaction) as error:
        raise MalformedMessage(str(error)) from error
    signed = SignedBlock(block, body, claim.signature)
    _expect(signed.header == claim, "block: it is not what was signed")
    _expect(block.header.parent_beacon_block_root == body.root, "block: the header commits to another body")
    return signed


def decode_claim(data: bytes) -> Claim:
    """What a message claims; body and block stay undecoded, so that a stranger cannot make us parse megabytes.

    The header is hashed: foreign bytes behind a true signature end here. Raises MalformedMessage.
    """
    try:
        parts = _parts(data)
        return _claim(parts) if len(parts) == BLOCK_PARTS else _small(rlp.decode_list(data))
    except rlp.RLPError as error:
        raise MalformedMessage(str(error)) from error


def _parts(data: bytes) -> list[bytes]:
    """The outermost list's items, encoded: a block has BLOCK_PARTS, other messages have fewer and are small."""
    if len(data) > MESSAGE_BYTES_MAX:
        raise MalformedMessage(f"message of {len(data)} bytes exceeds {MESSAGE_BYTES_MAX}")
    parts = rlp.split_list(data, PARTS_MAX)
    _expect(bool(parts), "empty message")
    is_block = rlp.as_int(rlp.decode_string(parts[0]), "tag", 8) == BLOCK
    _expect(is_block == (len(parts) == BLOCK_PARTS), "block: expected 7 items")
    _expect(is_block or len(data) <= SMALL_BYTES_MAX, f"{len(data)} bytes are no message without a block")
    return parts


def _claim(parts: list[bytes]) -> SignedHeader:
    header = _signed_header([rlp.decode_string(part) for part in parts[1:5]])
    _expect(header_hash_of(rlp.decode_string(parts[6])) == header.block_hash, "block: it is not what was signed")
    return header


def decode_body(data: bytes) -> Body:
    """A consensus body. Raises MalformedMessage; there is one encoding of each body."""
    try:
        slot, proposer, groups, slashings = rlp.as_list(rlp.decode(data), "body", 4)
        votes: list[Attestation] = []
        for group in rlp.as_list(groups, "attestations"):
            fields = rlp.as_list(group, "attestation group", 7)
            for pair in rlp.as_list(fields[6], "signatures"):
                validator, signature = rlp.as_list(pair, "signature pair", 2)
                votes.append(_attestation([*fields[:6], validator, signature]))
                _expect(len(votes) <= ATTESTATIONS_MAX, f"body: more than {ATTESTATIONS_MAX} attestations")
        evidence = rlp.as_list(slashings, "slashings")
        _expect(len(evidence) <= SLASHINGS_MAX, f"body: more than {SLASHINGS_MAX} slashings")
        body = Body(
            rlp.as_int(slot, "slot", SLOT_BITS),
            Address(rlp.as_bytes(proposer, "proposer", 20)),
            tuple(votes),
            tuple(_slashing(item) for item in evidence),
        )
    except rlp.RLPError as error:
        raise MalformedMessage(str(error)) from error
    _expect(body.encode() == data, "body: not in its canonical form")
    return body


def _expect(holds: bool, problem: str) -> None:
    if not holds:
        raise MalformedMessage(problem)


def _length(items: list[rlp.Item], length: int, what: str) -> list[rlp.Item]:
    _expect(len(items) == length, f"{what}: expected {length} items")
    return items


def _small(items: list[rlp.Item]) -> Attestation | Slashing | Status | GetBlocksByRoot | GetBlocksByRange:
    tag = rlp.as_int(items[0], "tag", 8)
    if tag == ATTESTATION:
        return _attestation(rlp.as_list(_length(items, 2, "attestation")[1], "attestation", 8))
    if tag == _SLASHING:
        return _slashing(_length(items, 2, "slashing")[1])
    if tag == _STATUS:
        return _status(_length(items, 9, "status"))
    if tag == _BY_ROOT:
        roots = rlp.as_list(_length(items, 2, "request")[1], "roots")
        _expect(0 < len(roots) <= ROOTS_MAX, f"request: not 1..{ROOTS_MAX} roots")
        return GetBlocksByRoot(tuple(_root(root, "root") for root in roots))
    if tag == _BY_RANGE:
        _length(items, 3, "request")
        first, count = rlp.as_int(items[1], "first", SLOT_BITS), rlp.as_int(items[2], "count", 16)
        _expect(0 < count <= RANGE_MAX, f"request: not 1..{RANGE_MAX} blocks")
        return GetBlocksByRange(first, count)
    raise MalformedMessage(f"unknown message tag {tag}")


def _root(item: rlp.Item, field: str) -> Hash32:
    return Hash32(rlp.as_bytes(item, field, 32))


def _checkpoint(epoch: rlp.Item, root: rlp.Item, field: str) -> Checkpoint:
    return Checkpoint(rlp.as_int(epoch, f"{field} epoch", SLOT_BITS), _root(root, f"{field} root"))


def _attestation(fields: list[rlp.Item]) -> Attestation:
    attestation = Attestation(
        rlp.as_int(fields[0], "slot", SLOT_BITS),
        _root(fields[1], "head"),
        _checkpoint(fields[2], fields[3], "source"),
        _checkpoint(fields[4], fields[5], "target"),
        Address(rlp.as_bytes(fields[6], "validator", 20)),
        rlp.as_bytes(fields[7], "signature", SIGNATURE_BYTES),
    )
    # a first epoch's link may be 0 -> 0; no honest link points backwards
    _expect(attestation.source.epoch <= attestation.target.epoch, "attestation: source after target")
    return attestation


def _signed_header(fields: list[rlp.Item]) -> SignedHeader:
    return SignedHeader(
        rlp.as_int(fields[0], "slot", SLOT_BITS),
        Address(rlp.as_bytes(fields[1], "proposer", 20)),
        _root(fields[2], "block hash"),
        rlp.as_bytes(fields[3], "signature", SIGNATURE_BYTES),
    )


def _slashing(item: rlp.Item) -> Slashing:
    kind_item, first, second = rlp.as_list(item, "slashing", 3)
    kind = rlp.as_int(kind_item, "slashing kind", 8)
    _expect(kind in (BLOCK, ATTESTATION), "slashing: unknown kind")
    if kind == BLOCK:
        pair = [_signed_header(rlp.as_list(part, "signed header", 4)) for part in (first, second)]
        slashing = Slashing(pair[0], pair[1])
    else:
        votes = [_attestation(rlp.as_list(part, "attestation", 8)) for part in (first, second)]
        slashing = Slashing(votes[0], votes[1])
    _expect(conviction(slashing) != "", "slashing: the pair convicts nobody")
    return slashing


def _status(items: list[rlp.Item]) -> Status:
    return Status(
        rlp.as_int(items[1], "slot", SLOT_BITS),
        _root(items[2], "head"),
        rlp.as_int(items[3], "head number", SLOT_BITS),
        _checkpoint(items[4], items[5], "finalized"),
        rlp.as_int(items[6], "finalized number", SLOT_BITS),
        rlp.as_int(items[7], "voters", VOTERS_BITS),
        rlp.as_int(items[8], "voters", VOTERS_BITS),
    )
