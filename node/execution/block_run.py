"""One block being executed, transaction by transaction: what ``apply_block`` and ``build_block`` share.

BlockRun(journal, environment) --start--> system calls
                               --apply(tx)...--> receipts, gas, blob gas
                               --finish--> withdrawals, requests -> Executed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.evm.machine import BlockTables, MessageMachine, Tracer, VirtualMachine
from node.evm.message import BlockEnvironment
from node.evm.spec import GAS_PER_BLOB, Spec
from node.execution.fees import block_blob_base_fee
from node.execution.system_calls import (
    apply_operations,
    apply_withdrawals,
    collect_requests,
    requests_hash,
    start_of_block,
)
from node.execution.transaction import TransactionResult, apply_transaction, warm_at_start
from node.execution.validity import CheckedTransaction, check_transaction, orders_of
from node.primitives.scalars import Address, Hash32
from node.state.journal import JournaledState
from node.types.blocks import Header, Withdrawal
from node.types.invalid import InvalidTransaction, TransactionReason
from node.types.operations import ORDERS, Operation, RestoreState, SetNonce
from node.types.receipts import Log, Receipt, bloom_union, logs_bloom
from node.types.transactions import UNSIGNED, Transaction

BlockHashes = Callable[[int], Hash32]
"""The hash of an ancestor by number; asked only for the 256 numbers before the block's."""
RootAfter = Callable[[int], Hash32 | None]
"""The state root after an ancestor by number; None where that is not known."""


def nowhere(number: int) -> None:
    """Where no state can be restored."""


@dataclass(frozen=True, slots=True)
class Executed:
    """What running a block's body left behind, beside the journal. Gas in units."""

    receipts: tuple[Receipt, ...]
    senders: tuple[Address, ...]
    gas_used: int
    blob_gas_used: int
    logs_bloom: bytes
    requests: tuple[bytes, ...]
    requests_hash: Hash32 | None
    """None before EIP-7685."""


def block_environment(header: Header, spec: Spec, chain_id: int, block_hash: BlockHashes) -> BlockEnvironment:
    """What code in the block of ``header`` sees of it."""
    return BlockEnvironment(
        chain_id=chain_id,
        number=header.number,
        timestamp=header.timestamp,
        coinbase=header.coinbase,
        gas_limit=header.gas_limit,
        prev_randao=header.prev_randao,
        base_fee_per_gas=header.base_fee_per_gas or 0,
        blob_base_fee=block_blob_base_fee(header, spec),
        block_hash=block_hash,
        difficulty=header.difficulty,
    )


