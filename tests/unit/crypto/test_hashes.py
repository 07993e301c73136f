"""keccak256, RIPEMD-160, BLAKE2b's F: known answers and agreement between implementations."""

import hashlib

from Crypto.Hash import keccak as pycryptodome_keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.blake2f import compress
from node.crypto.hashes import (
    EMPTY_KECCAK,
    EMPTY_LIST_KECCAK,
    EMPTY_TRIE_ROOT,
    keccak256,
    ripemd160,
    ripemd160_by_pycryptodome,
)
from tests.unit.crypto import plain_blake2f

BLAKE2B_512_PARAMETERS = 0x01010040
IV0 = 0x6A09E667F3BCC908


def test_known_keccak() -> None:
    assert EMPTY_KECCAK.hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert EMPTY_LIST_KECCAK.hex() == "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
    assert EMPTY_TRIE_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert keccak256(b"transfer(address,uint256)")[:4].hex() == "a9059cbb"


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_keccak_backends_agree(data: bytes) -> None:
    assert keccak256(data) == pycryptodome_keccak.new(digest_bits=256, data=data).digest()


def test_known_ripemd160() -> None:
    assert ripemd160(b"").hex() == "9c1185a5c5e9fc54612808977ee8f548b2258d31"
    assert ripemd160(b"abc").hex() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_ripemd160_fallback_agrees(data: bytes) -> None:
    assert ripemd160(data) == ripemd160_by_pycryptodome(data)


@settings(deadline=None)
@given(st.binary(max_size=500))
def test_f_builds_blake2b(data: bytes) -> None:
    """Chaining F by hand over a message gives hashlib's BLAKE2b-512 of it."""
    iv = [
        IV0,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ]
    iv[0] ^= BLAKE2B_512_PARAMETERS
    state = b"".join(word.to_bytes(8, "little") for word in iv)
    blocks = [data[start : start + 128] for start in range(0, len(data), 128)] or [b""]
    done = 0
    for index, block in enumerate(blocks):
        done += len(block)
        final = index == len(blocks) - 1
        state = compress(12, state, block.ljust(128, b"\x00"), done.to_bytes(16, "little"), final)
    assert state == hashlib.blake2b(data).digest()


@given(
    st.integers(0, 40),
    st.binary(min_size=64, max_size=64),
    st.binary(min_size=128, max_size=128),
    st.binary(min_size=16, max_size=16),
    st.booleans(),
)
def test_f_is_f_for_any_number_of_rounds(rounds: int, state: bytes, block: bytes, offset: bytes, final: bool) -> None:
    assert compress(rounds, state, block, offset, final) == plain_blake2f.compress(rounds, state, block, offset, final)
