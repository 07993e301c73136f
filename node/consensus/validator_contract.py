"""The validator contract: where a chain keeps its validator set, and how it is read.

Storage, as ``network/contracts/sources/Validators.sol`` lays it out:

    0   owner, who may change the set        4   number of members; member i at keccak256(4) + i
    1-3 this block's changes so far          5   weight of an address, at keccak256(address ‖ 5)

A weight with bit 255 set is that of a convicted validator: it counts as 0, and the contract never changes it again.
The set of height h is what the state after block h - 1 holds. A chain whose genesis has no such contract keeps the
set of its genesis file for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from node.consensus.validators import VALIDATORS_MAX, WEIGHT_MAX, Validator, ValidatorSet
from node.crypto.hashes import EMPTY_KECCAK, keccak256
from node.primitives.scalars import Address, Hash32
from node.state.view import StateView
from node.types.blocks import Header

VALIDATOR_CONTRACT: Final = Address(bytes.fromhex("00000000000000000000000000000000005e7000"))
CONVICTED: Final = 2**255
OWNER_SLOT: Final = 0
COUNT_SLOT: Final = 4

_WEIGHT_MAPPING: Final = (5).to_bytes(32, "big")
_MEMBERS: Final = int.from_bytes(keccak256(COUNT_SLOT.to_bytes(32, "big")), "big")


class InvalidValidatorState(ValueError):
    """The contract's storage holds no set that can run a chain; the text says why."""


def member_slot(index: int) -> int:
    """Where the address of member ``index`` lies."""
    return (_MEMBERS + index) % 2**256


def weight_slot(validator: Address) -> int:
    """Where the weight of an address lies."""
    return int.from_bytes(keccak256(bytes(12) + validator + _WEIGHT_MAPPING), "big")


def initial_storage(owner: Address, validators: ValidatorSet) -> dict[int, int]:
    """The contract's storage at genesis (slot -> value)."""
    storage = {OWNER_SLOT: int.from_bytes(owner, "big"), COUNT_SLOT: len(validators)}
    for index, one in enumerate(validators.validators):
        storage[member_slot(index)] = int.from_bytes(one.address, "big")
        storage[weight_slot(one.address)] = one.weight
    return storage


def genesis_problem(storage: Mapping[int, int], validators: ValidatorSet) -> str:
    """Why a genesis file's contract does not fit its list of validators; empty when it does."""
    if storage.get(COUNT_SLOT, 0) != len(validators):
        return f"it has {storage.get(COUNT_SLOT, 0)} members, the list has {len(validators)}"
    listed = {storage.get(member_slot(index), 0) for index in range(len(validators))}
    for one in validators.validators:
        weight = storage.get(weight_slot(one.address), 0)
        if weight != one.weight or int.from_bytes(one.address, "big") not in listed:
            return f"it gives 0x{one.address.hex()} weight {weight}, the list {one.weight}"
    return ""


def read_validators(view: StateView) -> ValidatorSet | None:
    """The set that a state holds; None where there is no contract. Raises InvalidValidatorState."""
    account = view.account(VALIDATOR_CONTRACT)
    if account is None or account.code_hash == EMPTY_KECCAK:
        return None
    count = view.slot(VALIDATOR_CONTRACT, COUNT_SLOT)
    if count > VALIDATORS_MAX:
        raise InvalidValidatorState(f"validator contract: {count} members, at most {VALIDATORS_MAX}")
    members = []
    for index in range(count):
        address = Address(view.slot(VALIDATOR_CONTRACT, member_slot(index)).to_bytes(32, "big")[12:])
        weight = view.slot(VALIDATOR_CONTRACT, weight_slot(address))
        if 0 < weight <= WEIGHT_MAX:
            members.append(Validator(address, weight))
    try:
        return ValidatorSet(members)
    except ValueError as error:
        raise InvalidValidatorState(f"validator contract: {error}") from error


class ValidatorReader:
    """The set after each block; read again only where the contract's storage has changed. Threads may share it."""

    def __init__(self, view_at: Callable[[Header], StateView]) -> None:
        self._view_at = view_at
        self._last: tuple[Hash32, ValidatorSet | None] | None = None

    def after(self, header: Header) -> ValidatorSet | None:
        """Who votes at height ``header.number + 1``; None: the chain has no validator contract. Raises as above."""
        view = self._view_at(header)
        account = view.account(VALIDATOR_CONTRACT)
        if account is None:
            return None
        last = self._last
        if last is None or last[0] != account.storage_root:
            last = self._last = (account.storage_root, read_validators(view))
        return last[1]
