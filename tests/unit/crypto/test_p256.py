"""ECDSA on P-256: RFC 6979's published signature, random ones, and the edges."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.p256 import ORDER, PRIME, B, verify

# RFC 6979, A.2.5, SHA-256 of "sample"
DIGEST = bytes.fromhex("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf")
R = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
S = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
X = 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
Y = 0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299


def test_known_signature() -> None:
    assert verify(DIGEST, R, S, X, Y)
    assert verify(DIGEST, R, ORDER - S, X, Y)  # both halves are allowed


@pytest.mark.parametrize(
    ("r", "s", "x", "y"),
    [
        (0, S, X, Y),
        (R, 0, X, Y),
        (ORDER, S, X, Y),
        (R, ORDER, X, Y),
        (R, S, 0, 0),
        (R, S, X + PRIME, Y),
        (R, S, X, PRIME - Y),
        (R, S, X, Y + 1),
        (R + 1, S, X, Y),
        (R, S + 1, X, Y),
    ],
)
def test_refused(r: int, s: int, x: int, y: int) -> None:
    assert not verify(DIGEST, r, s, x, y)


def test_another_digest() -> None:
    assert not verify(bytes(32), R, S, X, Y)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, ORDER - 1), st.binary(min_size=32, max_size=32))
def test_what_was_signed_verifies(secret: int, digest: bytes) -> None:
    key = ec.derive_private_key(secret, ec.SECP256R1())
    r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(SHA256()))))
    public = key.public_key().public_numbers()
    assert (public.y**2 - public.x**3 + 3 * public.x - B) % PRIME == 0
    assert verify(digest, r, s, public.x, public.y)
