"""What each opcode is under a fork's rules: read once from its table of instructions, by the plain functions in it.

A row that runs a function which is not known here is ``FOREIGN``: the plain loop runs it, whatever it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from types import CodeType, FunctionType
from typing import Any, Final

from node.crypto.hashes import keccak256
from node.evm.frame import Frame
from node.evm.gas_schedule import GasSchedule
from node.evm.instruction import DispatchRow, Execute, Instruction, InstructionSet
from node.evm.instructions import arithmetic, bitwise, block, calls, context, control, logs, memory, stack, storage
from node.evm.opcodes import Opcode
from node.evm.outcome import FrameHalted, HaltReason
from node.evm.transpiled import running
from node.evm.transpiled.running import LANDED, Signal


class Kind(Enum):
    """How an instruction is written."""

    PUSH = auto()
    DUP = auto()
    SWAP = auto()
    POP = auto()
    NOTHING = auto()
    PC = auto()
    GAS = auto()
    WORD = auto()
    """A word made of words (``expressions``)."""
    LOOK = auto()
    """A word made of nothing but the frame."""
    EXP = auto()
    CALLDATALOAD = auto()
    MLOAD = auto()
    MSTORE = auto()
    MSTORE8 = auto()
    KECCAK = auto()
    PLAIN = auto()
    """The plain function runs, on its operands alone."""
    END = auto()
    """So it does, and its answer is the frame's end or a child: it sees the whole stack."""
    JUMP = auto()
    JUMPI = auto()
    FOREIGN = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One opcode: its kind, its row, and for WORD and LOOK the plain function's name."""

    kind: Kind
    opcode: int
    base_gas: int
    pops: int
    pushes: int
    name: str = ""

    @property
    def ends_block(self) -> bool:
        """Nothing behind it belongs to its block."""
        return self.kind in (Kind.END, Kind.JUMP, Kind.JUMPI, Kind.FOREIGN)


_KNOWN: Final[dict[tuple[Kind, int, int], tuple[Execute, ...]]] = {
    # by kind, operands and results
    (Kind.WORD, 1, 1): (bitwise.iszero, bitwise.not_, bitwise.clz),
    (Kind.WORD, 2, 1): (
        *(arithmetic.add, arithmetic.mul, arithmetic.sub, arithmetic.div, arithmetic.sdiv, arithmetic.mod),
        *(arithmetic.smod, arithmetic.signextend, bitwise.lt, bitwise.gt, bitwise.slt, bitwise.sgt, bitwise.eq),
        *(bitwise.and_, bitwise.or_, bitwise.xor, bitwise.byte, bitwise.shl, bitwise.shr, bitwise.sar),
    ),
    (Kind.WORD, 3, 1): (arithmetic.addmod, arithmetic.mulmod),
    (Kind.LOOK, 0, 1): (
        *(context.address, context.origin, context.caller, context.callvalue, context.gasprice, memory.msize),
        *(context.calldatasize, context.codesize, context.returndatasize),
        *(block.timestamp, block.number, block.gaslimit, block.chainid, block.basefee),
    ),
    (Kind.PLAIN, 0, 1): (
        *(context.selfbalance, block.coinbase, block.difficulty, block.prevrandao, block.blobbasefee),
    ),
    (Kind.PLAIN, 1, 1): (
        *(context.balance, context.extcodesize, context.extcodehash, block.blockhash, block.blobhash),
        *(storage.sload, storage.tload),
    ),
    (Kind.PLAIN, 2, 0): (storage.sstore, storage.sstore_gross, storage.tstore),
    (Kind.PLAIN, 3, 0): (memory.mcopy, context.calldatacopy, context.codecopy, context.returndatacopy),
    (Kind.PLAIN, 4, 0): (context.extcodecopy,),
    (Kind.END, 0, 0): (control.stop,),
    (Kind.END, 1, 0): (calls.selfdestruct,),
    (Kind.END, 2, 0): (control.return_, control.revert),
    (Kind.END, 3, 1): (calls.create,),
    (Kind.END, 4, 1): (calls.create2,),
    (Kind.END, 6, 1): (calls.delegatecall, calls.staticcall),
    (Kind.END, 7, 1): (calls.call, calls.callcode),
    (Kind.POP, 1, 0): (stack.pop,),
    (Kind.NOTHING, 0, 0): (control.jumpdest,),
    (Kind.PC, 0, 1): (control.pc,),
    (Kind.GAS, 0, 1): (control.gas,),
    (Kind.JUMP, 1, 0): (control.jump,),
    (Kind.JUMPI, 2, 0): (control.jumpi,),
    (Kind.EXP, 2, 1): (arithmetic.exp,),
    (Kind.CALLDATALOAD, 1, 1): (context.calldataload,),
    (Kind.MLOAD, 1, 1): (memory.mload,),
    (Kind.MSTORE, 2, 0): (memory.mstore,),
    (Kind.MSTORE8, 2, 0): (memory.mstore8,),
    (Kind.KECCAK, 2, 1): (memory.keccak,),
}
_KINDS: Final = {execute: known for known, all_of_them in _KNOWN.items() for execute in all_of_them}


