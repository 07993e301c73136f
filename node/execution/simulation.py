"""Blocks that nobody will propose: calls run one after another on a chain of made-up headers (eth_simulateV1).

complete(blocks) -> for each: header -> overrides -> system calls -> calls -> withdrawals, requests -> roots

Without ``validation`` fees, nonces and signatures are left out of account. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from node.crypto.hashes import EMPTY_TRIE_ROOT
from node.evm.machine import VirtualMachine
from node.evm.message import BlockEnvironment
from node.evm.spec import GAS_PER_BLOB, Spec
from node.evm.tracers.log_tracer import LogTracer
from node.execution.block import receipts_root, root_of_withdrawals, transactions_root
from node.execution.block_run import BlockHashes, block_environment
from node.execution.calls import CallRequest, check_call
from node.execution.fees import base_fee, excess_blob_gas
from node.execution.ommers import pay_rewards
from node.execution.overrides import BlockOverrides, with_moved_precompiles
from node.execution.system_calls import apply_withdrawals, collect_requests, requests_hash, start_of_block
from node.execution.transaction import TransactionResult, apply_transaction
from node.primitives import rlp
from node.primitives.scalars import U64_MAX, ZERO_HASH, Address, Hash32
from node.state.commit import commit
from node.state.journal import JournaledState
from node.state.overrides import AccountOverride, override_accounts
from node.state.view import StateView
from node.trie.nodes import NodeSource
from node.types.blocks import Block, Header, Withdrawal
from node.types.invalid import InvalidTransaction, TransactionReason
from node.types.receipts import EMPTY_BLOOM, Log, Receipt, bloom_union, logs_bloom
from node.types.transactions import BLOB, FEE_MARKET, LEGACY, SET_CODE, Transaction

BLOCKS_MAX: Final = 256
SECONDS_A_BLOCK: Final = 12
"""Between blocks whose time nobody gave."""


class Trouble(Enum):
    """Why a simulation cannot be run."""

    BLOCK_NUMBER = auto()
    BLOCK_TIME = auto()
    TOO_MANY_BLOCKS = auto()
    BLOCK_GAS = auto()


class SimulationError(Exception):
    """The blocks do not follow one another, or are full; the message is geth's."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


