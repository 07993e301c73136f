"""Runs that nobody keeps: eth_call, eth_estimateGas, eth_createAccessList.

The state is any ``StateView`` and the surroundings any ``BlockEnvironment``, so that overrides are a view over a
view and a changed environment: nothing here would notice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from node.evm.frame import Frame
from node.evm.machine import FrameResult, Tracer, VirtualMachine
from node.evm.message import BlockEnvironment
from node.evm.outcome import Halt, HaltReason, Outcome, Revert
from node.evm.spec import GAS_PER_BLOB, Spec
from node.execution.block_run import BlockHashes, block_environment
from node.execution.intrinsic import intrinsic_gas
from node.execution.overrides import BlockOverrides
from node.execution.transaction import TransactionResult, apply_transaction
from node.execution.validity import CheckedTransaction, check_blobs, check_funds, maximum_cost
from node.primitives.scalars import ZERO_ADDRESS, Address
from node.state.journal import JournaledState
from node.state.view import StateView
from node.types.blocks import Header
from node.types.invalid import InvalidTransaction, TransactionReason
from node.types.transactions import BLOB, FEE_MARKET, SET_CODE, AccessListEntry, Authorization, Transaction

ESTIMATE_ERROR_PER_MILLE: Final = 15
"""The search stops when the bounds are this close: the network moves on anyway. geth stops there too."""


class ExecutionReverted(Exception):
    """The call ended with REVERT; ``data`` is what it returned."""

    def __init__(self, data: bytes) -> None:
        super().__init__("execution reverted")
        self.data = data


class ExecutionHalted(Exception):
    """The call ended exceptionally, not for want of gas; the message is geth's."""

    def __init__(self, reason: HaltReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


class GasRequiredExceedsAllowance(Exception):
    """No gas limit that the caller, its balance or the block allows is enough."""

    def __init__(self, allowance: int) -> None:
        super().__init__(f"gas required exceeds allowance ({allowance})")
        self.allowance = allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """A transaction that nobody signed. None: not given. Fees in wei a gas, ``value`` in wei."""

    sender: Address = ZERO_ADDRESS
    to: Address | None = None
    chain_id: int | None = None
    gas: int | None = None
    gas_price: int | None = None
    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    max_fee_per_blob_gas: int | None = None
    value: int = 0
    data: bytes = b""
    nonce: int | None = None
    access_list: tuple[AccessListEntry, ...] = ()
    authorization_list: tuple[Authorization, ...] = ()
    blob_versioned_hashes: tuple[bytes, ...] = ()

    @property
    def fee_cap(self) -> int:
        """The most it pays a gas; 0 where no fee was given: then fees are left out of account."""
        return self.gas_price if self.gas_price is not None else self.max_fee_per_gas or 0


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended. ``gas_used`` after refunds; ``gas_used_before_refund`` the least limit for the same run."""

    outcome: Outcome
    gas_used: int
    gas_used_before_refund: int


@dataclass(frozen=True, slots=True)
class AccessListResult:
    """The accounts and slots that the call touched, and what it used with that list (gas)."""

    access_list: tuple[AccessListEntry, ...]
    gas_used: int
    outcome: Outcome


Surroundings: TypeAlias = tuple[StateView, BlockEnvironment, Spec, VirtualMachine]


def surroundings_of(
    header: Header, spec: Spec, chain_id: int, block_hash: BlockHashes, block: BlockOverrides | None
) -> BlockEnvironment:
    """The block that a call sees: the header's, with the fields that ``block`` changes."""
    environment = block_environment(header, spec, chain_id, block_hash)
    return environment if block is None else block.applied_to(environment)


def call(
    request: CallRequest,
    view: StateView,
    header: Header,
    spec: Spec,
    vm: VirtualMachine,
    chain_id: int,
    block_hash: BlockHashes,
    gas_cap: int,
    block: BlockOverrides | None = None,
    tracer: Tracer | None = None,
) -> CallResult:
    """Run ``request`` in the block of ``header`` on ``view``, with at most ``gas_cap``.

    Raises InvalidTransaction where it could not even start (fees below the base fee, too little balance or gas).
    """
    environment = surroundings_of(header, spec, chain_id, block_hash, block)
    return call_in(request, view, environment, spec, vm, gas_cap, tracer)


def call_in(
    request: CallRequest,
    view: StateView,
    environment: BlockEnvironment,
    spec: Spec,
    vm: VirtualMachine,
    gas_cap: int,
    tracer: Tracer | None = None,
) -> CallResult:
    """As ``call``, in a block that is at hand already."""
    gas = gas_cap if request.gas is None else min(request.gas, gas_cap)
    result = run_call(request, gas, JournaledState(view), environment, spec, vm, tracer)
    return CallResult(result.outcome, result.gas_used, result.gas_used_before_refund)


def run_call(
    request: CallRequest,
    gas: int,
    journal: JournaledState,
    environment: BlockEnvironment,
    spec: Spec,
    vm: VirtualMachine,
    tracer: Tracer | None = None,
) -> TransactionResult:
    """One run with ``gas`` as its limit; ``journal`` then holds what it changed. Raises InvalidTransaction."""
    tx = _transaction(request, gas, journal, environment)
    if tx.max_fee_per_gas == 0 and tx.max_priority_fee_per_gas == 0 and environment.base_fee_per_gas:
        # Nothing was offered, so nothing is asked: code sees a base fee of 0, as in geth.
        environment = replace(environment, base_fee_per_gas=0)
    checked = check_call(tx, request.sender, journal, environment, spec)
    return apply_transaction(checked, journal, environment, spec, vm, tracer)


def _transaction(request: CallRequest, gas: int, journal: JournaledState, environment: BlockEnvironment) -> Transaction:
    fee_cap = request.fee_cap
    tip = fee_cap if request.gas_price is not None else request.max_priority_fee_per_gas or 0
    kind = BLOB if request.blob_versioned_hashes else SET_CODE if request.authorization_list else FEE_MARKET
    return Transaction(
        type=kind,
        chain_id=environment.chain_id,
        nonce=journal.nonce(request.sender) if request.nonce is None else request.nonce,
        gas_limit=gas,
        to=request.to,
        value=request.value,
        data=request.data,
        max_fee_per_gas=fee_cap,
        max_priority_fee_per_gas=tip,
        access_list=request.access_list,
        max_fee_per_blob_gas=request.max_fee_per_blob_gas or 0,
        blob_versioned_hashes=request.blob_versioned_hashes,
        authorization_list=request.authorization_list,
    )


def check_call(
    tx: Transaction,
    sender: Address,
    journal: JournaledState,
    environment: BlockEnvironment,
    spec: Spec,
    free_blobs: bool = True,
) -> CheckedTransaction:
    """The checks that make sense for a call: not nonce, signature, sender's code or the transaction gas cap.

    ``free_blobs``: blobs are paid only where a fee for them was named; calls rarely name one.
    """
    if tx.max_priority_fee_per_gas > tx.max_fee_per_gas:
        raise InvalidTransaction(
            TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS,
            sender=sender,
            max_priority_fee_per_gas=tx.max_priority_fee_per_gas,
            max_fee_per_gas=tx.max_fee_per_gas,
        )
    base_fee = environment.base_fee_per_gas
    if tx.max_fee_per_gas < base_fee:
        raise InvalidTransaction(
            TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS,
            sender=sender,
            max_fee_per_gas=tx.max_fee_per_gas,
            base_fee=base_fee,
        )
    if tx.type == BLOB and spec.blobs is not None:
        check_blobs(tx, spec.blobs)
    if tx.type == SET_CODE and tx.to is None:
        raise InvalidTransaction(TransactionReason.TYPE_4_TX_CONTRACT_CREATION, sender=sender)
    size_max = spec.initcode_size_max
    if tx.to is None and size_max is not None and len(tx.data) > size_max:
        raise InvalidTransaction(TransactionReason.INITCODE_SIZE_EXCEEDED, size=len(tx.data), maximum=size_max)
    paid = tx.max_fee_per_blob_gas > 0 or not free_blobs
    blob_gas = len(tx.blob_versioned_hashes) * GAS_PER_BLOB if paid else 0
    if blob_gas and tx.max_fee_per_blob_gas < environment.blob_base_fee:
        raise InvalidTransaction(
            TransactionReason.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS,
            sender=sender,
            max_fee_per_blob_gas=tx.max_fee_per_blob_gas,
            blob_base_fee=environment.blob_base_fee,
        )
    check_funds(sender, journal.balance(sender), maximum_cost(tx))
    intrinsic, floor = intrinsic_gas(tx, spec)
    if tx.gas_limit < intrinsic:
        raise InvalidTransaction(TransactionReason.INTRINSIC_GAS_TOO_LOW, gas_limit=tx.gas_limit, needed=intrinsic)
    if tx.gas_limit < floor:
        raise InvalidTransaction(
            TransactionReason.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST, gas_limit=tx.gas_limit, needed=floor
        )
    return CheckedTransaction(
        tx=tx,
        sender=sender,
        intrinsic_gas=intrinsic,
        floor_gas=floor,
        blob_gas=blob_gas,
        effective_gas_price=tx.effective_gas_price(base_fee),
        blob_base_fee=environment.blob_base_fee,
    )


# --- estimation ---------------------------------------------------------------------------------


def estimate_gas(
    request: CallRequest,
    view: StateView,
    header: Header,
    spec: Spec,
    vm: VirtualMachine,
    chain_id: int,
    block_hash: BlockHashes,
    gas_cap: int,
    block: BlockOverrides | None = None,
    error_per_mille: int = ESTIMATE_ERROR_PER_MILLE,
) -> int:
    """A gas limit with which ``request`` succeeds, at most ``error_per_mille`` above the least one.

    Raises ExecutionReverted, ExecutionHalted, GasRequiredExceedsAllowance, or InvalidTransaction.
    """
    environment = surroundings_of(header, spec, chain_id, block_hash, block)
    surroundings = (view, environment, spec, vm)
    highest = _allowance(request, view, environment, spec, gas_cap)
    if not request.data and request.to is not None and not JournaledState(view).code(request.to):
        plain = _try(request, spec.gas.tx_base, surroundings)
        if plain is not None and plain.succeeded:
            return spec.gas.tx_base

    first = _try(request, highest, surroundings)
    if first is None:
        raise GasRequiredExceedsAllowance(highest)
    _raise_failure(first.outcome, highest)
    lowest = first.gas_used - 1
    # A sixty-fourth stays behind at every call (EIP-150), and a stipend may have to be shown: mostly enough.
    optimistic = (first.gas_used_before_refund + spec.gas.call_stipend) * 64 // 63
    if optimistic < highest:
        if _suffices(request, optimistic, surroundings):
            highest = optimistic
        else:
            lowest = optimistic
    while lowest + 1 < highest and (highest - lowest) * 1000 >= highest * error_per_mille:
        # The answer is mostly near the lower bound: the step up is bounded by doubling.
        middle = min((highest + lowest) // 2, lowest * 2)
        if _suffices(request, middle, surroundings):
            highest = middle
        else:
            lowest = middle
    return highest


def _allowance(request: CallRequest, view: StateView, environment: BlockEnvironment, spec: Spec, gas_cap: int) -> int:
    """The highest gas limit that may be tried: asked for, the block's, the fork's, the purse's, ours."""
    highest = environment.gas_limit
    if request.gas is not None and request.gas >= spec.gas.tx_base:
        highest = request.gas
    if spec.transaction_gas_limit_max is not None:
        highest = min(highest, spec.transaction_gas_limit_max)
    fee_cap = request.fee_cap
    if fee_cap:
        account = view.account(request.sender)
        balance = 0 if account is None else account.balance
        spent = request.value + len(request.blob_versioned_hashes) * GAS_PER_BLOB * (request.max_fee_per_blob_gas or 0)
        if spent > balance or (request.value and request.value >= balance):
            raise InvalidTransaction(
                TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS, sender=request.sender, balance=balance, cost=spent
            )
        highest = min(highest, (balance - spent) // fee_cap)
    return min(highest, gas_cap)


def _try(request: CallRequest, gas: int, surroundings: Surroundings) -> TransactionResult | None:
    """One run on a fresh journal; None where ``gas`` does not even cover the intrinsic part."""
    view, environment, spec, vm = surroundings
    try:
        return run_call(request, gas, JournaledState(view), environment, spec, vm)
    except InvalidTransaction as refusal:
        if refusal.reason in (
            TransactionReason.INTRINSIC_GAS_TOO_LOW,
            TransactionReason.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST,
        ):
            return None
        raise


def _suffices(request: CallRequest, gas: int, surroundings: Surroundings) -> bool:
    result = _try(request, gas, surroundings)
    return result is not None and result.succeeded


def _raise_failure(outcome: Outcome, allowance: int) -> None:
    if isinstance(outcome, Revert):
        raise ExecutionReverted(outcome.output)
    if isinstance(outcome, Halt):
        if outcome.reason is HaltReason.OUT_OF_GAS:
            raise GasRequiredExceedsAllowance(allowance)
        raise ExecutionHalted(outcome.reason, outcome.detail)


# --- access lists -------------------------------------------------------------------------------

ACCESS_LIST_ROUNDS_MAX: Final = 16
"""Runs until the list stays the same; code that looks at its gas may never settle."""


class _RecordingJournal(JournaledState):
    """Remembers every account and slot that code touches, also in frames that were undone."""

    __slots__ = ("_armed", "created", "touched_slots")

    def __init__(self, view: StateView) -> None:
        super().__init__(view)
        self.touched_slots: dict[Address, dict[int, bool]] = {}
        self.created: dict[Address, bool] = {}
        self._armed = False

    def checkpoint(self) -> int:
        """The first one is taken where code begins: what is warm by the rules was warmed before it."""
        self._armed = True
        return super().checkpoint()

    def access_address(self, address: Address) -> bool:
        if self._armed:
            self.touched_slots.setdefault(address, {})
        return super().access_address(address)

    def access_slot(self, address: Address, slot: int) -> bool:
        if self._armed:
            self.touched_slots.setdefault(address, {})[slot] = True
        return super().access_slot(address, slot)

    def mark_created(self, address: Address) -> None:
        self.created[address] = True
        super().mark_created(address)


class _FrameByFrame:
    """A machine without whole messages: a compiled run asks the journal once for what it touches again and again."""

    def __init__(self, vm: VirtualMachine) -> None:
        self._vm = vm

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """As the machine inside."""
        return self._vm.run_frame(frame, tracer)


def create_access_list(
    request: CallRequest,
    view: StateView,
    header: Header,
    spec: Spec,
    vm: VirtualMachine,
    chain_id: int,
    block_hash: BlockHashes,
    gas_cap: int,
    block: BlockOverrides | None = None,
) -> AccessListResult:
    """The access list (EIP-2930) that makes all of the call's accesses warm. Raises InvalidTransaction.

    Accounts that are warm anyway (sender, target, coinbase, precompiles) and those that the call creates stand in
    it only with slots.
    """
    environment = surroundings_of(header, spec, chain_id, block_hash, block)
    gas = gas_cap if request.gas is None else min(request.gas, gas_cap)
    entries = request.access_list
    for _ in range(ACCESS_LIST_ROUNDS_MAX):
        journal = _RecordingJournal(view)
        attempt = replace(request, access_list=entries)
        result = run_call(attempt, gas, journal, environment, spec, _FrameByFrame(vm))
        found = _merged(entries, journal, request, environment, spec)
        if found == entries:
            break
        entries = found
    return AccessListResult(access_list=entries, gas_used=result.gas_used, outcome=result.outcome)


def _merged(
    entries: tuple[AccessListEntry, ...],
    journal: _RecordingJournal,
    request: CallRequest,
    environment: BlockEnvironment,
    spec: Spec,
) -> tuple[AccessListEntry, ...]:
    """``entries`` with what ``journal`` saw beyond them, in order of first touch."""
    merged: dict[Address, dict[int, bool]] = {}
    for address, slots in entries:
        merged.setdefault(address, {}).update(dict.fromkeys(slots, True))
    for address, touched in journal.touched_slots.items():
        warm_anyway = (
            address in (request.sender, request.to, environment.coinbase)
            or address in spec.precompiles
            or address in journal.created
        )
        if touched or not warm_anyway:
            merged.setdefault(address, {}).update(touched)
    return tuple((address, tuple(slots)) for address, slots in merged.items())
