"""The pairing-friendly curve alt_bn128 (bn254): addition, multiplication, pairing check (EIP-196, EIP-197).

The work is done by the mcl library inside the mclbn256 wheel, spoken to through ctypes: the wheel's own Python
classes are for another curve, and nothing of them is used. Loaded at the first use (mcl_library.py). Every
coordinate and curve equation is checked here.
"""

from __future__ import annotations

from ctypes import Array, byref, c_size_t, c_uint64, create_string_buffer
from typing import Any, Final, TypeAlias

PRIME: Final = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Field of the coordinates."""
ORDER: Final = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Points in each group."""

G1: TypeAlias = tuple[int, int]
"""Affine (x, y); (0, 0) is infinity."""
Fp2: TypeAlias = tuple[int, int]
"""(real, imaginary)."""
G2: TypeAlias = tuple[Fp2, Fp2]
"""Affine (x, y) on the twist; all zero is infinity."""

_TWIST_B: Final[Fp2] = (
    19485874751759354771024239261021720505790618469301721065564631296452457478373,
    266929791119991161246907387137283842545076965332900288569378510910307636690,
)
"""3 / (9 + i): the twist is y^2 = x^3 + this."""

_UNITS: Final = 4
"""64-bit words in a field element."""
_FP: Final = 8 * _UNITS
_G1: Final = 3 * _FP
_G2: Final = 6 * _FP
_GT: Final = 12 * _FP


class CurveError(ValueError):
    """Coordinates out of range, or no point of the curve or of its subgroup."""


def check_g1(point: G1) -> None:
    """Raises CurveError unless ``point`` is on the curve y^2 = x^3 + 3. (All of them are in the group.)"""
    x, y = point
    if not (0 <= x < PRIME and 0 <= y < PRIME):
        raise CurveError("coordinate not below the field's prime")
    if point != (0, 0) and (y * y - x * x * x - 3) % PRIME:
        raise CurveError("not on the curve")


def check_g2(point: G2) -> None:
    """Raises CurveError unless ``point`` is on the twist and in the subgroup of order ``ORDER``."""
    (x0, x1), (y0, y1) = point
    if not all(0 <= coordinate < PRIME for coordinate in (x0, x1, y0, y1)):
        raise CurveError("coordinate not below the field's prime")
    if point == ((0, 0), (0, 0)):
        return
    # y^2 - x^3 - b over the quadratic extension with i^2 = -1
    square0, square1 = x0 * x0 - x1 * x1, 2 * x0 * x1
    cube0, cube1 = square0 * x0 - square1 * x1, square0 * x1 + square1 * x0
    if (y0 * y0 - y1 * y1 - cube0 - _TWIST_B[0]) % PRIME or (2 * y0 * y1 - cube1 - _TWIST_B[1]) % PRIME:
        raise CurveError("not on the twist")
    library = _library()
    if not library.mclBnG2_isValidOrder(_g2_buffer(library, [point])):
        raise CurveError("not in the subgroup")


def add(a: G1, b: G1) -> G1:
    """The sum of two points. Raises CurveError."""
    check_g1(a)
    check_g1(b)
    if a == (0, 0):
        return b
    if b == (0, 0):
        return a
    library = _library()
    result = create_string_buffer(_G1)
    library.mclBnG1_add(result, _g1_buffer(library, [a]), _g1_buffer(library, [b]))
    return _read_g1(library, result)


def multiply(point: G1, scalar: int) -> G1:
    """``scalar`` (any non-negative number) times ``point``. Raises CurveError."""
    check_g1(point)
    scalar %= ORDER
    if point == (0, 0) or scalar == 0:
        return (0, 0)
    library = _library()
    factor = create_string_buffer(_FP)
    library.mclBnFr_setLittleEndianMod(factor, scalar.to_bytes(32, "little"), c_size_t(32))
    result = create_string_buffer(_G1)
    library.mclBnG1_mul(result, _g1_buffer(library, [point]), factor)
    return _read_g1(library, result)


def pairing_is_one(pairs: list[tuple[G1, G2]]) -> bool:
    """Whether the product of the pairings is 1; so for no pairs. Raises CurveError."""
    for g1, g2 in pairs:
        check_g1(g1)
        check_g2(g2)
    # a pair with infinity contributes 1
    real = [pair for pair in pairs if pair[0] != (0, 0) and pair[1] != ((0, 0), (0, 0))]
    if not real:
        return True
    library = _library()
    product = create_string_buffer(_GT)
    g1s = _g1_buffer(library, [g1 for g1, _ in real])
    g2s = _g2_buffer(library, [g2 for _, g2 in real])
    library.mclBn_millerLoopVec(product, g1s, g2s, c_size_t(len(real)))
    library.mclBn_finalExp(product, product)
    return bool(library.mclBnGT_isOne(product))


def _library() -> Any:
    from node.crypto.mcl_library import LIBRARY  # loads 20 MB: only where a contract really uses the curve

    return LIBRARY


def _g1_buffer(library: Any, points: list[G1]) -> Array[Any]:
    """Points without infinity as mcl's (x, y, 1) triples in its inner form."""
    return _fill(library, [value for x, y in points for value in (x, y, 1)])


def _g2_buffer(library: Any, points: list[G2]) -> Array[Any]:
    return _fill(library, [value for x, y in points for value in (*x, *y, 1, 0)])


def _fill(library: Any, values: list[int]) -> Array[Any]:
    buffer = (c_uint64 * (_UNITS * len(values)))()
    for index, value in enumerate(values):
        element = byref(buffer, index * _FP)
        library.mclBnFp_setLittleEndianMod(element, value.to_bytes(32, "little"), c_size_t(32))
    return buffer


def _read_g1(library: Any, point: Array[Any]) -> G1:
    if library.mclBnG1_isZero(point):
        return (0, 0)
    library.mclBnG1_normalize(point, point)
    return _read_number(library, point), _read_number(library, byref(point, _FP))


def _read_number(library: Any, element: Any) -> int:
    out = create_string_buffer(_FP)
    # mcl writes no more bytes than the number needs, and says how many
    size = library.mclBnFp_getLittleEndian(out, c_size_t(_FP), element)
    return int.from_bytes(out.raw[:size], "little")
