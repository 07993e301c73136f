"""EIP-712: the digest of typed structured data, which wallets sign as eth_signTypedData_v4.

{types, primaryType, domain, message} ─▶ keccak256(0x1901 ‖ hashStruct(domain) ‖ hashStruct(message))
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from node.crypto.hashes import keccak256
from node.primitives.hexadecimal import HexError, from_data
from node.primitives.scalars import Hash32

TYPES_MAX: Final = 256
MEMBERS_MAX: Final = 256
DEPTH_MAX: Final = 32
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_ARRAY: Final = re.compile(r"(.+)\[(\d*)\]")
_NUMBER: Final = re.compile(r"(u?)int(\d*)")
_FIXED_BYTES: Final = re.compile(r"bytes(\d+)")
_DOMAIN: Final = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
)


class InvalidTypedData(ValueError):
    """The document cannot be hashed; the text says where."""


@dataclass(frozen=True, slots=True)
class TypedData:
    """A document, its outline checked."""

    types: Mapping[str, tuple[tuple[str, str], ...]]
    """Members (name, type) of each struct type."""
    primary_type: str
    domain: Mapping[str, Any]
    message: Mapping[str, Any]

    def digest(self) -> Hash32:
        """What is signed. Raises InvalidTypedData."""
        parts = b"\x19\x01" + self._hash_struct("EIP712Domain", self.domain, "domain", 0)
        if self.primary_type != "EIP712Domain":
            parts += self._hash_struct(self.primary_type, self.message, "message", 0)
        return keccak256(parts)

    def encode_type(self, name: str) -> str:
        """The type with all it refers to: itself first, the others by name."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found[one] = None
                waiting += [base for _, kind in self.types[one] if (base := kind.split("[")[0]) in self.types]
        others = sorted(one for one in found if one != name)
        return "".join(
            f"{one}({','.join(f'{kind} {member}' for member, kind in self.types[one])})" for one in (name, *others)
        )

    def _hash_struct(self, name: str, value: object, where: str, depth: int) -> bytes:
        if depth > DEPTH_MAX:
            raise InvalidTypedData(f"{where}: nested deeper than {DEPTH_MAX}")
        if not isinstance(value, Mapping):
            raise InvalidTypedData(f"{where}: expected an object of type {name}")
        words = [self._word(kind, value.get(member), f"{where}.{member}", depth) for member, kind in self.types[name]]
        return keccak256(keccak256(self.encode_type(name).encode()) + b"".join(words))

    def _word(self, kind: str, value: object, where: str, depth: int) -> bytes:
        array = _ARRAY.fullmatch(kind)
        if array is not None:
            return self._hash_array(array[1], array[2], value, where, depth)
        if kind in self.types:
            return bytes(32) if value is None else self._hash_struct(kind, value, where, depth + 1)
        if value is None:
            raise InvalidTypedData(f"{where}: missing")
        return _atom(kind, value, where)

    def _hash_array(self, kind: str, length: str, value: object, where: str, depth: int) -> bytes:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise InvalidTypedData(f"{where}: expected a list")
        if length and len(value) != int(length):
            raise InvalidTypedData(f"{where}: {len(value)} items, not {length}")
        if depth > DEPTH_MAX:
            raise InvalidTypedData(f"{where}: nested deeper than {DEPTH_MAX}")
        return keccak256(
            b"".join(self._word(kind, one, f"{where}[{index}]", depth + 1) for index, one in enumerate(value))
        )


def _atom(kind: str, value: object, where: str) -> bytes:
    if kind == "string":
        if not isinstance(value, str):
            raise InvalidTypedData(f"{where}: expected a string")
        return keccak256(value.encode("utf-8", "surrogatepass"))
    if kind == "bool":
        if not isinstance(value, bool):
            raise InvalidTypedData(f"{where}: expected true or false")
        return int(value).to_bytes(32, "big")
    if kind == "bytes":
        return keccak256(_data(value, None, where))
    if kind == "address":
        return _data(value, 20, where).rjust(32, b"\x00")
    fixed = _FIXED_BYTES.fullmatch(kind)
    if fixed is not None and 1 <= int(fixed[1]) <= 32:
        return _data(value, int(fixed[1]), where).ljust(32, b"\x00")
    number = _NUMBER.fullmatch(kind)
    bits = int(number[2] or 256) if number is not None else 0
    if number is None or not 8 <= bits <= 256 or bits % 8:
        raise InvalidTypedData(f"{where}: {kind[:80]!r} is no type")
    return _number(value, bits, not number[1], where)


def _number(value: object, bits: int, signed: bool, where: str) -> bytes:
    try:
        if isinstance(value, bool) or not isinstance(value, int | str) or len(str(value)) > 100:
            raise ValueError
        read = value if isinstance(value, int) else int(value, 16 if value[:2].lower() == "0x" else 10)
    except ValueError:
        raise InvalidTypedData(f"{where}: expected a number") from None
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if not low <= read < high:
        raise InvalidTypedData(f"{where}: does not fit into {bits} bits")
    return (read % 2**256).to_bytes(32, "big")


def _data(value: object, size: int | None, where: str) -> bytes:
    try:
        return from_data(value, size)
    except HexError as error:
        raise InvalidTypedData(f"{where}: {error}") from None


def read_typed_data(document: object) -> TypedData:
    """Check the outline of a decoded document. Raises InvalidTypedData."""
    if not isinstance(document, Mapping):
        raise InvalidTypedData("expected an object")
    types, primary = document.get("types"), document.get("primaryType")
    domain, message = document.get("domain", {}), document.get("message", {})
    if not isinstance(types, Mapping) or len(types) > TYPES_MAX:
        raise InvalidTypedData(f"types: expected an object of at most {TYPES_MAX} types")
    if not isinstance(domain, Mapping) or not isinstance(message, Mapping):
        raise InvalidTypedData("domain and message: expected objects")
    read = {str(name): _members(members, f"types.{str(name)[:80]}") for name, members in types.items()}
    read.setdefault("EIP712Domain", tuple(one for one in _DOMAIN if one[0] in domain))
    if not isinstance(primary, str) or primary not in read:
        raise InvalidTypedData("primaryType: names no type")
    return TypedData(read, primary, domain, message)


def _members(members: object, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(members, list) or len(members) > MEMBERS_MAX:
        raise InvalidTypedData(f"{where}: expected a list of at most {MEMBERS_MAX} members")
    read = []
    for member in members:
        name = member.get("name") if isinstance(member, Mapping) else None
        kind = member.get("type") if isinstance(member, Mapping) else None
        if not isinstance(name, str) or not isinstance(kind, str) or not _NAME.fullmatch(name) or len(kind) > 200:
            raise InvalidTypedData(f"{where}: expected name and type of each member")
        read.append((name, kind))
    return tuple(read)
