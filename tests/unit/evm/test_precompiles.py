"""The precompiled contracts: published examples, prices, and what fails."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.hashes import keccak256, ripemd160
from node.crypto.secp256k1 import address_of_private_key, sign
from node.evm.precompiles import curves, modexp
from node.evm.spec import Precompile
from node.forks import osaka, prague
from node.primitives.scalars import Address


def precompile(number: int) -> Precompile:
    return osaka.SPEC.precompiles[Address(number.to_bytes(20, "big"))]


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


class TestEcrecover:
    """0x01."""

    KEY = (0xC0FFEE).to_bytes(32, "big")
    DIGEST = keccak256(b"a message")

    def call(self, v: int, r: int, s: int) -> bytes | None:
        return precompile(1).run(self.DIGEST + word(v) + word(r) + word(s))

    def test_recovers(self) -> None:
        parity, r, s = sign(self.DIGEST, self.KEY)
        expected = address_of_private_key(self.KEY).rjust(32, b"\x00")
        assert self.call(27 + parity, r, s) == expected
        assert precompile(1).run(self.DIGEST + word(27 + parity) + word(r) + word(s) + b"more") == expected
        assert precompile(1).gas(b"") == 3000

    def test_answers_nothing(self) -> None:
        parity, r, s = sign(self.DIGEST, self.KEY)
        for v in (0, 1, 26, 29, 2**255 + 27 + parity, 27 << 8):
            assert self.call(v, r, s) == b""
        assert self.call(27, 0, s) == b""
        assert self.call(27, 5, s) == b""  # no point of the curve has x = 5
        assert precompile(1).run(b"") == b""


def test_published_ecrecover() -> None:
    data = bytes.fromhex(
        "18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c"
        "000000000000000000000000000000000000000000000000000000000000001c"
        "73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f"
        "eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549"
    )
    expected = "000000000000000000000000a94f5374fce5edbc8e2a8697c15331677e6ebf0b"
    assert (precompile(1).run(data) or b"").hex() == expected


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200))
def test_hashes(data: bytes) -> None:
    words = -(-len(data) // 32)
    assert precompile(2).run(data) == hashlib.sha256(data).digest()
    assert precompile(2).gas(data) == 60 + 12 * words
    assert precompile(3).run(data) == bytes(12) + ripemd160(data)
    assert precompile(3).gas(data) == 600 + 120 * words
    assert precompile(4).run(data) == data
    assert precompile(4).gas(data) == 15 + 3 * words


def modexp_input(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    return word(len(base)) + word(len(exponent)) + word(len(modulus)) + base + exponent + modulus


class TestModexp:
    """0x05."""

    def test_fermat(self) -> None:
        """EIP-198's first example: 3 ** (p - 1) % p = 1 for secp256k1's p."""
        p = 2**256 - 2**32 - 977
        assert modexp.modexp(modexp_input(b"\x03", word(p - 1), word(p))) == word(1)
        assert modexp.modexp(word(0) + word(32) + word(32) + word(p - 1) + word(p)) == word(0)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=70), st.binary(max_size=40), st.binary(max_size=70), st.integers(0, 20))
    def test_as_pow(self, base: bytes, exponent: bytes, modulus: bytes, cut: int) -> None:
        data = modexp_input(base, exponent, modulus)
        size = len(data)
        data = data[: max(96, size - cut)]
        full = data.ljust(size, b"\x00")
        b_end = 96 + len(base)
        e_end = b_end + len(exponent)
        m = int.from_bytes(full[e_end:], "big")
        expected = pow(int.from_bytes(full[96:b_end], "big"), int.from_bytes(full[b_end:e_end], "big"), m) if m else 0
        assert modexp.modexp(data) == expected.to_bytes(len(modulus), "big")
        assert modexp.modexp_bounded(data) == modexp.modexp(data)

    @pytest.mark.parametrize(
        ("sizes", "exponent", "gas_2565", "gas_7883"),
        [
            ((0, 0, 0), b"", 200, 500),
            ((1, 32, 32), word(2**256 - 2**32 - 978), 1360, 16 * 255),
            ((64, 1, 64), b"\x02", 200, 500),  # nagydani-1-square
            ((64, 3, 64), b"\x01\x00\x01", 341, 2 * 64 * 16),  # nagydani-1-pow0x10001
            ((128, 3, 128), b"\x01\x00\x01", 1365, 2 * 256 * 16),
            ((1024, 1, 1024), b"\x03", 5461, 2 * 128**2),
            ((32, 33, 32), word(0) + b"\x01", 200, 500),  # 8 more bits, or 16
            ((32, 64, 32), word(1) + word(0), 16 * 8 * 32 // 3, 16 * 16 * 32),
        ],
    )
    def test_prices(self, sizes: tuple[int, int, int], exponent: bytes, gas_2565: int, gas_7883: int) -> None:
        data = b"".join(word(size) for size in sizes) + bytes(sizes[0]) + exponent
        assert modexp.gas_2565(data) == gas_2565
        assert modexp.gas_7883(data) == gas_7883

    def test_huge_headers_are_priced_and_never_read(self) -> None:
        huge = 2**256 - 1
        for sizes in ((huge, 1, 1), (1, huge, 1), (1, 1, huge), (huge, huge, huge), (0, huge, 0)):
            header = b"".join(word(size) for size in sizes)
            assert modexp.gas_7883(header) > 2**200
            assert modexp.modexp_bounded(header) is None
        # EIP-2565 prices an exponent alone at the minimum: the answer has no bytes then
        header = word(0) + word(huge) + word(0)
        assert modexp.gas_2565(header) == 200
        assert modexp.modexp(header) == b""

    @pytest.mark.parametrize("sizes", [(1025, 0, 0), (0, 1025, 0), (0, 0, 1025)])
    def test_size_limit(self, sizes: tuple[int, int, int]) -> None:
        header = b"".join(word(size) for size in sizes)
        assert precompile(5).run(header) is None
        assert precompile(5).run(b"".join(word(min(size, 1024)) for size in sizes)) is not None
        assert prague.SPEC.precompiles[Address((5).to_bytes(20, "big"))].run(header) is not None


class TestBn254:
    """0x06, 0x07, 0x08; the arithmetic itself is tested with the curve."""

    def test_published_sum(self) -> None:
        # ethereum/tests "chfast1"
        data = bytes.fromhex(
            "18b18acfb4c2c30276db5411368e7185b311dd124691610c5d3b74034e093dc9"
            "063c909c4720840cb5134cb9f59fa749755796819658d32efc0d288198f37266"
            "07c2b7f58a84bd6145f00c9c2bc0bb1a187f20ff2c92963a88019e7c6a014eed"
            "06614e20c147e940f2d70da3f74c9a17df361706a4485c742bd6788478fa17d7"
        )
        expected = (
            "2243525c5efd4b9c3d3c45ac0ca3fe4dd85e830a4ce6b65fa1eeaee202839703"
            "301d1d33be6da8e509df21cc35964723180eed7532537db9ae5e7d48f195c915"
        )
        assert (precompile(6).run(data) or b"").hex() == expected

    def test_published_product(self) -> None:
        # ethereum/tests "chfast1" for the scalar product
        data = bytes.fromhex(
            "2bd3e6d0f3b142924f5ca7b49ce5b9d54c4703d7ae5648e61d02268b1a0a9fb7"
            "21611ce0a6af85915e2f1d70300909ce2e49dfad4a4619c8390cae66cefdb204"
            "00000000000000000000000000000000000000000000000011138ce750fa15c2"
        )
        expected = (
            "070a8d6a982153cae4be29d434e8faef8a47b274a053f5a4ee2a6c9c13c31e5c"
            "031b8ce914eba3a9ffb989f9cdd5b0f01943074bf4f0f315690ec3cec6981afc"
        )
        assert (precompile(7).run(data) or b"").hex() == expected

    def test_input_is_filled_and_cut(self) -> None:
        assert precompile(6).run(b"") == bytes(64)
        assert precompile(6).run(word(1) + word(2)) == word(1) + word(2)
        assert precompile(6).run(word(1) + word(2) + bytes(64) + b"\xff" * 9) == word(1) + word(2)
        assert precompile(7).run(word(1) + word(2) + b"\x80") is not None
        assert precompile(7).run(word(1) + word(2)) == bytes(64)

    def test_failures(self) -> None:
        assert precompile(6).run(word(1) + word(1)) is None
        assert precompile(7).run(word(1) + word(1)) is None
        assert precompile(8).run(bytes(191)) is None
        assert precompile(8).run(word(1) + word(1) + bytes(128)) is None

    def test_pairing(self) -> None:
        g2 = bytes.fromhex(
            "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"
            "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"
            "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"
            "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"
        )
        minus = 21888242871839275222246405745257275088696311157297823662689037894645226208581
        one = word(1) + word(2) + g2
        assert precompile(8).run(b"") == word(1)
        assert precompile(8).run(one) == word(0)
        assert precompile(8).run(one + word(1) + word(minus) + g2) == word(1)

    def test_prices(self) -> None:
        assert precompile(6).gas(b"") == 150
        assert precompile(7).gas(b"") == 6000
        assert precompile(8).gas(bytes(2 * 192)) == 45_000 + 2 * 34_000


class TestBlake2f:
    """0x09, EIP-152's examples."""

    STATE = (
        "48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
        "d182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f79217e1319cde05b"
    )
    BLOCK = "616263" + "00" * 125
    OFFSET = "0300000000000000" + "0000000000000000"

    def call(self, rounds: str, final: str) -> str | None:
        answer = precompile(9).run(bytes.fromhex(rounds + self.STATE + self.BLOCK + self.OFFSET + final))
        return None if answer is None else answer.hex()

    @pytest.mark.parametrize(
        ("rounds", "final", "answer"),
        [
            (
                "00000000",
                "01",
                "08c9bcf367e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
                "d282e6ad7f520e511f6c3e2b8c68059b9442be0454267ce079217e1319cde05b",
            ),
            (
                "0000000c",
                "01",
                "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
            ),
            (
                "0000000c",
                "00",
                "75ab69d3190a562c51aef8d88f1c2775876944407270c42c9844252c26d28752"
                "98743e7f6d5ea2f2d3e8d226039cd31b4e426ac4f2d3d666a610c2116fde4735",
            ),
            (
                "00000001",
                "01",
                "b63a380cb2897d521994a85234ee2c181b5f844d2c624c002677e9703449d2fb"
                "a551b3a8333bcdf5f2f7e08993d53923de3d64fcc68c034e717b9293fed7a421",
            ),
        ],
    )
    def test_examples(self, rounds: str, final: str, answer: str) -> None:
        assert self.call(rounds, final) == answer

    def test_failures(self) -> None:
        assert self.call("0000000c", "02") is None
        assert precompile(9).run(bytes(212)) is None
        assert precompile(9).run(bytes(214)) is None

    def test_price_is_the_rounds(self) -> None:
        assert precompile(9).gas(b"\xff\xff\xff\xff" + bytes(209)) == 2**32 - 1
        assert precompile(9).gas(b"\xff" * 212) == 0


