"""Transactions: known vectors, round trips of every type, and what is refused with which reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto import secp256k1
from node.primitives import rlp
from node.primitives.scalars import Address
from node.types import transactions
from node.types.invalid import InvalidTransaction, TransactionReason
from node.types.transactions import (
    ACCESS_LIST,
    BLOB,
    FEE_MARKET,
    LEGACY,
    SET_CODE,
    Authorization,
    Transaction,
    decode,
    from_block_item,
)

KEY = b"\x46" * 32
ADDRESS = secp256k1.address_of_private_key(KEY)

# --- EIP-155's own example ---

EIP155_UNSIGNED = Transaction(
    type=LEGACY,
    nonce=9,
    gas_limit=21_000,
    to=Address(b"\x35" * 20),
    value=10**18,
    data=b"",
    max_fee_per_gas=20 * 10**9,
    max_priority_fee_per_gas=20 * 10**9,
    chain_id=1,
)
EIP155_SIGNED = bytes.fromhex(
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025"
    "a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"
    "a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
)


def test_the_example_of_eip_155() -> None:
    assert EIP155_UNSIGNED.signing_hash().hex() == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    signed = EIP155_UNSIGNED.signed_by(KEY)
    assert signed.v == 37
    assert signed.encode() == EIP155_SIGNED
    decoded = decode(EIP155_SIGNED)
    assert decoded == signed
    assert decoded.sender == ADDRESS
    assert decoded.sender.hex() == "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"


def test_the_first_transaction_of_mainnet() -> None:
    """Block 46147, hash 0x5c504ed4…: before EIP-155."""
    raw = bytes.fromhex(
        "f86780862d79883d2000825208945df9b87991262f6ba471f09758cde1c0fc1de734827a69801c"
        "a088ff6cf0fefd94db46111149ae4bfc179e9b94721fffd821d38d16464b3f71d0"
        "a045e0aff800961cfce805daef7016b9b675c137a6a41a548f7b60a3484c06a33a"
    )
    tx = decode(raw)
    assert tx.hash.hex() == "5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060"
    assert tx.sender.hex() == "a1e4380a3b1f749673e270229993ee55f35663b4"
    assert (tx.chain_id, tx.v, tx.value, tx.gas_price) == (None, 28, 31337, 50 * 10**12)


# --- round trips ---

addresses = st.binary(min_size=20, max_size=20).map(Address)
words = st.one_of(st.integers(0, 2**256 - 1), st.sampled_from([0, 1, 127, 128, 2**256 - 1]))
u64 = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 127, 128, 2**64 - 1]))
access_lists = st.lists(st.tuples(addresses, st.lists(words, max_size=2).map(tuple)), max_size=2).map(tuple)
authorizations = st.lists(
    st.builds(Authorization, words, addresses, u64, st.integers(0, 255), words, words), max_size=2
).map(tuple)


@st.composite
def unsigned(draw: st.DrawFn) -> Transaction:
    kind = draw(st.sampled_from([LEGACY, ACCESS_LIST, FEE_MARKET, BLOB, SET_CODE]))
    fee = draw(words)
    return Transaction(
        type=kind,
        nonce=draw(u64),
        gas_limit=draw(u64),
        to=draw(addresses if kind in (BLOB, SET_CODE) else st.one_of(st.none(), addresses)),
        value=draw(words),
        data=draw(st.binary(max_size=70)),
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=draw(words) if kind >= FEE_MARKET else fee,
        chain_id=draw(st.one_of(st.none(), u64) if kind == LEGACY else u64),
        access_list=draw(access_lists) if kind >= ACCESS_LIST else (),
        max_fee_per_blob_gas=draw(words) if kind == BLOB else 0,
        blob_versioned_hashes=draw(st.lists(st.binary(min_size=32, max_size=32), max_size=2).map(tuple))
        if kind == BLOB
        else (),
        authorization_list=draw(authorizations) if kind == SET_CODE else (),
    )


@settings(deadline=None)
@given(unsigned())
def test_round_trip(tx: Transaction) -> None:
    signed = tx.signed_by(KEY)
    assert signed.sender == ADDRESS
    raw = signed.encode()
    decoded = decode(raw)
    assert decoded == signed
    assert decoded.encode() == raw
    assert replace(decoded).encode() == raw
    assert decoded.hash == signed.hash
    assert decoded.sender == ADDRESS
    assert from_block_item(rlp.decode(signed.block_item())) == signed
    assert tx.signing_hash() == signed.signing_hash()


@settings(deadline=None)
@given(unsigned(), st.data())
def test_a_changed_byte_is_refused_or_another_transaction(tx: Transaction, data: st.DataObject) -> None:
    raw = bytearray(tx.signed_by(KEY).encode())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(raw))
    except InvalidTransaction:
        return
    # What is accepted has one encoding: decoding never normalises.
    assert replace(other).encode() == bytes(raw)
    assert other.hash != tx.signed_by(KEY).hash


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for raw in (data, b"\x02" + data, b"\xf8" + data):
        try:
            tx = decode(raw)
        except InvalidTransaction:
            continue
        assert replace(tx).encode() == raw


# --- refusals ---


def legacy(*changes: tuple[int, rlp.Encodable], drop: int = 0) -> bytes:
    """EIP-155's example with some of its nine items replaced."""
    items: list[rlp.Encodable] = list(rlp.decode_list(EIP155_SIGNED))
    for index, item in changes:
        items[index] = item
    return rlp.encode(items[: len(items) - drop])


