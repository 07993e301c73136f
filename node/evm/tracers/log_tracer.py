"""The logs of one transaction in order, with transfers of wei where asked; what was undone logs nothing."""

from __future__ import annotations

from typing import Final

from node.evm.frame import Frame
from node.evm.message import CallKind, Message
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, Outcome, Success
from node.primitives.scalars import Address, word_to_address
from node.types.receipts import Log

TRANSFER_ADDRESS: Final = Address(b"\xee" * 20)
"""Under which transfers of wei are logged."""
TRANSFER_TOPIC: Final = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""keccak256("Transfer(address,address,uint256)")."""

_LOG0: Final = int(Opcode.LOG0)
_LOG4: Final = int(Opcode.LOG4)
_SELFDESTRUCT: Final = int(Opcode.SELFDESTRUCT)


def log_ahead(frame: Frame, opcode: int) -> Log | None:
    """What the LOG instruction that comes next will log, if it goes through; None where it surely does not."""
    stack = frame.stack
    topics = opcode - _LOG0
    if len(stack) < 2 + topics:
        return None
    offset, size = stack[-1], stack[-2]
    if size * frame.prices.log_data_byte > frame.gas:
        return None  # it cannot be paid
    data = bytes(frame.memory[offset : offset + size]).ljust(size, b"\x00") if size else b""
    return Log(frame.address, tuple(stack[-3 - index].to_bytes(32, "big") for index in range(topics)), data)


class LogTracer:
    """``logs`` holds (log, its number); numbers go on from ``first``, and dropped logs keep theirs, as in geth."""

    def __init__(self, first: int, transfers: bool) -> None:
        self.next_number = first
        self._transfers = transfers
        self._open: list[list[tuple[Log, int]]] = []
        self.logs: list[tuple[Log, int]] = []
        self._pending: Log | None = None

    def enter(self, message: Message) -> None:
        """A frame, with a list of its own."""
        self._commit()
        self._open.append([])
        if message.value and message.kind is not CallKind.DELEGATECALL:
            self._transfer(message.caller, message.target, message.value)

    def step(self, frame: Frame, opcode: int) -> None:
        """Look ahead: at the next event it is certain whether it came true."""
        self._commit()
        if opcode < _LOG0:
            return
        if opcode <= _LOG4:
            self._pending = log_ahead(frame, opcode)
        elif opcode == _SELFDESTRUCT and self._transfers and frame.stack:
            balance = frame.host.balance(frame.address)
            if balance:
                self._pending = _transfer_log(frame.address, word_to_address(frame.stack[-1]), balance)

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        """It did not."""
        self._pending = None

    def exit(self, message: Message, outcome: Outcome) -> None:
        """A frame's logs become its parent's, or nobody's."""
        self._commit()
        logs = self._open.pop()
        if not isinstance(outcome, Success):
            return
        if self._open:
            self._open[-1].extend(logs)
        else:
            self.logs = logs

    def _transfer(self, sender: Address, recipient: Address, value: int) -> None:
        if self._transfers:
            self._add(_transfer_log(sender, recipient, value))

    def _commit(self) -> None:
        if self._pending is not None:
            self._add(self._pending)
            self._pending = None

    def _add(self, log: Log) -> None:
        self._open[-1].append((log, self.next_number))
        self.next_number += 1


def _transfer_log(sender: Address, recipient: Address, value: int) -> Log:
    topics = (TRANSFER_TOPIC, sender.rjust(32, b"\x00"), recipient.rjust(32, b"\x00"))
    return Log(TRANSFER_ADDRESS, topics, value.to_bytes(32, "big"))
