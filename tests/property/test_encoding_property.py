"""Transactions, headers and blocks: what is encoded decodes to itself, and what decodes encodes to the same bytes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from node.primitives.scalars import Address, Hash32
from node.types import transactions
from node.types.blocks import HEADER_ITEM_COUNTS, Block, Header, Withdrawal, decode_block, decode_body, decode_header
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.transactions import ACCESS_LIST, BLOB, LEGACY, SET_CODE, Authorization, Transaction

u64 = st.integers(0, 2**64 - 1) | st.sampled_from([0, 127, 128, 255, 256])
u256 = st.integers(0, 2**256 - 1) | st.sampled_from([0, 1, 127, 128])
words = st.binary(min_size=32, max_size=32).map(Hash32)
addresses = st.binary(min_size=20, max_size=20).map(Address)
scalars = st.integers(1, 2**255)
access_lists = st.lists(st.tuples(addresses, st.lists(u256, max_size=3).map(tuple)), max_size=3).map(tuple)
authorizations = st.builds(
    Authorization, chain_id=u256, address=addresses, nonce=u64, y_parity=st.integers(0, 255), r=u256, s=u256
)


@st.composite
def any_transaction(draw: st.DrawFn) -> Transaction:
    """Of any type, signed in form."""
    kind = draw(st.integers(LEGACY, SET_CODE))
    most = draw(u256)
    tx = Transaction(
        type=kind,
        nonce=draw(u64),
        gas_limit=draw(u64),
        to=draw(addresses if kind in (BLOB, SET_CODE) else st.none() | addresses),
        value=draw(u256),
        data=draw(st.binary(max_size=70)),
        max_fee_per_gas=most,
        max_priority_fee_per_gas=most if kind <= ACCESS_LIST else draw(u256),
        chain_id=draw(st.none() | st.integers(0, 2**200)) if kind == LEGACY else draw(st.integers(0, 2**64 - 1)),
        access_list=draw(access_lists) if kind >= ACCESS_LIST else (),
        y_parity=draw(st.integers(0, 1)),
        r=draw(scalars),
        s=draw(scalars),
    )
    if kind == BLOB:
        hashes = tuple(draw(st.lists(words, max_size=3)))
        return replace(tx, max_fee_per_blob_gas=draw(u256), blob_versioned_hashes=hashes)
    if kind == SET_CODE:
        return replace(tx, authorization_list=tuple(draw(st.lists(authorizations, max_size=2))))
    return tx


@st.composite
def any_header(draw: st.DrawFn) -> Header:
    """Of any fork."""
    items = draw(st.sampled_from(HEADER_ITEM_COUNTS))
    return Header(
        parent_hash=draw(words),
        ommers_hash=draw(words),
        coinbase=draw(addresses),
        state_root=draw(words),
        transactions_root=draw(words),
        receipts_root=draw(words),
        logs_bloom=draw(st.binary(min_size=32, max_size=32)) * 8,
        difficulty=draw(u256),
        number=draw(u64),
        gas_limit=draw(u64),
        gas_used=draw(u64),
        timestamp=draw(u64),
        extra_data=draw(st.binary(max_size=40)),
        prev_randao=draw(words),
        nonce=draw(st.binary(min_size=8, max_size=8)),
        base_fee_per_gas=draw(u256) if items > 15 else None,
        withdrawals_root=draw(words) if items > 16 else None,
        blob_gas_used=draw(u64) if items > 17 else None,
        excess_blob_gas=draw(u64) if items > 17 else None,
        parent_beacon_block_root=draw(words) if items > 17 else None,
        requests_hash=draw(words) if items > 20 else None,
    )


withdrawals = st.builds(Withdrawal, index=u64, validator_index=u64, address=addresses, amount_gwei=u64)
blocks = st.builds(
    Block,
    header=any_header(),
    transactions=st.lists(any_transaction(), max_size=3).map(tuple),
    ommers=st.lists(any_header(), max_size=2).map(tuple),
    withdrawals=st.none() | st.lists(withdrawals, max_size=3).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(any_transaction())
def test_transactions(tx: Transaction) -> None:
    decoded = transactions.decode(tx.encode())
    assert decoded == tx
    assert decoded.hash == tx.hash
    assert replace(decoded).encode() == tx.encode()


@settings(max_examples=100, deadline=None)
@given(any_header())
def test_headers(header: Header) -> None:
    decoded = decode_header(header.encode())
    assert decoded == header
    assert decoded.hash == header.hash


@settings(max_examples=100, deadline=None)
@given(blocks)
def test_blocks(block: Block) -> None:
    assert decode_block(block.encode()) == block
    assert decode_body(block.header, block.encode_body()) == block


@settings(max_examples=500, deadline=None)
@given(blocks, st.data())
def test_what_decodes_encodes_back(block: Block, data: st.DataObject) -> None:
    """One byte of a block changed, dropped or added: it is refused, or it is the encoding of another block."""
    raw = bytearray(block.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    change = data.draw(st.sampled_from(["change", "drop", "add", "clear"]))
    if change == "clear":
        raw[place] = 0
    elif change == "change":
        raw[place] ^= data.draw(st.integers(1, 255))
    elif change == "drop":
        del raw[place]
    else:
        raw.insert(place, data.draw(st.integers(0, 255)))
    try:
        found = decode_block(bytes(raw))
    except (InvalidBlock, InvalidTransaction):
        return
    assert replace(found, transactions=tuple(replace(tx) for tx in found.transactions)).encode() == bytes(raw)
