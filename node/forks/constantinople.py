"""Constantinople (never alone on the main network): EIP-145 shifts, 1014 CREATE2, 1052 EXTCODEHASH, 1283 SSTORE.

EIP-1234 delays the bomb and lowers the reward.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.instructions import bitwise, calls, context, storage
from node.evm.opcodes import Opcode
from node.evm.spec import DifficultyRule, Spec
from node.forks import byzantium
from node.forks.frontier import VERY_LOW, ZERO, row

SPEC: Final[Spec] = byzantium.SPEC.evolve(
    name="Constantinople",
    gas=replace(byzantium.SPEC.gas, sstore_noop=200),  # EIP-1283
    instructions=byzantium.SPEC.instructions.with_(
        row(Opcode.SHL, VERY_LOW, 2, 1, bitwise.shl),  # EIP-145
        row(Opcode.SHR, VERY_LOW, 2, 1, bitwise.shr),
        row(Opcode.SAR, VERY_LOW, 2, 1, bitwise.sar),
        row(Opcode.EXTCODEHASH, 400, 1, 1, context.extcodehash),  # EIP-1052
        row(Opcode.SSTORE, ZERO, 2, 0, storage.sstore),  # EIP-1283
        row(Opcode.CREATE2, byzantium.SPEC.gas.create, 4, 1, calls.create2),  # EIP-1014
    ),
    difficulty=DifficultyRule(bomb_delay=5_000_000),  # EIP-1234
    block_reward=2 * 10**18,  # EIP-1234
)
