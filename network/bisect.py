"""Where two nodes part: the first block, the transaction in it, the step of that, and what of the state differs.

    heads ─▶ first height at which the hashes differ, or the block after the one that stands still
          ─▶ that block, run on both (evmesh_replayBlock): the first transaction whose result differs
          ─▶ its steps on both (evmesh_traceInBlock): the first instruction that does something else
          ─▶ the accounts and slots that it left different

Both nodes must know the block's parent. Everything is asked over JSON-RPC; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import zip_longest
from typing import Any, Final

from network.failures import Failure

Ask = Callable[..., Any]
"""``ask(method, *params)``: a node's answer. Raises Failure."""
Json = Mapping[str, Any]

STEPS: Final = {"enableMemory": True, "enableReturnData": True}
_COMPARED: Final = ("pc", "op", "gas", "depth", "stack", "memory", "storage", "returnData")
_RESULTS: Final = ("error", "status", "gasUsed", "logs", "stateRoot")
_HEADER: Final = (
    "parentHash", "timestamp", "transactionsRoot", "gasLimit", "baseFeePerGas", "mixHash", "parentBeaconBlockRoot",
    "extraData", "miner", "gasUsed", "receiptsRoot", "logsBloom", "requestsHash", "stateRoot",
)  # fmt: skip
_INPUTS: Final = frozenset(_HEADER[:9])
"""What a proposer chooses or is told; the rest follows from it."""


class Kind(Enum):
    """What lies behind a difference."""

    NONE = "no difference"
    INPUT = "different input"
    RULES = "different fork rules"
    EXECUTION = "different execution"
    HASHING = "different hashing"


@dataclass(frozen=True, slots=True)
class Step:
    """The instruction that does something else on the two nodes, and what is different behind it."""

    index: int
    pc: int
    opcode: str
    depth: int
    differs: Mapping[str, tuple[Any, Any]]
    """What (gas cost, stack, memory, …) each of them has."""


@dataclass(frozen=True, slots=True)
class Change:
    """A part of the state that the transaction left different."""

    account: str
    what: str
    """balance, nonce, code, or a slot."""
    values: tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer. Pairs are (first node's, second node's)."""

    kind: Kind
    number: int | None = None
    hashes: tuple[str | None, str | None] = (None, None)
    refused_by: int | None = None
    """0 or 1: the node that does not have the block and stands before it."""
    header: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    transaction: int | None = None
    transaction_hash: str | None = None
    results: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    step: Step | None = None
    changes: tuple[Change, ...] = ()
    raw_block: str | None = None
    operations: str | None = None
    """What consensus ordered ahead of the block's transactions (RLP); it stands beside the block."""


def find_difference(first: Ask, second: Ask) -> Finding:
    """Compare two nodes of one network. Raises Failure where they cannot be compared."""
    asks = (first, second)
    if first("eth_getBlockByNumber", "0x0", False)["hash"] != second("eth_getBlockByNumber", "0x0", False)["hash"]:
        raise Failure("the two nodes belong to different networks: their genesis blocks differ")
    heads = [int(ask("eth_blockNumber"), 16) for ask in asks]
    common = min(heads)
    if _hash(first, common) != _hash(second, common):
        return _different_blocks(asks, _first_different(asks, common))
    if heads[0] == heads[1]:
        return Finding(Kind.NONE, common, (_hash(first, common),) * 2)
    ahead = heads.index(max(heads))
    return _block_that_one_lacks(asks, ahead, common + 1)


def _hash(ask: Ask, number: int) -> str:
    block = ask("eth_getBlockByNumber", hex(number), False)
    if block is None:
        raise Failure(
            f"block {number} is gone: the chain was reorganised, or the node joined by a state and never had it",
            "ask again, or another node",
        )
    return str(block["hash"])


def _first_different(asks: Sequence[Ask], different: int) -> int:
    """The lowest height at which the hashes differ: chains that have parted never meet again."""
    equal = 0
    while different - equal > 1:
        middle = (equal + different) // 2
        if _hash(asks[0], middle) == _hash(asks[1], middle):
            equal = middle
        else:
            different = middle
    return different


def _different_blocks(asks: Sequence[Ask], number: int) -> Finding:
    blocks = [ask("eth_getBlockByNumber", hex(number), False) for ask in asks]
    header = _differences(blocks[0], blocks[1], _HEADER)
    hashes = (blocks[0]["hash"], blocks[1]["hash"])
    raw = [_raw(ask, number) for ask in asks]
    # each may be right about its own block: whichever the two make different things of is looked into
    for one in raw:
        found = _compared(asks, *one)
        if found is not None:
            return _finding(found, number, hashes, None, header, *one)
    kind = (
        Kind.INPUT
        if {"transactionsRoot", "parentHash", "timestamp", "miner", "extraData"} & set(header)
        else Kind.HASHING
    )
    return Finding(kind, number, hashes, header=header, raw_block=raw[0][0], operations=raw[0][1])


def _raw(ask: Ask, number: int) -> tuple[str, str]:
    """A block, and what consensus ordered into it."""
    return ask("debug_getRawBlock", hex(number)), ask("evmesh_blockOperations", hex(number))


