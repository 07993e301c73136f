"""JSON values to typed arguments, by annotation. Everything that does not fit is -32602, before work is spent.

["0xaa…", "latest"]  --bind(signature)-->  (Address, Tag.LATEST)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from node.primitives.hexadecimal import HexError, from_data, from_quantity
from node.primitives.scalars import Address, Hash32
from node.rpc.errors import invalid_params

Parser = Callable[[Any], Any]

LIST_ITEMS_MAX: Final = 16_384
"""Entries of any one list in the parameters."""


class ParameterError(ValueError):
    """The JSON value is not of the form that the parameter wants; the message says why."""


class Tag(StrEnum):
    """A block by its place in the chain."""

    LATEST = "latest"
    EARLIEST = "earliest"
    PENDING = "pending"
    SAFE = "safe"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True)
class BlockHash:
    """A block by hash; ``require_canonical`` refuses one beside the canonical chain (EIP-1898)."""

    hash: Hash32
    require_canonical: bool = False


BlockNumber: TypeAlias = Tag | int
BlockId: TypeAlias = Tag | int | BlockHash

_TAGS: Final[Mapping[str, Tag]] = {tag.value: tag for tag in Tag}


def _told(value: object) -> str:
    """What kind of JSON value stands there, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return "a string" if isinstance(value, str) else "an array" if isinstance(value, list) else "an object"


def quantity(value: object, bits: int = 256) -> int:
    """A hex number without leading zeros."""
    if not isinstance(value, str):
        raise ParameterError(f"cannot read {_told(value)} as a hex number")
    try:
        return from_quantity(value, bits)
    except HexError as error:
        raise ParameterError(str(error)) from None


def quantity64(value: object) -> int:
    """A hex number of at most 64 bits."""
    return quantity(value, 64)


def count(value: object) -> int:
    """A 64-bit number as hex or, as geth allows here, as a decimal string or JSON integer."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        return int(value)
    return quantity64(value)


def data(value: object, size: int | None = None) -> bytes:
    """Hex bytes; exactly ``size`` of them where given."""
    if not isinstance(value, str):
        raise ParameterError(f"cannot read {_told(value)} as hex data")
    try:
        return from_data(value, size)
    except HexError as error:
        raise ParameterError(str(error)) from None


def address(value: object) -> Address:
    """20 hex bytes in any case (checksums are not enforced, as in geth)."""
    return Address(data(value, 20))


def hash32(value: object) -> Hash32:
    """32 hex bytes."""
    return Hash32(data(value, 32))


def boolean(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ParameterError(f"cannot read {_told(value)} as a boolean")
    return value


def text(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ParameterError(f"cannot read {_told(value)} as a string")
    return value


def items(value: object, what: str, maximum: int = LIST_ITEMS_MAX) -> list[Any]:
    """A list of bounded length."""
    if not isinstance(value, list):
        raise ParameterError(f"{what}: expected an array, found {_told(value)}")
    if len(value) > maximum:
        raise ParameterError(f"{what}: {len(value)} entries, at most {maximum}")
    return value


def fields(value: object, what: str) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise ParameterError(f"{what}: expected an object, found {_told(value)}")
    return value


def block_number(value: object) -> BlockNumber:
    """A tag or a number."""
    if isinstance(value, str) and value in _TAGS:
        return _TAGS[value]
    if not isinstance(value, str):
        raise ParameterError(f"cannot read {_told(value)} as a block number or tag")
    number = quantity64(value)
    if number >= 2**63:
        raise ParameterError("block number larger than int64")
    return number


def block_id(value: object) -> BlockId:
    """A tag, a number, a hash, or an EIP-1898 object {blockNumber} or {blockHash, requireCanonical}."""
    if isinstance(value, dict):
        number, block_hash = value.get("blockNumber"), value.get("blockHash")
        if number is not None and block_hash is not None:
            raise ParameterError("cannot specify both BlockHash and BlockNumber, choose one or the other")
        if block_hash is not None:
            return BlockHash(hash32(block_hash), boolean(value.get("requireCanonical", False)))
        if number is not None:
            return block_number(number)
        raise ParameterError("block object holds neither blockNumber nor blockHash")
    if isinstance(value, str) and len(value) == 66:
        return BlockHash(hash32(value))
    return block_number(value)


@dataclass(frozen=True, slots=True)
class StorageKey:
    """A storage slot as clients name it: any hex up to 32 bytes. ``given`` bytes decide how it is echoed."""

    slot: int
    is_word: bool
    """Written with all 32 bytes: echoed in full, else as a quantity (geth)."""


def storage_key(value: object) -> StorageKey:
    """Hex of at most 32 bytes, odd length and leading zeros allowed ("0x0" is what web3.py sends)."""
    if not isinstance(value, str):
        raise ParameterError(f"cannot read {_told(value)} as a storage key")
    digits = value[2:] if value[:2] in ("0x", "0X") else value
    if len(digits) > 64:
        shown = value if len(value) <= 100 else value[:100] + "…"
        raise ParameterError(f'storage key too long (want at most 32 bytes): "{shown}"')
    if not all(character in "0123456789abcdefABCDEF" for character in digits):
        raise ParameterError("unable to decode storage key: invalid hex string")
    return StorageKey(int(digits or "0", 16), len(digits) == 64)


def storage_keys(value: object) -> tuple[StorageKey, ...]:
    """A list of storage keys; geth allows 1024 in one proof."""
    return tuple(storage_key(item) for item in items(value, "storage keys", 1024))


def parse(parser: Parser, value: object, index: int) -> Any:
    """One argument. Raises RpcError(-32602) naming its position."""
    try:
        return parser(value)
    except ParameterError as error:
        raise invalid_params(f"invalid argument {index}: {error}") from None


SCALAR_PARSERS: Final[Mapping[Any, Parser]] = {
    bool: boolean,
    int: quantity64,
    str: text,
    bytes: data,
    Address: address,
    Hash32: hash32,
    BlockNumber: block_number,
    BlockId: block_id,
    StorageKey: storage_key,
    tuple[StorageKey, ...]: storage_keys,
}
"""Which function reads a value for which annotation."""
