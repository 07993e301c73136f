"""Tables that stay where they are and change: on a terminal by rich, elsewhere one table after the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from network.cli.output import Output, rich_table, styled


class Screen:
    """Where a table is shown again and again. ``show`` replaces what was there."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def show(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        note: str = "",
        above: Sequence[str] = (),
        below: Sequence[str] = (),
    ) -> None:
        """A table with lines above and below it; ``note`` stands behind its last row."""
        self._out.table(columns, rows, note)
        for line in below:
            self._out.line(line)


class _LiveScreen(Screen):
    def __init__(self, out: Output, live: Any, group: Any) -> None:
        super().__init__(out)
        self._live = live
        self._group = group

    def show(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        note: str = "",
        above: Sequence[str] = (),
        below: Sequence[str] = (),
    ) -> None:
        parts = [styled(line) for line in above]
        parts.append(rich_table(columns, rows))
        parts += [styled(line) for line in ([note] if note else []) + list(below)]
        self._live.update(self._group(*parts), refresh=True)


def can_redraw() -> bool:
    """Whether standard output is a terminal that can go back to where it has written."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def live(out: Output) -> Iterator[Screen]:
    """A screen as long as the block lasts; the last table stays when it ends."""
    if out.as_json or not can_redraw():
        yield Screen(out)
        return
    # rich takes a tenth of a second to load, and only a terminal needs it
    from rich import console

    # the same
    from rich import live as lives

    shown = console.Console(highlight=False, no_color="NO_COLOR" in os.environ)
    with lives.Live(console=shown, auto_refresh=False, vertical_overflow="crop") as view:
        yield _LiveScreen(out, view, console.Group)
