"""State writes that are ordered into a block; every node applies the same list.

Consensus puts them ahead of the transactions: they follow from the block's consensus body (a conviction sets a
validator's weight to 0), which the header commits to by ``parentBeaconBlockRoot``. They cost no gas and leave no
receipt. On a chain for development an unsigned transaction to ORDERS carries them in its data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from node.primitives.rlp import Item, RLPError, as_bytes, as_int, as_list, decode, encode, int_to_bytes
from node.primitives.scalars import Address

OPERATIONS_MAX: Final = 256
"""In one block."""
CODE_BYTES_MAX: Final = 24_576
ORDERS: Final = Address(b"\x00" * 17 + b"\x0d\xe7\x5e")
"""Where an unsigned transaction sends state writes to."""
TIME_SLOT: Final = 0
"""Storage slot of ORDERS: seconds that the chain's clock is ahead of the nodes'."""


@dataclass(frozen=True, slots=True)
class SetStorage:
    """One storage slot; 0 clears it."""

    address: Address
    slot: int
    value: int


@dataclass(frozen=True, slots=True)
class SetBalance:
    """Wei."""

    address: Address
    balance: int


@dataclass(frozen=True, slots=True)
class SetNonce:
    """The account's nonce."""

    address: Address
    nonce: int


@dataclass(frozen=True, slots=True)
class SetCode:
    """The account's code; empty removes it."""

    address: Address
    code: bytes


@dataclass(frozen=True, slots=True)
class RestoreState:
    """The state after the block becomes that of the ancestor ``number``. Only in a transaction, as its last order."""

    number: int


Operation: TypeAlias = SetStorage | SetBalance | SetNonce | SetCode | RestoreState


class MalformedOperations(ValueError):
    """The bytes are no list of operations; the text says where."""


def encode_operations(operations: Sequence[Operation]) -> bytes:
    """RLP: a list of [kind, address, …]."""
    return encode([_fields(operation) for operation in operations])


def decode_operations(data: bytes) -> tuple[Operation, ...]:
    """The inverse. Raises MalformedOperations."""
    try:
        items = as_list(decode(data), "operations")
        if len(items) > OPERATIONS_MAX:
            raise MalformedOperations(f"operations: {len(items)}, more than {OPERATIONS_MAX}")
        return tuple(_operation(item, f"operations[{index}]") for index, item in enumerate(items))
    except RLPError as error:
        raise MalformedOperations(str(error)) from error


def _fields(operation: Operation) -> list[bytes]:
    match operation:
        case SetStorage(address, slot, value):
            return [b"\x01", address, int_to_bytes(slot), int_to_bytes(value)]
        case SetBalance(address, balance):
            return [b"\x02", address, int_to_bytes(balance)]
        case SetNonce(address, nonce):
            return [b"\x03", address, int_to_bytes(nonce)]
        case SetCode(address, code):
            return [b"\x04", address, code]
        case RestoreState(number):
            return [b"\x05", int_to_bytes(number)]


def _operation(item: Item, where: str) -> Operation:
    fields = as_list(item, where)
    if len(fields) < 2:
        raise MalformedOperations(f"{where}: {len(fields)} items")
    kind = as_int(fields[0], f"{where}.kind", 8)
    if kind == 5 and len(fields) == 2:
        return RestoreState(as_int(fields[1], f"{where}.number", 64))
    address = Address(as_bytes(fields[1], f"{where}.address", 20))
    if len(fields) != (4 if kind == 1 else 3):
        raise MalformedOperations(f"{where}: {len(fields)} items")
    match kind:
        case 1:
            return SetStorage(address, as_int(fields[2], f"{where}.slot"), as_int(fields[3], f"{where}.value"))
        case 2:
            return SetBalance(address, as_int(fields[2], f"{where}.balance"))
        case 3:
            return SetNonce(address, as_int(fields[2], f"{where}.nonce", 64))
        case 4:
            code = as_bytes(fields[2], f"{where}.code")
            if len(code) > CODE_BYTES_MAX:
                raise MalformedOperations(f"{where}.code: {len(code)} bytes, more than {CODE_BYTES_MAX}")
            return SetCode(address, code)
    raise MalformedOperations(f"{where}.kind: {kind} is not known")
