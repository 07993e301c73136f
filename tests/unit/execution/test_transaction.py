"""One transaction's money, gas and delegations, seen through whole blocks."""

from __future__ import annotations

import pytest

from node.evm.addresses import create_address
from node.execution.builder import BuiltBlock
from node.forks import cancun, paris, shanghai
from node.primitives.scalars import ETHER, GWEI, Address
from node.state.genesis_state import GenesisAccount
from node.types.transactions import BLOB
from tests.unit.execution.world import (
    COINBASE,
    NOBODY,
    SENDERS,
    World,
    authorization,
    contract,
    set_code,
    transaction,
)

STORE_CALLER = bytes.fromhex("335f5500")  # sstore(0, caller)
REVERT = bytes.fromhex("5f5ffd")
CLEAR_SLOT_0 = bytes.fromhex("5f5f5500")  # sstore(0, 0)
LOG = bytes.fromhex("60015f5fa100")  # log1(0, 0, 1)
BURN = bytes.fromhex("fe")
TARGET = contract(1)


def with_code(code: bytes, storage: dict[int, int] | None = None) -> World:
    return World({TARGET: GenesisAccount(nonce=1, code=code, storage=storage or {})})


def gas_used(built: BuiltBlock, index: int = 0) -> int:
    receipts = built.result.receipts
    return receipts[index].cumulative_gas_used - (receipts[index - 1].cumulative_gas_used if index else 0)


def test_transfer_pays_receiver_coinbase_and_burns_the_base_fee() -> None:
    world = World()
    built = world.extend(transaction(value=ETHER))
    base_fee = built.block.header.base_fee_per_gas
    assert base_fee == GWEI
    assert world.balance(NOBODY) == ETHER
    assert world.balance(COINBASE) == 21_000 * 2 * GWEI
    assert world.balance(SENDERS[0]) == 9 * ETHER - 21_000 * 3 * GWEI
    assert world.nonce(SENDERS[0]) == 1
    assert built.result.senders == (SENDERS[0],)
    assert built.result.receipts[0].succeeded


def test_zero_tip_leaves_no_coinbase_account() -> None:
    world = World()
    world.extend(transaction(max_priority_fee_per_gas=0))
    assert world.view().account(COINBASE) is None


def test_failed_transaction_keeps_nonce_and_gas_but_no_changes() -> None:
    world = with_code(REVERT)
    built = world.extend(transaction(to=TARGET, gas_limit=50_000, value=5))
    assert not built.result.receipts[0].succeeded
    assert gas_used(built) == 21_000 + 4
    assert world.balance(TARGET) == 0
    assert world.nonce(SENDERS[0]) == 1


def test_exceptional_halt_takes_all_gas() -> None:
    world = with_code(BURN)
    built = world.extend(transaction(to=TARGET, gas_limit=50_000))
    assert gas_used(built) == 50_000


def test_logs_reach_receipt_and_bloom() -> None:
    world = with_code(LOG)
    built = world.extend(transaction(to=TARGET, gas_limit=50_000))
    log = built.result.receipts[0].logs[0]
    assert (log.address, log.topics, log.data) == (TARGET, ((1).to_bytes(32, "big"),), b"")
    assert built.block.header.logs_bloom == built.result.receipts[0].bloom != bytes(256)


def test_refund_is_at_most_a_fifth() -> None:
    world = with_code(CLEAR_SLOT_0, {0: 7})
    built = world.extend(transaction(to=TARGET, gas_limit=100_000))
    before = 21_000 + 2 * 2 + 2_100 + 2_900  # two PUSH0, cold slot, reset
    assert gas_used(built) == before - 4_800
    world = with_code(bytes.fromhex("5f5f555f60015500"), {0: 7, 1: 7})  # clears two
    built = world.extend(transaction(to=TARGET, gas_limit=100_000))
    before = 21_000 + 3 * 2 + 3 + 2 * 5_000
    assert gas_used(built) == before - before // 5


def test_floor_is_paid_whatever_was_refunded() -> None:
    data = b"\x01" * 1_000
    world = with_code(CLEAR_SLOT_0, {0: 7})
    built = world.extend(transaction(to=TARGET, gas_limit=100_000, data=data))
    assert gas_used(built) == 21_000 + 4_000 * 10
    assert world.balance(COINBASE) == gas_used(built) * 2 * GWEI


def test_creation() -> None:
    world = World()
    init = bytes.fromhex("6001600c60003960016000f300")  # returns the byte behind it: 00
    built = world.extend(transaction(to=None, data=init, gas_limit=100_000, value=3))
    address = create_address(SENDERS[0], 0)
    assert world.code(address) == b"\x00"
    assert world.balance(address) == 3
    assert world.nonce(address) == 1
    assert built.result.receipts[0].succeeded


def test_creation_on_taken_address_costs_everything() -> None:
    address = create_address(SENDERS[0], 0)
    world = World({address: GenesisAccount(nonce=1, balance=1)})
    built = world.extend(transaction(to=None, data=b"\x00", gas_limit=80_000))
    assert gas_used(built) == 80_000
    assert world.balance(address) == 1


