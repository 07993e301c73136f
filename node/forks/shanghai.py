"""Shanghai: EIP-3651 warm coinbase, EIP-3855 PUSH0, EIP-3860 init code, EIP-4895 withdrawals."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.instructions import stack
from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.forks import paris
from node.forks.frontier import BASE, row

SPEC: Final[Spec] = paris.SPEC.evolve(
    name="Shanghai",
    gas=replace(paris.SPEC.gas, initcode_word=2),  # EIP-3860
    instructions=paris.SPEC.instructions.with_(row(Opcode.PUSH0, BASE, 0, 1, stack.push0)),  # EIP-3855
    initcode_size_max=49_152,  # EIP-3860
    warm_coinbase=True,  # EIP-3651
    header_items=17,  # EIP-4895: withdrawalsRoot
)
