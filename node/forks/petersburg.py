"""Petersburg (February 2019): EIP-1716, Constantinople without the SSTORE prices of EIP-1283."""

from __future__ import annotations

from typing import Final

from node.evm.instructions import storage
from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.forks import byzantium, constantinople
from node.forks.frontier import ZERO, row

SPEC: Final[Spec] = constantinople.SPEC.evolve(
    name="Petersburg",
    gas=byzantium.SPEC.gas,
    instructions=constantinople.SPEC.instructions.with_(row(Opcode.SSTORE, ZERO, 2, 0, storage.sstore_gross)),
)
