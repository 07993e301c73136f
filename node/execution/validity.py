"""May this transaction stand in a block? Checks only; nothing is changed.

    check_static       what the transaction alone, the fork and the block's gas limit decide (the pool's half)
    check_transaction  check_static + fees, room in the block, nonce, balance, sender's code -> CheckedTransaction

EIP-155, 1559, 2681, 2930, 3607, 3860, 4844, 7594, 7623, 7702, 7825.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from node.crypto.secp256k1 import HALF_ORDER
from node.evm.host import delegation_target
from node.evm.spec import GAS_PER_BLOB, BlobRules, Spec
from node.execution.intrinsic import intrinsic_gas
from node.primitives.scalars import U64_MAX, Address
from node.types.invalid import InvalidTransaction, TransactionReason
from node.types.operations import ORDERS, MalformedOperations, Operation, RestoreState, decode_operations
from node.types.transactions import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, SET_CODE, UNSIGNED, Transaction

VERSIONED_HASH_VERSION_KZG: Final = 1
"""First byte of a blob's versioned hash (EIP-4844)."""

_PRE_FORK: Final = {
    ACCESS_LIST: TransactionReason.TYPE_1_TX_PRE_FORK,
    FEE_MARKET: TransactionReason.TYPE_2_TX_PRE_FORK,
    BLOB: TransactionReason.TYPE_3_TX_PRE_FORK,
    SET_CODE: TransactionReason.TYPE_4_TX_PRE_FORK,
}


class Accounts(Protocol):
    """Where nonces, balances and codes are read (``state/journal.py``)."""

    def nonce(self, address: Address) -> int:
        """Transactions sent."""
        ...

    def balance(self, address: Address) -> int:
        """Wei."""
        ...

    def code(self, address: Address) -> bytes:
        """Empty for an account without code or no account."""
        ...


@dataclass(frozen=True, slots=True)
class StaticCheck:
    """What ``check_static`` found out. Gas."""

    sender: Address
    intrinsic_gas: int
    floor_gas: int
    blob_gas: int


@dataclass(frozen=True, slots=True)
class CheckedTransaction:
    """The proof that ``apply_transaction`` takes: it cannot be refused any more. Wei and gas."""

    tx: Transaction
    sender: Address
    intrinsic_gas: int
    floor_gas: int
    blob_gas: int
    effective_gas_price: int
    blob_base_fee: int


def check_static(tx: Transaction, spec: Spec, chain_id: int, gas_limit: int) -> StaticCheck:
    """What does not depend on the state or on fees. ``gas_limit`` is the block's. Raises InvalidTransaction."""
    if tx.type not in spec.transaction_types:
        raise InvalidTransaction(_PRE_FORK.get(tx.type, TransactionReason.TYPE_NOT_SUPPORTED), type=tx.type)
    if tx.chain_id is not None and tx.chain_id != chain_id:
        raise InvalidTransaction(TransactionReason.INVALID_CHAINID, have=tx.chain_id, want=chain_id)
    if tx.chain_id is not None and tx.type == LEGACY and not spec.chain_id_in_signature:
        raise InvalidTransaction(TransactionReason.INVALID_SIGNATURE_VRS, v=tx.v)
    if spec.low_s and tx.s > HALF_ORDER:
        raise InvalidTransaction(TransactionReason.INVALID_SIGNATURE_VRS, r=tx.r, s=tx.s)
    gas_max = spec.transaction_gas_limit_max
    if gas_max is not None and tx.gas_limit > gas_max:
        raise InvalidTransaction(TransactionReason.GAS_LIMIT_EXCEEDS_MAXIMUM, gas_limit=tx.gas_limit, maximum=gas_max)
    intrinsic, floor = intrinsic_gas(tx, spec)
    if tx.gas_limit < intrinsic:
        raise InvalidTransaction(TransactionReason.INTRINSIC_GAS_TOO_LOW, gas_limit=tx.gas_limit, needed=intrinsic)
    if tx.gas_limit < floor:
        raise InvalidTransaction(
            TransactionReason.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST, gas_limit=tx.gas_limit, needed=floor
        )
    if tx.gas_limit > gas_limit:
        raise InvalidTransaction(TransactionReason.GAS_ALLOWANCE_EXCEEDED, gas_limit=tx.gas_limit, available=gas_limit)
    size_max = spec.initcode_size_max
    if tx.to is None and size_max is not None and len(tx.data) > size_max:
        raise InvalidTransaction(TransactionReason.INITCODE_SIZE_EXCEEDED, size=len(tx.data), maximum=size_max)
    sender = tx.sender
    if tx.nonce >= U64_MAX:
        raise InvalidTransaction(TransactionReason.NONCE_IS_MAX, sender=sender, tx_nonce=tx.nonce)
    if tx.max_priority_fee_per_gas > tx.max_fee_per_gas:
        raise InvalidTransaction(
            TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS,
            sender=sender,
            max_priority_fee_per_gas=tx.max_priority_fee_per_gas,
            max_fee_per_gas=tx.max_fee_per_gas,
        )
    blob_gas = 0
    if tx.type == BLOB:
        assert spec.blobs is not None, "a fork with blob transactions has blob rules"
        blob_gas = check_blobs(tx, spec.blobs)
    elif tx.type == UNSIGNED and tx.to == ORDERS:
        orders_of(tx)
    elif tx.type == SET_CODE:
        if tx.to is None:
            raise InvalidTransaction(TransactionReason.TYPE_4_TX_CONTRACT_CREATION, sender=sender)
        if not tx.authorization_list:
            raise InvalidTransaction(TransactionReason.TYPE_4_EMPTY_AUTHORIZATION_LIST, sender=sender)
    return StaticCheck(sender=sender, intrinsic_gas=intrinsic, floor_gas=floor, blob_gas=blob_gas)


