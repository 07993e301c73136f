"""Spurious Dragon (November 2016): EIP-155 replay protection, 160 EXP, 161 state clearing, 170 code size."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.spec import Spec
from node.forks import tangerine_whistle

SPEC: Final[Spec] = tangerine_whistle.SPEC.evolve(
    name="Spurious Dragon",
    gas=replace(tangerine_whistle.SPEC.gas, exp_byte=50),  # EIP-160
    chain_id_in_signature=True,  # EIP-155
    new_account_needs_value=True,  # EIP-161
    contract_nonce=1,  # EIP-161
    removes_empty=True,  # EIP-161
    code_size_max=24_576,  # EIP-170
)
