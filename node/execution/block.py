"""apply_block: execute a block on its parent's state and compare every field that the header claims.

    check_header, check_body -> BlockRun over a journal -> commit -> check_result -> BlockResult

Nothing is written: the trie nodes of the new root ride in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.evm.machine import Tracer, VirtualMachine
from node.evm.spec import Spec
from node.execution.block_run import BlockHashes, BlockRun, Executed, RootAfter, nowhere
from node.execution.header import check_header
from node.execution.ommers import Ancestry, check_ommers, ommers_hash, pay_rewards
from node.primitives.rlp import encode_length
from node.primitives.scalars import Address, Hash32
from node.state.commit import CommitResult, commit
from node.state.diff import StateDiff
from node.state.journal import JournaledState
from node.state.view import StateView
from node.trie.nodes import NodeSource
from node.trie.ordered_root import ordered_root
from node.types.blocks import Block, Header
from node.types.invalid import BlockReason, InvalidBlock, InvalidTransaction
from node.types.operations import Operation
from node.types.receipts import Receipt


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a valid block did. ``commit`` holds the new root with its new trie nodes and codes; gas in units."""

    receipts: tuple[Receipt, ...]
    senders: tuple[Address, ...]
    gas_used: int
    blob_gas_used: int
    requests: tuple[bytes, ...]
    diff: StateDiff
    commit: CommitResult
    restored: bool = False
    """An earlier state came back: ``diff`` does not say what changed."""


def apply_block(
    block: Block,
    parent: Header,
    view: StateView,
    spec: Spec,
    vm: VirtualMachine,
    chain_id: int,
    block_hash: BlockHashes,
    nodes: NodeSource,
    ancestry: Ancestry | None = None,
    tracer: Tracer | None = None,
    operations: Sequence[Operation] = (),
    root_after: RootAfter = nowhere,
) -> BlockResult:
    """Execute ``block`` on ``view``, the state after ``parent``. Raises InvalidBlock: the header's value and ours.

    ``ancestry`` is asked only for a mined block that names ommers; ``tracer`` watches the transactions;
    ``operations`` are what consensus orders ahead of them; ``root_after`` is asked where one restores a state.
    """
    header = block.header
    check_header(header, parent, spec)
    check_body(block, spec)
    if block.ommers:
        assert ancestry is not None, "chains with mined blocks say where ancestors are"
        check_ommers(block, ancestry)
    journal = JournaledState(view)
    run = BlockRun(header, journal, spec, vm, chain_id, block_hash, lambda: root_now(journal, view, nodes), root_after)
    run.start(operations)
    try:
        for index, tx in enumerate(block.transactions):
            try:
                run.apply(tx, tracer)
            except InvalidTransaction as refusal:
                raise InvalidBlock(
                    BlockReason.INVALID_TRANSACTION,
                    index=index,
                    transaction=tx.hash,
                    problem=str(refusal),
                ) from refusal
        executed = run.finish(block.withdrawals)
    finally:
        run.abandon()
    if spec.block_reward:
        ages = ((header.number - ommer.number, ommer.coinbase) for ommer in block.ommers)
        pay_rewards(journal, header.coinbase, spec.block_reward, ages, spec)
    # Before the commit: the cheap comparisons spare the tries where the block lies.
    check_executed(header, executed)
    diff = journal.diff()
    committed = block_commit(run, view, diff, nodes)
    if header.state_root != committed.root:
        raise InvalidBlock(BlockReason.INVALID_STATE_ROOT, header=header.state_root, ours=committed.root)
    return block_result(executed, diff, committed, run.restored is not None)


def block_commit(run: BlockRun, view: StateView, diff: StateDiff, nodes: NodeSource) -> CommitResult:
    """The state that the block leaves: what it changed, or the earlier one that it restored."""
    if run.restored is not None:
        return CommitResult(run.restored, {}, {})
    return commit(view.root, diff, nodes)


def root_now(journal: JournaledState, view: StateView, nodes: NodeSource) -> Hash32:
    """The state root in the middle of a block, which receipts held before EIP-658."""
    return commit(view.root, journal.diff(), nodes).root


