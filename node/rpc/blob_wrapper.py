"""The network form of blob transactions: what a wallet sends beside the transaction itself.

    0x03 ‖ rlp([tx, blobs, commitments, proofs])            EIP-4844
    0x03 ‖ rlp([tx, 1, blobs, commitments, cell_proofs])    EIP-7594, from Osaka

evmesh keeps no blobs: it checks that the commitments are those that the transaction names, then drops them.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from node.primitives import rlp
from node.rpc.errors import refused
from node.types.transactions import BLOB

BLOB_BYTES: Final = 131_072
CELLS_PER_BLOB: Final = 128
VERSIONED_HASH_KZG: Final = b"\x01"
BLOB_HASHES_FIELD: Final = 10
"""Position of blobVersionedHashes in the transaction."""


def versioned_hash(commitment: bytes) -> bytes:
    """0x01 ‖ sha256(commitment)[1:] (EIP-4844)."""
    return VERSIONED_HASH_KZG + sha256(commitment).digest()[1:]


def unwrapped(raw: bytes) -> bytes:
    """The canonical transaction inside the network form. Raises RpcError naming what does not fit."""
    try:
        fields = rlp.as_list(rlp.decode(raw[1:]), "blob transaction")
        if not fields or isinstance(fields[0], bytes):
            raise refused("missing sidecar in blob transaction")
        if len(fields) == 4:
            version, sidecar = 0, fields[1:]
        elif len(fields) == 5:
            version, sidecar = rlp.as_int(fields[1], "sidecar version", 8), fields[2:]
        else:
            raise rlp.RLPError(f"blob transaction: {len(fields)} items fit no network form")
        blobs, commitments, proofs = (
            [rlp.as_bytes(item, name, size) for item in rlp.as_list(part, name)]
            for part, name, size in zip(sidecar, ("blob", "commitment", "proof"), (BLOB_BYTES, 48, 48), strict=True)
        )
        transaction = rlp.as_list(fields[0], "transaction", 14)
        hashes = [
            rlp.as_bytes(item, "blobVersionedHash")
            for item in rlp.as_list(transaction[BLOB_HASHES_FIELD], "blobVersionedHashes")
        ]
    except rlp.RLPError as error:
        raise refused(f"rlp: {error}") from error
    if version > 1:
        raise refused(f"unexpected sidecar version, want: 0 or 1, got: {version}")
    _check_counts(len(hashes), len(blobs), len(commitments), len(proofs), CELLS_PER_BLOB if version else 1)
    for index, (commitment, expected) in enumerate(zip(commitments, hashes, strict=True)):
        if versioned_hash(commitment) != expected:
            raise refused(
                f"blob {index}: computed hash 0x{versioned_hash(commitment).hex()} mismatches "
                f"transaction one 0x{expected.hex()}"
            )
    return bytes((BLOB,)) + rlp.encode(transaction)


def _check_counts(hashes: int, blobs: int, commitments: int, proofs: int, proofs_per_blob: int) -> None:
    if blobs != hashes:
        raise refused(f"invalid number of {blobs} blobs compared to {hashes} blob hashes")
    if commitments != hashes:
        raise refused(f"invalid number of {commitments} blob commitments compared to {hashes} blob hashes")
    if proofs != hashes * proofs_per_blob:
        raise refused(f"invalid number of {proofs} blob proofs expected {hashes * proofs_per_blob}")
