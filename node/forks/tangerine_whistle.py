"""Tangerine Whistle (October 2016): EIP-150, dearer state access and a 64th of the gas that stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.instructions import calls, context, storage
from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.forks import homestead
from node.forks.frontier import row

SPEC: Final[Spec] = homestead.SPEC.evolve(
    name="Tangerine Whistle",
    gas=replace(homestead.SPEC.gas, self_destruct=5_000),
    instructions=homestead.SPEC.instructions.with_(
        row(Opcode.BALANCE, 400, 1, 1, context.balance),
        row(Opcode.EXTCODESIZE, 700, 1, 1, context.extcodesize),
        row(Opcode.EXTCODECOPY, 700, 4, 0, context.extcodecopy),
        row(Opcode.SLOAD, 200, 1, 1, storage.sload),
        row(Opcode.CALL, 700, 7, 1, calls.call),
        row(Opcode.CALLCODE, 700, 7, 1, calls.callcode),
        row(Opcode.DELEGATECALL, 700, 6, 1, calls.delegatecall),
        row(Opcode.SELFDESTRUCT, 5_000, 1, 0, calls.selfdestruct),
    ),
    keeps_64th=True,
    self_destruct_pays_new_account=True,
)
