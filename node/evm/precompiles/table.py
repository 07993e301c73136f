"""The precompiled contracts as values; a fork's table maps addresses to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from node.evm.precompiles import curves, hashes, modexp, signatures
from node.evm.spec import Precompile
from node.primitives.scalars import Address


def precompile_address(number: int) -> Address:
    """0x00..number."""
    return Address(number.to_bytes(20, "big"))


def precompile_table(
    rows: Mapping[int, Precompile], base: Mapping[Address, Precompile] | None = None
) -> Mapping[Address, Precompile]:
    """A read-only table from numbers to contracts, on top of an older fork's table."""
    added = {precompile_address(number): row for number, row in rows.items()}
    return MappingProxyType({**(base or {}), **added})


ECRECOVER: Final = Precompile("ECREC", signatures.ecrecover_gas, signatures.ecrecover)
SHA256: Final = Precompile("SHA256", hashes.sha256_gas, hashes.sha256)
RIPEMD160: Final = Precompile("RIPEMD160", hashes.ripemd160_gas, hashes.ripemd160_word)
IDENTITY: Final = Precompile("ID", hashes.identity_gas, hashes.identity)
MODEXP_198: Final = Precompile("MODEXP", modexp.gas_198, modexp.modexp)
"""EIP-198."""
MODEXP_2565: Final = Precompile("MODEXP", modexp.gas_2565, modexp.modexp)
"""EIP-2565."""
MODEXP_7883: Final = Precompile("MODEXP", modexp.gas_7883, modexp.modexp_bounded)
"""EIP-7823, EIP-7883."""
BN254_ADD_196: Final = Precompile("BN254_ADD", curves.bn254_add_gas_196, curves.bn254_add)
BN254_MUL_196: Final = Precompile("BN254_MUL", curves.bn254_mul_gas_196, curves.bn254_mul)
BN254_PAIRING_197: Final = Precompile("BN254_PAIRING", curves.bn254_pairing_gas_197, curves.bn254_pairing)
"""Before EIP-1108."""
BN254_ADD: Final = Precompile("BN254_ADD", curves.bn254_add_gas, curves.bn254_add)
BN254_MUL: Final = Precompile("BN254_MUL", curves.bn254_mul_gas, curves.bn254_mul)
BN254_PAIRING: Final = Precompile("BN254_PAIRING", curves.bn254_pairing_gas, curves.bn254_pairing)
BLAKE2F: Final = Precompile("BLAKE2F", hashes.blake2f_gas, hashes.blake2f)
KZG_POINT_EVALUATION: Final = Precompile(
    "KZG_POINT_EVALUATION", curves.kzg_point_evaluation_gas, curves.kzg_point_evaluation
)
BLS12_G1ADD: Final = Precompile("BLS12_G1ADD", curves.g1_add_gas, curves.g1_add)
BLS12_G1MSM: Final = Precompile("BLS12_G1MSM", curves.g1_msm_gas, curves.g1_msm)
BLS12_G2ADD: Final = Precompile("BLS12_G2ADD", curves.g2_add_gas, curves.g2_add)
BLS12_G2MSM: Final = Precompile("BLS12_G2MSM", curves.g2_msm_gas, curves.g2_msm)
BLS12_PAIRING: Final = Precompile("BLS12_PAIRING_CHECK", curves.bls_pairing_gas, curves.bls_pairing)
BLS12_MAP_FP_TO_G1: Final = Precompile("BLS12_MAP_FP_TO_G1", curves.map_fp_to_g1_gas, curves.map_fp_to_g1)
BLS12_MAP_FP2_TO_G2: Final = Precompile("BLS12_MAP_FP2_TO_G2", curves.map_fp2_to_g2_gas, curves.map_fp2_to_g2)
P256VERIFY: Final = Precompile("P256VERIFY", signatures.p256verify_gas, signatures.p256verify)
"""EIP-7951, at 0x100."""