def _block_that_one_lacks(asks: Sequence[Ask], ahead: int, number: int) -> Finding:
    block = asks[ahead]("eth_getBlockByNumber", hex(number), False)
    raw, operations = _raw(asks[ahead], number)
    hashes = (block["hash"], None) if ahead == 0 else (None, block["hash"])
    found = _compared(asks, raw, operations)
    if found is None:
        return Finding(Kind.NONE, number, hashes, refused_by=1 - ahead, raw_block=raw, operations=operations)
    return _finding(found, number, hashes, 1 - ahead, {}, raw, operations)


def _finding(
    found: Finding,
    number: int,
    hashes: tuple[Any, Any],
    refused_by: int | None,
    header: Mapping[str, Any],
    raw: str,
    operations: str,
) -> Finding:
    return Finding(
        found.kind, number, hashes, refused_by, header, found.transaction, found.transaction_hash, found.results,
        found.step, found.changes, raw, operations,
    )  # fmt: skip


def compare_block(first: Ask, second: Ask, raw: str, operations: str) -> Finding | None:
    """What two nodes make of one block on the same state; None where it is the same. Raises Failure.

    ``operations``: what consensus ordered into it, as evmesh_blockOperations gives it.
    """
    return _compared((first, second), raw, operations)


def _compared(asks: Sequence[Ask], raw: str, operations: str) -> Finding | None:
    """What the two make of one block; None where it is the same."""
    runs = [ask("evmesh_replayBlock", raw, operations) for ask in asks]
    if runs[0]["rules"] != runs[1]["rules"]:
        return Finding(Kind.RULES, results={"rules": (runs[0]["rules"], runs[1]["rules"])})
    for name in ("parentStateRoot", "stateRootBefore"):
        if runs[0][name] != runs[1][name]:
            return Finding(Kind.EXECUTION, results={name: (runs[0][name], runs[1][name])})
    for index, (one, other) in enumerate(zip_longest(*(run["transactions"] for run in runs), fillvalue={})):
        results = _differences(one, other, _RESULTS)
        if results:
            return _in_transaction(asks, (raw, operations), index, one.get("hash") or other.get("hash"), results)
    return None


def _in_transaction(
    asks: Sequence[Ask],
    block: tuple[str, str],
    index: int,
    transaction_hash: str | None,
    results: Mapping[str, tuple[Any, Any]],
) -> Finding:
    if "error" in results:
        return Finding(Kind.EXECUTION, transaction=index, transaction_hash=transaction_hash, results=results)
    raw, operations = block
    traces = [ask("evmesh_traceInBlock", raw, hex(index), STEPS, operations) for ask in asks]
    step = _first_step(traces[0]["structLogs"], traces[1]["structLogs"])
    after = [ask("evmesh_traceInBlock", raw, hex(index), _PRESTATE, operations)["post"] for ask in asks]
    changes = _changes(*after)
    if step is None and "logs" in results:
        step = _log_step(traces[0]["structLogs"], results["logs"])
    only_the_root = set(results) == {"stateRoot"} and not changes and step is None
    kind = Kind.HASHING if only_the_root else Kind.EXECUTION
    return Finding(
        kind, transaction=index, transaction_hash=transaction_hash, results=results, step=step, changes=changes
    )


_PRESTATE: Final = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}


def _first_step(one: Sequence[Json], other: Sequence[Json]) -> Step | None:
    """The first instruction that does something else: its effect shows in the step behind it, its price in its own."""
    for index, (a, b) in enumerate(zip_longest(one, other)):
        if a is None or b is None:
            return _step(one if a is not None else other, index - 1, {"goes on": (a is not None, b is not None)})
        before = _differences(a, b, _COMPARED)
        if before:
            return _step(one, index - 1, before) if index else _step(one, 0, before)
        price = _differences(a, b, ("gasCost", "refund", "error"))
        if price:
            return _step(one, index, price)
    return None


def _step(steps: Sequence[Json], index: int, differs: Mapping[str, tuple[Any, Any]]) -> Step:
    at = steps[max(0, index)]
    return Step(max(0, index), at["pc"], at["op"], at["depth"], differs)


def _log_step(steps: Sequence[Json], logs: tuple[Sequence[str], Sequence[str]]) -> Step | None:
    """Logs leave no mark in a step: the n-th log that differs came from the n-th LOG instruction that still holds."""
    held: list[list[int]] = [[]]
    for index, step in enumerate(steps):
        while len(held) > step["depth"]:
            inner = held.pop()
            if int(step["stack"][-1], 16):  # the call went well, so its logs hold
                held[-1] += inner
        while len(held) < step["depth"]:
            held.append([])
        if step["op"].startswith("LOG") and "error" not in step:
            held[-1].append(index)
    for index, (one, other) in zip(held[0], zip_longest(*logs), strict=False):
        if one != other:
            return _step(steps, index, {"log": (one, other)})
    return None


def _differences(one: Json, other: Json, names: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def _changes(one: Json, other: Json) -> tuple[Change, ...]:
    """Where the states differ that the transaction leaves behind."""
    found: list[Change] = []
    for account in sorted({*one, *other}):
        a, b = one.get(account, {}), other.get(account, {})
        found += [
            Change(account, what, pair) for what, pair in _differences(a, b, ("balance", "nonce", "code")).items()
        ]
        slots, others = a.get("storage", {}), b.get("storage", {})
        found += [
            Change(account, f"slot {slot}", (slots.get(slot), others.get(slot)))
            for slot in sorted({*slots, *others})
            if slots.get(slot) != others.get(slot)
        ]
    return tuple(found)
