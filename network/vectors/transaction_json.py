"""Transactions as JSON: what ``t8n`` takes (signed, or with a secret key), and what a state test spells out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from network.vectors.fields import FieldError, address, data, mapping, member, number, sequence
from node.crypto import secp256k1
from node.primitives.scalars import Address
from node.types.transactions import (
    ACCESS_LIST,
    BLOB,
    FEE_MARKET,
    LEGACY,
    SET_CODE,
    AccessListEntry,
    Authorization,
    Transaction,
)

_ZERO_KEY: Final = b"\x00" * 32


def read_transaction(value: object, field: str, chain_id: int) -> Transaction:
    """A ``t8n`` transaction. One with ``secretKey`` and no signature is signed. Raises FieldError.

    ``chain_id`` is what an unsigned transaction without its own is signed for; ``protected: false`` leaves it out
    of a legacy signature (EIP-155).
    """
    fields = mapping(value, field)
    key = data(fields["secretKey"], f"{field}.secretKey", 32) if fields.get("secretKey") else None
    r, s = (number(fields.get(name) or 0, f"{field}.{name}") for name in ("r", "s"))
    tx = unsigned(fields, field, chain_id)
    if key is not None and r == 0 and s == 0:
        if tx.type == LEGACY and fields.get("protected") is False:
            tx = replace(tx, chain_id=None)
        return sign(tx, key, f"{field}.secretKey")
    parity = fields.get("yParity")
    v = number(parity if parity is not None and fields.get("v") is None else fields.get("v") or 0, f"{field}.v")
    if tx.type != LEGACY:
        return replace(tx, y_parity=v, r=r, s=s)
    if v in (27, 28):
        return replace(tx, chain_id=None, y_parity=v - 27, r=r, s=s)
    if v < 35:
        raise FieldError(f"{field}.v", f"{v} is no signature of a legacy transaction, and there is no secretKey")
    return replace(tx, chain_id=(v - 35) // 2, y_parity=(v - 35) % 2, r=r, s=s)


def sign(tx: Transaction, key: bytes, field: str) -> Transaction:
    """The transaction with the key's signature. Raises FieldError for a number that is no key."""
    if not 0 < int.from_bytes(key, "big") < secp256k1.ORDER:
        raise FieldError(field, "not a secp256k1 private key")
    return tx.signed_by(key)


def unsigned(fields: Mapping[str, Any], field: str, chain_id: int) -> Transaction:
    """Everything but the signature. The type is told, or follows from the fields that are there; a told type leaves
    aside what it does not have."""
    kind = number(fields["type"], f"{field}.type", 8) if fields.get("type") is not None else _kind(fields)
    if kind > SET_CODE:
        raise FieldError(f"{field}.type", f"there is no transaction type {kind}")
    own_chain = fields.get("chainId")
    price = fields.get("gasPrice")
    if kind <= ACCESS_LIST:
        most = tip = number(price if price is not None else 0, f"{field}.gasPrice")
    else:
        most = number(member(fields, "maxFeePerGas", field), f"{field}.maxFeePerGas")
        tip = number(fields.get("maxPriorityFeePerGas") or 0, f"{field}.maxPriorityFeePerGas")
    to = fields.get("to")
    target = address(to, f"{field}.to") if to else None
    blob = fields if kind == BLOB else {}
    authorizations = fields.get("authorizationList") if kind == SET_CODE else None
    if target is None and kind in (BLOB, SET_CODE):
        raise FieldError(f"{field}.to", f"missing; a transaction of type {kind} cannot create")
    gas_name = "gas" if "gas" in fields else "gasLimit"
    data_name = "input" if "input" in fields else "data"
    return Transaction(
        type=kind,
        nonce=number(fields.get("nonce") or 0, f"{field}.nonce", 64),
        gas_limit=number(member(fields, gas_name, field), f"{field}.{gas_name}", 64),
        to=target,
        value=number(fields.get("value") or 0, f"{field}.value"),
        data=data(fields.get(data_name) or "0x", f"{field}.{data_name}"),
        max_fee_per_gas=most,
        max_priority_fee_per_gas=tip,
        chain_id=number(own_chain, f"{field}.chainId") if own_chain is not None else chain_id,
        access_list=read_access_list(fields.get("accessList"), f"{field}.accessList") if kind != LEGACY else (),
        max_fee_per_blob_gas=number(blob.get("maxFeePerBlobGas") or 0, f"{field}.maxFeePerBlobGas"),
        blob_versioned_hashes=tuple(
            data(entry, f"{field}.blobVersionedHashes", 32)
            for entry in sequence(blob.get("blobVersionedHashes") or [], f"{field}.blobVersionedHashes")
        ),
        authorization_list=tuple(
            _authorization(entry, f"{field}.authorizationList[{index}]")
            for index, entry in enumerate(sequence(authorizations or [], f"{field}.authorizationList"))
        ),
    )


