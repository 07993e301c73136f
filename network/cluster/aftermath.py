"""What healing a split did: whose blocks were replaced, and which of their transactions did not come again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from network.client import NodeClient, ask_all
from network.failures import TimedOut

POLL_SECONDS: Final = 0.2
_BELOW_FINAL: Final = 64
"""Blocks below a node's finalized one that are looked at: the others' finality may lag behind by so much."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A node's canonical chain before the links were whole again."""

    name: str
    blocks: Mapping[int, str]
    """Hash by number, from somewhat below the finalized block to the head."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Blocks that nodes dropped, the same ones on each."""

    nodes: tuple[str, ...]
    fork_number: int
    dropped: tuple[str, ...]
    """Hashes, lowest first."""

    @property
    def depth(self) -> int:
        """Blocks dropped."""
        return len(self.dropped)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """``gone``: transactions of dropped blocks that are not in the final chain, with the reason."""

    losses: tuple[Loss, ...]
    gone: tuple[tuple[str, str], ...]
    finalized: int
    """On all nodes that answered, and the same block."""
    seconds: float
    """From healing until then."""

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        told = asdict(self)
        for loss, one in zip(told["losses"], self.losses, strict=True):
            loss["depth"] = one.depth
        told["gone"] = [{"hash": one, "why": why} for one, why in self.gone]
        return told


def canonical(client: NodeClient) -> dict[int, str]:
    """Hash by number of a node's canonical blocks, from a little below the finalized one up."""
    final = client.block_number("finalized")
    told = client.call("evmesh_stateRoots", hex(max(0, final - _BELOW_FINAL)), "latest")
    return {int(mark["number"], 16): str(mark["hash"]) for mark in told}


def branches(clients: Sequence[NodeClient]) -> list[Branch]:
    """Of the nodes that answer, in order."""
    answers = ask_all(clients, canonical)
    return [
        Branch(client.name, blocks)
        for client, blocks in zip(clients, answers, strict=True)
        if isinstance(blocks, dict) and blocks
    ]


def fork_of(told: Sequence[Branch]) -> int | None:
    """The last number at which all have the same block, if above it two have different ones."""
    if not told:
        return None
    shared = min(max(branch.blocks) for branch in told)
    numbers = [number for number in range(shared + 1) if all(number in branch.blocks for branch in told)]
    if all(len({branch.blocks[number] for branch in told}) == 1 for number in numbers):
        return None
    agreed = [number for number in numbers if len({branch.blocks[number] for branch in told}) == 1]
    return max(agreed) if agreed else max(0, min(numbers) - 1)


def settled(clients: Sequence[NodeClient], fork: int, deadline: float) -> int:
    """Wait until every node has finalized a block above the fork; the lowest of these. Raises TimedOut."""
    while True:
        answers: list[Any] = ask_all(clients, lambda client: client.block_number("finalized"))
        numbers = [one if isinstance(one, int) else -1 for one in answers]
        if numbers and min(numbers) > fork:
            return min(numbers)
        if time.monotonic() > deadline:
            raise TimedOut("the nodes did not finalize a common block in time", "evmesh why not-finalized")
        time.sleep(POLL_SECONDS)


def transactions_of(
    clients: Sequence[NodeClient], told: Sequence[Branch], fork: int
) -> dict[str, list[dict[str, Any]]]:
    """Transactions by block hash, of every branch's blocks above the fork: asked before they are dropped."""
    by_name = {client.name: client for client in clients}
    found: dict[str, list[dict[str, Any]]] = {}
    for branch in told:
        for number, block_hash in branch.blocks.items():
            if number > fork and block_hash not in found:
                block = by_name[branch.name].call("eth_getBlockByHash", block_hash, True)
                found[block_hash] = block["transactions"] if isinstance(block, dict) else []
    return found


def outcome(
    clients: Sequence[NodeClient],
    told: Sequence[Branch],
    transactions: Mapping[str, Sequence[Mapping[str, Any]]],
    finalized: int,
    seconds: float,
) -> Aftermath:
    """Compare what each node had with what it has now."""
    by_name = {client.name: client for client in clients}
    losses: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for branch in told:
        now = canonical(by_name[branch.name])
        lost = [
            number
            for number in sorted(branch.blocks)
            if now.get(number, branch.blocks[number]) != branch.blocks[number]
        ]
        if lost:
            # what stands above a replaced block went with it, even where the new chain is not as high yet
            dropped = tuple(branch.blocks[number] for number in sorted(branch.blocks) if number >= lost[0])
            losses.setdefault((lost[0] - 1, dropped), []).append(branch.name)
    gone: dict[str, str] = {}
    asked = clients[0]
    for _, dropped in losses:
        for block_hash in dropped:
            for transaction in transactions.get(block_hash, ()):
                if (why := _missing(asked, transaction)) is not None:
                    gone[str(transaction["hash"])] = why
    return Aftermath(
        tuple(Loss(tuple(names), fork, dropped) for (fork, dropped), names in losses.items()),
        tuple(gone.items()),
        finalized,
        seconds,
    )


def _missing(client: NodeClient, transaction: Mapping[str, Any]) -> str | None:
    """Why a transaction stands in no block now; None where it does."""
    if client.call("eth_getTransactionReceipt", transaction["hash"]) is not None:
        return None
    sender = bytes.fromhex(str(transaction["from"])[2:])
    if client.nonce(sender, "latest") > int(transaction["nonce"], 16):
        return "nonce reused"
    known = client.call("eth_getTransactionByHash", transaction["hash"])
    return "pending again" if known is not None else "in no pool"