class TestPointEvaluation:
    """0x0a."""

    INFINITY = b"\xc0" + bytes(47)
    HASH = bytes.fromhex("010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014")

    def test_answer(self) -> None:
        data = self.HASH + word(5) + word(0) + self.INFINITY + self.INFINITY
        assert (precompile(10).run(data) or b"").hex() == (
            "0000000000000000000000000000000000000000000000000000000000001000"
            "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"
        )
        assert precompile(10).gas(data) == 50_000

    def test_failures(self) -> None:
        good = self.HASH + word(5) + word(0) + self.INFINITY + self.INFINITY
        assert precompile(10).run(good[:191]) is None
        assert precompile(10).run(good + b"\x00") is None
        assert precompile(10).run(b"\x02" + good[1:]) is None
        assert precompile(10).run(self.HASH + word(5) + word(1) + self.INFINITY + self.INFINITY) is None


class TestBls:
    """0x0b .. 0x11: framing and prices; the arithmetic is tested with the curve."""

    G1 = bytes.fromhex(
        "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0f"
        "c3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        "0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4"
        "fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
    )
    DOUBLED = (
        "000000000000000000000000000000000572cbea904d67468808c8eb50a9450c"
        "9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e"
        "00000000000000000000000000000000166a9d8cabc673a322fda673779d8e38"
        "22ba3ecb8670e461f73bb9021d5fd76a4c56d9d4cd16bd1bba86881979749d28"
    )

    def test_g1_add_and_msm(self) -> None:
        assert (precompile(0x0B).run(self.G1 + self.G1) or b"").hex() == self.DOUBLED
        assert (precompile(0x0C).run(self.G1 + word(2)) or b"").hex() == self.DOUBLED
        assert (precompile(0x0C).run((self.G1 + word(1)) * 2) or b"").hex() == self.DOUBLED

    @pytest.mark.parametrize("number", range(0x0B, 0x12))
    def test_wrong_sizes(self, number: int) -> None:
        for size in (0, 1, 63, 129, 1000):
            assert precompile(number).run(bytes(size)) is None

    def test_padding_must_be_zero(self) -> None:
        dirty = b"\x01" + self.G1[1:]
        assert precompile(0x0B).run(dirty + self.G1) is None
        assert precompile(0x0C).run(dirty + word(1)) is None
        assert precompile(0x0F).run(dirty + bytes(256)) is None
        assert precompile(0x10).run(b"\x01" + bytes(63)) is None
        assert precompile(0x11).run(b"\x01" + bytes(127)) is None

    def test_infinity_pairs_to_one(self) -> None:
        assert precompile(0x0F).run(bytes(384)) == word(1)
        assert precompile(0x0F).run(self.G1 + bytes(256)) == word(1)

    @pytest.mark.parametrize(
        ("number", "size", "gas"),
        [
            (0x0B, 256, 375),
            (0x0C, 160, 12_000),
            (0x0C, 160 * 2, 2 * 12_000 * 949 // 1000),
            (0x0C, 160 * 128, 128 * 12_000 * 519 // 1000),
            (0x0C, 160 * 500, 500 * 12_000 * 519 // 1000),
            (0x0C, 0, 0),
            (0x0D, 512, 600),
            (0x0E, 288, 22_500),
            (0x0E, 288 * 3, 3 * 22_500 * 923 // 1000),
            (0x0E, 288 * 129, 129 * 22_500 * 524 // 1000),
            (0x0F, 384 * 2, 37_700 + 2 * 32_600),
            (0x10, 64, 5500),
            (0x11, 128, 23_800),
        ],
    )
    def test_prices(self, number: int, size: int, gas: int) -> None:
        assert precompile(number).gas(bytes(size)) == gas

    def test_discounts_never_rise(self) -> None:
        for discounts in (curves.G1_DISCOUNTS, curves.G2_DISCOUNTS):
            assert len(discounts) == 128
            assert list(discounts) == sorted(discounts, reverse=True)


class TestP256Verify:
    """0x100 (EIP-7951)."""

    GOOD = bytes.fromhex(
        "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf"
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    )

    def test_verifies(self) -> None:
        assert precompile(0x100).run(self.GOOD) == word(1)
        assert precompile(0x100).gas(self.GOOD) == 6900

    def test_answers_nothing(self) -> None:
        assert precompile(0x100).run(self.GOOD[:159]) == b""
        assert precompile(0x100).run(self.GOOD + b"\x00") == b""
        assert precompile(0x100).run(b"\x00" + self.GOOD[1:]) == b""


def test_only_what_a_fork_brought_is_there() -> None:
    numbers = sorted(int.from_bytes(address, "big") for address in osaka.SPEC.precompiles)
    assert numbers == [*range(1, 0x12), 0x100]
    assert Address((0x100).to_bytes(20, "big")) not in prague.SPEC.precompiles
