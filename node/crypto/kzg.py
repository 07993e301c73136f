"""KZG commitments to blobs: the versioned hash and the check of a point evaluation (EIP-4844).

Checking one evaluation needs a single point of the trusted setup, so no setup file is loaded.
"""

from __future__ import annotations

import hashlib
from typing import Final

from node.crypto.bls12_381 import ORDER, CurveError, proof_holds
from node.crypto.kzg_setup import G2_TAU
from node.primitives.scalars import Hash32

FIELD_ELEMENTS_PER_BLOB: Final = 4096
BLS_MODULUS: Final = ORDER
VERSION: Final = b"\x01"
"""VERSIONED_HASH_VERSION_KZG."""


def versioned_hash(commitment: bytes) -> Hash32:
    """What a transaction names a blob by."""
    return Hash32(VERSION + hashlib.sha256(commitment).digest()[1:])


def evaluation_holds(commitment: bytes, z: int, y: int, proof: bytes) -> bool:
    """Whether the committed polynomial has value ``y`` at ``z``; False for anything malformed."""
    if z >= BLS_MODULUS or y >= BLS_MODULUS or len(commitment) != 48 or len(proof) != 48:
        return False
    try:
        return proof_holds(commitment, z, y, proof, G2_TAU)
    except CurveError:
        return False
