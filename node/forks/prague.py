"""Prague: EIP-2537, EIP-2935, EIP-6110, EIP-7002, EIP-7251, EIP-7623, EIP-7685, EIP-7691, EIP-7702."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.precompiles import table
from node.evm.spec import BlobRules, RequestSource, Spec, SystemCall
from node.forks import cancun
from node.primitives.scalars import Address

HISTORY: Final = SystemCall(Address(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935")), "parent_hash")
"""EIP-2935."""

DEPOSITS: Final = RequestSource(
    0x00, Address(bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa")), from_logs=True
)
"""EIP-6110; the deposit contract's address is chain configuration, this is the main network's."""
WITHDRAWAL_REQUESTS: Final = RequestSource(0x01, Address(bytes.fromhex("00000961ef480eb55e80d19ad83579a64c007002")))
"""EIP-7002."""
CONSOLIDATION_REQUESTS: Final = RequestSource(0x02, Address(bytes.fromhex("0000bbddc7ce488642fb579f8b00f3a590007251")))
"""EIP-7251."""

SPEC: Final[Spec] = cancun.SPEC.evolve(
    name="Prague",
    gas=replace(cancun.SPEC.gas, tx_floor_per_token=10),  # EIP-7623
    precompiles=table.precompile_table(
        {
            0x0B: table.BLS12_G1ADD,
            0x0C: table.BLS12_G1MSM,
            0x0D: table.BLS12_G2ADD,
            0x0E: table.BLS12_G2MSM,
            0x0F: table.BLS12_PAIRING,
            0x10: table.BLS12_MAP_FP_TO_G1,
            0x11: table.BLS12_MAP_FP2_TO_G2,
        },
        cancun.SPEC.precompiles,
    ),  # EIP-2537
    transaction_types=(0, 1, 2, 3, 4),  # EIP-7702
    delegations=True,  # EIP-7702
    header_items=21,  # EIP-7685: requestsHash
    blobs=BlobRules(target=6, max=9, base_fee_update_fraction=5_007_716),  # EIP-7691
    system_calls=(*cancun.SPEC.system_calls, HISTORY),
    requests=(DEPOSITS, WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS),  # EIP-7685
)
