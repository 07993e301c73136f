"""What commands and the page share where they put faults on: names to nodes, actions, and who still has a quorum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from network.cluster import links
from network.cluster.reports import take_reports
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput, Failure
from network.faults.kinds import BadPlan, Value
from network.faults.vocabulary import FaultAction


def node_list(run: RunDirectory, text: str) -> tuple[str, ...]:
    """``n0,n1`` or ``all`` as names, each once. Raises BadInput naming the known ones."""
    if text == "all":
        return tuple(run.node_names())
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise BadInput(f"{text!r} names no node", f"the nodes are {', '.join(run.node_names())}")
    return tuple(dict.fromkeys(run.node(name).name for name in names))


def check_sides(run: RunDirectory, sides: Sequence[Sequence[str]], bridges: Sequence[str] = ()) -> None:
    """Whether every node is in one group, or hears both sides as a bridge. Raises BadInput."""
    named = [name for side in sides for name in side] + list(bridges)
    twice = [name for name in dict.fromkeys(named) if named.count(name) > 1]
    if twice:
        raise BadInput(
            f"{', '.join(twice)} is in two groups", f"a node that hears both sides is a bridge: --bridge {twice[0]}"
        )
    missing = [name for name in run.node_names() if name not in named]
    if missing:
        raise BadInput(
            f"{', '.join(missing)} is in no group",
            f"put every node into a group, or let it hear both sides: --bridge {','.join(missing)}",
        )


def action(kind: str, targets: Iterable[str] = (), **parameters: Value) -> FaultAction:
    """A fault of the vocabulary, from now on. Raises BadInput."""
    try:
        return FaultAction(0, kind, tuple(targets), parameters)
    except BadPlan as error:
        raise BadInput(str(error)) from None


def require_links(run: RunDirectory) -> links.Wiring:
    """The network's links. Raises Failure where its nodes are not connected through any."""
    wiring = links.Wiring.read(run.path)
    if wiring is None:
        nodes = run.node_names()
        if len(nodes) < 2:
            raise Failure(f"network {run.name} has one node, so there are no links", "start more: evmesh up --nodes 4")
        raise Failure(
            f"the nodes of network {run.name} dial each other directly, so its links cannot be changed",
            "start a new network: evmesh up",
        )
    return wiring


def weights_of(run: RunDirectory) -> dict[str, int]:
    """Voting weight of every node now, as a running node tells it (0: none); empty where none answers."""
    weights = take_reports(run, 2.0).weights()
    return {name: weights.get(name, 0) for name in run.node_names()} if weights else {}


def quorum_words(run: RunDirectory, sides: Sequence[Sequence[str]]) -> str:
    """Which side of a split can go on: ``quorum 3 of 4: neither side can finalize``."""
    weights = weights_of(run)
    total = sum(weights.values())
    if not total:
        return ""
    # bft needs more than two thirds of the weight, pos two thirds
    quorum = -(-2 * total // 3) if run.network().engine == "pos" else 2 * total // 3 + 1
    able = [side for side in sides if sum(weights.get(name, 0) for name in side) >= quorum]
    if able:
        verdict = " and ".join(braced(side) for side in able) + " can go on finalizing"
    else:
        verdict = "neither side can finalize" if len(sides) == 2 else "no side can finalize"
    return f"quorum {quorum} of {total}: {verdict}"


def braced(names: Sequence[str]) -> str:
    """``{n0,n1}``."""
    return "{" + ",".join(names) + "}"
