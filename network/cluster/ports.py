"""TCP ports: is one free, who holds it, which are free."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from network.failures import Busy

DYNAMIC_RANGE: Final = range(12_000, 30_000)
"""Below the range from which systems take ports for outgoing connections, and below our own usual ports."""
_CHANCE: Final = random.SystemRandom()
"""Not the shared generator: test runners seed that one alike in every worker, and all would draw the same ports."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a port."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not count
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder_of(port: int) -> Holder | None:
    """The process that listens on a port, where the system lets us see it (Linux /proc, own processes or root)."""
    inodes = {inode for name in ("tcp", "tcp6") for inode in _listening_inodes(Path("/proc/net") / name, port)}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in sorted(Path("/proc").iterdir(), key=lambda path: path.name):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor) in wanted:
                        return Holder(int(entry.name), _command_of(entry))
    return None


def _listening_inodes(table: Path, port: int) -> list[str]:
    try:
        rows = table.read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for row in rows:
        columns = row.split()
        if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:  # 0A: listening
            found.append(columns[9])
    return found


def _command_of(entry: Path) -> str:
    with contextlib.suppress(OSError):
        name = (entry / "comm").read_text().strip()
        if name.startswith("evmesh "):  # a forked node carries its name here, its server's command there
            return f"node {name.removeprefix('evmesh ')} of an evmesh network"
        command = (entry / "cmdline").read_bytes().replace(b"\x00", b" ").decode("utf-8", "replace").strip()
        return command[:120] or name
    return "unknown"


def require_free(host: str, ports: Iterable[int], flag: str) -> None:
    """Raises Busy that names the port, who holds it, and the flag that moves us elsewhere."""
    for port in ports:
        if not is_free(host, port):
            holder = holder_of(port)
            raise Busy(
                f"port {port} on {host} is in use" + (f" by {holder}" if holder else ""),
                f"stop it, choose another with {flag} {port + 100}, or let the system choose with {flag} 0",
                port=port,
                holder_pid=holder.pid if holder else None,
            )


def pick_free(host: str, count: int, taken: Collection[int] = ()) -> list[int]:
    """``count`` free ports, none of ``taken``; drawn by chance, so that runs at the same time rarely meet."""
    chosen: list[int] = []
    for _ in range(2000):
        if len(chosen) == count:
            return chosen
        port = _CHANCE.choice(DYNAMIC_RANGE)
        if port not in chosen and port not in taken and is_free(host, port):
            chosen.append(port)
    raise Busy(f"no {count} free ports found on {host}", "name a free range with --port")
