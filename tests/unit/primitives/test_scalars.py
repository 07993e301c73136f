"""Word arithmetic at its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.primitives.scalars import U256_MAX, U256_MOD, ceil32, to_signed, to_unsigned, word_to_address

words = st.one_of(st.integers(0, U256_MAX), st.sampled_from([0, 1, 2**255 - 1, 2**255, U256_MAX]))


@given(words)
def test_two_s_complement(word: int) -> None:
    value = to_signed(word)
    assert -(2**255) <= value < 2**255
    assert (value - word) % U256_MOD == 0
    assert to_unsigned(value) == word


@given(st.integers(0, 2**64))
def test_ceil32(length: int) -> None:
    rounded = ceil32(length)
    assert rounded % 32 == 0
    assert 0 <= rounded - length < 32


@given(words)
def test_an_address_is_the_low_160_bits(word: int) -> None:
    assert word_to_address(word) == word.to_bytes(32, "big")[12:]
