"""Charts as SVG, written by hand: lines over seconds, two panels, nothing to install and nothing loaded from elsewhere.

Colours follow the reader's light or dark mode where the program that shows the file knows of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from network.load.report import Report

WIDTH: Final = 900
LEFT: Final = 64
RIGHT: Final = 150
TOP: Final = 58
PANEL: Final = 190
GAP: Final = 62
POINTS_MAX: Final = 600
"""A line has no more; a longer load is drawn by the mean of neighbours."""
STYLE: Final = """
text{font:12px system-ui,sans-serif;fill:#333}
.title{font-size:15px;font-weight:600}
.axis{stroke:#999;stroke-width:1}
.grid{stroke:#ddd;stroke-width:1}
.event{stroke:#b40;stroke-width:1;stroke-dasharray:4 3}
.line{fill:none;stroke-width:1.8}
.a{stroke:#888}.b{stroke:#1668c4}.c{stroke:#1d8a4a}.d{stroke:#c47a16}
.back{fill:#fff}
@media (prefers-color-scheme:dark){text{fill:#ccc}.back{fill:#16181c}.grid{stroke:#333}.a{stroke:#aaa}.b{stroke:#5aa5ff}
.c{stroke:#4cc97f}.d{stroke:#f0ab4e}}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel; None where there is no value."""

    label: str
    style: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that is drawn as a line from top to bottom."""

    second: float
    label: str


def plot(report: Report, marks: Sequence[Mark] = ()) -> str:
    """A report as an SVG document: transactions a second, and latency, over the seconds of the load."""
    rows = report.timeline
    rates = [
        Line("due", "a", [row.due for row in rows]),
        Line("in a block", "b", [row.included for row in rows]),
        Line("final", "c", [row.final for row in rows]),
    ]
    latencies = [
        Line("in a block, p50", "b", [row.included_p50_ms for row in rows]),
        Line("in a block, p95", "d", [row.included_p95_ms for row in rows]),
        Line("final, p50", "c", [row.final_p50_ms for row in rows]),
    ]
    total = len(rows)
    words = (
        f"{', '.join(report.kinds)}: {report.offered_per_s:g}/s offered, {report.included_per_s:g}/s in blocks, "
        f"{report.final} of {report.sent} final"
    )
    height = TOP + 2 * PANEL + GAP + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(words)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="{LEFT}" y="26">{escape(words)}</text>',
        *_panel("transactions a second", rates, TOP, total, marks, named=True),
        *_panel("latency from the due moment, ms", latencies, TOP + PANEL + GAP, total, marks, named=False),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{height - 8}" text-anchor="middle">seconds</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(title: str, lines: Sequence[Line], top: int, seconds: int, marks: Sequence[Mark], named: bool) -> list[str]:
    highest = max((value for line in lines for value in line.values if value is not None), default=0.0)
    step = nice_step(highest)
    ceiling = step * max(1, -(-highest // step))
    right, bottom = WIDTH - RIGHT, top + PANEL
    parts = [f'<text x="{LEFT}" y="{top - 10}">{escape(title)}</text>']
    level = 0.0
    while level <= ceiling * 1.0001:
        y = bottom - PANEL * level / ceiling
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{level:g}</text>')
        level += step
    span = max(1, seconds - 1)
    for second in _ticks(seconds):
        x = LEFT + (right - LEFT) * second / span
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{second}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    for place, mark in enumerate(marks):
        x = LEFT + (right - LEFT) * min(max(mark.second, 0.0), span) / span
        parts.append(f'<line class="event" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        if named:
            parts.append(f'<text x="{x + 3:.1f}" y="{top + 10 + 14 * (place % 4)}">{escape(mark.label)}</text>')
    for row, line in enumerate(lines):
        parts.append(_path(line, span, ceiling, right, bottom))
        y = top + 14 + 18 * row
        parts.append(f'<line class="line {line.style}" x1="{right + 12}" x2="{right + 32}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{right + 38}" y="{y + 4}">{escape(line.label)}</text>')
    return parts


def _path(line: Line, span: int, ceiling: float, right: int, bottom: int) -> str:
    """The line; where values are missing it is broken."""
    width = max(1, -(-len(line.values) // POINTS_MAX))
    words = []
    pen_down = False
    for start in range(0, len(line.values), width):
        known = [value for value in line.values[start : start + width] if value is not None]
        if not known:
            pen_down = False
            continue
        x = LEFT + (right - LEFT) * start / span
        y = bottom - PANEL * (sum(known) / len(known)) / ceiling
        words.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        pen_down = True
    return f'<path class="line {line.style}" d="{" ".join(words)}"/>'


def nice_step(highest: float) -> float:
    """1, 2 or 5 times a power of ten, so that four to nine of them reach ``highest``."""
    if highest <= 0:
        return 1.0
    size = 10.0 ** (len(str(int(highest))) - 1) / 10 if highest >= 1 else 0.01
    for factor in (1, 2, 5, 10, 20, 50, 100):
        if highest / (size * factor) <= 8:
            return size * factor
    return size * 100


def _ticks(seconds: int) -> list[int]:
    step = max(1, round(nice_step(seconds - 1)))
    return list(range(0, seconds, step))
