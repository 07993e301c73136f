"""Whether the blobs beside a transaction are those that its commitments stand for (EIP-4844, EIP-7594).

    version 0   one proof a blob: its polynomial has the right value at a point that blob and commitment determine
    version 1   128 proofs a blob, one a cell: the polynomial agrees with the blob on 64 of 8192 points each

A blob is 4096 values of a polynomial of degree below 4096 at the 4096th roots of unity, in bit-reversed order. Only the
64 first powers of the trusted setup are needed to check, so no setup file is read: loading it into a library takes two
seconds in which nothing else of the process runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

from node.crypto.bls12_381 import ORDER, CurveError, curve, read_compressed_g1
from node.crypto.kzg import FIELD_ELEMENTS_PER_BLOB, evaluation_holds
from node.crypto.kzg_setup import G1_POWERS, G2_TAU_64

CELLS_PER_BLOB: Final = 128
"""Of the extended blob, twice as long as the blob itself."""
FIELD_ELEMENTS_PER_CELL: Final = 64
BLOB_BYTES: Final = 32 * FIELD_ELEMENTS_PER_BLOB
_CHALLENGE_DOMAIN: Final = b"FSBLOBVERIFY_V1_"
_GENERATOR: Final = 7
"""Of the multiplicative group of the scalar field."""


class InvalidBlob(ValueError):
    """A blob's bytes are not field elements."""


