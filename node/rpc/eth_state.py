"""eth: accounts, code, storage and proofs at a block."""

from __future__ import annotations

from typing import Any, Final

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives.hexadecimal import to_data, to_quantity
from node.primitives.scalars import Address, Hash32
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.methods import MethodTable
from node.rpc.parameters import BlockId, ParameterError, StorageKey, Tag, fields, items, storage_key
from node.rpc.parameters import address as parse_address
from node.state.account import EMPTY_ACCOUNT
from node.state.view import StateView
from node.trie.nodes import NodeSource
from node.trie.proofs import proof

STORAGE_VALUES_MAX: Final = 1_024
"""Slots in one eth_getStorageValues (geth)."""

Json = dict[str, Any]


class StorageRequests(dict[Address, list[StorageKey]]):
    """{address: [slot, …]}, the argument of eth_getStorageValues."""


def storage_requests(value: object) -> StorageRequests:
    """Read them; bounded over all accounts."""
    wanted = StorageRequests()
    for text, keys in fields(value, "requests").items():
        wanted[parse_address(text)] = [storage_key(key) for key in items(keys, "slots", STORAGE_VALUES_MAX)]
    total = sum(len(keys) for keys in wanted.values())
    if not total:
        raise ParameterError("empty request")
    if total > STORAGE_VALUES_MAX:
        raise ParameterError(f"too many slots (max {STORAGE_VALUES_MAX})")
    return wanted


METHODS: Final = MethodTable({StorageRequests: storage_requests})
method = METHODS.method


@method("eth_getBalance")
def get_balance(api: Api, address: Address, block: BlockId = Tag.LATEST) -> str:
    """Wei."""
    _, view = api.blocks.state(block)
    account = view.account(address)
    return to_quantity(0 if account is None else account.balance)


@method("eth_getTransactionCount")
def get_transaction_count(api: Api, address: Address, block: BlockId = Tag.LATEST) -> str:
    """The account's nonce; ``pending`` counts what the pool would send next."""
    _, view = api.blocks.state(block)
    account = view.account(address)
    nonce = 0 if account is None else account.nonce
    if block is Tag.PENDING:
        nonce = max(nonce, api.backend.pool.pending_nonce(address) or 0)
    return to_quantity(nonce)


@method("eth_getCode")
def get_code(api: Api, address: Address, block: BlockId = Tag.LATEST) -> str:
    """Code, or the designator of a delegated account (EIP-7702)."""
    _, view = api.blocks.state(block)
    account = view.account(address)
    return "0x" if account is None else to_data(view.code(account.code_hash))


@method("eth_getStorageAt")
def get_storage_at(api: Api, address: Address, key: StorageKey, block: BlockId = Tag.LATEST) -> str:
    """A slot's value, always 32 bytes."""
    _, view = api.blocks.state(block)
    return encoding.word(view.slot(address, key.slot))


@method("eth_getStorageValues")
def get_storage_values(api: Api, requests: StorageRequests, block: BlockId = Tag.LATEST) -> Json:
    """Many slots of many accounts."""
    _, view = api.blocks.state(block)
    return {
        to_data(address): [encoding.word(view.slot(address, key.slot)) for key in keys]
        for address, keys in requests.items()
    }


@method("eth_getProof")
async def get_proof(api: Api, address: Address, keys: tuple[StorageKey, ...], block: BlockId = Tag.LATEST) -> Json:
    """Merkle proofs of an account and of slots of it against the block's state root (EIP-1186)."""
    header, view = api.blocks.committed(block)
    source = api.backend.chain.nodes_at(api.backend.chain.head if block is Tag.PENDING else header)
    return await api.lane.run(_proof, view, source, header.state_root, address, keys)


def _proof(
    view: StateView, source: NodeSource, state_root: Hash32, address: Address, keys: tuple[StorageKey, ...]
) -> Json:
    account = view.account(address) or EMPTY_ACCOUNT
    return {
        "address": to_data(address),
        "accountProof": [to_data(node) for node in _nodes(state_root, source, keccak256(address))],
        "balance": to_quantity(account.balance),
        "codeHash": to_data(account.code_hash),
        "nonce": to_quantity(account.nonce),
        "storageHash": to_data(account.storage_root),
        "storageProof": [
            {
                "key": encoding.word(key.slot) if key.is_word else to_quantity(key.slot),
                "value": to_quantity(view.slot(address, key.slot)),
                "proof": [
                    to_data(node)
                    for node in _nodes(account.storage_root, source, keccak256(key.slot.to_bytes(32, "big")))
                ],
            }
            for key in keys
        ],
    }


def _nodes(root: Hash32, source: NodeSource, key: bytes) -> list[bytes]:
    """The nodes from the root towards ``key``; none in an empty trie (geth)."""
    return [] if root == EMPTY_TRIE_ROOT else proof(root, source, key)
