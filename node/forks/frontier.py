"""Frontier (July 2015): the first fork, so the one with the whole table of instructions. Yellow Paper, first edition.

Every later fork is the one before it with changes; read them in the order of ``schedule.SPECS_BY_NAME``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from node.evm.gas_schedule import GasSchedule
from node.evm.instruction import Instruction, instruction_set
from node.evm.instructions import arithmetic, bitwise, block, calls, context, control, logs, memory, stack, storage
from node.evm.opcodes import Opcode
from node.evm.precompiles import table
from node.evm.spec import DifficultyRule, Spec

ZERO: Final = 0
BASE: Final = 2
VERY_LOW: Final = 3
LOW: Final = 5
MID: Final = 8
HIGH: Final = 10
"""The Yellow Paper's price classes (appendix G)."""

GAS: Final = GasSchedule(
    tx_create=0,
    tx_data_nonzero=68,
    refund_quotient=2,
    exp_byte=10,
    # no access is dearer than another: the rows below hold the prices
    cold_account=0,
    warm_access=0,
    cold_slot=0,
    sstore_noop=0,  # not asked: every write is paid in full
    sstore_reset=5_000,
    sstore_clear_refund=15_000,
    sstore_stipend_guard=0,
    self_destruct=0,
    self_destruct_refund=24_000,
)


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
        row(Opcode.KECCAK256, 30, 2, 1, memory.keccak),
        row(Opcode.ADDRESS, BASE, 0, 1, context.address),
        row(Opcode.BALANCE, 20, 1, 1, context.balance),
        row(Opcode.ORIGIN, BASE, 0, 1, context.origin),
        row(Opcode.CALLER, BASE, 0, 1, context.caller),
        row(Opcode.CALLVALUE, BASE, 0, 1, context.callvalue),
        row(Opcode.CALLDATALOAD, VERY_LOW, 1, 1, context.calldataload),
        row(Opcode.CALLDATASIZE, BASE, 0, 1, context.calldatasize),
        row(Opcode.CALLDATACOPY, VERY_LOW, 3, 0, context.calldatacopy),
        row(Opcode.CODESIZE, BASE, 0, 1, context.codesize),
        row(Opcode.CODECOPY, VERY_LOW, 3, 0, context.codecopy),
        row(Opcode.GASPRICE, BASE, 0, 1, context.gasprice),
        row(Opcode.EXTCODESIZE, 20, 1, 1, context.extcodesize),
        row(Opcode.EXTCODECOPY, 20, 4, 0, context.extcodecopy),
        row(Opcode.BLOCKHASH, 20, 1, 1, block.blockhash),
        row(Opcode.COINBASE, BASE, 0, 1, block.coinbase),
        row(Opcode.TIMESTAMP, BASE, 0, 1, block.timestamp),
        row(Opcode.NUMBER, BASE, 0, 1, block.number),
        Instruction(Opcode.PREVRANDAO, "DIFFICULTY", BASE, 0, 1, block.difficulty),
        row(Opcode.GASLIMIT, BASE, 0, 1, block.gaslimit),
        row(Opcode.POP, BASE, 1, 0, stack.pop),
        row(Opcode.MLOAD, VERY_LOW, 1, 1, memory.mload),
        row(Opcode.MSTORE, VERY_LOW, 2, 0, memory.mstore),
        row(Opcode.MSTORE8, VERY_LOW, 2, 0, memory.mstore8),
        row(Opcode.SLOAD, 50, 1, 1, storage.sload),
        row(Opcode.SSTORE, ZERO, 2, 0, storage.sstore_gross),
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
        row(Opcode.CALL, 40, 7, 1, calls.call),
        row(Opcode.CALLCODE, 40, 7, 1, calls.callcode),
        row(Opcode.RETURN, ZERO, 2, 0, control.return_),
        row(Opcode.SELFDESTRUCT, ZERO, 1, 0, calls.selfdestruct),
    ]
)

PRECOMPILES: Final = table.precompile_table(
    {
        0x01: table.ECRECOVER,
        0x02: table.SHA256,
        0x03: table.RIPEMD160,
        0x04: table.IDENTITY,
    }
)

SPEC: Final = Spec(
    name="Frontier",
    gas=GAS,
    instructions=INSTRUCTIONS,
    precompiles=PRECOMPILES,
    transaction_types=(0,),
    header_items=15,
    keeps_64th=False,
    new_account_needs_value=False,
    self_destruct_pays_new_account=False,
    contract_nonce=0,
    unpaid_deposit_fails=False,
    rejects_ef_code=False,
    code_size_max=None,
    low_s=False,
    chain_id_in_signature=False,
    removes_empty=False,
    receipt_has_root=True,
    has_base_fee=False,
    difficulty=DifficultyRule(gradual=False, counts_ommers=False),
    block_reward=5 * 10**18,
    ommers=True,
)
