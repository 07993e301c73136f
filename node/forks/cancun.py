"""Cancun: EIP-1153, EIP-4788, EIP-4844, EIP-5656, EIP-6780, EIP-7516."""

from __future__ import annotations

from typing import Final

from node.evm.instructions import block, memory, storage
from node.evm.opcodes import Opcode
from node.evm.precompiles import table
from node.evm.spec import BlobRules, Spec, SystemCall
from node.forks import shanghai
from node.forks.frontier import BASE, VERY_LOW, row
from node.primitives.scalars import Address

BEACON_ROOTS: Final = SystemCall(
    Address(bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02")), "parent_beacon_block_root"
)
"""EIP-4788."""

SPEC: Final[Spec] = shanghai.SPEC.evolve(
    name="Cancun",
    instructions=shanghai.SPEC.instructions.with_(
        row(Opcode.TLOAD, shanghai.SPEC.gas.warm_access, 1, 1, storage.tload),  # EIP-1153
        row(Opcode.TSTORE, shanghai.SPEC.gas.warm_access, 2, 0, storage.tstore),
        row(Opcode.MCOPY, VERY_LOW, 3, 0, memory.mcopy),  # EIP-5656
        row(Opcode.BLOBHASH, VERY_LOW, 1, 1, block.blobhash),  # EIP-4844
        row(Opcode.BLOBBASEFEE, BASE, 0, 1, block.blobbasefee),  # EIP-7516
    ),
    precompiles=table.precompile_table(
        {0x0A: table.KZG_POINT_EVALUATION},
        shanghai.SPEC.precompiles,  # EIP-4844
    ),
    transaction_types=(0, 1, 2, 3),  # EIP-4844
    header_items=20,  # EIP-4844: blobGasUsed, excessBlobGas; EIP-4788: parentBeaconBlockRoot
    blobs=BlobRules(target=3, max=6, base_fee_update_fraction=3_338_477),  # EIP-4844
    self_destruct_only_created=True,  # EIP-6780
    system_calls=(BEACON_ROOTS,),
)
