"""Which handler does what which plain instruction does; a fork's table of rows follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from node.evm.instruction import InstructionSet
from node.evm.native.interpreter import calls, context, flow, state, words
from node.evm.native.interpreter.flow import Handler
from node.evm.opcodes import Opcode


@dataclass(frozen=True, slots=True)
class Entry:
    """One handler: for ``opcode`` where the fork's row runs the plain instruction called ``plain``."""

    opcode: int
    plain: str
    pops: int
    pushes: int
    body: Handler


def _entries() -> list[Entry]:
    fixed: list[tuple[Opcode, str, int, int, Handler]] = [
        (Opcode.STOP, "control.stop", 0, 0, context.stop),
        (Opcode.ADD, "arithmetic.add", 2, 1, words.add),
        (Opcode.MUL, "arithmetic.mul", 2, 1, words.mul),
        (Opcode.SUB, "arithmetic.sub", 2, 1, words.sub),
        (Opcode.DIV, "arithmetic.div", 2, 1, words.div),
        (Opcode.SDIV, "arithmetic.sdiv", 2, 1, words.sdiv),
        (Opcode.MOD, "arithmetic.mod", 2, 1, words.mod),
        (Opcode.SMOD, "arithmetic.smod", 2, 1, words.smod),
        (Opcode.ADDMOD, "arithmetic.addmod", 3, 1, words.addmod),
        (Opcode.MULMOD, "arithmetic.mulmod", 3, 1, words.mulmod),
        (Opcode.EXP, "arithmetic.exp", 2, 1, words.exp),
        (Opcode.SIGNEXTEND, "arithmetic.signextend", 2, 1, words.signextend),
        (Opcode.LT, "bitwise.lt", 2, 1, words.lt),
        (Opcode.GT, "bitwise.gt", 2, 1, words.gt),
        (Opcode.SLT, "bitwise.slt", 2, 1, words.slt),
        (Opcode.SGT, "bitwise.sgt", 2, 1, words.sgt),
        (Opcode.EQ, "bitwise.eq", 2, 1, words.eq),
        (Opcode.ISZERO, "bitwise.iszero", 1, 1, words.iszero),
        (Opcode.AND, "bitwise.and_", 2, 1, words.and_),
        (Opcode.OR, "bitwise.or_", 2, 1, words.or_),
        (Opcode.XOR, "bitwise.xor", 2, 1, words.xor),
        (Opcode.NOT, "bitwise.not_", 1, 1, words.not_),
        (Opcode.BYTE, "bitwise.byte", 2, 1, words.byte),
        (Opcode.SHL, "bitwise.shl", 2, 1, words.shl),
        (Opcode.SHR, "bitwise.shr", 2, 1, words.shr),
        (Opcode.SAR, "bitwise.sar", 2, 1, words.sar),
        (Opcode.CLZ, "bitwise.clz", 1, 1, words.clz),
        (Opcode.KECCAK256, "memory.keccak", 2, 1, context.keccak),
        (Opcode.ADDRESS, "context.address", 0, 1, context.address),
        (Opcode.BALANCE, "context.balance", 1, 1, state.balance),
        (Opcode.ORIGIN, "context.origin", 0, 1, context.surrounding("origin")),
        (Opcode.CALLER, "context.caller", 0, 1, context.caller),
        (Opcode.CALLVALUE, "context.callvalue", 0, 1, context.callvalue),
        (Opcode.CALLDATALOAD, "context.calldataload", 1, 1, context.calldataload),
        (Opcode.CALLDATASIZE, "context.calldatasize", 0, 1, context.calldatasize),
        (Opcode.CALLDATACOPY, "context.calldatacopy", 3, 0, context.calldatacopy),
        (Opcode.CODESIZE, "context.codesize", 0, 1, context.codesize),
        (Opcode.CODECOPY, "context.codecopy", 3, 0, context.codecopy),
        (Opcode.GASPRICE, "context.gasprice", 0, 1, context.surrounding("gas_price")),
        (Opcode.EXTCODESIZE, "context.extcodesize", 1, 1, state.extcodesize),
        (Opcode.EXTCODECOPY, "context.extcodecopy", 4, 0, state.extcodecopy),
        (Opcode.RETURNDATASIZE, "context.returndatasize", 0, 1, context.returndatasize),
        (Opcode.RETURNDATACOPY, "context.returndatacopy", 3, 0, context.returndatacopy),
        (Opcode.EXTCODEHASH, "context.extcodehash", 1, 1, state.extcodehash),
        (Opcode.BLOCKHASH, "block.blockhash", 1, 1, context.blockhash),
        (Opcode.COINBASE, "block.coinbase", 0, 1, context.surrounding("coinbase")),
        (Opcode.TIMESTAMP, "block.timestamp", 0, 1, context.surrounding("timestamp")),
        (Opcode.NUMBER, "block.number", 0, 1, context.surrounding("number")),
        (Opcode.PREVRANDAO, "block.difficulty", 0, 1, context.surrounding("difficulty")),
        (Opcode.PREVRANDAO, "block.prevrandao", 0, 1, context.surrounding("prev_randao")),
        (Opcode.GASLIMIT, "block.gaslimit", 0, 1, context.surrounding("gas_limit")),
        (Opcode.CHAINID, "block.chainid", 0, 1, context.surrounding("chain_id")),
        (Opcode.SELFBALANCE, "context.selfbalance", 0, 1, context.selfbalance),
        (Opcode.BASEFEE, "block.basefee", 0, 1, context.surrounding("base_fee")),
        (Opcode.BLOBHASH, "block.blobhash", 1, 1, context.blobhash),
        (Opcode.BLOBBASEFEE, "block.blobbasefee", 0, 1, context.surrounding("blob_base_fee")),
        (Opcode.POP, "stack.pop", 1, 0, words.pop),
        (Opcode.MLOAD, "memory.mload", 1, 1, context.mload),
        (Opcode.MSTORE, "memory.mstore", 2, 0, context.mstore),
        (Opcode.MSTORE8, "memory.mstore8", 2, 0, context.mstore8),
        (Opcode.SLOAD, "storage.sload", 1, 1, state.sload),
        (Opcode.SSTORE, "storage.sstore", 2, 0, state.sstore),
        (Opcode.SSTORE, "storage.sstore_gross", 2, 0, state.sstore_gross),
        (Opcode.JUMP, "control.jump", 1, 0, words.jump),
        (Opcode.JUMPI, "control.jumpi", 2, 0, words.jumpi),
        (Opcode.PC, "control.pc", 0, 1, words.program_counter),
        (Opcode.MSIZE, "memory.msize", 0, 1, context.msize),
        (Opcode.GAS, "control.gas", 0, 1, words.gas_left),
        (Opcode.JUMPDEST, "control.jumpdest", 0, 0, words.jumpdest),
        (Opcode.TLOAD, "storage.tload", 1, 1, state.tload),
        (Opcode.TSTORE, "storage.tstore", 2, 0, state.tstore),
        (Opcode.MCOPY, "memory.mcopy", 3, 0, context.mcopy),
        (Opcode.PUSH0, "stack.push0", 0, 1, words.push0),
        (Opcode.CREATE, "calls.create", 3, 1, calls.creating(0xF0)),
        (Opcode.CALL, "calls.call", 7, 1, calls.calling(0xF1)),
        (Opcode.CALLCODE, "calls.callcode", 7, 1, calls.calling(0xF2)),
        (Opcode.RETURN, "control.return_", 2, 0, context.return_),
        (Opcode.DELEGATECALL, "calls.delegatecall", 6, 1, calls.calling(0xF4)),
        (Opcode.CREATE2, "calls.create2", 4, 1, calls.creating(0xF5)),
        (Opcode.STATICCALL, "calls.staticcall", 6, 1, calls.calling(0xFA)),
        (Opcode.REVERT, "control.revert", 2, 0, context.revert),
        (Opcode.SELFDESTRUCT, "calls.selfdestruct", 1, 0, calls.selfdestruct),
    ]
    entries = [Entry(*row) for row in fixed]
    entries += [
        Entry(Opcode.PUSH1 - 1 + n, f"stack.push{n if n <= 2 else ''}", 0, 1, words.push(n)) for n in range(1, 33)
    ]
    entries += [Entry(Opcode.DUP1 - 1 + n, "stack.dup", n, n + 1, words.dup(n)) for n in range(1, 17)]
    entries += [Entry(Opcode.SWAP1 - 1 + n, "stack.swap", n + 1, n + 1, words.swap(n)) for n in range(1, 17)]
    entries += [Entry(Opcode.LOG0 + n, "logs.log", 2 + n, 0, context.log(n)) for n in range(5)]
    return entries