def root_of_unity(order: int) -> int:
    """A primitive root of unity of this order (a power of two up to 2^32) in the scalar field."""
    return pow(_GENERATOR, (ORDER - 1) // order, ORDER)


def bit_reversed(index: int, bits: int) -> int:
    """``index`` with its ``bits`` low bits in the other order."""
    return int(format(index, f"0{bits}b")[::-1], 2)


@cache
def _order_of_values() -> tuple[int, ...]:
    return tuple(bit_reversed(index, 12) for index in range(FIELD_ELEMENTS_PER_BLOB))


@cache
def _twiddles() -> tuple[tuple[int, ...], ...]:
    """For each stage of the inverse transform, the powers of its inverse root of unity."""
    stages = []
    half = 1
    while half < FIELD_ELEMENTS_PER_BLOB:
        inverse = pow(root_of_unity(2 * half), -1, ORDER)
        powers = [1]
        for _ in range(half - 1):
            powers.append(powers[-1] * inverse % ORDER)
        stages.append(tuple(powers))
        half *= 2
    return tuple(stages)


def coefficients(blob: bytes) -> list[int]:
    """The blob's polynomial, lowest power first. Raises InvalidBlob."""
    if len(blob) != BLOB_BYTES:
        raise InvalidBlob(f"{len(blob)} bytes, not {BLOB_BYTES}")
    values = [int.from_bytes(blob[start : start + 32], "big") for start in range(0, BLOB_BYTES, 32)]
    if max(values) >= ORDER:
        raise InvalidBlob("a field element is not below the modulus")
    # the values stand in bit-reversed order already, which is where a transform in place begins
    half = 1
    for powers in _twiddles():
        for start in range(0, FIELD_ELEMENTS_PER_BLOB, 2 * half):
            for offset, twiddle in enumerate(powers):
                low = start + offset
                high = low + half
                odd = values[high] * twiddle % ORDER
                even = values[low]
                values[low] = even + odd
                values[high] = even - odd
        half *= 2
    scale = pow(FIELD_ELEMENTS_PER_BLOB, -1, ORDER)
    return [value * scale % ORDER for value in values]


def challenge(blob: bytes, commitment: bytes) -> int:
    """The point at which a version 0 proof opens the polynomial."""
    data = _CHALLENGE_DOMAIN + FIELD_ELEMENTS_PER_BLOB.to_bytes(16, "big") + blob + commitment
    return int.from_bytes(sha256(data).digest(), "big") % ORDER


def evaluate(polynomial: Sequence[int], point: int) -> int:
    """The polynomial's value."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * point + coefficient) % ORDER
    return value


def blob_proof_holds(blob: bytes, commitment: bytes, proof: bytes) -> bool:
    """A version 0 proof (EIP-4844); False for anything malformed."""
    try:
        polynomial = coefficients(blob)
    except InvalidBlob:
        return False
    point = challenge(blob, commitment)
    return evaluation_holds(commitment, point, evaluate(polynomial, point), proof)


def cell_proofs_hold(blob: bytes, commitment: bytes, proofs: Sequence[bytes]) -> bool:
    """All 128 version 1 proofs of a blob (EIP-7594); False for anything malformed.

    Cell k holds where x^64 = a_k, a 128th root of unity. Its proof Q_k says C - I_k = Q_k (tau^64 - a_k), with I_k
    what the polynomial leaves over when divided by x^64 - a_k. All are checked at once, each times its own power of a
    number that nobody could choose:

        e(sum r^k Q_k, [tau^64]) = e(sum r^k C - [sum r^k I_k] + sum r^k a_k Q_k, [1])
    """
    if len(proofs) != CELLS_PER_BLOB:
        return False
    try:
        polynomial = coefficients(blob)
        committed = read_compressed_g1(commitment)
        quotients = [read_compressed_g1(proof) for proof in proofs]
    except (InvalidBlob, CurveError):
        return False
    digest = sha256(b"evmesh/cell-proofs" + sha256(blob).digest() + commitment + b"".join(proofs)).digest()
    factor = int.from_bytes(digest, "big") % ORDER
    root = root_of_unity(CELLS_PER_BLOB)
    shifts = [pow(root, bit_reversed(cell, 7), ORDER) for cell in range(CELLS_PER_BLOB)]
    weights = [1]
    for _ in range(CELLS_PER_BLOB - 1):
        weights.append(weights[-1] * factor % ORDER)
    remainder = _weighted_remainder(polynomial, shifts, weights)
    return _pairing_holds(committed, quotients, shifts, weights, remainder)


def sidecar_holds(version: int, blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
    """Whether every blob is what its commitment stands for. ``proofs``: one a blob in version 0, else 128 a blob."""
    per_blob = CELLS_PER_BLOB if version else 1
    if len(commitments) != len(blobs) or len(proofs) != per_blob * len(blobs):
        return False
    for index, (blob, commitment) in enumerate(zip(blobs, commitments, strict=True)):
        own = proofs[index * per_blob : (index + 1) * per_blob]
        holds = cell_proofs_hold(blob, commitment, own) if version else blob_proof_holds(blob, commitment, own[0])
        if not holds:
            return False
    return True


def _weighted_remainder(polynomial: Sequence[int], shifts: Sequence[int], weights: Sequence[int]) -> list[int]:
    """The 64 coefficients of sum r^k I_k: modulo x^64 - a, the power 64 m + j counts as a^m for j."""
    remainder = [0] * FIELD_ELEMENTS_PER_CELL
    powers = list(weights)
    for start in range(0, FIELD_ELEMENTS_PER_BLOB, FIELD_ELEMENTS_PER_CELL):
        total = sum(powers) % ORDER
        for index in range(FIELD_ELEMENTS_PER_CELL):
            remainder[index] += polynomial[start + index] * total
        powers = [power * shift % ORDER for power, shift in zip(powers, shifts, strict=True)]
    return [value % ORDER for value in remainder]


@cache
def _setup() -> tuple[list[Any], Any, Any]:
    """Points of the setup in the library's form: 64 of G1, [1] and [tau^64] of G2."""
    arkworks = curve()
    powers = [
        arkworks.G1Point.from_compressed_bytes_unchecked(G1_POWERS[start : start + 48])
        for start in range(0, 48 * FIELD_ELEMENTS_PER_CELL, 48)
    ]
    return powers, arkworks.G2Point(), arkworks.G2Point.from_compressed_bytes(G2_TAU_64)


def _pairing_holds(
    committed: Any, quotients: list[Any], shifts: Sequence[int], weights: Sequence[int], remainder: Sequence[int]
) -> bool:
    arkworks = curve()
    powers, one, tau_64 = _setup()
    shifted = [weight * shift % ORDER for weight, shift in zip(weights, shifts, strict=True)]
    left = arkworks.G1Point.multiexp_unchecked(quotients, _scalars(weights))
    right = arkworks.G1Point.multiexp_unchecked(
        [committed, *powers, *quotients],
        _scalars([sum(weights) % ORDER, *((-value) % ORDER for value in remainder), *shifted]),
    )
    return bool(arkworks.GT.pairing_check([left, -right], [tau_64, one]))


def _scalars(values: Sequence[int]) -> list[Any]:
    arkworks = curve()
    return [arkworks.Scalar.from_be_bytes(value.to_bytes(32, "big")) for value in values]
