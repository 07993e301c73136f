"""The program that ``evmesh up`` starts for each node: ``python -m node`` with doors that can be tampered with.

Nothing in ``node/`` knows of it. The clock door is one that can be set wrong (``clock`` beside node.toml), and the
rules of the EVM may have a seeded mistake (its name in ``evm-bug`` beside node.toml).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from network.faults.evm_bugs import EVM_BUGS, with_bug
from network.faults.kinds import BUG_FILE
from network.faults.steered_clock import CLOCK_FILE, SteeredClock
from node.__main__ import run as run_node
from node.runtime.runtime import system_runtime


def run(config_path: Path) -> int:
    """Run the node of a configuration file until a signal stops it. Returns the exit code."""
    runtime = replace(system_runtime(), clock=SteeredClock(config_path.parent / CLOCK_FILE))
    bug = bug_of(config_path.parent)
    if not bug:
        return run_node(config_path, runtime)
    if bug not in EVM_BUGS:
        print(f"error: {config_path.parent / BUG_FILE}: {bug!r} is no bug that is known", file=sys.stderr, flush=True)
        return 2
    return run_node(config_path, runtime, change_genesis=lambda genesis: with_bug(genesis, bug))


def bug_of(directory: Path) -> str:
    """The name of the seeded mistake that a node's directory asks for; empty for none."""
    try:
        return (directory / BUG_FILE).read_text("ascii").strip()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
