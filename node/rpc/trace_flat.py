"""trace: calls as a flat list, each with its place in the tree, as OpenEthereum's trace module told them.

callTracer's tree ─▶ depth first ─▶ {action, result or error, traceAddress, subtraces, type}, …
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from node.primitives.hexadecimal import to_data
from node.primitives.scalars import Hash32
from node.rpc.api import Api
from node.rpc.debug import debug_trace_block_by_hash, debug_trace_transaction, located
from node.rpc.methods import MethodTable
from node.rpc.parameters import BlockNumber, Tag
from node.rpc.trace_parameters import TraceConfig
from node.types.blocks import Block

METHODS: Final = MethodTable()
method = METHODS.method

Json = dict[str, Any]

_CALLS: Final = TraceConfig("callTracer")
_CREATIONS: Final = ("CREATE", "CREATE2")
_ERRORS: Final = {
    "execution reverted": "Reverted",
    "out of gas": "Out of gas",
    "contract creation code storage out of gas": "Out of gas",
    "gas uint64 overflow": "Out of gas",
    "max code size exceeded": "Out of gas",
    "invalid jump destination": "Bad jump destination",
    "write protection": "Mutable Call In Static Context",
    "return data out of bounds": "Out of bounds",
    "contract address collision": "Out of gas",
}
"""geth's words and the trace module's; stack and instruction errors are told by how they begin."""


def _error(words: str) -> str:
    if words.startswith("invalid opcode"):
        return "Bad instruction"
    if words.startswith("stack underflow"):
        return "Stack underflow"
    if words.startswith("stack limit reached"):
        return "Out of stack"
    return _ERRORS.get(words, words)


def _flat(call: Json, address: list[int]) -> Iterator[Json]:
    """The call and all below it, depth first."""
    kind = call["type"]
    inner = call.get("calls", [])
    told: Json = {"subtraces": len(inner), "traceAddress": address}
    if kind in _CREATIONS:
        told |= {
            "type": "create",
            "action": {
                "from": call["from"],
                "gas": call["gas"],
                "init": call["input"],
                "value": call["value"],
                "creationMethod": kind.lower(),
            },
        }
        result = {"address": call.get("to"), "code": call.get("output", "0x"), "gasUsed": call["gasUsed"]}
    elif kind == "SELFDESTRUCT":
        told |= {
            "type": "suicide",
            "action": {"address": call["from"], "balance": call["value"], "refundAddress": call["to"]},
        }
        result = None
    else:
        told |= {
            "type": "call",
            "action": {
                "callType": kind.lower(),
                "from": call["from"],
                "gas": call["gas"],
                "input": call["input"],
                "to": call["to"],
                "value": call.get("value", "0x0"),
            },
        }
        result = {"gasUsed": call["gasUsed"], "output": call.get("output", "0x")}
    if "error" in call:
        told["error"] = _error(call["error"])
    else:
        told["result"] = result
    yield told
    for index, one in enumerate(inner):
        yield from _flat(one, [*address, index])


def _of_transaction(tree: Json, block: Block, position: int) -> list[Json]:
    place = {
        "blockHash": to_data(block.hash),
        "blockNumber": block.number,
        "transactionHash": to_data(block.transactions[position].hash),
        "transactionPosition": position,
    }
    return [told | place for told in _flat(tree, [])]


@method("trace_transaction")
async def trace_transaction(api: Api, transaction_hash: Hash32) -> list[Json] | None:
    """The calls of a mined transaction; null for any other. Heights and positions are JSON numbers."""
    if api.backend.chain.transaction_location(transaction_hash) is None:
        return None
    tree = await debug_trace_transaction(api, transaction_hash, _CALLS)
    block, position = located(api, transaction_hash)
    return _of_transaction(tree, block, position)


@method("trace_block")
async def trace_block(api: Api, number: BlockNumber) -> list[Json] | None:
    """The calls of a block's transactions, in order; null where there is no such block."""
    block = None if number is Tag.PENDING else api.blocks.block(number)
    if block is None:
        return None
    if block.number == 0:
        return []
    traces = await debug_trace_block_by_hash(api, block.hash, _CALLS)
    return [told for index, one in enumerate(traces) for told in _of_transaction(one["result"], block, index)]
