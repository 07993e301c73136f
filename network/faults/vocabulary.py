"""Faults as data: which one, on whom, from when to when; and plans, which are lists of them.

A plan file is JSON or TOML; times are milliseconds after the start:

    {"faults": [{"at_ms": 5000, "kind": "loss", "targets": ["n0"], "share": 0.2, "until_ms": 9000}]}

    [[faults]]
    at_ms = 5000
    kind = "partition"
    targets = ["n0", "n1"]        # cut off from all others
    until_ms = 20000

The kinds and what each takes: ``network/faults/kinds.py``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from network.faults.kinds import KINDS, BadPlan, FaultKind, Unit, Value, kind_named

PLAN_BYTES_MAX: Final = 16 * 1024 * 1024
TIME_MS_MAX: Final = 10**9
_OWN_FIELDS: Final = ("at_ms", "kind", "targets", "until_ms")


@dataclass(frozen=True)
class FaultAction:
    """One fault. ``until_ms`` None: it lasts until everything is healed. Raises BadPlan."""

    at_ms: int
    kind: str
    targets: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    until_ms: int | None = None

    def __post_init__(self) -> None:
        kind = kind_named(self.kind)
        _check_time("at_ms", self.at_ms)
        if self.until_ms is not None:
            _check_time("until_ms", self.until_ms)
            if not kind.lasts:
                raise BadPlan(f"{kind.name} strikes once; until_ms has no meaning")
            if self.until_ms <= self.at_ms:
                raise BadPlan(f"until_ms {self.until_ms} is not after at_ms {self.at_ms}")
        if kind.needs_targets and not self.targets:
            raise BadPlan(f"{kind.name} needs targets: a list of node names")
        given = {name: kind.parameter(name).checked(value) for name, value in self.parameters.items()}
        complete: dict[str, Value] = {}
        for parameter in kind.parameters:
            if parameter.name in given:
                complete[parameter.name] = given[parameter.name]
            elif parameter.default is not None:
                complete[parameter.name] = parameter.default
            else:
                raise BadPlan(f"{kind.name} needs {parameter.name}: {parameter.text} ({parameter.unit.value})")
        object.__setattr__(self, "parameters", complete)

    @property
    def what(self) -> FaultKind:
        """Its kind."""
        return KINDS[self.kind]

    def number(self, name: str) -> int:
        """A parameter that is a whole number."""
        value = self.parameters[name]
        assert isinstance(value, int), f"{self.kind}.{name} is no whole number"
        return value

    def share(self, name: str = "share") -> float:
        """A parameter that is a probability."""
        value = self.parameters[name]
        assert isinstance(value, int | float), f"{self.kind}.{name} is no number"
        return float(value)

    def flag(self, name: str) -> bool:
        """A parameter that is true or false."""
        return self.parameters[name] is True

    def nodes(self, name: str) -> tuple[str, ...]:
        """A parameter that names nodes."""
        value = self.parameters[name]
        assert isinstance(value, tuple), f"{self.kind}.{name} names no nodes"
        return value

    def named(self) -> tuple[str, ...]:
        """Every node that it names, each once."""
        names = list(self.targets)
        for value in self.parameters.values():
            if isinstance(value, tuple):
                names.extend(value)
        return tuple(dict.fromkeys(names))

    def without(self, gone: Iterable[str]) -> FaultAction | None:
        """The same on a smaller cluster; None when nothing of it is left."""
        left_out = dict.fromkeys(gone)

        def kept(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in names if name not in left_out)

        parameters = {
            name: kept(value) if isinstance(value, tuple) else value for name, value in self.parameters.items()
        }
        targets = kept(self.targets)
        if self.targets and not targets:
            return None
        if any(value == () and self.parameters[name] != () for name, value in parameters.items()):
            return None  # an empty list would mean everybody
        return replace(self, targets=targets, parameters=parameters)

    def to_json(self) -> dict[str, Any]:
        """JSON types; parameters that have their default are left out."""
        document: dict[str, Any] = {"at_ms": self.at_ms, "kind": self.kind}
        if self.targets:
            document["targets"] = list(self.targets)
        for parameter in self.what.parameters:
            value = self.parameters[parameter.name]
            if value != parameter.default:
                document[parameter.name] = list(value) if isinstance(value, tuple) else value
        if self.until_ms is not None:
            document["until_ms"] = self.until_ms
        return document

    @classmethod
    def from_json(cls, document: object) -> FaultAction:
        """The inverse. Raises BadPlan."""
        if not isinstance(document, Mapping):
            raise BadPlan("expected an object with at_ms, kind and targets")
        if "kind" not in document:
            raise BadPlan("kind is missing: the name of a fault, one of " + ", ".join(KINDS))
        if "at_ms" not in document:
            raise BadPlan("at_ms is missing: milliseconds after the start")
        kind = kind_named(document["kind"])
        parameters = {}
        for name, value in document.items():
            if name not in _OWN_FIELDS:
                _check_field(kind, name)
                parameters[name] = value
        targets = document.get("targets", ())
        if not isinstance(targets, list | tuple) or not all(isinstance(name, str) for name in targets):
            raise BadPlan("targets: expected a list of node names")
        return cls(document["at_ms"], kind.name, tuple(targets), parameters, document.get("until_ms"))

    def __str__(self) -> str:
        """One line: ``5.0 s..9.0 s loss n0 share=0.2``."""
        until = "" if self.until_ms is None else f"..{self.until_ms / 1000:.1f} s"
        settings = []
        for parameter in self.what.parameters:
            value = self.parameters[parameter.name]
            if value != parameter.default:
                shown = ",".join(value) if isinstance(value, tuple) else value
                settings.append(f"{parameter.name}={shown}")
        words = [f"{self.at_ms / 1000:.1f} s{until}", self.kind, ",".join(self.targets) or "all", *settings]
        return " ".join(words)


@dataclass(frozen=True)
class Plan:
    """Faults in order of time."""

    actions: tuple[FaultAction, ...] = ()

    def __post_init__(self) -> None:
        ordered = sorted(enumerate(self.actions), key=lambda pair: (pair[1].at_ms, pair[0]))
        object.__setattr__(self, "actions", tuple(action for _, action in ordered))

    @property
    def end_ms(self) -> int:
        """When the last fault has begun and every one with an end has ended."""
        return max((max(action.at_ms, action.until_ms or 0) for action in self.actions), default=0)

    def byzantine(self) -> tuple[str, ...]:
        """Nodes that are told to lie at some time; everybody else is honest."""
        return tuple(dict.fromkeys(name for one in self.actions if one.what.is_byzantine for name in one.targets))

    def check_names(self, names: Iterable[str]) -> None:
        """Raises BadPlan where a node is named that there is not."""
        known = dict.fromkeys(names)
        for position, action in enumerate(self.actions):
            for name in action.named():
                if name not in known:
                    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                    hint = f"did you mean {near[0]}?" if near else "there are " + ", ".join(known)
                    raise BadPlan(f"fault {position + 1} ({action.kind}): there is no node {name!r}; {hint}")

    def without(self, gone: Iterable[str]) -> Plan:
        """The same on a smaller cluster."""
        names = tuple(gone)
        left = (action.without(names) for action in self.actions)
        return Plan(tuple(action for action in left if action is not None))

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {"faults": [action.to_json() for action in self.actions]}

    @classmethod
    def from_json(cls, document: object) -> Plan:
        """The inverse. Raises BadPlan, naming the fault by its place (from 1)."""
        if not isinstance(document, Mapping) or set(document) - {"faults"}:
            unknown = (
                ", ".join(repr(name) for name in document if name != "faults") if isinstance(document, Mapping) else ""
            )
            raise BadPlan('expected {"faults": [...]}' + (f"; unknown: {unknown}" if unknown else ""))
        listed = document.get("faults", [])
        if not isinstance(listed, list):
            raise BadPlan("faults: expected a list")
        actions = []
        for position, entry in enumerate(listed):
            try:
                actions.append(FaultAction.from_json(entry))
            except BadPlan as problem:
                raise BadPlan(f"fault {position + 1}: {problem}") from problem
        return cls(tuple(actions))


def read_plan(path: Path) -> Plan:
    """A plan file: TOML when its name ends in .toml, else JSON. Raises BadPlan, which names the file."""
    try:
        with path.open("rb") as file:
            data = file.read(PLAN_BYTES_MAX + 1)
        if len(data) > PLAN_BYTES_MAX:
            raise BadPlan(f"larger than {PLAN_BYTES_MAX} bytes")
        text = data.decode("utf-8")
        document = tomllib.loads(text) if path.suffix == ".toml" else orjson.loads(text)  # bounds nesting
        return Plan.from_json(document)
    except OSError as error:
        raise BadPlan(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # BadPlan and both parsers' errors are ValueErrors
        raise BadPlan(f"{path}: {error}") from error


def _check_time(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TIME_MS_MAX:
        raise BadPlan(f"{name}: expected milliseconds, a whole number up to {TIME_MS_MAX}")


def _check_field(kind: FaultKind, name: object) -> None:
    if not isinstance(name, str):
        raise BadPlan(f"{name!r} is no name of a field")
    near = difflib.get_close_matches(name, _OWN_FIELDS, n=1, cutoff=0.75)
    if near and all(parameter.name != name for parameter in kind.parameters):
        raise BadPlan(f"{kind.name} has no {name!r}; did you mean {near[0]}?")
    kind.parameter(name)


__all__ = ["KINDS", "BadPlan", "FaultAction", "FaultKind", "Plan", "Unit", "Value", "kind_named", "read_plan"]
