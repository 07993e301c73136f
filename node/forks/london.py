"""London (August 2021): EIP-1559 fee market, 3198 BASEFEE, 3529 fewer refunds, 3541 no 0xef, 3554 bomb."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.instructions import block
from node.evm.opcodes import Opcode
from node.evm.spec import DifficultyRule, Spec
from node.forks import berlin
from node.forks.frontier import BASE, row

SPEC: Final[Spec] = berlin.SPEC.evolve(
    name="London",
    gas=replace(
        berlin.SPEC.gas,
        refund_quotient=5,  # EIP-3529
        sstore_clear_refund=4_800,
        self_destruct_refund=0,
    ),
    instructions=berlin.SPEC.instructions.with_(row(Opcode.BASEFEE, BASE, 0, 1, block.basefee)),  # EIP-3198
    transaction_types=(0, 1, 2),  # EIP-1559
    header_items=16,  # EIP-1559: baseFeePerGas
    has_base_fee=True,
    rejects_ef_code=True,  # EIP-3541
    difficulty=DifficultyRule(bomb_delay=9_700_000),  # EIP-3554
)
