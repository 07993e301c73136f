"""Osaka: EIP-7594, EIP-7823, EIP-7825, EIP-7883, EIP-7918, EIP-7934, EIP-7939, EIP-7951."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.instructions import bitwise
from node.evm.opcodes import Opcode
from node.evm.precompiles import table
from node.evm.spec import Spec
from node.forks import prague
from node.forks.frontier import LOW, row

assert prague.SPEC.blobs is not None

SPEC: Final[Spec] = prague.SPEC.evolve(
    name="Osaka",
    instructions=prague.SPEC.instructions.with_(row(Opcode.CLZ, LOW, 1, 1, bitwise.clz)),  # EIP-7939
    precompiles=table.precompile_table(
        {
            0x05: table.MODEXP_7883,  # EIP-7823, EIP-7883
            0x100: table.P256VERIFY,  # EIP-7951
        },
        prague.SPEC.precompiles,
    ),
    blobs=replace(
        prague.SPEC.blobs,
        max_per_transaction=6,  # EIP-7594
        reserve_base_cost=2**13,  # EIP-7918
    ),
    transaction_gas_limit_max=2**24,  # EIP-7825
    block_rlp_size_max=10 * 2**20 - 2 * 2**20,  # EIP-7934: 10 MiB less 2 MiB for the beacon block
)
