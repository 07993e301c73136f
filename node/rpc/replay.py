"""evmesh: a block that is handed in, run here step by step, so that two nodes can be compared (network/bisect).

Nothing is kept, and the block need not be known or valid: what matters is what this node makes of it.
"""

from __future__ import annotations

from typing import Any, Final

from node.crypto.hashes import keccak256
from node.evm.tracers.nesting import writable
from node.execution.geth_words import geth_message
from node.execution.tracing import Replay, trace_transaction
from node.primitives import rlp
from node.primitives.hexadecimal import to_data, to_quantity
from node.rpc.api import Api
from node.rpc.debug import in_words, make_replay, trace_deadline, tracer_of
from node.rpc.errors import invalid_params, refused
from node.rpc.methods import MethodTable
from node.rpc.parameters import BlockId
from node.rpc.trace_parameters import TraceConfig, trace_config
from node.state.commit import commit
from node.trie.nodes import NodeSource
from node.types.blocks import Block, decode_block
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.operations import MalformedOperations, Operation, decode_operations, encode_operations

METHODS: Final = MethodTable({TraceConfig: trace_config})
method = METHODS.method

Json = dict[str, Any]


def _decoded(encoded: bytes) -> Block:
    try:
        return decode_block(encoded)
    except (InvalidBlock, InvalidTransaction, rlp.RLPError) as error:
        raise refused(f"could not decode block: {error}") from None


def _ordered(encoded: bytes | None) -> tuple[Operation, ...] | None:
    try:
        return None if encoded is None else decode_operations(encoded)
    except MalformedOperations as error:
        raise invalid_params(f"could not decode operations: {error}") from None


@method("evmesh_blockOperations")
def block_operations(api: Api, block: BlockId) -> str | None:
    """State writes that consensus ordered into a block (a conviction), as RLP; null where there is no such block.

    They stand beside the block, not in it: whoever runs it elsewhere needs both.
    """
    header = api.blocks.find(block)
    return None if header is None else to_data(encode_operations(api.backend.chain.operations_of(header.hash)))


@method("evmesh_replayBlock")
async def replay_block(api: Api, encoded: bytes, operations: bytes | None = None) -> Json:
    """What executing the block gives here: per transaction gas, status, a hash of each log, and the state root then.

    ``operations`` of evmesh_blockOperations go ahead of it; without, those that are stored here. Where a transaction
    cannot stand, the list ends with its error.
    """
    block = _decoded(encoded)
    deadline = trace_deadline(api, TraceConfig())
    replay = make_replay(api, block, deadline, _ordered(operations))
    nodes = api.backend.chain.nodes_at(api.backend.chain.head)
    told: Json = await api.trace_lane.run(in_words, _replayed, replay, nodes)
    return told


def _replayed(replay: Replay, nodes: NodeSource) -> Json:
    run, journal = replay.start()
    view = replay.view
    before = commit(view.root, journal.diff(), nodes).root
    transactions: list[Json] = []
    for tx in replay.block.transactions:
        entry: Json = {"hash": to_data(tx.hash)}
        transactions.append(entry)
        try:
            result = run.apply(tx)
        except InvalidTransaction as error:
            entry["error"] = geth_message(error)
            break
        entry |= {
            "gasUsed": to_quantity(result.gas_used),
            "status": to_quantity(int(result.succeeded)),
            "logs": [to_data(keccak256(rlp.encode([log.address, list(log.topics), log.data]))) for log in result.logs],
            "stateRoot": to_data(commit(view.root, journal.diff(), nodes).root),
        }
    return {
        "rules": replay.spec.name,
        "parentStateRoot": to_data(view.root),
        "stateRootBefore": to_data(before),
        "transactions": transactions,
    }


@method("evmesh_traceInBlock")
async def trace_in_block(
    api: Api, encoded: bytes, index: int, config: TraceConfig | None = None, operations: bytes | None = None
) -> Any:
    """The trace of one transaction of the block, run here; those before it, and ``operations``, are run first."""
    config = config or TraceConfig()
    block = _decoded(encoded)
    if index >= len(block.transactions):
        raise invalid_params(f"invalid argument 1: the block has {len(block.transactions)} transactions")
    deadline = trace_deadline(api, config)
    replay, tracer = make_replay(api, block, deadline, _ordered(operations)), tracer_of(config, deadline)
    return writable(await api.trace_lane.run(in_words, trace_transaction, replay, index, tracer))
