"""Recursive Length Prefix, strict (Yellow Paper, appendix B).

An item is ``bytes`` or a list of items. Decoding refuses every non-canonical form, so that
``encode(decode(x)) == x`` whenever ``decode`` accepts x: two encodings of one block or
transaction would give it two hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

Item: TypeAlias = "bytes | list[Item]"
Encodable: TypeAlias = "bytes | bytearray | Sequence[Encodable]"

DEPTH_MAX: Final = 64
"""Nesting bound: no Ethereum object nests deeper than 8; hostile input must not exhaust the stack."""

EMPTY_STRING: Final = b"\x80"
EMPTY_LIST: Final = b"\xc0"
_BYTES: Final = tuple(bytes((value,)) for value in range(256))
"""Prefixes and small numbers, made once."""


class RLPError(ValueError):
    """The bytes are not one canonical RLP item, or the item has another shape than asked for."""


def encode_length(length: int, offset: int) -> bytes:
    """The prefix of a string (offset 0x80) or list (offset 0xc0) payload of ``length`` bytes."""
    if length < 56:
        return _BYTES[offset + length]
    size = (length.bit_length() + 7) // 8
    return bytes((offset + 55 + size,)) + length.to_bytes(size, "big")


def encode_bytes(data: bytes) -> bytes:
    """One string."""
    length = len(data)
    if length == 1 and data[0] < 0x80:
        return data
    return (_BYTES[0x80 + length] if length < 56 else encode_length(length, 0x80)) + data


def encode_int(value: int) -> bytes:
    """One non-negative number, big-endian without leading zeros."""
    if value == 0:
        return EMPTY_STRING
    if 0 < value < 0x80:
        return _BYTES[value]
    size = (value.bit_length() + 7) // 8
    if size < 56:
        return _BYTES[0x80 + size] + value.to_bytes(size, "big")
    return encode_length(size, 0x80) + value.to_bytes(size, "big")


def encode_list(encoded_items: Sequence[bytes]) -> bytes:
    """A list of items that are already encoded."""
    payload = b"".join(encoded_items)
    return encode_length(len(payload), 0xC0) + payload


def encode(item: Encodable) -> bytes:
    """Encode bytes or a nested sequence of bytes."""
    if isinstance(item, bytes | bytearray):
        return encode_bytes(bytes(item))
    if isinstance(item, str):
        raise TypeError("RLP holds bytes, not text")
    return encode_list([encode(child) for child in item])


def int_to_bytes(value: int) -> bytes:
    """Minimal big-endian bytes; 0 is the empty string."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode(data: bytes) -> Item:
    """Decode exactly one item that fills ``data``."""
    if not data:
        raise RLPError("empty input")
    item, end = _decode_at(data, 0, len(data), 0)
    if end != len(data):
        raise RLPError(f"{len(data) - end} bytes after the item")
    return item


def decode_prefix(data: bytes) -> tuple[Item, int]:
    """Decode the first item of ``data``; return it and the offset behind it."""
    if not data:
        raise RLPError("empty input")
    return _decode_at(data, 0, len(data), 0)


def decode_list(data: bytes) -> list[Item]:
    """Decode one item that must be a list."""
    item = decode(data)
    if isinstance(item, bytes):
        raise RLPError("expected a list, found a string")
    return item


def decode_string(data: bytes) -> bytes:
    """Decode one item that must be a string; a list is refused unread."""
    start, stop, is_list = payload_span(data, 0, len(data))
    if is_list or stop != len(data):
        raise RLPError("expected one string")
    return data[start:stop]


def split_list(data: bytes, items_max: int) -> list[bytes]:
    """The encoded items of the outermost list, none of them decoded: a cheap look at what may be megabytes."""
    start, stop, is_list = payload_span(data, 0, len(data))
    if not is_list or stop != len(data):
        raise RLPError("expected one list")
    items: list[bytes] = []
    while start < stop:
        if len(items) == items_max:
            raise RLPError(f"a list of more than {items_max} items")
        _, end, _ = payload_span(data, start, stop)
        item_start, start = start, end
        items.append(data[item_start:end])
    return items


def payload_span(data: bytes, offset: int, end: int) -> tuple[int, int, bool]:
    """Where the payload of the item at ``offset`` lies: (start, stop, is_list). Checks canonical lengths."""
    if offset >= end:
        raise RLPError("input ends where an item should start")
    prefix = data[offset]
    if prefix < 0x80:
        return offset, offset + 1, False
    if prefix < 0xC0:
        is_list, base = False, 0x80
    else:
        is_list, base = True, 0xC0
    if prefix < base + 56:
        start = offset + 1
        length = prefix - base
    else:
        size = prefix - base - 55
        start = offset + 1 + size
        if start > end:
            raise RLPError("input ends inside a length")
        if data[offset + 1] == 0:
            raise RLPError("length with a leading zero")
        length = int.from_bytes(data[offset + 1 : start], "big")
        if length < 56:
            raise RLPError("long form used for a short length")
    stop = start + length
    if stop > end:
        raise RLPError(f"item of {length} bytes runs past the end of its container")
    if not is_list and length == 1 and data[start] < 0x80:
        raise RLPError("single byte below 0x80 must stand for itself")
    return start, stop, is_list


def _decode_at(data: bytes, offset: int, end: int, depth: int) -> tuple[Item, int]:
    start, stop, is_list = payload_span(data, offset, end)
    if not is_list:
        return data[start:stop], stop
    if depth >= DEPTH_MAX:
        raise RLPError(f"nested deeper than {DEPTH_MAX}")
    items: list[Item] = []
    position = start
    while position < stop:
        item, position = _decode_at(data, position, stop, depth + 1)
        items.append(item)
    return items, stop


# --- typed readers: every one raises RLPError naming the field ---------------------------------


def as_bytes(item: Item, field: str, size: int | None = None) -> bytes:
    """The item as a string, of exactly ``size`` bytes where given."""
    if not isinstance(item, bytes):
        raise RLPError(f"{field}: expected a string, found a list")
    if size is not None and len(item) != size:
        raise RLPError(f"{field}: expected {size} bytes, found {len(item)}")
    return item


def as_int(item: Item, field: str, bits: int = 256) -> int:
    """The item as a number: no leading zero, at most ``bits`` wide."""
    if not isinstance(item, bytes):
        raise RLPError(f"{field}: expected a number, found a list")
    if item and item[0] == 0:
        raise RLPError(f"{field}: number with a leading zero")
    if len(item) * 8 > bits:
        raise RLPError(f"{field}: number wider than {bits} bits")
    return int.from_bytes(item, "big")


def as_list(item: Item, field: str, length: int | None = None) -> list[Item]:
    """The item as a list, of exactly ``length`` items where given."""
    if isinstance(item, bytes):
        raise RLPError(f"{field}: expected a list, found a string")
    if length is not None and len(item) != length:
        raise RLPError(f"{field}: expected {length} items, found {len(item)}")
    return item
