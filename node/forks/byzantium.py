"""Byzantium (October 2017): REVERT, return data, STATICCALL, precompiles 5 to 8, status in receipts.

EIP-100 difficulty, 140 REVERT, 196-198 precompiles, 211 return data, 214 STATICCALL, 649 bomb and reward, 658 receipts.
"""

from __future__ import annotations

from typing import Final

from node.evm.instructions import calls, context, control
from node.evm.opcodes import Opcode
from node.evm.precompiles import table
from node.evm.spec import DifficultyRule, Spec
from node.forks import spurious_dragon
from node.forks.frontier import BASE, VERY_LOW, ZERO, row

SPEC: Final[Spec] = spurious_dragon.SPEC.evolve(
    name="Byzantium",
    instructions=spurious_dragon.SPEC.instructions.with_(
        row(Opcode.RETURNDATASIZE, BASE, 0, 1, context.returndatasize),  # EIP-211
        row(Opcode.RETURNDATACOPY, VERY_LOW, 3, 0, context.returndatacopy),
        row(Opcode.STATICCALL, 700, 6, 1, calls.staticcall),  # EIP-214
        row(Opcode.REVERT, ZERO, 2, 0, control.revert),  # EIP-140
    ),
    precompiles=table.precompile_table(
        {
            0x05: table.MODEXP_198,
            0x06: table.BN254_ADD_196,
            0x07: table.BN254_MUL_196,
            0x08: table.BN254_PAIRING_197,
        },
        spurious_dragon.SPEC.precompiles,
    ),
    receipt_has_root=False,  # EIP-658
    difficulty=DifficultyRule(bomb_delay=3_000_000),  # EIP-100, EIP-649
    block_reward=3 * 10**18,  # EIP-649
)
