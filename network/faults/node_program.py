"""The program that ``evmesh up`` starts for each node: ``python -m node`` with doors that can be tampered with.

Nothing in ``node/`` knows of it. The clock door is one that can be set wrong (``clock`` beside node.toml).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from network.faults.steered_clock import CLOCK_FILE, SteeredClock
from node.__main__ import run as run_node
from node.runtime.runtime import system_runtime


def run(config_path: Path) -> int:
    """Run the node of a configuration file until a signal stops it. Returns the exit code."""
    runtime = replace(system_runtime(), clock=SteeredClock(config_path.parent / CLOCK_FILE))
    return run_node(config_path, runtime)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
