"""The ABI codec against eth-abi, and its refusals."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network import abi
from network.accounts import checksum_address

eth_abi = pytest.importorskip("eth_abi")

SCALARS = {
    "uint256": st.integers(0, 2**256 - 1),
    "uint8": st.integers(0, 255),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "int24": st.integers(-(2**23), 2**23 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(checksum_address),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes": st.binary(max_size=70),
    "string": st.text(st.characters(codec="utf-8"), max_size=40),
}


def typed_values(depth=2):
    leaf = st.sampled_from(sorted(SCALARS)).flatmap(lambda kind: st.tuples(st.just(kind), SCALARS[kind]))
    if depth == 0:
        return leaf
    inner = typed_values(depth - 1)

    def listed(pair):
        kind, value = pair
        return st.one_of(
            st.integers(0, 3).map(lambda n: (f"{kind}[]", [value] * n)),
            st.integers(1, 3).map(lambda n: (f"{kind}[{n}]", [value] * n)),
        )

    def tupled(pairs):
        return (f"({','.join(kind for kind, _ in pairs)})", tuple(value for _, value in pairs))

    return st.one_of(leaf, inner.flatmap(listed), st.lists(inner, min_size=1, max_size=3).map(tupled))


def plain(value):
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.lower() if isinstance(value, str) and value.startswith("0x") and len(value) == 42 else value


@settings(max_examples=150, deadline=None)
@given(st.lists(typed_values(), max_size=4))
def test_encodes_and_decodes_as_eth_abi(pairs):
    types = [kind for kind, _ in pairs]
    values = [value for _, value in pairs]
    ours = abi.encode(types, values)
    assert ours == eth_abi.encode(types, values)
    assert plain(abi.decode(types, ours)) == plain(list(eth_abi.decode(types, ours)))


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from(["string", "uint256[]", "(bytes,string[])", "uint8[][]", "uint256[0][]"])
)
def test_hostile_data_is_refused_or_decoded_never_a_crash(data, kind):
    with contextlib.suppress(abi.AbiError):
        abi.decode([kind], data)


@pytest.mark.parametrize("kind", ["uint256[]", "uint256[0][]", "string[]", "(uint8,bool)[]"])
@pytest.mark.parametrize("length", [10**6 + 1, 2**64, 2**255])
def test_a_hostile_length_is_refused_before_anything_is_allocated(kind, length):
    data = (32).to_bytes(32, "big") + length.to_bytes(32, "big") + bytes(64)
    with pytest.raises(abi.AbiError, match="does not fit"):
        abi.decode([kind], data)


@pytest.mark.parametrize("text", ["uint7", "uint264", "bytes33", "bytes0", "foo", "uint256[x]", "(uint256", "function"])
def test_unknown_types_are_refused(text):
    with pytest.raises(abi.AbiError):
        abi.parse_type(text)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("int8", 128),
        ("uint256", True),
        ("bool", 1),
        ("bytes4", b"123"),
        ("address", "0x12"),
        ("string", 5),
        ("uint256[2]", [1]),
        ("(uint256,bool)", (1,)),
    ],
)
def test_values_that_do_not_fit_are_refused(kind, value):
    with pytest.raises(abi.BadInput):
        abi.encode([kind], [value])


def test_values_from_text():
    assert abi.parse_value("uint256", "1_000") == 1000
    assert abi.parse_value("int8", "-0x10") == -16
    assert abi.parse_value("bool", "True") is True
    assert abi.parse_value("uint256[]", "[1, 2,3]") == [1, 2, 3]
    assert abi.parse_value("(uint8,string)[]", "[(1,a [b] c),(2,d)]") == [[1, "a [b] c"], [2, "d"]]
    with pytest.raises(abi.AbiError):
        abi.parse_value("uint256", "one")
    with pytest.raises(abi.AbiError):
        abi.parse_value("uint256[]", "1,2")


def test_selector():
    assert abi.selector("transfer(address,uint256)").hex() == "a9059cbb"
