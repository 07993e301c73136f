"""JSON-RPC errors with geth's codes and words, which client libraries match.

A handler raises RpcError for everything that is the caller's business. Any other exception is ours: it is
logged inside and told outside as "internal error" only.
"""

from __future__ import annotations

from typing import Any, Final

from node.evm.outcome import Halt, Outcome, Revert

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
"""Refused by the pool, by execution, or for want of a block: geth's catch-all."""
TIMED_OUT: Final = -32002
RESPONSE_TOO_LARGE: Final = -32003
LIMIT_EXCEEDED: Final = -32005
"""EIP-1474: the request is well formed but asks for more than this node gives."""
EXECUTION_REVERTED: Final = 3

ERROR_SELECTOR: Final = bytes.fromhex("08c379a0")
"""Error(string)."""
PANIC_SELECTOR: Final = bytes.fromhex("4e487b71")
"""Panic(uint256)."""

PANIC_REASONS: Final = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}
"""Solidity's panic codes, worded as geth words them."""


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


def revert_reason(output: bytes) -> str | None:
    """The words in ABI-encoded Error(string) or Panic(uint256) bytes, or None for anything else."""
    selector, body = output[:4], output[4:]
    if selector == PANIC_SELECTOR and len(body) >= 32:
        code = int.from_bytes(body[:32], "big")
        return PANIC_REASONS.get(code, f"unknown panic code: {code:#x}")
    if selector != ERROR_SELECTOR or len(body) < 64:
        return None
    offset = int.from_bytes(body[:32], "big")
    if offset + 32 > len(body):
        return None
    length = int.from_bytes(body[offset : offset + 32], "big")
    text = body[offset + 32 : offset + 32 + length]
    return text.decode("utf-8", errors="replace") if len(text) == length else None


def execution_reverted(output: bytes) -> RpcError:
    """A revert: code 3, the reason in words where there is one, the bytes as hex directly at ``error.data``."""
    reason = revert_reason(output)
    message = "execution reverted" if reason is None else f"execution reverted: {reason}"
    return RpcError(EXECUTION_REVERTED, message, "0x" + output.hex())


def outcome_words(outcome: Outcome) -> str | None:
    """What a failed run says of itself (without the revert's reason), or None for a success."""
    if isinstance(outcome, Revert):
        return "execution reverted"
    if isinstance(outcome, Halt):
        return f"{outcome.reason}: {outcome.detail}" if outcome.detail else str(outcome.reason)
    return None


def check_outcome(outcome: Outcome) -> bytes:
    """The output of a success. Raises RpcError for a revert or an exceptional halt."""
    if isinstance(outcome, Revert):
        raise execution_reverted(outcome.output)
    words = outcome_words(outcome)
    if words is not None:
        raise refused(words)
    return outcome.output
