from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.evm.frame import Frame
from node.evm.interpreter import Interpreter
from node.evm.machine import FrameResult, MessageMachine, Tracer
from node.evm.message import Message
from node.evm.outcome import Revert, Success
from node.execution.calls import (
    CallRequest,
    ExecutionHalted,
    ExecutionReverted,
    GasRequiredExceedsAllowance,
    call,
    create_access_list,
    estimate_gas,
)
from node.primitives.scalars import ETHER, GWEI, Address
from node.state.genesis_state import GenesisAccount
from node.types.invalid import InvalidTransaction, TransactionReason
from tests.unit.execution.world import CHAIN_ID, COINBASE, NOBODY, SENDERS, World, contract, transaction

GAS_CAP = 50_000_000
ANSWER, REVERTER, STORER, HUNGRY, PROXY, BASE_FEE, LOOP, CLEARER = (contract(number) for number in range(1, 9))
WORLD = World(
    {
        ANSWER: GenesisAccount(nonce=1, code=bytes.fromhex("602a5f5260205ff3")),  # returns 42
        REVERTER: GenesisAccount(nonce=1, code=bytes.fromhex("602a5f5260205ffd")),  # reverts with 42
        STORER: GenesisAccount(nonce=1, code=bytes.fromhex("60015f5500")),  # sstore(0, 1)
        HUNGRY: GenesisAccount(nonce=1, code=bytes.fromhex("fe")),
        # call(gas, STORER, 0, 0, 0, 0, 0) and require success
        PROXY: GenesisAccount(
            nonce=1, code=bytes.fromhex("5f5f5f5f5f73" + STORER.hex() + "5af1602557" + "5f5ffd" + "00" * 3 + "5b00")
        ),
        BASE_FEE: GenesisAccount(nonce=1, code=bytes.fromhex("485f5260205ff3")),
        LOOP: GenesisAccount(nonce=1, code=bytes.fromhex("5b5f56")),
        CLEARER: GenesisAccount(nonce=1, code=bytes.fromhex("5f5f5500"), storage={0: 1}),
    }
)


def asked(
    function: Any,
    request: CallRequest,
    world: World = WORLD,
    gas_cap: int = GAS_CAP,
    vm: Any = Interpreter(),  # noqa: B008 - it holds no state
    **more: Any,
) -> Any:
    return function(
        request,
        world.view(),
        world.head,
        world.spec,
        vm,
        CHAIN_ID,
        world.hashes.__getitem__,
        gas_cap,
        **more,
    )


def test_call_answers_without_money() -> None:
    result = asked(call, CallRequest(sender=Address(b"\x42" * 20), to=ANSWER))
    assert isinstance(result.outcome, Success)
    assert int.from_bytes(result.outcome.output, "big") == 42
    assert result.gas_used == 21_000 + 3 * 2 + 2 * 2 + 3 + 3  # pushes, MSTORE, one word of memory


def test_call_reverts_with_its_data() -> None:
    outcome = asked(call, CallRequest(to=REVERTER)).outcome
    assert isinstance(outcome, Revert)
    assert outcome.output == (42).to_bytes(32, "big")


def test_base_fee_is_zero_for_code_unless_a_fee_is_named() -> None:
    free = asked(call, CallRequest(sender=SENDERS[0], to=BASE_FEE)).outcome.output
    paid = asked(call, CallRequest(sender=SENDERS[0], to=BASE_FEE, gas=50_000, max_fee_per_gas=2 * GWEI)).outcome.output
    assert int.from_bytes(free, "big") == 0
    assert int.from_bytes(paid, "big") == WORLD.head.base_fee_per_gas


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"value": 11 * ETHER}, TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS),
        ({"max_fee_per_gas": 1, "gas": 21_000}, TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS),
        (
            {"max_fee_per_gas": 2 * GWEI, "max_priority_fee_per_gas": 3 * GWEI},
            TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS,
        ),
        ({"gas": 20_999}, TransactionReason.INTRINSIC_GAS_TOO_LOW),
        ({"gas": 21_020, "data": b"\x01"}, TransactionReason.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST),
        ({"gas_price": GWEI}, TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS),  # cap * price is more than it owns
    ],
)
def test_calls_that_cannot_start(fields: dict[str, Any], reason: TransactionReason) -> None:
    with pytest.raises(InvalidTransaction) as refused:
        asked(call, CallRequest(sender=SENDERS[0], to=NOBODY, **fields), gas_cap=20 * 10**9)
    assert refused.value.reason is reason


def test_nothing_stays() -> None:
    root = WORLD.view().root
    asked(call, CallRequest(sender=SENDERS[0], to=STORER))
    assert WORLD.view().root == root
    assert WORLD.view().slot(STORER, 0) == 0


def test_gas_cap_and_request_bound_the_run() -> None:
    assert asked(call, CallRequest(to=LOOP), gas_cap=60_000).gas_used == 60_000
    assert asked(call, CallRequest(to=LOOP, gas=90_000), gas_cap=60_000).gas_used == 60_000
    assert asked(call, CallRequest(to=LOOP, gas=50_000), gas_cap=60_000).gas_used == 50_000


# --- estimates ---


def test_plain_transfer_costs_exactly_21000() -> None:
    assert asked(estimate_gas, CallRequest(sender=SENDERS[0], to=NOBODY, value=1)) == 21_000


