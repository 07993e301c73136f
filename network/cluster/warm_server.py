"""The supervisor's end of a fork server: start it early, ask it for nodes, hear which have ended.

Imports little, so that a command can have the server warming up before it loads anything else itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from network.failures import Failure, TimedOut

DEFAULT_ENTRY: Final = "network.faults.node_program:run"
BUSY_SECONDS: Final = 120.0
"""Longer than compiling the EVM takes on a slow machine."""
_LOG_TAIL_LINES: Final = 15


class WarmServer:
    """A fork server process: started early, so that it imports while the caller prepares files."""

    def __init__(self, entry: str = DEFAULT_ENTRY) -> None:
        # start-up output goes to a pipe that is read when starting fails
        self._errors_read, errors_write = os.pipe()
        os.set_blocking(self._errors_read, False)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "network.cluster.fork_server", entry],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors_write,
            start_new_session=True,
        )
        os.close(errors_write)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin
        self._replies = self._process.stdout
        os.set_blocking(self._replies.fileno(), False)
        self._buffer = b""
        self._used = False
        self._events: list[dict[str, Any]] = []
        self.report: Callable[[str], None] = lambda line: None
        """Who hears what takes long there."""

    def start(self, node: str, config: Path, output: Path, log: Path, entry: str | None = None) -> None:
        """Ask for a node (or for what ``entry`` runs); ``started`` follows among the events. Raises Failure."""
        request = {"op": "start", "node": node, "config": str(config), "output": str(output), "log": str(log)}
        if entry is not None:
            request["entry"] = entry
        self._used = True
        self._send(request)

    def pid_of(self, node: str, seconds: float) -> int:
        """The pid of a node that was asked for. Raises Failure, TimedOut."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self._events:
                if event["op"] == "started" and event["node"] == node:
                    self._events.remove(event)
                    return int(event["pid"])
            if any(event["op"] == "busy" for event in self._events):
                self._events = [event for event in self._events if event["op"] != "busy"]
                deadline += BUSY_SECONDS
            if time.monotonic() > deadline:
                raise TimedOut(f"{node} was not started within {seconds:g} s", "is the machine very busy?")
            self._read(0.05)

    def ended(self, wait_seconds: float = 0.0) -> list[dict[str, Any]]:
        """Nodes that have ended since the last look: node, pid, code."""
        self._read(wait_seconds)
        found = [event for event in self._events if event["op"] == "exited"]
        self._events = [event for event in self._events if event["op"] != "exited"]
        return found

    def detach(self) -> None:
        """End the server and leave its nodes running."""
        self._send({"op": "detach"})
        self._close()

    def close(self) -> None:
        """End the server; nodes of it that still run are told to stop. Nothing happens the second time."""
        self._close()

    def _close(self) -> None:
        if self._errors_read < 0:
            return
        if not self._used:
            self._process.kill()  # nothing depends on it: no need to wait until it has loaded
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(BrokenPipeError):  # it ended before us
                pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._errors_read)
        self._errors_read = -1

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._requests.write(json.dumps(message).encode() + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            raise self._broken() from None

    def _read(self, wait_seconds: float) -> None:
        readable, _, _ = select.select([self._replies], [], [], wait_seconds)
        if not readable:
            return
        chunk = os.read(self._replies.fileno(), 65_536)
        if not chunk:
            raise self._broken()
        self._buffer += chunk
        while b"\n" in self._buffer:
            line, self._buffer = self._buffer.split(b"\n", 1)
            event = json.loads(line)
            if event["op"] == "busy":
                self.report(event["line"])
            self._events.append(event)

    def _broken(self) -> Failure:
        self._process.wait(5)
        try:
            errors = os.read(self._errors_read, 65_536).decode("utf-8", "replace")
        except BlockingIOError:
            errors = ""
        shown = "".join(f"\n  {line}" for line in errors.splitlines()[-_LOG_TAIL_LINES:])
        return Failure(f"the node program could not be loaded{shown}", "is evmesh installed whole? try: evmesh doctor")


def exit_words(code: int | None) -> str:
    """How a process ended, in brackets; nothing where it is not known."""
    if code is None:
        return ""
    return f" (killed by signal {-code})" if code < 0 else f" (exit code {code})"
