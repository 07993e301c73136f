"""The program that takes the place of an honest node: ``… liar_node NODE_TOML KIND [SHARE | EFFECTS]``.

KIND is a lie, or ``kill-between-effects``: then it is honest, and kills itself after so many effects.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from network.faults.dying_engine import DyingEngine
from network.faults.liar import Liar
from network.faults.steered_clock import CLOCK_FILE, SteeredClock
from node.__main__ import load_genesis
from node.__main__ import run as run_node
from node.config import load_config
from node.consensus.bft.messages import ChainDomain
from node.consensus.engine import Engine
from node.consensus.signer import Secp256k1Key
from node.keys import read_key
from node.runtime.runtime import system_runtime


def run(config_path: Path, kind: str, amount: float = 1.0) -> int:
    """Run a faulty node until a signal stops it. ``amount``: share of the occasions, or effects. The exit code."""
    config = load_config(config_path)
    settings = config.consensus
    files = [settings.validator_key_file, *settings.validator_key_files]
    keys = [Secp256k1Key(read_key(Path(file))) for file in files if file]
    genesis = load_genesis(config)
    domain = ChainDomain(genesis.chain_id, genesis.block().hash)

    def wrap(engine: Engine) -> Engine:
        if kind == "kill-between-effects":
            return DyingEngine(engine, int(amount))
        return Liar(engine, keys, domain, kind, amount)

    runtime = replace(system_runtime(), clock=SteeredClock(config_path.parent / CLOCK_FILE))
    return run_node(config_path, runtime, wrap)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 1.0))
