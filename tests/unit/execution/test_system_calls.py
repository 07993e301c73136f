from __future__ import annotations

from hashlib import sha256

import pytest

from node.execution.system_calls import DEPOSIT_EVENT_TOPIC, requests_hash
from node.forks import cancun, osaka, prague
from node.primitives.scalars import GWEI, Address, Hash32
from node.state.genesis_state import GenesisAccount
from node.types.invalid import BlockReason, InvalidBlock
from tests.unit.execution.world import (
    BEACON_ROOTS,
    CONSOLIDATION_REQUESTS,
    HISTORY,
    SENDERS,
    SYSTEM_CONTRACTS,
    WITHDRAWAL_REQUESTS,
    World,
    transaction,
)

DEPOSIT_CONTRACT = prague.DEPOSITS.address
EMPTY_REQUESTS = sha256(b"").digest()


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def padded(data: bytes) -> bytes:
    return word(len(data)) + data + bytes(-len(data) % 32)


FIELDS = (b"\x01" * 48, b"\x02" * 32, b"\x03" * 8, b"\x04" * 96, b"\x05" * 8)
DEPOSIT_EVENT = b"".join(word(offset) for offset in (160, 256, 320, 384, 512)) + b"".join(map(padded, FIELDS))
ECHO_AS_DEPOSIT = bytes.fromhex("365f5f37" + "7f" + DEPOSIT_EVENT_TOPIC.hex() + "365fa100")  # log1(calldata, topic)
ANSWER_07 = bytes.fromhex("60075f5360015ff3")  # returns the byte 07


def test_roots_and_hashes_are_kept_by_the_contracts() -> None:
    world = World()
    genesis = world.head
    root = Hash32(b"\x5a" * 32)
    world.extend(parent_beacon_block_root=root)
    timestamp = world.head.timestamp
    assert world.view().slot(BEACON_ROOTS, timestamp % 8191) == timestamp
    assert world.view().slot(BEACON_ROOTS, timestamp % 8191 + 8191) == int.from_bytes(root, "big")
    assert world.view().slot(HISTORY, 0) == int.from_bytes(genesis.hash, "big")


def test_missing_start_contracts_change_nothing() -> None:
    ask = {address: GenesisAccount(nonce=1, code=b"\x00") for address in (WITHDRAWAL_REQUESTS,)}
    world = World(ask | {CONSOLIDATION_REQUESTS: GenesisAccount(nonce=1, code=b"\x00")}, system_contracts=False)
    world.extend()
    assert world.view().account(BEACON_ROOTS) is None
    assert world.view().account(HISTORY) is None


def test_no_requests_have_the_hash_of_nothing() -> None:
    built = World().extend()
    assert built.result.requests == ()
    assert built.block.header.requests_hash == EMPTY_REQUESTS
    assert World(spec=cancun.SPEC).extend().block.header.requests_hash is None


def test_requests_hash_skips_empty_ones() -> None:
    expected = sha256(sha256(b"\x01a").digest() + sha256(b"\x02b").digest()).digest()
    assert requests_hash([b"\x00", b"\x01a", b"\x02b"]) == expected


def test_requests_in_order_of_type() -> None:
    world = World(
        {
            DEPOSIT_CONTRACT: GenesisAccount(nonce=1, code=ECHO_AS_DEPOSIT),
            WITHDRAWAL_REQUESTS: GenesisAccount(nonce=1, code=ANSWER_07),
            CONSOLIDATION_REQUESTS: GenesisAccount(nonce=1, code=ANSWER_07),
        }
    )
    built = world.extend(transaction(to=DEPOSIT_CONTRACT, data=DEPOSIT_EVENT, gas_limit=200_000, value=0))
    assert built.result.requests == (b"\x00" + b"".join(FIELDS), b"\x01\x07", b"\x02\x07")
    assert built.block.header.requests_hash == requests_hash(built.result.requests)


def test_withdrawal_request_of_a_transaction_reaches_the_block() -> None:
    world = World()
    built = world.extend(
        transaction(to=WITHDRAWAL_REQUESTS, data=b"\x0a" * 48 + b"\x00" * 7 + b"\x09", gas_limit=300_000)
    )
    assert built.result.receipts[0].succeeded
    # 20-byte source, 48-byte key, little-endian amount
    assert built.result.requests == (b"\x01" + SENDERS[0] + b"\x0a" * 48 + b"\x09" + b"\x00" * 7,)
    assert world.extend().result.requests == ()


def broken(position: int, byte: int) -> bytes:
    return DEPOSIT_EVENT[:position] + bytes((byte,)) + DEPOSIT_EVENT[position + 1 :]


@pytest.mark.parametrize(
    "event",
    [DEPOSIT_EVENT[:-1], DEPOSIT_EVENT + b"\x00", broken(31, 161), broken(160 + 31, 47), broken(512 + 31, 9), b""],
)
def test_deposit_of_another_layout_spoils_the_block(event: bytes) -> None:
    world = World({DEPOSIT_CONTRACT: GenesisAccount(nonce=1, code=ECHO_AS_DEPOSIT)})
    with pytest.raises(InvalidBlock) as refused:
        world.build([transaction(to=DEPOSIT_CONTRACT, data=event, gas_limit=200_000, value=0)])
    assert refused.value.reason is BlockReason.INVALID_DEPOSIT_EVENT_LAYOUT


def test_other_logs_of_the_deposit_contract_are_no_deposits() -> None:
    world = World({DEPOSIT_CONTRACT: GenesisAccount(nonce=1, code=bytes.fromhex("5f5fa060015f5fa100"))})
    assert world.extend(transaction(to=DEPOSIT_CONTRACT, gas_limit=100_000, value=0)).result.requests == ()


@pytest.mark.parametrize("address", [WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (b"", BlockReason.SYSTEM_CONTRACT_EMPTY),
        (bytes.fromhex("5f5ffd"), BlockReason.SYSTEM_CONTRACT_CALL_FAILED),
        (bytes.fromhex("fe"), BlockReason.SYSTEM_CONTRACT_CALL_FAILED),
    ],
)
def test_request_contracts_must_be_there_and_answer(address: Address, code: bytes, reason: BlockReason) -> None:
    world = World({address: GenesisAccount(nonce=1, balance=1, code=code)})
    with pytest.raises(InvalidBlock) as refused:
        world.build()
    assert refused.value.reason is reason
    assert refused.value.facts["contract"] == address


def test_system_calls_cost_no_gas_of_the_block_and_no_money() -> None:
    world = World(base_fee=GWEI)
    built = world.extend()
    assert built.block.header.gas_used == 0
    assert world.view().account(Address(bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe"))) is None


def test_every_call_of_the_newest_fork_has_its_contract() -> None:
    called = {call.address for call in osaka.SPEC.system_calls}
    called |= {source.address for source in osaka.SPEC.requests if not source.from_logs}
    assert called == set(SYSTEM_CONTRACTS)
