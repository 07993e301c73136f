"""Apply one checked transaction (Yellow Paper 6.2).

    buy gas -> warm up -> authorizations -> execute_message -> refund, floor -> pay the coinbase -> delete what ended

It cannot be refused here: ``check_transaction`` on the same journal has made the proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.evm.addresses import create_address
from node.evm.call_stack import execute_message
from node.evm.host import delegation_target
from node.evm.machine import Tracer, VirtualMachine
from node.evm.message import BlockEnvironment, CallKind, Message, TransactionEnvironment
from node.evm.outcome import Outcome, Success
from node.evm.spec import Spec
from node.execution.validity import CheckedTransaction
from node.primitives.scalars import U64_MAX, ZERO_ADDRESS, Address
from node.state.journal import JournaledState
from node.types.receipts import Log
from node.types.transactions import Authorization, Transaction

DELEGATION_PREFIX = b"\xef\x01\x00"
"""What an account's code starts with while it delegates (EIP-7702)."""


@dataclass(frozen=True, slots=True)
class TransactionResult:
    """What one transaction did. Gas in units, ``effective_gas_price`` in wei a gas.

    ``gas_used_before_refund`` is the least gas limit that lets the same run through (with the floor);
    ``contract_address`` is set for a creation that succeeded.
    """

    gas_used: int
    gas_used_before_refund: int
    outcome: Outcome
    logs: tuple[Log, ...]
    contract_address: Address | None
    effective_gas_price: int

    @property
    def succeeded(self) -> bool:
        """Status 1 of the receipt (EIP-658)."""
        return isinstance(self.outcome, Success)


def apply_transaction(
    checked: CheckedTransaction,
    journal: JournaledState,
    block: BlockEnvironment,
    spec: Spec,
    vm: VirtualMachine,
    tracer: Tracer | None = None,
) -> TransactionResult:
    """Run ``checked`` on ``journal``. The journal then holds the state after the transaction."""
    tx = checked.tx
    sender = checked.sender
    price = checked.effective_gas_price
    journal.begin_transaction(warm=warm_at_start(spec))
    journal.sub_balance(sender, tx.gas_limit * price + checked.blob_gas * checked.blob_base_fee)
    journal.increment_nonce(sender)
    _warm_up(checked, journal, block, spec)
    for authorization in tx.authorization_list:
        _apply_authorization(authorization, journal, block.chain_id, spec)

    message = _message(checked, journal, spec)
    environment = TransactionEnvironment(origin=sender, gas_price=price, blob_versioned_hashes=tx.blob_versioned_hashes)
    outcome = execute_message(message, journal, block, environment, spec, vm, tracer)

    used_before_refund = tx.gas_limit - outcome.gas_left
    refund = min(journal.refund, used_before_refund // spec.gas.refund_quotient)
    gas_used = max(used_before_refund - refund, checked.floor_gas)
    journal.add_balance(sender, (tx.gas_limit - gas_used) * price)
    # Only a call that nobody keeps may pay less than the base fee; then the coinbase has nothing.
    journal.add_balance(block.coinbase, gas_used * max(0, price - block.base_fee_per_gas))
    logs = journal.logs
    journal.end_transaction(remove_empty=spec.removes_empty)
    created = tx.to is None and isinstance(outcome, Success)
    return TransactionResult(
        gas_used=gas_used,
        gas_used_before_refund=max(used_before_refund, checked.floor_gas),
        outcome=outcome,
        logs=logs,
        contract_address=message.target if created else None,
        effective_gas_price=price,
    )


def warm_at_start(spec: Spec) -> Iterable[Address]:
    """Whom every transaction finds warm."""
    return spec.precompiles if spec.warm_at_start is None else spec.warm_at_start


def _warm_up(checked: CheckedTransaction, journal: JournaledState, block: BlockEnvironment, spec: Spec) -> None:
    """Beside the precompiles, sender, coinbase (EIP-3651) and the access list start warm (EIP-2929, 2930)."""
    access = journal.access_address
    access(checked.sender)
    if spec.warm_coinbase:
        access(block.coinbase)
    for address, slots in checked.tx.access_list:
        access(address)
        for slot in slots:
            journal.access_slot(address, slot)


def _apply_authorization(authorization: Authorization, journal: JournaledState, chain_id: int, spec: Spec) -> None:
    """Let an account delegate to code (EIP-7702). A tuple that does not hold is passed over.

    The authority is warm from the moment it is known, also where its code or nonce do not fit.
    """
    if authorization.chain_id not in (0, chain_id) or authorization.nonce >= U64_MAX:
        return
    authority = authorization.authority()
    if authority is None:
        return
    journal.access_address(authority)
    code = journal.code(authority)
    if code and delegation_target(code) is None:
        return
    if journal.nonce(authority) != authorization.nonce:
        return
    if journal.account_exists(authority):
        journal.add_refund(spec.gas.authorization_new_account - spec.gas.authorization_base)
    target = authorization.address
    journal.set_code(authority, b"" if target == ZERO_ADDRESS else DELEGATION_PREFIX + target)
    journal.increment_nonce(authority)


def _message(checked: CheckedTransaction, journal: JournaledState, spec: Spec) -> Message:
    """The outermost frame. What it calls is warm; a delegation is followed once (EIP-7702)."""
    tx: Transaction = checked.tx
    gas = tx.gas_limit - checked.intrinsic_gas
    if tx.to is None:
        target = create_address(checked.sender, tx.nonce)
        journal.access_address(target)
        return Message(
            kind=CallKind.CREATE,
            caller=checked.sender,
            target=target,
            code_address=target,
            code=tx.data,
            data=b"",
            value=tx.value,
            gas=gas,
        )
    journal.access_address(tx.to)
    code = journal.code(tx.to)
    code_address = tx.to
    delegated = delegation_target(code) if spec.delegations else None
    if delegated is not None:
        journal.access_address(delegated)
        code = journal.code(delegated)
        code_address = delegated
    return Message(
        kind=CallKind.CALL,
        caller=checked.sender,
        target=tx.to,
        code_address=code_address,
        code=code,
        data=tx.data,
        value=tx.value,
        gas=gas,
        disable_precompiles=delegated is not None,
    )
