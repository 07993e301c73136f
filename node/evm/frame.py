"""One call frame while it runs: program counter, gas, stack, memory, and what surrounds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.evm.code import Code
from node.evm.host import Host
from node.evm.message import BlockEnvironment, Message, TransactionEnvironment
from node.evm.outcome import FrameHalted, HaltReason
from node.evm.spec import Spec

CALL_DEPTH_LIMIT: Final = 1024
"""The deepest frame; the outermost is at depth 0 (Yellow Paper 8)."""
MEMORY_BYTES_MAX: Final = 0x1FFFFFFFE0
"""Beyond it the price of memory leaves 64 bits, so no gas limit can pay for it."""


@dataclass(frozen=True, slots=True)
class ChildCall:
    """What ``run_frame`` returns when a CALL or CREATE wants another frame to run first.

    The frame has paid for everything, ``message.gas`` included. ``output_offset`` and ``output_size``
    say where in its memory a call's output goes. ``refused`` tells that the child must not run at all
    (depth, balance, nonce): its gas comes back.
    """

    message: Message
    output_offset: int = 0
    output_size: int = 0
    refused: HaltReason | None = None


class BrokenOff(Exception):
    """A frame's gas fell below its ``floor``: the whole run is worth nothing. No outcome: nobody here catches it."""


def exhausted(gas: int) -> Exception:
    """What to raise where a frame's gas fell below its floor."""
    return FrameHalted(HaltReason.OUT_OF_GAS) if gas < 0 else BrokenOff()


class Frame:
    """A running message. Instructions work on it directly; only one machine touches it at a time.

    ``pc`` points behind the opcode while an instruction executes. ``gas`` is what is left.
    ``stack`` holds ints below 2**256, its top last; ``memory`` is a whole number of 32-byte words.
    ``return_data`` is the output of the last child. ``checkpoint`` undoes the frame.
    ``floor`` is 0, or where a run that may not take long is broken off (``BrokenOff``) instead of going on.
    """

    __slots__ = (
        "address",
        "block",
        "checkpoint",
        "code",
        "floor",
        "gas",
        "host",
        "is_static",
        "memory",
        "message",
        "pc",
        "prices",
        "return_data",
        "spec",
        "stack",
        "transaction",
    )

    def __init__(
        self,
        message: Message,
        code: Code,
        host: Host,
        block: BlockEnvironment,
        transaction: TransactionEnvironment,
        spec: Spec,
        checkpoint: int = 0,
    ) -> None:
        self.message = message
        self.code = code
        self.host = host
        self.block = block
        self.transaction = transaction
        self.spec = spec
        self.prices = spec.gas
        self.checkpoint = checkpoint
        self.address = message.target
        self.is_static = message.is_static
        self.pc = 0
        self.gas = message.gas
        self.floor = 0
        self.stack: list[int] = []
        self.memory = bytearray()
        self.return_data = b""

    def charge(self, amount: int) -> None:
        """Take gas; ends the frame where not enough is left."""
        self.gas -= amount
        if self.gas < self.floor:
            raise exhausted(self.gas)

    def expand(self, offset: int, size: int) -> None:
        """Charge for and make memory up to ``offset + size``; nothing for size 0 (Yellow Paper, appendix H.1)."""
        if size == 0:
            return
        memory = self.memory
        held = len(memory)
        end = offset + size
        if end <= held:
            return
        if end > MEMORY_BYTES_MAX:
            raise FrameHalted(HaltReason.OUT_OF_GAS)
        words, words_held = (end + 31) >> 5, held >> 5
        prices = self.prices
        divisor = prices.memory_quadratic_divisor
        self.charge(
            (words - words_held) * prices.memory_word + words * words // divisor - words_held * words_held // divisor
        )
        memory.extend(bytes((words << 5) - held))

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes of memory, which ``expand`` has made."""
        return bytes(self.memory[offset : offset + size]) if size else b""

    def forbid_static(self) -> None:
        """Ends the frame where state must not change (EIP-214)."""
        if self.is_static:
            raise FrameHalted(HaltReason.STATIC_WRITE)