ENTRIES: Final = tuple(_entries())


def handlers() -> list[Callable[..., Any]]:
    """In the order of their numbers: 0 is that of undefined opcodes, entry n has n + 1."""
    return [
        flow.undefined,
        *(flow.checked(entry.opcode, entry.pops, entry.pushes, entry.body) for entry in ENTRIES),
    ]


class UnknownInstruction(Exception):
    """A fork has an instruction that has no handler here; its messages run on the plain machine."""


_NUMBERS: Final = {(entry.opcode, entry.plain): number for number, entry in enumerate(ENTRIES, start=1)}


def numbers_of(instructions: InstructionSet) -> list[tuple[int, int]]:
    """(handler's number, base gas) of all 256 opcodes of a fork.

    Raises ``UnknownInstruction`` where a row runs what no handler does, or counts other operands.
    """
    rows = []
    for opcode, row in enumerate(instructions.table):
        if row is None:
            rows.append((0, 0))
            continue
        module = row.execute.__module__.rpartition(".")[2]
        plain = f"{module}.{row.execute.__qualname__.partition('.')[0]}"
        number = _NUMBERS.get((opcode, plain))
        if number is None:
            raise UnknownInstruction(f"{row.name} as {plain}")
        entry = ENTRIES[number - 1]
        if (row.pops, row.pushes) != (entry.pops, entry.pushes):
            raise UnknownInstruction(f"{row.name} with {row.pops} operands and {row.pushes} results")
        rows.append((number, row.base_gas))
    return rows
