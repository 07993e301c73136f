"""Every kind of fault that can be put on a cluster, by name: what it is, what it takes, how long it lasts.

One table for the simulator and for real processes. A kind says what goes wrong, not how it is brought about: that is
the business of whoever applies it (``network/simulator``, ``network/cluster``).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

Value: TypeAlias = int | float | bool | tuple[str, ...]
"""Of a parameter. A tuple of strings names nodes."""

BUG_FILE: Final = "evm-bug"
"""Beside a node's node.toml: the name of the seeded mistake that its EVM shall have (evm_bugs.py)."""


class BadPlan(ValueError):
    """A fault, or a list of faults, that cannot be used; the text says which one and what to write."""


class Group(Enum):
    """What a fault befalls."""

    PROCESS = "process"
    DISK = "disk"
    CLOCK = "clock"
    LINK = "link"
    BYZANTINE = "byzantine"


class Unit(Enum):
    """What a parameter's number counts."""

    COUNT = "count"
    MILLISECONDS = "ms"
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes/s"
    PPM = "parts per million"
    SHARE = "share (0 to 1)"
    NODES = "node names"
    FLAG = "true or false"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a kind. ``default`` None: it must be given."""

    name: str
    unit: Unit
    default: Value | None
    text: str
    low: float = 0
    high: float = 10**9

    def checked(self, value: object) -> Value:
        """The value in its type. Raises BadPlan."""
        if self.unit is Unit.NODES:
            if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
                return tuple(value)
            raise BadPlan(f"{self.name}: expected a list of node names")
        if self.unit is Unit.FLAG:
            if isinstance(value, bool):
                return value
            raise BadPlan(f"{self.name}: expected true or false")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadPlan(f"{self.name}: expected a number ({self.unit.value})")
        if self.unit is not Unit.SHARE and not isinstance(value, int):
            raise BadPlan(f"{self.name}: expected a whole number ({self.unit.value})")
        high = min(self.high, 1) if self.unit is Unit.SHARE else self.high
        if not self.low <= value <= high:
            raise BadPlan(f"{self.name}: {value} is not in {self.low:g}..{high:g} ({self.unit.value})")
        return value


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind. ``lasts``: it goes on until it ends; else it strikes once, and ``until_ms`` has no meaning."""

    name: str
    group: Group
    text: str
    parameters: tuple[Parameter, ...] = ()
    lasts: bool = True
    needs_targets: bool = True

    @property
    def is_byzantine(self) -> bool:
        """Whether its targets count as faulty validators."""
        return self.group is Group.BYZANTINE

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name. Raises BadPlan, naming the nearest one."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        near = difflib.get_close_matches(name, [parameter.name for parameter in self.parameters], n=1)
        known = ", ".join(parameter.name for parameter in self.parameters) or "nothing but times and targets"
        raise BadPlan(f"{self.name} has no {name!r}; " + (f"did you mean {near[0]}?" if near else f"it takes {known}"))


_OTHERS: Final = Parameter("others", Unit.NODES, (), "the far ends of the links; empty: all other nodes")
_ONE_WAY: Final = Parameter("one_way", Unit.FLAG, False, "only what targets send, not what they receive")
_LINK: Final = (_OTHERS, _ONE_WAY)
_RATE: Final = Parameter("share", Unit.SHARE, 1.0, "of the occasions that come up")


def _link(name: str, text: str, *parameters: Parameter) -> FaultKind:
    return FaultKind(name, Group.LINK, text, (*parameters, *_LINK), needs_targets=False)


def _byzantine(name: str, text: str, *parameters: Parameter) -> FaultKind:
    return FaultKind(name, Group.BYZANTINE, text, (_RATE, *parameters))


