"""The network form of blob transactions."""

from __future__ import annotations

from typing import Any

import pytest

from node.crypto.blob_proofs import CELLS_PER_BLOB
from node.crypto.kzg import versioned_hash
from node.primitives import rlp
from node.types.blobs import InvalidSidecar, decode_wrapped, encode_wrapped
from node.types.transactions import Transaction, decode

COMMITMENT = b"\xc0" + bytes(47)


def blob_transaction(hashes: int = 1) -> Transaction:
    return Transaction(
        type=3,
        nonce=0,
        gas_limit=21_000,
        to=b"\x01" * 20,  # type: ignore[arg-type]
        value=0,
        data=b"",
        max_fee_per_gas=1,
        max_priority_fee_per_gas=1,
        chain_id=1,
        max_fee_per_blob_gas=1,
        blob_versioned_hashes=(versioned_hash(COMMITMENT),) * hashes,
    ).signed_by(b"\x11" * 32)


def wrapped(tx: Transaction, version: int | None = 1, **parts: Any) -> bytes:
    count = len(tx.blob_versioned_hashes)
    proofs = count * (CELLS_PER_BLOB if version else 1)
    sidecar = {
        "blobs": [bytes(131_072)] * count,
        "commitments": [COMMITMENT] * count,
        "proofs": [COMMITMENT] * proofs,
        **parts,
    }
    head = [] if version is None else [bytes((version,))]
    return b"\x03" + rlp.encode([rlp.decode(tx.encode()[1:]), *head, *sidecar.values()])


@pytest.mark.parametrize("version", [None, 1])
def test_the_transaction_comes_out_unchanged(version: int | None) -> None:
    tx = blob_transaction(2)
    raw = wrapped(tx, version)
    inner, sidecar = decode_wrapped(raw)
    assert inner == tx.encode()
    assert decode(inner).hash == tx.hash
    assert sidecar.version == (version or 0)
    assert encode_wrapped(inner, sidecar) == raw


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (blob_transaction().encode(), "missing sidecar"),
        (wrapped(blob_transaction(), 2), "unexpected sidecar version"),
        (wrapped(blob_transaction(), blobs=[]), "invalid number of 0 blobs"),
        (wrapped(blob_transaction(), commitments=[]), "blob commitments"),
        (wrapped(blob_transaction(), proofs=[]), "blob proofs"),
        (wrapped(blob_transaction(), blobs=[b"short"]), "blob: expected 131072 bytes"),
        (wrapped(blob_transaction(), commitments=[b"\xc1" + bytes(47)]), "mismatches"),
        (b"\x03" + bytes(10_000_000), "oversized"),
        (b"\x03", "rlp"),
        (b"\x03\xc0", "missing sidecar"),
        (b"\x03\xc2\xc0\xc0", "rlp"),
    ],
)
def test_what_does_not_fit_is_named(raw: bytes, words: str) -> None:
    with pytest.raises(InvalidSidecar, match=words):
        decode_wrapped(raw)
