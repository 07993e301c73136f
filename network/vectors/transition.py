"""``t8n``: run transactions on an allocation as one block, and tell the result in geth's JSON.

start of block -> each transaction, invalid ones rejected -> reward -> withdrawals, requests -> roots
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from network.vectors.allocations import Alloc, alloc_after, alloc_json, reader
from network.vectors.transition_input import EXIT_EVM, TransitionError, TransitionInput
from node.crypto.hashes import keccak256
from node.evm.interpreter import Interpreter
from node.evm.tracers.eip3155 import StructLines
from node.execution.block import receipts_root, root_now
from node.execution.block_run import BlockRun, Executed
from node.execution.geth_words import geth_message
from node.execution.ommers import pay_rewards
from node.execution.transaction import TransactionResult
from node.primitives import rlp
from node.primitives.scalars import ZERO_HASH, Hash32
from node.state.commit import commit
from node.state.genesis_state import state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.trie.ordered_root import ordered_root
from node.types.invalid import InvalidBlock, InvalidTransaction
from node.types.receipts import Receipt
from node.types.transactions import Transaction

NO_REWARD: Final = -1

TraceFile = Callable[[int, Hash32], TextIO]
"""Opens the file that transaction ``index`` with this hash is traced into."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where traces go, and what they show."""

    open: TraceFile
    stack: bool = True
    memory: bool = False
    return_data: bool = False


@dataclass(slots=True)
class _Included:
    txs: list[Transaction] = field(default_factory=list)
    results: list[TransactionResult] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Transition:
    """What came out: the accounts, the block's transactions, and geth's ``result`` object."""

    alloc: Alloc
    body: bytes
    """RLP of the included transactions, as a block body has them."""
    result: dict[str, Any]

    def alloc_json(self) -> dict[str, Any]:
        """The accounts as geth writes them."""
        return alloc_json(self.alloc)


def run_transition(given: TransitionInput, reward: int = 0, tracing: Tracing | None = None) -> Transition:
    """Make the block. ``reward`` in wei, NO_REWARD for none. Raises TransitionError."""
    before = state_from_alloc(given.alloc)
    view = TrieView(before.root, reader(before.nodes), reader(before.codes))
    journal = JournaledState(view)
    environment = given.environment
    spec = given.spec
    nodes = reader(before.nodes)
    run = BlockRun(
        environment.header,
        journal,
        spec,
        Interpreter(),
        given.chain_id,
        environment.block_hash,
        state_root=lambda: root_now(journal, view, nodes),
    )
    included = _Included()
    try:
        run.start()
        for index, entry in enumerate(given.transactions):
            try:
                if entry.tx is None:
                    assert entry.refusal is not None, "an entry is a transaction or a refusal"
                    raise entry.refusal
                with _traced(tracing, len(included.txs), entry.tx) as lines:
                    result = run.apply(entry.tx, lines)
            except InvalidTransaction as refusal:
                included.rejected.append({"index": index, "error": geth_message(refusal)})
                continue
            included.txs.append(entry.tx)
            included.results.append(result)
        run.settle()
        if reward != NO_REWARD:  # the caller's, not the fork's
            ommers = ((ommer.delta, ommer.coinbase) for ommer in environment.ommers)
            pay_rewards(journal, environment.header.coinbase, reward, ommers, spec)
        executed = run.finish(environment.withdrawals)
    except InvalidBlock as refusal:
        raise TransitionError(EXIT_EVM, f"failed on the block: {refusal}") from None
    diff = journal.diff()
    root = commit(before.root, diff, nodes).root
    body = rlp.encode_list([tx.block_item() for tx in included.txs])
    return Transition(alloc_after(given.alloc, diff), body, _result(given, root, executed, included))


@contextmanager
def _traced(tracing: Tracing | None, index: int, tx: Transaction) -> Iterator[StructLines | None]:
    """The tracer of one transaction, writing to a file of its own."""
    if tracing is None:
        yield None
        return
    with tracing.open(index, tx.hash) as file:
        yield StructLines(file, stack=tracing.stack, memory=tracing.memory, return_data=tracing.return_data)


def _result(given: TransitionInput, root: Hash32, executed: Executed, included: _Included) -> dict[str, Any]:
    header = given.environment.header
    spec = given.spec
    logs = [log for receipt in executed.receipts for log in receipt.logs]
    found: dict[str, Any] = {
        "stateRoot": _hex(root),
        "txRoot": _hex(ordered_root([tx.encode() for tx in included.txs])),
        "receiptsRoot": _hex(receipts_root(executed.receipts)),
        "logsHash": _hex(keccak256(rlp.encode([log.to_rlp() for log in logs]))),
        "logsBloom": _hex(executed.logs_bloom),
        "receipts": _receipts(given, executed.receipts, included),
    }
    if included.rejected:
        found["rejected"] = included.rejected
    found["currentDifficulty"] = hex(header.difficulty) if spec.difficulty is not None else None
    found["gasUsed"] = hex(executed.gas_used)
    if header.base_fee_per_gas is not None:
        found["currentBaseFee"] = hex(header.base_fee_per_gas)
    withdrawals = given.environment.withdrawals
    if withdrawals is not None:
        found["withdrawalsRoot"] = _hex(ordered_root([withdrawal.encode() for withdrawal in withdrawals]))
    if header.excess_blob_gas is not None:
        found["currentExcessBlobGas"] = hex(header.excess_blob_gas)
        found["blobGasUsed"] = hex(executed.blob_gas_used)
    if executed.requests_hash is not None:
        found["requestsHash"] = _hex(executed.requests_hash)
        found["requests"] = [_hex(request) for request in executed.requests]
    return found


def _receipts(given: TransitionInput, receipts: tuple[Receipt, ...], included: _Included) -> list[dict[str, Any]]:
    """As geth marshals receipts of a block that has no hash yet."""
    found: list[dict[str, Any]] = []
    log_index = 0
    block_number = hex(given.environment.header.number)
    for index, (receipt, tx, result) in enumerate(zip(receipts, included.txs, included.results, strict=True)):
        logs: list[dict[str, Any]] = []
        for log in receipt.logs:
            logs.append(
                {
                    "address": _hex(log.address),
                    "topics": [_hex(topic) for topic in log.topics],
                    "data": _hex(log.data),
                    "blockNumber": block_number,
                    "transactionHash": _hex(tx.hash),
                    "transactionIndex": hex(index),
                    "blockHash": _hex(ZERO_HASH),
                    "logIndex": hex(log_index),
                    "removed": False,
                }
            )
            log_index += 1
        state = receipt.status_or_root
        created = result.contract_address
        found.append(
            {
                "type": hex(receipt.type),
                "root": _hex(state) if isinstance(state, bytes) else "0x",
                "status": hex(1 if result.succeeded else 0),
                "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
                "logsBloom": _hex(receipt.bloom),
                "logs": logs or None,
                "transactionHash": _hex(tx.hash),
                "contractAddress": _hex(created if created is not None else bytes(20)),
                "gasUsed": hex(result.gas_used),
                "effectiveGasPrice": hex(result.effective_gas_price),
                "blockHash": _hex(ZERO_HASH),
                "blockNumber": block_number,
                "transactionIndex": hex(index),
            }
        )
    return found


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
