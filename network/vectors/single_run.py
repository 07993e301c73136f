"""``evm run``: one message on an allocation or on nothing, without a transaction's price of admission."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from network.vectors.allocations import Alloc, alloc_after, reader
from node.crypto.hashes import EMPTY_KECCAK, EMPTY_TRIE_ROOT, keccak256
from node.evm.addresses import create_address
from node.evm.call_stack import execute_message
from node.evm.interpreter import Interpreter
from node.evm.machine import Tracer
from node.evm.message import BlockEnvironment, CallKind, Message, TransactionEnvironment
from node.evm.outcome import Halt, HaltReason, Outcome, Success
from node.evm.spec import Spec
from node.execution.fees import blob_base_fee
from node.primitives import rlp
from node.primitives.scalars import ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from node.state.commit import commit
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView, slot_key
from node.trie.sorted_build import build_sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What to run. Gas in units, ``gas_price`` in wei a gas, ``value`` in wei.

    ``code`` None: whatever the receiver's account holds.
    """

    spec: Spec
    alloc: Alloc
    code: bytes | None
    data: bytes
    sender: Address
    receiver: Address
    create: bool
    gas: int
    gas_price: int
    value: int
    chain_id: int = 1
    number: int = 0
    timestamp: int = 0
    gas_limit: int
    coinbase: Address = ZERO_ADDRESS
    base_fee: int = 0
    difficulty: int = 0


@dataclass(frozen=True, slots=True)
class Ran:
    """The outcome, gas used (after refunds that a transaction would have got: none), and the accounts after it."""

    outcome: Outcome
    gas_used: int
    alloc: Alloc
    root: Hash32


def run_once(run: Run, tracer: Tracer | None = None) -> Ran:
    """Run it. Changes stay where it succeeds."""
    alloc = dict(run.alloc)
    if run.code is not None and not run.create:
        alloc[run.receiver] = replace(alloc.get(run.receiver, GenesisAccount()), code=run.code)
    before = state_from_alloc(alloc)
    nodes = reader(before.nodes)
    journal = JournaledState(TrieView(before.root, nodes, reader(before.codes)))
    journal.begin_transaction(warm=run.spec.precompiles)
    for address in (run.sender, run.receiver, *((run.coinbase,) if run.spec.warm_coinbase else ())):
        journal.access_address(address)
    message = _message(run, journal)
    outcome: Outcome
    if journal.balance(run.sender) < run.value:
        outcome = Halt(HaltReason.INSUFFICIENT_BALANCE)
    else:
        if run.create:
            journal.increment_nonce(run.sender)
        environment = TransactionEnvironment(origin=run.sender, gas_price=run.gas_price)
        outcome = execute_message(message, journal, _block(run), environment, run.spec, Interpreter(), tracer)
    journal.end_transaction(remove_empty=run.spec.removes_empty)
    diff = journal.diff()
    root = commit(before.root, diff, nodes).root
    return Ran(outcome, run.gas - outcome.gas_left, alloc_after(alloc, diff), root)


def _message(run: Run, journal: JournaledState) -> Message:
    if run.create:
        target = create_address(run.sender, journal.nonce(run.sender))
        journal.access_address(target)
        kind, code, data = CallKind.CREATE, (run.code or b"") + run.data, b""
    else:
        target = run.receiver
        kind, code, data = CallKind.CALL, journal.code(target), run.data
    return Message(
        kind=kind,
        caller=run.sender,
        target=target,
        code_address=target,
        code=code,
        data=data,
        value=run.value,
        gas=run.gas,
    )


def _block(run: Run) -> BlockEnvironment:
    block_hash: Callable[[int], Hash32] = lambda asked: keccak256(str(asked).encode())  # noqa: E731
    return BlockEnvironment(
        chain_id=run.chain_id,
        number=run.number,
        timestamp=run.timestamp,
        coinbase=run.coinbase,
        gas_limit=run.gas_limit,
        prev_randao=ZERO_HASH,
        base_fee_per_gas=run.base_fee,
        blob_base_fee=blob_base_fee(0, run.spec.blobs) if run.spec.blobs is not None else 0,
        block_hash=block_hash,
        difficulty=run.difficulty,
    )


def failure_of(outcome: Outcome) -> str:
    """In geth's words; empty for a success."""
    if isinstance(outcome, Success):
        return ""
    return outcome.reason.value if isinstance(outcome, Halt) else "execution reverted"


def state_dump(ran: Ran) -> dict[str, Any]:
    """The state as geth's ``--dump`` writes it."""
    accounts: dict[str, Any] = {}
    for address in sorted(ran.alloc):
        account = ran.alloc[address]
        slots = {slot: value for slot, value in sorted(account.storage.items()) if value}
        root = build_sorted(sorted((slot_key(slot), rlp.encode_int(value)) for slot, value in slots.items()))
        entry: dict[str, Any] = {
            "balance": str(account.balance),
            "nonce": account.nonce,
            "root": "0x" + (root if slots else EMPTY_TRIE_ROOT).hex(),
            "codeHash": "0x" + (keccak256(account.code) if account.code else EMPTY_KECCAK).hex(),
        }
        if account.code:
            entry["code"] = "0x" + account.code.hex()
        if slots:
            entry["storage"] = {f"0x{slot:064x}": f"{value:x}" for slot, value in slots.items()}
        accounts["0x" + address.hex()] = {
            **entry,
            "address": "0x" + address.hex(),
            "key": "0x" + keccak256(address).hex(),
        }
    return {"root": ran.root.hex(), "accounts": accounts}
