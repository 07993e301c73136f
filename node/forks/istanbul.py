"""Istanbul (December 2019): BLAKE2F, CHAINID, SELFBALANCE, cheaper curves and call data, net SSTORE again.

EIP-152 BLAKE2F, 1108 curves, 1344 CHAINID, 1884 dearer trie reads and SELFBALANCE, 2028 call data, 2200 SSTORE.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.instructions import block, context, storage
from node.evm.opcodes import Opcode
from node.evm.precompiles import table
from node.evm.spec import Spec
from node.forks import petersburg
from node.forks.frontier import BASE, LOW, ZERO, row

SPEC: Final[Spec] = petersburg.SPEC.evolve(
    name="Istanbul",
    gas=replace(
        petersburg.SPEC.gas,
        tx_data_nonzero=16,  # EIP-2028
        sstore_noop=800,  # EIP-2200
        sstore_stipend_guard=2_300,  # EIP-2200
    ),
    instructions=petersburg.SPEC.instructions.with_(
        row(Opcode.BALANCE, 700, 1, 1, context.balance),  # EIP-1884
        row(Opcode.EXTCODEHASH, 700, 1, 1, context.extcodehash),  # EIP-1884
        row(Opcode.SLOAD, 800, 1, 1, storage.sload),  # EIP-1884
        row(Opcode.CHAINID, BASE, 0, 1, block.chainid),  # EIP-1344
        row(Opcode.SELFBALANCE, LOW, 0, 1, context.selfbalance),  # EIP-1884
        row(Opcode.SSTORE, ZERO, 2, 0, storage.sstore),  # EIP-2200
    ),
    precompiles=table.precompile_table(
        {
            0x06: table.BN254_ADD,  # EIP-1108
            0x07: table.BN254_MUL,
            0x08: table.BN254_PAIRING,
            0x09: table.BLAKE2F,  # EIP-152
        },
        petersburg.SPEC.precompiles,
    ),
)