def typed(kind: int, *changes: tuple[int, rlp.Encodable], extra: int = 0) -> bytes:
    """A good transaction of this type with some items replaced."""
    tx = replace(
        EIP155_UNSIGNED,
        type=kind,
        blob_versioned_hashes=(b"\x01" * 32,) if kind == BLOB else (),
        authorization_list=(Authorization(1, ADDRESS, 0, 0, 1, 1),) if kind == SET_CODE else (),
    )
    items: list[rlp.Encodable] = list(rlp.decode_list(tx.signed_by(KEY).encode()[1:]))
    for index, item in changes:
        items[index] = item
    return bytes((kind,)) + rlp.encode(items + [b""] * extra)


R = TransactionReason
WIDE = b"\x01" + b"\x00" * 32


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", R.RLP_INVALID, id="nothing"),
        pytest.param(b"\x00", R.TYPE_NOT_SUPPORTED, id="type 0 as a byte"),
        pytest.param(b"\x05\xc0", R.TYPE_NOT_SUPPORTED, id="type 5"),
        pytest.param(b"\x7f" + EIP155_SIGNED, R.TYPE_NOT_SUPPORTED, id="type 127"),
        pytest.param(b"\x80", R.TYPE_NOT_SUPPORTED, id="an empty string"),
        pytest.param(b"\xb8\x40" + b"x" * 64, R.TYPE_NOT_SUPPORTED, id="a string"),
        pytest.param(b"\x02", R.RLP_INVALID, id="a type alone"),
        pytest.param(b"\x02\xc0", R.RLP_INVALID, id="no items"),
        pytest.param(b"\xc0", R.RLP_INVALID, id="legacy without items"),
        pytest.param(EIP155_SIGNED + b"\x00", R.RLP_INVALID, id="bytes behind"),
        pytest.param(EIP155_SIGNED[:-1], R.RLP_INVALID, id="cut"),
        pytest.param(legacy(drop=1), R.RLP_INVALID, id="eight items"),
        pytest.param(legacy((0, b"\x00")), R.RLP_LEADING_ZEROS, id="nonce with a leading zero"),
        pytest.param(legacy((7, b"\x00" + b"\x11" * 31)), R.RLP_LEADING_ZEROS, id="r with a leading zero"),
        pytest.param(legacy((0, b"\x01" * 9)), R.RLP_INVALID, id="nonce of 72 bits"),
        pytest.param(legacy((2, b"\x01" * 9)), R.RLP_INVALID, id="gas limit of 72 bits"),
        pytest.param(legacy((1, WIDE)), R.RLP_INVALID, id="gas price of 257 bits"),
        pytest.param(legacy((4, WIDE)), R.RLP_INVALID, id="value of 257 bits"),
        pytest.param(legacy((0, [])), R.RLP_INVALID, id="nonce as a list"),
        pytest.param(legacy((5, [b"data"])), R.RLP_INVALID, id="data as a list"),
        pytest.param(legacy((3, b"\x35" * 19)), R.ADDRESS_TOO_SHORT, id="to of 19 bytes"),
        pytest.param(legacy((3, b"\x35" * 21)), R.ADDRESS_TOO_LONG, id="to of 21 bytes"),
        pytest.param(legacy((3, b"\x00")), R.ADDRESS_TOO_SHORT, id="to of 1 byte"),
        *(
            pytest.param(legacy((6, rlp.int_to_bytes(v))), R.INVALID_SIGNATURE_VRS, id=f"v {v}")
            for v in (0, 1, 26, 29, 34)
        ),
        pytest.param(typed(FEE_MARKET, (9, b"\x02")), R.INVALID_SIGNATURE_VRS, id="parity 2"),
        pytest.param(typed(FEE_MARKET, (9, b"\x1b")), R.INVALID_SIGNATURE_VRS, id="parity 27"),
        pytest.param(typed(FEE_MARKET, extra=1), R.RLP_INVALID, id="an item too many"),
        pytest.param(typed(ACCESS_LIST, (7, b"")), R.RLP_INVALID, id="access list as a string"),
        pytest.param(typed(ACCESS_LIST, (7, [[b"\x01" * 20]])), R.RLP_INVALID, id="access list entry of one item"),
        pytest.param(typed(ACCESS_LIST, (7, [[b"\x01" * 19, []]])), R.RLP_INVALID, id="access list address of 19"),
        pytest.param(typed(ACCESS_LIST, (7, [[b"\x01" * 20, [b"\x01"]]])), R.RLP_INVALID, id="slot of 1 byte"),
        pytest.param(typed(ACCESS_LIST, (7, [[b"\x01" * 20, [b"\x01" * 33]]])), R.RLP_INVALID, id="slot of 33 bytes"),
        pytest.param(typed(BLOB, (5, b"")), R.TYPE_3_TX_CONTRACT_CREATION, id="blob creation"),
        pytest.param(typed(BLOB, (10, [b"\x01" * 31])), R.RLP_INVALID, id="blob hash of 31 bytes"),
        pytest.param(typed(SET_CODE, (5, b"")), R.TYPE_4_TX_CONTRACT_CREATION, id="set-code creation"),
        pytest.param(
            typed(SET_CODE, (9, [[b"\x01"] * 5])), R.TYPE_4_INVALID_AUTHORIZATION_FORMAT, id="authorization of five"
        ),
        pytest.param(
            typed(SET_CODE, (9, [[b"\x01", b"\x01" * 19, b"", b"", b"\x01", b"\x01"]])),
            R.TYPE_4_INVALID_AUTHORIZATION_FORMAT,
            id="authorization address of 19",
        ),
        pytest.param(
            typed(SET_CODE, (9, [[b"\x01", ADDRESS, b"", b"", WIDE, b"\x01"]])),
            R.TYPE_4_INVALID_AUTHORIZATION_FORMAT,
            id="authorization r of 257 bits",
        ),
        pytest.param(typed(SET_CODE, (9, b"")), R.TYPE_4_INVALID_AUTHORIZATION_FORMAT, id="authorizations as a string"),
    ],
)
def test_refused(raw: bytes, reason: TransactionReason) -> None:
    with pytest.raises(InvalidTransaction) as caught:
        decode(raw)
    assert caught.value.reason == reason


