"""The benchmark's adapter does the real work: same gas, output and roots as the rooms it drives."""

import pytest

from node.crypto.secp256k1 import address_of_private_key
from node.evm.native.hot.workers import process
from node.evm.opcodes import Opcode
from node.primitives.scalars import ETHER, GWEI, Address
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.types.transactions import FEE_MARKET, Transaction
from tests.benchmarks import engine_hot
from tests.benchmarks.evmesh_engine import Adapter
from tests.unit.evm.native.hot import loop
from tests.unit.evm.program import program, push

KEY = b"\x11" * 32
SENDER = address_of_private_key(KEY)
ADDER = Address(b"\xad" * 20)
BLOCK = {
    "chain_id": 1,
    "number": 1,
    "timestamp": 1,
    "coinbase": b"\xc0" * 20,
    "gas_limit": 30_000_000,
    "base_fee": GWEI,
}
# adds 2 and 3, returns the word: PUSH1 3 PUSH1 2 ADD PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
ALLOC = {
    SENDER: {"balance": ETHER, "nonce": 0, "code": b"", "storage": {}},
    ADDER: {"balance": 0, "nonce": 1, "code": bytes.fromhex("60036002015f5260205ff3"), "storage": {}},
}


def _transfer(nonce: int) -> bytes:
    return (
        Transaction(
            type=FEE_MARKET,
            chain_id=1,
            nonce=nonce,
            gas_limit=21_000,
            to=Address(b"\x99" * 20),
            value=7,
            data=b"",
            max_fee_per_gas=GWEI,
            max_priority_fee_per_gas=0,
        )
        .signed_by(KEY)
        .encode()
    )


def test_a_call_leaves_the_state_as_it_was() -> None:
    adapter = Adapter(BLOCK)
    adapter.load(ALLOC)
    # three pushes of a byte, ADD, two PUSH0, MSTORE with one word of memory
    assert [adapter.call(SENDER, ADDER, b"", 1_000) for _ in range(2)] == [(22, (5).to_bytes(32, "big"))] * 2


def test_transactions_go_on_from_one_another() -> None:
    adapter = Adapter(BLOCK)
    adapter.load(ALLOC)
    assert adapter.apply([_transfer(0)])[0] == 21_000
    gas_used, root = adapter.apply([_transfer(1), _transfer(2)])
    assert gas_used == 42_000
    after = {
        SENDER: GenesisAccount(balance=ETHER - 3 * (21_000 * GWEI + 7), nonce=3, code=b"", storage={}),
        ADDER: GenesisAccount(balance=0, nonce=1, code=ALLOC[ADDER]["code"], storage={}),
        Address(b"\x99" * 20): GenesisAccount(balance=21, nonce=0, code=b"", storage={}),
    }
    assert root == state_from_alloc(after).root


def test_hot_code_is_waited_for_outside_of_what_is_measured() -> None:
    if process() is None:
        pytest.skip("no hot code here")
    code = loop(3_000, program(Opcode.DUP1, push(0), Opcode.MLOAD, Opcode.ADD, push(0), Opcode.MSTORE))
    hot, cold = engine_hot.Adapter(BLOCK), Adapter(BLOCK)
    for adapter in (hot, cold):
        adapter.load({**ALLOC, ADDER: {"balance": 0, "nonce": 1, "code": code, "storage": {}}})
    expected = cold.call(SENDER, ADDER, b"", 10**7)
    assert [hot.call(SENDER, ADDER, b"", 10**7) for _ in range(3)] == [expected] * 3
    assert hot._foreman.installed == 1
    assert hot.elapsed is not None
    hot.close()
