"""State tests: one transaction on an allocation; the root and the logs after it, or a refusal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from network.vectors.allocations import Alloc, alloc_after, alloc_json, differences, read_alloc, reader
from network.vectors.fields import (
    FieldError,
    address,
    data,
    excess_blob_gas,
    mapping,
    member,
    number,
    sequence,
    text,
    word,
)
from network.vectors.networks import spec_named
from network.vectors.transaction_json import state_test_transaction
from network.vectors.verdicts import Verdict, exception_name, name_difference
from node.crypto.hashes import keccak256
from node.evm.interpreter import Interpreter
from node.evm.machine import Tracer, VirtualMachine
from node.evm.message import BlockEnvironment
from node.evm.spec import GAS_PER_BLOB, Spec
from node.execution.fees import blob_base_fee
from node.execution.transaction import apply_transaction
from node.execution.validity import check_transaction
from node.primitives import rlp
from node.state.commit import CommitResult, commit
from node.state.genesis_state import state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from node.types.invalid import InvalidTransaction
from node.types.receipts import Log
from node.types.transactions import Transaction, decode

CHAIN_ID: Final = 1


@dataclass(frozen=True, slots=True)
class StateCase:
    """One transaction under one fork, ready to run."""

    file: str
    name: str
    fork: str
    index: int
    spec: Spec
    block: BlockEnvironment
    post: Mapping[str, Any]
    transaction: Mapping[str, Any]
    alloc: Alloc
    state: CommitResult

    @property
    def id(self) -> str:
        """``file::name[fork-index]``."""
        return f"{self.file}::{self.name}[{self.fork}-{self.index}]"


def cases_of(file: str, name: str, test: object, skipped: dict[str, int]) -> Iterator[StateCase]:
    """Every case of one test. Those under forks not known here are counted in ``skipped``. Raises FieldError."""
    held = mapping(test, "")
    if "post" not in held:
        what = "a blockchain test" if "blocks" in held else "no state test"
        raise FieldError("post", f"missing; this is {what}")
    alloc = read_alloc(member(held, "pre", ""), "pre")
    env = mapping(member(held, "env", ""), "env")
    transaction = mapping(member(held, "transaction", ""), "transaction")
    chain_id = number(mapping(held.get("config") or {}, "config").get("chainid", CHAIN_ID), "config.chainid", 64)
    state = state_from_alloc(alloc)
    for fork, posts in mapping(held["post"], "post").items():
        entries = sequence(posts, f"post.{fork}")
        spec = spec_named(fork)
        if spec is None:
            skipped[fork] = skipped.get(fork, 0) + len(entries)
            continue
        block = environment(env, spec, chain_id)
        for index, post in enumerate(entries):
            told = mapping(post, f"post.{fork}[{index}]")
            yield StateCase(file, name, fork, index, spec, block, told, transaction, alloc, state)


def environment(env: Mapping[str, Any], spec: Spec, chain_id: int) -> BlockEnvironment:
    """``env`` as a block environment; earlier hashes as geth's runner answers them: keccak256 of the number's text."""
    blob_fee = 0
    if spec.blobs is not None:
        told = env.get("currentExcessBlobGas") or 0
        excess = excess_blob_gas(told, "env.currentExcessBlobGas", spec.blobs.base_fee_update_fraction)
        blob_fee = blob_base_fee(excess, spec.blobs)
    return BlockEnvironment(
        chain_id=chain_id,
        number=number(member(env, "currentNumber", "env"), "env.currentNumber", 64),
        timestamp=number(member(env, "currentTimestamp", "env"), "env.currentTimestamp", 64),
        coinbase=address(member(env, "currentCoinbase", "env"), "env.currentCoinbase"),
        gas_limit=number(member(env, "currentGasLimit", "env"), "env.currentGasLimit", 64),
        prev_randao=word(env.get("currentRandom") or 0, "env.currentRandom"),
        # absent in the vectors of forks that have none
        base_fee_per_gas=number(env.get("currentBaseFee") or 0, "env.currentBaseFee") if spec.header_items > 15 else 0,
        blob_base_fee=blob_fee,
        block_hash=lambda asked: keccak256(str(asked).encode()),
        difficulty=number(env.get("currentDifficulty") or 0, "env.currentDifficulty"),
    )


def run_case(
    case: StateCase, tracer: Tracer | None = None, dump: bool = False, vm: VirtualMachine | None = None
) -> Verdict:
    """Run and judge one case. Raises FieldError where the case itself is malformed."""
    began = time.perf_counter()
    expected = _expected_exception(case.post)
    wanted_logs = data(member(case.post, "logs", "post"), "post.logs", 32)
    wanted_root = data(member(case.post, "hash", "post"), "post.hash", 32)
    verdict = Verdict(case.file, case.name, case.fork, index=case.index, expected_exception=expected)
    journal = JournaledState(TrieView(case.state.root, reader(case.state.nodes), reader(case.state.codes)))
    problem = ""
    logs: tuple[Log, ...] = ()
    try:
        tx = _transaction(case)
        if "txbytes" in case.post and replace(tx).encode() != tx.encode():
            problem = "another encoding of the transaction"
        logs = _execute(case, tx, journal, vm or Interpreter(), tracer)
    except InvalidTransaction as refusal:
        ours = exception_name(refusal)
        verdict = replace(verdict, got_exception=ours, name_differs=name_difference(expected, ours))
        if not expected:
            problem = f"transaction refused: {refusal}"
    else:
        if expected:
            problem = f"transaction accepted, expected {expected}"
    diff = journal.diff()
    root = commit(case.state.root, diff, reader(case.state.nodes)).root
    if not problem:
        problem = _difference(case, root, wanted_root, logs, wanted_logs, journal)
    return replace(
        verdict,
        problem=problem,
        state_root=root,
        seconds=time.perf_counter() - began,
        state=alloc_json(alloc_after(case.alloc, diff)) if dump else None,
    )


def _expected_exception(post: Mapping[str, Any]) -> str:
    found = post.get("expectException")
    return "" if not found else text(found, "post.expectException")


def _transaction(case: StateCase) -> Transaction:
    if "txbytes" in case.post:
        return decode(data(case.post["txbytes"], "post.txbytes"))
    indexes = mapping(member(case.post, "indexes", "post"), "post.indexes")
    return state_test_transaction(case.transaction, indexes, case.block.chain_id)


def _execute(
    case: StateCase, tx: Transaction, journal: JournaledState, vm: VirtualMachine, tracer: Tracer | None
) -> tuple[Log, ...]:
    """Its logs. Raises InvalidTransaction."""
    spec = case.spec
    checked = check_transaction(
        tx,
        accounts=journal,
        spec=spec,
        chain_id=case.block.chain_id,
        base_fee=case.block.base_fee_per_gas,
        blob_base_fee=case.block.blob_base_fee,
        gas_available=case.block.gas_limit,
        blob_gas_available=0 if spec.blobs is None else spec.blobs.max * GAS_PER_BLOB,
    )
    return apply_transaction(checked, journal, case.block, spec, vm, tracer).logs


def logs_hash(logs: tuple[Log, ...]) -> bytes:
    """keccak256 of the RLP of the logs."""
    return keccak256(rlp.encode([log.to_rlp() for log in logs]))


def _difference(
    case: StateCase,
    root: bytes,
    wanted_root: bytes,
    logs: tuple[Log, ...],
    wanted_logs: bytes,
    journal: JournaledState,
) -> str:
    """Empty where state and logs are as told."""
    found: list[str] = []
    if root != wanted_root:
        told = f"state root 0x{root.hex()}, expected 0x{wanted_root.hex()}"
        if case.post.get("state") is not None:
            expected = read_alloc(case.post["state"], "post.state")
            told += ": " + differences(alloc_after(case.alloc, journal.diff()), expected)
        else:
            told += "; the file does not tell the accounts, --dump shows ours"
        found.append(told)
    ours = logs_hash(logs)
    if ours != wanted_logs:
        found.append(
            f"hash of {len(logs)} logs 0x{ours.hex()}, expected 0x{wanted_logs.hex()}" + _log_facts(case, logs)
        )
    return "; ".join(found)


def _log_facts(case: StateCase, logs: tuple[Log, ...]) -> str:
    """Which log differs, where the file has the receipt."""
    receipt = case.post.get("receipt")
    if not isinstance(receipt, dict) or not isinstance(receipt.get("logs"), list):
        return "".join(f"; log {index} of 0x{log.address.hex()}" for index, log in enumerate(logs[:4]))
    told = receipt["logs"]
    for index, (log, entry) in enumerate(zip(logs, told, strict=False)):
        want = mapping(entry, f"post.receipt.logs[{index}]")
        have = {
            "address": "0x" + log.address.hex(),
            "topics": ["0x" + topic.hex() for topic in log.topics],
            "data": "0x" + log.data.hex(),
        }
        for name, value in have.items():
            if name in want and want[name] != value:
                return f": log {index} {name} {value}, expected {want[name]}"
    return f": {len(logs)} logs, expected {len(told)}"
