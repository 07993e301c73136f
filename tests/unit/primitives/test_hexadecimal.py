"""Hex of the JSON-RPC API: data keeps its bytes, quantities are minimal; refusals in geth's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.primitives.hexadecimal import HexError, from_data, from_quantity, to_data, to_quantity


@given(st.binary(max_size=100))
def test_data_round_trip(data: bytes) -> None:
    assert from_data(to_data(data)) == data
    assert from_data(to_data(data).upper().replace("0X", "0x"), len(data)) == data


@given(st.integers(0, 2**256 - 1))
def test_quantity_round_trip(value: int) -> None:
    text = to_quantity(value)
    assert from_quantity(text) == value
    assert text == "0x0" or not text.startswith("0x0")


def test_known_forms() -> None:
    assert to_data(b"") == "0x"
    assert to_data(b"\x00\xff") == "0x00ff"
    assert to_quantity(0) == "0x0"
    assert to_quantity(1024) == "0x400"
    assert from_data("0x") == b""
    assert from_data("0X00Ff") == b"\x00\xff"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected a hex string"),
        (17, "expected a hex string"),
        (b"0x00", "expected a hex string"),
        ("", "empty hex string"),
        ("00", "hex string without 0x prefix"),
        ("x00", "hex string without 0x prefix"),
        ("0x0", "hex string of odd length"),
        ("0x0g", "invalid hex string"),
        ("0x 00 ", "hex string of odd length|invalid hex string"),
        ("0x0 0 ", "invalid hex string"),
        ("0x\n\n", "invalid hex string"),
        ("0x_0", "invalid hex string"),
        ("0x+0", "invalid hex string"),
        ("0x٠٠", "invalid hex string"),
    ],
)
def test_bad_data(text: object, message: str) -> None:
    with pytest.raises(HexError, match=message):
        from_data(text)


def test_data_of_a_size() -> None:
    assert from_data("0x" + "ab" * 20, 20) == b"\xab" * 20
    for size in (19, 21):
        with pytest.raises(HexError, match=f"hex string has length 40, want {2 * size}"):
            from_data("0x" + "ab" * 20, size)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected a hex string"),
        (True, "expected a hex string"),
        (5, "expected a hex string"),
        ("", "empty hex string"),
        ("5", "hex string without 0x prefix"),
        ("-0x5", "hex string without 0x prefix"),
        ("0x", 'hex string "0x"'),
        ("0x05", "hex number with leading zero digits"),
        ("0x00", "hex number with leading zero digits"),
        ("0xg", "invalid hex string"),
        ("0x_1", "invalid hex string"),
        ("0x1_1", "invalid hex string"),
        ("0x-1", "invalid hex string"),
        ("0x ", "invalid hex string"),
        ("0x٣", "invalid hex string"),
        ("0x1" + "0" * 64, "hex number > 256 bits"),
        ("0x" + "f" * 1_000_000, "hex number > 256 bits"),
    ],
)
def test_bad_quantities(text: object, message: str) -> None:
    with pytest.raises(HexError, match=message):
        from_quantity(text)


def test_quantities_of_a_width() -> None:
    assert from_quantity("0xffffffffffffffff", 64) == 2**64 - 1
    with pytest.raises(HexError, match="hex number > 64 bits"):
        from_quantity("0x10000000000000000", 64)
