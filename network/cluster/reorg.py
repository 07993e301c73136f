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
from network.cluster.aftermath import POLL_SECONDS, canonical, settled
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
            fork, branches = _build(clients, sides, depth, deadline)
        finally:  # whatever happens, the network is left whole
            _, board = change_board(run.path, lambda one: one.without(lambda fault: fault.action == cut))
            companion.apply(run, board)
        say(f"both sides have built {depth} blocks on #{fork}; healed")
        began = time.monotonic()
        finalized = settled(list(clients.values()), fork, began + SETTLE_SECONDS)
        return _outcome(clients, sides, fork, branches, finalized, time.monotonic() - began)
    finally:
        for client in clients.values():
            client.close()


def _build(
    clients: dict[str, NodeClient], sides: tuple[Sequence[str], Sequence[str]], depth: int, deadline: float
) -> tuple[int, list[list[str]]]:
    """(number of the last common block, the hashes above it on each side)."""
    while True:
        chains = [canonical(clients[side[0]]) for side in sides]
        common = [number for number in chains[0] if chains[1].get(number) == chains[0][number]]
        if common:
            fork = max(common)
            branches = [[chain[number] for number in sorted(chain) if number > fork] for chain in chains]
            if all(len(branch) >= depth for branch in branches):
                return fork, branches
        if time.monotonic() > deadline:
            raise TimedOut(
                f"the two sides did not build {depth} blocks each in time", "evmesh tree shows what they did"
            )
        time.sleep(POLL_SECONDS)


def _outcome(
    clients: dict[str, NodeClient],
    sides: tuple[Sequence[str], Sequence[str]],
    fork: int,
    branches: list[list[str]],
    finalized: int,
    seconds: float,
) -> Reorg:
    final = {number: clients[sides[0][0]].block(number)["hash"] for number in range(fork + 1, finalized + 1)}
    losses = [
        [block for number, block in enumerate(branch, fork + 1) if number in final and final[number] != block]
        for branch in branches
    ]
    losing = 0 if len(losses[0]) >= len(losses[1]) else 1
    branch = branches[losing]
    # what stands above the finalized block is judged by its ancestry: a branch that lost its first block lost all
    dropped = branch if losses[losing] and losses[losing][0] == branch[0] else losses[losing]
    return Reorg(fork, len(dropped), tuple(sides[losing]), tuple(dropped), finalized, seconds)