def test_blob_gas_is_burnt_at_the_block_price() -> None:
    world = World()
    tx = transaction(
        type=BLOB, blob_versioned_hashes=(b"\x01" + bytes(31),) * 2, max_fee_per_blob_gas=5, max_priority_fee_per_gas=0
    )
    built = world.extend(tx)
    assert built.block.header.blob_gas_used == built.result.blob_gas_used == 2 * 2**17
    assert world.balance(SENDERS[0]) == 10 * ETHER - 1 - 21_000 * GWEI - 2 * 2**17


@pytest.mark.parametrize(("spec", "cost"), [(paris.SPEC, 2_600), (shanghai.SPEC, 100), (cancun.SPEC, 100)])
def test_coinbase_is_warm_from_shanghai_on(spec: object, cost: int) -> None:
    world = World({TARGET: GenesisAccount(nonce=1, code=bytes.fromhex("413100"))}, spec=spec)  # balance(coinbase)
    built = world.extend(transaction(to=TARGET, gas_limit=50_000, gas_price=2 * GWEI))
    assert gas_used(built) == 21_000 + 2 + cost


def test_access_list_warms_slots() -> None:
    world = with_code(bytes.fromhex("5f5400"))  # sload(0)
    built = world.extend(transaction(to=TARGET, gas_limit=50_000, access_list=((TARGET, (0,)),)))
    assert gas_used(built) == 21_000 + 2_400 + 1_900 + 2 + 100


# --- EIP-7702 ---


def designator(target: Address) -> bytes:
    return b"\xef\x01\x00" + target


def test_authorization_sets_code_and_the_call_runs_it() -> None:
    world = with_code(STORE_CALLER)
    world.extend(set_code(0, authorization(1, TARGET), to=SENDERS[1], value=0))
    assert world.code(SENDERS[1]) == designator(TARGET)
    assert world.nonce(SENDERS[1]) == 1
    assert world.view().slot(SENDERS[1], 0) == int.from_bytes(SENDERS[0], "big")


def test_authorizations_survive_a_failed_call() -> None:
    world = with_code(REVERT)
    built = world.extend(set_code(0, authorization(1, TARGET), to=TARGET, value=0))
    assert not built.result.receipts[0].succeeded
    assert world.code(SENDERS[1]) == designator(TARGET)


def test_existing_authority_is_refunded() -> None:
    world = World()
    built = world.extend(set_code(0, authorization(1, TARGET), value=0))
    assert gas_used(built) == 46_000 - 46_000 // 5  # 12,500 would be more than a fifth


def test_sender_authorizes_itself_with_its_next_nonce() -> None:
    world = with_code(STORE_CALLER)
    world.extend(set_code(0, authorization(0, TARGET, nonce=1), value=0))
    assert world.code(SENDERS[0]) == designator(TARGET)
    assert world.nonce(SENDERS[0]) == 2
    world.extend(transaction(nonce=2))  # it still sends (EIP-3607 with 7702)
    assert world.balance(NOBODY) == 1


def test_zero_address_clears_the_delegation() -> None:
    world = World()
    world.extend(set_code(0, authorization(1, TARGET), value=0))
    world.extend(set_code(0, authorization(1, Address(bytes(20)), nonce=1), nonce=1, value=0))
    assert world.code(SENDERS[1]) == b""
    assert world.nonce(SENDERS[1]) == 2


@pytest.mark.parametrize(
    "passed_over",
    [
        authorization(1, TARGET, chain_id=5),
        authorization(1, TARGET, nonce=1),
        authorization(1, TARGET, nonce=2**64 - 1),
    ],
)
def test_tuples_that_do_not_hold_are_passed_over(passed_over: object) -> None:
    world = World()
    world.extend(set_code(0, passed_over, authorization(2, TARGET, chain_id=0), value=0))
    assert world.code(SENDERS[1]) == b""
    assert world.nonce(SENDERS[1]) == 0
    assert world.code(SENDERS[2]) == designator(TARGET)


@pytest.mark.parametrize(("nonce", "cost"), [(0, 100), (7, 100), (2**64 - 1, 2_600)])
def test_authority_is_warm_once_it_is_known(nonce: int, cost: int) -> None:
    world = with_code(bytes.fromhex("73" + SENDERS[1].hex() + "3100"))  # balance(SENDERS[1])
    tx = set_code(0, authorization(1, NOBODY, nonce), to=TARGET, value=0)
    refund = 12_500 if nonce == 0 else 0
    before = 46_000 + 3 + cost
    assert gas_used(world.extend(tx)) == before - min(refund, before // 5)


def test_contracts_do_not_delegate() -> None:
    world = World({SENDERS[1]: GenesisAccount(balance=1, code=b"\x00")})
    world.extend(set_code(0, authorization(1, TARGET), value=0))
    assert world.code(SENDERS[1]) == b"\x00"


def test_delegation_to_a_precompile_runs_nothing() -> None:
    world = World()
    identity = Address(bytes(19) + b"\x04")
    world.extend(set_code(0, authorization(1, identity), value=0))
    built = world.extend(transaction(nonce=1, to=SENDERS[1], gas_limit=50_000))
    assert built.result.receipts[0].succeeded
    assert gas_used(built) == 21_000


def test_destroyed_coinbase_keeps_its_fee_only_if_it_lives() -> None:
    # A contract created and destroyed in one transaction, which is also the coinbase, burns the fee.
    address = create_address(SENDERS[0], 0)
    world = World()
    world.extend(transaction(to=None, data=bytes.fromhex("5fff"), gas_limit=200_000), coinbase=address)
    assert world.view().account(address) is None
