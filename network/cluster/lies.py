"""Which lies a node can be told to tell, under their short names, and who may tell them: commands and page ask here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

from network.cluster import byzantine, fault_hands, fault_words
from network.cluster.fault_hands import LIES
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput, Failure

SHORT: Final = {
    "equivocate": "equivocating-proposer",
    "double-vote": "double-vote",
    "surround-vote": "surround-vote",
    "wrong-root": "wrong-state-root",
    "invalid-tx": "invalid-transaction",
    "withhold": "withheld-block",
    "silent": "silent-voter",
    "stale-replay": "stale-replay",
    "amnesia": "amnesia",
    "twins": "twins",
}
HONEST: Final = "honest"
CONVICTING: Final = ("equivocating-proposer", "double-vote", "surround-vote", "twins")
"""What leaves two signed statements that contradict each other."""


def named(run: RunDirectory, node: str, kind: str) -> str:
    """The lie's full name (or ``honest``), where this node of this network can tell it. Raises BadInput."""
    entry = run.node(node)
    name = SHORT.get(kind, kind)
    if name != HONEST and name not in LIES:
        near = difflib.get_close_matches(kind, [*SHORT, HONEST, *LIES], n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(SHORT)}, {HONEST}"
        raise BadInput(f"there is no lie called {kind!r}", hint)
    if entry.validator is None:
        raise BadInput(f"{node} is no validator: it signs nothing that could be a lie", "choose another node")
    if name == "surround-vote" and run.network().engine != "pos":
        raise BadInput("votes surround each other only with engine pos", "start one with: evmesh up --consensus pos")
    if run.network().engine == "instant":
        raise BadInput("a node alone has nobody to lie to", "start more: evmesh up --nodes 4")
    return name


def check_heeded(node: str, name: str, weights: Mapping[str, int]) -> None:
    """Raises Failure where nobody would heed the lie, because the node has lost its vote."""
    if name != HONEST and weights and not weights.get(node):
        raise Failure(f"{node} has no vote any more (it was convicted), so nobody heeds it", "choose another node")


def tell(run: RunDirectory, node: str, name: str, share: float = 1.0, twin_peers: Sequence[str] = ()) -> None:
    """Have the node tell it from now on, on a share of the occasions; ``honest`` ends all. Raises Failure."""
    if name == HONEST:
        fault_hands.end_lies(run, node)
        return
    parameters = {} if name in byzantine.BY_PROCESS else {"share": share}
    fault_hands.begin_lie(run, fault_words.action(name, (node,), **parameters), twin_peers)