def _made(execute: Execute) -> tuple[CodeType | None, Any]:
    """The code of a function that another one made, and what it was made with."""
    if not isinstance(execute, FunctionType) or execute.__closure__ is None:
        return None, None
    return execute.__code__, execute.__closure__[0].cell_contents


_SHORT_PUSHES: Final = ((Opcode.PUSH0, stack.push0), (Opcode.PUSH1, stack.push1), (Opcode.PUSH2, stack.push2))


def _numbered(row: Instruction) -> tuple[Kind, int, int] | None:
    """Kind, operands and results of PUSHn, DUPn, SWAPn and LOGn; None where ``row`` is none of them."""
    opcode = row.opcode
    if (opcode, row.execute) in _SHORT_PUSHES:
        return Kind.PUSH, 0, 1
    found = _made(row.execute)
    if found[0] is None:
        return None
    if found == _made(stack.push(opcode - Opcode.PUSH0)):
        return Kind.PUSH, 0, 1
    if found == _made(stack.dup(number := opcode - Opcode.DUP1 + 1)):
        return Kind.DUP, number, number + 1
    if found == _made(stack.swap(number := opcode - Opcode.SWAP1 + 1)):
        return Kind.SWAP, number + 1, number + 1
    if found == _made(logs.log(number := opcode - Opcode.LOG0)):
        return Kind.PLAIN, number + 2, 0
    return None


def _step(row: Instruction) -> Step:
    """What is known of a row. FOREIGN where it runs another function or counts other operands."""
    known = _KINDS.get(row.execute) or _numbered(row)
    if known is None or known[1:] != (row.pops, row.pushes):
        return _foreign(row.opcode)
    return Step(known[0], row.opcode, row.base_gas, row.pops, row.pushes, row.execute.__name__)


def _foreign(opcode: int) -> Step:
    return Step(Kind.FOREIGN, opcode, 0, 0, 0)


def _jump(frame: Frame) -> Signal:
    """``control.jump``, and LANDED. Written out, like the next: one more call at every jump would be felt."""
    target = frame.stack.pop()
    code = frame.code
    if target >= code.size or not code.jump_map[target]:
        raise FrameHalted(HaltReason.INVALID_JUMP)
    frame.pc = target
    return LANDED


def _jumpi(frame: Frame) -> Signal | None:
    """``control.jumpi``, and LANDED where it jumps."""
    stack = frame.stack
    target = stack.pop()
    if stack.pop():
        code = frame.code
        if target >= code.size or not code.jump_map[target]:
            raise FrameHalted(HaltReason.INVALID_JUMP)
        frame.pc = target
        return LANDED
    return None


_TELLING: Final[dict[Execute, Execute]] = {control.jump: _jump, control.jumpi: _jumpi}


class Rules:
    """A fork's table, read. ``walk`` is its dispatch with jumps that tell where they landed."""

    __slots__ = ("gas", "instructions", "names", "steps", "walk")

    def __init__(self, instructions: InstructionSet, gas: GasSchedule) -> None:
        self.instructions = instructions
        self.gas = gas
        steps = []
        self.names: dict[str, Any] = {
            "from_bytes": int.from_bytes,
            "keccak256": keccak256,
            "leave": running.leave,
            "grow": running.grow,
            "sdiv": running.sdiv,
            "smod": running.smod,
            "signextend": running.signextend,
            "LEFT": running.LEFT,
        }
        """The globals of all written functions: ``x`` and an opcode in hexadecimal is its plain function."""
        for opcode, row in enumerate(instructions.table):
            steps.append(_foreign(opcode) if row is None else _step(row))
            if row is not None:
                self.names[f"x{opcode:02x}"] = row.execute
        self.steps = tuple(steps)
        walk: list[DispatchRow] = []
        for execute, base_gas, least, most in instructions.dispatch:
            walk.append((_TELLING.get(execute, execute), base_gas, least, most))
        self.walk = tuple(walk)
