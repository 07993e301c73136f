"""The validator contract's own rules, run by the EVM: bounds, the convicted, and the last one left."""

import asyncio
from dataclasses import replace

import pytest

from network import abi
from network.genesis import validator_account
from node.chain.genesis import genesis_from_json
from node.consensus.validator_contract import (
    CONVICTED,
    COUNT_SLOT,
    VALIDATOR_CONTRACT,
    InvalidValidatorState,
    ValidatorReader,
    initial_storage,
    member_slot,
    read_validators,
    weight_slot,
)
from node.consensus.validators import VALIDATORS_MAX, Validator, ValidatorSet
from node.crypto.hashes import keccak256
from node.primitives.scalars import Address
from tests.builders import address, genesis_json, transfer
from tests.driver_mesh import Mesh, MeshNode, virtually


def _member(index: int) -> Address:
    return Address(keccak256(b"member %d" % index)[:20])


def _genesis(members: int, convicted: int = 0):
    """A chain of one node whose contract has so many members, the first ``convicted`` of them convicted."""
    document = genesis_json()
    account = validator_account(address(0), [(_member(index), 1) for index in range(members)])
    for index in range(convicted):
        account["storage"][f"0x{weight_slot(_member(index)):064x}"] = hex(CONVICTED)
    document["alloc"]["0x" + VALIDATOR_CONTRACT.hex()] = account
    return replace(genesis_from_json(document), timestamp=1_800_000_000)


class _Owner:
    """Sends what the owner wants, each call in a block of its own."""

    def __init__(self, node: MeshNode) -> None:
        self.node = node
        self.nonce = 0

    async def set(self, validator: Address, weight: int) -> bool:
        """Whether it was done."""
        data = abi.selector("setValidator(address,uint256)") + abi.encode(["address", "uint256"], [validator, weight])
        tx = transfer(0, self.nonce, to=VALIDATOR_CONTRACT, value=0, data=data, gas_limit=6_000_000)
        self.nonce += 1
        self.node.add(tx)
        await asyncio.sleep(0.2)
        receipt = self.node.chain.store.receipts(self.node.chain.head.hash)[-1]
        return receipt.succeeded

    def weights(self) -> dict[Address, int]:
        found = read_validators(self.node.chain.view_at(self.node.chain.head))
        return {one.address: one.weight for one in found.validators}


def _with_owner(genesis, scenario) -> None:
    async def main():
        node = MeshNode(Mesh(), 0, genesis, None, block_time_ms=0)
        await node.start()
        await scenario(_Owner(node))
        await node.kill()

    virtually(main())


def test_the_last_one_stays():
    async def scenario(owner):
        for index in (3, 2, 1):
            assert await owner.set(_member(index), 0)
        assert owner.weights() == {_member(0): 1}
        assert not await owner.set(_member(0), 0)
        assert await owner.set(_member(1), 1), "a set of one can grow"
        assert await owner.set(_member(1), 2)
        assert owner.weights() == {_member(0): 1, _member(1): 2}

    _with_owner(_genesis(4), scenario)


def test_the_set_is_bounded_and_the_convicted_make_room():
    async def scenario(owner):
        assert len(owner.weights()) == VALIDATORS_MAX - 1
        assert await owner.set(_member(1000), 1), "the place of the convicted"
        assert len(owner.weights()) == VALIDATORS_MAX
        assert not await owner.set(_member(1001), 1)
        assert not await owner.set(_member(0), 1), "convicted for ever"
        assert await owner.set(_member(5), 0)
        assert await owner.set(_member(1001), 1)
        assert _member(1001) in owner.weights()
        assert _member(5) not in owner.weights()

    _with_owner(_genesis(VALIDATORS_MAX, convicted=1), scenario)


def test_setting_what_stands_changes_nothing_and_leaving_twice_is_no_error():
    async def scenario(owner):
        before = owner.weights()
        assert await owner.set(_member(1), 1)
        assert await owner.set(_member(77), 0)
        assert owner.weights() == before

    _with_owner(_genesis(3), scenario)


class _View:
    """A state with one account."""

    def __init__(self, storage: dict[int, int], code_hash: bytes = b"\x01" * 32) -> None:
        self.storage = storage
        self.code_hash = code_hash
        self.storage_root = keccak256(repr(sorted(storage.items())).encode())
        self.reads = 0

    def account(self, address: Address):
        return self if address == VALIDATOR_CONTRACT else None

    def slot(self, address: Address, slot: int) -> int:
        self.reads += 1
        return self.storage.get(slot, 0)


def test_a_state_that_holds_no_set_is_named():
    good = initial_storage(address(0), ValidatorSet([Validator(_member(0)), Validator(_member(1))]))
    assert len(read_validators(_View(good))) == 2
    for wrong, why in (
        ({**good, COUNT_SLOT: VALIDATORS_MAX + 1}, "at most"),
        ({**good, COUNT_SLOT: 0}, "at least one"),
        ({**good, member_slot(1): good[member_slot(0)]}, "listed twice"),
        ({**good, weight_slot(_member(0)): CONVICTED, weight_slot(_member(1)): CONVICTED}, "at least one"),
    ):
        with pytest.raises(InvalidValidatorState, match=why):
            read_validators(_View(wrong))


def test_an_unchanged_contract_is_read_once():
    view = _View(initial_storage(address(0), ValidatorSet([Validator(_member(0))])))
    reader = ValidatorReader(lambda header: view)
    first = reader.after(None)
    reads = view.reads
    assert reader.after(None) is first
    assert view.reads == reads