ORDER = secp256k1.ORDER


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 1), (1, 0), (ORDER, 1), (1, ORDER), (2**256 - 1, 1), (5, 1)],
)
def test_signatures_that_are_none(r: int, s: int) -> None:
    """The last one has no point of the curve at x = 5."""
    with pytest.raises(InvalidTransaction) as caught:
        _ = replace(EIP155_UNSIGNED, r=r, s=s).sender
    assert caught.value.reason == R.INVALID_SIGNATURE_VRS


def test_a_typed_transaction_stands_as_a_string_and_a_legacy_one_as_a_list() -> None:
    signed = replace(EIP155_UNSIGNED, type=FEE_MARKET).signed_by(KEY)
    assert rlp.decode(signed.block_item()) == signed.encode()
    with pytest.raises(InvalidTransaction):
        from_block_item(EIP155_SIGNED)
    with pytest.raises(InvalidTransaction):
        from_block_item(rlp.decode(signed.encode()[1:]))
    with pytest.raises(InvalidTransaction):
        from_block_item(b"")


def test_fees() -> None:
    tx = replace(EIP155_UNSIGNED, type=FEE_MARKET, max_fee_per_gas=100, max_priority_fee_per_gas=10)
    assert [tx.effective_gas_price(base_fee) for base_fee in (0, 50, 90, 95, 100)] == [10, 60, 100, 100, 100]
    assert EIP155_UNSIGNED.effective_gas_price(7) == EIP155_UNSIGNED.gas_price


def test_authorizations_name_who_signed() -> None:
    unsigned_one = Authorization(1, Address(b"\x11" * 20), 5, 0, 0, 0)
    parity, r, s = secp256k1.sign(unsigned_one.signing_hash(), KEY)
    signed = Authorization(1, Address(b"\x11" * 20), 5, parity, r, s)
    assert signed.authority() == ADDRESS
    assert replace(signed, s=ORDER - s, y_parity=1 - parity).authority() is None, "low s only"
    assert replace(signed, y_parity=2).authority() is None
    assert replace(signed, r=0).authority() is None
    assert replace(signed, nonce=6).authority() != ADDRESS
    assert rlp.decode_list(signed.encode())[1] == b"\x11" * 20


def test_no_key_and_no_raw_bytes_in_a_repr() -> None:
    assert "_raw" not in repr(EIP155_UNSIGNED.signed_by(KEY))
    assert KEY.hex() not in repr(EIP155_UNSIGNED.signed_by(KEY))
    assert transactions.SET_CODE_MAGIC == b"\x05"
