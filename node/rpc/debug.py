"""debug: traces of transactions, blocks and calls; blocks, receipts and transactions as bytes; storage in trie order.

Whatever is run again runs in the lane for traces: one at a time, off the event loop, bounded in time and bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NewType

from node.crypto.hashes import EMPTY_TRIE_ROOT
from node.evm.tracers.catalogue import TracerError, make_tracer
from node.evm.tracers.nesting import writable
from node.evm.tracers.transaction_tracer import Budget, TraceAborted, TransactionTracer
from node.execution.calls import CallRequest, surroundings_of
from node.execution.geth_words import geth_message
from node.execution.tracing import (
    Replay,
    changes_before,
    intermediate_roots,
    trace_block,
    trace_call,
    trace_transaction,
)
from node.primitives import rlp
from node.primitives.hexadecimal import to_data
from node.primitives.scalars import Address, Hash32
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.block_lookup import require_state
from node.rpc.call_parameters import call_request
from node.rpc.errors import RESOURCE_NOT_FOUND, RpcError, invalid_params, refused
from node.rpc.eth_calls import Surroundings, TimedMachine, surroundings
from node.rpc.methods import MethodTable
from node.rpc.parameters import BlockHash, BlockId, BlockNumber, Tag, count
from node.rpc.trace_parameters import CallTraceConfig, TraceConfig, call_trace_config, trace_config
from node.rpc.work_lane import Deadline
from node.state.account import decode_account
from node.state.commit import commit
from node.state.journal import JournaledState
from node.state.overrides import OverlayView, overridden
from node.state.view import StateView, account_key, slot_key
from node.trie.nodes import NodeSource
from node.trie.trie import Trie
from node.types.blocks import Block, decode_block
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.operations import Operation

Count = NewType("Count", int)
"""A JSON number, or hex: geth takes both where it counts."""

METHODS: Final = MethodTable(
    {CallRequest: call_request, TraceConfig: trace_config, CallTraceConfig: call_trace_config, Count: count}
)
method = METHODS.method

Json = dict[str, Any]

STORAGE_RANGE_MAX: Final = 1_024


# --- traces -------------------------------------------------------------------------------------


def tracer_of(config: TraceConfig, deadline: Deadline) -> TransactionTracer:
    """The tracer that the client wants. Raises RpcError for one that is not known."""
    try:
        return make_tracer(config.tracer, config.config, Budget(expired=deadline.passed))
    except TracerError as error:
        raise refused(str(error)) from None


def trace_deadline(api: Api, config: TraceConfig) -> Deadline:
    """How long the trace may take: what the client wants, at most what this node allows."""
    longest = api.backend.limits.trace_time_ms
    return Deadline(api.backend.runtime.clock, min(longest, config.timeout_ms or longest))


def in_words(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result; what can go wrong in a replay in the words of an answer. Raises RpcError."""
    try:
        return function(*arguments)
    except TraceAborted as error:
        raise refused(str(error)) from None
    except InvalidTransaction as error:
        raise refused(f"tracing failed: {geth_message(error)}") from None
    except InvalidBlock as error:
        raise refused(f"tracing failed: {error}") from None


def make_replay(api: Api, block: Block, deadline: Deadline, operations: tuple[Operation, ...] | None = None) -> Replay:
    """The block on its parent's state. Raises RpcError.

    ``operations``: what consensus ordered ahead of its transactions; None for what is stored beside it.
    """
    chain = api.backend.chain
    if block.number == 0:
        raise refused("genesis is not traceable")
    parent = chain.header_by_hash(block.header.parent_hash)
    if parent is None:
        raise refused(f"parent {to_data(block.header.parent_hash)} not found")
    require_state(chain, parent)
    return Replay(
        block=block,
        view=chain.view_at(parent),
        spec=chain.next_spec(parent, block.header.timestamp),
        vm=TimedMachine(api.backend.vm, deadline),
        chain_id=chain.chain_id,
        block_hash=chain.block_hashes(parent),
        operations=chain.operations_of(block.hash) if operations is None else operations,
    )


@method("debug_traceTransaction")
async def debug_trace_transaction(api: Api, transaction_hash: Hash32, config: TraceConfig | None = None) -> Any:
    """A mined transaction's trace; those before it in its block are run first."""
    config = config or TraceConfig()
    block, index = located(api, transaction_hash)
    deadline = trace_deadline(api, config)
    replay, tracer = make_replay(api, block, deadline), tracer_of(config, deadline)
    return writable(await api.trace_lane.run(in_words, trace_transaction, replay, index, tracer))


