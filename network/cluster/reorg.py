"""A real reorganisation, brought about from outside: split the network, let both sides build, heal.

Nothing in the nodes is asked to reorganise: the side whose branch the fork choice leaves does it by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from network.client import NodeClient
from network.cluster import companion
from network.cluster.aftermath import POLL_SECONDS, Branch, canonical, outcome, settled
from network.cluster.fault_board import change_board
from network.cluster.observer import clients_of
from network.cluster.reports import Reports, listed
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput, Failure, TimedOut
from network.faults.vocabulary import FaultAction

SLOTS_PER_BLOCK: Final = 12
"""A side with half of the proposers needs two slots a block; luck may need more."""
SETTLE_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Reorg:
    """What happened. ``depth``: blocks that the nodes of the losing side dropped."""

    fork_number: int
    depth: int
    losers: tuple[str, ...]
    dropped: tuple[str, ...]
    """Hashes, lowest first."""
    finalized: int
    """Finalized block on all nodes at the end."""
    seconds: float
    """From healing until a block of the common branch was final everywhere."""


def check_depth(reports: Reports, depth: int) -> None:
    """Whether so deep a reorganisation is possible at all. Raises BadInput with a plain reason."""
    if reports.engine != "pos":
        raise BadInput(
            f"with engine {reports.engine} every block is final at once, so no block can be replaced",
            "engine pos has branches: evmesh up --consensus pos",
        )
    if not all(report.answers for report in reports.nodes):
        silent = listed(report.name for report in reports.nodes if not report.answers)
        raise Failure(f"{silent} cannot be heard, and both sides must build", "evmesh why says what is wrong")
    if len(reports.nodes) < 2:
        raise BadInput("a node alone has nobody to disagree with", "start more: evmesh up --nodes 4")
    head = min(report.number("head") for report in reports.answering)
    final = max(report.number("finalized") for report in reports.answering)
    if depth > head - final:
        raise BadInput(
            f"#{final} is final, and what is final stays: only the {head - final} blocks above it could be replaced, "
            f"{depth} were asked for",
            f"try evmesh reorg --depth {max(1, head - final)}",
        )


def sides_of(reports: Reports) -> tuple[list[str], list[str]]:
    """Two groups of nodes of nearly equal weight: neither can finalize alone where that is possible."""
    weights = reports.weights()
    ordered = sorted((report.name for report in reports.nodes), key=lambda name: -weights.get(name, 0))
    left: list[str] = []
    right: list[str] = []
    for name in ordered:
        lighter = left if sum(weights.get(n, 0) for n in left) <= sum(weights.get(n, 0) for n in right) else right
        lighter.append(name)
    return sorted(left), sorted(right)


def bring_about(
    run: RunDirectory, sides: tuple[Sequence[str], Sequence[str]], depth: int, say: Callable[[str], None]
) -> Reorg:
    """Split, wait until both sides have built ``depth`` blocks, heal, wait for one final branch. Raises TimedOut."""
    network = run.network()
    clients = {client.name: client for client in clients_of(network, 5.0)}
    cut = FaultAction(0, "partition", tuple(sides[0]), {"others": tuple(sides[1])})
    words = f"partition {{{','.join(sides[0])}}} | {{{','.join(sides[1])}}} (reorg)"
    try:
        _, board = change_board(run.path, lambda one: one.with_fault(cut, words))
        companion.apply(run, board)
        say(f"split: {{{','.join(sides[0])}}} | {{{','.join(sides[1])}}}")
        try:
            deadline = time.monotonic() + depth * SLOTS_PER_BLOCK * network.block_time_ms / 1000 + 30
            fork, told = _build(clients, sides, depth, deadline)
        finally:  # whatever happens, the network is left whole
            _, board = change_board(run.path, lambda one: one.without(lambda fault: fault.action == cut))
            companion.apply(run, board)
        say(f"both sides have built {depth} blocks on #{fork}; healed")
        began = time.monotonic()
        asked = list(clients.values())
        finalized = settled(asked, fork, began + SETTLE_SECONDS)
        after = outcome(asked, told, {}, finalized, time.monotonic() - began)
        deepest = max(after.losses, key=lambda loss: loss.depth, default=None)
        losers = [side for side in sides if deepest and side[0] in deepest.nodes]
        dropped = deepest.dropped if deepest else ()
        return Reorg(fork, len(dropped), tuple(losers[0]) if losers else (), dropped, finalized, after.seconds)
    finally:
        for client in clients.values():
            client.close()


def _build(
    clients: dict[str, NodeClient], sides: tuple[Sequence[str], Sequence[str]], depth: int, deadline: float
) -> tuple[int, list[Branch]]:
    """(number of the last common block, the chain of each side's first node)."""
    while True:
        chains = [canonical(clients[side[0]]) for side in sides]
        common = [number for number in chains[0] if chains[1].get(number) == chains[0][number]]
        if common:
            fork = max(common)
            if all(max(chain) - fork >= depth for chain in chains):
                return fork, [Branch(side[0], chain) for side, chain in zip(sides, chains, strict=True)]
        if time.monotonic() > deadline:
            raise TimedOut(
                f"the two sides did not build {depth} blocks each in time", "evmesh tree shows what they did"
            )
        time.sleep(POLL_SECONDS)
