"""Amounts and durations as people write them."""

import pytest

from network.amounts import format_ether, parse_amount, parse_seconds
from network.failures import BadInput


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("1eth", 10**18),
        ("0.5 ether", 5 * 10**17),
        ("20gwei", 20 * 10**9),
        ("7", 7),
        ("1_000 wei", 1000),
        ("0.000000000000000001eth", 1),
        ("123456789012345678901234567890.5eth", 123456789012345678901234567890 * 10**18 + 5 * 10**17),
    ],
)
def test_amounts(text, wei):
    assert parse_amount(text) == wei


@pytest.mark.parametrize(
    "text", ["", "eth", "-1eth", "1.5", "1btc", "0.0000000000000000001eth", "1e18", "9" * 200, "0x10", "٣eth"]
)
def test_amounts_that_are_none(text):
    with pytest.raises(BadInput):
        parse_amount(text)


def test_ether_shown():
    assert format_ether(10**22) == "10000.000000000000000000"
    assert format_ether(10**22, 4) == "10000"
    assert format_ether(15 * 10**17, 4) == "1.5"
    assert format_ether(-(10**18), 2) == "-1"


@pytest.mark.parametrize(("text", "ms"), [("1", 1000), ("0.5", 500), ("2s", 2000), ("250ms", 250)])
def test_durations(text, ms):
    assert parse_seconds(text) == ms


@pytest.mark.parametrize("text", ["", "-1", "x", "1h"])
def test_durations_that_are_none(text):
    with pytest.raises(BadInput):
        parse_seconds(text)
