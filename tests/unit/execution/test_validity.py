"""Each rule refuses by its name, and geth's words say the numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node.crypto.secp256k1 import ORDER
from node.evm.spec import Spec
from node.execution.geth_words import geth_message
from node.execution.validity import check_static, check_transaction
from node.forks import cancun, osaka, paris, prague
from node.primitives.scalars import ETHER, GWEI, U64_MAX
from node.state.genesis_state import GenesisAccount
from node.state.journal import JournaledState
from node.types.invalid import InvalidTransaction, TransactionReason
from node.types.transactions import BLOB, Transaction
from tests.unit.execution.world import CHAIN_ID, NOBODY, SENDERS, World, authorization, set_code, transaction

BLOB_HASH = b"\x01" + b"\xab" * 31
WORLD = World()


def blob(count: int = 1, **fields: Any) -> Transaction:
    given: dict[str, Any] = {
        "type": BLOB,
        "blob_versioned_hashes": (BLOB_HASH,) * count,
        "max_fee_per_blob_gas": 10,
    }
    given.update(fields)
    return transaction(**given)


def check(tx: Transaction, spec: Spec = osaka.SPEC, world: World = WORLD, **fields: Any) -> Any:
    given: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "base_fee": GWEI,
        "blob_base_fee": 1,
        "gas_available": 30_000_000,
        "blob_gas_available": 9 * 2**17,
    }
    given.update(fields)
    return check_transaction(tx, accounts=JournaledState(world.view()), spec=spec, **given)


def test_a_valid_one_is_told_apart() -> None:
    checked = check(transaction())
    assert checked.sender == SENDERS[0]
    assert (checked.intrinsic_gas, checked.floor_gas, checked.blob_gas) == (21_000, 21_000, 0)
    assert checked.effective_gas_price == 3 * GWEI
    assert check(transaction(max_fee_per_gas=2 * GWEI)).effective_gas_price == 2 * GWEI
    assert check(blob(6)).blob_gas == 6 * 2**17


R = TransactionReason
CASES: list[tuple[str, Callable[[], Transaction], dict[str, Any], TransactionReason, str]] = [
    ("type 4 before Prague", lambda: set_code(0, authorization(1, NOBODY)), {"spec": cancun.SPEC}, R.TYPE_4_TX_PRE_FORK,
     "transaction type not supported"),
    ("type 3 before Cancun", blob, {"spec": paris.SPEC}, R.TYPE_3_TX_PRE_FORK, "transaction type not supported"),
    ("another chain", lambda: transaction(chain_id=5), {}, R.INVALID_CHAINID,
     "invalid sender: invalid chain id for signer: have 5 want 1337"),
    ("gas above the transaction cap", lambda: transaction(gas_limit=2**24 + 1), {}, R.GAS_LIMIT_EXCEEDS_MAXIMUM,
     "transaction gas limit too high (cap: 16777216, tx: 16777217)"),
    ("intrinsic gas", lambda: transaction(gas_limit=20_000), {}, R.INTRINSIC_GAS_TOO_LOW,
     "intrinsic gas too low: gas 20000, minimum needed 21000"),
    ("floor", lambda: transaction(gas_limit=21_020, data=b"\x01"), {}, R.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST,
     "insufficient gas for floor data gas cost: gas 21020, minimum needed 21040"),
    ("gas above the block's rest", lambda: transaction(gas_limit=30_001), {"gas_available": 30_000},
     R.GAS_ALLOWANCE_EXCEEDED, "exceeds block gas limit"),
    ("init code", lambda: transaction(to=None, data=b"\x00" * 49_153, gas_limit=2_000_000), {},
     R.INITCODE_SIZE_EXCEEDED, "max initcode size exceeded: code size 49153, limit 49152"),
    ("nonce at its end", lambda: transaction(nonce=U64_MAX), {}, R.NONCE_IS_MAX, "nonce has max value: address 0x"),
    ("tip above cap", lambda: transaction(max_fee_per_gas=GWEI), {}, R.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS,
     "max priority fee per gas higher than max fee per gas: address 0x"),
    ("cap below base fee", lambda: transaction(max_fee_per_gas=2 * GWEI), {"base_fee": 3 * GWEI},
     R.INSUFFICIENT_MAX_FEE_PER_GAS, "max fee per gas less than block base fee: address 0x"),
    ("nonce used", lambda: transaction(), {"nonce_is": 1}, R.NONCE_MISMATCH_TOO_LOW,
     "nonce too low: next nonce 1, tx nonce 0"),
    ("nonce ahead", lambda: transaction(nonce=3), {}, R.NONCE_MISMATCH_TOO_HIGH,
     "nonce too high: next nonce 0, tx nonce 3"),
    ("funds", lambda: transaction(value=10 * ETHER), {}, R.INSUFFICIENT_ACCOUNT_FUNDS,
     f"insufficient funds for gas * price + value: address 0x{SENDERS[0].hex()} "
     f"have {10 * ETHER} want {10 * ETHER + 21_000 * 100 * GWEI}"),
    ("blobs cost too", lambda: blob(max_fee_per_blob_gas=10 * ETHER), {}, R.INSUFFICIENT_ACCOUNT_FUNDS,
     "insufficient funds for gas * price + value"),
    ("no blobs", lambda: blob(0), {}, R.TYPE_3_TX_ZERO_BLOBS, "blob transaction missing blob hashes"),
    ("blobs of one transaction", lambda: blob(7), {}, R.TYPE_3_TX_BLOB_COUNT_EXCEEDED,
     "blob transaction has too many blobs: have 7, max 6"),
    ("blobs of the block", lambda: blob(2), {"blob_gas_available": 2**17},
     R.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED, "blob gas limit reached"),
    ("blob hash version", lambda: blob(blob_versioned_hashes=(BLOB_HASH, b"\x02" * 32)), {},
     R.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH, "blob 1 has invalid hash version"),
    ("blob fee", lambda: blob(), {"blob_base_fee": 11}, R.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS,
     "max fee per blob gas less than block blob gas fee: address 0x"),
    ("no authorizations", lambda: set_code(0), {}, R.TYPE_4_EMPTY_AUTHORIZATION_LIST,
     "EIP-7702 transaction with empty auth list (sender 0x"),
    ("set code without target", lambda: set_code(0, authorization(1, NOBODY), to=None), {},
     R.TYPE_4_TX_CONTRACT_CREATION, "EIP-7702 transaction cannot be used to create contract (sender 0x"),
    ("high s", lambda: replace(transaction(), s=ORDER - transaction().s), {},
     R.INVALID_SIGNATURE_VRS, "invalid sender: invalid transaction v, r, s values"),
    ("sender is a contract", lambda: transaction(), {"code": b"\x00"}, R.SENDER_NOT_EOA,
     f"sender not an eoa: address 0x{SENDERS[0].hex()}, len(code): 1"),
]  # fmt: skip


@pytest.mark.parametrize(("tx", "fields", "reason", "words"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_refusals(tx: Callable[[], Transaction], fields: dict[str, Any], reason: TransactionReason, words: str) -> None:
    fields = dict(fields)
    nonce, code = fields.pop("nonce_is", 0), fields.pop("code", b"")
    world = World({SENDERS[0]: GenesisAccount(balance=10 * ETHER, nonce=nonce, code=code)}) if nonce or code else WORLD
    with pytest.raises(InvalidTransaction) as refused:
        check(tx(), world=world, **fields)
    assert refused.value.reason is reason
    message = geth_message(refused.value)
    assert message.startswith(words)
    assert "?" not in message


def test_refusals_without_words_say_their_problem() -> None:
    refusal = InvalidTransaction(R.RLP_LEADING_ZEROS, problem="nonce: number with a leading zero")
    assert geth_message(refusal) == "rlp: nonce: number with a leading zero"


def test_delegated_accounts_may_send() -> None:
    world = World({SENDERS[0]: GenesisAccount(balance=ETHER, code=b"\xef\x01\x00" + NOBODY)})
    assert check(transaction(), world=world).sender == SENDERS[0]
    with pytest.raises(InvalidTransaction, match="SENDER_NOT_EOA"):
        check(transaction(), spec=cancun.SPEC, world=world)


def test_legacy_transaction_without_chain_id_fits_any_chain() -> None:
    assert check(transaction(gas_price=2 * GWEI, chain_id=None)).effective_gas_price == 2 * GWEI


def test_static_half_knows_neither_nonce_nor_balance_nor_base_fee() -> None:
    tx = transaction(nonce=77, value=10**40, max_fee_per_gas=0, max_priority_fee_per_gas=0)
    assert check_static(tx, prague.SPEC, CHAIN_ID, 30_000_000).sender == SENDERS[0]


def test_exact_funds_are_enough() -> None:
    cost = 21_000 * 100 * GWEI + 1
    assert check(transaction(), world=World({SENDERS[0]: GenesisAccount(balance=cost)})).sender == SENDERS[0]
    with pytest.raises(InvalidTransaction, match="INSUFFICIENT_ACCOUNT_FUNDS"):
        check(transaction(), world=World({SENDERS[0]: GenesisAccount(balance=cost - 1)}))
