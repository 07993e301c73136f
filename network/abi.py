"""The contract ABI: encode arguments, decode results, name a revert (Solidity ABI specification).

Covers every ABI type: uintN, intN, bool, address, bytesN, bytes, string, T[k], T[], tuples.
Written out here because the packages that do it cost a command 0.2 s of imports.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from network.accounts import checksum_address, parse_address
from network.failures import BadInput
from node.crypto.hashes import keccak256

_ARRAY: Final = re.compile(r"^(.*)\[([0-9]{0,9})\]$", re.DOTALL)
WORDS_MAX: Final = 1_000_000
"""Most that is taken from returned data: a hostile length must not be allocated."""


class AbiError(BadInput):
    """A value does not fit its type, or data does not decode."""


@dataclass(frozen=True, slots=True)
class AbiType:
    """A parsed type. ``length`` is an array's fixed length, None where it is dynamic."""

    kind: str
    """uint, int, bool, address, fixedbytes, bytes, string, array, tuple"""
    size: int = 0
    """Bits of a number, bytes of a fixed byte string."""
    items: tuple[AbiType, ...] = ()
    length: int | None = None

    @property
    def dynamic(self) -> bool:
        """Whether it stands in the tail, with an offset in the head."""
        if self.kind in ("bytes", "string"):
            return True
        if self.kind == "array":
            return self.length is None or self.items[0].dynamic
        return any(item.dynamic for item in self.items)

    @property
    def head_size(self) -> int:
        """Bytes that it takes in the head."""
        if self.dynamic:
            return 32
        if self.kind == "array":
            return (self.length or 0) * self.items[0].head_size
        if self.kind == "tuple":
            return sum(item.head_size for item in self.items)
        return 32


@lru_cache(maxsize=512)
def parse_type(text: str) -> AbiType:
    """A canonical type string such as ``(uint256,address[])[2]``. Raises AbiError."""
    array = _ARRAY.match(text)
    if array is not None:
        return AbiType("array", items=(parse_type(array[1]),), length=int(array[2]) if array[2] else None)
    if text.startswith("(") and text.endswith(")"):
        return AbiType("tuple", items=tuple(parse_type(part) for part in split_types(text[1:-1])))
    if text in ("bool", "address", "bytes", "string"):
        return AbiType(text)
    found = re.fullmatch(r"(uint|int|bytes)([0-9]{1,3})?", text)
    if found is not None:
        kind, size = found[1], int(found[2]) if found[2] else 256
        if kind == "bytes" and found[2] and 1 <= size <= 32:
            return AbiType("fixedbytes", size)
        if kind != "bytes" and 8 <= size <= 256 and size % 8 == 0:
            return AbiType(kind, size)
    raise AbiError(f"unknown ABI type {text!r}")


