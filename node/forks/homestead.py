"""Homestead (March 2016): EIP-2 creation and signature rules, EIP-7 DELEGATECALL, EIP-8 (the wire, not here)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.instructions import calls
from node.evm.opcodes import Opcode
from node.evm.spec import DifficultyRule, Spec
from node.forks import frontier
from node.forks.frontier import row

SPEC: Final[Spec] = frontier.SPEC.evolve(
    name="Homestead",
    gas=replace(frontier.SPEC.gas, tx_create=32_000),  # EIP-2
    instructions=frontier.SPEC.instructions.with_(row(Opcode.DELEGATECALL, 40, 6, 1, calls.delegatecall)),  # EIP-7
    unpaid_deposit_fails=True,  # EIP-2
    low_s=True,  # EIP-2
    difficulty=DifficultyRule(gradual=True, counts_ommers=False),  # EIP-2
)
