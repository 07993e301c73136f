"""Paris (the Merge, EIP-3675, EIP-4399): the oldest fork here, so the one with the whole table.

Everything up to London is in it: EIP-150, 158, 170, 140, 145, 152, 196-198, 211, 214, 1014, 1052, 1108, 1344,
1884, 2028, 2200, 2565, 2718, 2929, 2930, 1559, 3198, 3529, 3541.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from node.evm.gas_schedule import GasSchedule
from node.evm.instruction import Instruction, instruction_set
from node.evm.instructions import arithmetic, bitwise, block, calls, context, control, logs, memory, stack, storage
from node.evm.opcodes import Opcode
from node.evm.precompiles import table
from node.evm.spec import Spec

ZERO: Final = 0
BASE: Final = 2
VERY_LOW: Final = 3
LOW: Final = 5
MID: Final = 8
HIGH: Final = 10
"""The Yellow Paper's price classes (appendix G)."""

GAS: Final = GasSchedule()


def row(opcode: Opcode, base_gas: int, pops: int, pushes: int, execute: Callable[..., Any]) -> Instruction:
    """One instruction under its own name."""
    return Instruction(opcode, opcode.name, base_gas, pops, pushes, execute)


INSTRUCTIONS: Final = instruction_set(
    [
        row(Opcode.STOP, ZERO, 0, 0, control.stop),
        row(Opcode.ADD, VERY_LOW, 2, 1, arithmetic.add),
        row(Opcode.MUL, LOW, 2, 1, arithmetic.mul),
        row(Opcode.SUB, VERY_LOW, 2, 1, arithmetic.sub),
        row(Opcode.DIV, LOW, 2, 1, arithmetic.div),
        row(Opcode.SDIV, LOW, 2, 1, arithmetic.sdiv),
        row(Opcode.MOD, LOW, 2, 1, arithmetic.mod),
        row(Opcode.SMOD, LOW, 2, 1, arithmetic.smod),
        row(Opcode.ADDMOD, MID, 3, 1, arithmetic.addmod),
        row(Opcode.MULMOD, MID, 3, 1, arithmetic.mulmod),
        row(Opcode.EXP, HIGH, 2, 1, arithmetic.exp),
        row(Opcode.SIGNEXTEND, LOW, 2, 1, arithmetic.signextend),
        row(Opcode.LT, VERY_LOW, 2, 1, bitwise.lt),
        row(Opcode.GT, VERY_LOW, 2, 1, bitwise.gt),
        row(Opcode.SLT, VERY_LOW, 2, 1, bitwise.slt),
        row(Opcode.SGT, VERY_LOW, 2, 1, bitwise.sgt),
        row(Opcode.EQ, VERY_LOW, 2, 1, bitwise.eq),
        row(Opcode.ISZERO, VERY_LOW, 1, 1, bitwise.iszero),
        row(Opcode.AND, VERY_LOW, 2, 1, bitwise.and_),
        row(Opcode.OR, VERY_LOW, 2, 1, bitwise.or_),
        row(Opcode.XOR, VERY_LOW, 2, 1, bitwise.xor),
        row(Opcode.NOT, VERY_LOW, 1, 1, bitwise.not_),
        row(Opcode.BYTE, VERY_LOW, 2, 1, bitwise.byte),
        row(Opcode.SHL, VERY_LOW, 2, 1, bitwise.shl),
        row(Opcode.SHR, VERY_LOW, 2, 1, bitwise.shr),
        row(Opcode.SAR, VERY_LOW, 2, 1, bitwise.sar),
        row(Opcode.KECCAK256, 30, 2, 1, memory.keccak),
        row(Opcode.ADDRESS, BASE, 0, 1, context.address),
        row(Opcode.BALANCE, ZERO, 1, 1, context.balance),
        row(Opcode.ORIGIN, BASE, 0, 1, context.origin),
        row(Opcode.CALLER, BASE, 0, 1, context.caller),
        row(Opcode.CALLVALUE, BASE, 0, 1, context.callvalue),
        row(Opcode.CALLDATALOAD, VERY_LOW, 1, 1, context.calldataload),
        row(Opcode.CALLDATASIZE, BASE, 0, 1, context.calldatasize),
        row(Opcode.CALLDATACOPY, VERY_LOW, 3, 0, context.calldatacopy),
        row(Opcode.CODESIZE, BASE, 0, 1, context.codesize),
        row(Opcode.CODECOPY, VERY_LOW, 3, 0, context.codecopy),
        row(Opcode.GASPRICE, BASE, 0, 1, context.gasprice),
        row(Opcode.EXTCODESIZE, ZERO, 1, 1, context.extcodesize),
        row(Opcode.EXTCODECOPY, ZERO, 4, 0, context.extcodecopy),
        row(Opcode.RETURNDATASIZE, BASE, 0, 1, context.returndatasize),
        row(Opcode.RETURNDATACOPY, VERY_LOW, 3, 0, context.returndatacopy),
        row(Opcode.EXTCODEHASH, ZERO, 1, 1, context.extcodehash),
        row(Opcode.BLOCKHASH, 20, 1, 1, block.blockhash),
        row(Opcode.COINBASE, BASE, 0, 1, block.coinbase),
        row(Opcode.TIMESTAMP, BASE, 0, 1, block.timestamp),
        row(Opcode.NUMBER, BASE, 0, 1, block.number),
        row(Opcode.PREVRANDAO, BASE, 0, 1, block.prevrandao),
        row(Opcode.GASLIMIT, BASE, 0, 1, block.gaslimit),
        row(Opcode.CHAINID, BASE, 0, 1, block.chainid),
        row(Opcode.SELFBALANCE, LOW, 0, 1, context.selfbalance),
        row(Opcode.BASEFEE, BASE, 0, 1, block.basefee),
        row(Opcode.POP, BASE, 1, 0, stack.pop),
        row(Opcode.MLOAD, VERY_LOW, 1, 1, memory.mload),
        row(Opcode.MSTORE, VERY_LOW, 2, 0, memory.mstore),
        row(Opcode.MSTORE8, VERY_LOW, 2, 0, memory.mstore8),
        row(Opcode.SLOAD, ZERO, 1, 1, storage.sload),
        row(Opcode.SSTORE, ZERO, 2, 0, storage.sstore),
        row(Opcode.JUMP, MID, 1, 0, control.jump),
        row(Opcode.JUMPI, HIGH, 2, 0, control.jumpi),
        row(Opcode.PC, BASE, 0, 1, control.pc),
        row(Opcode.MSIZE, BASE, 0, 1, memory.msize),
        row(Opcode.GAS, BASE, 0, 1, control.gas),
        row(Opcode.JUMPDEST, 1, 0, 0, control.jumpdest),
        *(row(Opcode(Opcode.PUSH1 - 1 + n), VERY_LOW, 0, 1, stack.push(n)) for n in range(1, 33)),
        *(row(Opcode(Opcode.DUP1 - 1 + n), VERY_LOW, n, n + 1, stack.dup(n)) for n in range(1, 17)),
        *(row(Opcode(Opcode.SWAP1 - 1 + n), VERY_LOW, n + 1, n + 1, stack.swap(n)) for n in range(1, 17)),
        *(row(Opcode(Opcode.LOG0 + n), 375 + n * GAS.log_topic, 2 + n, 0, logs.log(n)) for n in range(5)),
        row(Opcode.CREATE, GAS.create, 3, 1, calls.create),
        row(Opcode.CALL, ZERO, 7, 1, calls.call),
        row(Opcode.CALLCODE, ZERO, 7, 1, calls.callcode),
        row(Opcode.RETURN, ZERO, 2, 0, control.return_),
        row(Opcode.DELEGATECALL, ZERO, 6, 1, calls.delegatecall),
        row(Opcode.CREATE2, GAS.create, 4, 1, calls.create2),
        row(Opcode.STATICCALL, ZERO, 6, 1, calls.staticcall),
        row(Opcode.REVERT, ZERO, 2, 0, control.revert),
        row(Opcode.SELFDESTRUCT, GAS.self_destruct, 1, 0, calls.selfdestruct),
    ]
)

PRECOMPILES: Final = table.precompile_table(
    {
        0x01: table.ECRECOVER,
        0x02: table.SHA256,
        0x03: table.RIPEMD160,
        0x04: table.IDENTITY,
        0x05: table.MODEXP_2565,
        0x06: table.BN254_ADD,
        0x07: table.BN254_MUL,
        0x08: table.BN254_PAIRING,
        0x09: table.BLAKE2F,
    }
)

SPEC: Final = Spec(
    name="Paris",
    gas=GAS,
    instructions=INSTRUCTIONS,
    precompiles=PRECOMPILES,
    transaction_types=(0, 1, 2),
    header_items=16,
)