_NOTHING: Final = BlockOverrides()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBlock:
    """What to make a block of. ``moves``: for each overridden account where its precompile goes, or None."""

    overrides: BlockOverrides = _NOTHING
    beacon_root: Hash32 | None = None
    withdrawals: tuple[Withdrawal, ...] = ()
    accounts: Mapping[Address, AccountOverride]
    moves: Mapping[Address, Address | None]
    calls: tuple[CallRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """How one call ended, and its logs with their numbers in the block."""

    result: TransactionResult
    logs: Sequence[tuple[Log, int]]


@dataclass(frozen=True, slots=True)
class SimulatedResult:
    """A block, and what its calls did."""

    block: Block
    calls: Sequence[SimulatedCall]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the simulation stands on: a real block and its state. ``spec_of`` gives the rules of a made-up header."""

    header: Header
    view: StateView
    nodes: NodeSource
    spec_of: Callable[[Header], Spec]
    block_hash: BlockHashes
    chain_id: int
    vm: VirtualMachine
    gas_cap: int
    """Gas of all calls together."""
    validation: bool = False
    transfers: bool = False
    """Log transfers of wei, too."""


def complete(blocks: Sequence[SimulatedBlock], base: Header) -> list[SimulatedBlock]:
    """The blocks with numbers and times, gaps filled with empty ones. Raises SimulationError."""
    completed: list[SimulatedBlock] = []
    number, time = base.number, base.timestamp
    for block in blocks:
        wanted = number + 1 if block.overrides.number is None else block.overrides.number
        if wanted <= number:
            raise SimulationError(Trouble.BLOCK_NUMBER, f"block numbers must be in order: {wanted} <= {number}")
        if wanted - base.number > BLOCKS_MAX:
            raise SimulationError(Trouble.TOO_MANY_BLOCKS, "too many blocks")
        for missing in range(number + 1, wanted):
            time += SECONDS_A_BLOCK
            completed.append(SimulatedBlock(overrides=BlockOverrides(number=missing, time=time), accounts={}, moves={}))
        chosen = time + SECONDS_A_BLOCK if block.overrides.time is None else block.overrides.time
        if chosen <= time:
            raise SimulationError(Trouble.BLOCK_TIME, f"block timestamps must be in order: {chosen} <= {time}")
        number, time = wanted, chosen
        completed.append(replace(block, overrides=replace(block.overrides, number=number, time=time)))
    return completed


def simulate(ground: Ground, blocks: Sequence[SimulatedBlock]) -> list[SimulatedResult]:
    """Run ``blocks`` on the ground. Raises SimulationError, OverrideError, InvalidTransaction, InvalidBlock."""
    return _Simulation(ground).run(complete(blocks, ground.header))


class _Simulation:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._journal = JournaledState(ground.view)
        self._hashes: dict[int, Hash32] = {}
        self._gas_left = ground.gas_cap

    def run(self, blocks: Sequence[SimulatedBlock]) -> list[SimulatedResult]:
        parent = self._ground.header
        results: list[SimulatedResult] = []
        for block in blocks:
            result = self._block(block, parent)
            parent = result.block.header
            self._hashes[parent.number] = parent.hash
            results.append(result)
        return results

    def _block_hash(self, number: int) -> Hash32:
        known = self._hashes.get(number)
        return known if known is not None else self._ground.block_hash(number)

    def _header(self, block: SimulatedBlock, parent: Header) -> tuple[Header, Spec]:
        """The header before anything has run: coinbase and gas limit stay those of the block before."""
        changes = block.overrides
        assert changes.number is not None
        assert changes.time is not None
        header = Header(
            parent_hash=parent.hash,
            coinbase=parent.coinbase if changes.fee_recipient is None else changes.fee_recipient,
            state_root=ZERO_HASH,
            transactions_root=EMPTY_TRIE_ROOT,
            receipts_root=EMPTY_TRIE_ROOT,
            logs_bloom=EMPTY_BLOOM,
            number=changes.number,
            gas_limit=parent.gas_limit if changes.gas_limit is None else changes.gas_limit,
            gas_used=0,
            timestamp=changes.time,
            prev_randao=ZERO_HASH if changes.prev_randao is None else changes.prev_randao,
            difficulty=parent.difficulty,
        )
        spec = self._ground.spec_of(header)
        difficulty = 0 if spec.difficulty is None else parent.difficulty
        items = spec.header_items
        with_blobs = items > 17
        return (
            replace(
                header,
                difficulty=difficulty if changes.difficulty is None else changes.difficulty,
                base_fee_per_gas=self._base_fee(changes, parent) if items > 15 else None,
                withdrawals_root=EMPTY_TRIE_ROOT if items > 16 else None,
                blob_gas_used=0 if with_blobs else None,
                excess_blob_gas=(0 if parent.excess_blob_gas is None else excess_blob_gas(parent, spec))
                if with_blobs
                else None,
                parent_beacon_block_root=(block.beacon_root or ZERO_HASH) if with_blobs else None,
            ),
            spec,
        )

    def _base_fee(self, changes: BlockOverrides, parent: Header) -> int:
        if changes.base_fee_per_gas is not None:
            return changes.base_fee_per_gas
        return base_fee(parent) if self._ground.validation else 0

    def _block(self, block: SimulatedBlock, parent: Header) -> SimulatedResult:
        ground, journal = self._ground, self._journal
        header, spec = self._header(block, parent)
        moved = with_moved_precompiles(spec, block.moves)
        environment = block_environment(header, spec, ground.chain_id, self._block_hash)
        if block.overrides.blob_base_fee is not None:
            environment = replace(environment, blob_base_fee=block.overrides.blob_base_fee)
        override_accounts(journal, block.accounts)
        start_of_block(parent.hash, header.parent_beacon_block_root, journal, environment, moved, ground.vm)
        run = _Calls(ground, journal, environment, moved, self._gas_left, self._root)
        for request in block.calls:
            run.add(request)
        self._gas_left = run.pool_left
        withdrawals = block.withdrawals if header.withdrawals_root is not None else None
        requests: tuple[bytes, ...] = ()
        if spec.requests:
            requests = collect_requests(run.all_logs, journal, environment, moved, ground.vm)
        if withdrawals:
            apply_withdrawals(withdrawals, journal)
        if spec.block_reward:
            pay_rewards(journal, header.coinbase, spec.block_reward, (), spec)
        body = Block(header, tuple(run.transactions), (), withdrawals)
        receipts = tuple(run.receipts)
        header = replace(
            header,
            state_root=self._root(),
            transactions_root=transactions_root(body),
            receipts_root=receipts_root(receipts),
            logs_bloom=bloom_union(receipt.bloom for receipt in receipts if receipt.logs),
            gas_used=run.gas_used,
            blob_gas_used=run.blob_gas_used if header.blob_gas_used is not None else None,
            withdrawals_root=root_of_withdrawals(body),
            requests_hash=requests_hash(requests) if spec.requests else None,
        )
        return SimulatedResult(replace(body, header=header), run.calls)

    def _root(self) -> Hash32:
        return commit(self._ground.view.root, self._journal.diff(), self._ground.nodes).root


class _Calls:
    """The calls of one block, one after another."""

    def __init__(
        self,
        ground: Ground,
        journal: JournaledState,
        environment: BlockEnvironment,
        spec: Spec,
        pool_left: int,
        state_root: Callable[[], Hash32],
    ) -> None:
        self._ground = ground
        self._journal = journal
        self._environment = environment
        self._spec = spec
        self._state_root = state_root if spec.receipt_has_root else None
        self._log_number = 0
        self.pool_left = pool_left
        self.gas_used = 0
        self.blob_gas_used = 0
        self.transactions: list[Transaction] = []
        self.receipts: list[Receipt] = []
        self.calls: list[SimulatedCall] = []
        self.all_logs: list[Log] = []

    def add(self, request: CallRequest) -> None:
        """Run one. Raises SimulationError, InvalidTransaction."""
        journal, environment = self._journal, self._environment
        tx = self._transaction(request)
        validation = self._ground.validation
        checking = environment
        if not validation and tx.max_fee_per_gas == 0 and tx.max_priority_fee_per_gas == 0:
            checking = replace(environment, base_fee_per_gas=0)  # nothing offered, nothing asked
        try:
            if validation:
                _check_nonce(tx, request.sender, journal.nonce(request.sender))
            checked = check_call(tx, request.sender, journal, checking, self._spec, free_blobs=not validation)
        except InvalidTransaction as refusal:
            refusal.facts["supplied_gas"] = tx.gas_limit
            raise
        tracer = LogTracer(self._log_number, self._ground.transfers)
        result = apply_transaction(checked, journal, environment, self._spec, self._ground.vm, tracer)
        if journal.nonce(request.sender) > U64_MAX:
            journal.set_nonce(request.sender, 0)  # nobody validates: it wraps around, as a 64-bit number does
        self._log_number = tracer.next_number
        self.gas_used += result.gas_used
        self.pool_left -= result.gas_used
        self.blob_gas_used += len(tx.blob_versioned_hashes) * GAS_PER_BLOB
        self.transactions.append(tx)
        self.receipts.append(
            Receipt(
                type=tx.type,
                status_or_root=int(result.succeeded) if self._state_root is None else self._state_root(),
                cumulative_gas_used=self.gas_used,
                bloom=logs_bloom(result.logs),
                logs=result.logs,
            )
        )
        self.calls.append(SimulatedCall(result, tracer.logs))
        self.all_logs.extend(log for log, _ in tracer.logs)

    def _transaction(self, request: CallRequest) -> Transaction:
        """The call as a transaction without a signature; its gas is what block and pool have left."""
        limit = self._environment.gas_limit
        gas = limit - self.gas_used if request.gas is None else request.gas
        if self.gas_used + gas > limit:
            raise SimulationError(Trouble.BLOCK_GAS, f"block gas limit reached: {self.gas_used} >= {limit}")
        gas = min(gas, self.pool_left)
        nonce = self._journal.nonce(request.sender) if request.nonce is None else request.nonce
        legacy = request.gas_price is not None or not self._spec.has_base_fee
        kind = FEE_MARKET
        if legacy:
            kind = LEGACY
        elif request.authorization_list:
            kind = SET_CODE
        elif request.blob_versioned_hashes:
            kind = BLOB
        raw = None
        if legacy:
            to = b"" if request.to is None else request.to
            numbers = [rlp.encode_int(value) for value in (nonce, request.gas_price or 0, gas)]
            numbers += [rlp.encode_bytes(to), rlp.encode_int(request.value), rlp.encode_bytes(request.data)]
            raw = rlp.encode_list([*numbers, *[rlp.encode_int(0)] * 3])
        return Transaction(
            type=kind,
            chain_id=None if legacy else self._environment.chain_id,
            nonce=nonce,
            gas_limit=gas,
            to=request.to,
            value=request.value,
            data=request.data,
            max_fee_per_gas=request.fee_cap,
            max_priority_fee_per_gas=request.fee_cap if legacy else request.max_priority_fee_per_gas or 0,
            access_list=() if legacy else request.access_list,
            max_fee_per_blob_gas=request.max_fee_per_blob_gas or 0,
            blob_versioned_hashes=request.blob_versioned_hashes,
            authorization_list=request.authorization_list,
        ).sent_by(request.sender, raw)


def _check_nonce(tx: Transaction, sender: Address, state_nonce: int) -> None:
    facts = {"sender": sender, "state_nonce": state_nonce, "tx_nonce": tx.nonce}
    if tx.nonce < state_nonce:
        raise InvalidTransaction(TransactionReason.NONCE_MISMATCH_TOO_LOW, **facts)
    if tx.nonce > state_nonce:
        raise InvalidTransaction(TransactionReason.NONCE_MISMATCH_TOO_HIGH, **facts)
    if tx.nonce == U64_MAX:
        raise InvalidTransaction(TransactionReason.NONCE_IS_MAX, **facts)
