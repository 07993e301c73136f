"""The simulator's EVM: a state root is a hash of the one before and of the payload, which rides in ``extra_data``."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.consensus.engine import BuildPayload
from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives.scalars import ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from node.types.blocks import Block, Header

INVALID_PAYLOAD: Final = b"\xff"
"""First byte of a payload that no block may have: the stand-in for an invalid transaction."""
GENESIS_TIMESTAMP: Final = 1_700_000_000
_EMPTY_BLOOM: Final = b"\x00" * 256


def execute(parent_root: Hash32, payload: bytes) -> Hash32:
    """The state root after a payload."""
    return keccak256(parent_root + payload)


def refusal(parent: Header, block: Block) -> str:
    """Why execution refuses a block on its parent; empty when it is valid."""
    header = block.header
    if header.extra_data.startswith(INVALID_PAYLOAD):
        return "INVALID_TRANSACTION"
    return "" if header.state_root == execute(parent.state_root, header.extra_data) else "INVALID_STATE_ROOT"


def make_block(parent: Header, effect: BuildPayload, payload: bytes, coinbase: Address) -> Block:
    """The block that was asked for."""
    return make_raw_block(parent, effect.timestamp, effect.prev_randao, payload, coinbase)


def make_raw_block(
    parent: Header, timestamp: int, prev_randao: Hash32, payload: bytes, coinbase: Address, root: Hash32 | None = None
) -> Block:
    """A block with any root; None gives the right one."""
    return Block(_header(parent, timestamp, prev_randao, payload, coinbase, root), (), (), None)


def _header(
    parent: Header, timestamp: int, prev_randao: Hash32, payload: bytes, coinbase: Address, root: Hash32 | None
) -> Header:
    return Header(
        parent_hash=parent.hash,
        coinbase=coinbase,
        state_root=execute(parent.state_root, payload) if root is None else root,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=_EMPTY_BLOOM,
        number=parent.number + 1,
        gas_limit=30_000_000,
        gas_used=0,
        timestamp=timestamp,
        extra_data=payload,
        prev_randao=prev_randao,
    )


def with_consensus_body(header: Header, body_root: Hash32) -> Header:
    """The header with the fields from Cancun on, which commit to a consensus body."""
    return replace(
        header,
        base_fee_per_gas=7,
        withdrawals_root=EMPTY_TRIE_ROOT,
        blob_gas_used=0,
        excess_blob_gas=0,
        parent_beacon_block_root=body_root,
    )


def make_pos_block(
    parent: Header, timestamp: int, prev_randao: Hash32, body_root: Hash32, payload: bytes, root: Hash32 | None = None
) -> Block:
    """A block of nobody's with a consensus body committed to; None gives the right root."""
    header = _header(parent, timestamp, prev_randao, payload, ZERO_ADDRESS, root)
    return Block(replace(with_consensus_body(header, body_root), requests_hash=ZERO_HASH), (), ())


def genesis_block() -> Block:
    """Block 0 of every simulated chain."""
    header = Header(
        parent_hash=ZERO_HASH,
        coinbase=ZERO_ADDRESS,
        state_root=keccak256(b"genesis"),
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=_EMPTY_BLOOM,
        number=0,
        gas_limit=30_000_000,
        gas_used=0,
        timestamp=GENESIS_TIMESTAMP,
        prev_randao=ZERO_HASH,
    )
    return Block(header, (), (), None)
