"""ECDSA on NIST P-256 (secp256r1), through cryptography; loaded at the first use."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

PRIME: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def verify(digest: bytes, r: int, s: int, x: int, y: int) -> bool:
    """Whether (r, s) signs the 32-byte digest under the public key (x, y). High s is allowed (EIP-7951)."""
    if not (0 < r < ORDER and 0 < s < ORDER and x < PRIME and y < PRIME):
        return False
    if (y * y - (x * x * x - 3 * x + B)) % PRIME != 0:  # also refuses (0, 0), the point at infinity
        return False
    ec, prehashed, encode_dss_signature, invalid_signature = _backend()
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    try:
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(prehashed))
    except invalid_signature:
        return False
    return True


@cache
def _backend() -> tuple[Any, Any, Any, Any]:
    # 10 MB of OpenSSL bindings that most nodes never need: not at start-up
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    return ec, utils.Prehashed(SHA256()), utils.encode_dss_signature, InvalidSignature
