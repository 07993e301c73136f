"""State tests: one transaction on an allocation; the root and the logs after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from node.crypto.hashes import keccak256
from node.evm.interpreter import Interpreter
from node.evm.message import BlockEnvironment
from node.evm.spec import GAS_PER_BLOB, Spec
from node.execution.fees import blob_base_fee
from node.execution.transaction import apply_transaction
from node.execution.validity import check_transaction
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.state.commit import CommitResult, commit
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.types.invalid import InvalidTransaction
from node.types.receipts import Log
from node.types.transactions import decode
from tests.vectors.verdicts import SPECS, Verdict, data, name_difference, number

CHAIN_ID = 1


def run_file(path: str, content: dict[str, Any], forks: frozenset[str] | None = None) -> Iterator[Verdict]:
    """Every case of a file under the forks that we have (or those given)."""
    for name, test in content.items():
        for fork, posts in test["post"].items():
            if fork not in SPECS or (forks is not None and fork not in forks):
                continue
            state = state_from_alloc(allocation(test["pre"]))
            for index, post in enumerate(posts):
                yield run_case(f"{path}::{name}[{fork}-{index}]", fork, test["env"], post, state)


def allocation(pre: dict[str, Any]) -> dict[Address, GenesisAccount]:
    """``pre`` as a genesis allocation."""
    return {
        Address(data(address)): GenesisAccount(
            balance=number(account["balance"]),
            nonce=number(account["nonce"]),
            code=data(account["code"]),
            storage={number(slot): number(value) for slot, value in account["storage"].items()},
        )
        for address, account in pre.items()
    }


def environment(env: dict[str, Any], spec: Spec) -> BlockEnvironment:
    """``env`` as a block environment; earlier hashes as geth's runner answers them."""
    blob_fee = 0
    if spec.blobs is not None:
        blob_fee = blob_base_fee(number(env.get("currentExcessBlobGas", "0x0")), spec.blobs)
    return BlockEnvironment(
        chain_id=CHAIN_ID,
        number=number(env["currentNumber"]),
        timestamp=number(env["currentTimestamp"]),
        coinbase=Address(data(env["currentCoinbase"])),
        gas_limit=number(env["currentGasLimit"]),
        prev_randao=Hash32(number(env["currentRandom"]).to_bytes(32, "big")),
        base_fee_per_gas=number(env["currentBaseFee"]),
        blob_base_fee=blob_fee,
        block_hash=lambda asked: keccak256(str(asked).encode()),
    )


def run_case(case: str, fork: str, env: dict[str, Any], post: dict[str, Any], state: CommitResult) -> Verdict:
    """One transaction; ``state`` is the state before it."""
    spec = SPECS[fork]
    journal = JournaledState(TrieView(state.root, state.nodes.get, state.codes.get))
    block = environment(env, spec)
    expected = post.get("expectException")
    logs: tuple[Log, ...] = ()
    refused: InvalidTransaction | None = None
    try:
        tx = decode(data(post["txbytes"]))
        if replace(tx, _raw=[]).encode() != data(post["txbytes"]):
            return Verdict(case, fork, "another encoding of the transaction")
        checked = check_transaction(
            tx,
            accounts=journal,
            spec=spec,
            chain_id=CHAIN_ID,
            base_fee=block.base_fee_per_gas,
            blob_base_fee=block.blob_base_fee,
            gas_available=block.gas_limit,
            blob_gas_available=0 if spec.blobs is None else spec.blobs.max * GAS_PER_BLOB,
        )
        logs = apply_transaction(checked, journal, block, spec, Interpreter()).logs
    except InvalidTransaction as refusal:
        refused = refusal
    if expected is not None and refused is None:
        return Verdict(case, fork, f"accepted, expected {expected}")
    if expected is None and refused is not None:
        return Verdict(case, fork, f"refused: {refused}")
    if logs_hash(logs) != data(post["logs"]):
        return Verdict(case, fork, f"other logs: {len(logs)}")
    root = commit(state.root, journal.diff(), state.nodes.get).root
    if root != data(post["hash"]):
        return Verdict(case, fork, f"other state root: {difference(journal, post)}")
    differs = "" if refused is None else name_difference(expected or "", refused)
    return Verdict(case, fork, name_differs=differs)


def logs_hash(logs: tuple[Log, ...]) -> bytes:
    """keccak256 of the RLP of the logs."""
    return keccak256(rlp.encode([log.to_rlp() for log in logs]))


def difference(journal: JournaledState, post: dict[str, Any]) -> str:
    """The first few accounts that are not as the fixture has them, where it says."""
    found: list[str] = []
    for address_text, account in post.get("state", {}).items():
        address = Address(data(address_text))
        told = (number(account["balance"]), number(account["nonce"]))
        ours = (journal.balance(address), journal.nonce(address))
        if told != ours:
            found.append(f"{address_text} balance/nonce {ours}, expected {told}")
        if journal.code(address) != data(account["code"]):
            found.append(f"{address_text} other code")
        for slot, value in account["storage"].items():
            if journal.storage(address, number(slot)) != number(value):
                found.append(f"{address_text}[{slot}] {journal.storage(address, number(slot)):#x}, expected {value}")
    return "; ".join(found[:4])
