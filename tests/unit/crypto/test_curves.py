"""bn254 and BLS12-381: group laws, pairings, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto import bls12_381, bn254

G1: bn254.G1 = (1, 2)
NEGATIVE_G1: bn254.G1 = (1, bn254.PRIME - 2)
G2: bn254.G2 = (
    (
        10857046999023057135944570762232829481370756359578518086990519993285655852781,
        11559732032986387107991004021392285783925812861821192530917403151452391805634,
    ),
    (
        8495653923123431417604973247489272438418190587263600148770280649306958101930,
        4082367875863433681332203403145435568316851327593401208105741076214120093531,
    ),
)
INFINITY: bn254.G1 = (0, 0)
INFINITY_G2: bn254.G2 = ((0, 0), (0, 0))
SCALARS = st.integers(0, 2**256 - 1)


def affine_sum(a: bn254.G1, b: bn254.G1) -> bn254.G1:
    """The textbook's addition, as the oracle."""
    p = bn254.PRIME
    if INFINITY in (a, b):
        return b if a == INFINITY else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % p == 0:
            return INFINITY
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, p) % p
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, p) % p
    x = (slope * slope - a[0] - b[0]) % p
    return x, (slope * (a[0] - x) - a[1]) % p


@settings(max_examples=50, deadline=None)
@given(SCALARS, SCALARS)
def test_bn254_adds_as_the_textbook(a: int, b: int) -> None:
    first, second = bn254.multiply(G1, a), bn254.multiply(G1, b)
    assert bn254.add(first, second) == affine_sum(first, second)
    assert bn254.add(first, first) == affine_sum(first, first)
    assert bn254.add(first, second) == bn254.multiply(G1, a + b)


def test_bn254_multiples() -> None:
    point: bn254.G1 = INFINITY
    for scalar in range(80):  # among them coordinates with leading zero bytes
        assert bn254.multiply(G1, scalar) == point
        point = affine_sum(point, G1)
    assert bn254.multiply(G1, bn254.ORDER) == INFINITY
    assert bn254.multiply(G1, bn254.ORDER - 1) == NEGATIVE_G1
    assert bn254.add(G1, NEGATIVE_G1) == INFINITY
    assert bn254.multiply(INFINITY, 5) == INFINITY


@settings(max_examples=10, deadline=None)
@given(st.integers(1, bn254.ORDER - 1))
def test_bn254_pairing_is_bilinear(scalar: int) -> None:
    # e(sG, H) e(-G, H)^s = 1, the second factor as e(-sG, H)
    minus = bn254.multiply(NEGATIVE_G1, scalar)
    assert bn254.pairing_is_one([(bn254.multiply(G1, scalar), G2), (minus, G2)])
    assert not bn254.pairing_is_one([(bn254.multiply(G1, scalar), G2)])


def test_bn254_pairings_with_infinity() -> None:
    assert bn254.pairing_is_one([])
    assert bn254.pairing_is_one([(INFINITY, G2), (G1, INFINITY_G2)])
    assert bn254.pairing_is_one([(G1, G2), (INFINITY, G2), (NEGATIVE_G1, G2)])


@pytest.mark.parametrize("point", [(1, 3), (0, 1), (bn254.PRIME + 1, 2), (1, bn254.PRIME + 2), (-1, 2)])
def test_bn254_refuses_what_is_no_point(point: bn254.G1) -> None:
    for attempt in (
        lambda: bn254.add(point, G1),
        lambda: bn254.add(G1, point),
        lambda: bn254.multiply(point, 0),
        lambda: bn254.pairing_is_one([(point, INFINITY_G2)]),
    ):
        with pytest.raises(bn254.CurveError):
            attempt()


