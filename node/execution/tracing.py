"""Run a block, or a call, again under a tracer. Pure: the caller brings the parent's state.

trace_block(on parent's view) -> for each transaction: begin -> BlockRun.apply(tracer) -> end -> trace
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from node.evm.addresses import create_address
from node.evm.machine import VirtualMachine
from node.evm.message import BlockEnvironment
from node.evm.spec import Spec
from node.evm.tracers.transaction_tracer import TransactionStart, TransactionTracer
from node.execution.block_run import BlockHashes, BlockRun
from node.execution.calls import CallRequest, run_call
from node.execution.transaction import TransactionResult
from node.primitives.scalars import Address, Hash32
from node.state.commit import commit
from node.state.diff import StateDiff
from node.state.journal import JournaledState
from node.state.view import StateView
from node.trie.nodes import NodeSource
from node.types.blocks import Block
from node.types.operations import Operation
from node.types.transactions import Authorization, Transaction


@dataclass(frozen=True, slots=True)
class Replay:
    """A block to run again: ``view`` is the state after its parent."""

    block: Block
    view: StateView
    spec: Spec
    vm: VirtualMachine
    chain_id: int
    block_hash: BlockHashes
    operations: tuple[Operation, ...] = ()
    """What consensus ordered ahead of the transactions."""

    def start(self) -> tuple[BlockRun, JournaledState]:
        """The run before its first transaction, on a fresh journal."""
        journal = JournaledState(self.view)
        run = BlockRun(self.block.header, journal, self.spec, self.vm, self.chain_id, self.block_hash)
        run.start(self.operations)
        return run, journal


def trace_transaction(replay: Replay, index: int, tracer: TransactionTracer) -> Any:
    """The trace of transaction ``index``; those before it run untraced."""
    run, journal = replay.start()
    transactions = replay.block.transactions
    logs = sum(len(run.apply(tx).logs) for tx in transactions[:index])
    run.settle()
    _traced(replay, run, journal, transactions[index], tracer, logs)
    return tracer.result()


def trace_block(replay: Replay, make_tracer: Callable[[], TransactionTracer]) -> Iterator[tuple[Transaction, Any]]:
    """Every transaction with its trace, in order."""
    run, journal = replay.start()
    logs = 0
    for tx in replay.block.transactions:
        tracer = make_tracer()
        logs += len(_traced(replay, run, journal, tx, tracer, logs).logs)
        yield tx, tracer.result()


def _traced(
    replay: Replay, run: BlockRun, journal: JournaledState, tx: Transaction, tracer: TransactionTracer, logs_before: int
) -> TransactionResult:
    header, spec = replay.block.header, replay.spec
    tracer.begin(
        transaction_start(
            journal,
            tx.sender,
            tx.to,
            tx.nonce,
            tx.gas_limit,
            header.coinbase,
            tx.authorization_list,
            spec,
            logs_before,
        )
    )
    result = run.apply(tx, tracer)
    tracer.end(result.gas_used, result.outcome, journal)
    return result


def trace_call(
    request: CallRequest,
    gas: int,
    journal: JournaledState,
    environment: BlockEnvironment,
    spec: Spec,
    vm: VirtualMachine,
    tracer: TransactionTracer,
) -> Any:
    """The trace of a call that nobody signed. Raises InvalidTransaction."""
    nonce = journal.nonce(request.sender) if request.nonce is None else request.nonce
    tracer.begin(
        transaction_start(
            journal,
            request.sender,
            request.to,
            nonce,
            gas,
            environment.coinbase,
            request.authorization_list,
            spec,
        )
    )
    result = run_call(request, gas, journal, environment, spec, vm, tracer)
    tracer.end(result.gas_used, result.outcome, journal)
    return tracer.result()


def transaction_start(
    journal: JournaledState,
    sender: Address,
    to: Address | None,
    nonce: int,
    gas_limit: int,
    coinbase: Address,
    authorizations: tuple[Authorization, ...],
    spec: Spec,
    first_log_index: int = 0,
) -> TransactionStart:
    """What a tracer is told before the transaction."""
    authorities = (authorization.authority() for authorization in authorizations)
    return TransactionStart(
        host=journal,
        sender=sender,
        target=create_address(sender, nonce) if to is None else to,
        is_create=to is None,
        gas_limit=gas_limit,
        coinbase=coinbase,
        authorities=tuple(authority for authority in authorities if authority is not None),
        precompiles=spec.precompiles,
        first_log_index=first_log_index,
    )


def intermediate_roots(replay: Replay, nodes: NodeSource) -> list[Hash32]:
    """The state root after each transaction."""
    run, journal = replay.start()
    roots: list[Hash32] = []
    for tx in replay.block.transactions:
        run.apply(tx)
        run.settle()
        roots.append(commit(replay.view.root, journal.diff(), nodes).root)
    return roots


def changes_before(replay: Replay, index: int) -> StateDiff:
    """What the block has changed by the time transaction ``index`` starts."""
    run, journal = replay.start()
    for tx in replay.block.transactions[:index]:
        run.apply(tx)
    run.settle()
    return journal.diff()
