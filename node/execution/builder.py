"""build_block: the best block that the candidates allow, with every header field filled in.

The same ``BlockRun`` as in ``apply_block``, so that a proposer and its voters cannot come to different results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from node.evm.machine import VirtualMachine
from node.evm.spec import Spec
from node.execution.block import (
    BlockResult,
    block_commit,
    block_result,
    block_size,
    item_size,
    receipts_root,
    root_now,
    root_of_withdrawals,
    transactions_root,
)
from node.execution.block_run import BlockHashes, BlockRun, RootAfter, nowhere
from node.execution.difficulty import next_difficulty
from node.execution.header import next_header_fields
from node.execution.ommers import pay_rewards
from node.primitives.scalars import ZERO_HASH, Address, Hash32
from node.state.journal import JournaledState
from node.state.view import StateView
from node.trie.nodes import NodeSource
from node.types.blocks import Block, Header, Withdrawal
from node.types.invalid import InvalidTransaction
from node.types.operations import Operation
from node.types.receipts import EMPTY_BLOOM
from node.types.transactions import Transaction

SIZE_MARGIN: Final = 64
"""Bytes kept free below the block size limit for the length prefixes and numbers that grow while filling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadAttributes:
    """What the consensus decides about a new block. ``timestamp`` in seconds, gas in units."""

    timestamp: int
    prev_randao: Hash32
    coinbase: Address
    withdrawals: tuple[Withdrawal, ...] = ()
    parent_beacon_block_root: Hash32 = ZERO_HASH
    extra_data: bytes = b""
    gas_limit_target: int = 36_000_000
    operations: tuple[Operation, ...] = ()
    """State writes ahead of the transactions."""


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """The block, what executing it did, and which candidates could not stand in it."""

    block: Block
    result: BlockResult
    skipped: list[tuple[Transaction, InvalidTransaction]]


def build_block(
    parent: Header,
    view: StateView,
    attributes: PayloadAttributes,
    candidates: Iterable[Transaction],
    spec: Spec,
    vm: VirtualMachine,
    chain_id: int,
    block_hash: BlockHashes,
    nodes: NodeSource,
    time_check: Callable[[], bool] = lambda: True,
    root_after: RootAfter = nowhere,
) -> BuiltBlock:
    """A block on ``parent`` (whose state is ``view``) out of ``candidates``, in their order.

    A candidate that cannot stand is skipped. Filling ends when no transaction fits any more or ``time_check``
    says no. Raises InvalidBlock where the parent's state allows no block at all (a broken request contract).
    """
    assert attributes.timestamp > parent.timestamp, "the consensus gives later blocks later times"
    draft = _draft(parent, attributes, spec)
    journal = JournaledState(view)
    run = BlockRun(draft, journal, spec, vm, chain_id, block_hash, lambda: root_now(journal, view, nodes), root_after)
    run.start(attributes.operations)
    withdrawals = attributes.withdrawals if spec.header_items >= 17 else None
    try:
        included, skipped = _fill(run, candidates, spec, time_check, _room(draft, withdrawals, spec))
        executed = run.finish(withdrawals)
    finally:
        run.abandon()
    if spec.block_reward:
        pay_rewards(journal, draft.coinbase, spec.block_reward, (), spec)
    diff = journal.diff()
    committed = block_commit(run, view, diff, nodes)
    body = Block(header=draft, transactions=tuple(included), withdrawals=withdrawals)
    header = replace(
        draft,
        state_root=committed.root,
        transactions_root=transactions_root(body),
        receipts_root=receipts_root(executed.receipts),
        logs_bloom=executed.logs_bloom,
        gas_used=executed.gas_used,
        withdrawals_root=root_of_withdrawals(body),
        blob_gas_used=None if draft.blob_gas_used is None else executed.blob_gas_used,
        requests_hash=executed.requests_hash,
    )
    block = replace(body, header=header)
    return BuiltBlock(
        block=block, result=block_result(executed, diff, committed, run.restored is not None), skipped=skipped
    )


def _draft(parent: Header, attributes: PayloadAttributes, spec: Spec) -> Header:
    """The header before anything is executed; roots and sums come at the end."""
    following = next_header_fields(parent, spec, attributes.gas_limit_target)
    has_blobs = spec.header_items >= 20
    return Header(
        parent_hash=parent.hash,
        coinbase=attributes.coinbase,
        state_root=ZERO_HASH,
        transactions_root=ZERO_HASH,
        receipts_root=ZERO_HASH,
        logs_bloom=EMPTY_BLOOM,
        difficulty=0 if spec.difficulty is None else next_difficulty(parent, attributes.timestamp, spec.difficulty),
        number=following.number,
        gas_limit=following.gas_limit,
        gas_used=0,
        timestamp=attributes.timestamp,
        extra_data=attributes.extra_data,
        prev_randao=attributes.prev_randao,
        base_fee_per_gas=following.base_fee_per_gas,
        withdrawals_root=ZERO_HASH if spec.header_items >= 17 else None,
        blob_gas_used=0 if has_blobs else None,
        excess_blob_gas=following.excess_blob_gas if has_blobs else None,
        parent_beacon_block_root=attributes.parent_beacon_block_root if has_blobs else None,
        requests_hash=ZERO_HASH if spec.header_items >= 21 else None,
    )


def _room(draft: Header, withdrawals: tuple[Withdrawal, ...] | None, spec: Spec) -> int | None:
    """Bytes that transactions may take (EIP-7934); None where the fork has no limit."""
    if spec.block_rlp_size_max is None:
        return None
    empty = Block(header=draft, transactions=(), withdrawals=withdrawals)
    return spec.block_rlp_size_max - block_size(empty) - SIZE_MARGIN


def _fill(
    run: BlockRun,
    candidates: Iterable[Transaction],
    spec: Spec,
    time_check: Callable[[], bool],
    room: int | None,
) -> tuple[list[Transaction], list[tuple[Transaction, InvalidTransaction]]]:
    included: list[Transaction] = []
    skipped: list[tuple[Transaction, InvalidTransaction]] = []
    for tx in candidates:
        if run.gas_left < spec.gas.tx_base or not time_check():
            break
        if room is not None:
            size = item_size(len(tx.encode()))
            if size > room:
                # Its later nonces cannot stand either; the next candidate may be shorter.
                continue
        try:
            run.apply(tx)
        except InvalidTransaction as refusal:
            skipped.append((tx, refusal))
            continue
        included.append(tx)
        if room is not None:
            room -= size
    return included, skipped
