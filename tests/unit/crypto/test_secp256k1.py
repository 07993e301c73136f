"""Signing and recovering."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.secp256k1 import (
    HALF_ORDER,
    ORDER,
    SignatureError,
    address_of_private_key,
    public_key_of,
    recover,
    recover_address,
    sign,
)

KEYS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)


def test_known_address() -> None:
    assert address_of_private_key((1).to_bytes(32, "big")).hex() == "7e5f4552091a69125d5dfcb7b8c2659029395bdf"


@settings(deadline=None)
@given(KEYS, DIGESTS)
def test_round_trip(key: bytes, digest: bytes) -> None:
    parity, r, s = sign(digest, key)
    assert s <= HALF_ORDER
    assert recover(digest, parity, r, s) == public_key_of(key)
    assert recover_address(digest, parity, r, s) == address_of_private_key(key)
    # the mirrored signature belongs to the same key: EIP-2 is the caller's to ask
    assert recover_address(digest, 1 - parity, r, ORDER - s) == address_of_private_key(key)


@pytest.mark.parametrize(
    ("parity", "r", "s"), [(2, 1, 1), (0, 0, 1), (0, 1, 0), (0, ORDER, 1), (0, 1, ORDER), (0, 5, 1)]
)
def test_refused(parity: int, r: int, s: int) -> None:
    with pytest.raises(SignatureError):  # x = 5 is no point of the curve
        recover(b"\x01" * 32, parity, r, s)
