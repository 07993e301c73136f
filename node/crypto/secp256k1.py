"""secp256k1 signatures over 32-byte digests, through coincurve (libsecp256k1)."""

from __future__ import annotations

from typing import Final

from coincurve import PrivateKey, PublicKey

from node.crypto.hashes import keccak256
from node.primitives.scalars import Address

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER: Final = ORDER // 2


class SignatureError(ValueError):
    """The signature, digest or key is not usable."""


def public_key_of(private_key: bytes) -> bytes:
    """The uncompressed public key, 64 bytes (x ‖ y)."""
    return PrivateKey(private_key).public_key.format(compressed=False)[1:]


def address_of(public_key: bytes) -> Address:
    """The address of a 64-byte public key (Yellow Paper, appendix F)."""
    return Address(keccak256(public_key)[12:])


def address_of_private_key(private_key: bytes) -> Address:
    """The address that a 32-byte private key signs for."""
    return address_of(public_key_of(private_key))


def sign(digest: bytes, private_key: bytes) -> tuple[int, int, int]:
    """Deterministic (RFC 6979) low-s signature: (y_parity, r, s)."""
    signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")


def recover(digest: bytes, y_parity: int, r: int, s: int) -> bytes:
    """The 64-byte public key that signed ``digest``. Accepts high s; callers that need EIP-2 check it themselves."""
    if not (0 < r < ORDER and 0 < s < ORDER) or y_parity not in (0, 1):
        raise SignatureError("signature values out of range")
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
    try:
        key = PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception and ValueError for points off the curve
        raise SignatureError("no public key fits the signature") from error
    public: bytes = key.format(compressed=False)[1:]
    return public


def recover_address(digest: bytes, y_parity: int, r: int, s: int) -> Address:
    """The address that signed ``digest``."""
    return address_of(recover(digest, y_parity, r, s))
