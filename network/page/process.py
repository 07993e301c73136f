"""The process that serves the cluster page: ``… process RUN_DIR``.

It ends when it is told to, and by itself when no node has run for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from pathlib import Path
from typing import Final

from network.cluster import process
from network.cluster.companion import COMPANION_PAGE
from network.cluster.run_directory import PAGE_HOST, RunDirectory
from network.failures import EXIT_BUSY
from network.page.server import PageServer

IDLE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 5.0


async def serve(run: RunDirectory, port: int) -> int:
    """Until SIGTERM, or until no node has run for a minute. Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    server = PageServer(run, port)
    try:
        await server.start()
    except OSError as error:
        print(f"error: {PAGE_HOST}:{port}: {error.strerror or error}", file=sys.stderr, flush=True)
        return EXIT_BUSY
    idle = loop.create_task(_watch_idle(run, stop))
    try:
        await stop.wait()
    finally:
        idle.cancel()
        await server.stop()
    return 0


async def _watch_idle(run: RunDirectory, stop: asyncio.Event) -> None:
    idle = 0.0
    while idle < IDLE_SECONDS and run.path.exists():
        await asyncio.sleep(LOOK_SECONDS)
        process.reap()  # nodes that a button started, and that have ended since
        idle = 0.0 if run.running() else idle + LOOK_SECONDS
    stop.set()


def run(directory: Path) -> int:
    """Serve the page of a run directory until told to stop. Returns the exit code."""
    network = RunDirectory(directory).network()
    if network.page_port is None:
        print(f"error: network {network.name} has no page", file=sys.stderr, flush=True)
        return 1
    gc.freeze()
    with contextlib.suppress(OSError):  # the name that ps and top show
        Path("/proc/self/comm").write_text(f"evmesh {COMPANION_PAGE}")
    return asyncio.run(serve(RunDirectory(directory), network.page_port))


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
