"""eth: blocks and their receipts."""

from __future__ import annotations

from typing import Any, Final

from node.primitives.hexadecimal import to_data, to_quantity
from node.primitives.scalars import Hash32
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.block_lookup import INLINE_TRANSACTIONS_MAX
from node.rpc.methods import MethodTable
from node.rpc.parameters import BlockHash, BlockId, BlockNumber, Tag
from node.types.blocks import Block

METHODS: Final = MethodTable()
method = METHODS.method

Json = dict[str, Any]


@method("eth_chainId")
def chain_id(api: Api) -> str:
    """EIP-695."""
    return to_quantity(api.backend.chain.chain_id)


@method("eth_blockNumber")
def block_number(api: Api) -> str:
    """Height of the head."""
    return to_quantity(api.backend.chain.head.number)


@method("eth_coinbase")
def coinbase(api: Api) -> str:
    """Who got the fees of the head block: nodes here answer alike, whoever proposes next."""
    return to_data(api.backend.chain.head.coinbase)


@method("eth_syncing")
def syncing(api: Api) -> bool | Json:
    """False, or how far catching up has come."""
    facts = api.backend.consensus.inspect().get("syncing")
    if not isinstance(facts, dict):
        return False
    return {
        "startingBlock": to_quantity(int(facts.get("from", 0))),
        "currentBlock": to_quantity(api.backend.chain.head.number),
        "highestBlock": to_quantity(int(facts.get("to", api.backend.chain.head.number))),
    }


async def _encoded(api: Api, block: Block | None, full: bool) -> Json | None:
    if block is None:
        return None
    if full and len(block.transactions) > INLINE_TRANSACTIONS_MAX:
        return await api.lane.run(encoding.block, block, True)
    return encoding.block(block, full)


@method("eth_getBlockByNumber")
async def get_block_by_number(api: Api, block: BlockNumber, full: bool = False) -> Json | None:
    """A block by height or tag; null where there is none."""
    return await _encoded(api, api.blocks.block(block), full)


@method("eth_getBlockByHash")
async def get_block_by_hash(api: Api, block_hash: Hash32, full: bool = False) -> Json | None:
    """A block by hash; null where there is none."""
    return await _encoded(api, api.blocks.block(BlockHash(block_hash)), full)


@method("eth_getHeaderByNumber")
def get_header_by_number(api: Api, block: BlockNumber) -> Json | None:
    """A header by height or tag."""
    header = api.blocks.find(block)
    return None if header is None else encoding.header(header)


@method("eth_getHeaderByHash")
def get_header_by_hash(api: Api, block_hash: Hash32) -> Json | None:
    """A header by hash."""
    header = api.blocks.find(BlockHash(block_hash))
    return None if header is None else encoding.header(header)


@method("eth_getBlockTransactionCountByNumber")
def transaction_count_by_number(api: Api, block: BlockNumber) -> str | None:
    """How many transactions a block has."""
    found = api.blocks.block(block)
    return None if found is None else to_quantity(len(found.transactions))


@method("eth_getBlockTransactionCountByHash")
def transaction_count_by_hash(api: Api, block_hash: Hash32) -> str | None:
    """How many transactions a block has."""
    found = api.blocks.block(BlockHash(block_hash))
    return None if found is None else to_quantity(len(found.transactions))


@method("eth_getBlockAccessList")
def get_block_access_list(api: Api, block: BlockId) -> None:
    """EIP-7928. Null: no fork here has blocks with one."""
    api.blocks.find(block)


@method("eth_getUncleCountByBlockNumber")
def uncle_count_by_number(api: Api, block: BlockNumber) -> str | None:
    """How many uncles a block has (0 since the Merge)."""
    found = api.blocks.block(block)
    return None if found is None else to_quantity(len(found.ommers))


@method("eth_getUncleCountByBlockHash")
def uncle_count_by_hash(api: Api, block_hash: Hash32) -> str | None:
    """How many uncles a block has (0 since the Merge)."""
    found = api.blocks.block(BlockHash(block_hash))
    return None if found is None else to_quantity(len(found.ommers))


def _uncle(block: Block | None, index: int) -> Json | None:
    return None if block is None or index >= len(block.ommers) else encoding.uncle(block.ommers[index])


@method("eth_getUncleByBlockNumberAndIndex")
def uncle_by_number(api: Api, block: BlockNumber, index: int) -> Json | None:
    """One uncle."""
    return _uncle(api.blocks.block(block), index)


@method("eth_getUncleByBlockHashAndIndex")
def uncle_by_hash(api: Api, block_hash: Hash32, index: int) -> Json | None:
    """One uncle."""
    return _uncle(api.blocks.block(BlockHash(block_hash)), index)


@method("eth_getBlockReceipts")
async def get_block_receipts(api: Api, block: BlockId) -> list[Json] | None:
    """All receipts of a block; null where there is no such block, empty for one without transactions."""
    if block is Tag.PENDING:
        return []
    header = api.blocks.find(block)
    encoded = None if header is None else await api.blocks.receipts(header)
    return None if encoded is None else encoded.receipts
