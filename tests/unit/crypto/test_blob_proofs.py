"""Blobs against their proofs: constants by hand, random ones against ckzg."""

from __future__ import annotations

import random
from typing import Any

import pytest

from network.load.constant_blobs import commitment, constant_sidecar
from node.crypto.blob_proofs import (
    BLOB_BYTES,
    CELLS_PER_BLOB,
    InvalidBlob,
    blob_proof_holds,
    cell_proofs_hold,
    coefficients,
    evaluate,
    root_of_unity,
    sidecar_holds,
)
from node.crypto.bls12_381 import INFINITY_COMPRESSED, ORDER
from tests.unit.crypto.test_kzg import setup_path


def random_blob(seed: int) -> bytes:
    chance = random.Random(seed)
    return b"".join(chance.randrange(ORDER).to_bytes(32, "big") for _ in range(BLOB_BYTES // 32))


def test_coefficients_are_those_of_the_polynomial_through_the_values() -> None:
    blob = random_blob(1)
    polynomial = coefficients(blob)
    root = root_of_unity(4096)
    for index, reversed_index in ((0, 0), (1, 2048), (2, 1024), (4095, 4095), (5, 2560)):
        value = int.from_bytes(blob[32 * index : 32 * index + 32], "big")
        assert evaluate(polynomial, pow(root, reversed_index, ORDER)) == value


@pytest.mark.parametrize("blob", [b"", bytes(BLOB_BYTES - 32), ORDER.to_bytes(32, "big") * 4096])
def test_what_is_no_blob(blob: bytes) -> None:
    with pytest.raises(InvalidBlob):
        coefficients(blob)
    assert not blob_proof_holds(blob, INFINITY_COMPRESSED, INFINITY_COMPRESSED)
    assert not cell_proofs_hold(blob, INFINITY_COMPRESSED, [INFINITY_COMPRESSED] * CELLS_PER_BLOB)


@pytest.mark.parametrize("version", [0, 1])
def test_constants(version: int) -> None:
    good = constant_sidecar(0, 7, ORDER - 1, version=version)
    assert sidecar_holds(version, good.blobs, good.commitments, good.proofs)
    assert not sidecar_holds(version, good.blobs, (commitment(1), *good.commitments[1:]), good.proofs)
    assert not sidecar_holds(version, good.blobs[:2], good.commitments, good.proofs)
    assert not sidecar_holds(version, good.blobs, good.commitments, good.proofs[:-1])
    assert not sidecar_holds(version, good.blobs, good.commitments, (*good.proofs[:-1], commitment(1)))
    assert not sidecar_holds(version, good.blobs, good.commitments, (*good.proofs[:-1], b"\xff" * 48))
    changed = good.blobs[0][:-1] + b"\x01"
    assert not sidecar_holds(version, (changed, *good.blobs[1:]), good.commitments, good.proofs)


@pytest.fixture(scope="module")
def ckzg_setup() -> tuple[Any, Any]:
    ckzg = pytest.importorskip("ckzg")
    return ckzg, ckzg.load_trusted_setup(str(setup_path()), 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_blobs_as_ckzg_proves_them(seed: int, ckzg_setup: tuple[Any, Any]) -> None:
    ckzg, setup = ckzg_setup
    blob = random_blob(seed)
    committed = ckzg.blob_to_kzg_commitment(blob, setup)
    proof = ckzg.compute_blob_kzg_proof(blob, committed, setup)
    assert blob_proof_holds(blob, committed, proof)
    assert not blob_proof_holds(random_blob(seed + 10), committed, proof)
    _, proofs = ckzg.compute_cells_and_kzg_proofs(blob, setup)
    assert cell_proofs_hold(blob, committed, proofs)
    assert not cell_proofs_hold(random_blob(seed + 10), committed, proofs)
    for first, second in ((0, 1), (126, 127)):
        swapped = list(proofs)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        assert not cell_proofs_hold(blob, committed, swapped)
