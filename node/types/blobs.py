"""Blobs beside a transaction: what a wallet sends and pools pass on, but no block holds.

0x03 ‖ rlp([tx, blobs, commitments, proofs])            EIP-4844, version 0: a proof a blob
0x03 ‖ rlp([tx, 1, blobs, commitments, cell_proofs])    EIP-7594, version 1: 128 proofs a blob
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.crypto.blob_proofs import BLOB_BYTES, CELLS_PER_BLOB, sidecar_holds
from node.crypto.kzg import versioned_hash
from node.primitives import rlp
from node.types.transactions import BLOB

PROOF_BYTES: Final = 48
BLOB_HASHES_FIELD: Final = 10
"""Position of blobVersionedHashes in the transaction."""
BLOBS_MAX: Final = 32
"""In one transaction, more than any fork allows: read no further."""
WRAPPED_BYTES_MAX: Final = BLOBS_MAX * (BLOB_BYTES + (CELLS_PER_BLOB + 2) * (PROOF_BYTES + 2)) + 128 * 1024


class InvalidSidecar(ValueError):
    """The bytes are no blob transaction with its blobs, or these do not fit it. The text is geth's."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """``commitments`` and ``proofs`` of 48 bytes; as many proofs a blob as the version has."""

    version: int
    blobs: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    proofs: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.blobs) * BLOB_BYTES + (len(self.commitments) + len(self.proofs)) * PROOF_BYTES

    def holds(self) -> bool:
        """Whether every blob is what its commitment stands for. Takes tens of milliseconds a blob."""
        return sidecar_holds(self.version, self.blobs, self.commitments, self.proofs)


def encode_wrapped(transaction: bytes, sidecar: Sidecar) -> bytes:
    """The network form of an encoded blob transaction."""
    version = [rlp.encode_int(sidecar.version)] if sidecar.version else []
    lists = [rlp.encode(list(part)) for part in (sidecar.blobs, sidecar.commitments, sidecar.proofs)]
    return bytes((BLOB,)) + rlp.encode_list([transaction[1:], *version, *lists])


def decode_wrapped(raw: bytes) -> tuple[bytes, Sidecar]:
    """(encoded transaction, sidecar): counts and hashes fit, no proof is checked. Raises InvalidSidecar."""
    if len(raw) > WRAPPED_BYTES_MAX:
        raise InvalidSidecar(f"oversized data: transaction size {len(raw)}, limit {WRAPPED_BYTES_MAX}")
    try:
        fields = rlp.as_list(rlp.decode(raw[1:]), "blob transaction")
        if not fields or isinstance(fields[0], bytes):
            raise InvalidSidecar("missing sidecar in blob transaction")
        if len(fields) == 4:
            version, parts = 0, fields[1:]
        elif len(fields) == 5:
            version, parts = rlp.as_int(fields[1], "sidecar version", 8), fields[2:]
        else:
            raise rlp.RLPError(f"blob transaction: {len(fields)} items fit no network form")
        blobs, commitments, proofs = (
            tuple(rlp.as_bytes(item, name, size) for item in rlp.as_list(part, name))
            for part, name, size in zip(
                parts, ("blob", "commitment", "proof"), (BLOB_BYTES, PROOF_BYTES, PROOF_BYTES), strict=True
            )
        )
        transaction = rlp.as_list(fields[0], "transaction", 14)
        hashes = [
            rlp.as_bytes(item, "blobVersionedHash")
            for item in rlp.as_list(transaction[BLOB_HASHES_FIELD], "blobVersionedHashes")
        ]
    except rlp.RLPError as error:
        raise InvalidSidecar(f"rlp: {error}") from error
    if version > 1:
        raise InvalidSidecar(f"unexpected sidecar version, want: 0 or 1, got: {version}")
    _check_counts(len(hashes), len(blobs), len(commitments), len(proofs), CELLS_PER_BLOB if version else 1)
    for index, (commitment, expected) in enumerate(zip(commitments, hashes, strict=True)):
        if versioned_hash(commitment) != expected:
            raise InvalidSidecar(
                f"blob {index}: computed hash 0x{versioned_hash(commitment).hex()} mismatches "
                f"transaction one 0x{expected.hex()}"
            )
    return bytes((BLOB,)) + rlp.encode(transaction), Sidecar(version, blobs, commitments, proofs)


def _check_counts(hashes: int, blobs: int, commitments: int, proofs: int, proofs_per_blob: int) -> None:
    if blobs != hashes:
        raise InvalidSidecar(f"invalid number of {blobs} blobs compared to {hashes} blob hashes")
    if commitments != hashes:
        raise InvalidSidecar(f"invalid number of {commitments} blob commitments compared to {hashes} blob hashes")
    if proofs != hashes * proofs_per_blob:
        raise InvalidSidecar(f"invalid number of {proofs} blob proofs expected {hashes * proofs_per_blob}")
