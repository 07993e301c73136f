"""Paris (the Merge, September 2022): EIP-3675 ends mining, EIP-4399 makes 0x44 PREVRANDAO.

What is asked by default in ``Spec`` and ``GasSchedule`` is what holds here.
"""

from __future__ import annotations

from typing import Final

from node.evm.instructions import block
from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.forks import gray_glacier
from node.forks.frontier import BASE, row

SPEC: Final[Spec] = gray_glacier.SPEC.evolve(
    name="Paris",
    instructions=gray_glacier.SPEC.instructions.with_(row(Opcode.PREVRANDAO, BASE, 0, 1, block.prevrandao)),  # EIP-4399
    difficulty=None,  # EIP-3675
    block_reward=0,
    ommers=False,
)
