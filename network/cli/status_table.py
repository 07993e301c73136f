"""The table of nodes that ``up`` and ``status`` show."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from network.cli.output import shorten, shown
from network.cluster.observer import NodeStatus

LOOKS: Final = 11
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


class Pace:
    """Blocks a second of each node, over the last looks."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def of(self, statuses: Sequence[NodeStatus], now: float | None = None) -> dict[str, str]:
        """After one more look, as text; a dash where it cannot be told yet. ``now``: seconds of any steady clock."""
        moment = time.monotonic() if now is None else now
        paces = {}
        for one in statuses:
            looks = self._seen.setdefault(one.name, deque(maxlen=LOOKS))
            if one.head is None:
                looks.clear()
            else:
                looks.append((moment, one.head))
            passed = looks[-1][0] - looks[0][0] if looks else 0.0
            paces[one.name] = f"{(looks[-1][1] - looks[0][1]) / passed:.1f}" if passed > 0 else "-"
        return paces


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
