"""Operations: what is written is read back; everything else is refused with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.primitives.rlp import encode
from node.primitives.scalars import Address
from node.types.operations import (
    OPERATIONS_MAX,
    MalformedOperations,
    SetBalance,
    SetCode,
    SetNonce,
    SetStorage,
    decode_operations,
    encode_operations,
)

ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
WORDS = st.integers(0, 2**256 - 1)
OPERATIONS = st.one_of(
    st.builds(SetStorage, ADDRESSES, WORDS, WORDS),
    st.builds(SetBalance, ADDRESSES, WORDS),
    st.builds(SetNonce, ADDRESSES, st.integers(0, 2**64 - 1)),
    st.builds(SetCode, ADDRESSES, st.binary(max_size=100)),
)
A = b"\x01" * 20


@given(st.lists(OPERATIONS, max_size=8))
def test_round_trip(operations: list[SetStorage | SetBalance | SetNonce | SetCode]) -> None:
    assert decode_operations(encode_operations(operations)) == tuple(operations)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "empty|ends|nothing"),
        (b"\x01", "operations"),
        (encode([[b"\x01", A]]), r"operations\[0\]: 2 items"),
        (encode([[b"\x01", A, b"\x01"]]), r"operations\[0\]: 3 items"),
        (encode([[b"\x02", A, b"\x01"], [b"\x02", A, b"\x01", b"\x01"]]), r"operations\[1\]: 4 items"),
        (encode([[b"\x05", A, b"\x01"]]), r"operations\[0\].kind: 5 is not known"),
        (encode([[b"\x02", A[1:], b"\x01"]]), r"operations\[0\].address"),
        (encode([[b"\x02", A, b"\x00\x01"]]), r"operations\[0\].balance"),
        (encode([[b"\x03", A, b"\x01" * 9]]), r"operations\[0\].nonce"),
        (encode([[b"\x04", A, b"\x01" * 24_577]]), r"operations\[0\].code: 24577 bytes"),
        (encode([[b"\x02", A, b"\x01"]] * (OPERATIONS_MAX + 1)), "operations: 257, more than 256"),
    ],
)
def test_malformed(data: bytes, complaint: str) -> None:
    with pytest.raises(MalformedOperations, match=complaint):
        decode_operations(data)
