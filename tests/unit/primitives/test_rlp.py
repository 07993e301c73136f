"""RLP: known encodings, one encoding a value, nothing that is not canonical gets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.primitives import rlp

items = st.recursive(st.binary(max_size=80), lambda children: st.lists(children, max_size=5), max_leaves=30)


@given(items)
def test_round_trip(item: rlp.Item) -> None:
    encoded = rlp.encode(item)
    assert rlp.decode(encoded) == item
    assert rlp.decode_prefix(encoded + b"\x00") == (item, len(encoded))


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=8).map(lambda tail: b"\xf8" + tail)))
def test_what_decodes_encodes_back(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except rlp.RLPError:
        return
    assert rlp.encode(item) == data


@given(items, st.data())
def test_a_cut_or_a_longer_input_is_refused(item: rlp.Item, data: st.DataObject) -> None:
    encoded = rlp.encode(item)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(rlp.RLPError):
        rlp.decode(encoded[:cut])
    with pytest.raises(rlp.RLPError):
        rlp.decode(encoded + data.draw(st.binary(min_size=1, max_size=4)))


@given(st.integers(0, 2**256 - 1))
def test_numbers(value: int) -> None:
    encoded = rlp.encode_int(value)
    assert encoded == rlp.encode(rlp.int_to_bytes(value))
    assert rlp.as_int(rlp.decode(encoded), "number") == value


@pytest.mark.parametrize("value", [2**439 - 1, 2**440, 2**2040, 2**448 - 1, 2**448])
def test_numbers_around_the_long_form(value: int) -> None:
    assert rlp.encode_int(value) == rlp.encode(rlp.int_to_bytes(value))


@pytest.mark.parametrize(
    ("item", "encoded"),
    [  # Yellow Paper, appendix B, and the Ethereum wiki
        (b"", "80"),
        (b"\x00", "00"),
        (b"\x7f", "7f"),
        (b"\x80", "8180"),
        (b"\x04\x00", "820400"),
        (b"dog", "83646f67"),
        ([], "c0"),
        ([b"cat", b"dog"], "c88363617483646f67"),
        ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
        (b"x" * 55, "b7" + "78" * 55),
        (b"x" * 56, "b838" + "78" * 56),
        (b"x" * 1024, "b90400" + "78" * 1024),
        ([b""] * 55, "f7" + "80" * 55),
        ([b""] * 56, "f838" + "80" * 56),
    ],
)
def test_known_encodings(item: rlp.Encodable, encoded: str) -> None:
    assert rlp.encode(item).hex() == encoded
    assert rlp.decode(bytes.fromhex(encoded)) == item


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("", id="nothing"),
        pytest.param("8100", id="byte that must stand for itself"),
        pytest.param("817f", id="largest byte that must stand for itself"),
        pytest.param("c2817f", id="the same inside a list"),
        pytest.param("b80161", id="long form of 1 byte"),
        pytest.param("b837" + "61" * 55, id="long form of 55 bytes"),
        pytest.param("f837" + "80" * 55, id="long form of a list of 55 bytes"),
        pytest.param("b90038" + "61" * 56, id="length with a leading zero"),
        pytest.param("f90038" + "80" * 56, id="list length with a leading zero"),
        pytest.param("b8", id="ends before its length"),
        pytest.param("b9ff", id="ends inside its length"),
        pytest.param("83646f", id="ends inside the string"),
        pytest.param("bfffffffffffffffff", id="string of 2**64 - 1 bytes"),
        pytest.param("ffffffffffffffffff", id="list of 2**64 - 1 bytes"),
        pytest.param("c1", id="list that ends before its item"),
        pytest.param("c281ff80", id="bytes behind a list"),
        pytest.param("c283646f67", id="item that leaves its list"),
        pytest.param("8080", id="two strings"),
        pytest.param("c0c0", id="two lists"),
    ],
)
def test_malformed(encoded: str) -> None:
    with pytest.raises(rlp.RLPError):
        rlp.decode(bytes.fromhex(encoded))


def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        data = rlp.EMPTY_LIST
        for _ in range(depth - 1):
            data = rlp.encode_list([data])
        return data

    rlp.decode(nested(rlp.DEPTH_MAX))
    with pytest.raises(rlp.RLPError, match="nested deeper"):
        rlp.decode(nested(rlp.DEPTH_MAX + 1))
    with pytest.raises(rlp.RLPError, match="nested deeper"):
        rlp.decode(nested(20_000))


def test_text_is_not_bytes() -> None:
    with pytest.raises(TypeError):
        rlp.encode("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        rlp.encode([b"", "text"])  # type: ignore[list-item]
    assert rlp.encode(bytearray(b"dog")) == rlp.encode(b"dog")


def test_typed_readers_name_the_field() -> None:
    assert rlp.as_bytes(b"ab", "field", 2) == b"ab"
    assert rlp.as_list([b"a"], "field", 1) == [b"a"]
    assert rlp.as_int(b"", "field") == 0
    assert rlp.as_int(b"\xff" * 8, "field", 64) == 2**64 - 1
    for read in (
        lambda: rlp.as_bytes([], "field"),
        lambda: rlp.as_bytes(b"a", "field", 2),
        lambda: rlp.as_int([], "field"),
        lambda: rlp.as_int(b"\x00", "field"),
        lambda: rlp.as_int(b"\x00\x01", "field"),
        lambda: rlp.as_int(b"\x01" + b"\x00" * 8, "field", 64),
        lambda: rlp.as_list(b"", "field"),
        lambda: rlp.as_list([b"a"], "field", 2),
    ):
        with pytest.raises(rlp.RLPError, match=r"^field: "):
            read()
    with pytest.raises(rlp.RLPError, match="expected a list"):
        rlp.decode_list(b"\x80")
    assert rlp.decode_list(b"\xc1\x80") == [b""]