def located(api: Api, transaction_hash: Hash32) -> tuple[Block, int]:
    """The block that a mined transaction is in, and its place there. Raises RpcError."""
    location = api.backend.chain.transaction_location(transaction_hash)
    block = None if location is None else api.backend.chain.block_by_hash(location[0])
    if location is None or block is None:
        raise refused("transaction not found")
    return block, location[1]


@method("debug_traceBlockByNumber")
async def debug_trace_block_by_number(api: Api, number: BlockNumber, config: TraceConfig | None = None) -> list[Json]:
    """The traces of a block's transactions, in order."""
    block = None if number is Tag.PENDING else api.blocks.block(number)
    if block is None:
        raise refused("block not found" if isinstance(number, Tag) else f"block #{number} not found")
    return await _trace_block(api, block, config or TraceConfig())


@method("debug_traceBlockByHash")
async def debug_trace_block_by_hash(api: Api, block_hash: Hash32, config: TraceConfig | None = None) -> list[Json]:
    """The traces of a block's transactions, in order."""
    block = api.blocks.block(BlockHash(block_hash))
    if block is None:
        raise refused(f"block {to_data(block_hash)} not found")
    return await _trace_block(api, block, config or TraceConfig())


@method("debug_traceBlock")
async def debug_trace_block(api: Api, encoded: bytes, config: TraceConfig | None = None) -> list[Json]:
    """As by hash, for a block that is handed in as RLP; its parent must be known."""
    try:
        block = decode_block(encoded)
    except (InvalidBlock, InvalidTransaction, rlp.RLPError) as error:
        raise refused(f"could not decode block: {error}") from None
    return await _trace_block(api, block, config or TraceConfig())


async def _trace_block(api: Api, block: Block, config: TraceConfig) -> list[Json]:
    deadline = trace_deadline(api, config)
    replay = make_replay(api, block, deadline)
    budget = Budget(expired=deadline.passed)  # one for the whole answer

    def make() -> TransactionTracer:
        return make_tracer(config.tracer, config.config, budget)

    tracer_of(config, deadline)  # refused before anything runs

    def run() -> list[Json]:
        return [{"txHash": to_data(tx.hash), "result": writable(trace)} for tx, trace in trace_block(replay, make)]

    traces: list[Json] = await api.trace_lane.run(in_words, run)
    return traces


@method("debug_traceCall")
async def debug_trace_call(
    api: Api, request: CallRequest, block: BlockId = Tag.LATEST, config: CallTraceConfig | None = None
) -> Any:
    """The trace of a call on a block's state, which overrides may change first."""
    config = config or CallTraceConfig()
    deadline = trace_deadline(api, config.trace)
    tracer = tracer_of(config.trace, deadline)
    on = surroundings(api, block, config.state, config.block, deadline)
    prior = None
    if config.transaction_index is not None:
        found = api.blocks.block(block)
        if found is None or config.transaction_index >= len(found.transactions):
            raise refused(f"transaction index {config.transaction_index} out of range")
        prior = (make_replay(api, found, deadline), config.transaction_index)
    return writable(await api.trace_lane.run(in_words, _trace_call, request, on, config, tracer, prior))


def _trace_call(
    request: CallRequest,
    on: Surroundings,
    config: CallTraceConfig,
    tracer: TransactionTracer,
    prior: tuple[Replay, int] | None,
) -> Any:
    environment = surroundings_of(on.header, on.spec, on.chain_id, on.block_hash, on.block)
    view: StateView = on.view
    if prior is not None:
        replay, index = prior
        view = OverlayView(replay.view, changes_before(replay, index))
        if config.state is not None:
            view = overridden(view, config.state.accounts)
    gas = on.gas_cap if request.gas is None else min(request.gas, on.gas_cap)
    return trace_call(request, gas, JournaledState(view), environment, on.spec, on.machine, tracer)


# --- state --------------------------------------------------------------------------------------