_ALL: Final = (
    FaultKind("crash", Group.PROCESS, "the process is killed (SIGKILL) and starts again when the fault ends"),
    FaultKind(
        "kill-between-effects",
        Group.PROCESS,
        "the process is killed between two effects of its engine: after signing, before sending, and so on",
        (Parameter("effects", Unit.COUNT, 3, "effects that are still carried out", high=10_000),),
    ),
    FaultKind("pause", Group.PROCESS, "the process stands still (SIGSTOP); its connections stay open"),
    FaultKind("restart", Group.PROCESS, "the process is asked to end and starts again at once", lasts=False),
    FaultKind(
        "slow-node",
        Group.PROCESS,
        "everything the node computes takes longer",
        (Parameter("work_ms", Unit.MILLISECONDS, 200, "added to each piece of work", high=60_000),),
    ),
    FaultKind("lost-disk", Group.DISK, "the process is killed and its disk is empty when it starts again"),
    FaultKind("torn-log", Group.DISK, "the power goes: what was not fsynced is lost, the last write may be torn"),
    FaultKind(
        "full-disk",
        Group.DISK,
        "the disk takes no more",
        (Parameter("free_bytes", Unit.BYTES, 0, "that can still be written", high=10**12),),
    ),
    FaultKind(
        "clock-offset",
        Group.CLOCK,
        "the wall clock is wrong by a constant",
        (Parameter("offset_ms", Unit.MILLISECONDS, None, "ahead; negative: behind", low=-(10**9)),),
    ),
    FaultKind(
        "clock-drift",
        Group.CLOCK,
        "clock and timers run too fast or too slow",
        (Parameter("ppm", Unit.PPM, None, "too fast; negative: too slow", low=-500_000, high=500_000),),
    ),
    FaultKind(
        "clock-jump",
        Group.CLOCK,
        "the wall clock is set, and stays so",
        (Parameter("by_ms", Unit.MILLISECONDS, None, "forward; negative: back", low=-(10**9)),),
        lasts=False,
    ),
    FaultKind(
        "partition",
        Group.LINK,
        "nothing passes between targets and others, in either direction",
        (_OTHERS,),
    ),
    FaultKind(
        "one-way-partition",
        Group.LINK,
        "nothing passes from targets to others; the way back stays open",
        (_OTHERS,),
    ),
    FaultKind(
        "bridge",
        Group.LINK,
        "the cluster is cut in two, and only targets hear both sides",
        (Parameter("side", Unit.NODES, None, "nodes of one side; all that are not named are the other"),),
    ),
    _link("delay", "frames take longer", Parameter("delay_ms", Unit.MILLISECONDS, None, "one way", high=600_000)),
    _link(
        "jitter",
        "frames take longer by chance",
        Parameter("jitter_ms", Unit.MILLISECONDS, None, "at most, one way", high=600_000),
    ),
    _link("loss", "frames get lost", Parameter("share", Unit.SHARE, None, "of the frames")),
    _link("duplication", "frames arrive twice", Parameter("share", Unit.SHARE, None, "of the frames")),
    _link(
        "reorder",
        "frames overtake one another",
        Parameter("share", Unit.SHARE, None, "of the frames"),
        Parameter("by_ms", Unit.MILLISECONDS, 50, "how much later, at most", high=600_000),
    ),
    _link(
        "slow-link",
        "the link carries few bytes a second",
        Parameter("bytes_per_s", Unit.BYTES_PER_SECOND, None, "carried", low=1, high=10**12),
    ),
    _byzantine("equivocating-proposer", "signs two different proposals for one turn, and shows each to some"),
    _byzantine("double-vote", "signs two different votes where one is allowed, and shows each to some"),
    _byzantine("surround-vote", "pos: signs a vote whose link reaches over an earlier vote's"),
    _byzantine("wrong-state-root", "proposes blocks whose state root is not what execution gives"),
    _byzantine("invalid-transaction", "proposes blocks with a transaction that must not be in them"),
    _byzantine(
        "withheld-block",
        "proposes and shows it to nobody, or late",
        Parameter("late_ms", Unit.MILLISECONDS, 0, "until it is shown after all; 0: never", high=600_000),
    ),
    _byzantine("silent-voter", "does not send its votes"),
    _byzantine("stale-replay", "sends old messages again"),
    FaultKind("amnesia", Group.BYZANTINE, "is killed, and starts without what it had signed"),
    FaultKind("twins", Group.BYZANTINE, "runs twice with one key; each half is heard by some"),
)

KINDS: Final[Mapping[str, FaultKind]] = {kind.name: kind for kind in _ALL}


def kind_named(name: object) -> FaultKind:
    """The kind of that name. Raises BadPlan, naming the nearest one."""
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        near = difflib.get_close_matches(str(name), KINDS, n=1, cutoff=0.5)
        known = f"did you mean {near[0]}?" if near else "known: " + ", ".join(KINDS)
        raise BadPlan(f"there is no fault {name!r}; {known}")
    return kind