class BlockRun:
    """A block in progress on a journal. ``start`` first, ``finish`` last."""

    def __init__(
        self,
        header: Header,
        journal: JournaledState,
        spec: Spec,
        vm: VirtualMachine,
        chain_id: int,
        block_hash: BlockHashes,
        state_root: Callable[[], Hash32] | None = None,
        root_after: RootAfter = nowhere,
    ) -> None:
        """``state_root``: the root at this moment, for receipts before EIP-658; without it they hold a status.

        ``root_after``: the state root after an ancestor, for chains that may go back to it.
        """
        self._header = header
        self._journal = journal
        self._spec = spec
        self._vm = vm
        self._environment = block_environment(header, spec, chain_id, block_hash)
        self._state_root = state_root if spec.receipt_has_root else None
        self._receipts: list[Receipt] = []
        self._senders: list[Address] = []
        self._gas_used = 0
        self._blob_gas_used = 0
        self._root_after = root_after
        self._tables: BlockTables | None = None
        """While transactions run there, the journal must be left alone."""
        self.restored: Hash32 | None = None
        """The root that the block ends with, whatever was executed, where a transaction ordered that."""
        self._blob_gas_max = 0 if spec.blobs is None else spec.blobs.max * GAS_PER_BLOB

    @property
    def gas_left(self) -> int:
        """Gas that further transactions may ask for. None after a transaction that restores an earlier state."""
        if self.restored is not None:
            return 0
        return self._header.gas_limit - self._gas_used

    def start(self, operations: Sequence[Operation] = ()) -> None:
        """What consensus orders, then the calls before the first transaction (EIP-4788, EIP-2935)."""
        header = self._header
        apply_operations(operations, self._journal)
        start_of_block(
            header.parent_hash,
            header.parent_beacon_block_root,
            self._journal,
            self._environment,
            self._spec,
            self._vm,
        )

    def apply(self, tx: Transaction, tracer: Tracer | None = None) -> TransactionResult:
        """Check and run the next transaction. Raises InvalidTransaction; then nothing has changed."""
        environment = self._environment
        if tracer is None:
            self._open_tables()
        else:
            self.settle()
        checked = check_transaction(
            tx,
            accounts=self._journal if self._tables is None else self._tables,
            spec=self._spec,
            chain_id=environment.chain_id,
            base_fee=environment.base_fee_per_gas,
            blob_base_fee=environment.blob_base_fee,
            gas_available=self.gas_left,
            blob_gas_available=self._blob_gas_max - self._blob_gas_used,
        )
        if tx.type == UNSIGNED and tx.to == ORDERS:
            self.settle()
            self._order(tx)
        result = self._apply_on_tables(checked)
        if result is None:
            self.settle()
            result = apply_transaction(checked, self._journal, environment, self._spec, self._vm, tracer)
        self._gas_used += result.gas_used
        self._blob_gas_used += checked.blob_gas
        self._senders.append(checked.sender)
        self._receipts.append(
            Receipt(
                type=tx.type,
                status_or_root=int(result.succeeded) if self._state_root is None else self._state_root(),
                cumulative_gas_used=self._gas_used,
                bloom=logs_bloom(result.logs),
                logs=result.logs,
            )
        )
        return result

    def _open_tables(self) -> None:
        """Use the machine's own tables, where it has such. A state root after each transaction needs the journal."""
        if self._tables is None and self._state_root is None and isinstance(self._vm, MessageMachine):
            self._journal.begin_transaction(warm=warm_at_start(self._spec))
            self._tables = self._vm.open_block(self._journal, self._environment, self._spec)

    def _apply_on_tables(self, checked: CheckedTransaction) -> TransactionResult | None:
        if self._tables is None:
            return None
        tx = checked.tx
        price = checked.effective_gas_price
        ran = self._tables.run_transaction(
            tx, checked.sender, price, tx.gas_limit - checked.intrinsic_gas, checked.floor_gas
        )
        if ran is None:
            return None
        return TransactionResult(
            gas_used=ran.gas_used,
            gas_used_before_refund=ran.gas_used_before_refund,
            outcome=ran.outcome,
            logs=ran.logs,
            contract_address=None,
            effective_gas_price=price,
        )

    def settle(self) -> None:
        """Have everything in the journal, for whoever reads it before ``finish``."""
        if self._tables is not None:
            tables, self._tables = self._tables, None
            self._journal.begin_transaction()
            tables.settle()
            self._journal.end_transaction(remove_empty=self._spec.removes_empty)

    def abandon(self) -> None:
        """Nobody wants the rest of the block: what the machine keeps for it goes. After ``finish`` nothing is left."""
        if self._tables is not None:
            self._tables.abandon()
            self._tables = None

    def _order(self, tx: Transaction) -> None:
        """Carry out what an unsigned transaction orders. Raises InvalidTransaction before anything has changed."""
        orders = orders_of(tx)
        last = orders[-1] if orders else None
        if isinstance(last, RestoreState):
            root = self._root_after(last.number) if last.number < self._header.number else None
            if root is None:
                raise InvalidTransaction(TransactionReason.RLP_INVALID, problem=f"no ancestor {last.number} to restore")
            self.restored = root
        # an account without nonce, balance and code is empty and would lose its storage (EIP-161)
        apply_operations((SetNonce(ORDERS, 1), *orders), self._journal)

    def finish(self, withdrawals: Sequence[Withdrawal] | None) -> Executed:
        """Withdrawals, then requests. Raises InvalidBlock where the requests cannot be had."""
        self.settle()
        if withdrawals:
            apply_withdrawals(withdrawals, self._journal)
        requests: tuple[bytes, ...] = ()
        if self._spec.requests:
            logs: list[Log] = [log for receipt in self._receipts for log in receipt.logs]
            requests = collect_requests(logs, self._journal, self._environment, self._spec, self._vm)
        return Executed(
            receipts=tuple(self._receipts),
            senders=tuple(self._senders),
            gas_used=self._gas_used,
            blob_gas_used=self._blob_gas_used,
            logs_bloom=bloom_union(receipt.bloom for receipt in self._receipts if receipt.logs),
            requests=requests,
            requests_hash=requests_hash(requests) if self._spec.requests else None,
        )
