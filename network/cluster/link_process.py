"""The process that carries a network's links, and the faults of running nodes that last: ``… link_process RUN_DIR``.

It reads the board of faults when it starts and whenever it gets SIGHUP, and writes the generation that it has carried
out to ``links/applied``. It ends when it is told to, and by itself when no node has run for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Final

from network.cluster import links
from network.cluster.companion import COMPANION_LINKS, applied_file
from network.cluster.fault_board import Board, read_board
from network.cluster.link_proxy import LinkProxy
from network.cluster.process import ProcessRecord, send_signal, write_json
from network.cluster.run_directory import RunDirectory
from network.failures import EXIT_BUSY, Failure
from network.faults.kinds import Group
from network.faults.link_faults import LinkFaults

IDLE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 5.0
RUN_MS: Final = 50
"""How long a slow node runs between two pauses."""


class LinkProcess:
    """Links, and nodes that are made slow."""

    def __init__(self, run: RunDirectory, wiring: links.Wiring) -> None:
        self._run = run
        self._proxy = LinkProxy(wiring, seed=os.getpid())
        self._faults = LinkFaults(self._proxy.policy, wiring.nodes)
        self._board = Board()
        self._slow: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._reload_wanted = asyncio.Event()

    async def serve(self) -> int:
        """Until SIGTERM, or until no node has run for a minute. Returns the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        self._carry_out(read_board(self._run.path), boot=True)
        try:
            await self._proxy.start()
        except OSError as error:
            print(f"error: {error.strerror or error}", file=sys.stderr, flush=True)
            return EXIT_BUSY
        self._acknowledge()
        reloading = loop.create_task(self._reload())
        idle = loop.create_task(self._watch_idle())
        try:
            await self._stop.wait()
        finally:
            reloading.cancel()
            idle.cancel()
            for task in self._slow.values():
                task.cancel()
            await asyncio.gather(*self._slow.values(), return_exceptions=True)
            self._proxy.stop()
        return 0

    async def _reload(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            try:
                board = read_board(self._run.path)
            except Failure as failure:
                print(f"error: {failure.message}", file=sys.stderr, flush=True)
                continue
            self._carry_out(board)
            self._acknowledge()

    async def _watch_idle(self) -> None:
        idle = 0.0
        while idle < IDLE_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            idle = 0.0 if self._run.running() or not self._run.path.exists() else idle + LOOK_SECONDS
            if not self._run.path.exists():
                break
        self._stop.set()

    def _carry_out(self, board: Board, boot: bool = False) -> None:
        self._faults.heal()
        for fault in board.of_group(Group.LINK):
            self._faults.begin(fault.action)
        self._proxy.faults_changed()
        if not boot:
            for link, generation in board.resets.items():
                if self._board.resets.get(link) != generation:
                    source, _, target = link.partition(">")
                    self._proxy.reset(source, target)
        wanted = {
            node: fault.action.number("work_ms")
            for fault in board.faults
            if fault.kind == "slow-node"
            for node in fault.action.targets
        }
        before = {
            node: fault.action.number("work_ms")
            for fault in self._board.faults
            if fault.kind == "slow-node"
            for node in fault.action.targets
        }
        for node in list(self._slow):
            if wanted.get(node) != before.get(node):
                self._slow.pop(node).cancel()
        for node, work_ms in wanted.items():
            if node not in self._slow:
                self._slow[node] = asyncio.get_running_loop().create_task(self._slow_down(node, work_ms))
        self._board = board

    async def _slow_down(self, node: str, work_ms: int) -> None:
        """Stop and continue a node again and again; leaves it running."""
        record: ProcessRecord | None = None
        try:
            while True:
                record = self._run.record(node)
                paused_by_hand = self._board.on_node(node, "pause") is not None
                if record is not None and not paused_by_hand and send_signal(record, signal.SIGSTOP):
                    await asyncio.sleep(work_ms / 1000)
                    if self._board.on_node(node, "pause") is None:
                        send_signal(record, signal.SIGCONT)
                await asyncio.sleep(RUN_MS / 1000)
        finally:
            if record is not None and self._board.on_node(node, "pause") is None:
                send_signal(record, signal.SIGCONT)

    def _acknowledge(self) -> None:
        with contextlib.suppress(OSError):  # the run directory is being removed
            write_json(applied_file(self._run), {"generation": self._board.generation, "pid": os.getpid()})


def run(directory: Path) -> int:
    """Carry the links of a run directory until told to stop. Returns the exit code."""
    wiring = links.Wiring.read(directory)
    if wiring is None:
        print(f"error: {directory} has no {links.FILE_NAME}", file=sys.stderr, flush=True)
        return 1
    links.allow_open_files(len(wiring.ports))
    gc.freeze()
    with contextlib.suppress(OSError):  # the name that ps and top show
        Path("/proc/self/comm").write_text(f"evmesh {COMPANION_LINKS}")
    return asyncio.run(LinkProcess(RunDirectory(directory), wiring).serve())


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
