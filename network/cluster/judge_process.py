"""The process that watches a network's invariants for as long as it runs: ``… judge_process RUN_DIR``.

At the first promise that is broken it writes one sentence into ``violation.json``, says it, and ends with code 3;
``evmesh up`` ends with it, ``evmesh status`` and ``evmesh down`` repeat it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

from network.cluster import links
from network.cluster.chain_watch import ChainWatch
from network.cluster.companion import COMPANION_JUDGE, COMPANION_LINKS, record_of, start, violation_file
from network.cluster.fault_board import read_board
from network.cluster.process import write_json
from network.cluster.run_directory import RunDirectory
from network.failures import EXIT_DISAGREEMENT, Failure
from network.invariants import Invariant, InvariantViolated

LOOK_SECONDS: Final = (0.4, 2.0)
"""Between two looks, at least and at most; in between it is one block time."""
IDLE_SECONDS: Final = 60.0
PRIORITY: Final = 5
"""Nicer than the nodes: judging a little later is no loss."""


PROGRESS_SECONDS: Final = 60.0
PROGRESS_BLOCKS: Final = 20
"""A whole network without any fault finalizes something within a minute and twenty block times."""


class Progress:
    """Whether a network that has every reason to go on does."""

    def __init__(self, bound_seconds: float) -> None:
        self._bound_seconds = bound_seconds
        self._since: float | None = None
        self._finalized = -1

    def note(self, now: float, whole: bool, finalized: int) -> None:
        """At ``now`` (seconds) the network is ``whole`` or not, and has finalized so far. Raises InvariantViolated."""
        if not whole or finalized != self._finalized:
            self._since = now if whole else None
            self._finalized = finalized
        elif self._since is None:
            self._since = now
        elif now - self._since > self._bound_seconds:
            raise InvariantViolated(
                Invariant.PROGRESS,
                f"all nodes run and no fault is on, and nothing became final after #{finalized} "
                f"for {now - self._since:.0f} s",
            )


class _Stopped(BaseException):
    """SIGTERM."""


def watch(run: RunDirectory) -> int:
    """Look until told to stop, until nothing has run for a minute, or until a promise is broken. The exit code."""
    network = run.network()
    pause = min(max(network.block_time_ms / 1000, LOOK_SECONDS[0]), LOOK_SECONDS[1])
    judge = ChainWatch(run)
    bound = PROGRESS_SECONDS + PROGRESS_BLOCKS * network.block_time_ms / 1000
    progress = Progress(bound) if network.engine != "instant" else None
    last_seen = time.monotonic()
    complained = ""
    try:
        while run.path.exists():
            try:
                judge.look()
            except Failure as failure:  # a node that answers with an error: said once, looked at again
                if failure.message != complained:
                    complained = failure.message
                    print(f"cannot judge: {failure.message}", file=sys.stderr, flush=True)
            running = run.running()
            if progress is not None:
                whole = len(running) == len(network.nodes) and not read_board(run.path).lasting
                whole = whole and not any(record.paused for record in running.values())
                progress.note(time.monotonic(), whole, judge.finalized)
            if running:
                last_seen = time.monotonic()
                _keep_links(run)
            elif time.monotonic() - last_seen > IDLE_SECONDS:
                break
            time.sleep(pause)
    except InvariantViolated as broken:
        sentence = f"the network broke its promise of {broken.invariant.value}: {what_of(broken)}"
        print(sentence, file=sys.stderr, flush=True)
        document = {"invariant": broken.invariant.value, "sentence": sentence, "when_ms": time.time_ns() // 1_000_000}
        write_json(violation_file(run), document)
        return EXIT_DISAGREEMENT
    finally:
        judge.close()
    return 0


def _keep_links(run: RunDirectory) -> None:
    """Start the link process again where it has ended: without it the nodes are alone."""
    if links.Wiring.read(run.path) is not None and record_of(run, COMPANION_LINKS) is None:
        print("the link process had ended and is started again", file=sys.stderr, flush=True)
        start(run, COMPANION_LINKS)


def what_of(broken: InvariantViolated) -> str:
    """The sentence without the invariant's name in front."""
    return str(broken).removeprefix(f"{broken.invariant.value}: ")


def run(directory: Path) -> int:
    """Judge the network of a run directory. Returns the exit code."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the name that ps and top show
        Path("/proc/self/comm").write_text(f"evmesh {COMPANION_JUDGE}")
    os.nice(PRIORITY)
    try:
        return watch(RunDirectory(directory))
    except _Stopped:
        return 0
    except (OSError, json.JSONDecodeError) as error:
        if not directory.exists():
            return 0  # the network was removed under us
        raise error


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
