"""What ``replay`` does with a file of ``bisect``."""

from __future__ import annotations

from pathlib import Path

from network.bisect import Kind
from network.cli.bisect import told
from network.cli.output import Output
from network.cli.progress import progress
from network.failures import EXIT_DISAGREEMENT
from network.repro import is_same, plain, read_repro, replay_repro


def show_again(file: Path, out: Output) -> int:
    """Execute the file's chain, compare the two on its block, and tell; the exit code."""
    repro = read_repro(file)
    with progress("blocks executed", len(repro.blocks), quiet=out.as_json) as bar:
        found = replay_repro(repro, bar.at)
    first, second = repro.sides
    same = is_same(repro, found)
    if found.kind is Kind.NONE:
        out.line(f"no difference: {first.name} and {second.name} make the same of block #{len(repro.blocks) + 1} here")
    else:
        out.line(f"block        #{len(repro.blocks) + 1} on the state after {len(repro.blocks)} executed blocks")
        for line in told(found, (first.name, second.name))[2:]:
            out.line(line)
    for side in repro.sides:
        if side.bug:
            out.line(f"{side.name} has the seeded mistake {side.bug}")
    out.line("the same difference as then" if same else f"then it was: {repro.found['kind']}")
    out.document({"nodes": [first.name, second.name], "same": same, **plain(found)})
    return 0 if found.kind is Kind.NONE else EXIT_DISAGREEMENT
