"""``python -m tests.benchmarks.state_root``: a state root after 1,000 changed slots, as the account has more of them.

Everything in memory: what LMDB adds is in the time of a block on a real network. CPU time, median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time

from node.primitives.scalars import Address, Hash32
from node.state.commit import commit
from node.state.diff import AccountChange, StateDiff
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.trie.node_cache import NodeCache

ADDRESS = Address(b"\x70" * 20)
CHANGED = 1_000


def measure(slots: int, rounds: int) -> dict[str, float | int]:
    """An account with so many slots, 1,000 of them changed again and again."""
    chance = random.Random(slots)
    state = state_from_alloc({ADDRESS: GenesisAccount(nonce=1, storage=dict.fromkeys(range(slots), 1))})
    stored: dict[Hash32, bytes] = dict(state.nodes)
    nodes = NodeCache(lambda node_hash: stored.get(Hash32(node_hash)))
    root = state.root
    code_hash = Hash32(bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"))
    taken, made = [], []
    for number in range(rounds):
        values = {chance.randrange(slots): 2 + number for _ in range(CHANGED)}
        diff = StateDiff({ADDRESS: AccountChange(nonce=1, balance=0, code_hash=code_hash, slots=values)})
        began = time.thread_time()
        result = commit(root, diff, nodes)
        taken.append(time.thread_time() - began)
        made.append(len(result.nodes))
        stored.update(result.nodes)
        root = result.root
    return {
        "slots": slots,
        "ms": round(statistics.median(taken) * 1e3, 1),
        "us_per_slot": round(statistics.median(taken) / CHANGED * 1e6, 1),
        "nodes": round(statistics.median(made)),
    }


def main() -> int:
    """Print one row for each size."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.state_root", description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(json.dumps({"changed": CHANGED, "rows": [measure(slots, given.rounds) for slots in given.slots]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
