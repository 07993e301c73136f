"""BLS12-381 point arithmetic for EIP-2537, bytes to bytes, through arkworks (py_arkworks_bls12381).

G1 points are 96 bytes (x, y), G2 points 192 (x.c0, x.c1, y.c0, y.c1), all big-endian; zeros are infinity.
Additions check the curve only, everything else the subgroup too, as the EIP asks. Loaded at the first use.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

PRIME: Final = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""Field of the coordinates."""
ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Points in each subgroup; modulus of the scalar field."""

FP_SIZE: Final = 48
G1_SIZE: Final = 96
G2_SIZE: Final = 192
INFINITY_COMPRESSED: Final = b"\xc0" + bytes(47)


class CurveError(ValueError):
    """Coordinates out of range, or no point of the curve or of its subgroup."""


@cache
def curve() -> Any:
    """The library, loaded at the first use."""
    import py_arkworks_bls12381  # only where a contract or a blob really needs the curve

    return py_arkworks_bls12381


def check_field(data: bytes) -> None:
    """Raises CurveError unless every 48-byte coordinate in ``data`` is below the prime."""
    for start in range(0, len(data), FP_SIZE):
        if int.from_bytes(data[start : start + FP_SIZE], "big") >= PRIME:
            raise CurveError("coordinate not below the field's prime")


def _g1(data: bytes, subgroup: bool) -> Any:
    check_field(data)
    point_type = curve().G1Point
    try:
        return point_type.from_xy_bytes_be(data) if subgroup else point_type.from_xy_bytes_unchecked_be(data)
    except ValueError as error:
        raise CurveError(str(error)) from error


def _g2(data: bytes, subgroup: bool) -> Any:
    check_field(data)
    point_type = curve().G2Point
    try:
        return point_type.from_xy_bytes_be(data) if subgroup else point_type.from_xy_bytes_unchecked_be(data)
    except ValueError as error:
        raise CurveError(str(error)) from error


def g1_add(a: bytes, b: bytes) -> bytes:
    """The sum of two points of the curve."""
    return bytes((_g1(a, subgroup=False) + _g1(b, subgroup=False)).to_xy_bytes_be())


def g2_add(a: bytes, b: bytes) -> bytes:
    """The sum of two points of the twist."""
    return bytes((_g2(a, subgroup=False) + _g2(b, subgroup=False)).to_xy_bytes_be())


def g1_combination(terms: list[tuple[bytes, int]]) -> bytes:
    """The sum of scalar times point (multi-scalar multiplication)."""
    points = [_g1(point, subgroup=True) for point, _ in terms]
    return bytes(curve().G1Point.multiexp_unchecked(points, _scalars(terms)).to_xy_bytes_be())


def g2_combination(terms: list[tuple[bytes, int]]) -> bytes:
    """The sum of scalar times point (multi-scalar multiplication)."""
    points = [_g2(point, subgroup=True) for point, _ in terms]
    return bytes(curve().G2Point.multiexp_unchecked(points, _scalars(terms)).to_xy_bytes_be())


def _scalars(terms: list[tuple[bytes, int]]) -> list[Any]:
    make = curve().Scalar.from_be_bytes_mod_order
    return [make((scalar % ORDER).to_bytes(32, "big")) for _, scalar in terms]


def pairing_is_one(pairs: list[tuple[bytes, bytes]]) -> bool:
    """Whether the product of the pairings of (G1, G2) is 1."""
    g1s = [_g1(g1, subgroup=True) for g1, _ in pairs]
    g2s = [_g2(g2, subgroup=True) for _, g2 in pairs]
    return bool(curve().GT.pairing_check(g1s, g2s))


def map_to_g1(element: bytes) -> bytes:
    """A field element (48 bytes) to a point of the subgroup (RFC 9380, SSWU)."""
    check_field(element)
    return bytes(curve().G1Point.map_from_fp_be(element).to_xy_bytes_be())


def map_to_g2(element: bytes) -> bytes:
    """An element of the quadratic extension (c0, c1; 96 bytes) to a point of the subgroup (RFC 9380, SSWU)."""
    check_field(element)
    return bytes(curve().G2Point.map_from_fp2_be(element).to_xy_bytes_be())


def check_compressed(point: bytes) -> None:
    """Raises CurveError unless 48 bytes have the one form that a compressed G1 point may have.

    The first three bits say compressed, infinity, sign. Arkworks reads anything with the second bit as infinity,
    but there every other bit must be 0 (the BLS signature draft's KeyValidate, which EIP-4844 asks for).
    """
    if len(point) != FP_SIZE or not point[0] & 0x80:
        raise CurveError("not a compressed point")
    if point[0] & 0x40:
        if point != INFINITY_COMPRESSED:
            raise CurveError("infinity with other bits set")
    elif int.from_bytes(bytes((point[0] & 0x1F,)) + point[1:], "big") >= PRIME:
        raise CurveError("coordinate not below the field's prime")


def read_compressed_g1(point: bytes) -> Any:
    """The point of 48 bytes, in arkworks' form. Raises CurveError for bytes that are no point of the subgroup."""
    check_compressed(point)
    try:
        return curve().G1Point.from_compressed_bytes(point)
    except ValueError as error:
        raise CurveError(str(error)) from error


def proof_holds(commitment: bytes, z: int, y: int, proof: bytes, tau_g2: bytes) -> bool:
    """The polynomial behind the KZG ``commitment`` has value ``y`` at ``z``: e(C - [y], [1]) = e(proof, [tau - z]).

    Points are compressed: 48 bytes of G1, 96 of G2. Raises CurveError for bytes that are no point of the subgroup.
    """
    arkworks = curve()
    committed, quotient = read_compressed_g1(commitment), read_compressed_g1(proof)
    g1, g2 = arkworks.G1Point(), arkworks.G2Point()
    tau = arkworks.G2Point.from_compressed_bytes(tau_g2)
    # e(C - y G1 + z Q, G2) = e(Q, tau G2): both scalar products in the cheaper group
    make = arkworks.Scalar.from_be_bytes_mod_order
    left = committed - g1 * make(y.to_bytes(32, "big")) + quotient * make(z.to_bytes(32, "big"))
    return bool(arkworks.GT.pairing_check([left, -quotient], [g2, tau]))
