"""Why a call reverted, in words; and decoded values as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from network import abi

ERROR_SELECTOR: Final = abi.selector("Error(string)")
PANIC_SELECTOR: Final = abi.selector("Panic(uint256)")
_PANICS: Final = {
    0x00: "generic panic",
    0x01: "assertion failed",
    0x11: "arithmetic overflow or underflow",
    0x12: "division by zero",
    0x21: "value out of range of an enum",
    0x22: "wrongly encoded storage byte array",
    0x31: "pop from an empty array",
    0x32: "array index out of bounds",
    0x41: "out of memory",
    0x51: "call of an uninitialised function",
}


def canonical_type(item: Mapping[str, Any]) -> str:
    """The type of an ABI entry's item as signatures write it: ``(uint256,address)[]``. Raises KeyError."""
    kind = str(item["type"])
    if not kind.startswith("tuple"):
        return kind
    parts = ",".join(canonical_type(part) for part in item.get("components", []))
    return f"({parts}){kind.removeprefix('tuple')}"


def explain_revert(data: bytes, entries: Sequence[dict[str, Any]] = ()) -> str:
    """Why a call reverted, in words: the reason text, the panic's meaning, or the custom error with its values."""
    if not data:
        return "no reason given"
    head, tail = data[:4], data[4:]
    try:
        if head == ERROR_SELECTOR:
            return str(abi.decode(["string"], tail)[0])
        if head == PANIC_SELECTOR:
            code = int(abi.decode(["uint256"], tail)[0])
            return f"Panic(0x{code:02x}): {_PANICS.get(code, 'unknown code')}"
        for entry in entries:
            if entry.get("type") != "error":
                continue
            types = [canonical_type(item) for item in entry.get("inputs", [])]
            if abi.selector(f"{entry['name']}({','.join(types)})") == head:
                values = abi.decode(types, tail)
                names = [str(item.get("name", "")) for item in entry.get("inputs", [])]
                shown = [
                    f"{name}={show_value(value)}" if name else show_value(value)
                    for name, value in zip(names, values, strict=True)
                ]
                return f"{entry['name']}({', '.join(shown)})"
    except abi.AbiError:
        pass  # not what its selector promises: show the bytes
    return "0x" + data.hex()


def show_value(value: Any) -> str:
    """A decoded value as text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(show_value, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(show_value, value)) + ")"
    return str(value)
