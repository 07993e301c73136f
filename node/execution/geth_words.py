"""What geth says for each refusal of a transaction: client libraries match these words. Used by the pool and by RPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from node.types.invalid import InvalidTransaction, TransactionReason

Facts = Mapping[str, Any]
_Reason = TransactionReason


def geth_message(refusal: InvalidTransaction) -> str:
    """The refusal in geth's words, with its facts."""
    words = _WORDS.get(refusal.reason)
    if words is None:
        problem = refusal.facts.get("problem", refusal.reason.value)
        return f"rlp: {problem}"
    return words(_Told(refusal.facts))


class _Told(dict[str, Any]):
    """Facts with addresses as hex; a fact that was not given reads as "?" instead of spoiling the message."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(
            (name, "0x" + value.hex() if isinstance(value, bytes) else value) for name, value in facts.items()
        )

    def __missing__(self, name: str) -> str:
        return "?"


def _text(template: str) -> Callable[[_Told], str]:
    return lambda facts: template.format_map(facts)


_WORDS: Final[Mapping[TransactionReason, Callable[[_Told], str]]] = {
    _Reason.TYPE_NOT_SUPPORTED: _text("transaction type not supported"),
    _Reason.TYPE_1_TX_PRE_FORK: _text("transaction type not supported: type 1 is of a later fork"),
    _Reason.TYPE_2_TX_PRE_FORK: _text("transaction type not supported: type 2 is of a later fork"),
    _Reason.TYPE_3_TX_PRE_FORK: _text("transaction type not supported: type 3 is of a later fork"),
    _Reason.TYPE_4_TX_PRE_FORK: _text("transaction type not supported: type 4 is of a later fork"),
    _Reason.INVALID_CHAINID: _text("invalid sender: invalid chain id for signer: have {have} want {want}"),
    _Reason.INVALID_SIGNATURE_VRS: _text("invalid sender: invalid transaction v, r, s values"),
    _Reason.EC_RECOVERY_FAIL: _text("invalid sender: recovery failed"),
    _Reason.NONCE_IS_MAX: _text("nonce has max value: address {sender}, nonce: {tx_nonce}"),
    _Reason.NONCE_MISMATCH_TOO_LOW: _text("nonce too low: next nonce {state_nonce}, tx nonce {tx_nonce}"),
    _Reason.NONCE_MISMATCH_TOO_HIGH: _text("nonce too high: next nonce {state_nonce}, tx nonce {tx_nonce}"),
    _Reason.INTRINSIC_GAS_TOO_LOW: _text("intrinsic gas too low: gas {gas_limit}, minimum needed {needed}"),
    _Reason.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST: _text(
        "insufficient gas for floor data gas cost: gas {gas_limit}, minimum needed {needed}"
    ),
    _Reason.INSUFFICIENT_ACCOUNT_FUNDS: _text(
        "insufficient funds for gas * price + value: address {sender} have {balance} want {cost}"
    ),
    _Reason.INSUFFICIENT_MAX_FEE_PER_GAS: _text(
        "max fee per gas less than block base fee: address {sender}, "
        "maxFeePerGas: {max_fee_per_gas}, baseFee: {base_fee}"
    ),
    _Reason.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS: _text(
        "max priority fee per gas higher than max fee per gas: address {sender}, "
        "maxPriorityFeePerGas: {max_priority_fee_per_gas}, maxFeePerGas: {max_fee_per_gas}"
    ),
    _Reason.GAS_ALLOWANCE_EXCEEDED: _text("exceeds block gas limit"),
    _Reason.GAS_LIMIT_EXCEEDS_MAXIMUM: _text("transaction gas limit too high (cap: {maximum}, tx: {gas_limit})"),
    _Reason.GASLIMIT_PRICE_PRODUCT_OVERFLOW: _text("gas limit * price exceeds 256 bits"),
    _Reason.INITCODE_SIZE_EXCEEDED: _text("max initcode size exceeded: code size {size}, limit {maximum}"),
    _Reason.SENDER_NOT_EOA: _text("sender not an eoa: address {sender}, len(code): {code_size}"),
    _Reason.TYPE_3_TX_ZERO_BLOBS: _text("blob transaction missing blob hashes"),
    _Reason.TYPE_3_TX_BLOB_COUNT_EXCEEDED: _text("blob transaction has too many blobs: have {blobs}, max {maximum}"),
    _Reason.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED: _text(
        "blob gas limit reached: have {available}, want {blob_gas}"
    ),
    _Reason.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH: _text("blob {index} has invalid hash version"),
    _Reason.TYPE_3_TX_CONTRACT_CREATION: _text("blob transaction of type create"),
    _Reason.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS: _text(
        "max fee per blob gas less than block blob gas fee: address {sender} "
        "blobGasFeeCap: {max_fee_per_blob_gas}, blobBaseFee: {blob_base_fee}"
    ),
    _Reason.TYPE_4_TX_CONTRACT_CREATION: _text(
        "EIP-7702 transaction cannot be used to create contract (sender {sender})"
    ),
    _Reason.TYPE_4_EMPTY_AUTHORIZATION_LIST: _text("EIP-7702 transaction with empty auth list (sender {sender})"),
}
