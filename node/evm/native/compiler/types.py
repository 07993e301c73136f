"""The types of restricted Python: fixed-width integers, addresses, structs, constant tables.

For mypy the integers are ``int``; only the compiler tells them apart. u8 .. u512 are unsigned, i64 and i256 signed
(two's complement): the type of an operand decides how ``<`` compares and whether ``>>`` keeps the sign. All
arithmetic wraps around at the width. There is no implicit conversion but that of literals; ``u256(x)`` converts.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

u8: TypeAlias = int
u16: TypeAlias = int
u32: TypeAlias = int
u64: TypeAlias = int
u128: TypeAlias = int
u256: TypeAlias = int
u512: TypeAlias = int
i64: TypeAlias = int
i256: TypeAlias = int
ptr: TypeAlias = int
"""An address. ``p + n`` counts bytes; ``p - q`` of two addresses is u64."""


@dataclass(frozen=True, slots=True)
class IntType:
    """A fixed-width integer. ``bits`` 1 is bool."""

    bits: int
    signed: bool = False

    @property
    def ir(self) -> str:
        """As LLVM writes it."""
        return f"i{self.bits}"

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return (self.bits + 7) // 8

    def __str__(self) -> str:
        return "bool" if self.bits == 1 else f"{'i' if self.signed else 'u'}{self.bits}"

    def holds(self, value: int) -> bool:
        """Whether a literal fits."""
        if self.signed:
            return -(1 << (self.bits - 1)) <= value < 1 << (self.bits - 1)
        return 0 <= value < 1 << self.bits


@dataclass(frozen=True, slots=True)
class PointerType:
    """An address; of a struct, whose fields then have names."""

    struct: type[Struct] | None = None
    ir: str = "ptr"
    size: int = 8

    def __str__(self) -> str:
        return self.struct.__name__ if self.struct is not None else "ptr"


@dataclass(frozen=True, slots=True)
class VoidType:
    """What a function without a result returns."""

    ir: str = "void"
    size: int = 0

    def __str__(self) -> str:
        return "None"


NativeType: TypeAlias = IntType | PointerType | VoidType

BOOL: Final = IntType(1)
U8: Final = IntType(8)
U64: Final = IntType(64)
I64: Final = IntType(64, signed=True)
U128: Final = IntType(128)
U256: Final = IntType(256)
U512: Final = IntType(512)
POINTER: Final = PointerType()
VOID: Final = VoidType()

NAMED: Final[dict[str, NativeType]] = {
    "bool": BOOL,
    "u8": U8,
    "u16": IntType(16),
    "u32": IntType(32),
    "u64": U64,
    "u128": U128,
    "u256": U256,
    "u512": U512,
    "i64": I64,
    "i256": IntType(256, signed=True),
    "ptr": POINTER,
}


class Struct:
    """A record in memory: subclasses name fields with their types, laid out in that order, each on 8 bytes.

    In restricted Python an instance is an address: ``frame.gas`` loads, ``frame.gas = x`` stores, ``Frame(p)``
    reads an address as that struct and ``ptr(frame)`` the other way.
    """

    def __init__(self, address: ptr) -> None:
        self._address = address

    def __int__(self) -> int:
        return self._address


@dataclass(frozen=True, slots=True)
class Field:
    """One field: bytes from the struct's start, and what stands there."""

    offset: int
    type: NativeType


class Table:
    """Constants that compiled code reads: ``ptr(TABLE)`` is the address of its first 64-bit word."""

    def __init__(self, words: Sequence[int]) -> None:
        self.words = tuple(words)

    def __int__(self) -> int:
        raise TypeError("a table has an address only in compiled code")


_LAYOUTS: dict[type[Struct], dict[str, Field]] = {}


def layout(struct: type[Struct]) -> dict[str, Field]:
    """The fields of ``struct``, of its base classes first; annotations are text (PEP 563)."""
    known = _LAYOUTS.get(struct)
    if known is not None:
        return known
    fields: dict[str, Field] = {}
    offset = 0
    for owner in reversed(struct.__mro__):
        if owner in (Struct, object):
            continue
        for name, annotation in inspect.get_annotations(owner).items():
            kind = NAMED.get(annotation)
            if kind is None:
                raise TypeError(f"{struct.__name__}.{name}: no type {annotation}")
            fields[name] = Field(offset, kind)
            offset += (kind.size + 7) & ~7
    _LAYOUTS[struct] = fields
    return fields


def size_of(struct: type[Struct]) -> int:
    """Bytes of one record, a multiple of 8."""
    last = list(layout(struct).values())[-1]
    return last.offset + ((last.type.size + 7) & ~7)
