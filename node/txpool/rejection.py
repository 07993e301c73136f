"""Why the pool does not take a transaction, in geth's words."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from node.execution.geth_words import geth_message
from node.types.invalid import InvalidTransaction, TransactionReason


class PoolCode(StrEnum):
    """Refusals of the pool itself; those of the rules have a TransactionReason."""

    ALREADY_KNOWN = "ALREADY_KNOWN"
    REPLACEMENT_UNDERPRICED = "REPLACEMENT_UNDERPRICED"
    UNDERPRICED = "UNDERPRICED"
    POOL_FULL = "POOL_FULL"
    ACCOUNT_LIMIT = "ACCOUNT_LIMIT"
    DELEGATED_ACCOUNT_LIMIT = "DELEGATED_ACCOUNT_LIMIT"
    OVERSIZED = "OVERSIZED"
    BLOBS_WITHOUT_SIDECAR = "BLOBS_WITHOUT_SIDECAR"
    NO_HEAD = "NO_HEAD"


_NEVER_VALID: Final = frozenset(
    {
        TransactionReason.INVALID_CHAINID,
        TransactionReason.INVALID_SIGNATURE_VRS,
        TransactionReason.EC_RECOVERY_FAIL,
        TransactionReason.NONCE_IS_MAX,
        TransactionReason.INTRINSIC_GAS_TOO_LOW,
        TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS,
        TransactionReason.TYPE_3_TX_CONTRACT_CREATION,
        TransactionReason.TYPE_3_TX_ZERO_BLOBS,
        TransactionReason.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH,
        TransactionReason.TYPE_4_TX_CONTRACT_CREATION,
        TransactionReason.TYPE_4_EMPTY_AUTHORIZATION_LIST,
    }
)


class PoolRejected(Exception):
    """Not taken. ``message`` is geth's; ``code`` says which rule.

    ``permanent``: no head would make it valid, so that a peer that passed it on had not checked it.
    """

    def __init__(self, code: PoolCode | TransactionReason, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def permanent(self) -> bool:
        """It can never stand on this chain."""
        return self.code in _NEVER_VALID


def rejected_by_rules(refusal: InvalidTransaction) -> PoolRejected:
    """A refusal of the rules as one of the pool."""
    return PoolRejected(refusal.reason, geth_message(refusal))
