"""keccak256: the one backend switch (safe-pysha3 is the fastest kept wheel; pycryptodome is always there)."""

from __future__ import annotations

import hashlib
from typing import Final

from node.primitives.scalars import Hash32

try:
    from sha3 import keccak_256 as _keccak_256

    BACKEND: Final[str] = "safe-pysha3"

    def keccak256(data: bytes) -> Hash32:
        """Keccak-256 as in Ethereum (before the SHA-3 padding change)."""
        digest: Hash32 = _keccak_256(data).digest()  # a call of the NewType is a tenth of the time
        return digest

except ImportError:  # pragma: no cover - only where the wheel is missing
    from Crypto.Hash import keccak as _keccak

    BACKEND = "pycryptodome"  # type: ignore[misc]

    def keccak256(data: bytes) -> Hash32:
        """Keccak-256 as in Ethereum (before the SHA-3 padding change)."""
        return Hash32(_keccak.new(digest_bits=256, data=data).digest())


EMPTY_KECCAK: Final = keccak256(b"")
"""Hash of no bytes: the code hash of an account without code."""
EMPTY_LIST_KECCAK: Final = keccak256(b"\xc0")
"""Hash of the empty RLP list: ommersHash after the Merge."""
EMPTY_TRIE_ROOT: Final = keccak256(b"\x80")
"""Root of an empty Merkle-Patricia trie."""


def ripemd160(data: bytes) -> bytes:
    """RIPEMD-160, 20 bytes. OpenSSL may be built without it; pycryptodome always has it."""
    if _OPENSSL_HAS_RIPEMD160:
        return hashlib.new("ripemd160", data).digest()
    return ripemd160_by_pycryptodome(data)


def ripemd160_by_pycryptodome(data: bytes) -> bytes:
    """The same, five times slower."""
    from Crypto.Hash import RIPEMD160  # only where OpenSSL lacks it: start-up need not pay

    return bytes(RIPEMD160.new(data).digest())


def _openssl_has_ripemd160() -> bool:
    try:
        hashlib.new("ripemd160", b"")
    except ValueError:
        return False
    return True


_OPENSSL_HAS_RIPEMD160: Final = _openssl_has_ripemd160()
