"""The table of nodes that ``up`` and ``status`` show."""

from __future__ import annotations

from collections.abc import Sequence

from network.cli.output import shorten, shown
from network.cluster.observer import NodeStatus

COLUMNS = ["node", "role", "rpc", "peers", "head", "finalized", "state root", "state"]


def status_rows(statuses: Sequence[NodeStatus]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows."""
    return COLUMNS, [
        [
            one.name,
            one.role,
            one.url,
            shown(one.peers),
            shown(one.head),
            shown(one.finalized),
            shorten(one.state_root) if one.state_root else "-",
            one.state,
        ]
        for one in statuses
    ]


def conflicts(statuses: Sequence[NodeStatus]) -> list[str]:
    """Nodes with different final blocks at the same height, said in words. Heads may differ until they are final."""
    by_height: dict[int, dict[str, list[str]]] = {}
    for one in statuses:
        if one.finalized is not None and one.finalized_hash is not None:
            by_height.setdefault(one.finalized, {}).setdefault(one.finalized_hash, []).append(one.name)
    return [
        f"block #{height}: " + " but ".join(f"{', '.join(names)} have {shorten(h)}" for h, names in hashes.items())
        for height, hashes in by_height.items()
        if len(hashes) > 1
    ]
