"""A chain's rules and keys for tests: signatures are cheap, blocks carry no transactions."""

from __future__ import annotations

from node.consensus.pos.messages import Attestation, Body, SignedBlock
from node.consensus.pos.rules import PosRules
from node.consensus.proposal_fields import prev_randao
from node.consensus.validators import Validator, ValidatorSet
from node.crypto.hashes import keccak256
from node.primitives.scalars import ZERO_HASH, Address, Hash32
from node.types.blocks import Block, Header
from node.types.receipts import BLOOM_BYTES

GENESIS_MS = 1_000_000_000


def address(index: int) -> Address:
    return Address(keccak256(b"validator" + bytes([index]))[:20])


def header(parent_hash: Hash32, number: int, timestamp: int, body_root: Hash32, extra: bytes = b"") -> Header:
    return Header(
        parent_hash=parent_hash,
        coinbase=Address(bytes(20)),
        state_root=ZERO_HASH,
        transactions_root=ZERO_HASH,
        receipts_root=ZERO_HASH,
        logs_bloom=bytes(BLOOM_BYTES),
        number=number,
        gas_limit=30_000_000,
        gas_used=0,
        timestamp=timestamp,
        extra_data=extra,
        prev_randao=prev_randao(parent_hash),
        base_fee_per_gas=7,
        withdrawals_root=ZERO_HASH,
        blob_gas_used=0,
        excess_blob_gas=0,
        parent_beacon_block_root=body_root,
        requests_hash=ZERO_HASH,
    )


GENESIS = Block(header(ZERO_HASH, 0, GENESIS_MS // 1000, ZERO_HASH), ())


def rules(validators: int = 8, slots_per_epoch: int = 4, weight: int = 1) -> PosRules:
    members = ValidatorSet(Validator(address(index), weight) for index in range(validators))
    return PosRules(1337, GENESIS.hash, members, GENESIS_MS, 1000, slots_per_epoch)


def block_of(the_rules: PosRules, parent: Header, body: Body, extra: bytes = b"") -> Block:
    timestamp = the_rules.timestamp(body.at_slot)
    return Block(header(parent.hash, parent.number + 1, timestamp, body.root, extra), ())


def signed(message: SignedBlock | Attestation, the_rules: PosRules) -> SignedBlock | Attestation:
    """Signed by a digest that the tests' nodes take for a signature."""
    digest = message.signing_digest(the_rules)
    return message.signed((message.validator + digest + bytes(65))[:65])
