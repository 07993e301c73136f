"""``python -m tests.benchmarks.bisect_times``: how long bisect takes to find each seeded mistake in 500 blocks.

Both nodes stand behind the real dispatcher in this process; what HTTP costs (a millisecond a question, about 15
questions) comes on top. The mistake shows in block 311; every block has a transfer, that one a program of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time

from network.bisect import find_difference
from network.faults.evm_bugs import EVM_BUGS, with_bug
from tests.unit.network.test_bisect import _chain_with_the_program, _follower, genesis

BLOCKS = 500
AT = 311


def main() -> None:
    """Print a line a mistake, slowest last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--at", type=int, default=AT)
    options = parser.parse_args()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        taken = _times(loop, options.blocks, options.at)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    for seconds, questions, name in sorted(taken):
        print(f"{seconds:7.3f} s  {questions:3d} questions  {name}")
    print(f"{len(taken)} mistakes in chains of {options.blocks} blocks, each found in at most {max(taken)[0]:.2f} s")


def _times(loop: asyncio.AbstractEventLoop, blocks: int, at: int) -> list[tuple[float, int, str]]:
    node, chain = asyncio.run_coroutine_threadsafe(_chain_with_the_program(at, blocks), loop).result()
    taken = []
    for name in EVM_BUGS:
        spoiled = asyncio.run_coroutine_threadsafe(_follower(with_bug(genesis(), name), chain), loop).result()
        asked = 0

        def counted(ask):  # type: ignore[no-untyped-def]
            def count(method, *params):  # type: ignore[no-untyped-def]
                nonlocal asked
                asked += 1
                return ask(method, *params)

            return count

        began = time.monotonic()
        found = find_difference(counted(node.ask), counted(spoiled.ask))
        taken.append((time.monotonic() - began, asked, name))
        assert found.number == at, (name, found)
        assert found.step is not None, name
        assert found.step.opcode == EVM_BUGS[name].opcode.name, (name, found)
    return taken


if __name__ == "__main__":
    main()
