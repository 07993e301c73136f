"""callTracer: the tree of calls, creations and self-destructions, with logs where asked.

The outermost call shows the transaction's gas: its limit and what its receipt says. Every other one shows
what it was given and what it used itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from node.evm.frame import Frame
from node.evm.host import Host
from node.evm.message import CallKind, Message
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Outcome, Revert, Success
from node.evm.revert_reason import revert_reason
from node.evm.tracers.log_tracer import log_ahead
from node.evm.tracers.transaction_tracer import Budget, TransactionStart
from node.evm.tracers.words import failure
from node.primitives.scalars import Address, word_to_address

Json = dict[str, Any]

_SELFDESTRUCT: Final = int(Opcode.SELFDESTRUCT)
_DELEGATING: Final = (int(Opcode.CALLCODE), int(Opcode.DELEGATECALL))
_LOG0: Final = int(Opcode.LOG0)
_LOG4: Final = int(Opcode.LOG4)
_UNSPENT: Final = (HaltReason.CALL_DEPTH, HaltReason.INSUFFICIENT_BALANCE, HaltReason.NONCE_OVERFLOW)
"""Refused before anything ran: the gas went back."""
_CALL_BYTES: Final = 400
"""What a call weighs in JSON beside its input and output."""


@dataclass(frozen=True, slots=True)
class CallTracerConfig:
    """geth's options."""

    only_top_call: bool = False
    with_log: bool = False


class CallTracer:
    """Builds the tree from the outermost call down."""

    def __init__(self, config: CallTracerConfig, budget: Budget) -> None:
        self._config = config
        self._budget = budget
        self._open: list[Json] = []
        """The calls that have not ended, the innermost last."""
        self._root: Json = {}
        self._gas_limit = 0
        self._first_log_index = 0
        self._logs: list[Json | None] = []
        """All logs that still hold, in order; None for one that is not shown."""
        self._marks: list[int] = []
        """How many logs held when each open call began."""
        self._pending_log: Json | None = None
        self._pending_is_shown = False
        self._pending_destruction: Json | None = None
        self._called: Address | None = None

    def begin(self, start: TransactionStart) -> None:
        """Forget the last transaction."""
        self._open = []
        self._root = {}
        self._gas_limit = start.gas_limit
        self._first_log_index = start.first_log_index
        self._logs = []
        self._marks = []
        self._pending_log = None
        self._pending_destruction = None

    def enter(self, message: Message) -> None:
        """A call begins."""
        self._commit_log()
        self._marks.append(len(self._logs))
        if self._config.only_top_call and message.depth > 0:
            return
        data = message.code if message.is_create else message.data
        self._budget.hold(_CALL_BYTES + 2 * len(data))
        call: Json = {
            "from": _hex(_caller(message)),
            "gas": hex(self._gas_limit if message.depth == 0 else message.gas),
            "gasUsed": "0x0",
            "to": _hex(self._recipient(message)),
            "input": _hex(data),
        }
        if message.kind is not CallKind.STATICCALL:
            call["value"] = hex(message.value)
        call["type"] = message.kind.name
        self._open.append(call)

    def _recipient(self, message: Message) -> Address:
        """Whom the caller named: for borrowed code its owner, even where that delegates to another (EIP-7702)."""
        if message.kind in (CallKind.CALLCODE, CallKind.DELEGATECALL):
            return message.code_address if self._called is None else self._called
        return message.target

    def step(self, frame: Frame, opcode: int) -> None:
        """Look ahead at what leaves a trace of its own: self-destruction and logs."""
        self._budget.step()
        self._commit_log()
        if opcode < _LOG0:
            return
        stack = frame.stack
        if opcode in _DELEGATING:
            self._called = word_to_address(stack[-2]) if len(stack) >= 2 else None
        elif opcode == _SELFDESTRUCT:
            if stack and not self._config.only_top_call:
                self._pending_destruction = {
                    "from": _hex(frame.address),
                    "gas": "0x0",
                    "gasUsed": "0x0",
                    "to": _hex(word_to_address(stack[-1])),
                    "input": "0x",
                    "value": hex(frame.host.balance(frame.address)),
                    "type": "SELFDESTRUCT",
                }
        elif opcode <= _LOG4 and self._config.with_log:
            self._see_log(frame, opcode)

    def _see_log(self, frame: Frame, opcode: int) -> None:
        """Remember the log until it is certain that the instruction went through."""
        log = log_ahead(frame, opcode)
        if log is not None:
            self._pending_is_shown = not (self._config.only_top_call and frame.message.depth > 0)
            self._pending_log = {
                "address": _hex(log.address),
                "topics": [_hex(topic) for topic in log.topics],
                "data": _hex(log.data),
                "position": hex(len(self._open[-1].get("calls", ()))),
            }

    def _commit_log(self) -> None:
        log = self._pending_log
        if log is not None:
            self._pending_log = None
            if not self._pending_is_shown:
                self._logs.append(None)
                return
            self._budget.hold(_CALL_BYTES + len(log["data"]))
            self._logs.append(log)
            self._open[-1].setdefault("logs", []).append(log)

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        """The instruction came to nothing."""
        self._pending_log = None
        self._pending_destruction = None

    def exit(self, message: Message, outcome: Outcome) -> None:
        """The call is over; hang it below its parent."""
        self._commit_log()
        destruction = self._pending_destruction
        if destruction is not None:
            self._pending_destruction = None
            self._budget.hold(_CALL_BYTES)
            self._open[-1].setdefault("calls", []).append(destruction)
        held = self._marks.pop()
        if not isinstance(outcome, Success):
            del self._logs[held:]
        if self._config.only_top_call and message.depth > 0:
            return
        call = self._open.pop()
        if message.depth > 0:
            call["gasUsed"] = hex(_gas_used(message, outcome))
        self._tell_end(call, outcome)
        if self._open:
            self._open[-1].setdefault("calls", []).append(call)
        else:
            self._root = call

    def _tell_end(self, call: Json, outcome: Outcome) -> None:
        output = outcome.output
        self._budget.hold(2 * len(output))
        error = failure(outcome)
        if output:
            call["output"] = _hex(output)
        if not error:
            return
        call["error"] = error
        if call["type"].startswith("CREATE"):
            del call["to"]
        if isinstance(outcome, Revert) and output:
            reason = revert_reason(output)
            if reason is not None:
                call["revertReason"] = reason

    def end(self, gas_used: int, outcome: Outcome, host: Host) -> None:
        """The receipt's gas; logs of what was undone are no logs, and the others have their index in the block."""
        self._root["gasUsed"] = hex(gas_used)
        if self._config.with_log:
            _clear_failed_logs(self._root)
            for index, log in enumerate(self._logs, self._first_log_index):
                if log is not None:
                    log["index"] = hex(index)

    def result(self) -> Json:
        """geth's object: the outermost call."""
        return self._root


def _caller(message: Message) -> Address:
    """Who runs the calling code: for DELEGATECALL that is the account that borrows."""
    return message.target if message.kind is CallKind.DELEGATECALL else message.caller


def _gas_used(message: Message, outcome: Outcome) -> int:
    if isinstance(outcome, Halt) and outcome.reason in _UNSPENT:
        return 0
    return message.gas - outcome.gas_left


def _clear_failed_logs(root: Json) -> None:
    waiting: list[tuple[Json, bool]] = [(root, False)]
    while waiting:
        call, parent_failed = waiting.pop()
        failed = parent_failed or "error" in call
        if failed:
            call.pop("logs", None)
        waiting.extend((child, failed) for child in call.get("calls", ()))


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
