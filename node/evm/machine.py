"""What runs one frame, and what may watch it run.

The calling convention of instructions (the plain ``Interpreter``; another machine may have its own inside):

- The loop checks the row's stack bounds, charges its base gas, moves ``frame.pc`` behind the opcode, calls
  ``execute(frame)``. So PUSHn finds its immediate at ``frame.pc``, and PC pushes ``frame.pc - 1``.
- ``execute`` has four beats: **stack** (pop the operands), **gas** (charge what depends on them), **operation**
  (compute, ask the host, push), **pc** (only jumps and pushes). Nothing is changed outside the frame before
  all gas is paid; what a halted frame did to its own stack, memory and gas no one sees.
- It returns None to go on; ``Success`` or ``Revert`` where the frame ends; ``ChildCall`` where another frame must
  run first. ``call_stack.resume`` then gives the frame its answer and the machine runs it on from ``frame.pc``.
- It raises ``FrameHalted`` for an exceptional end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from node.evm.frame import ChildCall, Frame
from node.evm.host import Host
from node.evm.message import BlockEnvironment, Message, TransactionEnvironment
from node.evm.outcome import Halt, Outcome
from node.evm.spec import Spec
from node.primitives.scalars import Address
from node.types.receipts import Log
from node.types.transactions import Transaction

FrameResult: TypeAlias = Outcome | ChildCall


class Tracer(Protocol):
    """Watches a run; enough for EIP-3155 and call trees. It must not change what it is shown.

    A gas price is the difference of ``frame.gas`` between a step and whatever comes next for the same frame:
    its next step, the ``enter`` of its child, its ``fault`` or ``exit``.
    """

    def enter(self, message: Message) -> None:
        """A message begins, the transaction's own (depth 0) or a child; also a precompile's or a refused one's."""
        ...

    def step(self, frame: Frame, opcode: int) -> None:
        """Before each instruction: ``frame.pc`` stands at the opcode; gas, stack and memory are still untouched."""
        ...

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        """The instruction of the last step ended its frame exceptionally."""
        ...

    def exit(self, message: Message, outcome: Outcome) -> None:
        """The message is over; for a creation ``outcome.output`` is the deployed code."""
        ...


class VirtualMachine(Protocol):
    """Runs frames; the seam where a faster machine replaces the interpreter."""

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """Run ``frame`` from its ``pc`` until it ends or wants a child; the frame holds its host and its spec."""
        ...


class MessageMachine(ABC):
    """A machine that can also run a message with all its children at once; never traced.

    Not a protocol: every message asks for it, and asking for a protocol takes as long as running a small one.
    """

    @abstractmethod
    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """Like every machine's."""

    @abstractmethod
    def run_message(
        self, message: Message, host: Host, block: BlockEnvironment, tx: TransactionEnvironment, spec: Spec
    ) -> Outcome | None:
        """The outcome, with the changes in ``host``; None where nothing has happened and ``run_frame`` must do it."""

    def open_block(self, host: Host, block: BlockEnvironment, spec: Spec) -> BlockTables | None:
        """Tables for transactions in a row, where this machine has such.

        The host has just begun a transaction; from here to ``settle`` nobody else may read or write it.
        """
        return None


@dataclass(frozen=True, slots=True)
class TransactionRun:
    """What a transaction did, settled with its sender and the coinbase. Gas in units."""

    outcome: Outcome
    gas_used: int
    gas_used_before_refund: int
    logs: tuple[Log, ...]


class BlockTables(ABC):
    """Accounts and slots that stay in a machine's own tables from one transaction to the next."""

    @abstractmethod
    def nonce(self, address: Address) -> int:
        """As the transactions so far left it."""

    @abstractmethod
    def balance(self, address: Address) -> int:
        """Wei, as the transactions so far left them."""

    @abstractmethod
    def code(self, address: Address) -> bytes:
        """As the transactions so far left it."""

    @abstractmethod
    def run_transaction(
        self, tx: Transaction, sender: Address, price: int, gas: int, floor: int
    ) -> TransactionRun | None:
        """Apply a valid transaction: ``price`` in wei a gas, ``gas`` for the message, ``floor`` the least to pay.

        None where nothing has happened, and it must be applied to the host, after ``settle``.
        """

    @abstractmethod
    def settle(self) -> None:
        """Write all changes to the host, which has just begun a transaction for them, and give the tables back."""

    @abstractmethod
    def abandon(self) -> None:
        """Give the tables back; nobody wants what is in them."""