@method("debug_intermediateRoots")
async def debug_intermediate_roots(api: Api, block_hash: Hash32, config: TraceConfig | None = None) -> list[str]:
    """The state root after each transaction of a block."""
    block = api.blocks.block(BlockHash(block_hash))
    if block is None:
        raise refused(f"block {to_data(block_hash)} not found")
    replay = make_replay(api, block, trace_deadline(api, config or TraceConfig()))
    nodes = api.backend.chain.nodes_at(block.header)
    roots = await api.trace_lane.run(in_words, intermediate_roots, replay, nodes)
    return [to_data(root) for root in roots]


@method("debug_storageRangeAt")
async def debug_storage_range_at(
    api: Api, block: BlockId, transaction_index: Count, address: Address, start: bytes, most: Count
) -> Json:
    """A contract's slots in the order of the trie, as transaction ``transaction_index`` found them.

    Keys are hashes; ``key`` names the slot where the transactions before have shown it.
    """
    found = api.blocks.block(block)
    if found is None:
        raise refused("block not found")
    if len(start) > 32:
        raise invalid_params("invalid argument 3: a key has at most 32 bytes")
    if found.number and transaction_index >= max(1, len(found.transactions)):
        raise refused(f"transaction index {transaction_index} out of range for block {to_data(found.hash)}")
    deadline = trace_deadline(api, TraceConfig())
    replay = make_replay(api, found, deadline)
    nodes = api.backend.chain.nodes_at(found.header)
    told: Json = await api.trace_lane.run(
        in_words, _storage_range, replay, nodes, transaction_index, address, start, min(most, STORAGE_RANGE_MAX)
    )
    return told


def _storage_range(replay: Replay, nodes: NodeSource, index: int, address: Address, start: bytes, most: int) -> Json:
    changes = changes_before(replay, index)
    before = commit(replay.view.root, changes, nodes)
    new = before.nodes
    change = changes.accounts.get(address)

    def source(node_hash: bytes) -> bytes | None:
        return new.get(Hash32(node_hash)) or nodes(node_hash)

    encoded = Trie(before.root, source).get(account_key(address))
    root = EMPTY_TRIE_ROOT if encoded is None else decode_account(encoded).storage_root
    known = {slot_key(slot): slot for slot in (change.slots if change is not None else ())}
    storage: Json = {}
    for key, value in Trie(root, source).items(start):
        if len(storage) == most:
            return {"storage": storage, "nextKey": to_data(key)}
        slot = known.get(Hash32(key))
        word = rlp.as_int(rlp.decode(value), "storage value")
        storage[to_data(key)] = {"key": None if slot is None else encoding.word(slot), "value": encoding.word(word)}
    return {"storage": storage, "nextKey": None}


# --- bytes --------------------------------------------------------------------------------------


def _block(api: Api, block: BlockId) -> Block:
    found = None if block is Tag.PENDING else api.blocks.block(block)
    if found is None:
        raise refused("block not found")
    return found


@method("debug_getRawHeader")
def get_raw_header(api: Api, block: BlockId) -> str:
    """A header as RLP."""
    return to_data(_block(api, block).header.encode())


@method("debug_getRawBlock")
def get_raw_block(api: Api, block: BlockId) -> str:
    """A block as RLP."""
    return to_data(_block(api, block).encode())


@method("debug_getRawReceipts")
def get_raw_receipts(api: Api, block: BlockId) -> list[str]:
    """A block's receipts in consensus encoding (EIP-2718)."""
    receipts = api.backend.chain.receipts_of(_block(api, block).hash)
    return [to_data(receipt.encode()) for receipt in receipts or ()]


@method("debug_getRawTransaction")
def get_raw_transaction(api: Api, transaction_hash: Hash32) -> str:
    """A transaction as its sender sent it, mined or waiting; no bytes where it is not known."""
    waiting = api.backend.pool.get(transaction_hash)
    if waiting is not None:
        return to_data(waiting.encode())
    try:
        block, index = located(api, transaction_hash)
    except RpcError:
        return "0x"
    return to_data(block.transactions[index].encode())


@method("debug_getRawBlockAccessList")
def get_raw_block_access_list(api: Api, block: BlockId) -> str:
    """EIP-7928. No fork here has blocks with one, so there is none to be had."""
    _block(api, block)
    raise RpcError(RESOURCE_NOT_FOUND, "block access list not found")


@method("debug_getBadBlocks")
def get_bad_blocks(api: Api) -> list[Json]:
    """Refused blocks that were kept for inspection: a block that does not hold is forgotten here, so none."""
    return []