def block_result(executed: Executed, diff: StateDiff, committed: CommitResult, restored: bool) -> BlockResult:
    """The parts of a finished execution as one value."""
    return BlockResult(
        receipts=executed.receipts,
        senders=executed.senders,
        gas_used=executed.gas_used,
        blob_gas_used=executed.blob_gas_used,
        requests=executed.requests,
        diff=diff,
        commit=committed,
        restored=restored,
    )


def check_body(block: Block, spec: Spec) -> None:
    """Whether the body is the one that the header names, and of the fork's form. Raises InvalidBlock."""
    header = block.header
    if spec.ommers:
        named = ommers_hash(block)
        if header.ommers_hash != named:
            raise InvalidBlock(BlockReason.INVALID_UNCLES_HASH, header=header.ommers_hash, ours=named)
    elif block.ommers:
        raise InvalidBlock(BlockReason.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS, body=len(block.ommers), ours=0)
    if (block.withdrawals is not None) != (spec.header_items >= 17):
        raise InvalidBlock(
            BlockReason.INCORRECT_BLOCK_FORMAT,
            field="withdrawals",
            body="absent" if block.withdrawals is None else "present",
        )
    size_max = spec.block_rlp_size_max
    if size_max is not None:
        size = block_size(block)
        if size > size_max:
            raise InvalidBlock(BlockReason.RLP_BLOCK_LIMIT_EXCEEDED, size=size, maximum=size_max)
    root = transactions_root(block)
    if header.transactions_root != root:
        raise InvalidBlock(BlockReason.INVALID_TRANSACTIONS_ROOT, header=header.transactions_root, ours=root)
    withdrawals_root = root_of_withdrawals(block)
    if header.withdrawals_root != withdrawals_root:
        raise InvalidBlock(BlockReason.INVALID_WITHDRAWALS_ROOT, header=header.withdrawals_root, ours=withdrawals_root)


def check_executed(header: Header, executed: Executed) -> None:
    """Whether the header claims what execution showed, but for the state root. Raises InvalidBlock."""
    if header.gas_used != executed.gas_used:
        raise InvalidBlock(BlockReason.INVALID_GAS_USED, header=header.gas_used, ours=executed.gas_used)
    if header.blob_gas_used is not None and header.blob_gas_used != executed.blob_gas_used:
        raise InvalidBlock(
            BlockReason.INCORRECT_BLOB_GAS_USED, header=header.blob_gas_used, ours=executed.blob_gas_used
        )
    if header.logs_bloom != executed.logs_bloom:
        raise InvalidBlock(BlockReason.INVALID_LOG_BLOOM, header=header.logs_bloom, ours=executed.logs_bloom)
    root = receipts_root(executed.receipts)
    if header.receipts_root != root:
        raise InvalidBlock(BlockReason.INVALID_RECEIPTS_ROOT, header=header.receipts_root, ours=root)
    if header.requests_hash != executed.requests_hash:
        raise InvalidBlock(BlockReason.INVALID_REQUESTS, header=header.requests_hash, ours=executed.requests_hash)


def transactions_root(block: Block) -> Hash32:
    """Root of the trie of the body's transactions."""
    return ordered_root([tx.encode() for tx in block.transactions])


def root_of_withdrawals(block: Block) -> Hash32 | None:
    """Root of the trie of the body's withdrawals; None before Shanghai."""
    if block.withdrawals is None:
        return None
    return ordered_root([withdrawal.encode() for withdrawal in block.withdrawals])


def receipts_root(receipts: tuple[Receipt, ...]) -> Hash32:
    """Root of the trie of receipts."""
    return ordered_root([receipt.encode() for receipt in receipts])


def item_size(payload_size: int) -> int:
    """Bytes of an RLP list (or string of more than one byte) with this payload."""
    return len(encode_length(payload_size, 0xC0)) + payload_size


def block_size(block: Block) -> int:
    """Bytes of ``block.encode()``, without building it: transactions keep their encodings."""
    transactions = sum(len(tx.encode()) if tx.type == 0 else item_size(len(tx.encode())) for tx in block.transactions)
    ommers = sum(len(ommer.encode()) for ommer in block.ommers)
    size = len(block.header.encode()) + item_size(transactions) + item_size(ommers)
    if block.withdrawals is not None:
        size += item_size(sum(len(withdrawal.encode()) for withdrawal in block.withdrawals))
    return item_size(size)
