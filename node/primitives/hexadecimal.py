"""JSON-RPC hex: "data" keeps every byte, "quantity" is a minimal number (execution-apis, base types)."""

from __future__ import annotations


class HexError(ValueError):
    """The text is not hex of the asked-for form; the message says what is wrong (in geth's words where it has some)."""


def to_data(data: bytes) -> str:
    """Bytes as 0x-prefixed hex, leading zeros kept."""
    return "0x" + data.hex()


def to_quantity(value: int) -> str:
    """A non-negative number as minimal 0x-prefixed hex."""
    return hex(value)


def from_data(text: object, size: int | None = None) -> bytes:
    """0x-prefixed hex of even length; exactly ``size`` bytes where given."""
    if not isinstance(text, str):
        raise HexError("expected a hex string")
    if text == "":
        raise HexError("empty hex string")
    if not text.startswith(("0x", "0X")):
        raise HexError("hex string without 0x prefix")
    digits = text[2:]
    if len(digits) % 2:
        raise HexError("hex string of odd length")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise HexError("invalid hex string") from None
    if 2 * len(data) != len(digits):  # fromhex passes over spaces
        raise HexError("invalid hex string")
    if size is not None and len(data) != size:
        raise HexError(f"hex string has length {len(digits)}, want {size * 2}")
    return data


def from_quantity(text: object, bits: int = 256) -> int:
    """0x-prefixed number without leading zeros, at most ``bits`` wide."""
    if not isinstance(text, str):
        raise HexError("expected a hex string")
    if text == "":
        raise HexError("empty hex string")
    if not text.startswith(("0x", "0X")):
        raise HexError("hex string without 0x prefix")
    digits = text[2:]
    if digits == "":
        raise HexError('hex string "0x"')
    if len(digits) > 1 and digits[0] == "0":
        raise HexError("hex number with leading zero digits")
    if len(digits) > bits // 4:
        raise HexError(f"hex number > {bits} bits")
    if not all(character in "0123456789abcdefABCDEF" for character in digits):
        raise HexError("invalid hex string")
    return int(digits, 16)
