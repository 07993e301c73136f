"""Amounts as people write them: ``1eth``, ``0.5 ether``, ``20gwei``, ``7`` (wei)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from network.failures import BadInput
from node.primitives.scalars import ETHER, GWEI, U256_MAX

_UNITS: Final = {"": 1, "wei": 1, "gwei": GWEI, "eth": ETHER, "ether": ETHER}
_AMOUNT: Final = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*([a-z]*)")
_AMOUNT_LENGTH_MAX: Final = 120


def parse_amount(text: str) -> int:
    """Wei. A bare number is wei; a fraction needs a unit that it fits. Raises BadInput."""
    found = _AMOUNT.fullmatch(text.strip().lower()) if len(text) <= _AMOUNT_LENGTH_MAX else None
    if found is None or found[2] not in _UNITS:
        raise BadInput(f"{text!r} is not an amount", "write it like 1eth, 0.5eth, 20gwei or 7 (wei)")
    # exact: Decimal's default precision of 28 digits would round large amounts
    whole, _, fraction = found[1].replace("_", "").partition(".")
    numerator: int = int(whole + fraction) * _UNITS[found[2]]
    scale: int = 10 ** len(fraction)
    wei, rest = divmod(numerator, scale)
    if rest:
        raise BadInput(f"{text!r} is not a whole number of wei", "use fewer decimals or a larger unit")
    if wei > U256_MAX:
        raise BadInput(f"{text!r} is more than 2^256 - 1 wei")
    return wei


def format_ether(wei: int, decimals: int | None = None) -> str:
    """Ether as a decimal number: all 18 places, or at most ``decimals`` without trailing zeros."""
    whole, part = divmod(abs(wei), ETHER)
    sign = "-" if wei < 0 else ""
    text = f"{part:018}"
    if decimals is None:
        return f"{sign}{whole}.{text}"
    text = text[:decimals].rstrip("0")
    return f"{sign}{whole}.{text}" if text else f"{sign}{whole}"


def parse_seconds(text: str) -> int:
    """Milliseconds from ``1``, ``0.5``, ``2s`` or ``250ms``. Raises BadInput."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|s)?", text.strip().lower())
    if found is None:
        raise BadInput(f"{text!r} is not a duration", "write seconds, like 1 or 0.5, or 250ms")
    milliseconds = Decimal(found[1]) * (1 if found[2] == "ms" else 1000)
    return int(milliseconds)