def _kind(fields: Mapping[str, Any]) -> int:
    if fields.get("authorizationList") is not None:
        return SET_CODE
    if fields.get("blobVersionedHashes") is not None or fields.get("maxFeePerBlobGas") is not None:
        return BLOB
    if fields.get("maxFeePerGas") is not None:
        return FEE_MARKET
    return ACCESS_LIST if fields.get("accessList") is not None else LEGACY


def read_access_list(value: object, field: str) -> tuple[AccessListEntry, ...]:
    """``[{address, storageKeys}]``; null is an empty one. Raises FieldError."""
    entries: list[AccessListEntry] = []
    for index, entry in enumerate(sequence(value if value is not None else [], field)):
        where = f"{field}[{index}]"
        held = mapping(entry, where)
        keys = sequence(held.get("storageKeys") or [], f"{where}.storageKeys")
        entries.append(
            (
                address(member(held, "address", where), f"{where}.address"),
                tuple(number(key, f"{where}.storageKeys") for key in keys),
            )
        )
    return tuple(entries)


def _authorization(value: object, field: str) -> Authorization:
    """An EIP-7702 authorization: signed, or with the ``secretKey`` that signs it."""
    held = mapping(value, field)
    parity = next((held[name] for name in ("yParity", "v") if held.get(name) is not None), 0)
    found = Authorization(
        chain_id=number(member(held, "chainId", field), f"{field}.chainId"),
        address=address(member(held, "address", field), f"{field}.address"),
        nonce=number(member(held, "nonce", field), f"{field}.nonce", 64),
        y_parity=number(parity, f"{field}.yParity", 8),
        r=number(held.get("r") or 0, f"{field}.r"),
        s=number(held.get("s") or 0, f"{field}.s"),
    )
    if held.get("secretKey") and not found.r and not found.s:
        key = data(held["secretKey"], f"{field}.secretKey", 32)
        y_parity, r, s = secp256k1.sign(found.signing_hash(), key)
        found = replace(found, y_parity=y_parity, r=r, s=s)
    return found


def state_test_transaction(fields: Mapping[str, Any], indexes: Mapping[str, Any], chain_id: int) -> Transaction:
    """The transaction of a state test without ``txbytes``: one of each list, unprotected where it is a legacy one.

    Signed with ``secretKey``, or taken as ``sender``'s. Raises FieldError.
    """
    chosen = dict(fields)
    lists = {"data": "data", "gasLimit": "gas", "value": "value", "accessLists": "data"}
    for name, index_name in lists.items():
        if fields.get(name) is None:
            continue
        options = sequence(fields[name], f"transaction.{name}")
        index = number(member(indexes, index_name, "post.indexes"), f"post.indexes.{index_name}", 32)
        if index >= len(options):
            raise FieldError(f"post.indexes.{index_name}", f"{index}, and transaction.{name} has {len(options)}")
        chosen[name] = options[index]
    if "accessLists" in chosen:
        chosen["accessList"] = chosen.pop("accessLists")
    tx = unsigned(chosen, "transaction", chain_id)
    if tx.type == LEGACY:
        tx = replace(tx, chain_id=None)
    key = data(fields["secretKey"], "transaction.secretKey", 32) if fields.get("secretKey") else _ZERO_KEY
    if key != _ZERO_KEY:
        return sign(tx, key, "transaction.secretKey")
    return as_sent_by(tx, address(member(fields, "sender", "transaction"), "transaction.sender"))


def as_sent_by(tx: Transaction, sender: Address) -> Transaction:
    """A transaction that nobody signed, with its sender known (its signature is a placeholder in form)."""
    return replace(tx, y_parity=0, r=1, s=1).sent_by(sender)
