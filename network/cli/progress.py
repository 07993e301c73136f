"""Progress of long work on standard error: a bar on a terminal, a line now and then elsewhere, nothing with --json."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

LINE_SECONDS: Final = 10.0


class Progress:
    """How far something has come. ``total`` None: nobody knows how far it is."""

    def __init__(self, label: str, total: int | None) -> None:
        self._label = label
        self._total = total
        self._spoken = time.monotonic()

    def at(self, done: int, note: str = "") -> None:
        """So much is done."""
        now = time.monotonic()
        if now - self._spoken >= LINE_SECONDS:
            self._spoken = now
            of = "" if self._total is None else f" of {self._total}"
            print(f"{self._label}: {done}{of}{'  ' + note if note else ''}", file=sys.stderr, flush=True)


class _Bar(Progress):
    def __init__(self, label: str, total: int | None, bar: Any, task: Any) -> None:
        super().__init__(label, total)
        self._bar = bar
        self._task = task

    def at(self, done: int, note: str = "") -> None:
        self._bar.update(self._task, completed=done, note=note)


def has_terminal() -> bool:
    """Whether standard error is a terminal that can draw."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def progress(label: str, total: int | None, quiet: bool = False) -> Iterator[Progress]:
    """A bar as long as the block lasts. ``quiet``: say nothing at all."""
    if quiet:
        yield _Silent(label, total)
        return
    if not has_terminal():
        yield Progress(label, total)
        return
    from rich import console  # rich takes a tenth of a second to load, and only a terminal needs it
    from rich import progress as bars  # the same

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[note]}"),
    )
    with bars.Progress(
        *columns, console=console.Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
    ) as shown:
        yield _Bar(label, total, shown, shown.add_task(label, total=total, note=""))


class _Silent(Progress):
    def at(self, done: int, note: str = "") -> None:
        pass
