"""What this node makes of a case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from network.vectors.allocations import Alloc, alloc_after, read_alloc, reader
from network.vectors.networks import spec_named
from network.vectors.transaction_json import read_transaction
from node.crypto import secp256k1
from node.crypto.hashes import EMPTY_TRIE_ROOT
from node.evm.interpreter import Interpreter
from node.evm.machine import VirtualMachine
from node.evm.outcome import Success
from node.evm.spec import Spec
from node.execution.block import receipts_root, root_now
from node.execution.block_run import BlockRun
from node.primitives.scalars import ZERO_HASH, Address, Hash32
from node.state.genesis_state import state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.types.blocks import Header
from node.types.invalid import InvalidTransaction
from node.types.receipts import EMPTY_BLOOM, Log
from node.types.transactions import Transaction
from tests.differential.cases import CHAIN_ID, Answer, Case, earlier_hash, from_hex, since, to_hex


def signed(told: dict[str, Any], place: str = "tx") -> Transaction:
    """A case's transaction, signed; ``highS`` asks for the other of the two signatures."""
    tx = read_transaction(told, place, CHAIN_ID)
    if not told.get("highS"):
        return tx
    return replace(tx, s=secp256k1.ORDER - tx.s, y_parity=1 - tx.y_parity)


def spec_of(fork: str) -> Spec:
    """The fork's rules."""
    found = spec_named(fork)
    assert found is not None, fork
    return found


def accounts_json(alloc: Alloc) -> dict[str, Any]:
    """Accounts in an answer's form."""
    return {
        to_hex(address): [
            account.nonce,
            account.balance,
            to_hex(account.code),
            {to_hex(slot): to_hex(value) for slot, value in sorted(account.storage.items()) if value},
        ]
        for address, account in alloc.items()
    }


def log_json(address: bytes, topics: Any, data: bytes) -> list[Any]:
    """A log in an answer's form."""
    return [to_hex(address), [to_hex(topic) for topic in topics], to_hex(data)]


def header_of(case: Case) -> Header:
    """The block that a case's transactions are in."""
    fork, env = case["fork"], case["env"]
    cancun = since(fork, "Cancun")
    return Header(
        parent_hash=ZERO_HASH,
        coinbase=Address(from_hex(env["currentCoinbase"])),
        state_root=ZERO_HASH,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=EMPTY_BLOOM,
        difficulty=0 if since(fork, "Paris") else int(env["currentDifficulty"], 16),
        number=int(env["currentNumber"], 16),
        gas_limit=int(env["currentGasLimit"], 16),
        gas_used=0,
        timestamp=int(env["currentTimestamp"], 16),
        prev_randao=Hash32(from_hex(env["currentRandom"])),
        base_fee_per_gas=int(env["currentBaseFee"], 16) if since(fork, "London") else None,
        withdrawals_root=EMPTY_TRIE_ROOT if since(fork, "Shanghai") else None,
        blob_gas_used=0 if cancun else None,
        excess_blob_gas=int(env["currentExcessBlobGas"], 16) if cancun else None,
        parent_beacon_block_root=ZERO_HASH if cancun else None,
        requests_hash=ZERO_HASH if since(fork, "Prague") else None,
    )


def answer(case: Case, vm: VirtualMachine | None = None) -> Answer:
    """Run the transactions one after the other, as in a block without its beginning and end."""
    spec = spec_of(case["fork"])
    alloc = read_alloc(case["alloc"], "alloc")
    before = state_from_alloc(alloc)
    view = TrieView(before.root, reader(before.nodes), reader(before.codes))
    journal = JournaledState(view)
    run = BlockRun(
        header_of(case),
        journal,
        spec,
        vm or Interpreter(),
        CHAIN_ID,
        lambda number: Hash32(earlier_hash(number)),
        state_root=lambda: root_now(journal, view, reader(before.nodes)),
    )
    rejected: list[int] = []
    refusals: list[str] = []
    gas: list[int] = []
    logs: list[Log] = []
    outputs: list[list[Any]] = []
    for index, told in enumerate(case["txs"]):
        try:
            result = run.apply(signed(told))
        except InvalidTransaction as refusal:
            rejected.append(index)
            refusals.append(str(refusal))
            continue
        gas.append(result.gas_used)
        logs += result.logs
        outputs.append([isinstance(result.outcome, Success), to_hex(getattr(result.outcome, "output", b""))])
    run.settle()
    executed_receipts = tuple(run._receipts)
    diff = journal.diff()
    return {
        "rejected": rejected,
        "gas": gas,
        "logs": [log_json(log.address, log.topics, log.data) for log in logs],
        "blob_gas": run._blob_gas_used,
        "receipts_root": to_hex(receipts_root(executed_receipts)),
        "state_root": to_hex(root_now(journal, view, reader(before.nodes))),
        "accounts": accounts_json(alloc_after(alloc, diff)),
        "?refusals": refusals,
        "?outputs": outputs,
    }