@pytest.mark.parametrize("target", [ANSWER, STORER, PROXY, CLEARER])
def test_estimate_is_enough_and_hardly_more(target: Address) -> None:
    request = CallRequest(sender=SENDERS[0], to=target)
    estimate = asked(estimate_gas, request)
    assert isinstance(asked(call, replace(request, gas=estimate)).outcome, Success)
    exact = asked(estimate_gas, request, error_per_mille=0)
    assert exact <= estimate <= exact * 1_015 // 1_000 + 1
    assert not isinstance(asked(call, replace(request, gas=exact - 1)).outcome, Success)


def test_estimate_stands_in_a_block() -> None:
    world = World({STORER: GenesisAccount(nonce=1, code=bytes.fromhex("60015f5500"))})
    estimate = asked(estimate_gas, CallRequest(sender=SENDERS[0], to=STORER), world, error_per_mille=0)
    assert estimate == 21_000 + 5 + 22_100
    built = world.extend(transaction(to=STORER, gas_limit=estimate, value=0))
    assert built.result.receipts[0].succeeded


def test_estimate_of_creation_and_data() -> None:
    init = bytes.fromhex("6001600c60003960016000f300")
    request = CallRequest(sender=SENDERS[0], data=init)
    estimate = asked(estimate_gas, request, error_per_mille=0)
    assert isinstance(asked(call, replace(request, gas=estimate)).outcome, Success)
    floor = asked(estimate_gas, CallRequest(sender=SENDERS[0], to=NOBODY, data=b"\x01" * 100), error_per_mille=0)
    assert floor == 21_000 + 4_000


def test_estimate_failures() -> None:
    with pytest.raises(ExecutionReverted) as reverted:
        asked(estimate_gas, CallRequest(to=REVERTER))
    assert reverted.value.data == (42).to_bytes(32, "big")
    with pytest.raises(ExecutionHalted, match="invalid opcode"):
        asked(estimate_gas, CallRequest(to=HUNGRY))
    with pytest.raises(GasRequiredExceedsAllowance, match=r"^gas required exceeds allowance \(100000\)$"):
        asked(estimate_gas, CallRequest(to=LOOP, gas=100_000))
    with pytest.raises(GasRequiredExceedsAllowance, match=r"\(22000\)"):
        asked(estimate_gas, CallRequest(to=NOBODY, data=b"\x01" * 1_000), gas_cap=22_000)


def test_balance_bounds_the_estimate() -> None:
    # 10 ether buy 100,000 gas at this price.
    request = CallRequest(sender=SENDERS[0], to=LOOP, gas_price=ETHER // 10_000)
    with pytest.raises(GasRequiredExceedsAllowance, match=r"\(100000\)"):
        asked(estimate_gas, request)
    with pytest.raises(InvalidTransaction, match="INSUFFICIENT_ACCOUNT_FUNDS"):
        asked(estimate_gas, replace(request, value=10 * ETHER))


def test_transaction_gas_cap_bounds_the_estimate() -> None:
    with pytest.raises(GasRequiredExceedsAllowance, match=r"\(16777216\)"):
        asked(estimate_gas, CallRequest(to=LOOP))


# --- access lists ---


def test_access_list_names_what_is_touched() -> None:
    found = asked(create_access_list, CallRequest(sender=SENDERS[0], to=PROXY))
    assert found.access_list == ((STORER, (0,)),)
    plain = asked(call, CallRequest(sender=SENDERS[0], to=PROXY))
    assert found.gas_used == plain.gas_used - 2_500 - 2_100 + 2_400 + 1_900
    listed = asked(call, CallRequest(sender=SENDERS[0], to=PROXY, access_list=found.access_list))
    assert listed.gas_used == found.gas_used


class WholeMessages(MessageMachine):
    """Says nothing of the accesses inside, as a compiled machine does."""

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        return Interpreter().run_frame(frame, tracer)

    def run_message(self, message: Message, *around: Any) -> Success:
        return Success(message.gas, b"")


def test_access_list_sees_every_access_whatever_the_machine() -> None:
    asked_for = CallRequest(sender=SENDERS[0], to=PROXY)
    assert asked(create_access_list, asked_for, vm=WholeMessages()) == asked(create_access_list, asked_for)


def test_access_list_keeps_what_was_given_and_leaves_out_what_is_warm() -> None:
    given = ((NOBODY, (5,)),)
    found = asked(create_access_list, CallRequest(sender=SENDERS[0], to=STORER, access_list=given))
    assert found.access_list == (*given, (STORER, (0,)))
    world = World({ANSWER: GenesisAccount(nonce=1, code=bytes.fromhex("413133313031" + "6004315000"))})
    assert asked(create_access_list, CallRequest(sender=SENDERS[0], to=ANSWER), world).access_list == ()
    assert world.head.coinbase == COINBASE


def test_access_list_of_a_reverting_call() -> None:
    code = bytes.fromhex("5f545f5ffd")  # sload(0), revert
    world = World({REVERTER: GenesisAccount(nonce=1, code=code)})
    found = asked(create_access_list, CallRequest(sender=SENDERS[0], to=REVERTER), world)
    assert found.access_list == ((REVERTER, (0,)),)
    assert isinstance(found.outcome, Revert)
