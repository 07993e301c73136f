"""Headers and blocks: mainnet's genesis, round trips of every fork's shape, malformed input."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.hashes import EMPTY_LIST_KECCAK, EMPTY_TRIE_ROOT
from node.primitives import rlp
from node.primitives.scalars import ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from node.types.blocks import (
    Block,
    Header,
    Withdrawal,
    decode_block,
    decode_body,
    decode_header,
)
from node.types.invalid import BlockReason, InvalidBlock, InvalidTransaction
from node.types.receipts import EMPTY_BLOOM
from node.types.transactions import FEE_MARKET, LEGACY, Transaction

MAINNET_GENESIS = Header(
    parent_hash=ZERO_HASH,
    coinbase=ZERO_ADDRESS,
    state_root=Hash32(bytes.fromhex("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544")),
    transactions_root=EMPTY_TRIE_ROOT,
    receipts_root=EMPTY_TRIE_ROOT,
    logs_bloom=EMPTY_BLOOM,
    difficulty=17_179_869_184,
    number=0,
    gas_limit=5_000,
    gas_used=0,
    timestamp=0,
    extra_data=bytes.fromhex("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"),
    prev_randao=ZERO_HASH,
    nonce=bytes.fromhex("0000000000000042"),
)


def test_the_genesis_of_mainnet() -> None:
    assert MAINNET_GENESIS.ommers_hash == EMPTY_LIST_KECCAK
    assert MAINNET_GENESIS.hash.hex() == "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"


hashes = st.binary(min_size=32, max_size=32).map(Hash32)
addresses = st.binary(min_size=20, max_size=20).map(Address)
u64 = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 127, 128, 2**64 - 1]))
u256 = st.integers(0, 2**256 - 1)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    items = draw(st.sampled_from([15, 16, 17, 20, 21]))
    return Header(
        parent_hash=draw(hashes),
        ommers_hash=draw(hashes),
        coinbase=draw(addresses),
        state_root=draw(hashes),
        transactions_root=draw(hashes),
        receipts_root=draw(hashes),
        logs_bloom=draw(st.sampled_from([EMPTY_BLOOM, b"\xff" * 256])),
        difficulty=draw(u256),
        number=draw(u64),
        gas_limit=draw(u64),
        gas_used=draw(u64),
        timestamp=draw(u64),
        extra_data=draw(st.binary(max_size=40)),
        prev_randao=draw(hashes),
        nonce=draw(st.binary(min_size=8, max_size=8)),
        base_fee_per_gas=draw(u256) if items >= 16 else None,
        withdrawals_root=draw(hashes) if items >= 17 else None,
        blob_gas_used=draw(u64) if items >= 20 else None,
        excess_blob_gas=draw(u64) if items >= 20 else None,
        parent_beacon_block_root=draw(hashes) if items >= 20 else None,
        requests_hash=draw(hashes) if items >= 21 else None,
    )


@given(headers())
def test_header_round_trip(header: Header) -> None:
    decoded = decode_header(header.encode())
    assert decoded == header
    assert decoded.hash == header.hash
    assert decoded.encode() == header.encode()


GOOD = replace(
    MAINNET_GENESIS,
    base_fee_per_gas=7,
    withdrawals_root=EMPTY_TRIE_ROOT,
    blob_gas_used=0,
    excess_blob_gas=0,
    parent_beacon_block_root=ZERO_HASH,
    requests_hash=ZERO_HASH,
)


@pytest.mark.parametrize("count", [0, 1, 14, 18, 19, 22])
def test_headers_of_a_length_that_no_fork_has(count: int) -> None:
    items = [*rlp.decode_list(GOOD.encode()), b""][:count]
    with pytest.raises(rlp.RLPError, match="fit no fork"):
        decode_header(rlp.encode(items))


@pytest.mark.parametrize(
    ("index", "item"),
    [
        *((index, b"\x01" * 31) for index in (0, 1, 3, 4, 5, 13, 16, 19, 20)),
        *((index, []) for index in range(21)),
        *((index, b"\x00") for index in (7, 8, 9, 10, 11, 15, 17, 18)),
        *((index, b"\x01" * 9) for index in (8, 9, 10, 11, 17, 18)),
        (2, b"\x01" * 19),
        (6, b"\x01" * 255),
        (7, b"\x01" * 33),
        (14, b"\x01" * 7),
        (15, b"\x01" * 33),
    ],
)
def test_malformed_header_fields(index: int, item: rlp.Item) -> None:
    items = rlp.decode_list(GOOD.encode())
    items[index] = item
    with pytest.raises(rlp.RLPError):
        decode_header(rlp.encode(items))


KEY = b"\x46" * 32
LEGACY_TX = Transaction(LEGACY, 0, 21_000, ZERO_ADDRESS, 1, b"", 10, 10, 1).signed_by(KEY)
FEE_MARKET_TX = Transaction(FEE_MARKET, 1, 21_000, None, 1, b"\x00", 10, 1, 1).signed_by(KEY)
WITHDRAWAL = Withdrawal(1, 2, Address(b"\x03" * 20), 4)
BLOCK = Block(GOOD, (LEGACY_TX, FEE_MARKET_TX), (MAINNET_GENESIS,), (WITHDRAWAL,))

blocks = st.builds(
    Block,
    headers(),
    st.lists(st.sampled_from([LEGACY_TX, FEE_MARKET_TX]), max_size=3).map(tuple),
    st.lists(headers(), max_size=1).map(tuple),
    st.one_of(st.none(), st.lists(st.builds(Withdrawal, u64, u64, addresses, u64), max_size=2).map(tuple)),
)


@settings(deadline=None)
@given(blocks)
def test_block_round_trip(block: Block) -> None:
    decoded = decode_block(block.encode())
    assert decoded == block
    assert decoded.encode() == block.encode()
    assert (decoded.hash, decoded.number) == (block.header.hash, block.header.number)
    assert decode_body(block.header, block.encode_body()) == block


@settings(deadline=None)
@given(st.data())
def test_a_changed_byte_of_a_block_never_raises_anything_else(data: st.DataObject) -> None:
    raw = bytearray(BLOCK.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_block(bytes(raw))
    except (InvalidBlock, InvalidTransaction):
        return
    assert decoded.encode() == bytes(raw), "one encoding a block"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80",
        b"\xc0",
        rlp.encode([b"", [], []]),
        rlp.encode([[], [], []]),
        rlp.encode_list([GOOD.encode(), rlp.EMPTY_LIST]),
        rlp.encode_list([GOOD.encode(), rlp.EMPTY_STRING, rlp.EMPTY_LIST]),
        rlp.encode_list([GOOD.encode(), rlp.EMPTY_LIST, rlp.EMPTY_LIST, rlp.EMPTY_LIST, rlp.EMPTY_LIST]),
        rlp.encode_list([GOOD.encode(), rlp.EMPTY_LIST, rlp.EMPTY_LIST, rlp.encode([[b"", b"", b"\x01" * 20]])]),
        rlp.encode_list([GOOD.encode(), rlp.EMPTY_LIST, rlp.EMPTY_LIST, rlp.encode([[b"", b"", b"", b""]])]),
        BLOCK.encode() + b"\x00",
        BLOCK.encode()[:-1],
    ],
)
def test_malformed_blocks(raw: bytes) -> None:
    with pytest.raises(InvalidBlock) as caught:
        decode_block(raw)
    assert caught.value.reason == BlockReason.RLP_STRUCTURES_ENCODING
    assert "problem" in caught.value.facts


def test_a_malformed_transaction_is_named_as_one() -> None:
    raw = rlp.encode_list([GOOD.encode(), rlp.encode([b"\x05\xc0"]), rlp.EMPTY_LIST, rlp.EMPTY_LIST])
    with pytest.raises(InvalidTransaction):
        decode_block(raw)


def test_refusals_show_bytes_as_hex() -> None:
    error = InvalidBlock(BlockReason.INVALID_STATE_ROOT, header=b"\x01\x02", ours=5)
    assert str(error) == "INVALID_STATE_ROOT (header=0x0102, ours=5)"
    assert str(InvalidBlock(BlockReason.UNKNOWN_PARENT)) == "UNKNOWN_PARENT"
