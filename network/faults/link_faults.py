"""Which links a fault touches and what it makes of them: the one meaning, for the simulator and for proxies.

Faults may overlap. What is on is kept, and cuts and conditions of the links are made anew from it at every change, so
the end of one fault never ends another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from network.faults.link_policy import LinkCondition, LinkPolicy
from network.faults.vocabulary import FaultAction

Link = tuple[str, str]


def partitions(sides: Sequence[Sequence[str]]) -> list[FaultAction]:
    """The cuts between every two of the groups, from now on. Raises BadPlan."""
    return [
        FaultAction(0, "partition", tuple(one), {"others": tuple(other)})
        for position, one in enumerate(sides)
        for other in sides[position + 1 :]
    ]


def cut_links(action: FaultAction, names: Iterable[str]) -> list[Link]:
    """Links (from, to) that a partition, one-way partition or bridge cuts; empty for every other kind."""
    nodes = list(names)
    if action.kind == "bridge":
        bridges, side = dict.fromkeys(action.targets), dict.fromkeys(action.nodes("side"))
        ends = [name for name in nodes if name not in bridges]
        return [(one, other) for one in ends for other in ends if (one in side) != (other in side)]
    if action.kind not in ("partition", "one-way-partition"):
        return []
    return _between(action, nodes, one_way=action.kind == "one-way-partition")


def spoiled_links(action: FaultAction, names: Iterable[str]) -> list[Link]:
    """Links whose condition a delay, jitter, loss, duplication, reorder or slow link changes."""
    nodes = list(names)
    if not action.targets:
        return [(one, other) for one in nodes for other in nodes if one != other]
    return _between(action, nodes, action.flag("one_way"))


def _between(action: FaultAction, nodes: list[str], one_way: bool) -> list[Link]:
    targets = dict.fromkeys(action.targets)
    others = action.nodes("others") or tuple(name for name in nodes if name not in targets)
    links: dict[Link, None] = {}
    for target in targets:
        for other in others:
            if target != other:
                links[target, other] = None
                if not one_way:
                    links[other, target] = None
    return list(links)


def spoiled(condition: LinkCondition, action: FaultAction) -> LinkCondition:
    """A link's condition with the fault on it. Delays add up; of other numbers the fault's own counts."""
    match action.kind:
        case "delay":
            return replace(condition, delay_ms=condition.delay_ms + action.number("delay_ms"))
        case "jitter":
            return replace(condition, jitter_ms=condition.jitter_ms + action.number("jitter_ms"))
        case "loss":
            return replace(condition, loss=action.share())
        case "duplication":
            return replace(condition, duplication=action.share())
        case "reorder":
            return replace(condition, reorder=action.share(), reorder_ms=float(action.number("by_ms")))
        case "slow-link":
            return replace(condition, bandwidth_bytes_per_s=action.number("bytes_per_s"))
    return condition


class LinkFaults:
    """The link faults that are on, kept applied to a policy. ``names``: all nodes."""

    def __init__(self, policy: LinkPolicy, names: Iterable[str]) -> None:
        self._policy = policy
        self._names = list(names)
        self._on: list[FaultAction] = []
        self._touched: dict[Link, None] = {}

    @property
    def on(self) -> tuple[FaultAction, ...]:
        """What is on, oldest first."""
        return tuple(self._on)

    def begin(self, action: FaultAction) -> None:
        """Put a fault of the links on."""
        self._on.append(action)
        self._apply()

    def end(self, action: FaultAction) -> None:
        """Take one away; nothing happens when it is not on."""
        if action in self._on:
            self._on.remove(action)
            self._apply()

    def heal(self) -> None:
        """Take all away."""
        self._on.clear()
        self._apply()

    def _apply(self) -> None:
        policy = self._policy
        policy.heal()
        for link in self._touched:
            policy.mend(*link)
        self._touched = {}
        for action in self._on:
            for link in cut_links(action, self._names):
                policy.cut_one_way(*link)
            if action.kind in ("partition", "one-way-partition", "bridge"):
                continue
            for link in spoiled_links(action, self._names):
                self._touched[link] = None
                policy.set_condition(*link, spoiled(policy.condition(*link), action))
