"""What the Python execution specification (package ``ethereum-execution``) makes of a case."""

from __future__ import annotations

import importlib
import re
from typing import Any

from tests.differential.cases import CHAIN_ID, Answer, Case, earlier_hash, from_hex, since, to_hex
from tests.differential.node_answers import log_json, signed

_PACKAGES = {"Petersburg": "constantinople"}
"""That package is without EIP-1283, which is Petersburg."""


def available() -> str:
    """Empty where the package can be asked, else why not."""
    try:
        importlib.import_module("ethereum.forks.osaka.fork")
    except ImportError as error:
        return f"{error}; pip install 'evmesh[oracles]'"
    return ""


def room(fork: str, name: str) -> Any:
    """A module of the fork's package."""
    package = _PACKAGES.get(fork) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", fork).lower()
    return importlib.import_module(f"ethereum.forks.{package}.{name}")


def read_state(fork: str, alloc: dict[str, Any]) -> Any:
    """An allocation as the specification's state."""
    from ethereum_types.bytes import Bytes, Bytes32
    from ethereum_types.numeric import U256, Uint

    state_room, types = room(fork, "state"), room(fork, "fork_types")
    state = state_room.State()
    for key, told in alloc.items():
        address = types.Address(from_hex(key))
        account = types.Account(
            Uint(int(told["nonce"], 16)), U256(int(told["balance"], 16)), Bytes(from_hex(told["code"]))
        )
        state_room.set_account(state, address, account)
        for slot, value in told["storage"].items():
            state_room.set_storage(state, address, Bytes32(from_hex(slot)), U256(int(value, 16)))
    return state


def accounts_of(state: Any) -> dict[str, Any]:
    """The specification's state in an answer's form."""
    found = {}
    for address, account in state._main_trie._data.items():
        if account is None:
            continue
        trie = state._storage_tries.get(address)
        slots = {} if trie is None else trie._data
        found[to_hex(address)] = [
            int(account.nonce),
            int(account.balance),
            to_hex(account.code),
            {to_hex(int.from_bytes(slot, "big")): to_hex(int(value)) for slot, value in sorted(slots.items()) if value},
        ]
    return found


class Snapshot:
    """A state as it was; a refused transaction or block may leave it half changed."""

    def __init__(self, fork: str, state: Any) -> None:
        copy = room(fork, "trie").copy_trie
        self._state = state
        self._main = copy(state._main_trie)
        self._storage = {address: copy(trie) for address, trie in state._storage_tries.items()}

    def restore(self) -> None:
        """Back to it."""
        self._state._main_trie = self._main
        self._state._storage_tries = self._storage
        self._state._snapshots = []
        if hasattr(self._state, "created_accounts"):
            self._state.created_accounts = set()


def block_environment(case: Case, state: Any) -> Any:
    """The environment of the case under its fork."""
    from ethereum_types.bytes import Bytes32
    from ethereum_types.numeric import U64, U256, Uint

    fork, env = case["fork"], case["env"]
    number = int(env["currentNumber"], 16)
    given = {
        "chain_id": U64(CHAIN_ID),
        "state": state,
        "block_gas_limit": Uint(int(env["currentGasLimit"], 16)),
        "block_hashes": [Bytes32(earlier_hash(one)) for one in range(max(0, number - 256), number)],
        "coinbase": room(fork, "fork_types").Address(from_hex(env["currentCoinbase"])),
        "number": Uint(number),
        "time": U256(int(env["currentTimestamp"], 16)),
        "difficulty": Uint(int(env["currentDifficulty"], 16)),
        "prev_randao": Bytes32(from_hex(env["currentRandom"])),
        "base_fee_per_gas": Uint(int(env.get("currentBaseFee", "0x0"), 16)),
        "excess_blob_gas": U64(int(env.get("currentExcessBlobGas", "0x0"), 16)),
        "parent_beacon_block_root": Bytes32(bytes(32)),
    }
    kind = room(fork, "vm").BlockEnvironment
    return kind(**{name: value for name, value in given.items() if name in kind.__dataclass_fields__})


def decoded(fork: str, raw: bytes) -> Any:
    """A transaction of the specification's. Raises what its decoder raises."""
    from ethereum_rlp import rlp
    from ethereum_types.bytes import Bytes

    transactions = room(fork, "transactions")
    if raw[0] < 0x80:
        return transactions.decode_transaction(Bytes(raw))
    return rlp.decode_to(getattr(transactions, "LegacyTransaction", None) or transactions.Transaction, raw)


def answer(case: Case) -> Answer:
    """Run the transactions one after the other, as in a block without its beginning and end."""
    from ethereum.exceptions import EthereumException
    from ethereum_rlp.exceptions import RLPException
    from ethereum_types.numeric import Uint

    fork = case["fork"]
    state = read_state(fork, case["alloc"])
    environment = block_environment(case, state)
    output = room(fork, "vm").BlockOutput()
    process = room(fork, "fork").process_transaction
    rejected: list[int] = []
    refusals: list[str] = []
    gas: list[int] = []
    for index, told in enumerate(case["txs"]):
        snapshot = Snapshot(fork, state)
        before = int(output.block_gas_used)
        try:
            tx = signed(told)
            if tx.type and not since(fork, "Berlin"):
                raise EthereumException("there are no types yet")
            process(environment, output, decoded(fork, tx.encode()), Uint(index - len(rejected)))
        except (EthereumException, RLPException) as refusal:
            snapshot.restore()
            rejected.append(index)
            refusals.append(repr(refusal))
            continue
        gas.append(int(output.block_gas_used) - before)
    return {
        "rejected": rejected,
        "gas": gas,
        "logs": [log_json(log.address, log.topics, log.data) for log in output.block_logs],
        "blob_gas": int(getattr(output, "blob_gas_used", 0)),
        "receipts_root": to_hex(room(fork, "trie").root(output.receipts_trie)),
        "state_root": to_hex(room(fork, "state").state_root(state)),
        "accounts": accounts_of(state),
        "?refusals": refusals,
    }
