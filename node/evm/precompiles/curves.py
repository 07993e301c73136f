"""alt_bn128 (EIP-196, EIP-197, EIP-1108), BLS12-381 (EIP-2537), KZG point evaluation (EIP-4844)."""

from __future__ import annotations

from typing import Final

from node.crypto import bls12_381, bn254, kzg

_TRUE: Final = (1).to_bytes(32, "big")
_FALSE: Final = bytes(32)

# --- alt_bn128 ---

BN254_PAIR_SIZE: Final = 192


def _number(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 32], "big")


def _bn254_g1(data: bytes, start: int) -> bn254.G1:
    return _number(data, start), _number(data, start + 32)


def _bn254_word_pair(point: bn254.G1) -> bytes:
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def bn254_add_gas(data: bytes) -> int:
    """150 (EIP-1108)."""
    return 150


def bn254_add_gas_196(data: bytes) -> int:
    """500 (EIP-196)."""
    return 500


def bn254_add(data: bytes) -> bytes | None:
    """x1 y1 x2 y2 -> x y; missing input is 0, more is ignored."""
    data = data[:128].ljust(128, b"\x00")
    try:
        return _bn254_word_pair(bn254.add(_bn254_g1(data, 0), _bn254_g1(data, 64)))
    except bn254.CurveError:
        return None


def bn254_mul_gas(data: bytes) -> int:
    """6,000 (EIP-1108)."""
    return 6000


def bn254_mul_gas_196(data: bytes) -> int:
    """40,000 (EIP-196)."""
    return 40_000


def bn254_mul(data: bytes) -> bytes | None:
    """x y scalar -> x y; missing input is 0, more is ignored."""
    data = data[:96].ljust(96, b"\x00")
    try:
        return _bn254_word_pair(bn254.multiply(_bn254_g1(data, 0), _number(data, 64)))
    except bn254.CurveError:
        return None


