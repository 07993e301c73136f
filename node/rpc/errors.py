"""JSON-RPC errors with geth's codes and words, which client libraries match.

A handler raises RpcError for everything that is the caller's business. Any other exception is ours: it is
logged inside and told outside as "internal error" only.
"""

from __future__ import annotations

from typing import Any, Final

from node.evm.outcome import Outcome, Revert
from node.evm.revert_reason import revert_reason
from node.evm.tracers.words import failure

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
"""Refused by the pool, by execution, or for want of a block: geth's catch-all."""
RESOURCE_NOT_FOUND: Final = -32001
"""EIP-1474."""
TIMED_OUT: Final = -32002
RESPONSE_TOO_LARGE: Final = -32003
LIMIT_EXCEEDED: Final = -32005
"""EIP-1474: the request is well formed but asks for more than this node gives."""
EXECUTION_REVERTED: Final = 3


class RpcError(Exception):
    """What the caller is told: a code, words, and for reverts the returned bytes as hex."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def to_json(self) -> dict[str, Any]:
        """The error object. ``data`` is absent, not null, where there is none (web3.py takes null for a revert)."""
        told: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            told["data"] = self.data
        return told


def invalid_params(message: str) -> RpcError:
    """The parameters do not fit the method."""
    return RpcError(INVALID_PARAMS, message)


def refused(message: str) -> RpcError:
    """Understood, and not possible."""
    return RpcError(SERVER_ERROR, message)


def method_not_found(name: str) -> RpcError:
    """geth's words; ethers matches them. A name of any length is echoed only in part."""
    shown = name if len(name) <= 80 else name[:80] + "…"
    return RpcError(METHOD_NOT_FOUND, f"the method {shown} does not exist/is not available")


def internal_error() -> RpcError:
    """Our mistake; details are in the log and nowhere else."""
    return RpcError(INTERNAL_ERROR, "internal error")


def execution_reverted(output: bytes) -> RpcError:
    """A revert: code 3, the reason in words where there is one, the bytes as hex directly at ``error.data``."""
    reason = revert_reason(output)
    message = "execution reverted" if reason is None else f"execution reverted: {reason}"
    return RpcError(EXECUTION_REVERTED, message, "0x" + output.hex())


def outcome_words(outcome: Outcome) -> str | None:
    """What a failed run says of itself (without the revert's reason), or None for a success."""
    return failure(outcome) or None


def check_outcome(outcome: Outcome) -> bytes:
    """The output of a success. Raises RpcError for a revert or an exceptional halt."""
    if isinstance(outcome, Revert):
        raise execution_reverted(outcome.output)
    words = outcome_words(outcome)
    if words is not None:
        raise refused(words)
    return outcome.output
