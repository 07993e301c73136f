"""Accounts whose keys the node has, on a chain for development: eth_accounts, eth_sendTransaction, signing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson

from node.crypto.hashes import keccak256
from node.crypto.secp256k1 import sign as sign_digest
from node.execution.calls import CallRequest
from node.primitives.hexadecimal import to_data
from node.primitives.scalars import Address, Hash32
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.call_parameters import call_request
from node.rpc.errors import invalid_params, refused
from node.rpc.eth_fill import filled_transaction, gas_needed
from node.rpc.methods import MethodTable
from node.rpc.parameters import ParameterError
from node.rpc.typed_data import InvalidTypedData, TypedData, read_typed_data
from node.txpool.rejection import PoolRejected


def typed_data(value: object) -> TypedData:
    """Read the document, also where it comes as JSON text. Raises ParameterError."""
    try:
        return read_typed_data(orjson.loads(value) if isinstance(value, str) else value)
    except (InvalidTypedData, orjson.JSONDecodeError) as error:
        raise ParameterError(f"typed data: {error}") from None


METHODS: Final = MethodTable({CallRequest: call_request, TypedData: typed_data})
method = METHODS.method


@method("eth_accounts")
def accounts(api: Api) -> list[str]:
    """Those that this node signs for: the funded ones of a network for development, else none."""
    return [to_data(account) for account in api.dev.keys]


def _key(api: Api, account: Address) -> bytes:
    key = api.dev.keys.get(account)
    if key is None:
        raise refused("unknown account")
    return key


@method("eth_sendTransaction")
async def send_transaction(api: Api, request: CallRequest) -> str:
    """Fill in what is missing, sign or act for an impersonated account, hand to the pool. Answers with the hash."""
    key = api.dev.keys.get(request.sender)
    if key is None and not api.dev.may_act_for(request.sender):
        raise refused("unknown account")
    if key is None:
        free = replace(request, gas_price=None, max_fee_per_gas=None, max_priority_fee_per_gas=None)
        gas = await gas_needed(api, free) if request.gas is None else request.gas
        return to_data(api.dev.act(request.sender, request.to, request.value, request.data, gas, request.nonce).hash)
    signed = (await filled_transaction(api, request)).signed_by(key)
    try:
        api.backend.pool.add(signed, local=True)
    except PoolRejected as error:
        raise refused(error.message) from error
    return to_data(signed.hash)


@method("eth_signTransaction")
async def sign_transaction(api: Api, request: CallRequest) -> dict[str, Any]:
    """The transaction filled in and signed, not sent."""
    key = _key(api, request.sender)
    signed = (await filled_transaction(api, request)).signed_by(key)
    return {"raw": to_data(signed.encode()), "tx": encoding.pending_transaction(signed)}


def _message_digest(message: bytes) -> Hash32:
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)


def _signature(key: bytes, digest: Hash32) -> str:
    y_parity, r, s = sign_digest(digest, key)
    return to_data(r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((27 + y_parity,)))


@method("eth_signTypedData_v4")
def sign_typed_data(api: Api, account: Address, document: TypedData) -> str:
    """r ‖ s ‖ v over a document of types and values (EIP-712)."""
    key = _key(api, account)
    try:
        return _signature(key, document.digest())
    except InvalidTypedData as error:
        raise invalid_params(f"invalid argument 1: typed data: {error}") from None


@method("eth_sign")
def sign(api: Api, account: Address, message: bytes) -> str:
    """r ‖ s ‖ v over the message with its prefix (EIP-191, version 0x45)."""
    return _signature(_key(api, account), _message_digest(message))


@method("personal_sign")
def personal_sign(api: Api, message: bytes, account: Address, password: str = "") -> str:
    """As eth_sign, arguments the other way round; a password is not needed."""
    return _signature(_key(api, account), _message_digest(message))
