"""Blobs with proofs that hold, without a trusted setup: each is a constant polynomial, so every quotient is 0.

EIP-4844, EIP-7594. Enough to load the paths that blobs take; what a blob says does not matter there.
"""

from __future__ import annotations

from functools import cache

from node.crypto.blob_proofs import BLOB_BYTES, CELLS_PER_BLOB
from node.crypto.bls12_381 import INFINITY_COMPRESSED, curve
from node.crypto.kzg import versioned_hash
from node.types.blobs import Sidecar


@cache
def commitment(value: int) -> bytes:
    """[value], compressed."""
    arkworks = curve()
    return bytes((arkworks.G1Point() * arkworks.Scalar.from_be_bytes(value.to_bytes(32, "big"))).to_compressed_bytes())


def constant_sidecar(*values: int, version: int = 1) -> Sidecar:
    """One blob a value (0 to the field's order)."""
    return Sidecar(
        version,
        tuple(value.to_bytes(32, "big") * (BLOB_BYTES // 32) for value in values),
        tuple(commitment(value) for value in values),
        (INFINITY_COMPRESSED,) * (len(values) * (CELLS_PER_BLOB if version else 1)),
    )


def hashes_of(sidecar: Sidecar) -> tuple[bytes, ...]:
    """What a transaction names the blobs by."""
    return tuple(versioned_hash(one) for one in sidecar.commitments)
