"""Objects to the JSON shapes that geth gives: one function a type.

Absent is not null: a field that came with a later fork is left out before it, while ``to`` of a creation and
the place of a pending transaction are null. Addresses are lower-case; only txpool_content keys are checksummed.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.evm.addresses import create_address
from node.primitives.hexadecimal import to_data, to_quantity
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block, Header, Withdrawal
from node.types.receipts import Log, Receipt
from node.types.transactions import (
    BLOB,
    FEE_MARKET,
    LEGACY,
    SET_CODE,
    UNSIGNED,
    AccessListEntry,
    Authorization,
    Transaction,
)

Json = dict[str, Any]

GAS_PER_BLOB: Final = 2**17
"""EIP-4844."""
EMPTY_ROOT: Final = EMPTY_TRIE_ROOT
"""Of a list of no transactions, receipts or withdrawals."""
EMPTY_REQUESTS_HASH: Final = Hash32(sha256(b"").digest())
"""Of a block without execution requests (EIP-7685)."""


def optional_data(value: bytes | None) -> str | None:
    """Hex, or null."""
    return None if value is None else to_data(value)


def word(value: int) -> str:
    """A 256-bit number as 32 bytes of data (storage keys and values)."""
    return f"0x{value:064x}"


def checksum_address(address: Address) -> str:
    """Mixed-case hex (EIP-55)."""
    digits = address.hex()
    digest = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) > 7 else digit for digit, nibble in zip(digits, digest, strict=False)
    )


# --- blocks -------------------------------------------------------------------------------------


def header(value: Header) -> Json:
    """A header, as newHeads sends it: the block's fields without size, uncles and transactions."""
    told: Json = {
        "number": to_quantity(value.number),
        "hash": to_data(value.hash),
        "parentHash": to_data(value.parent_hash),
        "nonce": to_data(value.nonce),
        "mixHash": to_data(value.prev_randao),
        "sha3Uncles": to_data(value.ommers_hash),
        "logsBloom": to_data(value.logs_bloom),
        "transactionsRoot": to_data(value.transactions_root),
        "stateRoot": to_data(value.state_root),
        "receiptsRoot": to_data(value.receipts_root),
        "miner": to_data(value.coinbase),
        "difficulty": to_quantity(value.difficulty),
        "extraData": to_data(value.extra_data),
        "gasLimit": to_quantity(value.gas_limit),
        "gasUsed": to_quantity(value.gas_used),
        "timestamp": to_quantity(value.timestamp),
    }
    if value.base_fee_per_gas is not None:
        told["baseFeePerGas"] = to_quantity(value.base_fee_per_gas)
    if value.withdrawals_root is not None:
        told["withdrawalsRoot"] = to_data(value.withdrawals_root)
    if value.blob_gas_used is not None:
        told["blobGasUsed"] = to_quantity(value.blob_gas_used)
    if value.excess_blob_gas is not None:
        told["excessBlobGas"] = to_quantity(value.excess_blob_gas)
    if value.parent_beacon_block_root is not None:
        told["parentBeaconBlockRoot"] = to_data(value.parent_beacon_block_root)
    if value.requests_hash is not None:
        told["requestsHash"] = to_data(value.requests_hash)
    return told


def block(value: Block, full_transactions: bool) -> Json:
    """A block with transaction hashes, or with whole transactions."""
    told = header(value.header)
    told["size"] = to_quantity(len(value.encode()))
    told["uncles"] = [to_data(ommer.hash) for ommer in value.ommers]
    if full_transactions:
        told["transactions"] = [
            mined_transaction(tx, value.header, index) for index, tx in enumerate(value.transactions)
        ]
    else:
        told["transactions"] = [to_data(tx.hash) for tx in value.transactions]
    if value.withdrawals is not None:
        told["withdrawals"] = [withdrawal(item) for item in value.withdrawals]
    return told


def uncle(value: Header) -> Json:
    """An uncle: a block without transactions."""
    return {**header(value), "size": to_quantity(len(Block(value, ()).encode())), "uncles": []}


def withdrawal(value: Withdrawal) -> Json:
    """``amount`` in gwei (EIP-4895)."""
    return {
        "index": to_quantity(value.index),
        "validatorIndex": to_quantity(value.validator_index),
        "address": to_data(value.address),
        "amount": to_quantity(value.amount_gwei),
    }


# --- transactions -------------------------------------------------------------------------------


def access_list(entries: Sequence[AccessListEntry]) -> list[Json]:
    """EIP-2930."""
    return [{"address": to_data(address), "storageKeys": [word(slot) for slot in slots]} for address, slots in entries]


def authorization(value: Authorization) -> Json:
    """EIP-7702."""
    return {
        "chainId": to_quantity(value.chain_id),
        "address": to_data(value.address),
        "nonce": to_quantity(value.nonce),
        "yParity": to_quantity(value.y_parity),
        "r": to_quantity(value.r),
        "s": to_quantity(value.s),
    }


