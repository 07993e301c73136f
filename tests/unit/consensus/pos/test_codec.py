"""Signatures and seals of pos, with real keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.consensus.engine import InvalidSeal, MalformedMessage
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.codec import PosCodec
from node.consensus.pos.messages import Attestation, Body, SignedBlock, Slashing, Status
from node.consensus.pos.rules import PosRules
from node.consensus.pos.seals import encode_seal
from node.consensus.pos.state import genesis_state
from node.consensus.signer import Secp256k1Key
from node.consensus.validators import Validator, ValidatorSet
from node.crypto import secp256k1
from node.crypto.hashes import keccak256
from node.primitives.scalars import ZERO_HASH
from node.types.blocks import Block
from tests.unit.consensus.pos.scenes import GENESIS, GENESIS_MS, block_of, header

KEYS = [Secp256k1Key(keccak256(bytes([number]))) for number in range(3)]
RULES = PosRules(7, GENESIS.hash, ValidatorSet(Validator(key.address) for key in KEYS[:2]), GENESIS_MS)
ZERO = Checkpoint(0, GENESIS.hash)


def vote(signer: int = 0, claimed: int | None = None, rules: PosRules = RULES) -> Attestation:
    address = KEYS[signer if claimed is None else claimed].address
    draft = Attestation(1, GENESIS.hash, ZERO, ZERO, address)
    return draft.signed(KEYS[signer].sign(draft.signing_digest(rules)))


def block(*votes: Attestation, slashings: tuple[Slashing, ...] = (), signer: int = 0) -> SignedBlock:
    body = Body(2, KEYS[0].address, votes, slashings)
    draft = SignedBlock(block_of(RULES, GENESIS.header, body), body)
    return draft.signed(KEYS[signer].sign(draft.signing_digest(RULES)))


def test_good_signatures_pass_and_are_remembered() -> None:
    codec = PosCodec(RULES)
    for message in (vote(), vote(1), block(vote(), vote(1)), Status(1, GENESIS.hash, 0, ZERO, 0)):
        data = message.encode()
        codec.check(codec.claim(data))
        codec.check(codec.decode(data))


def test_every_signature_inside_is_checked() -> None:
    codec = PosCodec(RULES)
    second = replace(vote(), head=ZERO_HASH)
    second = second.signed(KEYS[0].sign(second.signing_digest(RULES)))
    codec.check(block(slashings=(Slashing(vote(), second),)))
    for bad in (
        vote(1, claimed=0),
        vote(2),
        vote(rules=replace(RULES, chain_id=8)),
        block(vote(1, claimed=0)),
        block(slashings=(Slashing(vote(), replace(vote(), head=ZERO_HASH)),)),
        block(signer=1),
        replace(vote(), signature=bytes(65)),
        Slashing(vote(), replace(vote(), head=ZERO_HASH)),
    ):
        with pytest.raises(MalformedMessage):
            codec.check(bad)


def test_malleated_signatures_are_refused() -> None:
    good = vote()
    s = secp256k1.ORDER - int.from_bytes(good.signature[32:64], "big")
    twin = good.signature[:32] + s.to_bytes(32, "big") + bytes([good.signature[64] ^ 1])
    with pytest.raises(MalformedMessage, match="high s"):
        PosCodec(RULES).check(replace(good, signature=twin))


def test_seals_come_back_and_name_their_block() -> None:
    codec = PosCodec(RULES)
    signed = block(vote())
    seal = encode_seal(signed, genesis_state(GENESIS.hash))
    assert codec.decided(signed.block, seal) == signed
    codec.check_seal(signed.block.header, seal)
    other = Block(header(GENESIS.hash, 1, 5, ZERO_HASH), ())
    for header_, bad in ((other.header, seal), (signed.block.header, b""), (signed.block.header, seal[:-1])):
        with pytest.raises(InvalidSeal):
            codec.check_seal(header_, bad)
    with pytest.raises(MalformedMessage):
        codec.decided(signed.block, b"\xc0")


def test_heights_come_from_statuses() -> None:
    codec = PosCodec(RULES)
    assert codec.height_of(Status(1, GENESIS.hash, 6, ZERO, 0)) == 7
    assert codec.height_of(vote()) is None
    assert codec.is_large(block())
    assert not codec.is_large(vote())


def test_rules_refuse_what_makes_no_chain() -> None:
    with pytest.raises(ValueError, match="slotsPerEpoch 1"):
        replace(RULES, slots_per_epoch=1)
    with pytest.raises(ValueError, match="slotMs 10"):
        replace(RULES, slot_ms=10)
    assert (RULES.slot_at(GENESIS_MS - 5), RULES.slot_at(GENESIS_MS + 2999), RULES.timestamp(3)) == (0, 2, 1_000_003)
