"""What gas costs: the base fee (EIP-1559), the blob base fee and its excess (EIP-4844, 7691, 7918). Wei and gas."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from node.evm.spec import GAS_PER_BLOB, BlobRules, Spec
from node.types.blocks import Header

BASE_FEE_CHANGE_DENOMINATOR: Final = 8
ELASTICITY_MULTIPLIER: Final = 2
INITIAL_BASE_FEE: Final = 1_000_000_000
"""Of the first block with a base fee (EIP-1559)."""


def base_fee(parent: Header) -> int:
    """The base fee that the block after ``parent`` must have, wei a gas."""
    fee = parent.base_fee_per_gas
    if fee is None:
        return INITIAL_BASE_FEE
    target = parent.gas_limit // ELASTICITY_MULTIPLIER
    if parent.gas_used == target:
        return fee
    if parent.gas_used > target:
        change = fee * (parent.gas_used - target) // target // BASE_FEE_CHANGE_DENOMINATOR
        return fee + max(change, 1)
    change = fee * (target - parent.gas_used) // target // BASE_FEE_CHANGE_DENOMINATOR
    return max(fee - change, 0)


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """factor * e ** (numerator / denominator) by its Taylor series in integers (EIP-4844)."""
    term = factor * denominator
    total = 0
    step = 1
    while term > 0:
        total += term
        term = term * numerator // (denominator * step)
        step += 1
    return total // denominator


@lru_cache(maxsize=256)
def blob_base_fee(excess: int, rules: BlobRules) -> int:
    """Wei a blob gas in a block with this excess blob gas."""
    return fake_exponential(rules.min_base_fee, excess, rules.base_fee_update_fraction)


def excess_blob_gas(parent: Header, spec: Spec) -> int | None:
    """The excess blob gas of the block after ``parent`` under ``spec``; None where the fork has no blobs.

    From Osaka, while blobs cost less than their reserve price (a share of the base fee), the excess grows
    with every used blob, also below the target (EIP-7918).
    """
    rules = spec.blobs
    if rules is None:
        return None
    excess = parent.excess_blob_gas or 0
    used = parent.blob_gas_used or 0
    target = rules.target * GAS_PER_BLOB
    if excess + used < target:
        return 0
    if rules.reserve_base_cost is not None:
        reserve = rules.reserve_base_cost * (parent.base_fee_per_gas or 0)
        if reserve > GAS_PER_BLOB * blob_base_fee(excess, rules):
            return excess + used * (rules.max - rules.target) // rules.max
    return excess + used - target


def block_blob_base_fee(header: Header, spec: Spec) -> int:
    """The blob base fee inside the block of ``header``; 0 where the fork has no blobs."""
    if spec.blobs is None or header.excess_blob_gas is None:
        return 0
    return blob_base_fee(header.excess_blob_gas, spec.blobs)