def orders_of(tx: Transaction) -> tuple[Operation, ...]:
    """The state writes of an unsigned transaction. Raises InvalidTransaction."""
    try:
        orders = decode_operations(tx.data)
    except MalformedOperations as error:
        raise InvalidTransaction(TransactionReason.RLP_INVALID, problem=str(error)) from error
    if any(isinstance(order, RestoreState) for order in orders[:-1]):
        raise InvalidTransaction(TransactionReason.RLP_INVALID, problem="a restored state must be the last order")
    return orders


def check_blobs(tx: Transaction, rules: BlobRules) -> int:
    """The blob gas of a well-formed blob transaction. Raises InvalidTransaction."""
    hashes = tx.blob_versioned_hashes
    if tx.to is None:
        raise InvalidTransaction(TransactionReason.TYPE_3_TX_CONTRACT_CREATION)
    if not hashes:
        raise InvalidTransaction(TransactionReason.TYPE_3_TX_ZERO_BLOBS)
    count_max = rules.max if rules.max_per_transaction is None else min(rules.max, rules.max_per_transaction)
    if len(hashes) > count_max:
        raise InvalidTransaction(TransactionReason.TYPE_3_TX_BLOB_COUNT_EXCEEDED, blobs=len(hashes), maximum=count_max)
    for index, versioned_hash in enumerate(hashes):
        if len(versioned_hash) != 32 or versioned_hash[0] != VERSIONED_HASH_VERSION_KZG:
            raise InvalidTransaction(
                TransactionReason.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH, index=index, hash=versioned_hash
            )
    return len(hashes) * GAS_PER_BLOB


def check_transaction(
    tx: Transaction,
    *,
    accounts: Accounts,
    spec: Spec,
    chain_id: int,
    base_fee: int,
    blob_base_fee: int,
    gas_available: int,
    blob_gas_available: int,
) -> CheckedTransaction:
    """Whether ``tx`` can be the next transaction of a block. Gas in units, fees in wei. Raises InvalidTransaction."""
    static = check_static(tx, spec, chain_id, gas_available)
    sender = static.sender
    if tx.max_fee_per_gas < base_fee and tx.type != UNSIGNED:
        raise InvalidTransaction(
            TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS,
            sender=sender,
            max_fee_per_gas=tx.max_fee_per_gas,
            base_fee=base_fee,
        )
    if static.blob_gas:
        if static.blob_gas > blob_gas_available:
            raise InvalidTransaction(
                TransactionReason.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED,
                blob_gas=static.blob_gas,
                available=blob_gas_available,
            )
        if tx.max_fee_per_blob_gas < blob_base_fee:
            raise InvalidTransaction(
                TransactionReason.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS,
                sender=sender,
                max_fee_per_blob_gas=tx.max_fee_per_blob_gas,
                blob_base_fee=blob_base_fee,
            )
    nonce = accounts.nonce(sender)
    if tx.nonce != nonce:
        raise nonce_mismatch(sender, tx.nonce, nonce)
    check_funds(sender, accounts.balance(sender), maximum_cost(tx))
    if tx.type != UNSIGNED:
        check_sender_code(sender, accounts.code(sender), spec)
    return CheckedTransaction(
        tx=tx,
        sender=sender,
        intrinsic_gas=static.intrinsic_gas,
        floor_gas=static.floor_gas,
        blob_gas=static.blob_gas,
        effective_gas_price=tx.effective_gas_price(base_fee),
        blob_base_fee=blob_base_fee,
    )


def maximum_cost(tx: Transaction) -> int:
    """Wei that the sender must own: gas and blob gas at their highest prices, and the value."""
    return (
        tx.gas_limit * tx.max_fee_per_gas
        + len(tx.blob_versioned_hashes) * GAS_PER_BLOB * tx.max_fee_per_blob_gas
        + tx.value
    )


def nonce_mismatch(sender: Address, tx_nonce: int, state_nonce: int) -> InvalidTransaction:
    """The refusal for a nonce that is not the account's next."""
    reason = (
        TransactionReason.NONCE_MISMATCH_TOO_LOW
        if tx_nonce < state_nonce
        else TransactionReason.NONCE_MISMATCH_TOO_HIGH
    )
    return InvalidTransaction(reason, sender=sender, tx_nonce=tx_nonce, state_nonce=state_nonce)


def check_funds(sender: Address, balance: int, cost: int) -> None:
    """Raises InvalidTransaction where ``balance`` does not cover ``cost`` (wei)."""
    if balance < cost:
        raise InvalidTransaction(
            TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS, sender=sender, balance=balance, cost=cost
        )


def check_sender_code(sender: Address, code: bytes, spec: Spec) -> None:
    """Contracts send no transactions (EIP-3607); accounts with a delegation do (EIP-7702)."""
    if code and not (spec.delegations and delegation_target(code) is not None):
        raise InvalidTransaction(TransactionReason.SENDER_NOT_EOA, sender=sender, code_size=len(code))
