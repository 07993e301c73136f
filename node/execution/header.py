"""Headers against their parent: pure arithmetic on two headers (EIP-1559, 3675, 4399, 4844, 4895, 7685, 7918).

The seal of a mined block (mixHash and nonce) is not checked: no cluster mines, and chain files of tests are not mined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.crypto.hashes import EMPTY_LIST_KECCAK
from node.evm.spec import GAS_PER_BLOB, Spec
from node.execution.difficulty import next_difficulty
from node.execution.fees import ELASTICITY_MULTIPLIER, base_fee, excess_blob_gas
from node.types.blocks import NO_NONCE, Header
from node.types.invalid import BlockReason, InvalidBlock

GAS_LIMIT_ADJUSTMENT_QUOTIENT: Final = 1024
GAS_LIMIT_MIN: Final = 5_000
EXTRA_DATA_BYTES_MAX: Final = 32

_OPTIONAL_FIELDS: Final = (
    ("base_fee_per_gas", 16),
    ("withdrawals_root", 17),
    ("blob_gas_used", 20),
    ("excess_blob_gas", 20),
    ("parent_beacon_block_root", 20),
    ("requests_hash", 21),
)
"""Header field, and the number of RLP items from which a fork's header has it."""


def check_header(header: Header, parent: Header, spec: Spec) -> None:
    """Whether ``header`` may follow ``parent`` under ``spec``, before anything is executed. Raises InvalidBlock."""
    _check_form(header, spec)
    if header.parent_hash != parent.hash:
        raise InvalidBlock(BlockReason.UNKNOWN_PARENT, header=header.parent_hash, ours=parent.hash)
    if header.number != parent.number + 1:
        raise InvalidBlock(BlockReason.INVALID_BLOCK_NUMBER, header=header.number, ours=parent.number + 1)
    if header.timestamp <= parent.timestamp:
        raise InvalidBlock(
            BlockReason.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT, header=header.timestamp, parent=parent.timestamp
        )
    _check_difficulty(header, parent, spec)
    _check_gas(header, parent, spec)
    _check_blob_gas(header, parent, spec)


def _check_form(header: Header, spec: Spec) -> None:
    for name, items in _OPTIONAL_FIELDS:
        present = getattr(header, name) is not None
        if present != (spec.header_items >= items):
            raise InvalidBlock(
                BlockReason.INCORRECT_BLOCK_FORMAT,
                field=name,
                header="present" if present else "absent",
                ours="absent" if present else "present",
            )
    if len(header.extra_data) > EXTRA_DATA_BYTES_MAX:
        raise InvalidBlock(BlockReason.EXTRA_DATA_TOO_BIG, header=len(header.extra_data), maximum=EXTRA_DATA_BYTES_MAX)
    if spec.difficulty is not None:
        return
    if header.ommers_hash != EMPTY_LIST_KECCAK:
        raise InvalidBlock(
            BlockReason.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS, header=header.ommers_hash, ours=EMPTY_LIST_KECCAK
        )
    if header.difficulty != 0:
        raise InvalidBlock(BlockReason.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS, header=header.difficulty, ours=0)
    if header.nonce != NO_NONCE:
        raise InvalidBlock(BlockReason.INCORRECT_BLOCK_FORMAT, field="nonce", header=header.nonce, ours=NO_NONCE)


def _check_difficulty(header: Header, parent: Header, spec: Spec) -> None:
    """Of a mined block; that of a later one is 0, as its form says."""
    if spec.difficulty is None:
        return
    expected = next_difficulty(parent, header.timestamp, spec.difficulty)
    if header.difficulty != expected:
        raise InvalidBlock(BlockReason.INVALID_DIFFICULTY, header=header.difficulty, ours=expected)


def _gas_limit_before(parent: Header, spec: Spec) -> int:
    """What a gas limit moves from: doubled at the first block with a base fee, so that the target stays (EIP-1559)."""
    first_with_base_fee = spec.has_base_fee and parent.base_fee_per_gas is None
    return parent.gas_limit * (ELASTICITY_MULTIPLIER if first_with_base_fee else 1)


def _check_gas(header: Header, parent: Header, spec: Spec) -> None:
    limit = header.gas_limit
    before = _gas_limit_before(parent, spec)
    bound = before // GAS_LIMIT_ADJUSTMENT_QUOTIENT
    if abs(limit - before) >= bound or limit < GAS_LIMIT_MIN:
        raise InvalidBlock(BlockReason.INVALID_GASLIMIT, header=limit, parent=before, difference_below=bound)
    if header.gas_used > limit:
        raise InvalidBlock(BlockReason.GAS_USED_OVERFLOW, header=header.gas_used, gas_limit=limit)
    if not spec.has_base_fee:
        return
    expected = base_fee(parent)
    if header.base_fee_per_gas != expected:
        raise InvalidBlock(BlockReason.INVALID_BASEFEE_PER_GAS, header=header.base_fee_per_gas, ours=expected)


def _check_blob_gas(header: Header, parent: Header, spec: Spec) -> None:
    rules = spec.blobs
    if rules is None:
        return
    used = header.blob_gas_used
    assert used is not None, "checked with the form"
    maximum = rules.max * GAS_PER_BLOB
    if used > maximum:
        raise InvalidBlock(BlockReason.BLOB_GAS_USED_ABOVE_LIMIT, header=used, maximum=maximum)
    if used % GAS_PER_BLOB:
        raise InvalidBlock(BlockReason.INCORRECT_BLOB_GAS_USED, header=used, multiple_of=GAS_PER_BLOB)
    expected = excess_blob_gas(parent, spec)
    if header.excess_blob_gas != expected:
        raise InvalidBlock(BlockReason.INCORRECT_EXCESS_BLOB_GAS, header=header.excess_blob_gas, ours=expected)


@dataclass(frozen=True, slots=True)
class NextHeader:
    """The fields of a child header that follow from its parent alone."""

    number: int
    gas_limit: int
    base_fee_per_gas: int | None
    """None before EIP-1559."""
    excess_blob_gas: int | None


def next_header_fields(parent: Header, spec: Spec, gas_limit_target: int) -> NextHeader:
    """What the block after ``parent`` must say. The gas limit moves towards the target as far as one block may."""
    before = _gas_limit_before(parent, spec)
    step = max(before // GAS_LIMIT_ADJUSTMENT_QUOTIENT - 1, 0)
    lowest = max(before - step, GAS_LIMIT_MIN)
    return NextHeader(
        number=parent.number + 1,
        gas_limit=max(lowest, min(gas_limit_target, before + step)),
        base_fee_per_gas=base_fee(parent) if spec.has_base_fee else None,
        excess_blob_gas=excess_blob_gas(parent, spec),
    )