def _transaction(tx: Transaction, gas_price: int) -> Json:
    told: Json = {
        "blockHash": None,
        "blockNumber": None,
        "blockTimestamp": None,
        "from": to_data(tx.sender),
        "gas": to_quantity(tx.gas_limit),
        "gasPrice": to_quantity(gas_price),
        "hash": to_data(tx.hash),
        "input": to_data(tx.data),
        "nonce": to_quantity(tx.nonce),
        "to": optional_data(tx.to),
        "transactionIndex": None,
        "value": to_quantity(tx.value),
        "type": to_quantity(tx.type),
    }
    if tx.type >= FEE_MARKET:
        told["maxFeePerGas"] = to_quantity(tx.max_fee_per_gas)
        told["maxPriorityFeePerGas"] = to_quantity(tx.max_priority_fee_per_gas)
    if tx.type == BLOB:
        told["maxFeePerBlobGas"] = to_quantity(tx.max_fee_per_blob_gas)
        told["blobVersionedHashes"] = [to_data(item) for item in tx.blob_versioned_hashes]
    if tx.type == SET_CODE:
        told["authorizationList"] = [authorization(item) for item in tx.authorization_list]
    if tx.chain_id is not None:
        told["chainId"] = to_quantity(tx.chain_id)
    if tx.type == UNSIGNED:
        # what clients can read: they know no such type, and no transaction without a signature
        told |= {"type": to_quantity(FEE_MARKET), "v": "0x0", "r": "0x1", "s": "0x1"}
    else:
        told |= {"v": to_quantity(tx.v), "r": to_quantity(tx.r), "s": to_quantity(tx.s)}
    if tx.type != LEGACY:
        told["accessList"] = access_list(tx.access_list)
        told["yParity"] = to_quantity(tx.y_parity)
    return told


def pending_transaction(tx: Transaction) -> Json:
    """A transaction in the pool: no place yet; ``gasPrice`` is the fee cap."""
    return _transaction(tx, tx.max_fee_per_gas)


def mined_transaction(tx: Transaction, where: Header, index: int) -> Json:
    """A transaction in a block; ``gasPrice`` is what it paid a gas there."""
    told = _transaction(tx, tx.effective_gas_price(where.base_fee_per_gas or 0))
    told["blockHash"] = to_data(where.hash)
    told["blockNumber"] = to_quantity(where.number)
    told["blockTimestamp"] = to_quantity(where.timestamp)
    told["transactionIndex"] = to_quantity(index)
    return told


# --- receipts and logs --------------------------------------------------------------------------


def log(value: Log, where: Header, transaction_hash: Hash32, index: int, log_index: int, removed: bool = False) -> Json:
    """``log_index`` counts over the block."""
    return {
        "address": to_data(value.address),
        "topics": [to_data(topic) for topic in value.topics],
        "data": to_data(value.data),
        "blockNumber": to_quantity(where.number),
        "transactionHash": to_data(transaction_hash),
        "transactionIndex": to_quantity(index),
        "blockHash": to_data(where.hash),
        "blockTimestamp": to_quantity(where.timestamp),
        "logIndex": to_quantity(log_index),
        "removed": removed,
    }


def receipt(
    value: Receipt,
    tx: Transaction,
    where: Header,
    index: int,
    *,
    gas_used_before: int,
    first_log_index: int,
    blob_base_fee: int | None,
) -> Json:
    """A receipt with what the block and the transaction say around it.

    ``gas_used_before``: cumulative gas of the preceding transactions; ``blob_base_fee``: wei a blob gas.
    """
    told: Json = {
        "blockHash": to_data(where.hash),
        "blockNumber": to_quantity(where.number),
        "contractAddress": to_data(create_address(tx.sender, tx.nonce)) if tx.to is None else None,
        "cumulativeGasUsed": to_quantity(value.cumulative_gas_used),
        "effectiveGasPrice": to_quantity(tx.effective_gas_price(where.base_fee_per_gas or 0)),
        "from": to_data(tx.sender),
        "gasUsed": to_quantity(value.cumulative_gas_used - gas_used_before),
        "logs": [log(item, where, tx.hash, index, first_log_index + n) for n, item in enumerate(value.logs)],
        "logsBloom": to_data(value.bloom),
        "to": optional_data(tx.to),
        "transactionHash": to_data(tx.hash),
        "transactionIndex": to_quantity(index),
        "type": to_quantity(FEE_MARKET if value.type == UNSIGNED else value.type),
    }
    if isinstance(value.status_or_root, bytes):
        told["root"] = to_data(value.status_or_root)
    else:
        told["status"] = to_quantity(value.status_or_root)
    if tx.type == BLOB:
        told["blobGasUsed"] = to_quantity(GAS_PER_BLOB * len(tx.blob_versioned_hashes))
        if blob_base_fee is not None:
            told["blobGasPrice"] = to_quantity(blob_base_fee)
    return told


def block_receipts(value: Block, receipts: Sequence[Receipt], blob_base_fee: int | None) -> list[Json]:
    """All receipts of a block, in order."""
    told: list[Json] = []
    gas_used = log_index = 0
    for index, (tx, item) in enumerate(zip(value.transactions, receipts, strict=True)):
        told.append(
            receipt(
                item,
                tx,
                value.header,
                index,
                gas_used_before=gas_used,
                first_log_index=log_index,
                blob_base_fee=blob_base_fee,
            )
        )
        gas_used = item.cumulative_gas_used
        log_index += len(item.logs)
    return told
