"""Surroundings as somebody would like them to be: a block with other fields, precompiles at other addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from node.evm.message import BlockEnvironment
from node.evm.spec import Spec
from node.primitives.scalars import Address, Hash32


class OverrideError(ValueError):
    """The overrides contradict one another; the message is geth's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOverrides:
    """Fields of the block to change; None leaves one. Fees in wei a gas, ``time`` in seconds."""

    number: int | None = None
    difficulty: int | None = None
    time: int | None = None
    gas_limit: int | None = None
    fee_recipient: Address | None = None
    prev_randao: Hash32 | None = None
    base_fee_per_gas: int | None = None
    blob_base_fee: int | None = None

    def applied_to(self, environment: BlockEnvironment) -> BlockEnvironment:
        """The environment with these fields."""

        def chosen(override: int | None, value: int) -> int:
            return value if override is None else override

        return replace(
            environment,
            number=chosen(self.number, environment.number),
            difficulty=chosen(self.difficulty, environment.difficulty),
            timestamp=chosen(self.time, environment.timestamp),
            gas_limit=chosen(self.gas_limit, environment.gas_limit),
            coinbase=environment.coinbase if self.fee_recipient is None else self.fee_recipient,
            prev_randao=environment.prev_randao if self.prev_randao is None else self.prev_randao,
            base_fee_per_gas=chosen(self.base_fee_per_gas, environment.base_fee_per_gas),
            blob_base_fee=chosen(self.blob_base_fee, environment.blob_base_fee),
        )


def with_moved_precompiles(spec: Spec, overridden: Mapping[Address, Address | None]) -> Spec:
    """The rules where overridden accounts are no precompiles any more, and moved ones stand at another address.

    ``overridden`` maps each account that is overridden to where its precompile goes, or None. Raises OverrideError.
    """
    precompiles = dict(spec.precompiles)
    taken: dict[Address, bool] = {}
    changed = False
    for address, target in overridden.items():
        if address in taken:
            raise OverrideError(f"account 0x{address.hex()} has already been overridden by a precompile")
        precompile = precompiles.get(address)
        if target is not None:
            if precompile is None:
                raise OverrideError(f"account 0x{address.hex()} is not a precompile")
            if target in overridden:
                raise OverrideError(f"account 0x{target.hex()} is already overridden")
            precompiles[target] = precompile
            taken[target] = True
        if precompile is not None:
            del precompiles[address]
            changed = True
    return spec.evolve(precompiles=precompiles, warm_at_start=tuple(spec.precompiles)) if changed else spec