def twist_point_outside_the_subgroup() -> bn254.G2:
    """Some point of the twist; almost none is in the subgroup of order ORDER."""
    p = bn254.PRIME

    def product(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return (a[0] * b[0] - a[1] * b[1]) % p, (a[0] * b[1] + a[1] * b[0]) % p

    inverse82 = pow(82, -1, p)
    twist_b = (27 * inverse82 % p, -3 * inverse82 % p)  # 3 / (9 + i)
    for real in range(1, 50):
        x = (real, 0)
        cube = product(product(x, x), x)
        right = ((cube[0] + twist_b[0]) % p, (cube[1] + twist_b[1]) % p)
        # a square root in the quadratic extension, p = 3 mod 4
        norm = pow((right[0] * right[0] + right[1] * right[1]) % p, (p + 1) // 4, p)
        for sign in (norm, -norm):
            half = (right[0] + sign) * pow(2, -1, p) % p
            y0 = pow(half, (p + 1) // 4, p)
            if y0:
                y = (y0, right[1] * pow(2 * y0, -1, p) % p)
                if product(y, y) == right:
                    return x, y
    raise AssertionError("no point found")


def test_bn254_checks_the_subgroup() -> None:
    bn254.check_g2(G2)
    outside = twist_point_outside_the_subgroup()
    with pytest.raises(bn254.CurveError, match="subgroup"):
        bn254.pairing_is_one([(INFINITY, outside)])


@pytest.mark.parametrize(
    "point",
    [
        (G2[1], G2[0]),
        ((G2[0][1], G2[0][0]), G2[1]),
        ((G2[0][0] + bn254.PRIME, G2[0][1]), G2[1]),
        ((1, 0), (0, 0)),
    ],
)
def test_bn254_refuses_what_is_off_the_twist(point: bn254.G2) -> None:
    with pytest.raises(bn254.CurveError, match=r"twist|prime"):
        bn254.check_g2(point)


# --- BLS12-381 ---

BLS_G1 = bytes.fromhex(
    "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
)
BLS_G2 = bytes.fromhex(
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    "13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
    "0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be"
)
"""x.c0 x.c1 y.c0 y.c1, as EIP-2537 orders them."""


def bls_negative(point: bytes) -> bytes:
    size = bls12_381.FP_SIZE
    half = len(point) // 2
    ys = [int.from_bytes(point[start : start + size], "big") for start in range(half, len(point), size)]
    return point[:half] + b"".join(((bls12_381.PRIME - y) % bls12_381.PRIME).to_bytes(size, "big") for y in ys)


@settings(max_examples=20, deadline=None)
@given(SCALARS, SCALARS)
def test_bls_sums_and_products(a: int, b: int) -> None:
    for generator, add, combine in (
        (BLS_G1, bls12_381.g1_add, bls12_381.g1_combination),
        (BLS_G2, bls12_381.g2_add, bls12_381.g2_combination),
    ):
        first, second = combine([(generator, a)]), combine([(generator, b)])
        assert add(first, second) == combine([(generator, a), (generator, b)]) == combine([(generator, a + b)])
        assert add(first, bls_negative(first)) == bytes(len(generator))


def test_bls_infinity() -> None:
    assert bls12_381.g1_add(BLS_G1, bytes(96)) == BLS_G1
    assert bls12_381.g2_add(bytes(192), BLS_G2) == BLS_G2
    assert bls12_381.g1_combination([(BLS_G1, bls12_381.ORDER)]) == bytes(96)
    assert bls12_381.pairing_is_one([(bytes(96), BLS_G2)])


@settings(max_examples=5, deadline=None)
@given(st.integers(1, bls12_381.ORDER - 1))
def test_bls_pairing_is_bilinear(scalar: int) -> None:
    left = bls12_381.g1_combination([(bls_negative(BLS_G1), scalar)])
    right = bls12_381.g2_combination([(BLS_G2, scalar)])
    assert bls12_381.pairing_is_one([(BLS_G1, right), (left, BLS_G2)])
    assert not bls12_381.pairing_is_one([(BLS_G1, right)])


def curve_point_outside_the_subgroup() -> bytes:
    p = bls12_381.PRIME
    for x in range(1, 50):
        right = (x**3 + 4) % p
        y = pow(right, (p + 1) // 4, p)
        if y * y % p == right:
            return x.to_bytes(48, "big") + y.to_bytes(48, "big")
    raise AssertionError("no point found")


def test_bls_subgroup_is_asked_by_all_but_the_additions() -> None:
    outside = curve_point_outside_the_subgroup()
    assert bls12_381.g1_add(outside, bytes(96)) == outside
    with pytest.raises(bls12_381.CurveError):
        bls12_381.g1_combination([(outside, 1)])
    with pytest.raises(bls12_381.CurveError):
        bls12_381.pairing_is_one([(outside, BLS_G2)])


def test_bls_refuses_what_is_no_point() -> None:
    too_big = (int.from_bytes(BLS_G1[:48], "big") + bls12_381.PRIME).to_bytes(48, "big") + BLS_G1[48:]
    for bad in (too_big, BLS_G1[:48] + bytes(48), BLS_G1[:95] + b"\x00"):
        with pytest.raises(bls12_381.CurveError):
            bls12_381.g1_add(bad, BLS_G1)
    with pytest.raises(bls12_381.CurveError):
        bls12_381.g2_add(BLS_G2[:191] + b"\x00", BLS_G2)


def test_bls_maps_land_in_the_subgroup() -> None:
    for number in (0, 1, bls12_381.PRIME - 1):
        element = number.to_bytes(48, "big")
        assert bls12_381.g1_combination([(bls12_381.map_to_g1(element), bls12_381.ORDER)]) == bytes(96)
        assert bls12_381.g2_combination([(bls12_381.map_to_g2(element + element), bls12_381.ORDER)]) == bytes(192)
    with pytest.raises(bls12_381.CurveError):
        bls12_381.map_to_g1(bls12_381.PRIME.to_bytes(48, "big"))
