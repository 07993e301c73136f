"""A run as data, for both levels: cluster, links, faults. A run follows from it and from nothing else.

Until ``calm_ms`` the faults go on; then everything is healed but the liars, and progress is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from network.faults.vocabulary import BadPlan, Plan

ENGINES: Final = ("bft", "pos")
NODES_MAX: Final = 128
KEYS_MAX: Final = 64
REDUNDANCY: Final = {"bft": ("polka-gossip", "convictions"), "pos": ("vote-repair",)}
"""What may be switched off because it hides bugs: messages that only repair what got lost; and convictions by blocks,
which silence a liar after its first lie."""


@dataclass(frozen=True)
class Scenario:
    """One run. Times in virtual milliseconds. Raises BadPlan."""

    engine: str = "bft"
    seed: int = 0
    nodes: int = 4
    weights: tuple[int, ...] = ()
    """Voting weight of each node; all 1 when empty."""
    until_ms: int = 60_000
    calm_ms: int = 30_000
    delay_min_ms: int = 5
    delay_ms: int = 80
    """Of every link, one way: from ``delay_min_ms`` up to this, by chance."""
    duplication: float = 0.0
    """Share of messages that come twice, after the calm too."""
    without: tuple[str, ...] = ()
    """Redundancy that is switched off."""
    block_time_ms: int = 400
    """bft: pace of blocks."""
    slot_ms: int = 1000
    slots_per_epoch: int = 2
    keys: int = 2
    """pos: validators a node."""
    rate: int = 5
    """Level 2: transactions a second that users send."""
    faults: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise BadPlan(f"there is no engine {self.engine!r}; known: " + ", ".join(ENGINES))
        _within("nodes", self.nodes, 1, NODES_MAX)
        _within("keys", self.keys, 1, KEYS_MAX)
        _within("until_ms", self.until_ms, 0, 10**9)
        _within("calm_ms", self.calm_ms, 0, 10**9)
        _within("delay_ms", self.delay_ms, 0, 10**6)
        _within("delay_min_ms", self.delay_min_ms, 0, 10**6)
        _within("rate", self.rate, 0, 1000)
        _within("block_time_ms", self.block_time_ms, 1, 10**6)
        _within("slot_ms", self.slot_ms, 1000, 60_000)
        _within("slots_per_epoch", self.slots_per_epoch, 2, 64)
        if self.weights and (len(self.weights) != self.nodes or min(self.weights) < 1):
            raise BadPlan(f"weights: expected {self.nodes} numbers above 0")
        for name in self.without:
            if name not in REDUNDANCY[self.engine]:
                raise BadPlan(f"without: {name!r} is none of {', '.join(REDUNDANCY[self.engine])}")
        self.faults.check_names(self.names)

    @property
    def names(self) -> list[str]:
        """Every instance: n0, n1, …, and n2+ where n2 has a twin."""
        twins = self.twins
        return [f"n{index}{half}" for index in range(self.nodes) for half in ("", "+")[: 1 + (f"n{index}" in twins)]]

    @property
    def twins(self) -> dict[str, None]:
        """Nodes that run twice, from start to end."""
        return dict.fromkeys(
            name for action in self.faults.actions if action.kind == "twins" for name in action.targets
        )

    @property
    def liars(self) -> dict[int, None]:
        """Numbers of the nodes that are Byzantine at any time."""
        return dict.fromkeys(_number(name) for name in self.faults.byzantine())

    @property
    def faulty(self) -> dict[int, None]:
        """The liars, and under bft who loses its disk: it keeps silent for a while, and what it knew is gone."""
        if self.engine != "bft":
            return self.liars
        lost = (name for one in self.faults.actions if one.kind == "lost-disk" for name in one.targets)
        return self.liars | dict.fromkeys(_number(name) for name in lost)

    def weight(self, index: int) -> int:
        """A node's voting weight."""
        return self.weights[index] if self.weights else 1

    @property
    def total_weight(self) -> int:
        """Of all nodes."""
        return sum(self.weight(index) for index in range(self.nodes))

    @property
    def faulty_weight(self) -> int:
        """Of the faulty nodes; progress is promised while it is below a third."""
        return sum(self.weight(index) for index in self.faulty)

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        document = asdict(self)
        document["weights"], document["without"] = list(self.weights), list(self.without)
        document["faults"] = self.faults.to_json()["faults"]
        return document

    @classmethod
    def from_json(cls, document: object) -> Scenario:
        """The inverse. Raises BadPlan."""
        if not isinstance(document, Mapping):
            raise BadPlan("expected an object")
        known = {one.name: one for one in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in document.items():
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                raise BadPlan(f"there is no {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
            if name == "faults":
                value = Plan.from_json({"faults": value})
            elif name in ("weights", "without"):
                wanted = int if name == "weights" else str
                if not isinstance(value, list) or not all(type(one) is wanted for one in value):
                    raise BadPlan(f"{name}: expected a list")
                value = tuple(value)
            elif name == "engine":
                if not isinstance(value, str):
                    raise BadPlan("engine: expected a name")
            elif type(value) is not int and not (name == "duplication" and type(value) is float):
                raise BadPlan(f"{name}: expected a whole number")
            values[name] = value
        return cls(**values)


def _number(name: str) -> int:
    return int(name.removeprefix("n").removesuffix("+"))


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BadPlan(f"{name}: {value} is not in {low}..{high}")