def split_types(text: str) -> list[str]:
    """The parts of ``a,(b,c)[],d`` at the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    if depth != 0:
        raise AbiError(f"unbalanced brackets in {text!r}")
    last = text[start:].strip()
    return [*parts, last] if last or parts else []


# --- encoding -----------------------------------------------------------------------------------


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """The arguments as call data without selector. Raises AbiError."""
    if len(types) != len(values):
        raise AbiError(f"{len(types)} arguments are needed ({', '.join(types) or 'none'}), {len(values)} were given")
    return _encode_sequence([parse_type(text) for text in types], list(values))


def _encode_sequence(types: Sequence[AbiType], values: Sequence[Any]) -> bytes:
    heads: list[bytes] = []
    tails: list[bytes] = []
    offset = sum(kind.head_size for kind in types)
    for kind, value in zip(types, values, strict=True):
        encoded = _encode_one(kind, value)
        if kind.dynamic:
            heads.append(offset.to_bytes(32, "big"))
            tails.append(encoded)
            offset += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads) + b"".join(tails)


def _encode_one(kind: AbiType, value: Any) -> bytes:
    if kind.kind in ("uint", "int"):
        low, high = (
            (0, 2**kind.size - 1) if kind.kind == "uint" else (-(2 ** (kind.size - 1)), 2 ** (kind.size - 1) - 1)
        )
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise AbiError(f"{value!r} is not a {kind.kind}{kind.size}")
        return (value % 2**256).to_bytes(32, "big")
    if kind.kind == "bool":
        if not isinstance(value, bool):
            raise AbiError(f"{value!r} is not a bool")
        return int(value).to_bytes(32, "big")
    if kind.kind == "address":
        address = parse_address(value) if isinstance(value, str) else value
        if not isinstance(address, bytes) or len(address) != 20:
            raise AbiError(f"{value!r} is not an address")
        return address.rjust(32, b"\x00")
    if kind.kind in ("fixedbytes", "bytes", "string"):
        return _encode_bytes(kind, value)
    if not isinstance(value, list | tuple):
        raise AbiError(f"{value!r} is not a list")
    if kind.kind == "tuple":
        if len(value) != len(kind.items):
            raise AbiError(f"a tuple of {len(kind.items)} values is needed, {len(value)} were given")
        return _encode_sequence(kind.items, value)
    if kind.length is not None and len(value) != kind.length:
        raise AbiError(f"a list of {kind.length} values is needed, {len(value)} were given")
    body = _encode_sequence([kind.items[0]] * len(value), value)
    return body if kind.length is not None else len(value).to_bytes(32, "big") + body


def _encode_bytes(kind: AbiType, value: Any) -> bytes:
    if kind.kind == "string":
        if not isinstance(value, str):
            raise AbiError(f"{value!r} is not a string")
        data = value.encode()
    elif isinstance(value, bytes):
        data = value
    else:
        raise AbiError(f"{value!r} is not a byte string")
    if kind.kind == "fixedbytes":
        if len(data) != kind.size:
            raise AbiError(f"{len(data)} bytes do not make a bytes{kind.size}")
        return data.ljust(32, b"\x00")
    return len(data).to_bytes(32, "big") + data.ljust(-(-len(data) // 32) * 32, b"\x00")


# --- decoding -----------------------------------------------------------------------------------


def decode(types: Sequence[str], data: bytes, words_max: int = WORDS_MAX) -> list[Any]:
    """Values of returned data; addresses as checksummed text. Raises AbiError where the data is short or wrong.

    Offsets may point anywhere, so small data can claim the same bytes again and again, in lists of lists: what is
    decoded is bounded by ``words_max`` words of 32 bytes in all.
    """
    return _decode_sequence([parse_type(text) for text in types], data, 0, _Budget(words_max))


class _Budget:
    """What may still be decoded, in words."""

    def __init__(self, words: int) -> None:
        self._left = words

    def take(self, words: int) -> None:
        self._left -= words
        if self._left < 0:
            raise AbiError("the data claims more values than are taken from it")


def _word(data: bytes, at: int) -> int:
    if at + 32 > len(data):
        raise AbiError(f"data of {len(data)} bytes ends before offset {at + 32}")
    return int.from_bytes(data[at : at + 32], "big")


def _decode_sequence(types: Sequence[AbiType], data: bytes, base: int, budget: _Budget) -> list[Any]:
    budget.take(len(types))
    values = []
    at = base
    for kind in types:
        position = base + _word(data, at) if kind.dynamic else at
        values.append(_decode_one(kind, data, position, budget))
        at += kind.head_size
    return values


def _decode_one(kind: AbiType, data: bytes, at: int, budget: _Budget) -> Any:
    if kind.kind == "tuple":
        return tuple(_decode_sequence(kind.items, data, at, budget))
    if kind.kind == "array":
        length, start = (kind.length, at) if kind.length is not None else (_word(data, at), at + 32)
        # each item takes at least a word, unless it is empty itself
        if length > WORDS_MAX or (kind.items[0].head_size and start + length * kind.items[0].head_size > len(data)):
            raise AbiError(f"a list of {length} values does not fit into {len(data)} bytes")
        return _decode_sequence([kind.items[0]] * length, data, start, budget)
    word = _word(data, at)
    if kind.kind in ("bytes", "string"):
        budget.take(min(word, len(data)) // 32)
        content = data[at + 32 : at + 32 + word]
        if len(content) != word:
            raise AbiError(f"a byte string of {word} bytes does not fit into {len(data)} bytes")
        return content if kind.kind == "bytes" else content.decode("utf-8", "replace")
    if kind.kind == "uint":
        return word % 2**kind.size
    if kind.kind == "int":
        value = word % 2**kind.size
        return value - 2**kind.size if value >> (kind.size - 1) else value
    if kind.kind == "bool":
        return word != 0
    raw = word.to_bytes(32, "big")
    return checksum_address(raw[12:]) if kind.kind == "address" else raw[: kind.size]


# --- text arguments -----------------------------------------------------------------------------


def parse_value(type_text: str, text: str) -> Any:
    """An argument from the command line as the type asks for it. Lists and tuples: ``[1,2]``, ``(1,0x..)``."""
    return _parse_value(parse_type(type_text), text.strip())


def _parse_value(kind: AbiType, text: str) -> Any:
    if kind.kind in ("uint", "int"):
        try:
            return int(text.replace("_", ""), 16 if text.removeprefix("-").startswith("0x") else 10)
        except ValueError:
            raise AbiError(f"{text!r} is not a number") from None
    if kind.kind == "bool":
        if text.lower() not in ("true", "false"):
            raise AbiError(f"{text!r} is not true or false")
        return text.lower() == "true"
    if kind.kind == "address":
        return parse_address(text)
    if kind.kind in ("bytes", "fixedbytes"):
        try:
            return bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            raise AbiError(f"{text!r} is not hex data") from None
    if kind.kind == "string":
        return text
    if len(text) < 2 or text[0] + text[-1] not in ("[]", "()"):
        raise AbiError(f"{text!r} is not a list; write [a,b] or (a,b)")
    parts = split_types(text[1:-1])
    kinds = kind.items if kind.kind == "tuple" else kind.items * len(parts)
    if len(kinds) != len(parts):
        raise AbiError(f"a tuple of {len(kinds)} values is needed, {len(parts)} were given")
    return [_parse_value(item, part) for item, part in zip(kinds, parts, strict=True)]


# --- functions and errors -----------------------------------------------------------------------


def selector(signature: str) -> bytes:
    """The first four bytes of keccak256(``name(type,type)``)."""
    return keccak256(signature.encode())[:4]
