"""What goes where: data to standard output, progress and trouble to standard error.

Tables are drawn by rich on a terminal and are plain aligned columns elsewhere (pipes, logs, tests).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from network.failures import Failure


class Output:
    """One command's voice."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json

    def line(self, text: str = "") -> None:
        """A line of data for people; silent with --json."""
        if not self.as_json:
            print(text, flush=True)

    def document(self, content: Any) -> None:
        """The one JSON document of a command; silent without --json."""
        if self.as_json:
            print(json.dumps(content, indent=2), flush=True)

    def record(self, content: Any) -> None:
        """One JSON line of a stream; silent without --json."""
        if self.as_json:
            print(json.dumps(content), flush=True)

    def progress(self, text: str) -> None:
        """What is going on, on standard error."""
        print(text, file=sys.stderr, flush=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
        """A table; ``note`` stands behind its last row."""
        if self.as_json:
            return
        if sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb":
            _print_rich(columns, rows, note)
            return
        for text in plain_table(columns, rows, note):
            print(text)
        sys.stdout.flush()


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> list[str]:
    """Aligned columns, two blanks apart."""
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    if note:
        lines[-1] += f"  {note}"
    return lines


def rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """The table as rich draws it."""
    # imported here: costs more than most commands, and only a terminal needs it
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*(styled(cell) for cell in row))
    return table


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(rich_table(columns, rows))
    if note:
        console.print(styled(note))


def styled(text: str) -> Any:
    """A cell or a line in the colour of what it says: red for trouble, green where all is well."""
    from rich.text import Text

    bad = text.startswith(("✘", "fault:")) or text in ("stopped", "not answering", "NO")
    good = text.startswith("✔") or text == "yes"
    return Text(text, style="bold red" if bad else "green" if good else "")


def report_failure(failure: Failure, as_json: bool) -> None:
    """A failure and its next step."""
    if as_json:
        error: Mapping[str, Any] = {
            "message": failure.message,
            "hint": failure.hint,
            "exit_code": failure.exit_code,
            **{key: value for key, value in failure.facts.items() if value is not None},
        }
        print(json.dumps({"error": error}, indent=2), flush=True)
    print(f"error: {failure.message}", file=sys.stderr)
    if failure.hint:
        print(f"  hint: {failure.hint}", file=sys.stderr)


def shorten(hexadecimal: str, head: int = 6, tail: int = 4) -> str:
    """``0x91c4…d2``-like form of a hash or an address."""
    if len(hexadecimal) <= head + tail + 1:
        return hexadecimal
    return f"{hexadecimal[:head]}…{hexadecimal[-tail:]}"


def seconds(value: float) -> str:
    """A duration as people read it: ``12 ms``, ``0.21 s``, ``1.9 s``."""
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def shown(value: int | str | None) -> str:
    """A cell: the value, or a dash where it is not known."""
    return "-" if value is None else str(value)


def with_tilde(path: Path) -> str:
    """A path as people write it, with ~ for the home folder."""
    home = str(Path.home())
    text = str(path)
    return "~" + text.removeprefix(home) if text.startswith(home + "/") else text
