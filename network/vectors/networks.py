"""The fork and network names of fixtures, and the rules they stand for: the one table of them.

``X``              one fork from the first block on
``XToYAtTime15k``  Y from timestamp 15,000 on
``XToYAt5``        Y from block 5 on
``XToYAtDiffC0000`` Y once the parent's total difficulty has reached 0xC0000 (the Merge)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.evm.spec import Spec
from node.forks.schedule import SPECS_BY_NAME

_ALIASES: Final = {
    "EIP150": "Tangerine Whistle",
    "EIP158": "Spurious Dragon",
    "ConstantinopleFix": "Petersburg",
    "Merge": "Paris",
    "Merged": "Paris",
}
"""Fixtures' own names."""

_SPECS: Final = {name.replace(" ", ""): spec for name, spec in SPECS_BY_NAME.items()}

_TRANSITION: Final = re.compile(r"(\w+?)To(\w+?)At(?:Time(\d+)(k?)|Diff([0-9a-fA-F]+)|(\d+))")

SpecAt = Callable[[int, int, int], Spec]


@dataclass(frozen=True, slots=True)
class Network:
    """A fixture's network: which rules a block has by its number, timestamp and its parent's total difficulty."""

    name: str
    spec_at: SpecAt


def spec_named(name: str) -> Spec | None:
    """The rules that fixtures call ``name``; None where they are not known here."""
    return _SPECS.get(_ALIASES.get(name, name).replace(" ", ""))


def same_network(first: str, second: str) -> bool:
    """Two names of one fork, or the same name."""
    return first == second or (spec_named(first) is not None and spec_named(first) is spec_named(second))


def known_forks() -> list[str]:
    """What ``--fork`` takes, oldest first; any ``XToYAt…`` of them too."""
    return list(_SPECS)


def network_named(name: str) -> Network | None:
    """The network that fixtures call ``name``; None where it is not known here."""
    spec = spec_named(name)
    if spec is not None:
        only = spec
        return Network(name, lambda number, timestamp, total_difficulty: only)
    found = _TRANSITION.fullmatch(name)
    if found is None:
        return None
    before, after = spec_named(found[1]), spec_named(found[2])
    if before is None or after is None:
        return None
    return Network(name, _transition(before, after, found))


def _transition(before: Spec, after: Spec, found: re.Match[str]) -> SpecAt:
    _, _, time, thousands, difficulty, block = found.groups()
    if time is not None:
        start = int(time) * (1000 if thousands else 1)
        return lambda number, timestamp, total: after if timestamp >= start else before
    if difficulty is not None:
        terminal = int(difficulty, 16)
        return lambda number, timestamp, total: after if total >= terminal else before
    first = int(block)
    return lambda number, timestamp, total: after if number >= first else before
