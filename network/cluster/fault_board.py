"""The faults that are on in a running network: one file that commands write and the link process carries out.

``faults.json`` in the run directory survives everybody: a link process that is started again finds the same faults,
and ``evmesh why`` reads from it which fault explains what it sees, and since when.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from network.cluster.process import write_json
from network.failures import Failure
from network.faults.kinds import BadPlan, Group, Unit, Value
from network.faults.vocabulary import FaultAction

FILE_NAME: Final = "faults.json"
PAST: Final = ("lost-disk", "clock-jump")
_LOCK_NAME: Final = ".faults.lock"


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault that is on. ``since_ms``: wall time."""

    action: FaultAction
    since_ms: int
    words: str = ""
    """How people say it; empty: as its kind says it."""

    @property
    def kind(self) -> str:
        """Its name in the vocabulary."""
        return self.action.kind

    @property
    def group(self) -> Group:
        """What it befalls."""
        return self.action.what.group

    @property
    def clock(self) -> str:
        """The time of day at which it began, ``14:02:11``."""
        return time.strftime("%H:%M:%S", time.localtime(self.since_ms / 1000))

    def touches(self, node: str) -> bool:
        """Whether it was put on this node (for links: on one end)."""
        return node in self.action.targets

    def __str__(self) -> str:
        if self.words:
            return self.words
        given = self.action.parameters
        settings = [
            _amount(self.action.what.parameter(name).unit, value)
            for name, value in given.items()
            if not isinstance(value, bool | tuple)
        ]
        where = ",".join(self.action.targets) or "all"
        if "others" in given:
            where += f" {'->' if given.get('one_way') else '<->'} {','.join(self.action.nodes('others')) or 'all'}"
        return " ".join([self.kind, *settings, "of" if self.kind.startswith("clock") else "on", where])

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {"since_ms": self.since_ms, "words": self.words, **self.action.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ActiveFault:
        """The inverse. Raises BadPlan, KeyError."""
        rest = {key: value for key, value in document.items() if key not in ("since_ms", "words")}
        return cls(FaultAction.from_json(rest), int(document["since_ms"]), str(document.get("words", "")))


@dataclass(frozen=True, slots=True)
class Board:
    """All of them, oldest first. ``generation`` grows with every change."""

    generation: int = 0
    faults: tuple[ActiveFault, ...] = ()
    resets: Mapping[str, int] = field(default_factory=dict)
    """``n0>n1`` to the generation in which connections of that link were to be broken."""
    liars: tuple[str, ...] = ()
    """Nodes that were ever told to lie: what they signed then can convict them for as long as the chain lives."""

    def of_group(self, *groups: Group) -> list[ActiveFault]:
        """Those that befall links, processes, …"""
        return [fault for fault in self.faults if fault.group in groups]

    @property
    def lasting(self) -> list[ActiveFault]:
        """Those that still go on; a disk that was lost is of the past, but the judge must know of it."""
        return [fault for fault in self.faults if fault.kind not in PAST]

    def on_node(self, node: str, kind: str) -> ActiveFault | None:
        """The newest fault of a kind on a node."""
        found = [fault for fault in self.faults if fault.kind == kind and fault.touches(node)]
        return found[-1] if found else None

    def with_fault(self, action: FaultAction, words: str = "") -> Board:
        """One more, from now on."""
        told = action.targets if action.what.is_byzantine else ()
        liars = (*self.liars, *(node for node in told if node not in self.liars))
        return replace(self, faults=(*self.faults, ActiveFault(action, now_ms(), words)), liars=liars)

    def cleared(self) -> Board:
        """Without any fault. Who lied is not forgotten."""
        return Board(self.generation, liars=self.liars)

    def without(self, gone: Callable[[ActiveFault], bool]) -> Board:
        """Without those that ``gone`` names."""
        return replace(self, faults=tuple(fault for fault in self.faults if not gone(fault)))

    def without_node(self, node: str, kinds: Iterable[str]) -> Board:
        """Without faults of these kinds on a node (each of them is put on single nodes)."""
        wanted = tuple(kinds)
        return self.without(lambda fault: fault.kind in wanted and fault.touches(node))

    def with_reset(self, links: Iterable[tuple[str, str]]) -> Board:
        """Connections of these links to be broken, once."""
        return replace(self, resets={**self.resets, **{f"{one}>{two}": self.generation + 1 for one, two in links}})

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "generation": self.generation,
            "faults": [fault.to_json() for fault in self.faults],
            "resets": dict(self.resets),
            "liars": list(self.liars),
        }


def _amount(unit: Unit, value: Value) -> str:
    if unit is Unit.PPM:
        return f"{value} ppm"
    if unit is Unit.SHARE and not isinstance(value, tuple):
        return f"{100 * value:g}%"
    return f"{value} {unit.value}" if unit is not Unit.COUNT else str(value)


def now_ms() -> int:
    """Wall time."""
    return time.time_ns() // 1_000_000


def read_board(directory: Path) -> Board:
    """The faults of a run directory; none where no fault was ever put on. Raises Failure."""
    path = directory / FILE_NAME
    try:
        content = json.loads(path.read_text("utf-8"))
        return Board(
            int(content["generation"]),
            tuple(ActiveFault.from_json(entry) for entry in content["faults"]),
            {str(key): int(value) for key, value in content.get("resets", {}).items()},
            tuple(str(node) for node in content.get("liars", ())),
        )
    except FileNotFoundError:
        return Board()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadPlan) as error:
        raise Failure(f"{path} cannot be used: {error}", f"remove it with: rm {path}") from None


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def change_board(directory: Path, change: Callable[[Board], Board]) -> tuple[Board, Board]:
    """Replace the board by what ``change`` makes of it, one command at a time; (before, after). Raises Failure."""
    with _locked(directory):
        before = read_board(directory)
        after = replace(change(before), generation=before.generation + 1)
        write_json(directory / FILE_NAME, after.to_json())
    return before, after
