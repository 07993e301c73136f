"""Berlin (April 2021): EIP-2565 MODEXP, 2718 typed transactions, 2929 cold and warm access, 2930 access lists."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.instructions import calls, context, storage
from node.evm.opcodes import Opcode
from node.evm.precompiles import table
from node.evm.spec import Spec
from node.forks import muir_glacier
from node.forks.frontier import ZERO, row

SPEC: Final[Spec] = muir_glacier.SPEC.evolve(
    name="Berlin",
    gas=replace(
        muir_glacier.SPEC.gas,
        cold_account=2_600,
        warm_access=100,
        cold_slot=2_100,
        sstore_noop=100,
        sstore_reset=2_900,  # 5,000 less the cold slot price
    ),
    # EIP-2929: what these cost depends on whether the transaction has been there
    instructions=muir_glacier.SPEC.instructions.with_(
        row(Opcode.BALANCE, ZERO, 1, 1, context.balance),
        row(Opcode.EXTCODESIZE, ZERO, 1, 1, context.extcodesize),
        row(Opcode.EXTCODECOPY, ZERO, 4, 0, context.extcodecopy),
        row(Opcode.EXTCODEHASH, ZERO, 1, 1, context.extcodehash),
        row(Opcode.SLOAD, ZERO, 1, 1, storage.sload),
        row(Opcode.CALL, ZERO, 7, 1, calls.call),
        row(Opcode.CALLCODE, ZERO, 7, 1, calls.callcode),
        row(Opcode.DELEGATECALL, ZERO, 6, 1, calls.delegatecall),
        row(Opcode.STATICCALL, ZERO, 6, 1, calls.staticcall),
    ),
    precompiles=table.precompile_table({0x05: table.MODEXP_2565}, muir_glacier.SPEC.precompiles),
    transaction_types=(0, 1),  # EIP-2718, EIP-2930
)
