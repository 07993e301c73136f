"""Why a contract reverted, in words: what Solidity puts into the output, worded as geth words it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ERROR: Final = bytes.fromhex("08c379a0")
_PANIC: Final = bytes.fromhex("4e487b71")
_PANICS: Final[Mapping[int, str]] = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}


def revert_reason(output: bytes) -> str | None:
    """The text of ABI-encoded ``Error(string)`` or ``Panic(uint256)`` bytes, or None for anything else."""
    selector, body = output[:4], output[4:]
    if selector == _PANIC and len(body) >= 32:
        code = int.from_bytes(body[:32], "big")
        return _PANICS.get(code, f"unknown panic code: {code:#x}")
    if selector != _ERROR or len(body) < 64:
        return None
    offset = int.from_bytes(body[:32], "big")
    if offset + 32 > len(body):
        return None
    length = int.from_bytes(body[offset : offset + 32], "big")
    text = body[offset + 32 : offset + 32 + length]
    return text.decode("utf-8", errors="replace") if len(text) == length else None
