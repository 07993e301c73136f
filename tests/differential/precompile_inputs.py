"""Inputs that mean something to a precompile: right ones, and right ones with a mistake."""

from __future__ import annotations

import random
from hashlib import sha256

from network.vectors.networks import spec_named
from node.crypto import bls12_381, bn254, secp256k1
from node.primitives.scalars import Address

_BN_G2 = (
    11559732032986387107991004021392285783925812861821192530917403151452391805634,
    10857046999023057135944570762232829481370756359578518086990519993285655852781,
    4082367875863433681332203403145435568316851327593401208105741076214120093531,
    8495653923123431417604973247489272438418190587263600148770280649306958101930,
)
"""Imaginary part first, as EIP-197 orders it."""
_BLS_G1 = bytes.fromhex(
    "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
)
_BLS_G2 = bytes.fromhex(
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    "13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
    "0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be"
)
_P256 = bytes.fromhex(  # RFC 6979, A.2.5, SHA-256 of "sample"
    "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf"
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
_SLOW = (8, 0x0A, 0x0D, 0x0E, 0x0F, 0x10, 0x11)
"""What the reference takes long for."""


def numbers(fork: str) -> list[int]:
    """The precompiles' addresses under a fork."""
    spec = spec_named(fork)
    assert spec is not None, fork
    return sorted(int.from_bytes(address, "big") for address in spec.precompiles)


def precompile_input(chance: random.Random, fork: str) -> tuple[int, bytes, int]:
    """A precompile, an input for it, and what we think a call costs."""
    known = numbers(fork)
    quick = [number for number in known if number not in _SLOW]
    number = chance.choice(known if chance.random() < 0.12 else quick)
    data = _input(chance, number)
    if chance.random() < 0.15:
        data = _mistake(chance, data)
    spec = spec_named(fork)
    assert spec is not None, fork
    gas = spec.precompiles[Address(number.to_bytes(20, "big"))].gas(data)
    return number, data, min(gas, 2**64)


def _mistake(chance: random.Random, data: bytes) -> bytes:
    kind = chance.randrange(4)
    if kind == 0 or not data:
        return data + chance.randbytes(chance.choice((1, 32)))
    if kind == 1:
        return data[: chance.randrange(len(data))]
    place = chance.randrange(len(data))
    changed = bytes((data[place] ^ (1 << chance.randrange(8)),))
    return data[:place] + changed + data[place + 1 :]


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _input(chance: random.Random, number: int) -> bytes:
    if number == 1:
        digest = chance.randbytes(32)
        parity, r, s = secp256k1.sign(digest, _word(chance.randrange(1, 2**200)))
        if chance.random() < 0.3:
            parity, s = 1 - parity, secp256k1.ORDER - s
        v = chance.choice((27 + parity, 27 + parity, 27 + parity, 26, 29, parity))
        return digest + _word(v) + _word(r) + _word(s)
    if number == 5:
        return _modexp(chance)
    if number in (6, 7, 8):
        return _bn254(chance, number)
    if number == 9:
        rounds = chance.choice((0, 1, 12, 12, 13, 300))
        return rounds.to_bytes(4, "big") + chance.randbytes(208) + bytes((chance.choice((0, 1, 1, 2)),))
    if number == 0x0A:
        infinity = b"\xc0" + bytes(47)
        versioned = b"\x01" + sha256(infinity).digest()[1:]
        return versioned + _word(chance.choice((0, 5, 2**250))) + _word(0) + infinity + infinity
    if 0x0B <= number <= 0x11:
        return _bls(chance, number)
    if number == 0x100:
        return _P256
    return chance.randbytes(chance.choice((0, 1, 31, 32, 33, 55, 56, 63, 64, 100, 129)))


def _modexp(chance: random.Random) -> bytes:
    sizes = [chance.choice((0, 1, 1, 2, 8, 31, 32, 32, 33, 64, 97)) for _ in range(3)]
    told = [size if chance.random() < 0.97 else chance.choice((1024, 1025, 2**32, 2**64, 2**255)) for size in sizes]
    numbers_told = []
    for size in sizes:
        kind = chance.random()
        value = bytes(size) if kind < 0.1 else b"\x00" * (size // 2) + chance.randbytes(size - size // 2)
        numbers_told.append(b"\xff" * size if kind > 0.9 else value)
    return b"".join(_word(size) for size in told) + b"".join(numbers_told)


def _bn_point(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.15:
        return bytes(64)
    if kind < 0.22:
        return _word(chance.choice((1, bn254.PRIME, bn254.PRIME + 1))) + _word(chance.choice((1, 3, bn254.PRIME + 2)))
    x, y = bn254.multiply((1, 2), chance.randrange(1, 2**64))
    return _word(x) + _word(y if chance.random() < 0.7 else bn254.PRIME - y)


def _bn254(chance: random.Random, number: int) -> bytes:
    if number == 6:
        first = _bn_point(chance)
        return first + (first if chance.random() < 0.2 else _bn_point(chance))
    if number == 7:
        scalar = chance.choice((0, 1, 2, bn254.ORDER - 1, bn254.ORDER, 2**256 - 1, chance.getrandbits(256)))
        return _bn_point(chance) + _word(scalar)
    g2 = b"".join(_word(part) for part in _BN_G2)
    kind = chance.randrange(4)
    if kind == 0:
        return b""
    if kind == 1:
        return _word(1) + _word(2) + g2 + _word(1) + _word(bn254.PRIME - 2) + g2
    if kind == 2:
        return _bn_point(chance) + bytes(128)
    return _bn_point(chance) + g2


def _padded(point: bytes) -> bytes:
    """The field elements of a point as EIP-2537 has them: 64 bytes each."""
    return b"".join(bytes(16) + point[start : start + 48] for start in range(0, len(point), 48))


def _bls(chance: random.Random, number: int) -> bytes:
    def scalar() -> int:
        return chance.choice((0, 1, 2, bls12_381.ORDER - 1, bls12_381.ORDER, chance.getrandbits(256)))

    def g1() -> bytes:
        point = bls12_381.g1_combination([(_BLS_G1, chance.randrange(2**32))])
        return _padded(point)

    def g2() -> bytes:
        point = bls12_381.g2_combination([(_BLS_G2, chance.randrange(2**32))])
        return _padded(point)

    many = chance.choice((1, 1, 2))
    if number == 0x0B:
        return g1() + g1()
    if number == 0x0C:
        return b"".join(g1() + _word(scalar()) for _ in range(many))
    if number == 0x0D:
        return g2() + g2()
    if number == 0x0E:
        return b"".join(g2() + _word(scalar()) for _ in range(many))
    if number == 0x0F:
        return g1() + g2()
    size = 1 if number == 0x10 else 2
    return b"".join(_word(0)[:16] + chance.randrange(bls12_381.PRIME).to_bytes(48, "big") for _ in range(size))