def bn254_pairing_gas(data: bytes) -> int:
    """45,000 and 34,000 a pair (EIP-1108)."""
    return 45_000 + 34_000 * (len(data) // BN254_PAIR_SIZE)


def bn254_pairing_gas_197(data: bytes) -> int:
    """100,000 and 80,000 a pair (EIP-197)."""
    return 100_000 + 80_000 * (len(data) // BN254_PAIR_SIZE)


def bn254_pairing(data: bytes) -> bytes | None:
    """Pairs of x y of G1 and x.imaginary x.real y.imaginary y.real of G2 -> 1 where the product is 1, else 0."""
    if len(data) % BN254_PAIR_SIZE:
        return None
    pairs: list[tuple[bn254.G1, bn254.G2]] = []
    for start in range(0, len(data), BN254_PAIR_SIZE):
        x = (_number(data, start + 96), _number(data, start + 64))
        y = (_number(data, start + 160), _number(data, start + 128))
        pairs.append((_bn254_g1(data, start), (x, y)))
    try:
        return _TRUE if bn254.pairing_is_one(pairs) else _FALSE
    except bn254.CurveError:
        return None


# --- KZG ---


def kzg_point_evaluation_gas(data: bytes) -> int:
    """50,000."""
    return 50_000


def kzg_point_evaluation(data: bytes) -> bytes | None:
    """versioned_hash(32) z(32) y(32) commitment(48) proof(48) -> elements per blob and the modulus as words."""
    if len(data) != 192:
        return None
    commitment, proof = data[96:144], data[144:]
    if kzg.versioned_hash(commitment) != data[:32]:
        return None
    if not kzg.evaluation_holds(commitment, _number(data, 32), _number(data, 64), proof):
        return None
    return kzg.FIELD_ELEMENTS_PER_BLOB.to_bytes(32, "big") + kzg.BLS_MODULUS.to_bytes(32, "big")


# --- BLS12-381: a field element is 64 bytes, the first 16 of them 0 ---

ELEMENT: Final = 64
PADDING: Final = bytes(16)
G1: Final = 2 * ELEMENT
G2: Final = 4 * ELEMENT
SCALAR: Final = 32

G1_MUL_GAS: Final = 12_000
G2_MUL_GAS: Final = 22_500
# fmt: off
G1_DISCOUNTS: Final = (
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669, 665, 661, 658, 654, 651,
    648, 645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619, 617, 615, 613, 611, 609, 608, 606, 604, 603, 601,
    599, 598, 596, 595, 593, 592, 591, 589, 588, 586, 585, 584, 582, 581, 580, 579, 577, 576, 575, 574, 573, 572, 570,
    569, 568, 567, 566, 565, 564, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547,
    547, 546, 545, 544, 543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531, 530, 529, 528,
    528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519,
)
"""Thousandths of the price a point, by number of points; the last one for all greater numbers."""
G2_DISCOUNTS: Final = (
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717, 711, 704, 699, 693, 688, 683, 679,
    674, 670, 666, 663, 659, 655, 652, 649, 646, 643, 640, 637, 634, 632, 629, 627, 624, 622, 620, 618, 615, 613, 611,
    609, 607, 606, 604, 602, 600, 598, 597, 595, 593, 592, 590, 589, 587, 586, 584, 583, 582, 580, 579, 578, 576, 575,
    574, 573, 571, 570, 569, 568, 567, 566, 565, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551,
    550, 549, 548, 547, 546, 545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535, 534, 533, 532,
    532, 531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524,
)
# fmt: on


def _unpad(data: bytes) -> bytes:
    """Field elements without their padding. Raises CurveError where it is not 0."""
    elements = [data[start : start + ELEMENT] for start in range(0, len(data), ELEMENT)]
    if not all(element.startswith(PADDING) for element in elements):
        raise bls12_381.CurveError("padding of a field element is not zero")
    return b"".join(element[16:] for element in elements)


def _pad(data: bytes) -> bytes:
    size = bls12_381.FP_SIZE
    return b"".join(PADDING + data[start : start + size] for start in range(0, len(data), size))


def g1_add_gas(data: bytes) -> int:
    """375."""
    return 375


def g1_add(data: bytes) -> bytes | None:
    """Two points -> their sum. No subgroup check."""
    if len(data) != 2 * G1:
        return None
    try:
        return _pad(bls12_381.g1_add(_unpad(data[:G1]), _unpad(data[G1:])))
    except bls12_381.CurveError:
        return None


def g2_add_gas(data: bytes) -> int:
    """600."""
    return 600


def g2_add(data: bytes) -> bytes | None:
    """Two points -> their sum. No subgroup check."""
    if len(data) != 2 * G2:
        return None
    try:
        return _pad(bls12_381.g2_add(_unpad(data[:G2]), _unpad(data[G2:])))
    except bls12_381.CurveError:
        return None


def _combination_gas(count: int, price: int, discounts: tuple[int, ...]) -> int:
    return count * price * discounts[min(count, len(discounts)) - 1] // 1000 if count else 0


def _terms(data: bytes, point_size: int) -> list[tuple[bytes, int]]:
    size = point_size + SCALAR
    return [
        (_unpad(data[start : start + point_size]), int.from_bytes(data[start + point_size : start + size], "big"))
        for start in range(0, len(data), size)
    ]


def g1_msm_gas(data: bytes) -> int:
    """12,000 a point, less the discount."""
    return _combination_gas(len(data) // (G1 + SCALAR), G1_MUL_GAS, G1_DISCOUNTS)


def g1_msm(data: bytes) -> bytes | None:
    """Pairs of point and scalar -> the sum of their products."""
    if not data or len(data) % (G1 + SCALAR):
        return None
    try:
        return _pad(bls12_381.g1_combination(_terms(data, G1)))
    except bls12_381.CurveError:
        return None


def g2_msm_gas(data: bytes) -> int:
    """22,500 a point, less the discount."""
    return _combination_gas(len(data) // (G2 + SCALAR), G2_MUL_GAS, G2_DISCOUNTS)


def g2_msm(data: bytes) -> bytes | None:
    """Pairs of point and scalar -> the sum of their products."""
    if not data or len(data) % (G2 + SCALAR):
        return None
    try:
        return _pad(bls12_381.g2_combination(_terms(data, G2)))
    except bls12_381.CurveError:
        return None


def bls_pairing_gas(data: bytes) -> int:
    """37,700 and 32,600 a pair."""
    return 37_700 + 32_600 * (len(data) // (G1 + G2))


def bls_pairing(data: bytes) -> bytes | None:
    """Pairs of G1 and G2 points -> 1 where the product of their pairings is 1, else 0."""
    if not data or len(data) % (G1 + G2):
        return None
    try:
        pairs = [
            (_unpad(data[start : start + G1]), _unpad(data[start + G1 : start + G1 + G2]))
            for start in range(0, len(data), G1 + G2)
        ]
        return _TRUE if bls12_381.pairing_is_one(pairs) else _FALSE
    except bls12_381.CurveError:
        return None


def map_fp_to_g1_gas(data: bytes) -> int:
    """5,500."""
    return 5500


def map_fp_to_g1(data: bytes) -> bytes | None:
    """A field element -> a point."""
    if len(data) != ELEMENT:
        return None
    try:
        return _pad(bls12_381.map_to_g1(_unpad(data)))
    except bls12_381.CurveError:
        return None


def map_fp2_to_g2_gas(data: bytes) -> int:
    """23,800."""
    return 23_800


def map_fp2_to_g2(data: bytes) -> bytes | None:
    """An element of the quadratic extension -> a point."""
    if len(data) != 2 * ELEMENT:
        return None
    try:
        return _pad(bls12_381.map_to_g2(_unpad(data)))
    except bls12_381.CurveError:
        return None
