"""eth: sending transactions and finding them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from node.chain.feed import News
from node.primitives.hexadecimal import to_data
from node.primitives.scalars import Hash32
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.errors import RpcError, refused
from node.rpc.methods import MethodTable
from node.rpc.parameters import BlockHash, BlockId, BlockNumber
from node.txpool.rejection import PoolRejected
from node.types import transactions
from node.types.blobs import InvalidSidecar, Sidecar, decode_wrapped
from node.types.invalid import InvalidTransaction, TransactionReason
from node.types.transactions import BLOB, Transaction

METHODS: Final = MethodTable()
method = METHODS.method

Json = dict[str, Any]


def decoded(raw: bytes) -> tuple[Transaction, Sidecar | None]:
    """A transaction as a wallet sends it; blob transactions come wrapped with their blobs. Raises RpcError."""
    try:
        if raw[:1] != bytes((BLOB,)):
            return transactions.decode(raw), None
        inner, sidecar = decode_wrapped(raw)
        return transactions.decode(inner), sidecar
    except InvalidSidecar as error:
        raise refused(str(error)) from error
    except InvalidTransaction as error:
        raise refused(_decoding_words(error)) from error


def _decoding_words(error: InvalidTransaction) -> str:
    if error.reason is TransactionReason.TYPE_NOT_SUPPORTED:
        return "transaction type not supported"
    if error.reason is TransactionReason.INVALID_SIGNATURE_VRS:
        return "invalid transaction v, r, s values"
    problem = error.facts.get("problem")
    return f"rlp: {problem}" if problem else f"rlp: {error}"


@method("eth_sendRawTransaction")
async def send_raw_transaction(api: Api, raw: bytes) -> str:
    """Into the pool of this node, which tells the others. Answers with the hash."""
    tx, sidecar = decoded(raw)
    unchecked = sidecar if tx.hash not in api.backend.pool else None
    if unchecked is not None and not await api.backend.runtime.workers.run(unchecked.holds):
        raise refused("invalid blob: its proofs do not hold")
    try:
        api.backend.pool.add(tx, local=True, sidecar=sidecar)
    except PoolRejected as error:
        raise refused(error.message) from error
    return to_data(tx.hash)


SYNC_TIMEOUT_MS: Final = 20_000
SYNC_TIMEOUT_MS_MAX: Final = 25_000
"""Below the time limit of a request, so that the answer names the hash."""
NOT_YET_INCLUDED: Final = 4
"""EIP-7966: taken into the pool, but in no block within the time."""


@method("eth_sendRawTransactionSync")
async def send_raw_transaction_sync(api: Api, raw: bytes, timeout_ms: int | None = None) -> Json:
    """Into the pool, then wait for its receipt (EIP-7966). On a timeout the error's data is the hash."""
    wait_ms = min(timeout_ms or SYNC_TIMEOUT_MS, SYNC_TIMEOUT_MS_MAX)
    news_came = asyncio.Event()

    def told(news: News) -> None:
        news_came.set()

    unsubscribe = api.backend.chain.feed.subscribe(told)
    try:
        transaction_hash = await send_raw_transaction(api, raw)
        key = Hash32(bytes.fromhex(transaction_hash[2:]))
        async with asyncio.timeout(wait_ms / 1000):
            while (receipt := await get_transaction_receipt(api, key)) is None:
                await news_came.wait()
                news_came.clear()
        return receipt
    except TimeoutError:
        raise RpcError(
            NOT_YET_INCLUDED,
            f"the transaction was added to the transaction pool but wasn't processed in {wait_ms}ms",
            transaction_hash,
        ) from None
    finally:
        unsubscribe()


def _mined(api: Api, transaction_hash: Hash32) -> tuple[Transaction, Any, int] | None:
    location = api.backend.chain.transaction_location(transaction_hash)
    block = None if location is None else api.backend.chain.block_by_hash(location[0])
    if location is None or block is None:
        return None
    return block.transactions[location[1]], block.header, location[1]


@method("eth_getTransactionByHash")
def get_transaction_by_hash(api: Api, transaction_hash: Hash32) -> Json | None:
    """A mined or a waiting transaction; null for any other."""
    mined = _mined(api, transaction_hash)
    if mined is not None:
        return encoding.mined_transaction(*mined)
    waiting = api.backend.pool.get(transaction_hash)
    return None if waiting is None else encoding.pending_transaction(waiting)


@method("eth_getRawTransactionByHash")
def get_raw_transaction_by_hash(api: Api, transaction_hash: Hash32) -> str | None:
    """The canonical encoding of a mined or waiting transaction."""
    mined = _mined(api, transaction_hash)
    found = mined[0] if mined is not None else api.backend.pool.get(transaction_hash)
    return None if found is None else to_data(found.encode())


def _at(api: Api, block: BlockId, index: int) -> tuple[Transaction, Any, int] | None:
    found = api.blocks.block(block)
    if found is None or index >= len(found.transactions):
        return None
    return found.transactions[index], found.header, index


@method("eth_getTransactionByBlockNumberAndIndex")
def get_transaction_by_number(api: Api, block: BlockNumber, index: int) -> Json | None:
    """One transaction of a block."""
    found = _at(api, block, index)
    return None if found is None else encoding.mined_transaction(*found)


@method("eth_getTransactionByBlockHashAndIndex")
def get_transaction_by_block_hash(api: Api, block_hash: Hash32, index: int) -> Json | None:
    """One transaction of a block."""
    found = _at(api, BlockHash(block_hash), index)
    return None if found is None else encoding.mined_transaction(*found)


@method("eth_getRawTransactionByBlockNumberAndIndex")
def get_raw_transaction_by_number(api: Api, block: BlockNumber, index: int) -> str | None:
    """One transaction of a block, encoded."""
    found = _at(api, block, index)
    return None if found is None else to_data(found[0].encode())


@method("eth_getRawTransactionByBlockHashAndIndex")
def get_raw_transaction_by_block_hash(api: Api, block_hash: Hash32, index: int) -> str | None:
    """One transaction of a block, encoded."""
    found = _at(api, BlockHash(block_hash), index)
    return None if found is None else to_data(found[0].encode())


@method("eth_getTransactionReceipt")
async def get_transaction_receipt(api: Api, transaction_hash: Hash32) -> Json | None:
    """The receipt of a mined transaction; null while it waits or is unknown."""
    location = api.backend.chain.transaction_location(transaction_hash)
    if location is None:
        return None
    header = api.backend.chain.header_by_hash(location[0])
    encoded = None if header is None else await api.blocks.receipts(header)
    return None if encoded is None else encoded.receipts[location[1]]
