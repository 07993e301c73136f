"""The transaction object of eth_call, eth_estimateGas and eth_createAccessList, as clients send it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from node.execution.calls import CallRequest
from node.primitives.scalars import U64_MAX, ZERO_ADDRESS, Address
from node.rpc.errors import refused
from node.rpc.parameters import (
    ParameterError,
    address,
    data,
    fields,
    hash32,
    items,
    quantity,
    quantity64,
    storage_key,
)
from node.types.transactions import AccessListEntry, Authorization

ACCESS_LIST_MAX: Final = 4_096
AUTHORIZATIONS_MAX: Final = 1_024
BLOB_HASHES_MAX: Final = 64
CALL_DATA_MAX: Final = 1024 * 1024
"""Bytes; more than any transaction could pay for."""


def call_request(value: object) -> CallRequest:
    """Read the object; ``type`` says nothing about the run. Raises ParameterError, or RpcError for contradictions."""
    given = fields(value, "transaction")
    gas_price = _optional(given, "gasPrice")
    max_fee = _optional(given, "maxFeePerGas")
    tip = _optional(given, "maxPriorityFeePerGas")
    if gas_price is not None and (max_fee is not None or tip is not None):
        raise refused("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    _optional(given, "type")
    sender, target = given.get("from"), given.get("to")
    return CallRequest(
        sender=ZERO_ADDRESS if sender is None else _field(address, sender, "from"),
        to=None if target is None else _field(address, target, "to"),
        chain_id=_optional(given, "chainId"),
        gas=_optional(given, "gas", U64_MAX),
        gas_price=gas_price,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=tip,
        max_fee_per_blob_gas=_optional(given, "maxFeePerBlobGas"),
        value=_optional(given, "value") or 0,
        data=_call_data(given),
        nonce=_optional(given, "nonce", U64_MAX),
        access_list=access_list(given.get("accessList")),
        authorization_list=_authorizations(given.get("authorizationList")),
        blob_versioned_hashes=_blob_hashes(given.get("blobVersionedHashes")),
    )


def _field(parser: Any, value: object, name: str) -> Any:
    try:
        return parser(value)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from None


def _optional(given: Mapping[str, Any], name: str, maximum: int | None = None) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    number: int = _field(quantity if maximum is None else quantity64, value, name)
    return number


def _call_data(given: Mapping[str, Any]) -> bytes:
    """``input``, or ``data`` for older clients; both where they agree (cast sends both)."""
    first, second = given.get("input"), given.get("data")
    if first is not None and second is not None and first != second:
        raise refused('both "data" and "input" are set and not equal. Please use "input" to pass transaction call data')
    chosen = first if first is not None else second
    if chosen is None:
        return b""
    read: bytes = _field(data, chosen, "input" if first is not None else "data")
    if len(read) > CALL_DATA_MAX:
        raise ParameterError(f"input: {len(read)} bytes, at most {CALL_DATA_MAX}")
    return read


def access_list(value: object) -> tuple[AccessListEntry, ...]:
    """EIP-2930; null for none."""
    if value is None:
        return ()
    entries: list[AccessListEntry] = []
    for item in items(value, "accessList", ACCESS_LIST_MAX):
        entry = fields(item, "accessList entry")
        keys = entry.get("storageKeys")
        slots = () if keys is None else tuple(storage_key(key).slot for key in items(keys, "storageKeys"))
        entries.append((_field(address, entry.get("address"), "accessList address"), slots))
    return tuple(entries)


def _authorizations(value: object) -> tuple[Authorization, ...]:
    if value is None:
        return ()
    return tuple(_authorization(item) for item in items(value, "authorizationList", AUTHORIZATIONS_MAX))


def _authorization(value: object) -> Authorization:
    """EIP-7702. ``yParity`` is the field's name; ``v`` stands for it in older clients."""
    entry = fields(value, "authorization")

    def number(name: str) -> int:
        read: int = _field(quantity, entry.get(name), f"authorization {name}")
        return read

    target: Address = _field(address, entry.get("address"), "authorization address")
    return Authorization(
        chain_id=number("chainId"),
        address=target,
        nonce=number("nonce"),
        y_parity=number("yParity" if entry.get("yParity") is not None else "v"),
        r=number("r"),
        s=number("s"),
    )


def _blob_hashes(value: object) -> tuple[bytes, ...]:
    if value is None:
        return ()
    return tuple(hash32(item) for item in items(value, "blobVersionedHashes", BLOB_HASHES_MAX))
