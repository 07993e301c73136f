"""A process of our own for work that may be slow, large or deadly: asked without waiting, killed when it is late.

ask ─▶ frames on its standard input ─▶ handle ─▶ frames on its standard output ─▶ answer

It runs at the lowest priority and limits itself: memory once, CPU for every request. A system without POSIX has none.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple

HEAD_BYTES: Final = 4
ANSWER_BYTES_MAX: Final = 16 * 2**20
STARTS_MAX: Final = 100
"""A process that dies so often is not started again."""


class Limits(NamedTuple):
    """Of one process."""

    cpu_seconds: int = 10
    """For a request."""
    memory_bytes: int = 2**30
    """Of address space."""
    wall_seconds: float = 120.0
    """For a request, start included, on however busy a machine."""
    idle_seconds: float = 30.0
    """Without a request it ends, and its memory with it."""


def is_supported() -> bool:
    """Whether there can be such processes here."""
    return os.name == "posix"


class SideProcess:
    """Runs ``python -m module`` when it is first asked, one request at a time. For one thread at a time."""

    def __init__(self, module: str, limits: Limits) -> None:
        self._module = module
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._frame = self._out = b""
        self._in = bytearray()
        self._asked_at: float | None = None
        self.starts = 0

    def ask(self, request: bytes) -> bool:
        """Send a request; False where one is still running, or there can be no process."""
        if self._asked_at is not None or not self._start():
            return False
        self._post(len(request).to_bytes(HEAD_BYTES, "big") + request)
        return True

    def _post(self, frame: bytes) -> None:
        self._frame = self._out = frame
        self._in.clear()
        self._asked_at = time.monotonic()
        self._send()

    def answer(self) -> bytes | None:
        """The answer; None while there is none yet, empty where the process died or had to be killed over it."""
        process, asked_at = self._process, self._asked_at
        if process is None or asked_at is None:
            return None
        self._send()
        assert process.stdout is not None
        held = len(self._in)
        try:
            while piece := os.read(process.stdout.fileno(), 65_536):
                self._in += piece
                size = int.from_bytes(self._in[:HEAD_BYTES], "big")
                if len(self._in) >= HEAD_BYTES and size > ANSWER_BYTES_MAX:
                    break
                if len(self._in) >= HEAD_BYTES + size:
                    self._asked_at = None
                    return bytes(self._in[HEAD_BYTES:])
        except BlockingIOError:
            if len(self._in) > held:  # it is writing: a pipe holds less than an answer
                self._asked_at = time.monotonic()
                return None
            if time.monotonic() - asked_at < self._limits.wall_seconds:
                return None
        except OSError:
            pass
        else:
            # the end of its output: it was idle, and left while it was being asked
            if not self._in and _ended_well(process) and self._start():
                self._post(self._frame)
                return None
        self.close()
        return b""

    def close(self) -> None:
        """Kill it, whatever it does."""
        process, self._process = self._process, None
        self._asked_at = None
        self._out = b""
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None else self._process.pid

    def _start(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            return True
        self.close()
        if not is_supported() or self.starts >= STARTS_MAX:
            return False
        self.starts += 1
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, *(str(limit) for limit in self._limits)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # a terminal's signals are not for it
            )
        except OSError:
            return False
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        os.set_blocking(self._process.stdout.fileno(), False)
        return True

    def _send(self) -> None:
        """As much as the pipe takes now."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            while self._out:
                self._out = self._out[os.write(process.stdin.fileno(), self._out) :]
        except OSError:  # full, or nobody reads any more, which the answer tells
            return


def _ended_well(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process whose output has ended was done."""
    try:
        return process.wait(timeout=1.0) == 0
    except subprocess.TimeoutExpired:
        return False


def serve(handle: Callable[[bytes], bytes], arguments: list[str]) -> int:
    """The process's own side: answer requests until the input ends. ``arguments``: the limits as text."""
    limits = Limits(int(arguments[0]), int(arguments[1]), float(arguments[2]), float(arguments[3]))
    resource = importlib.import_module("resource")
    select = importlib.import_module("select")
    os.nice(19)
    for kind, most in ((resource.RLIMIT_AS, limits.memory_bytes), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    while True:
        ready, _, _ = select.select([0], [], [], limits.idle_seconds)
        head = _read(HEAD_BYTES) if ready else b""
        request = _read(int.from_bytes(head, "big"))
        if not head:
            return 0
        spent = int(time.process_time()) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (spent + limits.cpu_seconds, hard))
        answer = handle(request)
        text = memoryview(len(answer).to_bytes(HEAD_BYTES, "big") + answer)
        while text:
            text = text[os.write(1, text) :]


def _read(size: int) -> bytes:
    """So many bytes of standard input, or fewer at its end."""
    found = b""
    while len(found) < size and (piece := os.read(0, size - len(found))):
        found += piece
    return found
