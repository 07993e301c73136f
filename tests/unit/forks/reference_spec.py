"""The Python execution specification (package ``ethereum-execution``) as an oracle for single messages.

Only where it is installed; what it answered is pinned in ``tests/vectors/own/old_forks.json.xz``.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

from tests.unit.forks.programs import ACCOUNTS, COINBASE, GAS_PRICE, NUMBER, SENDER, TIME, Case

PACKAGES = {
    "Frontier": "frontier",
    "Homestead": "homestead",
    "Tangerine Whistle": "tangerine_whistle",
    "Spurious Dragon": "spurious_dragon",
    "Byzantium": "byzantium",
    "Petersburg": "constantinople",  # that package is without EIP-1283
    "Istanbul": "istanbul",
    "Berlin": "berlin",
    "London": "london",
}


def answer(case: Case) -> dict[str, Any]:
    """What the specification makes of ``case``, in the form of ``programs.run``."""
    package = "ethereum.forks." + str(PACKAGES[case.fork])
    state_room, types, vm, interpreter, message_room = (
        importlib.import_module(f"{package}.{name}")
        for name in ("state", "fork_types", "vm", "vm.interpreter", "utils.message")
    )
    from ethereum_types.bytes import Bytes, Bytes0, Bytes32
    from ethereum_types.numeric import U64, U256, Uint

    state = state_room.State()
    for address, (nonce, balance, code, storage) in {**ACCOUNTS, **case.accounts}.items():
        account = types.Address(address)
        state_room.set_account(state, account, types.Account(Uint(nonce), U256(balance), Bytes(code)))
        for slot, value in storage.items():
            state_room.set_storage(state, account, Bytes32(slot.to_bytes(32, "big")), U256(value))
    block = {
        "chain_id": U64(1),
        "state": state,
        "block_gas_limit": Uint(30_000_000),
        "block_hashes": [Bytes32(bytes(31) + bytes((n,))) for n in range(256)],
        "coinbase": types.Address(COINBASE),
        "number": Uint(NUMBER),
        "time": U256(TIME),
        "difficulty": Uint(0x20000),
        "base_fee_per_gas": Uint(7),
        "prev_randao": Bytes32(b"\x07" * 32),
    }
    transaction = {
        "origin": types.Address(SENDER),
        "gas_price": Uint(GAS_PRICE),
        "gas": Uint(case.gas),
        "access_list_addresses": set(),
        "access_list_storage_keys": set(),
        "index_in_block": Uint(0),
        "tx_hash": None,
    }
    block_env, tx_env = (
        kind(**{name: value for name, value in given.items() if name in kind.__dataclass_fields__})
        for kind, given in ((vm.BlockEnvironment, block), (vm.TransactionEnvironment, transaction))
    )
    state_room.increment_nonce(state, types.Address(SENDER))
    tx = SimpleNamespace(
        to=Bytes0() if case.to is None else types.Address(case.to), data=Bytes(case.data), value=U256(case.value)
    )
    found = interpreter.process_message_call(message_room.prepare_message(block_env, tx_env, tx))
    for address in found.accounts_to_delete:
        state_room.destroy_account(state, address)
    if hasattr(found, "touched_accounts"):
        for address in found.touched_accounts:
            if state_room.account_exists_and_is_empty(state, address):
                state_room.destroy_account(state, address)
    return {
        "gas_left": int(found.gas_left),
        "refund": int(found.refund_counter),
        "succeeded": found.error is None,
        "logs": [
            [bytes(log.address).hex(), [bytes(topic).hex() for topic in log.topics], bytes(log.data).hex()]
            for log in found.logs
        ],
        "state": _dump(state_room, state),
    }


def _dump(state_room: Any, state: Any) -> dict[str, Any]:
    found = {}
    for address in state._main_trie._data:
        account = state_room.get_account(state, address)
        code = account.code if hasattr(account, "code") else state_room.get_code(state, account.code_hash)
        trie = state._storage_tries.get(address)
        slots = {} if trie is None else {int.from_bytes(k, "big"): int(v) for k, v in trie._data.items() if int(v)}
        found[bytes(address).hex()] = [
            int(account.nonce),
            int(account.balance),
            bytes(code).hex(),
            {f"{slot:#x}": f"{slots[slot]:#x}" for slot in sorted(slots)},
        ]
    return dict(sorted(found.items()))
