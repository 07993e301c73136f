"""Receipts, logs and blooms: mainnet's numbers, round trips, malformed input."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address
from node.types.receipts import (
    EMPTY_BLOOM,
    Log,
    Receipt,
    bloom_bits,
    bloom_may_hold,
    bloom_union,
    decode_receipt,
    decode_receipts,
    encode_receipts,
    logs_bloom,
)

logs = st.builds(
    Log,
    st.binary(min_size=20, max_size=20).map(Address),
    st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple),
    st.binary(max_size=40),
)
receipts = st.builds(
    Receipt,
    st.integers(0, 4),
    st.one_of(st.integers(0, 1), st.binary(min_size=32, max_size=32)),
    st.integers(0, 2**64 - 1),
    st.sampled_from([EMPTY_BLOOM, b"\xff" * 256]),
    st.lists(logs, max_size=3).map(tuple),
)


@given(receipts)
def test_round_trip(receipt: Receipt) -> None:
    encoded = receipt.encode()
    assert decode_receipt(encoded) == receipt
    assert encoded[0] == receipt.type or encoded[0] >= 0xC0


@given(st.lists(receipts, max_size=4))
def test_storage_round_trip(several: list[Receipt]) -> None:
    assert decode_receipts(encode_receipts(several)) == tuple(several)


def test_success_is_status_one_or_a_root() -> None:
    assert Receipt(0, 1, 0, EMPTY_BLOOM, ()).succeeded
    assert Receipt(0, b"\x01" * 32, 0, EMPTY_BLOOM, ()).succeeded
    assert not Receipt(0, 0, 0, EMPTY_BLOOM, ()).succeeded


def test_the_bits_of_a_bloom_by_their_definition() -> None:
    """M3:2048 (Yellow Paper 4.3.1): three 11-bit numbers out of the hash, bit 0 being the last of the 256 bytes."""
    address = Address(bytes.fromhex("095e7baea6a6c7c4c2dfeb977efac326af552d87"))
    digest = keccak256(address)
    positions = [int.from_bytes(digest[index : index + 2], "big") % 2048 for index in (0, 2, 4)]
    bloom = logs_bloom([Log(address, (), b"data is not in it")])
    found = [bit for bit in range(2048) if bloom[255 - bit // 8] >> (bit % 8) & 1]
    assert found == sorted(set(positions))
    assert bloom_bits(address) == int.from_bytes(bloom, "big")


@given(st.lists(logs, max_size=5), st.lists(logs, max_size=5))
def test_a_bloom_holds_all_its_logs(some: list[Log], others: list[Log]) -> None:
    bloom = logs_bloom(some)
    for log in some:
        assert all(bloom_may_hold(bloom, entry) for entry in (log.address, *log.topics))
    assert bloom_union([bloom, logs_bloom(others)]) == logs_bloom(some + others)
    assert logs_bloom([]) == bloom_union([]) == EMPTY_BLOOM
    assert not bloom_may_hold(EMPTY_BLOOM, b"x")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"\xc0",
        b"\x00" + rlp.encode([b"\x01", b"", EMPTY_BLOOM, []]),
        rlp.encode([b"\x01", b"", EMPTY_BLOOM]),
        rlp.encode([b"\x01", b"", EMPTY_BLOOM[1:], []]),
        rlp.encode([b"\x01", b"\x00", EMPTY_BLOOM, []]),
        rlp.encode([b"\x01", b"\x01" * 9, EMPTY_BLOOM, []]),
        rlp.encode([b"\x01" * 31, b"", EMPTY_BLOOM, []]),
        rlp.encode([[], b"", EMPTY_BLOOM, []]),
        rlp.encode([b"\x01", b"", EMPTY_BLOOM, [[b"\x01" * 19, [], b""]]]),
        rlp.encode([b"\x01", b"", EMPTY_BLOOM, [[b"\x01" * 20, [b"\x01"], b""]]]),
        rlp.encode([b"\x01", b"", EMPTY_BLOOM, [[b"\x01" * 20, []]]]),
        rlp.encode([b"\x01", b"", EMPTY_BLOOM, b""]),
    ],
)
def test_malformed(raw: bytes) -> None:
    with pytest.raises(rlp.RLPError):
        decode_receipt(raw)


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for decode in (decode_receipt, decode_receipts):
        with contextlib.suppress(rlp.RLPError):
            decode(data)
