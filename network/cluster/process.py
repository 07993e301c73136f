"""One node process: who it is (pid and start time), spawning, signals.

A pid alone may have been given to another program since; so a process is named by its pid *and* the time
it started, both are in ``process.json``, and no signal is sent unless both still fit.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from network.failures import Failure

POLL_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """Content of ``process.json``."""

    pid: int
    start_time: str
    """What the system says about when it started; compared, never parsed."""
    http_port: int
    p2p_port: int
    started_ms: int = 0
    """Wall time, for people."""

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return start_time_of(self.pid) == self.start_time

    @property
    def paused(self) -> bool:
        """Whether it is alive and stopped by SIGSTOP."""
        return self.alive and _state_of(self.pid) == "T"

    def write(self, path: Path) -> None:
        """Replace ``process.json`` in one step."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> ProcessRecord | None:
        """The record, or None where there is none (or a torn one)."""
        try:
            fields = json.loads(path.read_text("utf-8"))
            return cls(
                pid=int(fields["pid"]),
                start_time=str(fields["start_time"]),
                http_port=int(fields["http_port"]),
                p2p_port=int(fields["p2p_port"]),
                started_ms=int(fields.get("started_ms", 0)),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def record_of(pid: int, http_port: int, p2p_port: int) -> ProcessRecord:
    """The record of a process that was just started. Raises Failure where it is gone already."""
    start_time = start_time_of(pid)
    if start_time is None:
        raise Failure(f"process {pid} ended as soon as it was started")
    return ProcessRecord(pid, start_time, http_port, p2p_port, time.time_ns() // 1_000_000)


def start_time_of(pid: int) -> str | None:
    """An opaque mark of when ``pid`` started; None where no such process runs (a zombie counts as none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
        return _start_time_by_ps(pid)
    except (OSError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the command may contain spaces and brackets
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def _start_time_by_ps(pid: int) -> str | None:
    """The portable way, for systems without /proc."""
    done = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = done.stdout.strip().partition(" ")
    return started.strip() if done.returncode == 0 and started and not state.startswith("Z") else None


def _state_of(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return done.stdout.strip()[:1]
    return stat[stat.rindex(b")") + 2 :][:1].decode()


def send_signal(record: ProcessRecord, number: signal.Signals) -> bool:
    """Signal this very process; False where it is gone. A reused pid is never touched."""
    if not hasattr(os, "pidfd_open"):
        if not record.alive:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
            return True
        return False
    try:
        handle = os.pidfd_open(record.pid)
    except OSError:
        return False
    try:  # the handle names one process for good: what is checked now is what gets the signal
        if not record.alive:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def stop_all(records: Iterable[ProcessRecord], grace_seconds: float) -> list[ProcessRecord]:
    """SIGTERM, wait, then SIGKILL what is left. Returns those that had to be killed."""
    records = list(records)
    for record in records:
        if send_signal(record, signal.SIGTERM):
            send_signal(record, signal.SIGCONT)  # a paused one would sleep through the request
    remaining = wait_gone(records, grace_seconds)
    kill_all(remaining)
    return remaining


def kill_all(records: Iterable[ProcessRecord]) -> None:
    """SIGKILL, and wait until they are gone."""
    records = list(records)
    for record in records:
        send_signal(record, signal.SIGKILL)
    wait_gone(records, 5.0)


def wait_gone(records: Iterable[ProcessRecord], seconds: float) -> list[ProcessRecord]:
    """Wait until none of them runs; returns those that still do after ``seconds``."""
    deadline = time.monotonic() + seconds
    remaining = [record for record in records if record.alive]
    while remaining and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        remaining = [record for record in remaining if record.alive]
    return remaining


def spawn(arguments: list[str], output: Path, log: Path, environment: Mapping[str, str] | None = None) -> int:
    """Start a program in a session of its own (it outlives us): stdout to ``output``, stderr to ``log``. Its pid."""
    with output.open("wb") as out, log.open("ab") as err:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            env=dict(environment) if environment is not None else None,
        )
    _children.append(process)  # kept until it ends: a collected Popen warns, and nobody else reaps it
    return process.pid


_children: list[subprocess.Popen[bytes]] = []


def reap() -> None:
    """Collect our own children that have ended, so that they do not linger as zombies."""
    _children[:] = [child for child in _children if child.poll() is None]


def node_command(config: Path) -> list[str]:
    """The command line of one node."""
    return [sys.executable, "-m", "network.faults.node_program", str(config)]


def tail(path: Path, lines: int, bytes_max: int = 65_536) -> list[str]:
    """The last lines of a log file; nothing where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - bytes_max))
            content = file.read()
    except OSError:
        return []
    return content.decode("utf-8", "replace").splitlines()[-lines:] if lines > 0 else []


def write_json(path: Path, content: Any, mode: int = 0o644) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    os.replace(temporary, path)


def seconds_since_start() -> float:
    """Seconds since this very process was started, interpreter start included."""
    try:
        stat = Path("/proc/self/stat").read_bytes()
        ticks = int(stat[stat.rindex(b")") + 2 :].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, uptime - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError):
        return time.monotonic() - _IMPORTED


_IMPORTED: Final = time.monotonic()
