"""A bug put into an engine from outside, never by a flag inside, and the scenario or seed that must find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

Patch = tuple[object, str, object]

KILLED = (AssertionError, LookupError, pytest.fail.Exception)
"""How a killer says that it has found the bug; a walk over an unknown root is as dead as a wrong answer."""


@dataclass(frozen=True)
class Mutant:
    """A named bug. ``patches``: (owner, attribute, value)."""

    name: str
    patches: tuple[Patch, ...]
    killer: Callable[[], object]


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The bug is in for everybody, liars too."""
    saved = [(owner, name, getattr(owner, name)) for owner, name, _ in mutant.patches]
    for owner, name, value in mutant.patches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in saved:
            setattr(owner, name, value)


def check_killed(mutant: Mutant) -> None:
    """The killer is content without the bug, and finds it when it is there."""
    mutant.killer()
    with planted(mutant), pytest.raises(KILLED):
        mutant.killer()
