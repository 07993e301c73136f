"""ECRECOVER and P256VERIFY."""

from __future__ import annotations

from node.crypto.p256 import verify
from node.crypto.secp256k1 import SignatureError, recover_address

_TRUE = (1).to_bytes(32, "big")


def ecrecover_gas(data: bytes) -> int:
    """3,000."""
    return 3000


def ecrecover(data: bytes) -> bytes:
    """digest(32) v(32) r(32) s(32) -> the signer's address as a word; nothing where no key fits."""
    data = data[:128].ljust(128, b"\x00")
    v = int.from_bytes(data[32:64], "big")
    if v not in (27, 28):
        return b""
    try:
        signer = recover_address(
            data[:32], v - 27, int.from_bytes(data[64:96], "big"), int.from_bytes(data[96:], "big")
        )
    except SignatureError:
        return b""
    return signer.rjust(32, b"\x00")


def p256verify_gas(data: bytes) -> int:
    """6,900 (EIP-7951)."""
    return 6900


def p256verify(data: bytes) -> bytes:
    """digest(32) r(32) s(32) x(32) y(32) -> 1 as a word; nothing for a signature that is not valid (EIP-7951)."""
    if len(data) != 160:
        return b""
    r, s, x, y = (int.from_bytes(data[start : start + 32], "big") for start in (32, 64, 96, 128))
    return _TRUE if verify(data[:32], r, s, x, y) else b""
