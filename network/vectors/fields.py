"""Checked reading of JSON that nobody vouches for: each refusal names the field and says why."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from node.primitives.scalars import Address, Hash32

DIGITS_MAX: Final = 80
"""Of a number's text: a 256-bit number has 78 decimal digits."""
SHOWN_MAX: Final = 40
"""Characters of a bad value that a message repeats."""
NAME_MAX: Final = 160
"""Characters of a field's or a case's name."""
_HEX_DIGITS: Final = frozenset(string.hexdigits)


def cut(name: str) -> str:
    """A file's keys may have any length; what a message repeats of one has not."""
    return name if len(name) <= NAME_MAX else f"{name[:NAME_MAX]}…"


class FieldError(ValueError):
    """A field cannot be used."""

    def __init__(self, field: str, why: str) -> None:
        field = cut(field)
        super().__init__(f"{field}: {why}" if field else why)
        self.field = field
        self.why = why


class FixtureError(Exception):
    """An input file cannot be used: which file, which case in it, which field, and why."""

    def __init__(self, file: str, case: str, field: str, why: str) -> None:
        case = cut(case)
        super().__init__(": ".join(part for part in (file, case, field, why) if part))
        self.file = file
        self.case = case
        self.field = field
        self.why = why

    def __reduce__(self) -> tuple[type[FixtureError], tuple[str, str, str, str]]:
        """Crosses process borders with its parts."""
        return FixtureError, (self.file, self.case, self.field, self.why)


def parse_json(content: bytes) -> Any:
    """Decoded JSON. Raises FieldError with the place of the mistake; nesting is bounded by the parser."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise FieldError("", f"not JSON: {error}") from None


def shown(value: object) -> str:
    """A bad value, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}… ({len(text)} characters)"


def mapping(value: object, field: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise FieldError(field, f"expected an object, found {shown(value)}")
    return value


def sequence(value: object, field: str) -> Sequence[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise FieldError(field, f"expected an array, found {shown(value)}")
    return value


def text(value: object, field: str) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise FieldError(field, f"expected a string, found {shown(value)}")
    return value


def member(holder: Mapping[str, Any], key: str, field: str) -> Any:
    """A member that must be there; ``field`` is where the holder stands."""
    if key not in holder or holder[key] is None:
        raise FieldError(f"{field}.{key}" if field else key, "missing")
    return holder[key]


def number(value: object, field: str, bits: int = 256) -> int:
    """A non-negative number of at most ``bits`` bits: 0x hex (leading zeros allowed), decimal text or JSON number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise FieldError(field, f"expected a number, found {shown(value)}")
    if isinstance(value, int):
        found = value
    else:
        digits = value[2:] if value.startswith(("0x", "0X")) else value
        if not digits and value:
            found = 0
        else:
            if len(digits.lstrip("0")) > DIGITS_MAX:
                raise FieldError(field, f"a number of {len(digits)} digits")
            if not digits.isascii() or not all(digit in _HEX_DIGITS for digit in digits):
                raise FieldError(field, f"expected a number, found {shown(value)}")
            try:
                found = int(digits, 16 if len(digits) != len(value) else 10)
            except ValueError:
                raise FieldError(field, f"expected a number, found {shown(value)}") from None
    if not 0 <= found < 1 << bits:
        raise FieldError(field, f"{shown(value)} is not a number of {bits} bits")
    return found


def data(value: object, field: str, size: int | None = None) -> bytes:
    """Hex bytes with or without 0x; exactly ``size`` of them where given."""
    digits = text(value, field)
    digits = digits[2:] if digits.startswith(("0x", "0X")) else digits
    try:
        if not digits.isascii() or any(character.isspace() for character in digits):
            raise ValueError
        found = bytes.fromhex(digits)
    except ValueError:
        raise FieldError(field, f"expected hex bytes, found {shown(value)}") from None
    if size is not None and len(found) != size:
        raise FieldError(field, f"expected {size} bytes, found {len(found)}")
    return found


def address(value: object, field: str) -> Address:
    """20 bytes of hex."""
    return Address(data(value, field, 20))


def word(value: object, field: str) -> Hash32:
    """A 32-byte value as hex; shorter hex is a number."""
    return Hash32(number(value, field).to_bytes(32, "big"))


def excess_blob_gas(value: object, field: str, fraction: int) -> int:
    """Excess blob gas whose fee fits 256 bits under this update fraction; computing a larger one would not end."""
    found = number(value, field, 64)
    if found > 178 * fraction:
        raise FieldError(field, f"{found} makes a blob fee of more than 256 bits")
    return found
