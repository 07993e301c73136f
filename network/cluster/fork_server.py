"""Starts nodes fast: imports the node's modules once, then forks one process a node.

A node takes a few hundred milliseconds of imports; four of them on two cores would take a second before
the first line of their own runs. Here the imports are paid once, while the supervisor still writes files,
and every child shares the imported pages. Each node is a process of its own, in a session of its own,
exactly as if its program (network/faults/node_program.py) had been called: it runs the same function.

Talks JSON lines over standard input and output with its one client, the supervisor:

    → {"op": "start", "node": "n0", "config": "…/node.toml", "output": "…/node.out", "log": "…/node.log"}
      ("entry": "module:function" where it is another program than the server's)
    ← {"op": "started", "node": "n0", "pid": 4711}
    ← {"op": "busy", "line": "compiling …"}                        it takes longer, and why
    ← {"op": "exited", "node": "n0", "pid": 4711, "code": 1}      (negative: killed by that signal)
    → {"op": "detach"}                                             ends this process, leaves the nodes

End of input without a detach means that the supervisor died: the nodes are told to stop.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from network.cluster.warm_server import DEFAULT_ENTRY
from node.evm.native import choice, elf, llvm, object_file

RunNode = Callable[[Path], int]

PRELOADED = ("network.cluster.link_process", "network.cluster.judge_process")
"""Programs that are started with every network before its nodes are ready; its page loads what it needs itself."""


def load_entry(entry: str) -> RunNode:
    """The function ``module:name`` that runs one node until it stops and returns its exit code."""
    module, _, name = entry.partition(":")
    function: RunNode = getattr(importlib.import_module(module), name)
    return function


class ForkServer:
    """Forks on request, reports what ended."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests = requests
        self._replies = replies
        self._buffer = b""
        self._nodes: dict[int, str] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def serve(self) -> tuple[str | None, Path] | None:
        """Serve until the end. In the server: None. In a freshly forked child: its entry, if named, and its config."""
        signal.signal(signal.SIGCHLD, self._on_child)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        while True:
            readable, _, _ = select.select([self._requests, self._wake_read], [], [])
            if self._wake_read in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
                self._report_ended()
            if self._requests not in readable:
                continue
            chunk = os.read(self._requests, 65_536)
            if not chunk:
                self._stop_nodes()
                return None
            self._buffer += chunk
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                request = json.loads(line)
                if request["op"] == "detach":
                    return None
                if self._start(request):
                    return request.get("entry"), Path(request["config"])

    @staticmethod
    def _on_child(number: int, frame: FrameType | None) -> None:
        """The wakeup descriptor carries the news; the handler only keeps the signal from being ignored."""

    def _start(self, request: dict[str, Any]) -> bool:
        """Fork; whether this is the child."""
        pid = os.fork()
        if pid == 0:
            self._become_node(request)
            return True
        self._nodes[pid] = request["node"]
        self._reply({"op": "started", "node": request["node"], "pid": pid})
        return False

    def _become_node(self, request: dict[str, Any]) -> None:
        """In the child: leave the server's signals, pipes, session and name behind."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        for descriptor in (self._requests, self._replies, self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        for descriptor, path, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, request["log"], append),
        ):
            opened = os.open(path, flags, 0o644)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
        sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115 - lives as long as we do
        with contextlib.suppress(OSError):  # the name that ps and top show
            Path("/proc/self/comm").write_text(f"evmesh {request['node']}")

    def _report_ended(self) -> None:
        while self._nodes:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            node = self._nodes.pop(pid, "?")
            self._reply({"op": "exited", "node": node, "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _stop_nodes(self) -> None:
        for pid in self._nodes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _reply(self, message: dict[str, Any]) -> None:
        _tell(self._replies, message)


def _tell(replies: int, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the supervisor is gone; end of input follows
        os.write(replies, json.dumps(message).encode() + b"\n")


def prepare_machine(say: Callable[[str], None]) -> None:
    """Have the native EVM ready before nodes are forked: compiled once for all, its memory shared by all.

    A process of its own compiles: the compiler's memory goes with it. Where there can be none, the nodes say so.
    """
    try:
        wanted = choice.from_environment()
    except choice.NoSuchMachine:
        return
    if wanted in (choice.Evm.PLAIN, choice.Evm.TRANSPILED) or not llvm.is_installed():
        return
    if elf.fits() and object_file.cached() is None:
        pid = os.fork()
        if pid == 0:
            try:
                object_file.obtain(say)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    with contextlib.suppress(choice.NoSuchMachine):
        choice.machine(choice.Evm.NATIVE, say)


def main(entry: str = DEFAULT_ENTRY) -> int:
    """Run the server on standard input and output, and each node in a fork of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    # the nodes' own output must not end up in our reply pipe
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    run = load_entry(entry)
    for module in PRELOADED:
        importlib.import_module(module)
    prepare_machine(lambda line: _tell(replies, {"op": "busy", "line": line}))
    gc.collect()
    gc.freeze()  # children share these pages: the collector must not touch them
    child = ForkServer(requests, replies).serve()
    if child is None:
        return 0
    named, config = child
    return (load_entry(named) if named else run)(config)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
